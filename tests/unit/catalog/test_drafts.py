from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.directory_file import read_file
from catalog.drafts import Checked, Knowledge, check, instant, same_owner_twice
from catalog.written import AUTO
from tests.fakes.catalogue import CODES, SHANGHAI, a_tone, some_tones

NOW = datetime(2026, 11, 20, tzinfo=UTC)
TONES = {tone.code: tone for tone in some_tones()} | {
    "2005": a_tone("2005", state="retired"),
    "2032": a_tone("2032", state="suspended"),
    "2014": a_tone("2014", licence_until=date(2026, 11, 30)),
    "2023": a_tone("2023", licence_until=date(2027, 2, 10)),
}
TEN = ", ".join(CODES[:10])
GOOD = f"""\
# 扬州分公司
branch: yangzhou
contact: "13905250000"
editions:
  - from: 2026-11-23
    songs: [{TEN}]
    reserve: [1108]
  - from: 2027-02-06T00:00
    to: 2027-02-13
    kind: holiday
    songs: [{TEN}]
"""


def checked(text: str | bytes, file: str = "y.yaml", **known: object) -> Checked:
    data = text.encode() if isinstance(text, str) else text
    return check(read_file(data, file), Knowledge(TONES, SHANGHAI, NOW, **known))  # type: ignore[arg-type]


def test_a_branchs_file_gives_its_editions_at_local_midnight() -> None:
    file = checked(GOOD)
    assert file.errors == ()
    assert (file.owner, file.contact) == ("yangzhou", "8613905250000")
    regular, holiday = file.drafts
    assert regular.valid_from == datetime(2026, 11, 22, 16, tzinfo=UTC)
    assert regular.slots == CODES[:10]
    assert regular.reserve == ("1108",)
    assert holiday.kind == "holiday"
    assert holiday.valid_to == datetime(2027, 2, 12, 16, tzinfo=UTC)


def test_a_wrong_song_is_named_with_line_and_column() -> None:
    wrong = GOOD.replace("1041", "1999", 1)
    assert checked(wrong).errors == ("y.yaml:6:37: tone 1999 is not in the catalogue",)


@pytest.mark.parametrize(
    ("wrong", "right", "said"),
    [
        ("branch: yangzhou", "branch: mars", "y.yaml:2:9: there is no branch 'mars'"),
        ("branch: yangzhou\n", "", "y.yaml:2:1: the file begins with"),
        ("branch: yangzhou\n", "branch: yangzhou\nprovince: jiangsu\n", "not both"),
        ("branch:", "province:", "there is no province 'yangzhou'; write `branch: yangzhou`"),
        ("branch: yangzhou", "branch: jiangsu",
         "y.yaml:2:9: there is no branch 'jiangsu'; write `province: jiangsu`"),
        ("1010, 1029", "1010,,1029", "y.yaml:6:24: something is missing here: between two commas"),
        ("1041", "1032", "y.yaml:6:37: tone 1032 stands here twice"),
        ("[1108]", "[1007]", "y.yaml:7:15: tone 1007 stands here twice"),
        ("1041", "2005", "tone 2005 was taken out of the catalogue"),
        ("1041", "2032", "tone 2032 is not published: it is suspended"),
        ("1041", "12", "y.yaml:6:37: '12' is not a tone's code"),
        ("1093]", "1093, 1108]", "y.yaml:6:73: this is song 11; a directory has 10"),
        ("2026-11-23", "Montag", "`from:` is a date such as"),
        ("2026-11-23", "2026-11-31", "`from:` names a day or a time that does not exist"),
        ("2026-11-23", "20261123-1", "`from:` is a date such as"),
        ("2026-11-23", "2996-11-23", "`from:` is in the year 2996"),
        ("from: 2026-11-23", "von: 2026-11-23", "an edition has `from:` and `songs:`"),
        ("kind: holiday", "kind: party", "y.yaml:10:11: the kind is regular, holiday or"),
        ("    to: 2027-02-13\n", "", "a holiday edition needs `to:`"),
        ("2027-02-13", "2027-02-01", "y.yaml:9:9: `to:` is not later than `from:`"),
        ("reserve: [1108]", "reserve: 1108", "`reserve:` is a list such as"),
        ("reserve: [1108]", "reserve: [auto]", "the reserve has codes only"),
        ("contact:", "kontakt:", "`kontakt` is not known here"),
        ('"13905250000"', '"0514-8888"', "y.yaml:3:10: '0514-8888' is not a mobile number"),
        ("  - from: 2026-11-23", "\t- from: 2026-11-23", "y.yaml:5:1: a tab stands here"),
        ("reserve: [1108]", "from: 2026-11-24", "`from:` stands here a second time"),
        ("2027-02-06T00:00\n    to: 2027-02-13\n    kind: holiday", "2026-11-23",
         "y.yaml:8:11: another regular edition begins at the same time, in line 5"),
    ],
)  # fmt: skip
def test_what_a_clerk_got_wrong_is_said_in_a_sentence(wrong: str, right: str, said: str) -> None:
    assert any(said in error for error in checked(GOOD.replace(wrong, right, 1)).errors)


@pytest.mark.parametrize(
    "text",
    ["", "- 1\n- 2\n", "branch: yangzhou\n", "branch: yangzhou\neditions: [1]\n", "[" * 9999,
     "branch: [a]\neditions:\n- a: b\n", "a: &x [*x]\n", "\0\1\2", "branch: yang\x07zhou\n"],
)  # fmt: skip
def test_a_file_of_another_shape_is_refused(text: str) -> None:
    assert checked(text).errors


