from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from catalog.branch_files import directory_files, read
from catalog.directories import Edition, current_edition
from catalog.editions import (
    NotWithdrawn,
    Proof,
    all_editions,
    contact_of,
    history,
    roll_back,
    store_edition,
    withdraw,
)
from catalog.publishing import Outcome, plan, publish_file
from catalog.rotation import prepare_week
from catalog.snapshot import read_contents
from catalog.tones import move_tone, put_tones
from store.database import LocalDatabase
from store.wire import Codec
from tests.fakes.branch_file import edition, file
from tests.fakes.catalogue import CODES, a_snapshot, a_tone, some_tones

ZONE = "Asia/Shanghai"
FRIDAY = datetime(2026, 11, 20, 8, tzinfo=UTC)
MONDAY = datetime(2026, 11, 22, 16, tzinfo=UTC)
HOUR = timedelta(hours=1)
FIRST = ", ".join(CODES[:10])
SECOND = ", ".join(CODES[1:11])


@pytest.fixture
def database(database: LocalDatabase) -> LocalDatabase:
    database.run_now(put_tones, some_tones(), FRIDAY)
    return database


def publish(database: LocalDatabase, text: str, at: datetime = FRIDAY, reason: str = "") -> Outcome:
    written = read(text.encode(), "yangzhou.yaml")
    return database.run_now(publish_file, written, "li", reason, at, ZONE)


def heard(database: LocalDatabase, at: datetime, owner: str = "yangzhou") -> list[str]:
    contents = database.run_now(read_contents)
    snapshot = a_snapshot(contents.tones, contents.editions)
    return [tone.code for tone in snapshot.directory(owner, at).tones]


def test_only_a_new_edition_is_published(database: LocalDatabase) -> None:
    text = file(edition(FIRST, more="    reserve: [1120]\n"))
    (stored,) = publish(database, text).editions
    assert publish(database, text, FRIDAY + HOUR).editions == ()
    (kept,) = database.run_now(all_editions)
    assert kept == stored
    assert (kept.songs, kept.reserve, kept.sources) == (CODES[:10], ("1120",), ("file",) * 10)
    assert kept.checksum == kept.draft.checksum


def test_a_file_and_what_became_of_it_travel_to_the_store_and_back(
    database: LocalDatabase,
) -> None:
    codec = Codec(["catalog.publishing"])
    written = read(file(edition("1007, auto")).encode(), "yangzhou.yaml")
    assert codec.loads(codec.dumps(written)) == written
    outcome = database.run_now(publish_file, written, "li", "", FRIDAY, ZONE)
    assert codec.loads(codec.dumps(outcome)) == outcome


def test_hosts_that_publish_at_once_store_an_edition_once(database: LocalDatabase) -> None:
    (stored,) = publish(database, file(edition(FIRST))).editions
    mine = replace(stored, edition_id=0, published_at=FRIDAY + HOUR)
    assert database.run_now(store_edition, mine, Proof("another host", "")) is None
    assert database.run_now(all_editions) == (stored,)


def test_a_file_with_an_error_changes_nothing(database: LocalDatabase) -> None:
    outcome = publish(database, file(edition(FIRST), edition("1007, 1999", "2026-11-30")))
    assert outcome.editions == ()
    assert outcome.errors == ("yangzhou.yaml:7:19: tone 1999 is not in the catalogue",)
    assert outcome.contact == "8613905250000"
    assert database.run_now(all_editions) == ()


def test_the_history_tells_who_why_and_what_changed(database: LocalDatabase) -> None:
    publish(database, file(edition(FIRST)))
    changed = FIRST.replace("1007", "1120")
    publish(database, file(edition(changed)), FRIDAY + HOUR, "Mid-Autumn")
    newest, oldest = database.run_now(history, "yangzhou")
    assert oldest.before is None
    assert (newest.proof.author, newest.proof.reason, newest.proof.origin) == (
        "li", "Mid-Autumn", "file",
    )  # fmt: skip
    assert newest.before == oldest.edition.edition_id
    assert [(one.slot, one.was, one.now) for one in newest.changes] == [(1, "1007", "1120")]
    assert database.run_now(contact_of, "yangzhou") == "8613905250000"


