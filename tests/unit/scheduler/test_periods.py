from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from scheduler.periods import When, local_instant, missed

SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")
ZONES = st.sampled_from(
    [SHANGHAI, BERLIN, ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe"),
     ZoneInfo("America/Sao_Paulo"), ZoneInfo("Pacific/Apia")]
)  # fmt: skip
INSTANTS = st.integers(946_684_800, 4_102_444_800).map(lambda s: datetime.fromtimestamp(s, UTC))
WHENS = st.builds(
    When,
    st.times().map(lambda at: at.replace(second=0, microsecond=0)),
    st.none() | st.integers(0, 6),
)
DAILY = When(time(3, 0))
FRIDAY = When(time(20, 0), 4)


def keys(when: When, now: datetime, zone: ZoneInfo = SHANGHAI, most: int = 1) -> list[str]:
    return [period.key for period in missed(when, now, zone, most)]


def at(text: str, zone: ZoneInfo = SHANGHAI) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


def test_a_daily_duty_is_due_from_its_local_time_on() -> None:
    assert keys(DAILY, at("2026-11-26T02:59:59")) == ["2026-11-25"]
    assert keys(DAILY, at("2026-11-26T03:00:00")) == ["2026-11-26"]
    (period,) = missed(DAILY, at("2026-11-26T03:00:00"), SHANGHAI, 1)
    assert (period.day, period.due_at) == (
        date(2026, 11, 26),
        datetime(2026, 11, 25, 19, tzinfo=UTC),
    )


def test_a_weekly_duty_has_the_key_of_its_iso_week() -> None:
    assert keys(FRIDAY, at("2026-11-27T19:59")) == ["2026-W47"]
    assert keys(FRIDAY, at("2026-11-27T20:00")) == ["2026-W48"]
    assert keys(FRIDAY, at("2027-01-01T20:00"), most=2) == ["2026-W52", "2026-W53"]


def test_missed_periods_come_the_oldest_first() -> None:
    assert keys(DAILY, at("2028-03-01T12:00"), most=3) == ["2028-02-28", "2028-02-29", "2028-03-01"]


def test_a_time_that_the_clocks_skip_is_due_an_hour_later_and_once() -> None:
    skipped = When(time(2, 30))
    assert keys(skipped, datetime(2026, 3, 29, 1, 29, tzinfo=UTC), BERLIN) == ["2026-03-28"]
    assert keys(skipped, datetime(2026, 3, 29, 1, 30, tzinfo=UTC), BERLIN) == ["2026-03-29"]


def test_a_time_that_the_clocks_repeat_is_due_the_first_time() -> None:
    repeated = When(time(2, 30))
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert local_instant(date(2026, 10, 25), time(2, 30), BERLIN) == first
    assert keys(repeated, first, BERLIN) == ["2026-10-25"]
    assert keys(repeated, first + timedelta(hours=1), BERLIN) == ["2026-10-25"]


@given(WHENS, INSTANTS, ZONES)
def test_the_newest_period_is_due_and_the_next_is_not(
    when: When, now: datetime, zone: ZoneInfo
) -> None:
    newest = missed(when, now, zone, 1)[-1]
    assert newest.due_at <= now
    following = newest.day + timedelta(days=1 if when.weekday is None else 7)
    assert local_instant(following, when.at, zone) > now


@given(WHENS, INSTANTS, ZONES, st.integers(2, 10))
def test_every_local_day_or_week_has_one_period(
    when: When, now: datetime, zone: ZoneInfo, most: int
) -> None:
    periods = missed(when, now, zone, most)
    days = 1 if when.weekday is None else 7
    assert [(b.day - a.day).days for a, b in zip(periods, periods[1:], strict=False)] == [days] * (
        most - 1
    )
    assert len({period.key for period in periods}) == most
