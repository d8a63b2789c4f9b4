"""Orders a second through the store process, and how long each waits, beside the bare driver.

    python -m tests.bench.store_bench [--seconds 3] [--engine sqlite] [--callers 10,100]

Prints one JSON document. An order is `ordering.orders.place` with its consent and its notice, for a
number of its own; every caller waits for its answer, so for its commit on the disk, before it sends
the next. The bare driver runs statements of the same shape in a loop, without a second process and
without SQLAlchemy: once with a commit for each order, once with one for as many as there are
callers. It is the limit, not a competitor.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from sqlalchemy import make_url
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults

from catalog.tones import Prices
from ordering.orders import Limits, OrderRequest, place
from ordering.outbox import Message
from ordering.provisioning import Quote
from store.client import StoreClient
from store.migrations import upgrade
from store.service import StoreService
from tests import postgres
from toneline.logs import configure_logs

reactor: Any = _reactor
PACKAGES = ("ordering.orders", "ordering", "catalog", "store")
LIMITS = Limits(orders_per_day=10, spend_per_day_fen=3000, undo_min=30, timezone="Asia/Shanghai")
WARM_UP = 200
_numbers = itertools.count()

SHOWN = json.dumps(
    {
        "prompts": [
            [name, "0" * 64, 1800] for name in ("title", "prices", "pays", "until", "confirm")
        ]
    }
)
TEXT = "【彩铃直通车】您已订购《茉莉花》,资费2元,有效期至2027-12-31。退订请回复TD1029"


def order() -> tuple[OrderRequest, Message, Limits, datetime]:
    """The values of one order, as a call sends them."""
    now = datetime.now(UTC)
    order_id, call_id = uuid.uuid4().hex, uuid.uuid4().hex
    msisdn = f"86139{next(_numbers):08}"
    request = OrderRequest(
        order_id=order_id,
        msisdn=msisdn,
        tone_code="1029",
        title="茉莉花",
        channel="ivr",
        quote=Quote(True, None, "member", Prices(200, 100, 50), 100),
        requested_at=now,
        confirmed_at=now,
        shown=SHOWN,
        answer="1",
        call_id=call_id,
    )
    notice = Message(
        mt_id=uuid.uuid4().hex,
        msisdn=msisdn,
        sender="12530019",
        text=TEXT,
        message_class="order",
        purpose="order_notice",
        due_at=now,
        expires_at=now + timedelta(hours=48),
        tone_code="1029",
        order_id=order_id,
        call_id=call_id,
    )
    return request, notice, LIMITS, now


async def through_the_store(url: str, callers: int, seconds: float) -> dict[str, float]:
    """Place orders from `callers` at once through a store process of our own."""
    service = StoreService(reactor, url, PACKAGES, standby_after_s=3600)
    client = StoreClient(reactor, service.socket_path, PACKAGES)
    service.startService()
    client.startService()
    await service.ready()
    for _ in range(WARM_UP):
        await client.run(place, *order())
    waited: list[float] = []
    cpu = _cpu_of(service.pid), time.process_time()
    began = time.perf_counter()

    async def one_caller() -> None:
        while time.perf_counter() - began < seconds:
            values = order()
            sent = time.perf_counter()
            await client.run(place, *values)
            waited.append(time.perf_counter() - sent)

    await gatherResults([Deferred.fromCoroutine(one_caller()) for _ in range(callers)])
    lasted = time.perf_counter() - began
    store_cpu, own_cpu = _cpu_of(service.pid) - cpu[0], time.process_time() - cpu[1]
    await client.stopService()
    await service.stopService()
    return _figures(waited, lasted) | {
        "store_cpu_us": round(store_cpu / len(waited) * 1e6),
        "client_cpu_us": round(own_cpu / len(waited) * 1e6),
    }


def bare(url: str, group: int, seconds: float) -> dict[str, float]:
    """Run statements of an order's shape on the bare driver, `group` orders a commit."""
    begin, run, commit = _driver(url)
    waited: list[float] = []
    cpu, began = time.process_time(), time.perf_counter()
    while time.perf_counter() - began < seconds:
        sent = time.perf_counter()
        begin()
        for _ in range(group):
            for sql, values in _statements(*order()):
                run(sql, values)
        commit()
        waited += [time.perf_counter() - sent] * group
    used = time.process_time() - cpu
    figures = _figures(waited, time.perf_counter() - began)
    return figures | {"cpu_us": round(used / len(waited) * 1e6)}


