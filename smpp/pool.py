"""which SMSC a message leaves by: prefix, weight, standby, failover."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from twisted.internet.defer import Deferred, succeed

from config.settings import Smsc
from smpp.messages import MtMessage, PartResult, SubmitResult


class Route(Protocol):
    """What is needed of an `EsmeService`."""

    @property
    def name_of_smsc(self) -> str:
        """The SMSC's name in settings."""

    @property
    def can_send(self) -> bool:
        """Whether a bind is there that messages may leave by."""

    def free(self) -> int:
        """How many parts would leave at once."""

    def window(self) -> int:
        """How many parts may be under way at once, those that are included."""

    def submit(self, message: MtMessage) -> Deferred[SubmitResult]:
        """Send a message; always succeeds, with what became of its parts."""


@dataclass(slots=True, eq=False)
class Member:
    """An SMSC and what its settings say of its share; `credit` is the pool's."""

    route: Route
    weight: int = 1
    prefixes: Sequence[str] = ()
    standby: bool = False
    credit: int = field(default=0, init=False)

    def rank(self, number: str) -> tuple[bool, int] | None:
        """Return how early it comes for this number, the least first; None if it takes it not.

        The others before the standbys, and among each the one with the longest prefix.
        """
        if not self.prefixes:
            return self.standby, 0
        fitting = [len(prefix) for prefix in self.prefixes if number.startswith(prefix)]
        return (self.standby, -max(fitting)) if fitting else None

    def stands_in_for(self, other: Member) -> bool:
        """Say whether it can send now whatever the other takes."""
        covered = not self.prefixes or (
            bool(other.prefixes)
            and all(prefix.startswith(tuple(self.prefixes)) for prefix in other.prefixes)
        )
        return self.route.can_send and covered


def member_of(route: Route, settings: Smsc) -> Member:
    """Return the SMSC with its settings."""
    return Member(route, settings.weight, settings.prefixes, settings.standby)


class SmscPool:
    """Submits through whichever of several SMSCs is right, all parts of a message through one.

    A message goes to the first rank with an SMSC that is bound: those with the longest fitting
    prefix, then those with a shorter one or none, then the standbys. Within a rank they take turns
    by weight (smooth weighted round robin), those with room first. If it surely left for none, the
    next one is tried at once; once a part is with an SMSC, no other gets any.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = list(members)

    def free(self) -> int:
        """How many parts would leave at once; standbys count when they are needed."""
        return sum([member.route.free() for member in self._in_use()])

    def window(self) -> int:
        """How many parts may be under way at once, those that are included."""
        return sum([member.route.window() for member in self._in_use()])

    def _in_use(self) -> Sequence[Member]:
        others = [member for member in self._members if not member.standby]
        enough = others and all(
            any(one.stands_in_for(member) for one in others) for member in others
        )
        return others if enough else self._members

    def submit(self, message: MtMessage) -> Deferred[SubmitResult]:
        """Send a message; the Deferred always succeeds, with what became of each of its parts.

        `refused` without a status: no SMSC takes such numbers, by their `prefixes`. `not_sent`: no
        SMSC could take it now.
        """
        if message.smsc:
            members = [one for one in self._members if one.route.name_of_smsc == message.smsc]
        else:
            members = [one for one in self._members if one.rank(message.destination) is not None]
            if not members:
                why = "no SMSC takes such numbers"
                return succeed(SubmitResult((PartResult(1, "refused", why=why),)))
        return self._submit(message, members)

    def _submit(self, message: MtMessage, left: list[Member]) -> Deferred[SubmitResult]:
        member = _next(message.destination, left)
        if member is None:
            return succeed(SubmitResult((PartResult(1, "not_sent"),)))
        others = [other for other in left if other is not member]
        submitted = member.route.submit(message)
        if others:
            submitted.addCallback(self._or_another, message, member, others)
        return submitted

    def _or_another(
        self, result: SubmitResult, message: MtMessage, member: Member, others: list[Member]
    ) -> SubmitResult | Deferred[SubmitResult]:
        if result.smsc or not all(part.outcome == "not_sent" for part in result.parts):
            return result
        if member.route.can_send and not member.standby:  # a full queue wakes no standby
            others = [other for other in others if not other.standby]
        if not any(other.route.can_send for other in others):
            return result
        return self._submit(message, others)


def _next(number: str, members: list[Member]) -> Member | None:
    """Choose among those that can send now; None if there is none."""
    able = [member for member in members if member.route.can_send]
    if len(able) <= 1:
        return able[0] if able else None
    first = min(member.rank(number) or (True, 0) for member in able)
    equal = [member for member in able if member.rank(number) == first]
    return _turn([member for member in equal if member.route.free() > 0] or equal)


def _turn(members: list[Member]) -> Member:
    """Choose by smooth weighted round robin: 5:1:1 goes a a b a c a a."""
    for member in members:
        member.credit += member.weight
    chosen = max(members, key=lambda member: member.credit)
    chosen.credit -= sum(member.weight for member in members)
    return chosen
