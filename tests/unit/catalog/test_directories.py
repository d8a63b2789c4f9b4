from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.directories import (
    BadDirectory,
    Edition,
    all_editions,
    current_edition,
    publish_editions,
    read_directory,
)
from store.database import LocalDatabase
from tests.fakes.catalogue import CODES, SHANGHAI, a_tone, some_tones

TONES = {tone.code: tone for tone in some_tones()} | {"2005": a_tone("2005", state="retired")}
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


def errors_of(text: str) -> tuple[str, ...]:
    with pytest.raises(BadDirectory) as refused:
        read_directory(text, "y.yaml", TONES, SHANGHAI)
    return refused.value.errors


def test_a_branchs_file_gives_its_editions_at_local_midnight() -> None:
    file = read_directory(GOOD, "y.yaml", TONES, SHANGHAI)
    assert (file.owner, file.contact) == ("yangzhou", "13905250000")
    regular, holiday = file.editions
    assert regular.valid_from == datetime(2026, 11, 22, 16, tzinfo=UTC)
    assert regular.songs == CODES[:10]
    assert regular.reserve == ("1108",)
    assert holiday.kind == "holiday"
    assert holiday.valid_to == datetime(2027, 2, 12, 16, tzinfo=UTC)


def test_a_wrong_song_is_named_with_line_and_column() -> None:
    assert errors_of(GOOD.replace("1041", "1999", 1)) == (
        "y.yaml:6:37: tone 1999 is not in the catalogue",
    )


@pytest.mark.parametrize(
    ("wrong", "right", "said"),
    [
        ("branch: yangzhou", "branch: mars", "y.yaml:2:9: there is no branch 'mars'"),
        ("branch: yangzhou\n", "", "y.yaml:1:1: the file begins with"),
        ("1041", "1032", "tone 1032 stands here twice"),
        ("1041", "2005", "tone 2005 was taken out of the catalogue"),
        (", 1093]", "]", "9 songs; a directory has exactly 10"),
        ("2026-11-23", "Montag", "`from:` is a date such as"),
        ("kind: holiday", "kind: party", "the kind is regular, holiday or emergency"),
        ("    to: 2027-02-13\n", "", "a holiday edition needs `to:`"),
        ("2027-02-13", "2027-02-01", "`to:` is not later than `from:`"),
        ("reserve: [1108]", "reserve: 1108", "`reserve:` is a list such as"),
        ("contact:", "kontakt:", "`kontakt` is not known here"),
        ('"13905250000"', "13905250000", "the contact's number stands between quotes"),
        ("  - from: 2026-11-23", "\t- from: 2026-11-23", "y.yaml:5:1: "),
    ],
)
def test_what_a_clerk_got_wrong_is_said_in_a_sentence(wrong: str, right: str, said: str) -> None:
    assert any(said in error for error in errors_of(GOOD.replace(wrong, right, 1)))


@pytest.mark.parametrize(
    "text", ["", "- 1\n- 2\n", "branch: yangzhou\n", "branch: yangzhou\neditions: [1]\n"]
)
def test_a_file_of_another_shape_is_refused(text: str) -> None:
    assert errors_of(text)


def test_only_a_new_edition_is_published(database: LocalDatabase) -> None:
    editions = read_directory(GOOD, "y.yaml", TONES, SHANGHAI).editions
    now = datetime(2026, 11, 20, tzinfo=UTC)
    assert database.run_now(publish_editions, editions, "files", now) == 2
    assert database.run_now(publish_editions, editions, "files", now) == 0
    stored = database.run_now(all_editions)
    assert [edition.songs for edition in stored] == [edition.songs for edition in editions]
    assert stored[0].reserve == ("1108",)
    assert [edition.checksum for edition in stored] == [edition.checksum for edition in editions]


instants = st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  hypothesis wants naive bounds


@st.composite
def an_edition(draw: st.DrawFn, number: int = 0) -> Edition:
    start, end = sorted([draw(instants), draw(instants)])
    kind = draw(st.sampled_from(["regular", "holiday", "emergency"]))
    return Edition("yangzhou", kind, start, end, CODES[:10], (), draw(st.integers(1, 1000)))


@given(
    st.lists(an_edition(), max_size=6, unique_by=lambda one: one.edition_id), instants, st.randoms()
)
def test_the_current_edition_does_not_depend_on_the_order_of_publishing(
    editions: list[Edition], at: datetime, random: object
) -> None:
    chosen = current_edition(editions, at)
    shuffled = list(editions)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis' random
    assert current_edition(shuffled, at) == chosen
    if chosen is not None:
        assert chosen.valid_from <= at
        assert chosen.valid_to is None or at < chosen.valid_to
