"""Two hosts of one line that are given the same message in the same instant."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, func, select, text

from smpp import answers, grammar
from smpp.answers import Answered, TermsUnknown, ToLookUp
from smpp.turn import Incoming, LookedUp, Terms
from store.database import LocalDatabase
from store.schema import mo, outbox
from tests.fakes.messages import MSISDN, NOON
from tests.fakes.shortcode import RULES, TEXTS

TERMS = Terms.of(RULES, TEXTS)
WAITING = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")


def copy(mo_id: str, message_id: str | None) -> Incoming:
    return Incoming(
        mo_id=mo_id,
        mt_id=f"mt-{mo_id}",
        order_id=f"order-{mo_id}",
        smsc="smsc",
        msisdn=MSISDN,
        destination="12530019",
        text="CX",
        received_at=NOON,
        digest="d",
        message_id=message_id,
    )


def answer(connection: Connection, incoming: Incoming) -> Answered | TermsUnknown | ToLookUp:
    answers.learn(connection, TERMS)
    intent = grammar.parse(incoming.text)
    return answers.answer(connection, incoming, intent, LookedUp(), TERMS.key, None, "", NOON)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("message_id", ["7", None])
def test_both_copies_in_the_same_instant_are_answered_once(
    database: LocalDatabase, message_id: str | None
) -> None:
    with ThreadPoolExecutor(1) as other_host, database.engine.connect() as here:
        with here.begin():
            first = answer(here, copy("first", message_id))
            second = other_host.submit(database.run_now, answer, copy("second", message_id))
            with database.engine.connect() as watching:
                while not second.done() and not watching.scalar(WAITING):
                    watching.rollback()
        assert first == Answered("first", "my_tones_none")
        assert second.result() == Answered("first", "my_tones_none", repeated=True)
        for table in (mo, outbox):
            assert here.scalar(select(func.count()).select_from(table)) == 1
