from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from smpp import parts
from smpp.commands import DataSm, DeliverSm
from smpp.messages import MoMessage
from smpp.parts import MoPart, WholeMo
from smpp.text import Alphabet, LongMessages, Part, Segment, content, segment
from store.database import LocalDatabase
from store.schema import long_mo, mo_part
from tests.fakes.messages import MSISDN, NOON
from tests.fakes.shortcode import FakeConnection, ShortCode

LONG = "请帮我退订1029这首歌谢谢" * 8
IDS = map("{:032x}".format, itertools.count(1))


def pieces(
    text: str = LONG,
    reference: int = 7,
    long_messages: LongMessages = "udh8",
    alphabet: Alphabet = "gsm7",
) -> list[MoMessage]:
    return [delivered(one, alphabet) for one in segment(text, reference, alphabet, long_messages)]


def delivered(piece: Segment, alphabet: Alphabet = "gsm7") -> MoMessage:
    received = DeliverSm(
        sequence=1,
        source_addr=MSISDN,
        destination_addr="12530019",
        short_message=piece.short_message,
        data_coding=piece.data_coding,
        esm_class=piece.esm_class,
        tlvs=piece.tlvs,
    )
    octets, part = content(received)
    return MoMessage("smsc", MSISDN, "12530019", octets, piece.data_coding, NOON, alphabet, part)


def a_part(number: int = 1, octets: bytes = b"", **changes: Any) -> MoPart:
    part = MoPart(
        mo_id=next(IDS),
        smsc="smsc",
        msisdn=MSISDN,
        destination="12530019",
        reference=7,
        total=3,
        number=number,
        data_coding=0,
        octets=octets or b"%d" % number,
        alphabet="gsm7",
    )
    return replace(part, **changes)


def keep(database: LocalDatabase, part: MoPart, at: datetime = NOON) -> WholeMo | None:
    return database.run_now(parts.keep, part, at)


def overdue(database: LocalDatabase, at: datetime) -> list[tuple[str, int]]:
    return [(one.text, one.missing) for one in database.run_now(parts.overdue, at)]


# ---------------------------------------------------------------- joining


@pytest.mark.parametrize("order", list(itertools.permutations((1, 2, 3))))
def test_parts_are_joined_in_any_order(database: LocalDatabase, order: tuple[int, ...]) -> None:
    joined = [keep(database, a_part(number)) for number in order]
    assert joined[:2] == [None, None]
    whole = joined[2]
    assert whole is not None
    assert (whole.text, whole.octets, whole.missing, whole.in_parts) == ("123", b"123", 0, True)


def test_a_repeated_part_changes_nothing(database: LocalDatabase) -> None:
    for number in (1, 1, 2, 1, 2):
        assert keep(database, a_part(number)) is None
    assert keep(database, a_part(3)) is not None


def test_the_last_part_repeated_completes_it_again_until_it_is_answered(
    database: LocalDatabase,
) -> None:
    first = [keep(database, a_part(number)) for number in (1, 2, 3)][-1]
    assert first is not None
    assert keep(database, a_part(3)) == first
    database.run_now(parts.answered, first.mo_id, NOON)
    assert keep(database, a_part(3), NOON + timedelta(minutes=59)) is None
    assert overdue(database, NOON + timedelta(minutes=59)) == []


def test_an_answered_message_is_forgotten_after_an_hour(database: LocalDatabase) -> None:
    whole = [keep(database, a_part(number)) for number in (1, 2, 3)][-1]
    assert whole is not None
    database.run_now(parts.answered, whole.mo_id, NOON)
    assert overdue(database, NOON + timedelta(hours=1)) == []
    with database.engine.connect() as connection:
        for table in (long_mo, mo_part):
            assert connection.execute(select(func.count()).select_from(table)).scalar() == 0


def test_a_used_reference_begins_a_new_message(database: LocalDatabase) -> None:
    keep(database, a_part(1, b"old "))
    keep(database, a_part(2, b"song"))
    keep(database, a_part(1, b"new "))
    keep(database, a_part(2, b"one"))
    assert keep(database, a_part(2, b"song")) is None  # repeated: it does not end the new one
    whole = keep(database, a_part(3, b"!"))
    assert whole is not None
    assert whole.text == "new one!"
    assert overdue(database, NOON) == [("old song", 1)]


@pytest.mark.parametrize(
    "change",
    [{"msisdn": "8613905250002"}, {"destination": "1"}, {"reference": 8}, {"total": 4}],
)
def test_parts_of_different_messages_never_meet(
    database: LocalDatabase, change: dict[str, Any]
) -> None:
    keep(database, a_part(1))
    keep(database, a_part(2))
    assert keep(database, a_part(3, **change)) is None


def test_parts_may_come_through_different_smscs(database: LocalDatabase) -> None:
    keep(database, a_part(1))
    keep(database, a_part(2, smsc="other"))
    assert keep(database, a_part(3)) is not None


# ---------------------------------------------------------------- when a part never comes


def test_what_came_is_given_out_a_minute_after_its_newest_part(database: LocalDatabase) -> None:
    keep(database, a_part(1))
    keep(database, a_part(3), NOON + timedelta(seconds=50))
    assert overdue(database, NOON + timedelta(seconds=109)) == []
    for _ in range(2):  # until it is answered
        assert overdue(database, NOON + timedelta(seconds=110)) == [("13", 1)]
    assert keep(database, a_part(2), NOON + timedelta(seconds=111)) is not None