def test_a_corrected_file_is_heard_from_its_publishing_on(database: LocalDatabase) -> None:
    publish(database, file(edition(FIRST, "2026-01-05")))
    publish(database, file(edition(SECOND, "2026-01-05")), MONDAY)
    assert heard(database, MONDAY - HOUR) == list(CODES[:10])
    assert heard(database, MONDAY) == list(CODES[1:11])


def test_a_rolled_back_file_does_not_come_again(database: LocalDatabase) -> None:
    (old,) = publish(database, file(edition(FIRST, "2026-01-05"))).editions
    wrong = file(edition(SECOND))
    publish(database, wrong)
    now = MONDAY + HOUR
    assert heard(database, now) == list(CODES[1:11])
    copy = database.run_now(roll_back, "yangzhou", old.edition_id, "li", "", now)
    assert copy is not None
    assert heard(database, now) == list(CODES[:10])
    assert publish(database, wrong, now + HOUR).editions == ()
    assert heard(database, now + HOUR) == list(CODES[:10])
    corrected = file(edition(SECOND.replace("1010", "1120")))
    assert len(publish(database, corrected, now + 2 * HOUR).editions) == 1
    assert heard(database, now + 2 * HOUR)[0] == "1120"


def test_a_rollback_is_heard_in_a_holiday_too_and_ends_with_it(database: LocalDatabase) -> None:
    ends = "    to: 2026-11-25\n    kind: holiday\n"
    stored = publish(
        database, file(edition(FIRST, "2026-01-05"), edition(SECOND, more=ends))
    ).editions
    now = MONDAY + HOUR
    database.run_now(roll_back, "yangzhou", stored[0].edition_id, "li", "", now)
    assert heard(database, now) == list(CODES[:10])
    assert publish(database, file(edition(SECOND, "2026-01-05")), now + HOUR).editions
    assert heard(database, now + HOUR) == list(CODES[:10])
    assert heard(database, MONDAY + 48 * HOUR) == list(CODES[1:11])


def test_there_is_no_way_back_to_what_was_never_published(database: LocalDatabase) -> None:
    assert database.run_now(roll_back, "yangzhou", 7, "li", "", FRIDAY) is None


@pytest.mark.parametrize(
    ("begins", "way"),
    [
        ("2026-01-05", ": toneline directories rollback yangzhou 1"),
        ("2026-11-23", ", change something in it, such as its reserve"),
    ],
)
def test_what_was_replaced_and_stands_in_the_file_again_is_told(
    database: LocalDatabase, begins: str, way: str
) -> None:
    first = publish(database, file(edition(FIRST, begins))).editions[0].edition_id
    second = publish(database, file(edition(SECOND, begins)), FRIDAY + HOUR).editions[0].edition_id
    outcome = publish(database, file(edition(FIRST, begins)), FRIDAY + 2 * HOUR)
    assert (outcome.editions, outcome.withdrawn, outcome.notes) == ((), (), ())
    assert outcome.unheard == (
        f"yangzhou.yaml:4:11: this is edition {first} again, which edition {second} replaced;"
        f" to hear it{way.replace('yangzhou 1', f'yangzhou {first}')}",
    )


def test_a_file_that_was_rolled_back_is_told_as_somebodys_decision(
    database: LocalDatabase,
) -> None:
    old = publish(database, file(edition(FIRST, "2026-01-05"))).editions[0]
    wrong = file(edition(SECOND, "2026-01-05"))
    publish(database, wrong, FRIDAY + HOUR)
    database.run_now(roll_back, "yangzhou", old.edition_id, "li", "", FRIDAY + 2 * HOUR)
    outcome = publish(database, wrong, FRIDAY + 3 * HOUR)
    assert (outcome.unheard, len(outcome.notes)) == ((), 1)


