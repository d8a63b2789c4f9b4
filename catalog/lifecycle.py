"""What may become of a tone: draft, published, suspended, retired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DRAFT = "draft"
PUBLISHED = "published"
SUSPENDED = "suspended"
RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Move:
    """A step of a tone's life: its verb, from which states it leads, and where to."""

    verb: str
    done: str
    sources: tuple[str, ...]
    target: str


MOVES: Mapping[str, Move] = {
    move.verb: move
    for move in (
        Move("publish", "published", (DRAFT,), PUBLISHED),
        Move("suspend", "suspended", (PUBLISHED,), SUSPENDED),
        Move("resume", "published again", (SUSPENDED,), PUBLISHED),
        Move("retire", "retired", (DRAFT, PUBLISHED, SUSPENDED), RETIRED),
    )
}
"""Retired is the end: only importing the same song again brings a tone back."""

_WHAT_TO_DO = {
    (PUBLISHED, "resume"): "it is heard already",
    (SUSPENDED, "publish"): "`toneline tones resume` ends a suspension",
    (RETIRED, "publish"): "import it again to bring it back",
    (RETIRED, "resume"): "import it again to bring it back",
    (DRAFT, "resume"): "`toneline tones publish` publishes it",
}


def refusal(code: str, state: str, verb: str) -> str | None:
    """Return why a tone in this state cannot take this step, in a sentence; None: it can."""
    move = MOVES[verb]
    if state in move.sources:
        return None
    from_what = " or ".join(move.sources)
    hint = _WHAT_TO_DO.get((state, verb), f"only a {from_what} tone can be {move.done}")
    return f"tone {code} is {state}: {hint}"


def imported(state: str | None, *, as_draft: bool) -> str:
    """Return the state of a tone after an import; `state` is the one before, None: a new tone.

    A suspension has a reason that no import knows of, and what callers hear is no draft any more:
    both stay as they are.
    """
    if state in {SUSPENDED, PUBLISHED}:
        return str(state)
    return DRAFT if as_draft else PUBLISHED
