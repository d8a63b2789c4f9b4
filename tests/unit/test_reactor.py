from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from tests.reactor import leftovers, reactor, run_in_reactor


def test_a_coroutine_s_result_is_returned() -> None:
    async def scenario() -> str:
        await deferLater(reactor, 0)
        return "done"

    assert run_in_reactor(scenario) == "done"


def test_its_exception_is_raised() -> None:
    async def scenario() -> None:
        await deferLater(reactor, 0)
        raise KeyError("code")

    with pytest.raises(KeyError, match="code"):
        run_in_reactor(scenario)


def test_one_that_does_not_end_is_cancelled_and_told_where_it_stood() -> None:
    told: list[str] = []

    async def wait() -> None:
        try:
            await Deferred()
        finally:
            told.append("cancelled")

    async def scenario() -> None:
        await wait()

    with pytest.raises(TimeoutError, match=r"test_reactor\.py:\d+$"):
        run_in_reactor(scenario, timeout_s=0.01)
    assert leftovers() == []
    assert told == ["cancelled"]


def test_what_is_left_in_the_reactor_is_named() -> None:
    async def leave() -> object:
        return reactor.callLater(60, print)

    call = run_in_reactor(leave)
    assert "print" in leftovers()[0]

    async def cancel() -> None:
        call.cancel()  # type: ignore[attr-defined]  # Twisted's delayed call

    run_in_reactor(cancel)
    assert leftovers() == []