def test_a_message_answered_without_a_part_takes_no_notice_of_it_later(
    database: LocalDatabase,
) -> None:
    keep(database, a_part(1))
    (late,) = database.run_now(parts.overdue, NOON + timedelta(seconds=60))
    database.run_now(parts.answered, late.mo_id, NOON + timedelta(seconds=60))
    assert keep(database, a_part(1), NOON + timedelta(seconds=61)) is None
    assert overdue(database, NOON + timedelta(minutes=10)) == []


def test_the_oldest_of_too_many_gives_way(database: LocalDatabase) -> None:
    for number in range(parts.MOST_OPEN + 1):
        keep(database, a_part(1, b"%d" % number, reference=number), NOON)
    assert overdue(database, NOON) == [("0", 2)]


# ---------------------------------------------------------------- texts in parts


@pytest.mark.parametrize("long_messages", ["udh8", "udh16", "sar", "payload"])
@pytest.mark.parametrize("alphabet", ["gsm7", "latin1", "gb18030"])
@pytest.mark.parametrize("text", [LONG, "a" * 139 + "€{}[]~|^\\" * 30, "é" * 300, "😀" * 100])
def test_a_long_text_comes_whole_however_it_travels(
    line: ShortCode, long_messages: LongMessages, alphabet: Alphabet, text: str
) -> None:
    if alphabet == "gb18030":
        text = "".join(character for character in text if ord(character) != 0xE9) or "a" * 300
    for message in reversed(pieces(text, 0x1234, long_messages, alphabet)):
        line.deliver(message)
    (row,) = line.received()
    assert (row.text, row.missing_parts) == (text, 0)


def test_a_pair_that_its_sender_cut_in_two_is_whole_again(line: ShortCode) -> None:
    octets = "茉莉花😀".encode("utf-16-be")
    for number, half in ((2, octets[8:]), (1, octets[:8])):
        line.deliver(MoMessage("smsc", MSISDN, "12530019", half, 8, NOON, part=Part(1, 2, number)))
    assert line.received()[0].text == "茉莉花😀"


def test_parts_of_different_alphabets_are_each_read_in_its_own(line: ShortCode) -> None:
    for number, coding, octets in ((1, 0, b"CX "), (2, 8, "茉莉花".encode("utf-16-be"))):
        line.deliver(
            MoMessage("smsc", MSISDN, "12530019", octets, coding, NOON, part=Part(1, 2, number))
        )
    assert line.received()[0].text == "CX 茉莉花"


def test_a_data_sm_is_a_part_as_well() -> None:
    piece = segment(LONG, 7, "gsm7", "udh8")[1]
    sent = DataSm(
        sequence=1,
        source_addr=MSISDN,
        destination_addr="12530019",
        esm_class=piece.esm_class,
        tlvs=((0x0424, piece.short_message),),
    )
    assert content(sent)[1] == Part(7, 2, 2)


# ---------------------------------------------------------------- answering


def test_a_long_message_is_answered_once_when_its_last_part_came(line: ShortCode) -> None:
    line.order("1029")
    answers = len(line.answers())
    last, first = reversed(pieces())
    line.deliver(last)
    assert len(line.answers()) == answers
    line.deliver(first)
    assert line.answers()[-1].text.endswith("已退订《茉莉花》,不再使用,不再收费")
    for again in (last, first):
        line.deliver(again)
    line.wait(10)
    line.answer_overdue()
    assert len(line.answers()) == answers + 1


def test_a_message_whose_store_died_before_its_answer_is_answered_at_its_deadline(
    line: ShortCode,
) -> None:
    first, last = pieces()
    for message in (first, last):
        whole = keep(line.database, as_part(message), line.now)
    assert whole is not None
    line.wait(1)
    line.answer_overdue()
    assert line.received()[0].text == LONG


def as_part(message: MoMessage) -> MoPart:
    place = message.part
    assert place is not None
    return a_part(
        place.number,
        message.raw,
        reference=place.reference,
        total=place.total,
        data_coding=message.data_coding,
    )


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("退订1029", "cancelled"),
        ("R", "offers_stopped"),
        ("怎么退订1029这首歌", "cancel_which"),
        ("Y1029", "help"),
        ("1041", "help"),
        ("KT", "help"),
        ("ST1029", "help"),
    ],
)
def test_without_all_parts_only_cancelling_and_refusing_count(
    line: ShortCode, text: str, outcome: str
) -> None:
    line.order("1029")
    octets = text.encode("utf-16-be")
    line.deliver(MoMessage("smsc", MSISDN, "12530019", octets, 8, line.now, part=Part(1, 2, 1)))
    line.wait(1)
    line.answer_overdue()
    assert (line.received()[-1].outcome, line.received()[-1].missing_parts) == (outcome, 1)


def test_a_whole_long_message_again_with_another_reference_is_a_repeat_while_in_doubt(
    line: ShortCode,
) -> None:
    line.connection = FakeConnection(is_closed=True)
    for reference in (7, 8):
        for message in pieces(reference=reference):
            line.deliver(message)
    (row,) = line.received()
    assert row.repeated == 1


def test_parts_of_no_mobile_are_recorded_and_not_answered(line: ShortCode) -> None:
    for message in pieces():
        line.deliver(replace(message, source="10086"))
    assert [(row.msisdn, row.outcome) for row in line.received()] == [("10086", "no_mobile")]
    assert line.answers() == []
