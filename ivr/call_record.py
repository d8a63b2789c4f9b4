"""What one call heard and pressed, kept while it lasts; the proof that a complaint needs.

Instants are the server's own; how much of a sound was heard is what Asterisk reports.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter

from catalog.tones import Tone
from ordering.records import Preview


@dataclass(slots=True)
class _Hearing:
    tone: Tone
    began_ms: int
    heard_ms: int = 0
    to_the_end: bool = False


class CallRecord:
    """Everything that happened in one call. `seconds` is a monotonic clock."""

    def __init__(self, started_at: datetime, seconds: Callable[[], float]) -> None:
        self.started_at = started_at
        self._seconds = seconds
        self._began_s = seconds()
        self.answered_at: datetime | None = None
        self._events: list[tuple[int, str, dict[str, object]]] = []
        self._hearings: list[_Hearing] = []

    def elapsed_ms(self) -> int:
        """Return the milliseconds since the call began."""
        # Rounded up, a key would come after the consent that it gave.
        return int((self._seconds() - self._began_s) * 1000)

    def note(self, kind: str, at_ms: int | None = None, **detail: object) -> None:
        """Add an event of one of a trace's kinds (`store.schema`), now or at `at_ms`."""
        self._events.append((self.elapsed_ms() if at_ms is None else at_ms, kind, detail))

    def ignore_key(self, reason: str) -> None:
        """Tell why the key pressed last did nothing."""
        for _, kind, detail in reversed(self._events):
            if kind == "key":
                detail["ignored"] = reason
                return

    def answered(self) -> None:
        """The line has answered just now."""
        self.answered_at = self.started_at + timedelta(milliseconds=self.elapsed_ms())

    def begin_hearing(self, tone: Tone) -> None:
        """From now on the tone's sound counts as one hearing of it, interrupted or not."""
        self._hearings.append(_Hearing(tone, self.elapsed_ms()))

    def played(self, sound: str, began_ms: int, from_ms: int, to_ms: int, whole: bool) -> None:
        """Add a sound that was played from `from_ms` to `to_ms` of it, `whole`: to its end."""
        if to_ms <= from_ms:
            return
        self.note("played", began_ms, sound=sound, from_ms=from_ms, to_ms=to_ms)
        hearing = self._hearings[-1] if self._hearings else None
        if hearing is not None and hearing.tone.sound == sound:
            hearing.heard_ms += to_ms - from_ms
            hearing.to_the_end |= whole

    def heard_longest(self) -> tuple[Tone, int] | None:
        """Return the tone that was heard longest in all, with its milliseconds."""
        heard: dict[str, int] = {}
        tones: dict[str, Tone] = {}
        for hearing in self._hearings:
            code = hearing.tone.code
            tones.setdefault(code, hearing.tone)
            heard[code] = heard.get(code, 0) + hearing.heard_ms
        if not heard:
            return None
        longest = max(heard, key=lambda code: heard[code])
        return tones[longest], heard[longest]

    def events(self) -> str:
        """Return all events in order of time, as JSON: [ms since the start, kind, {detail}]."""
        return json.dumps(sorted(self._events, key=itemgetter(0)), ensure_ascii=False)

    def previews(self) -> tuple[Preview, ...]:
        """Return each hearing of a tone, numbered from 1."""
        return tuple(
            Preview(
                number,
                hearing.tone.code,
                self.started_at + timedelta(milliseconds=hearing.began_ms),
                hearing.heard_ms,
                hearing.to_the_end,
            )
            for number, hearing in enumerate(self._hearings, start=1)
        )
