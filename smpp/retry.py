"""what becomes of a message by what an SMSC said to it: the retry table, as data.

A refusal is permanent (the same message would be refused again), temporary (the SMSC could not, the
message is not to blame) or a throttle (too fast, or its queue is full); its status alone tells
which. Besides there are responses that were lost, and messages that certainly did not leave.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Literal

from ordering.claims import Claim
from ordering.outbox import MessageClass
from ordering.outcomes import RESPONSE_LOST, Outcome, Part
from smpp.commands import Status, status_name
from smpp.messages import PartResult, SubmitResult

Kind = Literal["permanent", "lost", "temporary", "throttle", "not_sent"]
OnLost = Mapping[MessageClass, Literal["resend", "drop"]]
"""Whether a message of a class is sent again when nobody knows whether the SMSC has it."""

KINDS: Mapping[int, Kind] = MappingProxyType(
    {
        Status.RTHROTTLED: "throttle",
        Status.RMSGQFUL: "throttle",
        Status.RSYSERR: "temporary",
        Status.RINVBNDSTS: "temporary",  # the bind is not what we thought: another will do
        Status.RBINDFAIL: "temporary",
        Status.RSUBMITFAIL: "temporary",
        Status.RX_T_APPN: "temporary",
        0xFE: "temporary",  # delivery failure
        Status.RUNKNOWNERR: "temporary",
    }
)
"""By command_status (SMPP 3.4 section 5.1.3); any other of the specification's is permanent."""
VENDORS = range(0x400, 0x500)
"""A vendor's own statuses say nothing here: temporary, so that nothing is given up at once."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds to wait before another attempt, doubled each time; `most` attempts (None: any)."""

    first_s: float
    longest_s: float
    most: int | None = None

    def delay(self, attempts: int) -> timedelta:
        """Return the pause after so many attempts."""
        doubled = self.first_s * 2.0 ** min(max(attempts - 1, 0), 30)
        return timedelta(seconds=min(doubled, self.longest_s))


PACES: Mapping[Kind, Pace] = MappingProxyType(
    {
        "temporary": Pace(10, 600, 8),
        "lost": Pace(5, 60, 4),
        # These say nothing of the message: it waits until it can go, or has expired.
        "throttle": Pace(2, 2),
        "not_sent": Pace(2, 2),
    }
)
_GRAVEST: tuple[Kind, ...] = ("permanent", "lost", "temporary", "throttle", "not_sent")
"""A message has one fate: that of the part that fared worst."""


def kind_of(part: PartResult) -> Kind:
    """Return what kind of failure a part met that was not accepted."""
    if part.outcome != "refused":
        return "lost" if part.outcome == "lost" else "not_sent"
    if part.status == Status.ROK:
        return "permanent"  # it could not even be written as a PDU
    return KINDS.get(part.status, "temporary" if part.status in VENDORS else "permanent")


def outcome_of(
    claim: Claim,
    result: SubmitResult,
    on_lost: OnLost,
    now: datetime,
    late: Iterable[Part] = (),
) -> Outcome:
    """Return what is to be recorded of a claimed message that was submitted.

    Parts that were accepted are never sent again, and the others only by the same SMSC; `late` are
    those of an earlier attempt of which that became known meanwhile, perhaps by another SMSC. What
    would be tried again when it has expired fails now.
    """
    accepted = {
        part.number: Part(part.number, result.smsc, part.message_id)
        for part in result.parts
        if part.outcome == "accepted"
    }
    accepted = {part.part: part for part in late if part.part not in accepted} | accepted
    failures: dict[Kind, PartResult] = {}
    for failed in result.parts:
        if failed.number not in accepted:
            failures.setdefault(kind_of(failed), failed)
    parts = tuple(accepted.values())
    told = _Told(claim, now, parts, len(result.parts) if result.smsc and not claim.left else None)
    if not failures:
        return told.outcome("sent", claim.attempts + 1)
    kind = next(one for one in _GRAVEST if one in failures)
    part, in_doubt = failures[kind], "lost" in failures
    if kind == "permanent":
        return told.outcome("failed", claim.attempts + 1, _why(part), in_doubt=in_doubt)
    if kind == "lost" and on_lost[claim.message.message_class] == "drop":
        return told.outcome("failed", claim.attempts + 1, RESPONSE_LOST, in_doubt=True)
    return _again(told, kind, part, in_doubt=in_doubt)


@dataclass(frozen=True, slots=True)
class _Told:
    """What every outcome of a submission says."""

    claim: Claim
    now: datetime
    parts: tuple[Part, ...]
    of: int | None

    def outcome(
        self,
        word: Literal["sent", "failed", "later"],
        attempts: int,
        reason: str = "",
        *,
        in_doubt: bool = False,
        again_at: datetime | None = None,
    ) -> Outcome:
        claim = self.claim
        return Outcome(
            mt_id=claim.message.mt_id,
            claimant=claim.claimant,
            word=word,
            at=self.now,
            parts=self.parts,
            of=self.of,
            reason=reason,
            in_doubt=in_doubt,
            again_at=again_at,
            attempts=attempts,
        )


def _again(told: _Told, kind: Kind, part: PartResult, *, in_doubt: bool) -> Outcome:
    pace, claim = PACES[kind], told.claim
    # Waiting for a bind or for the licensed rate is no attempt.
    attempts = claim.attempts + (pace.most is not None)
    again_at = told.now + pace.delay(attempts)
    reason = RESPONSE_LOST if kind == "lost" else _why(part)
    if pace.most is not None and (attempts >= pace.most or again_at >= claim.message.expires_at):
        return told.outcome("failed", attempts, reason, in_doubt=in_doubt)
    return told.outcome("later", attempts, reason, again_at=again_at)


def _why(part: PartResult) -> str:
    if part.why:
        return part.why
    return status_name(part.status) if part.outcome == "refused" else part.outcome
