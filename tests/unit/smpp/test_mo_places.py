"""Answers for which the sender keeps a place: claimed as they are stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from ordering import claims
from ordering.claims import Claim
from store.database import LocalDatabase, StoreBusy
from tests.fakes.messages import MSISDN
from tests.fakes.outbox import state
from tests.fakes.shortcode import ShortCode


@dataclass(slots=True)
class OnePlace:
    """Has a place for whoever asks, and remembers what came for it."""

    came: list[tuple[str, Claim | None]] = field(default_factory=list)

    def reserve(self) -> str:
        return f"host/{len(self.came) + 1}"

    def send_reserved(self, claimant: str, claim: Claim | None) -> None:
        self.came.append((claimant, claim))


@dataclass(slots=True)
class Forgetful:
    """Runs every function twice, as a store does that died before it could answer."""

    database: LocalDatabase

    def run(self, *values: Any) -> Deferred[Any]:
        self.database.run(*values)
        return self.database.run(*values)


@pytest.fixture
def sender(line: ShortCode) -> OnePlace:
    sender = OnePlace()
    line.with_(sender=sender)
    return sender


def test_the_answer_is_handed_over_as_it_was_stored(line: ShortCode, sender: OnePlace) -> None:
    text = line.text("1029")
    ((claimant, claim),) = sender.came
    assert claim is not None
    assert (claim.claimant, claim.attempts, claim.left) == (claimant, 0, ())
    assert claim.message.text.endswith(text)
    assert (claim.message.msisdn, claim.message.message_class) == (MSISDN, "answer")
    assert state(line.database, claim.message.mt_id) == ("claimed", None)
    assert line.answers()[0].claimed_until - line.now == claims.LEASE


def test_asked_again_the_store_finds_the_same_claim(line: ShortCode, sender: OnePlace) -> None:
    line.with_(database=Forgetful(line.database))
    assert line.text("1029")
    ((_, claim),) = sender.came
    assert claim is not None
    assert claim.message.mt_id == line.answers()[0].mt_id


def test_a_message_without_an_answer_gives_the_place_back(
    line: ShortCode, sender: OnePlace
) -> None:
    line.text("1029", source="10086")
    assert sender.came == [("host/1", None)]


def test_the_second_copy_of_a_message_sends_nothing(line: ShortCode, sender: OnePlace) -> None:
    line.text("1029", message_id="7")
    line.text("1029", message_id="7")
    assert sender.came[1] == ("host/2", None)


def test_what_could_not_be_stored_gives_the_place_back(line: ShortCode, sender: OnePlace) -> None:
    class Busy:
        def run(self, *_: Any) -> Deferred[Any]:
            raise StoreBusy("busy")

    line.with_(database=Busy())
    with pytest.raises(StoreBusy):
        line.text("N")
    assert sender.came == [("host/1", None)]


def test_an_answer_that_nobody_asked_for_asks_for_the_tone(line: ShortCode) -> None:
    assert "您付2元" in line.text("Y1029")
    assert line.orders() == {}
