from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from structlog.testing import capture_logs
from twisted.internet.defer import Deferred

from catalog.switching import OWNERS
from catalog.tones import move_tone, put_tones, version
from ordering import records
from ordering.records import Preview
from scheduler.appointments import Appointments
from scheduler.timetable import appointments
from store.database import LocalDatabase
from tests.fakes.catalogue import CODES, SHANGHAI, a_tone, some_tones
from tests.fakes.clocks import at_once
from tests.fakes.editions import an_edition, local, publish
from tests.fakes.messages import a_call

TEN = CODES[:10]
OTHER_TEN = CODES[3:13]
CALENDAR = appointments(timezone="Asia/Shanghai", retention_days=180)


@dataclass
class House:
    """The real calendar over a database, with a clock that the test sets."""

    database: LocalDatabase
    now: datetime

    def __post_init__(self) -> None:
        self.host = self.started()

    def started(self) -> Appointments:
        return Appointments(self.database, CALENDAR, SHANGHAI, "host", lambda: self.now, at_once)

    def at(self, now: datetime, event: str) -> list[Mapping[str, Any]]:
        """Let everything happen that is due then; return what was logged of an event."""
        self.now = now
        with capture_logs() as logs:
            Deferred.fromCoroutine(self.host.keep())
        assert self.host.failures == 0
        return [one for one in logs if one["event"] == event]


def test_a_switch_is_announced_once_with_the_owners_whose_lists_changed(
    database: LocalDatabase,
) -> None:
    database.run_now(put_tones, some_tones(), local("2026-11-01"))
    publish(
        database,
        [
            an_edition("jiangsu", "2026-11-01", songs=TEN),
            an_edition("yangzhou", "2026-11-01", songs=TEN),
            an_edition("yangzhou", "2026-11-23", songs=OTHER_TEN),
            an_edition("yangzhou", "2026-11-25", "2026-11-26", songs=TEN),
        ],
        local("2026-11-01"),
    )
    house = House(database, local("2026-11-22", 12))
    assert house.at(local("2026-11-22", 23), "editions_switched") == []
    heard: list[None] = []
    database.on_change("catalogue", lambda: heard.append(None))
    (said,) = house.at(local("2026-11-23"), "editions_switched")
    assert (said["period"], said["owners"]) == ("2026-11-23", ["yangzhou"])
    assert len(heard) == 1
    assert house.at(local("2026-11-23"), "editions_switched") == []
    before = database.run_now(version)
    assert house.at(local("2026-11-24"), "editions_switched") == []
    assert database.run_now(version) == before
    assert len(house.at(local("2026-11-25"), "editions_switched")) == 1  # the holiday begins
    assert len(house.at(local("2026-11-26"), "editions_switched")) == 1  # and ends


def test_after_days_off_the_announcement_looks_back_to_the_last_one(
    database: LocalDatabase,
) -> None:
    database.run_now(put_tones, some_tones(), local("2026-11-01"))
    publish(
        database,
        [
            an_edition("jiangsu", "2026-11-01", songs=TEN),
            an_edition("yangzhou", "2026-11-23", songs=OTHER_TEN),
        ],
        local("2026-11-01"),
    )
    house = House(database, local("2026-11-20"))
    house.at(local("2026-11-20"), "editions_switched")
    house.host = house.started()
    (said,) = house.at(local("2026-11-28", 9), "editions_switched")
    assert (said["period"], said["owners"]) == ("2026-11-28", ["yangzhou"])


def test_licences_are_warned_of_once_at_30_7_and_1_days(database: LocalDatabase) -> None:
    ends = date(2026, 12, 31)
    tone = a_tone("1029", licence_until=ends)
    database.run_now(put_tones, [tone, a_tone("1032")], local("2026-11-01"))
    house = House(database, local("2026-11-26"))
    warned = []
    for day in range(40):
        warned += house.at(local(date(2026, 11, 26) + timedelta(days=day), 6), "licences_end")
    assert [(one["period"], one["days"]) for one in warned] == [
        ("2026-12-01", 30),
        ("2026-12-24", 7),
        ("2026-12-30", 1),
    ]
    assert [tone["code"] for one in warned for tone in one["tones"]] == ["1029"] * 3
    assert warned[0]["tones"][0]["licence_until"] == "2026-12-31"


