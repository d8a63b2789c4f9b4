"""A call of the telephone in the terminal, told: as a person would, or as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from audio.formats import FIRST_SECONDS
from catalog.tones import Tone
from ivr.phone import Event, Text
from ivr.prompts import PromptBook

_MUSIC = "♪"
_SENTENCE_ENDS = ("。", "？", "！", ".", "?", "!")


def text_of(book: PromptBook, tones: Iterable[Tone], sounds: str) -> Text:
    """Return what tells the words of every sound: prompts, spoken titles, tones.

    `sounds` is the sounds folder as the line names it.
    """
    known: dict[str, str] = {}
    for tone in tones:
        known[tone.sound] = f"{_MUSIC} {tone.title}"
        known[tone.sound + FIRST_SECONDS] = f"{_MUSIC} {tone.title} …"
        if tone.title_sound:
            known[tone.title_sound] = f"《{tone.title}》"

    def text(sound: str) -> str | None:
        stem = sound.removeprefix(sounds.rstrip("/") + "/")
        return book.text_of(stem) or known.get(stem)

    return text


class Teller:
    """Tells a call as a person would: a line a sentence, the words of its files joined."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._began_at = 0.0
        self._words = ""

    def tell(self, event: Event) -> None:
        """Take the next event; a call's last one is always a hang-up."""
        words = event.text or event.file or ""
        if event.kind != "played" or words.startswith(_MUSIC):
            self._end_sentence()
        if event.kind == "key":
            self._tell(event.at, "you ", f"press {event.digit}")
        elif event.kind == "hangup":
            who, does = ("you ", "hang up") if event.by == "caller" else ("line", "hangs up")
            self._tell(event.at, who, does)
        elif not event.from_ms:  # else it goes on where a key without meaning had stopped it
            self._began_at = self._began_at if self._words else event.at
            self._words = _joined(self._words, words)
            if words.startswith(_MUSIC) or words.endswith(_SENTENCE_ENDS):
                self._end_sentence()

    def _end_sentence(self) -> None:
        words, self._words = self._words, ""
        if words:
            self._tell(self._began_at, "line", words)

    def _tell(self, at: float, who: str, what: str) -> None:
        minutes, seconds = divmod(int(at), 60)
        self._write(f"{minutes}:{seconds:02d}  {who}  {what}")


def _joined(before: str, words: str) -> str:
    """Put words behind others; Chinese needs no space between them."""
    parted = bool(before and words) and (before[-1].isascii() or words[0].isascii())
    return f"{before} {words}" if parted else before + words


def as_json(dialled: str, caller: str, events: Iterable[Event]) -> dict[str, object]:
    """Return a call as `toneline phone --json` prints it."""
    return {
        "dialled": dialled,
        "from": caller,
        "events": [
            {name: getattr(event, name) for name in Event.__slots__ if _says(event, name)}
            for event in events
        ],
    }


def _says(event: Event, name: str) -> bool:
    return name in {"at", "kind", "file", "text", "digit"} or getattr(event, name) is not None
