from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, Delete, Select, create_engine, func, insert, select
from sqlalchemy.dialects import sqlite

from catalog import charts, tallies
from catalog.branches import BRANCHES, PROVINCE
from catalog.charts import ComputeStep, compute, compute_step, forget, ranked, read_chart
from catalog.ranking import DEPTH, WINDOW_DAYS, decay, score
from catalog.tallies import stale_days, tally_day
from catalog.tones import move_tone, put_tones
from catalog.votes import BUSY_WEIGHT, WEIGHTS, Vote
from store.database import LocalDatabase
from store.prepared import PreparedStatements
from store.schema import call, chart_day, chart_tally, metadata, order, preview
from tests.fakes.catalogue import a_tone
from tests.fakes.votes import counted

ZONE = ZoneInfo("Asia/Shanghai")
NOON = datetime(2026, 11, 25, 12, tzinfo=ZONE)  # a Wednesday
TODAY = NOON.date()
DAY = timedelta(days=1)


class Callers:
    """Writes calls, hearings and orders as the line does; every number is new unless given."""

    def __init__(self, database: LocalDatabase) -> None:
        self.database = database
        self._count = 0

    def hear(
        self,
        code: str,
        at: datetime = NOON,
        branch: str | None = "yangzhou",
        msisdn: str | None = "",
        heard_ms: int = 40_000,
        to_the_end: bool = True,
    ) -> str:
        """Return the call's id."""
        self._count += 1
        call_id = f"call{self._count}"
        number = f"86139{self._count:08}" if msisdn == "" else msisdn
        self.database.run_now(_write_call, call_id, number, code, branch, at, heard_ms, to_the_end)
        return call_id

    def crowd(self, code: str, numbers: int, at: datetime = NOON, branch: str = "yangzhou") -> None:
        for _ in range(numbers):
            self.hear(code, at, branch)

    def order(
        self,
        code: str,
        at: datetime = NOON,
        msisdn: str = "",
        state: str = "captured",
        call_id: str | None = None,
    ) -> str:
        """Return the order's id."""
        self._count += 1
        order_id = f"order{self._count}"
        number = msisdn or f"86138{self._count:08}"
        self.database.run_now(_write_order, order_id, number, code, state, at, call_id)
        return order_id


def _write_call(
    connection: Connection,
    call_id: str,
    msisdn: str | None,
    code: str,
    branch: str | None,
    at: datetime,
    heard_ms: int,
    to_the_end: bool,
) -> None:
    connection.execute(
        insert(call).values(
            call_id=call_id, msisdn=msisdn, dialled="12530019", branch=branch, started_at=at
        )
    )
    connection.execute(
        insert(preview).values(
            call_id=call_id,
            number=1,
            msisdn=msisdn,
            tone_code=code,
            started_at=at,
            heard_ms=heard_ms,
            to_the_end=to_the_end,
        )
    )


def _write_order(
    connection: Connection,
    order_id: str,
    msisdn: str,
    code: str,
    state: str,
    at: datetime,
    call_id: str | None,
) -> None:
    connection.execute(
        insert(order).values(
            order_id=order_id,
            msisdn=msisdn,
            tone_code=code,
            title="曲",
            state=state,
            channel="ivr",
            tier="visitor",
            price_fen=200,
            pays_fen=200,
            requested_at=at,
            confirmed_at=at,
            call_id=call_id,
        )
    )


def _set_state(connection: Connection, order_id: str, state: str) -> None:
    connection.execute(order.update().where(order.c.order_id == order_id).values(state=state))


def _tallied_at(connection: Connection, day: date) -> datetime:
    at: datetime = connection.execute(
        select(chart_day.c.tallied_at).where(chart_day.c.day == day)
    ).scalar_one()
    return at


def _tally_count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(chart_tally)).scalar_one()