EMERGENCY = edition(SECOND, "2027-01-10T08:00", "    to: 2028-01-11\n    kind: emergency\n")
SHORTER = EMERGENCY.replace("2028", "2027")
NINE = datetime(2027, 1, 10, 1, tzinfo=UTC)


def test_an_edition_can_be_shortened(database: LocalDatabase) -> None:
    week = edition(FIRST, "2027-01-04")
    publish(database, file(week, EMERGENCY), NINE)
    publish(database, file(week, SHORTER), NINE + HOUR)
    assert heard(database, NINE + 2 * HOUR) == list(CODES[1:11])
    assert heard(database, NINE + 48 * HOUR) == list(CODES[:10])


def test_what_had_begun_stays_when_its_file_no_longer_says_it(database: LocalDatabase) -> None:
    week = edition(FIRST, "2027-01-04")
    publish(database, file(week, EMERGENCY), NINE)
    assert publish(database, file(week), NINE + HOUR).withdrawn == ()
    assert heard(database, NINE + 48 * HOUR) == list(CODES[1:11])


HOLIDAY = edition(SECOND, "2027-02-05", "    to: 2027-02-13\n    kind: holiday\n")
MOVED = HOLIDAY.replace("02-05", "02-06")
ITS_NOON = datetime(2027, 2, 5, 4, tzinfo=UTC)


def test_a_holiday_that_is_moved_is_not_heard_at_its_old_time(database: LocalDatabase) -> None:
    week = edition(FIRST, "2026-01-05")
    _, early = publish(database, file(week, HOLIDAY)).editions
    planned = database.run_now(plan, read(file(week, MOVED).encode(), "y.yaml"), FRIDAY, ZONE)
    assert planned.withdrawn == (early,)
    outcome = publish(database, file(week, MOVED), FRIDAY + HOUR)
    assert (len(outcome.editions), outcome.withdrawn) == (1, (early,))
    assert heard(database, ITS_NOON) == list(CODES[:10])
    assert heard(database, ITS_NOON + 24 * HOUR) == list(CODES[1:11])
    newest = database.run_now(history, "yangzhou")
    told = next(one for one in newest if one.proof.origin == "withdrawal")
    assert (told.proof.author, told.before) == ("li", early.edition_id)
    assert told.proof.reason == "no longer in the file"


def test_what_was_left_out_and_is_said_again_comes_again(database: LocalDatabase) -> None:
    week = edition(FIRST, "2026-01-05")
    for late in range(3):
        when = FRIDAY + late * 2 * HOUR
        assert publish(database, file(week, HOLIDAY), when).editions
        assert publish(database, file(week, HOLIDAY), when).editions == ()
        assert heard(database, ITS_NOON) == list(CODES[1:11])
        assert len(publish(database, file(week), when + HOUR).withdrawn) == 1
        assert publish(database, file(week), when + HOUR).withdrawn == ()
        assert heard(database, ITS_NOON) == list(CODES[:10])


def test_what_is_said_in_another_way_after_it_was_left_out_is_published_once(
    database: LocalDatabase,
) -> None:
    week = edition(FIRST, "2026-01-05")
    publish(database, file(week, HOLIDAY))
    publish(database, file(week), FRIDAY + HOUR)
    other = file(week, HOLIDAY.replace("1010", "1120"))
    assert len(publish(database, other, FRIDAY + 2 * HOUR).editions) == 1
    assert publish(database, other, FRIDAY + 3 * HOUR).editions == ()


def test_what_is_said_again_is_checked_against_the_catalogue_again(
    database: LocalDatabase,
) -> None:
    week = edition(FIRST, "2026-01-05")
    publish(database, file(week, HOLIDAY))
    publish(database, file(week), FRIDAY + HOUR)
    database.run_now(move_tone, CODES[10], "retire", FRIDAY)
    assert publish(database, file(week, HOLIDAY), FRIDAY + 2 * HOUR).errors


