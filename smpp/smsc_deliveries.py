"""what waits to be delivered to the applications bound to the simulated SMSC.

Messages of subscribers and receipts go to the receiving binds in turn, and are sent again until one
accepts them, whatever happens to the connection or to the response.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

from smpp import pdu as codec
from smpp.commands import DeliverSm, Status
from smpp.smsc_malformed import malform
from smpp.smsc_rules import Rule, Subject
from smpp.smsc_stage import Answered, Link, Mo, Stage
from smpp.text import content, decode_text

HOLD_S: Final = 1.0
"""How long something may be held back for others to overtake it."""

_AGAIN: Final = frozenset(
    {Status.RMSGQFUL, Status.RTHROTTLED, Status.RSYSERR, Status.RX_T_APPN, Status.RINVBNDSTS}
)


@dataclass(slots=True, eq=False)
class Delivery:
    """One deliver_sm to be sent until it is accepted; receipts and copies have no `mo`.

    `link` and `wish` tell over which bind it is to go if that can be. `rule` is what is done at its
    first sending; `is_ruled` says that it has been chosen and that further sendings follow none.
    """

    message: DeliverSm
    mo: Mo | None = None
    link: Link | None = None
    wish: Literal["any", "same", "other"] = "any"
    rule: Rule | None = None
    is_ruled: bool = False
    overtakers: int = 0

    def suits(self, link: Link) -> bool:
        """Whether this bind is as wished."""
        return self.wish == "any" or (link is self.link) == (self.wish == "same")


class Deliveries:
    """The queue of deliver_sm and the binds that receive."""

    def __init__(self, stage: Stage) -> None:
        self.receivers: deque[Link] = deque()
        self._stage = stage
        self._queue: deque[Delivery] = deque()
        self._held: list[Delivery] = []

    def __len__(self) -> int:
        return len(self._queue) + len(self._held)

    def put(self, delivery: Delivery) -> None:
        """Queue a deliver_sm."""
        self._queue.append(delivery)
        self.pump()

    def put_back(self, link: Link) -> None:
        """Take back what a lost connection had not answered: it comes first, in its order."""
        unanswered = list(link.unanswered.values())
        link.unanswered.clear()
        self._queue.extendleft(reversed(unanswered))
        self.pump()

    def pump(self) -> None:
        """Send what waits to binds that have room, in turn."""
        while self._queue:
            link = self._receiver_for(self._queue[0])
            if link is None:
                return
            self._deliver(link, self._queue.popleft())

    def _receiver_for(self, delivery: Delivery) -> Link | None:
        """Return the next bind that has room, None: it has to wait.

        While a bind is there that it is wished to go by, it waits for that one's room: by another
        it could overtake what it is to follow.
        """
        alive = [link for link in self.receivers if self._listens(link)]
        wished = [link for link in alive if delivery.suits(link)] or alive
        window = self._stage.profile.window
        chosen = next((link for link in wished if len(link.unanswered) < window), None)
        if chosen is not None:
            self.receivers.remove(chosen)
            self.receivers.append(chosen)
        return chosen

    def _listens(self, link: Link) -> bool:
        return not link.is_unbinding and not self._stage.is_silent(link)

    def _deliver(self, link: Link, delivery: Delivery) -> None:
        delivery.rule = self._rule_for(delivery)
        do = "" if delivery.rule is None else delivery.rule.do
        if delivery.rule is not None and do in ("delay", "reorder"):
            self._hold_back(delivery, delivery.rule)
            return
        sequence = link.next_sequence()
        link.unanswered[sequence] = delivery
        octets = codec.encode(delivery.message._replace(sequence=sequence))
        if delivery.rule is not None and do == "malformed":
            octets = malform(octets, delivery.rule.kind, self._stage.rules.random)
        self._stage.write(link, octets)
        self._stage.counts["delivered"] += 1
        if self._stage.profile.deliver_timeout_s:
            self._stage.later(
                self._stage.profile.deliver_timeout_s, self._unheard, link, sequence, delivery
            )
        if do == "drop_before":
            self._stage.close(link)
        elif delivery.rule is not None and do == "repeat":
            for _ in range(delivery.rule.count):
                copy = Delivery(delivery.message, is_ruled=True)
                self._stage.after(delivery.rule.delay_s, self.put, copy)
        self._overtake()

    def _rule_for(self, delivery: Delivery) -> Rule | None:
        if delivery.is_ruled or delivery.mo is None:
            return None
        delivery.is_ruled = True
        message = delivery.message
        text = decode_text(message.data_coding, content(message)[0])
        subject = Subject(message.source_addr, message.destination_addr, text)
        return self._stage.rules.choose("deliver", subject)

    def _hold_back(self, delivery: Delivery, rule: Rule) -> None:
        if rule.do == "delay":
            self._stage.later(rule.delay_s, self.put, delivery)
            return
        delivery.overtakers = rule.count
        self._held.append(delivery)
        self._stage.later(rule.delay_s or HOLD_S, self._release, delivery)

    def _overtake(self) -> None:
        for delivery in list(self._held):
            delivery.overtakers -= 1
            if delivery.overtakers <= 0:
                self._release(delivery)

    def _release(self, delivery: Delivery) -> None:
        if delivery in self._held:
            self._held.remove(delivery)
            self._queue.append(delivery)
            self.pump()

    # ---- responses

    def answered(self, link: Link, sequence: int, status: int) -> None:
        """Note the response to a deliver_sm; some statuses ask for it again later."""
        delivery = link.unanswered.pop(sequence, None)
        if delivery is None:
            self._stage.counts["responses_unasked"] += 1
            return
        do = "" if delivery.rule is None else delivery.rule.do
        if do == "drop_after":
            link.unanswered[sequence] = delivery  # what comes back when the connection is gone
            self._stage.cut(link)
        elif delivery.rule is not None and do in ("lose", "malformed"):
            self._again(delivery, delivery.rule.delay_s)
        elif status in _AGAIN:
            self._again(delivery)
        else:
            self._settle(delivery, status)
        self.pump()

    def _settle(self, delivery: Delivery, status: int) -> None:
        mo = delivery.mo
        if mo is None:
            self._stage.counts["receipts_answered"] += bool(delivery.message.esm_class & 0x3C)
            return
        mo.open_parts -= 1
        mo.status = max(mo.status, status)
        if mo.open_parts == 0:
            self._stage.counts["mo_answered"] += 1
            self._stage.actions.append(Answered(mo))

    def _again(self, delivery: Delivery, delay_s: float = 0.0) -> None:
        self._stage.counts["deliver_again"] += 1
        self._stage.later(delay_s or self._stage.profile.retry_s, self.put, delivery)

    def _unheard(self, link: Link, sequence: int, delivery: Delivery) -> None:
        if link.unanswered.get(sequence) is delivery:
            del link.unanswered[sequence]
            self._again(delivery)