@pytest.fixture
def callers(database: LocalDatabase) -> Callers:
    tones = [
        replace(a_tone(code, f"曲{code}"), sp=f"SP{place % 4}")
        for place, code in enumerate(("1007", "1010", "1029", "1032", "1041", "1055"))
    ]
    database.run_now(put_tones, tones, NOON)
    return Callers(database)


def made_of(database: LocalDatabase, code: str, owner: str = PROVINCE) -> charts.Entry:
    chart = database.run_now(read_chart, owner)
    assert chart is not None
    (entry,) = [entry for entry in chart.entries if entry.code == code]
    return entry


def test_the_province_hears_all_calls_and_a_branch_its_own(callers: Callers) -> None:
    database = callers.database
    callers.crowd("1029", 3, branch="yangzhou")
    callers.crowd("1032", 2, branch="nanjing")
    callers.hear("1007", branch=None)
    assert database.run_now(compute, NOON, ZONE) == len(BRANCHES) + 1
    codes = {
        owner: [entry.code for entry in chart.entries]
        for owner in (PROVINCE, "yangzhou", "nanjing", "wuxi")
        if (chart := database.run_now(read_chart, owner))
    }
    assert codes == {
        PROVINCE: ["1029", "1032", "1007"],
        "yangzhou": ["1029"],
        "nanjing": ["1032"],
        "wuxi": [],
    }


def test_an_order_counts_for_the_branch_of_its_call_and_by_sms_for_the_province(
    callers: Callers,
) -> None:
    database = callers.database
    call_id = callers.hear("1029", msisdn="8613905250001")
    callers.order("1029", msisdn="8613905250001", call_id=call_id)
    callers.order("1032")
    database.run_now(compute, NOON, ZONE)
    assert made_of(database, "1029", "yangzhou").score == WEIGHTS["order"]
    assert made_of(database, "1032").made.periods[0].unheard == 1
    chart = database.run_now(read_chart, "yangzhou")
    assert chart is not None
    assert [entry.code for entry in chart.entries] == ["1029"]


def test_what_is_counted_is_told_by_kind(callers: Callers) -> None:
    database = callers.database
    for number, kind in ((1, "order"), (2, "whole"), (3, "part"), (4, "taken_back"), (5, "short")):
        msisdn = f"861390525000{number}"
        callers.hear(
            "1029",
            NOON - 2 * DAY,
            msisdn=msisdn,
            heard_ms=4999 if kind == "short" else 5000,
            to_the_end=kind not in {"part", "short"},
        )
        if kind in {"order", "taken_back"}:
            state = "captured" if kind == "order" else "undone"
            callers.order("1029", NOON - 2 * DAY, msisdn, state)
    callers.hear("1029", msisdn=None)
    callers.order("1029", NOON - 2 * DAY, state="failed")
    database.run_now(compute, NOON, ZONE)
    (period,) = made_of(database, "1029").made.periods
    assert (period.orders, period.whole, period.part, period.taken_back) == (1, 1, 1, 1)
    assert (period.age, period.weight, period.against) == (0, 3 + 1 + 0.25, -1)
    assert period.decayed == round(3.25 * decay(TODAY - 2 * DAY, TODAY), 3)


def test_a_number_that_calls_every_day_adds_less_every_day(callers: Callers) -> None:
    for days in range(4):
        callers.hear("1029", NOON - days * DAY, msisdn="8613905250001")
        callers.hear("1032", NOON - days * DAY)
    callers.database.run_now(compute, NOON, ZONE)
    (period,) = made_of(callers.database, "1029").made.periods
    assert (period.repeats, period.weight) == (3, round(1 + 1 / 2 + 1 / 3 + 1 / 4, 3))
    (others,) = made_of(callers.database, "1032").made.periods
    assert others.weight == 4


def test_a_day_is_the_local_one(callers: Callers) -> None:
    # 23:30 and 00:30 in Shanghai are one day in UTC, and two for the voter.
    late = NOON.replace(hour=23, minute=30) - DAY
    callers.hear("1029", late, msisdn="8613905250001")
    callers.hear("1029", late + timedelta(hours=1), msisdn="8613905250001")
    callers.hear("1029", late + timedelta(hours=2), msisdn="8613905250001")
    callers.database.run_now(compute, NOON, ZONE)
    (period,) = made_of(callers.database, "1029").made.periods
    assert period.votes == 2


