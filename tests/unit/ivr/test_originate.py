"""Calls that the line places: which, when, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import select
from twisted.internet.defer import Deferred, succeed

from config.settings import Ami
from ivr.ami import AmiError, Headers, OnEvent, Refused
from ivr.ami_connection import NotSent
from ivr.ami_link import LONGEST_PAUSE_S, AmiLink
from ivr.originate import (
    AT_ONCE,
    CAUSE_S,
    OUTCOME_S,
    POLL_S,
    CallbackService,
    Called,
    dialled_number,
    originate_action,
    outcome_of,
)
from ordering import callbacks
from ordering.callbacks import CALL_WITHIN, Asked, Callback, CallbackRequest
from store.database import LocalDatabase
from store.engine import engine_for
from store.schema import callback as table
from store.schema import metadata
from tests.fakes.clocks import ThreadedClock
from tests.fakes.messages import MSISDN, NOON

AMI = Ami(enabled=True, secret="hush", ring_s=30)
ACCEPTED = {"Response": "Success", "Message": "Originate successfully queued"}


# ---------------------------------------------------------------- values


def test_the_action_rings_the_subscriber_and_names_him_to_the_line() -> None:
    action = originate_action(AMI, Callback("c", MSISDN, "1029"), "12530019", "toneline-1")
    assert action == {
        "Action": "Originate",
        "ActionID": "toneline-1",
        "ChannelId": "toneline-1",
        "Channel": f"PJSIP/{MSISDN[2:]}@trunk",
        "Context": "toneline",
        "Exten": "125300191029",
        "Priority": "1",
        "Timeout": "30000",
        "CallerID": "12530019",
        "Variable": f"TONELINE_MSISDN={MSISDN}",
        "Async": "true",
    }


@pytest.mark.parametrize(
    ("number_format", "dialled"),
    [("national", "13905250001"), ("e164", "8613905250001"), ("plus", "+8613905250001")],
)
def test_the_trunk_gets_numbers_in_its_form(number_format: str, dialled: str) -> None:
    assert dialled_number("8613905250001", number_format) == dialled


@pytest.mark.parametrize(
    ("reason", "cause", "outcome"),
    [
        ("0", "17", "busy"),
        ("5", None, "busy"),
        ("3", "19", "no_answer"),
        ("3", None, "no_answer"),
        ("0", "18", "no_answer"),
        ("0", "21", "failed"),
        ("8", "34", "failed"),
        ("0", None, "failed"),
    ],
)
def test_busy_no_answer_and_failure_are_told_apart(
    reason: str, cause: str | None, outcome: str
) -> None:
    response = {"Response": "Failure", "Reason": reason}
    hangup = None if cause is None else {"Cause": cause, "Cause-txt": "words"}
    assert outcome_of(response, hangup).outcome == outcome


def test_a_failure_names_its_cause() -> None:
    failure = {"Response": "Failure", "Reason": "0"}
    hangup = {"Cause": "34", "Cause-txt": "Circuit/channel congestion"}
    assert outcome_of(failure, hangup) == Called("failed", "cause 34 Circuit/channel congestion")
    assert outcome_of(failure, None) == Called("failed", "reason 0")


def test_an_answer_is_an_answer() -> None:
    assert outcome_of({"Response": "Success", "Reason": "4"}, None) == Called("answered")


# ---------------------------------------------------------------- the service


class FakeConnection:
    """A connection to AMI that the test opens, answers on and loses."""

    def __init__(self, on_event: OnEvent, on_lost: Callable[[str], None]) -> None:
        self.tell = on_event
        self.lose = on_lost
        self.opening: Deferred[str] = Deferred()
        self.sent: list[Headers] = []
        self.answer: Callable[[], Deferred[Headers]] = lambda: succeed(ACCEPTED)
        self.is_closed = False

    def open(self) -> Deferred[str]:
        return self.opening

    def send(self, action: Headers) -> Deferred[Headers]:
        self.sent.append(action)
        return self.answer()

    def close(self) -> Deferred[None]:
        self.is_closed = True
        return succeed(None)


class Scene:
    """The service, its clock, its database, and the connections that it made."""

    def __init__(self, file: Path) -> None:
        engine = engine_for(f"sqlite:///{file}")
        metadata.create_all(engine)
        self.database = LocalDatabase(engine)
        self.clock = ThreadedClock()
        self.connections: list[FakeConnection] = []
        self.service = self.another("host/1")
        self._numbers = count()

    def another(self, host: str) -> CallbackService:
        ids = count()
        return CallbackService(
            self.database,
            AmiLink(self._connect, self.clock, "asterisk", jitter=lambda: 0.0),
            AMI,
            self.clock,
            line="12530019",
            host=host,
            clock=self.now,
            new_id=lambda: f"{next(ids):08}",
        )

    def _connect(self, on_event: OnEvent, on_lost: Callable[[str], None]) -> FakeConnection:
        self.connections.append(FakeConnection(on_event, on_lost))
        return self.connections[-1]

    @property
    def ami(self) -> FakeConnection:
        return self.connections[-1]

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.clock.seconds())

    def connected(self) -> Scene:
        self.service.startService()
        self.ami.opening.callback("Asterisk Call Manager 11.0.0")
        return self

    def asks(self, msisdn: str = MSISDN, tone_code: str = "1029") -> str:
        callback_id = f"callback-{next(self._numbers)}"
        wish = CallbackRequest(callback_id, msisdn, tone_code, "sms")
        assert isinstance(self.database.run_now(callbacks.ask, wish, self.now()), Asked)
        return callback_id

    def ends(self, response: str, reason: str, cause: str | None = None, at: int = -1) -> None:
        channel_id = self.ami.sent[at]["ActionID"]
        self.ami.tell(
            {
                "Event": "OriginateResponse",
                "ActionID": channel_id,
                "Response": response,
                "Reason": reason,
                "Uniqueid": "<unknown>",
            }
        )
        if cause is not None:
            self.ami.tell({"Event": "Hangup", "Uniqueid": channel_id, "Cause": cause})

    def state(self, callback_id: str) -> tuple[str, str | None]:
        with self.database.engine.connect() as connection:
            row = connection.execute(select(table).where(table.c.callback_id == callback_id)).one()
        return row.state, row.reason


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path / "toneline.db")
    yield made
    made.service.stopService()
    made.database.close()
    assert made.clock.getDelayedCalls() == []


def test_a_wish_is_placed_at_once(scene: Scene) -> None:
    wish = scene.connected().asks()
    (action,) = scene.ami.sent
    assert (action["Exten"], action["Variable"]) == ("125300191029", f"TONELINE_MSISDN={MSISDN}")
    assert scene.state(wish) == ("calling", None)
    assert scene.service.calls_ringing == 1


@pytest.mark.parametrize(
    ("response", "reason", "cause", "state"),
    [
        ("Success", "4", None, ("answered", None)),
        ("Failure", "0", "17", ("busy", None)),
        ("Failure", "3", "19", ("no_answer", None)),
        ("Failure", "0", "34", ("failed", "cause 34")),
    ],
)
def test_every_outcome_is_recorded_and_counted(
    scene: Scene, response: str, reason: str, cause: str | None, state: tuple[str, str | None]
) -> None:
    wish = scene.connected().asks()
    scene.ends(response, reason, cause)
    assert scene.state(wish) == state
    assert scene.service.outcomes == {state[0]: 1}
    assert scene.service.calls_ringing == 0


def test_the_cause_may_come_before_the_failure(scene: Scene) -> None:
    wish = scene.connected().asks()
    channel_id = scene.ami.sent[0]["ActionID"]
    scene.ami.tell({"Event": "Hangup", "Uniqueid": channel_id, "Cause": "17"})
    scene.ends("Failure", "0")
    assert scene.state(wish)[0] == "busy"


def test_a_failure_without_a_channel_does_not_wait_for_its_end(scene: Scene) -> None:
    wish = scene.connected().asks()
    scene.ends("Failure", "0")
    scene.clock.advance(CAUSE_S)
    assert scene.state(wish) == ("failed", "reason 0")


def test_events_about_others_change_nothing(scene: Scene) -> None:
    wish = scene.connected().asks()
    for named in ({"ActionID": "toneline-x"}, {"Uniqueid": "1.1"}, {}):
        scene.ami.tell({"Event": "OriginateResponse", "Response": "Success", **named})
        scene.ami.tell({"Event": "Hangup", "Cause": "17", **named})
    assert scene.state(wish) == ("calling", None)


def test_what_asterisk_refuses_has_failed(scene: Scene) -> None:
    scene.connected().ami.answer = lambda: succeed(
        {"Response": "Error", "Message": "Permission denied"}
    )
    assert scene.state(scene.asks()) == ("failed", "Permission denied")


def failing(error: Exception) -> Callable[[], Deferred[Headers]]:
    def fail() -> Deferred[Headers]:
        failed: Deferred[Headers] = Deferred()
        failed.errback(error)
        return failed

    return fail


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (Refused("a line of its own"), ("failed", "a line of its own")),
        (AmiError("no answer"), ("unknown", "no answer")),
        (NotSent("not connected"), ("due", None)),
    ],
)
def test_what_may_have_rung_is_not_placed_again(
    scene: Scene, error: Exception, state: tuple[str, str | None]
) -> None:
    scene.connected().ami.answer = failing(error)
    assert scene.state(scene.asks()) == state


def test_what_was_never_sent_is_placed_later(scene: Scene) -> None:
    scene.connected().ami.answer = failing(NotSent("not connected"))
    wish = scene.asks()
    scene.ami.answer = lambda: succeed(ACCEPTED)
    scene.clock.advance(POLL_S)
    assert scene.state(wish) == ("calling", None)


def test_an_asterisk_that_tells_no_outcome_leaves_it_unknown(scene: Scene) -> None:
    wish = scene.connected().asks()
    scene.clock.advance(AMI.ring_s + OUTCOME_S)
    assert scene.state(wish) == ("unknown", "Asterisk told no outcome")


def test_a_lost_connection_leaves_the_outcome_of_what_rings_unknown(scene: Scene) -> None:
    wish = scene.connected().asks()
    scene.ami.lose("Asterisk closed the connection")
    assert scene.state(wish) == ("unknown", "Asterisk closed the connection")
    assert scene.service.health() == (False, "Asterisk closed the connection")


def test_what_became_due_while_asterisk_was_away_is_placed_when_it_is_back(scene: Scene) -> None:
    scene.connected().ami.lose("closed")
    wish = scene.asks()
    assert scene.state(wish) == ("due", None)
    scene.clock.advance(1)
    scene.ami.opening.callback("Asterisk")
    assert scene.state(wish) == ("calling", None)


def test_what_is_too_old_by_then_is_dropped_and_counted(scene: Scene) -> None:
    scene.service.startService()
    wish = scene.asks()
    for _ in range(int(CALL_WITHIN.total_seconds() // POLL_S)):
        scene.clock.advance(POLL_S)
    assert scene.state(wish) == ("expired", None)
    assert scene.service.dropped == 1
    assert scene.ami.sent == []


def test_it_connects_again_ever_more_seldom(scene: Scene) -> None:
    scene.service.startService()
    pauses = []
    for _ in range(9):
        before, made = scene.clock.seconds(), len(scene.connections)
        scene.ami.opening.errback(AmiError("refused"))
        while len(scene.connections) == made:
            scene.clock.advance(1)
        pauses.append(scene.clock.seconds() - before)
    assert pauses == [2, 4, 8, 16, 32, *[LONGEST_PAUSE_S] * 4]
    assert all(connection.is_closed for connection in scene.connections[:-1])


def test_only_so_many_telephones_ring_at_once(scene: Scene) -> None:
    scene.connected()
    for number in range(AT_ONCE + 2):
        scene.asks(f"86139052500{number:02}")
    assert len(scene.ami.sent) == AT_ONCE
    scene.ends("Success", "4", at=0)
    assert len(scene.ami.sent) == AT_ONCE + 1


def test_two_hosts_never_place_one_call_twice(scene: Scene) -> None:
    scene.connected()
    other = scene.another("other/1")
    other.startService()
    scene.ami.opening.callback("Asterisk")
    for number in range(5):
        scene.asks(f"8613905250{number:03}")
    placed = [action["Channel"] for ami in scene.connections for action in ami.sent]
    assert sorted(placed) == sorted(set(placed))
    assert len(placed) == 5
    other.stopService()


def test_draining_waits_for_who_rings_and_places_nothing_new(scene: Scene) -> None:
    scene.connected().asks()
    draining = Deferred.fromCoroutine(scene.service.drain(60))
    late = scene.asks("8613905250002")
    assert scene.state(late) == ("due", None)
    assert not draining.called
    scene.ends("Success", "4")
    assert draining.called


def test_draining_ends_at_its_deadline(scene: Scene) -> None:
    scene.connected().asks()
    draining = Deferred.fromCoroutine(scene.service.drain(5))
    scene.clock.advance(5)
    assert draining.called


def test_draining_nothing_ends_at_once(scene: Scene) -> None:
    assert Deferred.fromCoroutine(scene.connected().service.drain(5)).called


def test_stopping_closes_the_connection(scene: Scene) -> None:
    wish = scene.connected().asks()
    assert scene.service.stopService().called
    assert scene.ami.is_closed
    assert scene.state(wish) == ("calling", None)  # ends as unknown with its lease


def test_a_store_that_fails_is_asked_again(scene: Scene) -> None:
    scene.connected()
    with scene.database.engine.begin() as connection:
        table.drop(connection)
    scene.clock.advance(POLL_S)
    assert scene.service.failures == 1
    with scene.database.engine.begin() as connection:
        table.create(connection)
    wish = scene.asks()
    assert scene.state(wish) == ("calling", None)


def test_health_tells_who_answers(scene: Scene) -> None:
    assert scene.service.health() == (False, "not connected yet")
    assert scene.connected().service.health() == (True, "Asterisk Call Manager 11.0.0")
