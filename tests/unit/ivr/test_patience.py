"""Waiting a while for what goes on by itself, and asking again."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from ivr.patience import Asking, Bell, Pending
from store.database import StoreBusy, StoreError, StoreUnavailable


class Waiting:
    """A coroutine under way, and its result."""

    def __init__(self, coroutine: Coroutine[Any, Any, object]) -> None:
        self.results: list[object] = []
        self.deferred = Deferred.fromCoroutine(coroutine)
        self.deferred.addBoth(self.results.append)


def pending(clock: Clock, work: Deferred[str], errors: list[Exception]) -> Pending[str]:
    return Pending(work, clock, errors.append)


def test_a_bell_that_rings_ends_the_wait() -> None:
    clock = Clock()
    bell = Bell(clock)
    waiting = Waiting(bell.wait(5))
    bell.ring()
    assert waiting.results == [True]
    assert clock.getDelayedCalls() == []


def test_a_bell_that_rang_before_ends_the_wait_at_once_and_once() -> None:
    bell = Bell(Clock())
    bell.ring()
    assert Waiting(bell.wait(5)).results == [True]
    assert Waiting(bell.wait(5)).results == []


def test_a_silent_bell_ends_the_wait_in_time() -> None:
    clock = Clock()
    waiting = Waiting(Bell(clock).wait(5))
    clock.advance(5)
    assert waiting.results == [False]


def test_a_cancelled_wait_leaves_nothing_behind() -> None:
    clock = Clock()
    bell = Bell(clock)
    waiting = Waiting(bell.wait(5))
    waiting.deferred.cancel()
    bell.ring()
    assert clock.getDelayedCalls() == []


def test_work_done_in_time_has_its_result() -> None:
    clock, work, errors = Clock(), Deferred[str](), list[Exception]()
    under_way = pending(clock, work, errors)
    waiting = Waiting(under_way.within(5))
    work.callback("done")
    assert waiting.results == [True]
    assert under_way.result == "done"
    assert errors == []


def test_who_gives_up_waiting_leaves_the_work_going_on() -> None:
    clock, work = Clock(), Deferred[str]()
    under_way = pending(clock, work, [])
    waiting = Waiting(under_way.within(5))
    waiting.deferred.cancel()
    assert not work.called
    again = Waiting(under_way.within(5))
    clock.advance(5)
    assert again.results == [False]
    work.callback("done")
    assert under_way.result == "done"
    assert Waiting(under_way.within(0)).results == [True]


def test_a_failure_is_told_though_nobody_waits() -> None:
    work, errors = Deferred[str](), list[Exception]()
    under_way = pending(Clock(), work, errors)
    error = ValueError("no")
    work.errback(error)
    assert errors == [error]
    assert under_way.error is error
    assert under_way.done


def test_work_cancelled_by_others_is_a_failure_too() -> None:
    work, errors = Deferred[str](), list[Exception]()
    under_way = pending(Clock(), work, errors)
    work.cancel()
    assert under_way.done
    assert len(errors) == 1


# ---------------------------------------------------------------- asking again


class Store:
    """Answers what the test put in, errors first, and counts how often it was asked."""

    def __init__(self, *answers: str | Exception) -> None:
        self.asked = 0
        self._answers = list(answers)

    def ask(self) -> Deferred[str]:
        self.asked += 1
        answer = self._answers.pop(0)
        return fail(answer) if isinstance(answer, Exception) else succeed(answer)


AWAY = StoreUnavailable("locked")


def test_a_store_that_is_away_or_busy_is_asked_again_ever_more_seldom() -> None:
    clock, store = Clock(), Store(AWAY, StoreBusy("too many"), AWAY, "done")
    answer = Waiting(Asking(store.ask, clock).answer(60))
    clock.advance(0.5)
    assert store.asked == 2
    clock.advance(0.9)
    assert store.asked == 2
    clock.pump([0.1, 2.0])
    assert answer.results == ["done"]


def test_a_store_that_stays_away_has_its_time() -> None:
    clock, store = Clock(), Store(AWAY, AWAY, AWAY, AWAY)
    answer = Waiting(Asking(store.ask, clock).answer(2))
    clock.pump([0.5, 1.0, 2.0, 4.0])
    assert store.asked == 3
    assert isinstance(answer.results[0], Failure)


def test_an_error_is_no_reason_to_ask_again() -> None:
    store = Store(StoreError("cannot be done"))
    Waiting(Asking(store.ask, Clock()).answer(60))
    assert store.asked == 1


def test_asking_that_was_given_up_is_not_asked_again() -> None:
    clock, store = Clock(), Store(AWAY, "done")
    asking = Asking(store.ask, clock)
    answer = Waiting(asking.answer(60))
    assert not asking.is_due
    asking.give_up()
    clock.advance(1)
    assert store.asked == 1
    assert isinstance(answer.results[0], Failure)
