from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from ordering import consent
from ordering.consent import Question
from store.database import LocalDatabase
from tests.fakes.messages import MSISDN, NOON

HOUR = timedelta(hours=1)


def a_question(question_id: str = "q1", code: str = "1029", asked_at: datetime = NOON) -> Question:
    return Question(
        question_id=question_id,
        msisdn=MSISDN,
        tone_code=code,
        title="茉莉花",
        tier="visitor",
        price_fen=200,
        member_price_fen=150,
        senior_price_fen=100,
        pays_fen=200,
        shown="《茉莉花》您付2元。回Y1029",
        asked_at=asked_at,
        expires_at=asked_at + HOUR,
    )


def open_ids(database: LocalDatabase, at: datetime, msisdn: str = MSISDN) -> list[str]:
    found = database.run_now(consent.open_questions, msisdn, at)
    return [question.question_id for question in found]


def test_a_question_is_open_as_it_was_asked(database: LocalDatabase) -> None:
    database.run_now(consent.ask, a_question())
    database.run_now(consent.ask, a_question())
    assert database.run_now(consent.open_questions, MSISDN, NOON) == (a_question(),)
    assert open_ids(database, NOON, "8613905250002") == []


@pytest.mark.parametrize(
    ("after", "is_open"),
    [
        (timedelta(seconds=-1), False),
        (timedelta(0), True),
        (HOUR - timedelta(microseconds=1), True),
        (HOUR, False),
    ],
)
def test_an_answer_counts_by_the_time_it_was_sent(
    database: LocalDatabase, after: timedelta, is_open: bool
) -> None:
    database.run_now(consent.ask, a_question())
    assert bool(open_ids(database, NOON + after)) == is_open


def test_an_answer_sent_in_time_counts_though_the_question_was_closed_meanwhile(
    database: LocalDatabase,
) -> None:
    database.run_now(consent.ask, a_question())
    assert database.run_now(consent.expire, NOON + HOUR) == 1
    assert database.run_now(consent.expire, NOON + HOUR) == 0
    assert open_ids(database, NOON + timedelta(minutes=59)) == ["q1"]
    assert open_ids(database, NOON + HOUR) == []


def test_asking_the_same_again_replaces_the_question_and_another_tone_does_not(
    database: LocalDatabase,
) -> None:
    minute = timedelta(minutes=1)
    database.run_now(consent.ask, a_question("q1"))
    database.run_now(consent.ask, a_question("q2", "1041", NOON + minute))
    database.run_now(consent.ask, a_question("q3", "1029", NOON + 2 * minute))
    assert open_ids(database, NOON + 3 * minute) == ["q2", "q3"]


@pytest.mark.parametrize("answer", ["confirmed", "declined"])
def test_a_question_is_answered_once(database: LocalDatabase, answer: consent.Answered) -> None:
    database.run_now(consent.ask, a_question())
    assert database.run_now(consent.close, "q1", answer, NOON)
    assert not database.run_now(consent.close, "q1", "confirmed", NOON)
    assert open_ids(database, NOON) == []


def test_the_question_confirmed_last_is_known_until_its_time_is_over(
    database: LocalDatabase,
) -> None:
    assert database.run_now(consent.last_confirmed, MSISDN, NOON) is None
    for number, code in enumerate(("1029", "1041"), start=1):
        database.run_now(consent.ask, a_question(f"q{number}", code))
        database.run_now(consent.close, f"q{number}", "confirmed", NOON + timedelta(seconds=number))
    last = database.run_now(consent.last_confirmed, MSISDN, NOON + timedelta(minutes=1))
    assert last == replace(a_question("q2", "1041"))
    assert database.run_now(consent.last_confirmed, MSISDN, NOON + HOUR) is None


def test_the_newest_question_counts_whatever_became_of_it(database: LocalDatabase) -> None:
    assert database.run_now(consent.last_asked, MSISDN) is None
    database.run_now(consent.ask, a_question("q1", asked_at=NOON - HOUR))
    database.run_now(consent.ask, a_question("q2", "1041"))
    database.run_now(consent.close, "q2", "declined", NOON)
    assert database.run_now(consent.last_asked, MSISDN) == NOON


def test_a_consent_keeps_the_text_as_shown_and_when() -> None:
    kept = json.loads(consent.shown(a_question()))
    assert kept == {
        "text": "《茉莉花》您付2元。回Y1029",
        "question_id": "q1",
        "asked_at": "2026-11-23T04:00:00+00:00",
    }
