"""What an SMSC delivers twice, or in parts, over real TCP: done once, and nothing of it lost."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from twisted.internet.defer import Deferred

from smpp import answers
from smpp.smsc_rules import Rule
from store.database import LocalDatabase
from store.schema import mo, mo_part, order
from tests.protocol.test_short_code import House, with_house

TLV = 0x1400
LONG = "请帮我退订1029这首歌谢谢" * 8


def received(database: LocalDatabase) -> list[tuple[str, int]]:
    with database.engine.connect() as connection:
        rows = connection.execute(select(mo).order_by(mo.c.received_at)).all()
    return [(row.outcome, row.repeated) for row in rows]


def test_a_message_whose_response_was_cut_off_does_its_work_once(database: LocalDatabase) -> None:
    async def test(house: House) -> None:
        for words in ("1029", "Y", "CX"):
            await house.text(words)
            await house.next_mt()
        assert received(database) == [("question", 1), ("order_notice", 1), ("my_tones", 1)]
        assert await house.text("CX") == 0
        assert "茉莉花" in (await house.next_mt()).text

    with_house(database, test, Rule("deliver", "drop_after", times=3))
    assert received(database)[3:] == [("my_tones", 0)]


@pytest.mark.parametrize("fault", ["drop_after", "drop_before", "lose", "repeat"])
def test_with_ids_of_the_smsc_nothing_is_done_twice(database: LocalDatabase, fault: str) -> None:
    async def test(house: House) -> None:
        for words in ("1029", "Y", "CX"):
            assert await house.text(words) == 0
            await house.next_mt()

    with_house(database, test, Rule("deliver", fault), mo_id_tlv=TLV)
    assert [outcome for outcome, _ in received(database)] == [
        "question",
        "order_notice",
        "my_tones",
    ]
    with database.engine.connect() as connection:
        assert len(connection.execute(select(order)).all()) == 1


class SlowStore:
    """Commits at once, but is heard of the first answer only when it is told to."""

    def __init__(self, database: LocalDatabase) -> None:
        self._database = database
        self.unheard: list[Deferred[Any]] = []

    def run(self, function: Any, *values: Any) -> Deferred[Any]:
        done: Deferred[Any] = self._database.run(function, *values)
        if self.unheard or not isinstance(done.result, answers.Answered):
            return done
        self.unheard.append(Deferred())
        return self.unheard[0]

    def on_change(self, topic: str, callback: Any) -> Any:
        return self._database.on_change(topic, callback)


def test_work_that_commits_after_the_deadline_counts_as_the_first_copy(
    database: LocalDatabase,
) -> None:
    store = SlowStore(database)

    async def test(house: House) -> None:
        assert await house.text("1029") == 0
        await house.next_mt()
        assert received(database) == [("question", 1)]
        store.unheard[0].callback(answers.Answered("late", "question"))
        assert await house.text("Y") == 0

    with_house(database, test, store=store, mo_response_deadline_s=1)
    assert received(database) == [("question", 1), ("order_notice", 0)]


def test_each_part_is_stored_before_it_is_acknowledged(database: LocalDatabase) -> None:
    async def test(house: House) -> None:
        await house.text("1029")
        await house.next_mt()
        await house.text("Y")
        await house.next_mt()
        assert await house.text(LONG) == 0
        with database.engine.connect() as connection:
            assert len(connection.execute(select(mo_part)).all()) == 2
        assert "已退订《茉莉花》" in (await house.next_mt()).text

    with_house(database, test, Rule("deliver", "drop_after", every=2), Rule("deliver", "reorder"))
    assert [outcome for outcome, _ in received(database)][-1] == "cancelled"