def _driver(
    url: str,
) -> tuple[Callable[[], Any], Callable[[str, tuple[Any, ...]], Any], Callable[[], Any]]:
    where = make_url(url)
    if where.get_backend_name() == "sqlite":
        lite = sqlite3.connect(str(where.database), isolation_level=None)
        lite.execute("PRAGMA synchronous = FULL")

        def run(sql: str, values: tuple[Any, ...]) -> Any:
            return lite.execute(sql, values).fetchall()

        return lambda: lite.execute("BEGIN IMMEDIATE"), run, lite.commit
    remote = psycopg.connect(where.set(drivername="postgresql").render_as_string(False))

    def run_there(sql: str, values: tuple[Any, ...]) -> Any:
        done = remote.execute(sql.replace("?", "%s").encode(), values)
        return done.fetchall() if done.description else None

    return lambda: None, run_there, remote.commit


_COLUMNS = (
    "order_id, msisdn, tone_code, title, state, channel, tier, price_fen, pays_fen, requested_at,"
    " confirmed_at, provisioned_at, captured_at, undone_at, reason"
)
_LIVE = "('requested', 'confirmed', 'authorised', 'provisioned', 'captured', 'unknown')"


def _statements(
    request: OrderRequest, notice: Message, _limits: Limits, _now: datetime
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    number, at = request.msisdn, int(request.confirmed_at.timestamp() * 1e6)
    one = request.order_id
    yield f"SELECT {_COLUMNS} FROM orders WHERE order_id = ?", (one,)  # noqa: S608  constants
    yield (
        f"SELECT {_COLUMNS} FROM orders WHERE msisdn = ? AND tone_code = ?"  # noqa: S608  constants
        f" AND state IN {_LIVE}",
        (number, "1029"),
    )
    yield (
        "SELECT count(*), coalesce(sum(pays_fen), 0) FROM orders WHERE msisdn = ?"
        " AND requested_at >= ? AND state NOT IN ('undone', 'expired', 'failed')",
        (number, at - 10**10),
    )
    yield (
        "INSERT INTO orders (order_id, msisdn, tone_code, title, state, channel, tier, price_fen,"
        " pays_fen, requested_at, confirmed_at, next_at, call_id, mo_id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (one, number, "1029", request.title, "confirmed", "ivr", "member", 200, 100, at, at, at,
         request.call_id, None),
    )  # fmt: skip
    yield (
        "INSERT INTO consent (order_id, msisdn, channel, shown, answer, answered_at, quote)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (one, number, "ivr", request.shown, "1", at, '{"tone_code": "1029", "pays_fen": 100}'),
    )
    yield (
        "INSERT INTO event (at, msisdn, kind, order_id, call_id, message_id, detail)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (at, number, "order", one, request.call_id, None, '{"tone_code": "1029"}'),
    )
    yield (
        "INSERT INTO outbox (mt_id, msisdn, sender, text, message_class, purpose, tone_code,"
        " order_id, call_id, state, created_at, due_at, expires_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (notice.mt_id, number, notice.sender, notice.text, "order", "order_notice", "1029", one,
         request.call_id, "due", at, at, at),
    )  # fmt: skip


def _figures(waited: list[float], lasted: float) -> dict[str, float]:
    ordered = sorted(waited)
    return {
        "orders_per_s": round(len(ordered) / lasted),
        "p50_ms": round(ordered[len(ordered) // 2] * 1e3, 2),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1e3, 2),
    }


def _cpu_of(pid: int | None) -> float:
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(engines: list[str], callers: list[int], seconds: float) -> dict[str, Any]:
    """Return the figures of every engine and number of callers."""
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        for engine in engines:
            if engine == "postgresql":
                server = stack.enter_context(postgres.running(durable=True))
                url = server.create("bench")
            else:
                folder = stack.enter_context(tempfile.TemporaryDirectory())
                url = f"sqlite:///{folder}/toneline.db"
            upgrade(url)
            for count in callers:
                found[f"{engine}, {count} callers"] = {
                    "bare driver, a commit an order": bare(url, 1, seconds),
                    "bare driver, grouped": bare(url, count, seconds),
                    "store process": await through_the_store(url, count, seconds),
                }
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--engine", default="sqlite,postgresql")
    parser.add_argument("--callers", default="10,100")
    options = parser.parse_args()
    configure_logs("warning", "console")
    callers = [int(count) for count in options.callers.split(",")]

    async def run() -> None:
        try:
            found = await measure(options.engine.split(","), callers, options.seconds)
            print(json.dumps(found, indent=2))
        finally:
            reactor.stop()

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(run()).addErrback(_report))
    reactor.run()


def _report(failure: Any) -> None:
    failure.printTraceback()


if __name__ == "__main__":
    main()
