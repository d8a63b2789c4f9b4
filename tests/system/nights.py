"""What goes wrong at an SMSC, night by night, as data; docs/simulator.md has the words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

WINDOW = 10
ALLOWED = 2 * WINDOW
"""What may come twice when both binds are lost, or answered in a way that nobody understands."""
MALFORMED = (
    "length", "huge", "truncated", "unterminated", "sm_length", "tlv", "command", "sequence",
    "garbage",
)  # fmt: skip

Rule = dict[str, object]
Scene = Literal["order", "offer", "parts", "missing_part", "alphabet", "rebind"]


@dataclass(frozen=True)
class Link:
    """How the line is bound to an SMSC; `connections` are those of all its binds."""

    name: str
    settings: dict[str, object]
    receipt: dict[str, object] = field(default_factory=dict)
    tls: bool = False
    connections: int = 2


LINKS = (
    Link("udh8", {"long_messages": "udh8"}),
    Link(
        "udh16",
        {"long_messages": "udh16", "message_id": "hex_dec"},
        receipt={"message_id": "decimal"},
    ),
    Link("sar", {"long_messages": "sar", "alphabet": "latin1"}),
    Link(
        "payload",
        {"long_messages": "payload", "alphabet": "gb18030", "bind": "pair"},
        tls=True,
        connections=4,
    ),
)


@dataclass(frozen=True, eq=False)
class Night:
    """What goes wrong, and how many submit_sm may come twice by it.

    `link`: only over this one (empty: any). `now`: what happens to the connections when it begins.
    `ends`: what receipts make of its messages (empty: not looked at). `lasts_s`: about how long, so
    that all links are done at about the same time.
    """

    name: str
    rules: Sequence[Rule] = ()
    smsc: dict[str, object] = field(default_factory=dict)
    receipt: dict[str, object] = field(default_factory=dict)
    doubled: int = 0
    link: str = ""
    now: str = ""
    ends: str = ""
    scene: Scene = "order"
    lasts_s: int = 4


def submit(do: str, **more: object) -> Rule:
    """Return what is done on a submit_sm."""
    return {"on": "submit", "do": do, **more}


def deliver(do: str, **more: object) -> Rule:
    """Return what is done on a subscriber's deliver_sm."""
    return {"on": "deliver", "do": do, **more}


def receipts(name: str, ends: str = "delivered", **receipt: object) -> Night:
    """Return a night of odd receipts, over a link whose ids are alike in responses and receipts."""
    return Night(f"receipts {name}", receipt=receipt, ends=ends, link="udh8")