def test_a_day_has_one_chart_until_it_is_forgotten(callers: Callers) -> None:
    database = callers.database
    callers.crowd("1029", 2)
    assert database.run_now(compute, NOON, ZONE) == 14
    callers.crowd("1032", 3)
    assert database.run_now(compute, NOON + timedelta(hours=1), ZONE) == 0
    assert [entry.code for entry in _entries(database)] == ["1029"]
    database.run_now(forget, TODAY)
    assert database.run_now(compute, NOON + timedelta(hours=1), ZONE) == 14
    assert [entry.code for entry in _entries(database)] == ["1032", "1029"]


def _entries(database: LocalDatabase, owner: str = PROVINCE) -> tuple[charts.Entry, ...]:
    chart = database.run_now(read_chart, owner)
    assert chart is not None
    return chart.entries


def test_only_days_that_changed_are_counted_again(callers: Callers) -> None:
    database = callers.database
    changed = callers.order("1029", NOON - 20 * DAY)
    callers.order("1032", NOON - 10 * DAY)
    assert len(database.run_now(stale_days, NOON, ZONE)) == 21
    database.run_now(compute, NOON, ZONE)
    tomorrow = NOON + DAY
    assert database.run_now(stale_days, tomorrow, ZONE) == (TODAY, TODAY + DAY)
    database.run_now(_set_state, changed, "cancelled")
    assert database.run_now(stale_days, tomorrow, ZONE) == (TODAY - 20 * DAY, TODAY, TODAY + DAY)
    database.run_now(compute, tomorrow, ZONE)
    assert [entry.code for entry in _entries(database)] == ["1032"]
    assert database.run_now(_tallied_at, TODAY - 20 * DAY) == tomorrow
    assert database.run_now(_tallied_at, TODAY - 10 * DAY) == NOON


def test_the_database_adds_up_as_the_formula_does(callers: Callers) -> None:
    ages = (0, 0, 1, 13, 14, 27, 28, 54, 55, 56, 57)
    cast = [(days, 12) for days in ages for _ in range(days % 3 + 1)] + [(3, 20)] * 12
    votes = []
    for number, (days, hour) in enumerate(cast):
        at = NOON.replace(hour=hour) - days * DAY
        callers.hear("1029", at)
        votes.append((at.date(), Vote(str(number), "1029", hour, "whole", 1)))
    callers.database.run_now(compute, NOON, ZONE)
    periods, busy = counted(votes, TODAY)
    found = callers.database.run_now(tallies.periods_of, PROVINCE, TODAY)
    (of_database,), (of_formula,) = score(found, busy, TODAY), score(periods, busy, TODAY)
    assert of_database.score == of_formula.score
    assert {one.age: one.votes for one in found} == {one.age: one.votes for one in periods}
    assert callers.database.run_now(tallies.busy_of, PROVINCE, TODAY) == busy


def test_the_first_run_counts_no_more_than_the_window(callers: Callers) -> None:
    assert callers.database.run_now(stale_days, NOON, ZONE) == (TODAY,)
    callers.hear("1029", NOON - 100 * DAY)
    assert len(callers.database.run_now(stale_days, NOON, ZONE)) == WINDOW_DAYS


def test_counting_a_day_twice_counts_it_once(callers: Callers) -> None:
    callers.crowd("1029", 2)
    for _ in range(2):
        assert callers.database.run_now(tally_day, TODAY, NOON, ZONE) == 2  # province and branch
    assert callers.database.run_now(_tally_count) == 2


