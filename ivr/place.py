"""Where a caller can be, and the ways that lead elsewhere.

Each place is a frozen dataclass; `visit` plays what belongs there and returns what the caller's
keys, or his silence, lead to. A place knows those it leads down to; the way up goes by a name.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Protocol, runtime_checkable

from catalog.tones import Tone
from ivr.call import Call


class Way(Enum):
    """A way that leads back from any place."""

    MENU = auto()  # the main menu
    START = auto()  # the greeting and the main menu, as if the call began
    OUT = auto()  # the line hangs up


class Place(Protocol):
    """Somewhere in the call."""

    async def visit(self, call: Call) -> Place | Way:
        """Be there until a key or silence leads on."""


@runtime_checkable
class SongList(Place, Protocol):
    """A place that a tone was chosen from."""

    @property
    def tones(self) -> tuple[Tone, ...]:
        """Its songs, in their order."""


async def said(call: Call, sentence: str, **values: object) -> Way:
    """Say why there is nothing here, and go back to the menu with what was pressed."""
    call.ear.type_again(await call.hear(sentence, **values))
    return Way.MENU
