"""The short code from end to end over real TCP: SMSC simulator, ESME, answers, outbox, receipts."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from twisted.internet.defer import Deferred, DeferredQueue, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint

from catalog.tones import put_tones
from config.settings import Smsc as Settings
from ordering import contact, outbox
from ordering.provisioning import LocalOperator
from smpp.bind import Backoff
from smpp.esme import EsmeService
from smpp.mo import MoService
from smpp.mt import MtService
from smpp.receipt import Receipt
from smpp.simulator import SimulatorService
from smpp.smsc_mailbox import Mt
from smpp.smsc_rules import Profile, ReceiptForm, Rule, Script
from smpp.text import segment
from store.database import LocalDatabase
from store.schema import order
from store.schema import outbox as outbox_table
from tests.fakes.catalogue import a_snapshot, some_tones
from tests.fakes.messages import MSISDN, POLICY, an_offer
from tests.fakes.shortcode import RULES, TEXTS
from tests.reactor import leftovers, reactor, run_in_reactor

LINE = "12530019"
ALL_DAY = replace(POLICY, hangup_hours=(time.min, time.max))


def now() -> datetime:
    return datetime.now(UTC)


class House:
    """An SMSC, a bind to it, and both services on a real database."""

    def __init__(
        self, database: LocalDatabase, *faults: Rule, store: Any = None, **settings: Any
    ) -> None:
        """`store` stands before the database for MOs; `settings` are keys of [[smsc]]."""
        self.database = database
        self.store = store or database
        self.faults = faults
        self.settings = settings
        self.reported: DeferredQueue[Receipt] = DeferredQueue()
        self.ids = map("{:032x}".format, range(1, 1_000_000))
        self.seen = 0

    async def open(self) -> None:
        self.database.run_now(put_tones, some_tones(), now())
        self.simulator = SimulatorService(
            TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1"),
            TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1"),
            reactor,
            system_id="toneline",
            password="toneline",
            clock=now,
            script=Script(
                smsc=Profile(retry_s=0.01, mo_id_tlv=self.settings.get("mo_id_tlv", 0)),
                receipt=ReceiptForm(delay_s=0.0),
                rules=self.faults,
            ),
        )
        self.simulator.startService()
        smpp, _ = await self.simulator.bound()
        self.mt = MtService(self.database, ALL_DAY, "host", reactor, now, lambda: next(self.ids))
        self.esme = EsmeService(
            TCP4ClientEndpoint(reactor, "127.0.0.1", smpp.port),
            Settings(
                name="test",
                host="127.0.0.1",
                system_id="toneline",
                password="toneline",
                **self.settings,
            ),
            reactor,
            self._mo_service().receive,
            self._on_receipt,
            self.mt.room,
            clock=now,
            jitter=lambda: 0.0,
            backoff=Backoff(0.01, 0.02),
        )
        self.mt.send_through(self.esme)
        self.mt.startService()
        self.esme.startService()

    def _mo_service(self) -> MoService:
        operator = LocalOperator(
            self.database,
            now,
            reactor,
            timezone=ZoneInfo("Asia/Shanghai"),
            stop_selling_days=7,
            timeout_s=4,
        )
        return MoService(
            self.store,
            operator,
            a_snapshot,
            TEXTS,
            RULES,
            [LINE],
            now,
            lambda: next(self.ids),
        )

    async def _on_receipt(self, smsc: str, receipt: Receipt) -> int:
        status = await self.mt.receipt(smsc, receipt)
        self.reported.put(receipt)
        return status

    async def close(self) -> None:
        await self.mt.stopService()
        await self.esme.stopService()
        await self.simulator.stopService()

    def text(self, words: str, source: str = "13905250001") -> Deferred[int]:
        """Send it; fires with the status of the deliver_sm_resp."""
        smsc = self.simulator.smsc
        return smsc.answered(smsc.put_mo(source, LINE, segment(words, len(words))))

    async def next_mt(self) -> Mt:
        """Return the next message that the SMSC took."""
        while not (found := self.simulator.smsc.mts_since(self.seen, "")):
            await self.simulator.smsc.next_mt()
        self.seen = found[0].n
        return found[0]

    def states(self) -> list[tuple[str, str]]:
        columns = select(outbox_table.c.purpose, outbox_table.c.state)
        with self.database.engine.connect() as connection:
            rows = connection.execute(columns.order_by(outbox_table.c.created_at)).all()
        return [(purpose, state) for purpose, state in rows]


def with_house(
    database: LocalDatabase,
    test: Callable[[House], Coroutine[Any, Any, None]],
    *faults: Rule,
    store: Any = None,
    **settings: Any,
) -> None:
    async def run() -> None:
        house = House(database, *faults, store=store, **settings)
        await house.open()
        try:
            await test(house)
        finally:
            await house.close()

    run_in_reactor(run, timeout_s=60)
    assert leftovers() == []


def test_question_confirmation_notice_and_their_receipts(database: LocalDatabase) -> None:
    async def test(house: House) -> None:
        assert await house.text("1029") == 0
        question = await house.next_mt()
        assert question.text.startswith("【彩铃直通车】《茉莉花》古筝:非会员2元")
        assert "回Y1029" in question.text
        assert (question.source, question.destination) == (LINE, MSISDN)
        assert (question.data_coding, question.parts) == (8, 2)

        assert await house.text("Y") == 0
        notice = await house.next_mt()
        assert notice.text == "【彩铃直通车】已订购《茉莉花》2元。30分钟内回0撤回免费,退订回TD1029"
        assert notice.parts == 1
        for _ in range(3):
            await house.reported.get()
        assert house.states() == [("question", "delivered"), ("order_notice", "delivered")]

    with_house(database, test)


def test_twenty_confirmations_at_once_make_one_order(database: LocalDatabase) -> None:
    async def test(house: House) -> None:
        await house.text("1029")
        await house.next_mt()
        statuses = await gatherResults([house.text("Y") for _ in range(19)])
        assert set(statuses) == {0}
        answers = [(await house.next_mt()).text for _ in range(19)]
        assert sum("已订购" in answer for answer in answers) == 1
        assert sum("正在为您办理" in answer for answer in answers) == 18

    with_house(database, test)
    with database.engine.connect() as connection:
        assert len(connection.execute(select(order)).all()) == 1


@pytest.mark.parametrize(
    "fault", [Rule("submit", "refuse", every=3), Rule("submit", "drop_before", every=3)]
)
def test_a_throttling_or_dropping_smsc_loses_no_answer(
    database: LocalDatabase, fault: Rule
) -> None:
    async def test(house: House) -> None:
        asked = ["1029", "1041", "1055", "1064"]
        for code in asked:
            await house.text(f"CX {code}")
        answered: set[str] = set()
        while len(answered) < len(asked):
            text = (await house.next_mt()).text
            answered |= {code for code in asked if f"编码{code}" in text}

    with_house(database, test, fault)


def test_a_hangup_sms_leaves_when_it_is_due_and_n_stops_the_next(database: LocalDatabase) -> None:
    async def test(house: House) -> None:
        offer = an_offer(
            text=TEXTS.fill("hangup_sms", title="茉莉花", code="1029", pays="2元"),
            due_at=now(),
            expires_at=now() + timedelta(minutes=15),
        )
        house.database.run_now(contact.plan_offer, offer.msisdn, contact.Offer(offer, None), now())
        assert "您刚听的《茉莉花》编码1029" in (await house.next_mt()).text
        await house.reported.get()
        await house.text("N")
        assert "不再向您推荐歌曲" in (await house.next_mt()).text
        again = an_offer("o2", due_at=now(), expires_at=now() + timedelta(minutes=15))
        house.database.run_now(outbox.put, again, now())
        await house.text("CX")
        assert "还没有订购彩铃" in (await house.next_mt()).text
        assert ("hangup_sms", "dropped") in house.states()

    with_house(database, test)