def test_a_withdrawn_edition_gives_way_to_what_is_behind_it_and_does_not_come_again(
    database: LocalDatabase,
) -> None:
    week = edition(FIRST, "2027-01-04")
    _, wrong = publish(database, file(week, EMERGENCY), NINE).editions
    now = NINE + HOUR
    done = database.run_now(withdraw, "yangzhou", wrong.edition_id, "li", "a slip", now)
    assert isinstance(done, Edition)
    assert heard(database, now) == list(CODES[:10])
    assert heard(database, now - timedelta(seconds=1)) == list(CODES[1:11])
    outcome = publish(database, file(week, EMERGENCY), now + HOUR)
    assert outcome.editions == ()
    assert f"which edition {done.edition_id} withdrew" in outcome.notes[0]
    assert heard(database, now + HOUR) == list(CODES[:10])
    corrected = EMERGENCY.replace("1010", "1120")
    assert publish(database, file(week, corrected), now + 2 * HOUR).editions
    assert heard(database, now + 2 * HOUR)[0] == "1120"


def test_a_withdrawal_takes_the_weeks_fillings_along(database: LocalDatabase) -> None:
    publish(database, file(edition(FIRST, "2026-01-05")))
    (auto,) = publish(database, file(edition("1120, auto", "2026-11-16"))).editions
    database.run_now(prepare_week, date(2026, 11, 23), FRIDAY, ZONE)
    assert heard(database, MONDAY)[0] == "1120"
    database.run_now(withdraw, "yangzhou", auto.edition_id, "li", "", FRIDAY + HOUR)
    assert heard(database, MONDAY) == list(CODES[:10])
    assert database.run_now(prepare_week, date(2026, 11, 30), MONDAY, ZONE) == 0


def test_a_withdrawn_edition_that_has_ended_is_no_last_good_one(database: LocalDatabase) -> None:
    ended = edition(SECOND, "2026-11-02", "    to: 2026-11-09\n")
    (last,) = publish(database, file(ended), datetime(2026, 11, 1, tzinfo=UTC)).editions
    assert heard(database, FRIDAY)[0] == CODES[1]
    database.run_now(withdraw, "yangzhou", last.edition_id, "li", "", FRIDAY)
    assert heard(database, FRIDAY) == list(CODES[:10])


def test_what_cannot_be_withdrawn_is_told_why(database: LocalDatabase) -> None:
    (old,) = publish(database, file(edition(FIRST, "2026-01-05"))).editions
    (new,) = publish(database, file(edition(SECOND, "2026-01-05")), FRIDAY + HOUR).editions
    now = FRIDAY + 2 * HOUR

    def why(edition_id: int) -> str:
        refused = database.run_now(withdraw, "yangzhou", edition_id, "li", "", now)
        return refused.reason if isinstance(refused, NotWithdrawn) else ""

    assert why(99) == "yangzhou has no edition 99"
    assert why(old.edition_id) == (
        f"edition {old.edition_id} was replaced by edition {new.edition_id}"
    )
    done = database.run_now(withdraw, "yangzhou", new.edition_id, "li", "", now)
    assert isinstance(done, Edition)
    assert why(new.edition_id) == (
        f"edition {new.edition_id} was withdrawn by edition {done.edition_id}"
    )
    assert why(done.edition_id) == f"edition {done.edition_id} is a withdrawal itself"
    assert database.run_now(roll_back, "yangzhou", done.edition_id, "li", "", now) is None


