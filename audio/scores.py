"""scores.py: a score in numbered notation (简谱) -> the notes of each part.

A score is a TOML file: `title`, `source`, `key` (where 1 sounds, such as "D4"), `tempo` (beats a
minute), `bar` (beats in a bar), `form` (the sections in order), `[sections.NAME]` with its lines,
and `[[parts]]`, each a voice that plays one line (`gain` in dB beside a leading part, `octave`,
`turns` of the form that it plays in, `delay` in beats for a canon, `figure` of an accompaniment).

A line is written as singers write it, one group a beat: `3` is a note of one beat, `35` two halves,
`5653` four quarters, `123` a triplet; `-` holds the note before it, so that `6 -5` is one and a
half beats and a half; `0` is silence. `'` after a note raises it an octave, `,` lowers it, `#` or
`b` before it alters it, and `|` ends a bar. The line `chords` has chord names instead of notes,
which share their bar equally: a step of the scale and `m`, `7`, `m7`, `5` or nothing, `0` for none.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from pydantic import BaseModel, ConfigDict, Field, ValidationError

VERSION = 1
"""Raised whenever the same score sounds different, so that tones are rendered anew."""

_SCALE = (0, 2, 4, 5, 7, 9, 11)
_ALTERED = {"": 0, "#": 1, "b": -1}
_NAMES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_KEY = re.compile(r"([A-G])([#b]?)([2-6])")
_SIGN = re.compile(r"([#b]?)([1-7])([',]*)|(0)|(-)")
_CHORD = re.compile(r"([#b]?)([1-7])(m7|m|7|5|)")
_TRIADS = {"": (0, 4, 7), "m": (0, 3, 7), "7": (0, 4, 10), "m7": (0, 3, 10), "5": (0, 7, 12)}


class BadScore(Exception):
    """A score that cannot be played: `where: what is wrong`."""


@dataclass(frozen=True, slots=True)
class Note:
    """One note: where it begins and how long it is in beats, and its MIDI pitch (69 is a1)."""

    start: float
    beats: float
    pitch: int


@dataclass(frozen=True, slots=True)
class Part:
    """What one voice plays; `gain_db` is its level beside a leading part's 0."""

    voice: str
    gain_db: float
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """A piece: `tempo` in beats a minute, `beats` its whole length, the first part leading."""

    title: str
    tempo: float
    bar: int
    beats: float
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """An accompaniment: the chord's notes struck every `step` beats, over and over.

    A note is counted upwards from the root: 0 root, 1 third, 2 fifth, 3 the root above, -3 the one
    below. A `step` of 0 strikes once and holds; `once` plays through once and stops.
    """

    step: float
    strikes: tuple[tuple[int, ...], ...]
    once: bool = False


FIGURES: Mapping[str, Figure] = {
    "held": Figure(0, ((0, 1, 2),)),
    "bass": Figure(0, ((0,),)),
    "drone": Figure(0, ((0, 2),)),
    "harp": Figure(0.25, ((0,), (2,), (3,), (4,)), once=True),
    "rise": Figure(0.5, ((0,), (2,), (3,)), once=True),
    "arpeggio": Figure(0.5, ((0,), (2,), (3,), (4,), (3,), (2,))),
    "alberti": Figure(0.5, ((0,), (2,), (1,), (2,))),
    "triplets": Figure(1 / 3, ((0,), (2,), (3,))),
    "six": Figure(1 / 6, ((0,), (2,), (3,), (4,), (3,), (2,))),
    "waltz": Figure(1, ((-3,), (1, 2), (1, 2))),
    "march": Figure(1, ((-3,), (0, 1, 2), (-1,), (0, 1, 2))),
    "polka": Figure(0.5, ((-3,), (1, 2, 3))),
    "habanera": Figure(0.25, ((0,), (), (), (2,), (3,), (), (2,), ())),
    "beat": Figure(1, ((0, 1, 2),)),
}


@dataclass(frozen=True, slots=True)
class _Event:
    """A note or a chord's tones (none: silence) within a section."""

    start: Fraction
    beats: Fraction
    pitches: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Section:
    beats: Fraction
    lines: Mapping[str, tuple[_Event, ...]]


