"""ESMEs bound to the simulated SMSC without a socket, on a clock that the tests move on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from smpp import pdu, text
from smpp.commands import Bind, BindMode, DeliverSm, DeliverSmResp, Pdu, Status, SubmitSm
from smpp.smsc import Smsc
from smpp.smsc_rules import Profile, ReceiptForm, Rule, Script
from smpp.smsc_stage import Answered, Close, Cut, Kept, Link, Mo, Send

NUMBER = "8613905250001"
LINE = "12530019"
BEGAN = datetime(2026, 11, 22, 8, tzinfo=UTC)
SECRET = "secret"


def mt(sequence: int, words: bytes = b"Y", **changes: Any) -> SubmitSm:
    """A message that asks for a receipt."""
    return SubmitSm(sequence, LINE, NUMBER, words, registered_delivery=1)._replace(**changes)


class FakeEsme:
    """The other end of a connection: what came, and how it ended."""

    def __init__(self, scene: SmscScene, link: Link) -> None:
        self.link = link
        self.octets = b""
        self.ended = ""
        self._scene = scene

    def send(self, *values: Pdu) -> None:
        self.throw(b"".join(pdu.encode(value) for value in values))

    def throw(self, octets: bytes) -> None:
        self._scene.core.receive_data(self.link, octets, self._scene.now)
        self._scene.carry_out()

    def read(self) -> list[Pdu]:
        """Whatever came since it was asked last."""
        found, self.octets, broken = pdu.cut(self.octets)
        assert broken is None
        return [pdu.decode(octets) for octets in found]

    def texts(self) -> list[bytes]:
        """The messages that came since and those that come then, each accepted at once."""
        texts = []
        while found := [value for value in self.read() if isinstance(value, DeliverSm)]:
            for message in found:
                self.answer(message)
                texts.append(message.short_message)
        return texts

    def answer(self, message: DeliverSm, status: int = Status.ROK) -> None:
        self.send(DeliverSmResp(message.sequence, status))

    def leave(self) -> None:
        """Lose the connection."""
        self._scene.core.lost(self.link, self._scene.now)
        self._scene.carry_out()


class SmscScene:
    """A simulated SMSC with a script, its time and its ESMEs."""

    def __init__(
        self,
        *rules: Rule,
        profile: Profile = Profile(),  # noqa: B008  frozen
        receipt: ReceiptForm = ReceiptForm(),  # noqa: B008  frozen
        seed: int = 1,
        kept: int = 100,
    ) -> None:
        self.now = 50.0
        self.core = Smsc(
            Script(seed, profile, receipt, rules),
            system_id="toneline",
            password=SECRET,
            began=BEGAN,
            now=self.now,
            kept=kept,
        )
        self.answered: list[Mo] = []
        self._esmes: dict[Link, FakeEsme] = {}

    @property
    def counts(self) -> Any:
        return self.core.stage.counts

    def connect(self) -> FakeEsme:
        link = self.core.connected("192.0.2.1", self.now)
        self._esmes[link] = esme = FakeEsme(self, link)
        self.carry_out()
        return esme

    def bind(self, mode: BindMode = "transceiver") -> FakeEsme:
        """Connect and bind; the response has been read."""
        esme = self.connect()
        esme.send(Bind(1, "toneline", SECRET, mode))
        esme.octets = esme.octets[int.from_bytes(esme.octets[:4], "big") :]
        return esme

    def put(self, words: str, **more: Any) -> Mo:
        mo = self.core.put_mo(NUMBER, LINE, text.segment(words, 1, **more), self.now)
        self.carry_out()
        return mo

    def follow(self, *rules: Rule) -> None:
        for rule in rules:
            if rule.on == "now":
                self.core.act(rule, self.now)
        self.core.stage.rules.add(tuple(rule for rule in rules if rule.on != "now"))
        self.carry_out()

    def advance(self, seconds: float) -> None:
        """Let time pass, from one deadline to the next."""
        end = self.now + seconds
        while (deadline := self.core.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.core.expire(self.now)
            self.carry_out()
        self.now = end

    def carry_out(self) -> None:
        while self.core.actions:
            action = self.core.actions.popleft()
            if isinstance(action, Answered):
                self.answered.append(action.mo)
            elif isinstance(action, Send):
                self._esmes[action.link].octets += action.octets
            elif isinstance(action, Close | Cut):
                self._esmes[action.link].ended = "closed" if isinstance(action, Close) else "cut"
                self.core.lost(action.link, self.now)
            else:
                assert isinstance(action, Kept)
