"""The simulated SMSC itself, sans-IO: bytes and time in, actions out.

Call `connected`, `receive_data`, `lost`, `put_mo` and, when `next_deadline` has come, `expire`;
after each carry out what `actions` holds. `now` is monotonic time in seconds. What an ESME does
wrong is answered as SMPP 3.4 section 5.1.3 says; what goes wrong on purpose is `smpp.smsc_rules`.
Messages put in go to one receiving bind as deliver_sm and are sent again until one accepts them;
messages submitted are kept for whoever asks, and a delivery receipt follows where one was asked
for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from smpp import pdu as codec
from smpp.commands import (
    Bind,
    BindResp,
    DataSm,
    DataSmResp,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Outbind,
    Pdu,
    Status,
    SubmitSm,
    SubmitSmResp,
    Tag,
    Unbind,
    UnbindResp,
)
from smpp.smsc_deliveries import Deliveries, Delivery
from smpp.smsc_mailbox import Mailbox
from smpp.smsc_malformed import malform
from smpp.smsc_mistakes import mistake_in
from smpp.smsc_receipts import receipts, wanted, written_id
from smpp.smsc_responses import Responses
from smpp.smsc_rules import ReceiptForm, Rule, Script, Subject
from smpp.smsc_stage import Action, Kept, Link, Mo, Stage
from smpp.text import Segment, content, decode_text

BIND_S: Final = 30.0
"""How long a connection may take to bind."""

KEPT: Final = 10_000
"""Messages kept, and messages that may wait for a bind."""

UNBIND_S: Final = 5.0
"""How long an ESME may take to answer our unbind."""

SYSTEM_ID: Final = "simulator"


class Smsc:
    """The simulated SMSC."""

    def __init__(
        self,
        script: Script,
        *,
        system_id: str,
        password: str,
        began: datetime,
        now: float,
        kept: int = KEPT,
    ) -> None:
        """`began` is the time of day at `now`; from there on `now` tells both."""
        self.stage = Stage(script, began, now)
        self.kept = kept
        self.links: list[Link] = []
        self.mailbox = Mailbox(kept)
        self._system_id = system_id
        self._password = password
        self._deliveries = Deliveries(self.stage)
        self._responses = Responses(self.stage)
        self._undelivered = 0
        self._submitted_at: deque[float] = deque()
        self._accepted_at: deque[float] = deque()
        # Ids go on from run to run, since those who keep receipts know us under one name.
        self._next_id = int(began.timestamp() * 1_000_000)

    # ---- what its owner asks

    @property
    def actions(self) -> deque[Action]:
        """What is to be carried out, in order; taken from the left by whoever does."""
        return self.stage.actions

    @property
    def binds(self) -> list[Link]:
        """Who is bound."""
        return [link for link in self.links if link.mode is not None and not link.is_over]

    @property
    def waiting(self) -> int:
        """How many deliver_sm wait for a bind that may take them."""
        return len(self._deliveries)

    @property
    def undelivered(self) -> int:
        """How many accepted messages are still on their way to a phone."""
        return self._undelivered

    def put_mo(
        self, source: str, destination: str, segments: tuple[Segment, ...], now: float
    ) -> Mo:
        """Queue a subscriber's message; its parts may go to different binds."""
        self.stage.now = now
        mo = Mo(self._new_id("hex"), len(segments))
        self.stage.counts["mo"] += 1
        for number, segment in enumerate(segments, 1):
            own_id = mo.mo_id if len(segments) == 1 else f"{mo.mo_id}.{number}"
            tag = self.stage.profile.mo_id_tlv
            message = DeliverSm(
                0,
                source,
                destination,
                segment.short_message,
                segment.data_coding,
                segment.esm_class,
                source_addr_ton=1,
                source_addr_npi=1,
                tlvs=segment.tlvs + (((tag, own_id.encode("ascii") + b"\0"),) if tag else ()),
            )
            self._deliveries.put(Delivery(message, mo))
        return mo

    def act(self, rule: Rule, now: float) -> None:
        """Do at once, to all who are bound, what a rule `on = "now"` says."""
        self.stage.now = now
        for link in self.binds:
            self.stage.after(rule.delay_s, self._act, link, rule)

    def play(self, script: Script, now: float) -> None:
        """Follow another script from now on, with whoever is bound."""
        self.stage.now = now
        self.stage.play(script)
        for link in self.binds:
            self._begin_enquiries(link)

    def unbind(self, link: Link, now: float) -> None:
        """Say goodbye to whoever is bound, and close the connection of whoever is not."""
        self.stage.now = now
        self._unbind(link)

    # ---- what happens

    def connected(self, peer: str, now: float) -> Link:
        """Somebody has connected; wait for the bind, not for ever."""
        self.stage.now = now
        link = Link(peer, self.stage.date)
        self.links.append(link)
        self.stage.later(BIND_S, self._expect_bind, link)
        rule = self.stage.rules.choose("connect")
        if rule is not None:
            self.stage.after(rule.delay_s, self._act, link, rule)
        return link

    def receive_data(self, link: Link, data: bytes, now: float) -> None:
        """Cut PDUs and answer each."""
        self.stage.now = now
        found, link.buffer, broken = codec.cut(link.buffer + data)
        for octets in found:
            if self.stage.is_silent(link):
                self.stage.counts["unread"] += not link.is_over
                continue
            try:
                received = codec.decode(octets)
            except codec.MalformedPdu as malformed:
                self._refuse(link, malformed)
            else:
                self._receive(link, received)
        if broken is not None and not self.stage.is_silent(link):
            self.stage.counts["malformed"] += 1
            self.stage.send(link, GenericNack(broken.sequence, broken.status))
            self.stage.close(link)

    def lost(self, link: Link, now: float) -> None:
        """A connection is gone: deliver elsewhere what was not answered there."""
        self.stage.now = now
        link.is_over = True
        self._leave(link)
        if link in self.links:
            self.links.remove(link)
        self._deliveries.put_back(link)

    def next_deadline(self) -> float | None:
        """When `expire` is to be called next."""
        return self.stage.next_deadline()

    def expire(self, now: float) -> None:
        """Do what is due."""
        self.stage.now = now
        self.stage.expire()
        self._deliveries.pump()

    # ---- PDUs

    def _refuse(self, link: Link, malformed: codec.MalformedPdu) -> None:
        self.stage.counts["malformed"] += 1
        refusal = codec.refusal(malformed.command_id, malformed.sequence, malformed.status)
        if refusal is not None:
            self.stage.send(link, refusal)

    def _receive(self, link: Link, received: Pdu) -> None:
        if link.is_unbinding:
            # Too late: what it submits now is neither kept nor answered.
            if isinstance(received, UnbindResp):
                self.stage.close(link)
            return
        receive = _RECEIVERS.get(type(received))
        if receive is not None:
            receive(self, link, received)

    def _receive_bind(self, link: Link, bind: Bind) -> None:
        status = self._bind_status(link, bind)
        rule = self.stage.rules.choose("bind") if status == Status.ROK else None
        do = "" if rule is None else rule.do
        if rule is not None and do == "refuse":
            status = rule.status
        tlvs = ((Tag.SC_INTERFACE_VERSION, b"\x34"),) if status == Status.ROK else ()
        response = BindResp(bind.sequence, status, SYSTEM_ID, bind.mode, tlvs)
        if rule is not None and do in ("drop", "stall"):
            self._act(link, rule)
        elif status != Status.ROK or do in ("ignore", "nack", "malformed"):
            self.stage.counts["binds_refused"] += 1
            self._responses.give(link, response, rule)
        else:
            self.stage.after(rule.delay_s if rule else 0.0, self._bound, link, response)

    def _bind_status(self, link: Link, bind: Bind) -> int:
        if link.mode is not None:
            return Status.RALYBND
        if bind.system_id != self._system_id:
            return Status.RINVSYSID
        return Status.ROK if bind.password == self._password else Status.RINVPASWD

    def _bound(self, link: Link, response: BindResp) -> None:
        if link.is_over:
            return
        if link.mode is not None:  # it asked twice while the first answer was held back
            self.stage.counts["binds_refused"] += 1
            again = BindResp(response.sequence, Status.RALYBND, SYSTEM_ID, response.mode)
            self.stage.send(link, again)
            return
        self.stage.send(link, response)
        self.stage.counts["binds"] += 1
        link.mode = response.mode
        if link.mode != "transmitter":
            self._deliveries.receivers.append(link)
        self._begin_enquiries(link)
        rule = self.stage.rules.choose("bound")
        if rule is not None:
            self.stage.after(rule.delay_s, self._act, link, rule)
        self._deliveries.pump()

    def _receive_enquire_link(self, link: Link, received: EnquireLink) -> None:
        rule = self.stage.rules.choose("enquire_link")
        if rule is not None and rule.do in ("drop", "stall"):
            self._act(link, rule)
        else:
            self._responses.give(link, EnquireLinkResp(received.sequence), rule)

    def _receive_enquire_link_resp(self, link: Link, received: EnquireLinkResp) -> None:
        if received.sequence == link.enquiry:
            link.enquiry = None

    def _receive_unbind(self, link: Link, received: Unbind) -> None:
        status = Status.ROK if link.mode is not None else Status.RINVBNDSTS
        self.stage.send(link, UnbindResp(received.sequence, status))
        self._leave(link)
        self.stage.close(link)

    def _receive_deliver(self, link: Link, received: DeliverSm) -> None:
        self.stage.send(link, DeliverSmResp(received.sequence, Status.RINVCMDID))

    def _receive_answer(
        self, link: Link, received: DeliverSmResp | DataSmResp | GenericNack
    ) -> None:
        if isinstance(received, GenericNack) and received.sequence == link.enquiry:
            link.enquiry = None  # it knows no enquire_link, but it is there
        elif link.mode is not None:
            self._deliveries.answered(link, received.sequence, received.status)

    # ---- submit_sm

    def _receive_submit(self, link: Link, message: SubmitSm | DataSm) -> None:
        kind = SubmitSmResp if isinstance(message, SubmitSm) else DataSmResp
        if link.mode not in ("transceiver", "transmitter"):
            self.stage.send(link, kind(message.sequence, Status.RINVBNDSTS))
            return
        mistake = mistake_in(message)
        if mistake != Status.ROK:
            self.stage.send(link, kind(message.sequence, mistake))
            return
        self._measure()
        rule = self.stage.rules.choose("submit", _subject(message))
        do = "" if rule is None else rule.do
        if rule is not None and do in ("drop_before", "stall", "ignore"):
            self.stage.counts["not_taken"] += 1
            self._act(link, rule)
            return
        status = rule.status if rule is not None and do in ("refuse", "nack") else self._load(link)
        if status != Status.ROK:
            self._count_refusal(status)
            self._responses.give(link, kind(message.sequence, status), rule)
            return
        response = kind(message.sequence, Status.ROK, self._accept(link, message))
        if rule is not None and do == "drop_after":
            self._act(link, rule)
            return
        self._responses.give(link, response, rule)
        if do == "unbind":
            profile = self.stage.profile
            self.stage.after(
                profile.response_delay_s + profile.response_jitter_s, self._unbind, link
            )

    def _measure(self) -> None:
        """Count submit_sm, and the most that came in any second."""
        counts, times = self.stage.counts, self._submitted_at
        counts["submitted"] += 1
        times.append(self.stage.now)
        counts["submitted_peak_1s"] = max(
            counts["submitted_peak_1s"], _last_second(times, self.stage.now)
        )

    def _load(self, link: Link) -> int:
        """Return the status of one message more: ROK, or that there are too many."""
        profile, now = self.stage.profile, self.stage.now
        for limit, times in (
            (profile.tps, self._accepted_at),
            (profile.bind_tps, link.accepted_at),
        ):
            lately = _last_second(times, now)
            if limit and lately >= limit:
                return Status.RTHROTTLED
        if profile.queue and self._undelivered >= profile.queue:
            return Status.RMSGQFUL
        self._accepted_at.append(now)
        link.accepted_at.append(now)
        return Status.ROK

    def _count_refusal(self, status: int) -> None:
        self.stage.counts["refused"] += 1
        self.stage.counts["throttled"] += status == Status.RTHROTTLED
        self.stage.counts["queue_full"] += status == Status.RMSGQFUL

    def _accept(self, link: Link, message: SubmitSm | DataSm) -> str:
        """Keep a message that was submitted and return its id; its receipt is on the way."""
        message_id = self._new_id(self.stage.profile.message_id)
        number = self._next_id
        self.stage.counts["accepted"] += 1
        for mt in self.mailbox.put(message, message_id, self.stage.now, self.stage.date):
            self.stage.counts["mt"] += 1
            self.stage.actions.append(Kept(mt))
        rule = self.stage.rules.choose("receipt", _subject(message))
        form = self.stage.receipt if rule is None else rule.receipt
        is_told = rule is None or rule.do == "send"
        receipt_id = (
            message_id if form.message_id == "same" else written_id(number, form.message_id)
        )
        report = (link, message, receipt_id, form, self.stage.date, is_told)
        self._undelivered += 1
        if form.before_response:
            self._report(*report)
        else:
            profile = self.stage.profile
            after_s = profile.response_delay_s + profile.response_jitter_s + form.delay_s
            self.stage.later(after_s + self.stage.jitter(form.jitter_s), self._report, *report)
        return message_id

    def _report(
        self,
        link: Link,
        message: SubmitSm | DataSm,
        receipt_id: str,
        form: ReceiptForm,
        submitted: datetime,
        is_told: bool,
    ) -> None:
        self._undelivered -= 1
        if not wanted(message, form.state):
            return
        if not is_told:
            self.stage.counts["receipts_never"] += 1
            return
        for receipt in receipts(message, receipt_id, form, submitted, self.stage.date):
            if len(self._deliveries) >= self.kept:
                self.stage.counts["receipts_dropped"] += 1
            else:
                self.stage.counts["receipts"] += 1
                self._deliveries.put(Delivery(receipt, link=link, wish=form.bind))

    # ---- what it does of its own

    def _act(self, link: Link, rule: Rule) -> None:
        """Do to one connection what a rule says."""
        if link.is_over:
            return
        self.stage.counts[f"did_{rule.do}"] += 1
        if rule.do == "unbind":
            self._unbind(link)
        elif rule.do in ("drop", "drop_before", "drop_after"):
            self._leave(link)
            self.stage.cut(link)
        elif rule.do == "stall":
            link.stalled_until = self.stage.now + rule.for_s if rule.for_s else float("inf")
            if rule.for_s:
                self.stage.later(rule.for_s, self._deliveries.pump)
        elif rule.do == "outbind":
            self.stage.send(link, Outbind(link.next_sequence(), SYSTEM_ID, self._password))
        elif rule.do == "enquire_link":
            self.stage.send(link, EnquireLink(link.next_sequence()))
        elif rule.do == "malformed":
            octets = codec.encode(EnquireLink(link.next_sequence()))
            self.stage.write(link, malform(octets, rule.kind, self.stage.rules.random))

    def _unbind(self, link: Link) -> None:
        if link.mode is None:
            self.stage.close(link)
            return
        self.stage.send(link, Unbind(link.next_sequence()))
        self._leave(link)
        link.is_unbinding = True
        self.stage.later(UNBIND_S, self.stage.cut, link)

    def _begin_enquiries(self, link: Link) -> None:
        link.enquiries += 1
        if self.stage.profile.enquire_link_s:
            self.stage.later(self.stage.profile.enquire_link_s, self._enquire, link, link.enquiries)

    def _enquire(self, link: Link, enquiries: int) -> None:
        every_s = self.stage.profile.enquire_link_s
        if link.is_over or link.is_unbinding or not every_s or enquiries != link.enquiries:
            return
        if link.enquiry is not None:
            self.stage.counts["enquire_unanswered"] += 1
            self._leave(link)
            self.stage.cut(link)
            return
        if not self.stage.is_silent(link):
            link.enquiry = link.next_sequence()
            self.stage.send(link, EnquireLink(link.enquiry))
        self.stage.later(every_s, self._enquire, link, enquiries)

    def _expect_bind(self, link: Link) -> None:
        if link.mode is None:
            self.stage.cut(link)

    def _leave(self, link: Link) -> None:
        if link in self._deliveries.receivers:
            self._deliveries.receivers.remove(link)

    def _new_id(self, form: Any) -> str:
        self._next_id += 1
        return written_id(self._next_id, form)


def _subject(message: SubmitSm | DataSm) -> Subject:
    text = decode_text(message.data_coding, content(message)[0])
    return Subject(message.source_addr, message.destination_addr, text)


def _last_second(times: deque[float], now: float) -> int:
    """Forget what is older than a second; return how many are left."""
    while times and times[0] <= now - 1.0:
        times.popleft()
    return len(times)


_RECEIVERS: Final[dict[type[Pdu], Callable[[Smsc, Link, Any], None]]] = {
    Bind: Smsc._receive_bind,
    SubmitSm: Smsc._receive_submit,
    DataSm: Smsc._receive_submit,
    DeliverSmResp: Smsc._receive_answer,
    DataSmResp: Smsc._receive_answer,
    GenericNack: Smsc._receive_answer,
    EnquireLink: Smsc._receive_enquire_link,
    EnquireLinkResp: Smsc._receive_enquire_link_resp,
    Unbind: Smsc._receive_unbind,
    DeliverSm: Smsc._receive_deliver,
}