def test_what_is_said_later_by_a_clock_that_was_set_back_is_said_later(
    database: LocalDatabase,
) -> None:
    (old,) = publish(database, file(edition(FIRST, "2026-01-05")), FRIDAY + HOUR).editions
    publish(database, file(edition(SECOND, "2026-01-05")), FRIDAY)
    assert heard(database, FRIDAY) == list(CODES[1:11])
    assert heard(database, FRIDAY + HOUR) == list(CODES[1:11])
    database.run_now(roll_back, "yangzhou", old.edition_id, "li", "", FRIDAY - HOUR)
    for hours in (-1, 0, 1):
        assert heard(database, FRIDAY + hours * HOUR) == list(CODES[:10])


def test_a_song_that_was_retired_later_does_not_keep_the_next_edition_out(
    database: LocalDatabase,
) -> None:
    publish(database, file(edition(FIRST)))
    database.run_now(move_tone, "1007", "retire", FRIDAY)
    text = file(edition(FIRST), edition(SECOND, "2026-11-30"))
    assert len(publish(database, text, FRIDAY + HOUR).editions) == 1


def test_open_slots_are_filled_when_published_and_keep_their_sources(
    database: LocalDatabase,
) -> None:
    (stored,) = publish(database, file(edition("1029, auto"))).editions
    assert stored.songs == ("1029", *[code for code in CODES if code != "1029"][:9])
    assert stored.sources == ("file", *["chart"] * 9)
    (kept,) = database.run_now(all_editions)
    assert kept.is_open
    assert kept.slots == stored.slots


def test_an_empty_catalogue_gives_an_edition_that_is_filled_when_heard(
    database: LocalDatabase,
) -> None:
    for code in CODES:
        database.run_now(move_tone, code, "retire", FRIDAY)
    auto = file("  - from: 2026-11-16\n    songs: auto\n")
    (stored,) = publish(database, auto).editions
    assert stored.songs == ()
    database.run_now(put_tones, some_tones(), FRIDAY)
    assert heard(database, FRIDAY) == list(CODES[:10])
    assert database.run_now(prepare_week, date(2026, 11, 23), FRIDAY, ZONE) == 1


def test_a_pinned_song_stays_in_its_slot_though_nothing_is_there_for_those_before_it(
    database: LocalDatabase,
) -> None:
    for code in CODES[3:]:
        database.run_now(move_tone, code, "retire", FRIDAY)
    first, second, third = CODES[:3]
    open_slots = ", ".join(["auto"] * 5)
    text = file(edition(f"{open_slots}, {first}, {second}", "2026-11-16"))
    (stored,) = publish(database, text).editions
    assert stored.songs == (third, "", "", "", "", first, second)
    (kept,) = database.run_now(all_editions)
    assert kept == stored
    (told,) = database.run_now(history, "yangzhou")
    assert [one.slot for one in told.changes] == [1, 6, 7]
    database.run_now(put_tones, some_tones(), FRIDAY)
    assert heard(database, FRIDAY)[5:7] == [first, second]
    assert len(set(heard(database, FRIDAY))) == 10


def test_the_chart_fills_no_song_whose_licence_ends_in_the_week(database: LocalDatabase) -> None:
    ending = a_tone("1007", licence_until=date(2026, 11, 28))
    lasting = a_tone("1010", licence_until=date(2026, 11, 29))
    database.run_now(put_tones, (ending, lasting), FRIDAY)
    (stored,) = publish(database, file("  - from: 2026-11-23\n    songs: auto\n")).editions
    assert stored.songs[0] == "1010"


def test_a_week_is_prepared_once_from_its_monday_on(database: LocalDatabase) -> None:
    publish(database, file(edition("1029, auto", "2026-11-16")))
    next_monday = MONDAY + timedelta(days=7)
    database.run_now(move_tone, "1007", "retire", FRIDAY)
    for _ in range(2):
        database.run_now(prepare_week, date(2026, 11, 23), FRIDAY, ZONE)
    stored = database.run_now(all_editions)
    assert [one.valid_from for one in stored[1:]] == [MONDAY]
    assert stored[1].songs[:2] == ("1029", "1010")
    assert stored[1].slots == stored[0].slots
    assert database.run_now(prepare_week, date(2026, 11, 30), MONDAY, ZONE) == 1
    newest = current_edition(database.run_now(all_editions), next_monday)
    assert newest is not None
    assert newest.valid_from == next_monday


