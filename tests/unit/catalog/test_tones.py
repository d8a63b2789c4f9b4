from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from catalog.tones import (
    COLUMNS,
    BadCatalogue,
    all_tones,
    find_tone,
    find_tones,
    put_tones,
    read_catalogue,
    retire_tone,
    version,
)
from store.database import LocalDatabase
from tests.fakes.catalogue import a_tone, some_tones

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
HEADER = ",".join(COLUMNS) + "\n"
GOOD = "1029,茉莉花,古筝,示例,民歌,200,150,100,2027-12-31,a.wav\n"


def test_a_good_file_gives_its_rows() -> None:
    (row,) = read_catalogue("\ufeff" + HEADER + GOOD + "\n", "c.csv")
    assert (row.code, row.title, row.prices.member) == ("1029", "茉莉花", 150)
    assert row.licence_until == date(2027, 12, 31)


def test_every_error_of_a_file_is_named_at_once_with_line_and_column() -> None:
    bad = (
        "0129,茉莉花,古筝,示例,民歌,200,150,100,,a.wav\n"
        f"1007,{'长' * 21},古筝,示例,民歌,2元,150,100,,a.wav\n"
        "1010,紫竹调,古筝,示例,民歌,200,150,100,31.12.2027,a.wav\n"
        "1032,无锡景\n" + GOOD + GOOD
    )
    with pytest.raises(BadCatalogue) as refused:
        read_catalogue(HEADER + bad, "c.csv")
    assert refused.value.errors == (
        "c.csv:2:code: 0129: 3 to 8 digits, the first not 0",
        f"c.csv:3:title: {'长' * 21}: longer than 20 characters",
        "c.csv:3:price_fen: 2元: whole fen from 0 to 100000",
        "c.csv:4:licence_until: 31.12.2027: a date such as 2027-12-31, or empty",
        "c.csv:5: 2 columns instead of 10",
        "c.csv:7:code: 1029: stands in line 6 too",
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the file is empty"),
        ("code,title\n", "the header is not"),
        (HEADER, "there is no tone"),
        (HEADER + "1029,,古筝,示例,民歌,200,150,100,,\n", "title: must not be empty"),
        (HEADER + "1029,a\tb,古筝,示例,民歌,200,150,100,,\n", "cannot be shown"),
    ],
)
def test_a_file_that_is_no_catalogue_is_refused(text: str, reason: str) -> None:
    with pytest.raises(BadCatalogue, match=reason):
        read_catalogue(text, "c.csv")


def test_importing_changes_only_what_is_new(database: LocalDatabase) -> None:
    assert database.run_now(put_tones, some_tones(), NOW) == len(some_tones())
    first = database.run_now(version)
    assert database.run_now(put_tones, some_tones(), NOW) == 0
    assert database.run_now(version) == first
    dearer = replace(a_tone(), title="茉莉花（新）")
    assert database.run_now(put_tones, [dearer], NOW) == 1
    assert database.run_now(find_tone, "1029") == dearer
    assert database.run_now(version) == first + 1


def test_a_retired_tone_stays_known_but_is_no_longer_published(database: LocalDatabase) -> None:
    database.run_now(put_tones, [a_tone()], NOW)
    assert database.run_now(retire_tone, "1029", NOW)
    assert not database.run_now(retire_tone, "1029", NOW)
    assert [tone.state for tone in database.run_now(all_tones)] == ["retired"]


def test_tones_are_found_by_every_word(database: LocalDatabase) -> None:
    database.run_now(put_tones, some_tones(), NOW)
    assert [tone.code for tone in database.run_now(find_tones, "茉莉 古筝")] == ["1029"]
    assert len(database.run_now(find_tones, "")) == len(some_tones())
    assert database.run_now(find_tones, "摇滚") == ()
