"""The simulated SMSC in a reactor: its connections, its clock, and those who wait for something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from smpp.connection import Alarm, Reactor
from smpp.smsc import Smsc
from smpp.smsc_mailbox import Mt
from smpp.smsc_rules import Rule, Script
from smpp.smsc_stage import Action, Answered, Close, Cut, Kept, Link, Mo, Send
from smpp.text import Segment


class SmscProtocol(Protocol):
    """The SMSC's end of one connection: carries bytes."""

    transport: Any  # Twisted tells mypy its interfaces, not its transports

    def __init__(self, smsc: RunningSmsc) -> None:
        self.closed: Deferred[None] = Deferred()
        self.link: Link | None = None
        self._smsc = smsc

    def connectionMade(self) -> None:
        """Tell who has come."""
        self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self.transport, True)
        self.link = self._smsc.connected(self, str(getattr(self.transport.getPeer(), "host", "")))

    def dataReceived(self, data: bytes) -> None:
        """Feed the SMSC."""
        if self.link is not None:
            self._smsc.receive_data(self.link, data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002 - Twisted's
        """Tell who has gone."""
        if self.link is not None:
            self._smsc.lost(self.link)
        self.closed.callback(None)

    def close(self) -> None:
        """Close when what was written has left."""
        self.transport.unregisterProducer()
        self.transport.loseConnection()


class RunningSmsc:
    """The simulated SMSC with a clock, its connections, and those who wait for something."""

    def __init__(
        self,
        smsc: Smsc,
        reactor: Reactor,
        monotonic: Callable[[], float],
    ) -> None:
        self.core = smsc
        self.reactor = reactor
        self.connections: dict[Link, SmscProtocol] = {}
        self._monotonic = monotonic
        self._alarm = Alarm(reactor, monotonic, self._expire)
        self._is_stopped = False
        self._watchers: list[Deferred[None]] = []
        self._askers: dict[Mo, list[Deferred[int]]] = {}

    # ---- what is asked

    def put_mo(self, source: str, destination: str, segments: tuple[Segment, ...]) -> Mo:
        """Queue a subscriber's message."""
        mo = self.core.put_mo(source, destination, segments, self._monotonic())
        self._carry_out()
        return mo

    def answered(self, mo: Mo) -> Deferred[int]:
        """Fire with the highest status of a message's parts, once the application has answered."""
        if mo.open_parts == 0:
            return succeed(mo.status)
        askers = self._askers.setdefault(mo, [])
        asker: Deferred[int] = Deferred(askers.remove)
        askers.append(asker)
        return asker

    def mts_since(self, n: int, destination: str) -> list[Mt]:
        """Return the messages kept after the n-th, to one number in any usual form or to all."""
        return self.core.mailbox.since(n, destination)

    def next_mt(self) -> Deferred[None]:
        """Fire when another message has been kept."""
        watcher: Deferred[None] = Deferred(self._watchers.remove)
        self._watchers.append(watcher)
        return watcher

    def follow(self, *rules: Rule) -> list[int]:
        """Put rules in force, those of `now` by doing them; return the ids of the others."""
        for rule in rules:
            if rule.on == "now":
                self.core.act(rule, self._monotonic())
        lasting = tuple(rule for rule in rules if rule.on != "now")
        self._carry_out()
        return self.core.stage.rules.add(lasting)

    def play(self, script: Script) -> None:
        """Follow another script from now on."""
        self.core.play(script, self._monotonic())
        self._carry_out()

    # ---- what happens

    def connected(self, protocol: SmscProtocol, peer: str) -> Link:
        """Somebody has connected."""
        link = self.core.connected(peer, self._monotonic())
        self.connections[link] = protocol
        self._carry_out()
        return link

    def receive_data(self, link: Link, data: bytes) -> None:
        """Octets have come."""
        self.core.receive_data(link, data, self._monotonic())
        self._carry_out()

    def lost(self, link: Link) -> None:
        """A connection is gone."""
        del self.connections[link]
        self.core.lost(link, self._monotonic())
        self._carry_out()

    def stop(self) -> None:
        """Unbind everyone; let go of time and of those who wait."""
        self._is_stopped = True
        for link in list(self.connections):
            self.core.unbind(link, self._monotonic())
        self._carry_out()
        self._alarm.cancel()
        askers = [asker for asked in self._askers.values() for asker in asked]
        for watcher in list(self._watchers):
            watcher.cancel()
        for asker in askers:
            asker.cancel()

    def _expire(self) -> None:
        self.core.expire(self._monotonic())
        self._carry_out()

    def _carry_out(self) -> None:
        while self.core.actions:
            action = self.core.actions.popleft()
            self._DOES[type(action)](self, action)
        if not self._is_stopped:
            self._alarm.set(self.core.next_deadline())

    def _send(self, action: Send) -> None:
        protocol = self.connections.get(action.link)
        if protocol is not None:
            protocol.transport.write(action.octets)

    def _close(self, action: Close) -> None:
        protocol = self.connections.get(action.link)
        if protocol is not None:
            protocol.close()

    def _cut(self, action: Cut) -> None:
        protocol = self.connections.get(action.link)
        if protocol is not None:
            protocol.transport.abortConnection()

    def _answered(self, action: Answered) -> None:
        for answered in self._askers.pop(action.mo, []):
            answered.callback(action.mo.status)

    def _kept(self, _action: Kept) -> None:
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            watcher.callback(None)

    _DOES: Final[dict[type[Action], Callable[[RunningSmsc, Any], None]]] = {
        Send: _send,
        Close: _close,
        Cut: _cut,
        Answered: _answered,
        Kept: _kept,
    }