def test_what_is_older_than_the_window_is_dropped(callers: Callers) -> None:
    callers.crowd("1029", 2)
    callers.database.run_now(compute, NOON, ZONE)
    callers.database.run_now(compute, NOON + WINDOW_DAYS * DAY, ZONE)
    assert callers.database.run_now(_tally_count) == 0
    assert _entries(callers.database) == ()


def test_a_retired_song_has_no_place(callers: Callers) -> None:
    callers.crowd("1029", 2)
    callers.database.run_now(move_tone, "1029", "retire", NOON)
    callers.database.run_now(compute, NOON, ZONE)
    assert _entries(callers.database) == ()


def test_songs_far_below_have_the_places_that_an_sp_may_not_have(callers: Callers) -> None:
    small = [str(code) for code in range(3000, 3006)]
    big = [str(code) for code in range(2000, 2000 + DEPTH + 2)]
    tones = [replace(a_tone(code), sp="small" if code in small else "big") for code in big + small]
    callers.database.run_now(put_tones, [*tones, replace(a_tone("2999"), sp="other")], NOON)
    callers.crowd("2999", 1)
    for code in big:
        callers.crowd(code, 2)
    for code in small:
        callers.crowd(code, 1)
    callers.database.run_now(compute, NOON, ZONE)
    entries = _entries(callers.database)
    assert [entry.code for entry in entries[:10]] == [*big[:4], "2999", *small[:4], big[4]]
    assert len(entries) == DEPTH


def test_of_equal_songs_the_one_ordered_first_is_before(callers: Callers) -> None:
    callers.order("1032", NOON - 100 * DAY)
    callers.crowd("1029", 2)
    callers.crowd("1032", 2)
    callers.database.run_now(compute, NOON, ZONE)
    assert [entry.code for entry in _entries(callers.database)] == ["1032", "1029"]


def test_a_song_remembers_its_last_week_its_peak_and_its_weeks(callers: Callers) -> None:
    database = callers.database
    monday = NOON - timedelta(days=NOON.weekday())
    callers.crowd("1029", 3, monday)
    callers.crowd("1032", 2, monday)
    for at in (monday, monday + 2 * DAY):
        database.run_now(compute, at, ZONE)
    new, _ = _entries(database)
    assert (new.previous, new.peak, new.weeks, new.flag) == (None, 1, 1, "new")
    callers.crowd("1032", 30, monday + 7 * DAY)
    database.run_now(compute, monday + 7 * DAY, ZONE)
    risen, fallen = _entries(database)
    assert (risen.code, risen.previous, risen.peak, risen.weeks, risen.flag) == (
        "1032", 2, 1, 2, None,
    )  # fmt: skip
    assert (fallen.previous, fallen.rank, fallen.peak) == (1, 2, 1)


def test_a_song_that_was_away_for_a_week_is_back(callers: Callers) -> None:
    database = callers.database
    callers.crowd("1029", 2)
    database.run_now(compute, NOON, ZONE)
    gone = NOON + 70 * DAY
    database.run_now(compute, gone, ZONE)
    callers.crowd("1029", 2, gone + 7 * DAY)
    database.run_now(compute, gone + 7 * DAY, ZONE)
    (entry,) = _entries(database)
    assert (entry.flag, entry.weeks, entry.previous) == ("re", 2, None)


def test_a_branch_with_few_votes_takes_the_provinces_chart(callers: Callers) -> None:
    database = callers.database
    assert database.run_now(ranked, "yangzhou") == ()
    callers.crowd("1029", 40, branch="nanjing")
    callers.crowd("1032", charts.FEWEST_VOTES - 1, branch="yangzhou")
    database.run_now(compute, NOON, ZONE)
    assert database.run_now(ranked, "yangzhou") == database.run_now(ranked, PROVINCE)
    callers.hear("1032", branch="yangzhou")
    database.run_now(forget, TODAY)
    database.run_now(compute, NOON, ZONE)
    assert database.run_now(ranked, "yangzhou") == ("1032", "1029")
    assert database.run_now(ranked, "nanjing") == ("1029", "1032")
    assert database.run_now(ranked, "suqian") == database.run_now(ranked, PROVINCE)