def test_a_weeks_filling_is_told_against_the_week_before_it_not_the_holiday(
    database: LocalDatabase,
) -> None:
    ends = "    to: 2026-11-25\n    kind: holiday\n"
    week, _ = publish(
        database, file(edition("1029, auto", "2026-11-16"), edition(SECOND, more=ends))
    ).editions
    database.run_now(prepare_week, date(2026, 11, 23), FRIDAY, ZONE)
    newest = database.run_now(history, "yangzhou")[0]
    assert (newest.proof.origin, newest.before, newest.changes) == ("chart", week.edition_id, ())


def test_a_holidays_open_slots_are_filled_anew_in_the_week_before_it_begins(
    database: LocalDatabase,
) -> None:
    week = edition(FIRST, "2026-01-05")
    holiday = "    to: 2027-02-13\n    kind: holiday\n"
    publish(database, file(week, edition("1029, auto", "2027-02-05", holiday)))
    assert heard(database, ITS_NOON)[:2] == ["1029", "1007"]
    database.run_now(move_tone, "1007", "retire", FRIDAY)
    before, friday = date(2027, 1, 25), datetime(2027, 1, 29, 12, tzinfo=UTC)
    assert database.run_now(prepare_week, before, friday - 168 * HOUR, ZONE) == 0
    for stored in (1, 0):
        assert database.run_now(prepare_week, date(2027, 2, 1), friday, ZONE) == stored
    newest = database.run_now(history, "yangzhou")[0]
    assert newest.edition.songs[:2] == ("1029", "1010")
    assert newest.edition.valid_to == datetime(2027, 2, 12, 16, tzinfo=UTC)
    assert heard(database, ITS_NOON)[:2] == ["1029", "1010"]
    assert database.run_now(prepare_week, date(2027, 2, 8), ITS_NOON, ZONE) == 0
    moved = edition("1029, auto", "2027-02-06", holiday)
    assert publish(database, file(week, moved), friday + HOUR).withdrawn
    assert heard(database, ITS_NOON) == heard(database, ITS_NOON - 48 * HOUR)


def test_a_full_edition_is_not_prepared(database: LocalDatabase) -> None:
    publish(database, file(edition(FIRST, "2026-11-16")))
    assert database.run_now(prepare_week, date(2026, 11, 23), FRIDAY, ZONE) == 0


def test_a_correction_in_the_week_goes_before_the_weeks_filling(database: LocalDatabase) -> None:
    publish(database, file(edition("1029, auto", "2026-11-16")))
    database.run_now(prepare_week, date(2026, 11, 23), FRIDAY, ZONE)
    publish(database, file(edition("1119, auto", "2026-11-16")), MONDAY + HOUR)
    assert heard(database, MONDAY)[0] == "1029"
    assert heard(database, MONDAY + HOUR)[0] == "1119"
    assert database.run_now(prepare_week, date(2026, 11, 30), MONDAY + HOUR, ZONE) == 1
    assert heard(database, MONDAY + timedelta(days=7))[0] == "1119"


def test_only_directory_files_are_taken_from_the_folder(tmp_path: Path) -> None:
    for name in (
        "b.yaml", "a.csv", "c.xlsx", "~$c.xlsx", ".d.yaml", "e.yaml~", "notes.txt",
        "~$wuxi.xls", ".wuxi.yaml.swp", "wuxi.yaml~", "wuxi.swp", "wuxi.bak",
    ):  # fmt: skip
        (tmp_path / name).touch()
    (tmp_path / "wuxi").mkdir()
    assert [path.name for path in directory_files(tmp_path)] == ["a.csv", "b.yaml", "c.xlsx"]
    assert directory_files(tmp_path / "nowhere") == []