_OUT = (
    Night("throttled", [submit("refuse", status="RTHROTTLED", every=5, times=3)], lasts_s=6),
    Night("a rate", smsc={"tps": 8}, lasts_s=6),
    Night("queue full", [submit("refuse", status="RMSGQFUL", every=5, times=3)], lasts_s=6),
    Night("a full queue", smsc={"queue": 4}, lasts_s=6),
    Night("a system error", [submit("refuse", status="RSYSERR", every=5, times=3)], lasts_s=22),
    Night(
        "dropped before acceptance",
        [submit("drop_before", every=7, times=2)],
        doubled=ALLOWED,
        lasts_s=14,
    ),
    Night(
        "dropped after acceptance",
        [submit("drop_after", every=7, times=2)],
        doubled=ALLOWED,
        lasts_s=14,
    ),
    Night("responses lost", [submit("lose", every=7, times=2)], doubled=2, lasts_s=14),
    Night("requests lost", [submit("ignore", every=7, times=2)], lasts_s=14),
    Night("responses repeated", [submit("repeat", every=2, delay_s=0.1)]),
    Night("responses late", [submit("delay", every=7, times=2, delay_s=3)], doubled=2, lasts_s=8),
    Night("responses overtaken", [submit("reorder", every=2, count=2, delay_s=0.5)], lasts_s=6),
    Night("unbinds of its own", [submit("unbind", every=7, times=2)], doubled=ALLOWED, lasts_s=10),
    Night("a stall", [submit("stall", after=5, times=1)], lasts_s=14),
    Night("slow", smsc={"response_delay_s": 0.3}),
    *(
        Night(
            f"responses malformed, {kind}",
            [submit("malformed", kind=kind, every=7, times=2)],
            doubled=ALLOWED,
            lasts_s=14,
        )
        for kind in MALFORMED
    ),
)
_IN = (
    Night("messages twice", [deliver("repeat", every=2)]),
    Night("messages again, their answer lost", [deliver("lose", every=2, delay_s=0.3)]),
    Night(
        "dropped with a message",
        [deliver("drop_before", every=4, times=2)],
        doubled=ALLOWED,
        lasts_s=8,
    ),
    Night(
        "dropped at its answer",
        [deliver("drop_after", every=4, times=2)],
        doubled=ALLOWED,
        lasts_s=8,
    ),
    Night("messages overtaken", [deliver("reorder", every=3, delay_s=0.5)]),
    Night("messages late", [deliver("delay", every=2, delay_s=0.5)]),
    *(
        Night(
            f"messages malformed, {kind}",
            [deliver("malformed", kind=kind, every=4, times=2)],
            smsc={"deliver_timeout_s": 1},
            doubled=ALLOWED,
            lasts_s=8,
        )
        for kind in MALFORMED
    ),
    *(
        Night(f"parts of messages, {link.name}", scene="parts", link=link.name, lasts_s=6)
        for link in LINKS
    ),
    Night("a part that never comes", scene="missing_part", lasts_s=70),
    Night("an SMSC of the GSM alphabet", scene="alphabet", link="udh8"),
    Night("an SMSC of Latin-1", scene="alphabet", link="sar"),
    Night("an SMSC of GB 18030", scene="alphabet", link="payload"),
)
_LINK = (
    Night("its own enquire_link", smsc={"enquire_link_s": 0.5}),
    Night("enquire_link unanswered", [{"on": "enquire_link", "do": "ignore", "times": 1}]),
    *(Night(f"{do} now", now=do, lasts_s=8) for do in ("drop", "unbind", "stall", "outbind")),
    Night(
        "binds refused, dropped and ignored",
        [
            {"on": "bind", "do": "refuse", "status": "RALYBND", "times": 2},
            {"on": "bind", "do": "drop", "times": 1},
            {"on": "bind", "do": "ignore", "times": 1},
        ],
        scene="rebind",
        lasts_s=15,
    ),
    *(
        Night(f"long messages as {link.name}", [submit("reorder", every=3)], link=link.name)
        for link in LINKS
    ),
    Night("an offer whose response is lost", scene="offer", lasts_s=10),
)
_RECEIPTS = (
    receipts("by TLV", by="tlv"),
    receipts("by text", by="text"),
    receipts("with padded ids", by="text", message_id="padded"),
    receipts("with upper ids", by="text", message_id="upper"),
    receipts("before the response", before_response=True),
    receipts("with intermediate ones", intermediate=["ENROUTE", "ACCEPTD"]),
    receipts("out of order", intermediate=["ENROUTE"], final_first=True, jitter_s=1),
    receipts("again and again", copies=3),
    receipts("over another bind", bind="other"),
    receipts("late and repeated", delay_s=4, jitter_s=1, copies=2),
    receipts(
        "that contradict the first",
        intermediate=["EXPIRED", "UNKNOWN"],
        final_first=True,
        bind="same",
    ),
    *(
        receipts(f"that say {state}", "failed", state=state)
        for state in ("UNDELIV", "EXPIRED", "REJECTD", "DELETED")
    ),
    *(
        Night(
            f"decimal ids in receipts, {by}",
            receipt={"by": by, "message_id": "decimal"},
            ends="delivered",
            link="udh16",
        )
        for by in ("tlv", "text")
    ),
    Night("receipts over TLS", receipt={"bind": "other"}, ends="delivered", link="payload"),
)
NIGHTS = (Night("nothing goes wrong"), *_OUT, *_IN, *_LINK, *_RECEIPTS)


def shared_out(nights: Sequence[Night]) -> dict[str, list[Night]]:
    """Return which nights are played over which link, so that all take about the same time.

    The same every time: each night always meets the same link.
    """
    shares: dict[str, list[Night]] = {link.name: [] for link in LINKS}
    for night in nights:
        if night.link:
            shares[night.link].append(night)
    for night in sorted(nights, key=lambda night: -night.lasts_s):
        if not night.link:
            shortest = min(shares, key=lambda name: sum(one.lasts_s for one in shares[name]))
            shares[shortest].append(night)
    return shares