def test_a_burst_is_in_the_chart_and_told(callers: Callers) -> None:
    callers.crowd("1029", 25)
    callers.database.run_now(compute, NOON, ZONE)
    chart = callers.database.run_now(read_chart, PROVINCE)
    assert chart is not None
    (burst,) = chart.entries[0].made.bursts
    assert (burst.day, burst.hour, burst.weight, burst.counted) == (TODAY, 12, 25, BUSY_WEIGHT)
    yangzhous, provinces = callers.database.run_now(charts.bursts_of, TODAY)
    assert (yangzhous.owner, yangzhous.rank, yangzhous.code) == ("yangzhou", 1, "1029")
    assert (provinces.owner, provinces.hour, provinces.weight) == (PROVINCE, 12, 25)
    assert provinces.sp == "SP2"


def test_a_burst_is_told_when_it_is_new_not_as_long_as_it_is_seen(callers: Callers) -> None:
    database = callers.database
    callers.crowd("1029", 25, NOON - 2 * DAY)
    told = []
    for days in (-1, 0):
        database.run_now(compute, NOON + days * DAY, ZONE)
        told.append(len(database.run_now(charts.bursts_of, TODAY + days * DAY)))
    assert told == [2, 0]
    assert made_of(database, "1029").made.bursts


def test_a_chart_is_computed_in_steps_and_a_step_may_be_repeated(callers: Callers) -> None:
    database = callers.database
    callers.crowd("1029", 2)
    step = database.run_now(compute_step, NOON, ZONE)
    steps = 0
    while step.todo:
        database.run_now(compute_step, NOON, ZONE, step.todo)
        again = database.run_now(compute_step, NOON, ZONE, step.todo)
        assert again.charts == 0
        steps, step = steps + 1, again
    assert steps == 1 + 14
    assert [entry.code for entry in _entries(database)] == ["1029"]
    assert database.run_now(compute_step, NOON, ZONE) == ComputeStep(0, "")


def test_a_chart_of_another_day_is_none(callers: Callers) -> None:
    callers.database.run_now(compute, NOON, ZONE)
    assert callers.database.run_now(read_chart, PROVINCE, TODAY - DAY) is None
    assert callers.database.run_now(read_chart, PROVINCE, TODAY) is not None


def test_old_charts_are_kept_by_the_week_and_not_for_ever(callers: Callers) -> None:
    database = callers.database
    callers.crowd("1029", 2)
    friday = NOON + 2 * DAY
    for at in (NOON, friday):
        database.run_now(compute, at, ZONE)
    database.run_now(compute, NOON + 70 * DAY, ZONE)
    assert database.run_now(read_chart, PROVINCE, TODAY) is None
    kept = database.run_now(read_chart, PROVINCE, friday.date())
    assert kept is not None
    assert [entry.code for entry in kept.entries] == ["1029"]
    database.run_now(compute, NOON + 500 * DAY, ZONE)
    assert database.run_now(read_chart, PROVINCE, friday.date()) is None


STATEMENTS = {
    f"{module.__name__}.{name}": statement
    for module in (charts, tallies)
    for name, statement in vars(module).items()
    if isinstance(statement, Select | Delete) and name.isupper()
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_reads_a_whole_table(name: str) -> None:
    statement = STATEMENTS[name]
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    values = dict.fromkeys(
        key
        for key, bound in statement.compile(dialect=sqlite.dialect()).binds.items()
        if bound.required
    )
    with engine.connect() as connection:
        prepared = PreparedStatements(connection.dialect).find(statement, values)
        assert prepared is not None, "it is not run the quick way"
        marks = (None,) * prepared.sql.count("?")
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {prepared.sql}", marks)
        steps = [row[3] for row in rows]
    # `today` are the numbers of one day, which another step has found by an index.
    assert [step for step in steps if step.startswith("SCAN") and step != "SCAN today"] == []
