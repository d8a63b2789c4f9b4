from __future__ import annotations

from typing import Any

from structlog.testing import capture_logs
from twisted.internet.task import Clock

from smpp.messages import MoMessage
from smpp.mo_upkeep import MoUpkeep
from smpp.text import Part
from store.database import StoreUnavailable
from tests.fakes.messages import MSISDN
from tests.fakes.shortcode import ShortCode


def deliver_half(line: ShortCode) -> None:
    part = MoMessage("smsc", MSISDN, "12530019", b"TD", 0, line.now, part=Part(1, 2, 1))
    line.deliver(part)


def test_a_message_whose_part_never_comes_is_answered_in_time(line: ShortCode) -> None:
    clock = Clock()
    upkeep = MoUpkeep(line.service, clock)
    upkeep.startService()
    deliver_half(line)
    line.wait(59 / 60)
    clock.advance(1)
    assert line.answers() == []
    line.wait(1 / 60)
    clock.advance(1)
    assert line.answers()[0].purpose == "no_tones_no_offers"
    upkeep.stopService()
    assert clock.getDelayedCalls() == []


def test_what_waited_when_the_last_process_ended_is_answered_at_once(line: ShortCode) -> None:
    deliver_half(line)
    line.wait(1)
    MoUpkeep(line.service, Clock()).startService()
    assert len(line.answers()) == 1


def test_the_last_responses_are_noted_at_the_end(line: ShortCode) -> None:
    upkeep = MoUpkeep(line.service, Clock())
    upkeep.startService()
    line.text("CX")
    upkeep.stopService()
    assert [row.responded for row in line.received()] == [True]


def test_a_store_that_cannot_answer_now_is_asked_again(line: ShortCode) -> None:
    clock = Clock()
    upkeep = MoUpkeep(line.service, clock)
    real, failing = line.service.database, _Failing()
    line.service.database = failing
    with capture_logs() as logs:
        upkeep.startService()
        clock.advance(1)
    assert upkeep.health() == (True, "2 failures")
    assert {entry["event"] for entry in logs} == {"mo_upkeep_failed"}
    line.service.database = real
    deliver_half(line)
    line.wait(1)
    clock.advance(1)
    assert len(line.answers()) == 1
    line.text("CX")
    line.service.database = failing
    upkeep.stopService()
    assert upkeep.health() == (False, "3 failures")


class _FailingStore:
    """A store that is away."""

    def run(self, *_: object) -> Any:
        raise StoreUnavailable("away")

    def on_change(self, topic: str, callback: Any) -> Any:
        raise NotImplementedError


_Failing: Any = _FailingStore
