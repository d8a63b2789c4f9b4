from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.scores import BadScore, Note, parse_score

SCORE = """
title = "茉莉花"
source = "江苏民歌"
key = "D4"
tempo = 60
bar = 2
form = ["A"]

[sections.A]
melody = "MELODY"
chords = "CHORDS"

[[parts]]
voice = "dizi"
PART
"""
D4 = 62


def score_text(melody: str = "1 2", chords: str | None = None, part: str = "") -> str:
    text = SCORE.replace("MELODY", melody).replace("PART", part)
    if chords is None:
        return text.replace('chords = "CHORDS"', "")
    return text.replace("CHORDS", chords)


def melody_of(groups: str) -> list[tuple[float, float, int]]:
    part = parse_score(score_text(groups)).parts[0]
    return [(note.start, note.beats, note.pitch - D4) for note in part.notes]


@pytest.mark.parametrize(
    ("groups", "notes"),
    [
        ("1 2", [(0, 1, 0), (1, 1, 2)]),
        ("35 6", [(0, 0.5, 4), (0.5, 0.5, 7), (1, 1, 9)]),
        ("5653 -", [(0, 0.25, 7), (0.25, 0.25, 9), (0.5, 0.25, 7), (0.75, 1.25, 4)]),
        ("6 -5", [(0, 1.5, 9), (1.5, 0.5, 7)]),
        ("1'- 7,", [(0, 1, 12), (1, 1, -1)]),
        ("#4 b7", [(0, 1, 6), (1, 1, 10)]),
        ("1'' 1,,", [(0, 1, 24), (1, 1, -24)]),
        ("0 1", [(1, 1, 0)]),
        ("1 - | - 0", [(0, 3, 0)]),
        ("5 | 1 2", [(0, 1, 7), (1, 1, 0), (2, 1, 2)]),
    ],
)
def test_numbered_notation_says_pitch_and_length(
    groups: str, notes: list[tuple[float, float, int]]
) -> None:
    assert melody_of(groups) == notes


def test_a_triplet_shares_its_beat() -> None:
    assert [beats for _, beats, _ in melody_of("123 1")] == pytest.approx([1 / 3] * 3 + [1])


@pytest.mark.parametrize(
    ("key", "pitch"), [("C4", 60), ("D4", 62), ("Bb3", 58), ("F#5", 78), ("A2", 45)]
)
def test_the_key_is_where_one_sounds(key: str, pitch: int) -> None:
    score = parse_score(score_text("1 1").replace('key = "D4"', f'key = "{key}"'))
    assert score.parts[0].notes[0].pitch == pitch


@pytest.mark.parametrize(
    ("chord", "tones"),
    [
        ("1", (0, 4, 7)),
        ("6m", (-3, 0, 4)),
        ("57", (-5, -1, 5)),
        ("2m7", (2, 5, 12)),
        ("15", (0, 7, 12)),
        ("b7", (-2, 2, 5)),
        ("#1m", (1, 4, 8)),
    ],
)
def test_a_chord_is_named_by_its_step(chord: str, tones: tuple[int, ...]) -> None:
    part = parse_score(score_text("1 1", chord, 'plays = "chords"')).parts[0]
    assert tuple(note.pitch - D4 for note in part.notes) == tones


def test_chords_share_their_bar_and_a_zero_is_silence() -> None:
    part = parse_score(score_text("1 1 | 1 1", "1 5 | 0", 'plays = "chords"')).parts[0]
    assert {(note.start, note.beats) for note in part.notes} == {(0, 1), (1, 1)}


@pytest.mark.parametrize(
    ("figure", "strikes"),
    [
        ("bass", [(0, 2, 0)]),
        ("alberti", [(0, 0.5, 0), (0.5, 0.5, 7), (1, 0.5, 4), (1.5, 0.5, 7)]),
        ("harp", [(0, 2, 0), (0.25, 1.75, 7), (0.5, 1.5, 12), (0.75, 1.25, 16)]),
        ("waltz", [(0, 1, -12), (1, 1, 4), (1, 1, 7)]),
    ],
)
def test_a_figure_strikes_the_chord_in_its_rhythm(
    figure: str, strikes: list[tuple[float, float, int]]
) -> None:
    text = score_text("1 1", "1", f'plays = "chords"\nfigure = "{figure}"')
    notes = parse_score(text).parts[0].notes
    assert [(note.start, note.beats, note.pitch - D4) for note in notes] == strikes


