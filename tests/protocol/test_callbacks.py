"""Calls placed through pyst2 and a real socket: on the wire, in the store, and nothing left."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import select
from twisted.internet.threads import deferToThread

from config.settings import Ami
from ivr.ami import AmiAccess, Session
from ivr.ami_connection import AmiConnection
from ivr.ami_link import AmiLink
from ivr.originate import CallbackService
from ordering import callbacks
from ordering.callbacks import CallbackRequest
from store.database import LocalDatabase
from store.engine import engine_for
from store.schema import callback as table
from store.schema import metadata
from tests.fakes.ami import SECRET, WAIT_S, FakeAmi, block
from tests.fakes.messages import MSISDN
from tests.reactor import leftovers, reactor, run_in_reactor

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:asterisk.manager")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[LocalDatabase]:
    engine = engine_for(f"sqlite:///{tmp_path / 'toneline.db'}")
    metadata.create_all(engine)
    opened = LocalDatabase(engine)
    yield opened
    opened.close()


def now() -> datetime:
    return datetime.now(UTC)


def new_id() -> str:
    return uuid4().hex


def calling(database: LocalDatabase, server: FakeAmi) -> CallbackService:
    access = AmiAccess("127.0.0.1", server.port, "toneline", SECRET)
    link = AmiLink(
        lambda event, lost: AmiConnection(reactor, partial(Session, access), event, lost),
        reactor,
        "fake",
    )
    settings = Ami(enabled=True, secret=SECRET)
    return CallbackService(
        database, link, settings, reactor, line="12530019", host="h", clock=now, new_id=new_id
    )


def states(database: LocalDatabase) -> list[str]:
    with database.engine.connect() as connection:
        return list(connection.execute(select(table.c.state)).scalars())


def test_a_wish_goes_over_the_wire_and_its_outcome_comes_back(database: LocalDatabase) -> None:
    threads = set(threading.enumerate())
    with FakeAmi() as server:

        async def place() -> None:
            service = calling(database, server)
            service.startService()
            try:
                await deferToThread(server.next_action, "Login")
                wish = CallbackRequest(new_id(), MSISDN, "1029", "sms")
                database.run_now(callbacks.ask, wish, now())
                action = await deferToThread(server.next_action, "Originate")
                assert action["Variable"] == f"TONELINE_MSISDN={MSISDN}"
                named = {"ActionID": action["ActionID"]}
                server.tell(block(Event="Hangup", Uniqueid=action["ChannelId"], Cause="17"))
                server.tell(
                    block(Event="OriginateResponse", Response="Failure", Reason="0", **named)
                )
                await service.drain(WAIT_S)
            finally:
                await service.stopService()

        run_in_reactor(place)
    assert states(database) == ["busy"]
    assert leftovers() == []
    left = [thread for thread in set(threading.enumerate()) - threads if "Pool" not in thread.name]
    assert [thread.name for thread in left if thread.name != "reactor"] == []


def test_stopping_does_not_wait_for_an_asterisk_that_says_nothing(database: LocalDatabase) -> None:
    with FakeAmi(lambda _: None) as server:

        async def stop() -> None:
            service = calling(database, server)
            service.startService()
            await deferToThread(server.next_action, "Login")
            await service.stopService()

        run_in_reactor(stop)
    assert leftovers() == []