class _PartText(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    voice: str
    plays: str = "melody"
    figure: str = "held"
    gain: float = Field(default=0.0, ge=-40, le=20)
    octave: int = Field(default=0, ge=-3, le=3)
    turns: list[int] | None = None
    delay: float = Field(default=0.0, ge=0, le=64)


class _ScoreText(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    title: str
    source: str
    key: str
    tempo: float = Field(ge=20, le=400)
    bar: int = Field(ge=1, le=12)
    form: list[str] = Field(min_length=1)
    sections: dict[str, dict[str, str]]
    parts: list[_PartText] = Field(min_length=1)


def parse_score(text: str) -> Score:
    """Return the score written in `text`.

    Raises:
        BadScore: with the place (section, line, bar) and what is allowed there.
    """
    try:
        return _score(_ScoreText.model_validate(tomllib.loads(text)))
    except tomllib.TOMLDecodeError as error:
        raise BadScore(str(error)) from error
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise BadScore("; ".join(wrong)) from error


def _score(score: _ScoreText) -> Score:
    tonic = _tonic(score.key)
    sections = {
        name: _section(name, lines, tonic, score.bar) for name, lines in score.sections.items()
    }
    for name in score.form:
        if name not in sections:
            raise BadScore(f"form: there is no section {name!r}")
    turns = [sections[name] for name in score.form]
    parts = tuple(
        _part(f"part {number}", part, turns, score.bar)
        for number, part in enumerate(score.parts, start=1)
    )
    if not parts[0].notes:
        raise BadScore("part 1: it leads, but has nothing to play")
    end = max(note.start + note.beats for part in parts for note in part.notes)
    beats = max(end, float(sum(turn.beats for turn in turns)))
    return Score(score.title, score.tempo, score.bar, beats, parts)


def _tonic(key: str) -> int:
    found = _KEY.fullmatch(key)
    if found is None:
        raise BadScore(f'key = {key!r}: a note and its octave such as "D4" or "Bb3" is needed')
    letter, altered, octave = found.groups()
    return 12 * (int(octave) + 1) + _NAMES[letter] + _ALTERED[altered]


def _section(section: str, lines: Mapping[str, str], tonic: int, bar: int) -> _Section:
    if "melody" not in lines:
        raise BadScore(f"section {section}: the line melody is missing")
    lengths: tuple[int, ...] = ()
    events = {}
    for line in sorted(lines, key=lambda line: line != "melody"):
        where = f"section {section}, {line}"
        bars = [text.split() for text in lines[line].strip().removesuffix("|").split("|")]
        if line == "melody":
            lengths = _bar_lengths(where, bars, bar)
        if len(bars) != len(lengths):
            raise BadScore(f"{where}: {len(bars)} bars, the melody has {len(lengths)}")
        read = _chord_events if line == "chords" else _note_events
        events[line] = tuple(read(where, bars, lengths, tonic))
    return _Section(Fraction(sum(lengths)), events)


def _bar_lengths(where: str, bars: Sequence[Sequence[str]], bar: int) -> tuple[int, ...]:
    lengths = tuple(len(groups) for groups in bars)
    for number, length in enumerate(lengths, start=1):
        is_edge = number in {1, len(lengths)}  # a pick-up, and the last bar that makes it whole
        if not 1 <= length <= bar or (length < bar and not is_edge):
            raise BadScore(f"{where}, bar {number}: {length} beats instead of {bar}")
    return lengths


def _note_events(
    where: str, bars: Sequence[Sequence[str]], lengths: Sequence[int], tonic: int
) -> Iterator[_Event]:
    """Yield the notes of a line, held ones joined across groups and bars."""
    now = Fraction(0)
    last: _Event | None = None
    for number, (groups, length) in enumerate(zip(bars, lengths, strict=True), start=1):
        if len(groups) != length:
            raise BadScore(f"{where}, bar {number}: {len(groups)} beats instead of {length}")
        for group in groups:
            signs = _signs(f"{where}, bar {number}", group)
            share = Fraction(1, len(signs))
            for sign in signs:
                if sign[4]:  # "-": the note before it goes on
                    if last is None:
                        raise BadScore(f"{where}, bar {number}: there is no note to hold")
                    last = _Event(last.start, last.beats + share, last.pitches)
                else:
                    if last is not None:
                        yield last
                    last = _Event(now, share, () if sign[3] else (_pitch(sign, tonic),))
                now += share
    if last is not None:
        yield last


def _signs(where: str, group: str) -> list[tuple[str, ...]]:
    signs = _SIGN.findall(group)
    if "".join("".join(sign) for sign in signs) != group:
        raise BadScore(f"{where}: {group!r} is no beat of notes 1-7, 0, -, ', comma, # and b")
    return signs


def _pitch(sign: Sequence[str], tonic: int) -> int:
    altered, step, octaves = sign[:3]
    octave = octaves.count("'") - octaves.count(",")
    return tonic + _SCALE[int(step) - 1] + _ALTERED[altered] + 12 * octave


def _chord_events(
    where: str, bars: Sequence[Sequence[str]], lengths: Sequence[int], tonic: int
) -> Iterator[_Event]:
    start = Fraction(0)
    for number, (chords, length) in enumerate(zip(bars, lengths, strict=True), start=1):
        if not chords:
            raise BadScore(f"{where}, bar {number}: no chord (write 0 for silence)")
        share = Fraction(length, len(chords))
        for chord in chords:
            yield _Event(start, share, _triad(f"{where}, bar {number}", chord, tonic))
            start += share


def _triad(where: str, chord: str, tonic: int) -> tuple[int, ...]:
    if chord == "0":
        return ()
    found = _CHORD.fullmatch(chord)
    if found is None:
        raise BadScore(f"{where}: {chord!r} is no chord such as 1, 6m, 57 or 2m7")
    altered, step, kind = found.groups()
    root = _SCALE[int(step) - 1] + _ALTERED[altered]
    if root > 5:  # the nearest root to the tonic keeps the accompaniment in one register
        root -= 12
    return tuple(tonic + root + interval for interval in _TRIADS[kind])


def _part(where: str, part: _PartText, turns: Sequence[_Section], bar: int) -> Part:
    if part.figure not in FIGURES:
        raise BadScore(f"{where}: figure = {part.figure!r} is none of {', '.join(FIGURES)}")
    if not any(part.plays in turn.lines for turn in turns):
        raise BadScore(f"{where}: no section of the form has a line {part.plays!r}")
    figure = FIGURES[part.figure]
    start = part.delay
    notes: list[Note] = []
    for number, turn in enumerate(turns, start=1):
        if part.turns is None or number in part.turns:
            for event in turn.lines.get(part.plays, ()):
                heard = _strike(event, figure, bar) if part.plays == "chords" else _sing(event)
                notes += [
                    Note(start + note.start, note.beats, note.pitch + 12 * part.octave)
                    for note in heard
                ]
        start += float(turn.beats)
    return Part(part.voice, part.gain, tuple(notes))


def _sing(event: _Event) -> Iterator[Note]:
    for pitch in event.pitches:
        yield Note(float(event.start), float(event.beats), pitch)


def _strike(chord: _Event, figure: Figure, bar: int) -> Iterator[Note]:
    """Yield a chord's notes in the rhythm of `figure`."""
    if not chord.pitches:
        return
    length = float(chord.beats)
    step = figure.step or length
    times = round(length / step)
    if figure.once:
        times = min(times, len(figure.strikes))
    # a chord that begins within a bar takes the figure up where the bar has got to
    first = 0 if figure.once or not figure.step else round(float(chord.start % bar) / step)
    for count in range(times):
        for tone in figure.strikes[(first + count) % len(figure.strikes)]:
            octave, index = divmod(tone, 3)
            sounding = length - count * step if figure.once else step
            yield Note(
                float(chord.start) + count * step, sounding, chord.pitches[index] + 12 * octave
            )