def test_a_chord_within_the_bar_takes_the_figure_up_where_it_is() -> None:
    text = score_text("1 1", "1 5", 'plays = "chords"\nfigure = "march"')
    low, *high = parse_score(text).parts[0].notes
    assert low == Note(0, 1, D4 - 12)
    assert {note.start for note in high} == {1}


def test_a_part_may_wait_its_turn_be_higher_softer_and_later() -> None:
    part = 'turns = [2]\noctave = 1\ngain = -3\ndelay = 4\n[[parts]]\nvoice = "pipa"'
    text = score_text("1 2", part=part).replace('form = ["A"]', 'form = ["A", "A"]')
    score = parse_score(text)
    assert score.parts[0].notes == (Note(6, 1, D4 + 12), Note(7, 1, D4 + 14))
    assert score.parts[0].gain_db == -3
    assert len(score.parts[1].notes) == 4
    assert score.beats == 8


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (score_text().replace("bar = 2", "bar = = 2"), "(at line 6, column 7)"),
        (score_text().replace('title = "茉莉花"', ""), "title"),
        (score_text().replace("tempo = 60", 'tempo = "fast"'), "tempo"),
        (score_text().replace("bar = 2", "bar = 13"), "bar"),
        (score_text(part="volume = 3"), "volume"),
        (score_text(part='gain = "loud"'), "gain"),
        (score_text().replace("D4", "H4"), "key = 'H4'"),
        (score_text().replace('["A"]', '["B"]'), "form: there is no section 'B'"),
        (score_text().replace("melody", "song"), "section A: the line melody is missing"),
        (score_text("1 2 3"), "section A, melody, bar 1: 3 beats instead of 2"),
        (score_text("1 2 | 1 | 1 2"), "section A, melody, bar 2: 1 beats instead of 2"),
        (score_text("1 8"), "section A, melody, bar 1: '8'"),
        (score_text("- 1"), "section A, melody, bar 1: there is no note to hold"),
        (score_text("1 2", "1 | 1"), "section A, chords: 2 bars, the melody has 1"),
        (score_text("1 2 | 1 2", "1 |  | 1"), "3 bars, the melody has 2"),
        (score_text("1 2 | 1 2", "| 1"), "no chord (write 0 for silence)"),
        (score_text("1 2", "9"), "section A, chords, bar 1: '9' is no chord"),
        (score_text(part='figure = "tango"'), "part 1: figure = 'tango' is none of held"),
        (score_text(part='plays = "descant"'), "part 1: no section of the form has a line"),
        (score_text("0 0"), "part 1: it leads, but has nothing to play"),
    ],
)
def test_what_cannot_be_played_is_said_with_its_place(text: str, said: str) -> None:
    with pytest.raises(BadScore, match=re.escape(said)):
        parse_score(text)


def test_a_second_line_has_the_melodys_bars() -> None:
    text = score_text("1 2").replace('melody = "1 2"', 'melody = "1 2"\ndescant = "3"')
    with pytest.raises(BadScore, match="section A, descant, bar 1: 1 beats instead of 2"):
        parse_score(text)


GROUPS = st.lists(
    st.lists(st.from_regex("[#b]?[1-7][',]?", fullmatch=True), min_size=1, max_size=6).map("".join),
    min_size=2,
    max_size=2,
)


@given(st.lists(GROUPS, min_size=1, max_size=4))
def test_any_notes_fill_their_beats_without_gap_or_overlap(bars: list[list[str]]) -> None:
    score = parse_score(score_text(" | ".join(" ".join(groups) for groups in bars)))
    notes = score.parts[0].notes
    assert score.beats == pytest.approx(2 * len(bars))
    assert sum(note.beats for note in notes) == pytest.approx(score.beats)
    for before, after in zip(notes, notes[1:], strict=False):
        assert before.start + before.beats == pytest.approx(after.start)