def test_a_licence_warning_that_was_missed_is_given_late_and_one_made_longer_begins_anew(
    database: LocalDatabase,
) -> None:
    database.run_now(
        put_tones, [a_tone("1029", licence_until=date(2026, 12, 31))], local("2026-11-01")
    )
    house = House(database, local("2026-12-01"))
    (said,) = house.at(local("2026-12-20", 6), "licences_end")
    assert said["days"] == 30
    (said,) = house.at(local("2026-12-28", 6), "licences_end")
    assert said["days"] == 7
    database.run_now(
        put_tones, [a_tone("1029", licence_until=date(2027, 1, 20))], local("2026-12-28", 12)
    )
    (said,) = house.at(local("2026-12-29", 6), "licences_end")
    assert said["days"] == 30
    database.run_now(move_tone, "1029", "retire", local("2026-12-29", 12))
    assert house.at(local("2027-01-15", 6), "licences_end") == []


def test_holidays_without_an_edition_are_told_5_2_and_1_days_ahead(
    database: LocalDatabase,
) -> None:
    house = House(database, local("2026-12-10"))
    told = []
    for day in range(10, 27):
        if day == 22:
            publish(
                database,
                [an_edition("wuxi", "2026-12-25", "2026-12-26", songs=TEN)],
                local("2026-12-22"),
            )
        told += house.at(local(date(2026, 12, day), 6), "holiday_not_prepared")
    assert [(one["period"], one["holiday"], one["days_left"]) for one in told[:3]] == [
        ("2026-12-20", "christmas", 5),
        ("2026-12-23", "christmas", 2),
        ("2026-12-24", "christmas", 1),
    ]
    assert ["wuxi" in one["owners"] for one in told[:3]] == [True, False, False]
    assert len(told) == 3


def test_a_holiday_for_which_all_are_ready_is_not_told(database: LocalDatabase) -> None:
    publish(
        database,
        [an_edition(owner, "2026-12-25", "2026-12-26", songs=TEN) for owner in OWNERS],
        local("2026-12-01"),
    )
    house = House(database, local("2026-12-20"))
    for day in range(20, 26):
        assert house.at(local(date(2026, 12, day), 6), "holiday_not_prepared") == []


def test_old_records_are_deleted_in_the_night(database: LocalDatabase) -> None:
    for number in range(3):
        call = a_call(
            f"c{number}", started_at=local("2026-05-01"), ended_at=local("2026-05-01", 3 + number)
        )
        database.run_now(records.call_ended, call, None, call.ended_at)
    house = House(database, local("2026-10-01"))
    house.at(local("2026-10-28", 4), "job_done")
    assert calls(database) == ["c1", "c2"]
    house.at(local("2026-10-29", 4), "job_done")
    assert calls(database) == []


def calls(database: LocalDatabase) -> list[str]:
    trace = database.run_now(records.trace, a_call().msisdn or "")
    return [one.id for one in trace if one.kind == "call_started"]


def test_a_song_that_is_pushed_is_told_once_with_the_hour(database: LocalDatabase) -> None:
    database.run_now(put_tones, some_tones(), local("2026-11-01"))
    pushed = local("2026-11-25", 12)
    for number in range(25):
        heard = Preview(1, CODES[0], pushed, 40_000, to_the_end=True)
        call = a_call(f"call{number}", msisdn=f"86139{number:08}", branch="yangzhou",
                      started_at=pushed, ended_at=pushed, previews=(heard,))  # fmt: skip
        database.run_now(records.call_ended, call, None, call.ended_at)
    house = House(database, local("2026-11-25", 13))
    said = house.at(local("2026-11-26", 4), "chart_burst")
    assert {(one["owner"], one["code"], one["day"], one["hour"]) for one in said} == {
        ("yangzhou", CODES[0], "2026-11-25", 12),
        ("jiangsu", CODES[0], "2026-11-25", 12),
    }
    assert house.at(local("2026-11-27", 4), "chart_burst") == []
