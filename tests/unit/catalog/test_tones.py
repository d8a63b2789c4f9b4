from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from catalog.catalogue_file import COLUMNS
from catalog.tones import (
    Tone,
    all_tones,
    find_tone,
    free_codes,
    import_tones,
    move_tone,
    put_tones,
    version,
)
from store.database import LocalDatabase
from tests.fakes.catalogue import a_tone, some_tones

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
HEADER = ",".join(COLUMNS) + "\n"
GOOD = "1029,茉莉花,古筝,示例,民歌,200,150,100,2027-12-31,a.wav\n"


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
    assert database.run_now(move_tone, "1029", "retire", NOW) is None
    assert database.run_now(move_tone, "1029", "retire", NOW) is not None
    assert [tone.state for tone in database.run_now(all_tones)] == ["retired"]


def test_a_tone_lives_from_draft_to_retired(database: LocalDatabase) -> None:
    database.run_now(put_tones, [a_tone(state="draft")], NOW)

    def move(verb: str, reason: str | None = None) -> str | None:
        before = database.run_now(version)
        refused = database.run_now(move_tone, "1029", verb, NOW, reason)
        assert (database.run_now(version) == before) == (refused is not None)
        return refused

    assert move("suspend", "x") == "tone 1029 is draft: only a published tone can be suspended"
    assert move("publish") is None
    assert move("suspend", "版权有争议") is None
    assert database.run_now(find_tone, "1029") == replace(
        a_tone(state="suspended"), reason="版权有争议"
    )
    assert move("resume") is None
    assert database.run_now(find_tone, "1029") == a_tone()
    assert move("retire") is None
    assert database.run_now(find_tone, "1029") == replace(a_tone(state="retired"), retired_at=NOW)
    assert move("resume") == "tone 1029 is retired: import it again to bring it back"
    assert database.run_now(move_tone, "1032", "retire", NOW) == "tone 1032 is not in the catalogue"


def test_an_import_of_an_older_catalogue_writes_nothing(database: LocalDatabase) -> None:
    seen = database.run_now(version)
    assert database.run_now(import_tones, [a_tone()], seen, NOW) == 1
    assert database.run_now(import_tones, [a_tone("1032")], seen, NOW) is None
    assert database.run_now(find_tone, "1032") is None


def test_free_codes_avoid_tones_and_those_retired_lately() -> None:
    def retired(code: str, days: int) -> Tone:
        return replace(a_tone(code, state="retired"), retired_at=NOW - timedelta(days=days))

    tones = [
        a_tone("1007"),
        a_tone("1010", state="draft"),
        retired("1029", 89),
        retired("1032", 90),
    ]
    assert free_codes(tones, NOW, 2) == ("1041", "1055")
    everything = free_codes(tones, NOW, 897)
    assert "1029" not in everything
    assert everything[896] == "1032"
