"""A PostgreSQL that hangs under a crowd of callers, and a line that is killed before it goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from catalog.tones import put_tones
from store.database import LocalDatabase
from store.engine import engine_for
from store.migrations import upgrade
from store.schema import call, order, outbox
from tests import postgres
from tests.postgres import Postgres
from tests.system.line import ROOT, Line
from toneline.demo import prepare_sample

LEAST_CALLS, LEAST_KEPT = 60, 5


@contextmanager
def crowd(line: Line) -> Iterator[None]:
    """Forty callers at once, and others when they have gone: they preview, order and hang up."""
    words = ["--port", str(line.agi[1]), "--at-once", "40", "--ramp-s", "5", "--think-ms", "300"]
    words += ["--dial", "125300191029", "--caller", "13900000000", "--calls", "100000"]
    words += ["--press", "/tones/1029-=1", "--press", "/offer_confirm=1"]
    words += ["--hang-up", '/(ordered|order_accepted|order_failed)"']
    program = [sys.executable, "-m", "tests.bench.agi_load", *words]
    callers = subprocess.Popen(program, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        callers.kill()
        callers.wait()


@contextmanager
def hanging(server: Postgres) -> Iterator[None]:
    """Let a server and its connections do nothing at all."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    everybody = [server.pid, *map(int, children)]
    for pid in everybody:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in everybody:
            os.kill(pid, signal.SIGCONT)


def with_sample(url: str, sounds: Path) -> LocalDatabase:
    """The database with the sample catalogue, which only an embedded one is given."""
    upgrade(url)
    database = LocalDatabase(engine_for(url))
    speech = ROOT / "audio" / "speech" / "zh_CN"
    tones = prepare_sample(sounds, speech, "zh_CN", lambda _: None)
    database.run_now(put_tones, tones, datetime.now(UTC))
    return database


def calls_on_record(connection: Connection) -> set[str]:
    ended = select(call.c.call_id).where(call.c.ended_at.is_not(None))
    return set(connection.execute(ended).scalars())


def orders_placed(connection: Connection) -> dict[str, str]:
    """The call of each order, by the order's id."""
    rows = connection.execute(select(order.c.order_id, order.c.call_id))
    return {row.order_id: row.call_id for row in rows}


def messages(connection: Connection) -> list[tuple[Any, ...]]:
    columns = (outbox.c.call_id, outbox.c.order_id, outbox.c.purpose)
    rows = connection.execute(select(*columns).where(outbox.c.order_id.is_not(None)))
    return [tuple(row) for row in rows]


@pytest.mark.parametrize("options", [(), ("--workers", "1")], ids=["alone", "worker"])
def test_no_call_and_no_order_is_lost_with_a_line_that_is_killed_while_its_database_hangs(
    tmp_path: Path, prepared_sounds: Path, options: tuple[str, ...]
) -> None:
    with postgres.running() as server:
        url = server.create("toneline")
        database = with_sample(url, prepared_sounds)
        settings = {"database": {"url": url}}
        with Line(tmp_path / "line", settings, sounds=prepared_sounds, options=options) as line:
            with crowd(line):
                line.wait_for(lambda: len(line.events("call_ended")) >= LEAST_CALLS, "calls", 60)
                with hanging(server):
                    line.wait_for(
                        lambda: len(line.events("order_kept")) >= LEAST_KEPT, "orders kept", 60
                    )
                    os.kill(line.pid, signal.SIGKILL)
                    line.wait(30)
            ended, kept = line.events("call_ended"), line.events("order_kept")
            line.__enter__()
            folder = line.folder / "var" / "kept"
            line.wait_for(lambda: not list(folder.glob("*.kept")), "all that was kept is done", 60)
            on_record = database.run_now(calls_on_record)
            placed = database.run_now(orders_placed)
            sent = database.run_now(messages)
        database.close()
    known = {one["call_id"] for one in ended if one["ordered"]}
    promised = {one["call_id"] for one in kept}
    assert known | promised <= set(placed.values()), "an order is lost"
    assert {one["order_id"] for one in kept} <= set(placed)
    lately = {one["call_id"] for one in ended[-40:]}  # ended a moment before the line died
    assert {one["call_id"] for one in ended} - lately <= on_record, "a call's record is lost"
    assert max(Counter(placed.values()).values()) == 1, "an order is doubled"
    told = Counter((order_id, purpose) for _, order_id, purpose in sent)
    assert set(told.values()) == {1}
    assert {purpose for _, purpose in told} == {"order_notice"}
