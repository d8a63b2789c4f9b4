"""What the tests of calls share: often used scripts and ways to read what a caller heard."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from catalog.tones import Tone
from ordering import orders
from tests.fakes.channel import HANG_UP, IN_SILENCE, FakeChannel
from tests.fakes.line import LineFixture

TONE = "tones/1029-a"
DIRECT = "125300191029"
ORDER = [(f"during {TONE}", "1", 6000), (IN_SILENCE, "1"), (IN_SILENCE, HANG_UP)]
MENU = ["welcome", "menu_province", "branch_yangzhou", "menu_branch", "menu_rest"]
MENU_AGAIN = ["back_to_menu", *MENU[1:]]


def tones_played(channel: FakeChannel) -> list[str]:
    """The codes of the tones begun, excerpts with their ending."""
    sounds = [playing.sound for playing in channel.played if not playing.from_ms]
    return [
        sound.removeprefix("tones/").removesuffix("-a").replace("-a-", "-")
        for sound in sounds
        if sound.startswith("tones/")
    ]


def part_after(said: list[str], last: str) -> list[str]:
    """What was said after the first time something was."""
    return said[said.index(last) + 1 :]


def own(line: LineFixture, tone: Tone) -> None:
    """Let the caller have ordered a tone before."""
    quote = line.line.operator.quote("8613905250001", tone)
    request = orders.OrderRequest(
        order_id=line.line.new_id(),
        msisdn="8613905250001",
        tone_code=tone.code,
        title=tone.title,
        channel="sms",
        quote=_now(quote),
        requested_at=line.now(),
        confirmed_at=line.now(),
        shown="{}",
        answer="Y",
    )
    limits = orders.Limits(100, 100_000, 30, "Asia/Shanghai")
    assert isinstance(
        line.local.run_now(orders.place, request, None, limits, line.now()), orders.Placed
    )
    line.clock.advance(0.001)


def _now(coroutine: Any) -> Any:
    result: list[Any] = []
    Deferred.fromCoroutine(coroutine).addCallback(result.append)
    return result[0]