def test_every_error_is_told_at_once_in_the_files_order() -> None:
    wrong = (
        GOOD.replace("1041", "1999", 1).replace("holiday", "party").replace("13905250000", "110")
    )
    lines = [int(error.split(":")[1]) for error in checked(wrong).errors]
    assert lines == [3, 6, 10]


def test_a_file_named_for_another_branch_is_refused() -> None:
    said = "wuxi.yaml:2:9: the file is named for wuxi, but is yangzhou's"
    assert checked(GOOD, "wuxi.yaml").errors == (said,)
    assert checked(GOOD, "directories/yangzhou.yaml").errors == ()


def test_two_files_of_one_branch_are_both_refused() -> None:
    files = [read_file(GOOD.encode(), name) for name in ("a.yaml", "b.yaml")]
    twice = same_owner_twice([*files, read_file(b"province: jiangsu", "c.yaml")])
    assert sorted(twice) == ["a.yaml", "b.yaml"]
    assert "yangzhou has another file, b.yaml" in twice["a.yaml"].sentence


@pytest.mark.parametrize(
    ("songs", "slots"),
    [
        ("auto", (AUTO,) * 10),
        ("[1007, auto, 1010]", ("1007", AUTO, "1010", *(AUTO,) * 7)),
        ("[1007]", ("1007", *(AUTO,) * 9)),
        ("[１００７, ＡＵＴＯ]", ("1007", *(AUTO,) * 9)),
    ],
)
def test_what_is_left_open_is_auto(songs: str, slots: tuple[str, ...]) -> None:
    text = f"branch: yangzhou\neditions:\n  - from: 2026-11-23\n    songs: {songs}\n"
    assert checked(text).drafts[0].slots == slots


def test_a_licence_must_cover_an_edition_that_ends() -> None:
    text = GOOD.replace("1007", "2023")
    said = "y.yaml:11:13: the licence of tone 2023 ends on 2027-02-10, before this edition does"
    assert checked(text).errors == (said,)
    assert checked(text.replace("to: 2027-02-13", "to: 2027-02-11")).errors == ()


def test_a_licence_must_hold_when_an_edition_is_first_heard() -> None:
    text = GOOD.replace("1007", "2014", 1)
    assert checked(text).errors == ()
    late = text.replace("from: 2026-11-23", "from: 2026-12-01")
    said = "y.yaml:6:13: the licence of tone 2014 ended on 2026-11-30, before this edition is heard"
    assert checked(late).errors == (said,)


def test_a_licence_must_last_until_the_next_regular_edition_of_the_file() -> None:
    text = GOOD.replace("1007", "2014", 1)  # until 2026-11-30
    later = f"  - from: 2026-12-07\n    songs: [{TEN}]\n"
    said = (
        "y.yaml:6:13: the licence of tone 2014 ends on 2026-11-30, before the next edition begins,"
        " on 2026-12-07"
    )
    assert checked(text + later).errors == (said,)
    assert checked(text + later.replace("12-07", "12-01")).errors == ()
    assert checked(text + later.replace("2026-12-07", "2026-11-02")).errors == ()


@pytest.mark.parametrize(("days", "told"), [(7, 0), (8, 1), (30, 1)])
def test_a_song_that_is_heard_but_not_sold_is_a_warning(days: int, told: int) -> None:
    file = checked(GOOD.replace("1007", "2014", 1), stop_selling_days=days)
    assert file.errors == ()
    assert len(file.warnings) == told
    assert all(
        warning.startswith("y.yaml:6:13: tone 2014 would be heard but not sold: its licence ends")
        for warning in file.warnings
    )


def test_an_edition_that_was_published_is_not_held_against_todays_catalogue() -> None:
    text = GOOD.replace("1041", "2005", 1)
    (error,) = checked(text).errors
    assert "2005" in error
    published = {draft.checksum for draft in checked(text).drafts}
    assert checked(text, published=published).errors == ()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gb18030"])
def test_a_file_is_read_in_the_encodings_that_editors_write(encoding: str) -> None:
    assert checked(GOOD.replace("\n", "\r\n").encode(encoding)).errors == ()


def test_full_width_marks_are_told_with_all_other_errors() -> None:
    text = GOOD.replace("from: 2026", "from：2026", 1).replace("1041, ", "1999，", 1)
    assert [error.split(": ", 1)[0] for error in checked(text).errors] == [
        "y.yaml:5:9", "y.yaml:6:37", "y.yaml:6:41",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-23", "2026-11-23T00:00:00+08:00"),
        ("2026/1/5", "2026-01-05T00:00:00+08:00"),
        ("2026-11-23 04:00", "2026-11-23T04:00:00+08:00"),
        ("2026-11-23T04:00:30", "2026-11-23T04:00:30+08:00"),
        ("2026-11-23T04:00Z", "2026-11-23T04:00:00+00:00"),
        ("２０２６-11-23", "2026-11-23T00:00:00+08:00"),
    ],
)
def test_a_date_is_local_midnight_and_a_time_is_local(text: str, at: str) -> None:
    assert instant(text, SHANGHAI) == datetime.fromisoformat(at)


@settings(deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_no_bytes_whatever_raise_anything(data: bytes) -> None:
    assert checked(data).errors


@settings(deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.text(max_size=3))
def test_a_damaged_file_has_errors_or_drafts_and_raises_nothing(at: int, put: str) -> None:
    file = checked(GOOD[:at] + put + GOOD[at + 1 :])
    assert file.errors or file.drafts
    for error in file.errors:
        name, line, column, _ = error.split(":", 3)
        assert (name, int(line) >= 1, int(column) >= 1) == ("y.yaml", True, True)
