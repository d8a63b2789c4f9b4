from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.catalogue_file import COLUMNS, BadCatalogue, read_catalogue
from catalog.importing import Planned, plan_import
from catalog.tones import Tone
from tests.fakes.catalogue import CODES, SHANGHAI, a_tone

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
LATELY = NOW - timedelta(days=30)


def planned(
    *lines: str, present: tuple[Tone, ...] = (), as_draft: bool = False, replaces: bool = False
) -> list[Planned]:
    rows = read_catalogue("\n".join([",".join(COLUMNS), *lines]), "c.csv")
    known = {tone.code: tone for tone in present}
    made = plan_import(rows, "c.csv", known, NOW, SHANGHAI, as_draft=as_draft, replaces=replaces)
    return list(made)


def line(code: str, title: str = "茉莉花", audio: str = "a.wav", artist: str = "古筝") -> str:
    return f"{code},{title},{artist},示例曲库,民歌,200,150,100,,{audio}"


def refused(*lines: str, present: tuple[Tone, ...] = ()) -> list[str]:
    with pytest.raises(BadCatalogue) as bad:
        planned(*lines, present=present)
    return list(bad.value.errors)


def retired(code: str = "1029", at: datetime = LATELY, title: str = "茉莉花") -> Tone:
    return replace(a_tone(code, title, state="retired"), retired_at=at)


def codes_of(found: list[Planned]) -> list[str]:
    return [one.row.code for one in found]


def test_a_line_without_code_gets_the_next_free_one() -> None:
    found = planned(line("", "一"), line("1010", "二"), line("", "三"), present=(a_tone("1007"),))
    assert codes_of(found) == ["1029", "1010", "1032"]
    assert [one.is_new_code for one in found] == [True, False, True]


def test_importing_a_file_again_makes_no_second_tone_of_a_song() -> None:
    known = (a_tone("1055"), a_tone("1041", "紫竹调", state="suspended"))
    found = planned(line(""), line("", "紫竹调"), present=known)
    assert codes_of(found) == ["1055", "1041"]
    assert not any(one.is_new_code for one in found)
    assert codes_of(planned(line(""), present=(retired("1007"),))) == ["1010"]


def test_one_song_twice_is_an_error() -> None:
    assert refused(line(""), line("")) == ["c.csv:3:title: 茉莉花: stands in line 2 too"]
    assert refused(line("1055", "别的"), line(""), present=(a_tone("1055"),)) == [
        "c.csv:3:title: 茉莉花: stands in line 2 too"
    ]


def test_another_song_waits_until_the_codes_quarantine_is_over() -> None:
    song = line("1029", "紫竹调")
    assert refused(song, present=(retired(),)) == [
        "c.csv:2:code: 1029: it was 茉莉花 by 古筝 until 2026-10-24;"
        " another song may have it from 2027-01-22 16:00 on"
    ]
    assert planned(song, present=(retired(at=NOW - timedelta(days=90)),))[0].state == "published"
    assert refused(song, present=(retired(at=NOW - timedelta(days=90, seconds=-1)),))


def test_the_same_song_comes_back_at_once() -> None:
    (back,) = planned(line("1029"), present=(retired(),))
    assert back.state == "published"
    tone = back.tone("s", 1, None)
    assert (tone.state, tone.retired_at) == ("published", None)


def test_a_suspended_tone_stays_suspended_with_its_reason() -> None:
    known = replace(a_tone(state="suspended"), reason="版权")
    (kept,) = planned(line("1029"), present=(known,))
    tone = kept.tone("s", 1, None)
    assert (tone.state, tone.reason) == ("suspended", "版权")


def test_new_tones_may_come_as_drafts() -> None:
    found = planned(line("1007"), line("1029", "二"), present=(a_tone(),), as_draft=True)
    assert [one.state for one in found] == ["draft", "published"]


def test_a_new_tone_needs_a_recording_and_a_known_one_does_not() -> None:
    assert refused(line("1007", audio="")) == ["c.csv:2:audio: a new tone needs a recording"]
    assert planned(line("1029", audio=""), present=(a_tone(),))
    old = retired(at=NOW - timedelta(days=100))
    assert refused(line("1029", "新歌", audio=""), present=(old,)) == [
        "c.csv:2:audio: a new tone needs a recording"
    ]


@pytest.mark.parametrize("state", ["published", "suspended", "draft"])
def test_a_live_code_gets_another_song_only_if_that_is_asked_for(state: str) -> None:
    present = (a_tone(state=state),)
    other = line("1029", "新歌", artist="新人")
    assert refused(other, present=present) == [
        "c.csv:2:code: 1029: it is 茉莉花 by 古筝; only --replace makes another of it"
    ]
    (one,) = planned(other, present=present, replaces=True)
    assert one.replaced == present[0]
    with pytest.raises(BadCatalogue, match="2:audio: a new tone needs a recording"):
        planned(line("1029", "新歌", "", "新人"), present=present, replaces=True)


def test_a_title_or_an_artist_may_be_corrected() -> None:
    for corrected in (line("1029", "茉莉花（新）", ""), line("1029", audio="", artist="笛子")):
        assert planned(corrected, present=(a_tone(),))[0].replaced is None


def test_every_error_is_named_by_line() -> None:
    lines = (line("1007", audio=""), line("1029", "新歌"), line("1010", "二", audio=""))
    assert [error.split(": ")[0] for error in refused(*lines, present=(retired(),))] == [
        "c.csv:2:audio", "c.csv:3:code", "c.csv:4:audio",
    ]  # fmt: skip


@given(
    st.lists(st.sampled_from(["", *CODES]), min_size=1, max_size=12),
    st.sets(st.sampled_from(CODES)),
)
def test_no_two_lines_ever_share_a_code(wanted: list[str], present: set[str]) -> None:
    given_once = [
        code for index, code in enumerate(wanted) if not code or code not in wanted[:index]
    ]
    lines = [line(code, f"新{index}") for index, code in enumerate(given_once)]
    known = tuple(a_tone(code, f"曲{code}") for code in present)
    found = codes_of(planned(*lines, present=known))
    assert len(set(found)) == len(found)
    new = {code for code, own in zip(found, given_once, strict=True) if not own}
    assert not new & present
