"""A local day's hearings and orders -> tallies: counted once, stored by owner, day and song.

A day is tallied anew only when it was not over yet, or when one of its orders was taken back since;
so each step takes the store some milliseconds. What a vote weighs: catalog.votes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, bindparam, delete, exists, func, insert, or_, select, true

from catalog.branches import BRANCHES, PROVINCE
from catalog.ranking import (
    FORMULA_VERSION,
    PERIODS,
    WINDOW_DAYS,
    Busy,
    Period,
    first_day,
    growth,
    period_days,
)
from catalog.votes import HEARD_MS, Act, Earlier, Tally, tally, votes_of
from store.schema import call, chart_busy, chart_day, chart_tally, order, preview

CHARTED = (*BRANCHES, PROVINCE)
"""Owners of charts, in the order in which these are computed: the province's is the last."""
"""Who has charts."""
SETTLED = timedelta(hours=6)
"""A day's calls are recorded when they end; so long after midnight none of them still runs."""
KEPT_STATES = ("confirmed", "authorised", "provisioned", "captured", "unknown")
TAKEN_BACK_STATES = ("undone", "cancelled")

# ---------------------------------------------------------------- a day's votes

_HEARD = or_(preview.c.heard_ms >= HEARD_MS, preview.c.to_the_end == true())
_DAY = (
    preview.c.started_at >= bindparam("since"),
    preview.c.started_at < bindparam("until"),
    preview.c.msisdn.is_not(None),
    _HEARD,
)
_PREVIEWS = (
    select(
        preview.c.msisdn, preview.c.tone_code, preview.c.started_at, preview.c.to_the_end,
        call.c.branch,
    )
    .join(call, call.c.call_id == preview.c.call_id)
    .where(*_DAY)
)  # fmt: skip
_past = preview.alias("past")
_PAST_HEARD = or_(_past.c.heard_ms >= HEARD_MS, _past.c.to_the_end == true())
_heard_before = select(_past.c.call_id).where(
    _past.c.msisdn == order.c.msisdn,
    _past.c.tone_code == order.c.tone_code,
    _past.c.started_at >= bindparam("first"),
    _past.c.started_at < bindparam("until"),
    _PAST_HEARD,
)
_ORDERS = (
    select(
        order.c.msisdn, order.c.tone_code, order.c.confirmed_at, order.c.state, call.c.branch,
        exists(_heard_before.correlate(order)).label("heard"),
    )
    .join(call, call.c.call_id == order.c.call_id, isouter=True)
    .where(
        order.c.confirmed_at >= bindparam("since"),
        order.c.confirmed_at < bindparam("until"),
        order.c.state.in_((*KEPT_STATES, *TAKEN_BACK_STATES)),
    )
)  # fmt: skip
_today = select(preview.c.msisdn, preview.c.tone_code).where(*_DAY).distinct().subquery("today")
_HEARD_EARLIER = (
    select(_today.c.msisdn, _today.c.tone_code, _past.c.started_at)
    .join(_past, (_past.c.msisdn == _today.c.msisdn) & (_past.c.tone_code == _today.c.tone_code))
    .where(
        _past.c.started_at >= bindparam("first"),
        _past.c.started_at < bindparam("since"),
        _PAST_HEARD,
    )
)
_past_order = order.alias("past_order")
# What the day's numbers ordered earlier, other songs too: they are found by their number alone.
_ORDERED_EARLIER = (
    select(_past_order.c.msisdn, _past_order.c.tone_code, _past_order.c.confirmed_at)
    .join(order, _past_order.c.msisdn == order.c.msisdn)
    .where(
        order.c.confirmed_at >= bindparam("since"),
        order.c.confirmed_at < bindparam("until"),
        _past_order.c.requested_at >= bindparam("first"),
        _past_order.c.confirmed_at < bindparam("since"),
    )
)
_FORGET_TALLIES = delete(chart_tally).where(
    chart_tally.c.owner == bindparam("of_owner"), chart_tally.c.day == bindparam("of_day")
)
_FORGET_BUSY = delete(chart_busy).where(
    chart_busy.c.owner == bindparam("of_owner"), chart_busy.c.day == bindparam("of_day")
)
_FORGET_DAY = delete(chart_day).where(chart_day.c.day == bindparam("of_day"))
_INSERT_TALLY = insert(chart_tally)
_INSERT_BUSY = insert(chart_busy)
_INSERT_DAY = insert(chart_day)


def tally_day(connection: Connection, day: date, now: datetime, timezone: ZoneInfo) -> int:
    """Count a local day's votes for every owner, in place of what was counted before.

    Returns how many tallies the day has. Reads the day's hearings and orders, and what the same
    numbers did about the same songs earlier in the window.
    """
    bounds = {
        "first": _midnight(first_day(day), timezone),
        "since": _midnight(day, timezone),
        "until": _midnight(day + timedelta(days=1), timezone),
    }
    acts = [*_hearings(connection, bounds), *_ordered(connection, bounds)]
    earlier = _earlier(connection, bounds, timezone)
    tallies = [
        (owner, one)
        for owner, of_owner in _by_owner(acts).items()
        for one in tally(day, votes_of(of_owner, earlier, timezone))
    ]
    forget_day(connection, day)
    if tallies:
        connection.execute(_INSERT_TALLY, [_tally_row(owner, one) for owner, one in tallies])
    if busy := [row for owner, one in tallies for row in _busy_rows(owner, one)]:
        connection.execute(_INSERT_BUSY, busy)
    kept, taken_back = _standing(connection, day, day, timezone).get(day, (0, 0))
    connection.execute(
        _INSERT_DAY,
        {
            "day": day,
            "formula_version": FORMULA_VERSION,
            "tallied_at": now,
            "kept": kept,
            "taken_back": taken_back,
        },
    )
    return len(tallies)


def _hearings(connection: Connection, bounds: Mapping[str, datetime]) -> Iterator[Act]:
    within = {"since": bounds["since"], "until": bounds["until"]}
    for msisdn, code, at, to_the_end, branch in connection.execute(_PREVIEWS, within):
        yield Act(msisdn, code, at, "whole" if to_the_end else "part", branch)


def _ordered(connection: Connection, bounds: Mapping[str, datetime]) -> Iterator[Act]:
    for msisdn, code, at, state, branch, heard in connection.execute(_ORDERS, bounds):
        stands = "order" if heard else "unheard"
        kind = "taken_back" if state in TAKEN_BACK_STATES else stands
        yield Act(msisdn, code, at, kind, branch)


def _earlier(
    connection: Connection, bounds: Mapping[str, datetime], timezone: ZoneInfo
) -> dict[tuple[str, str], Earlier]:
    heard, ordered = (
        Counter(
            (msisdn, code)
            for msisdn, code, _ in {
                (msisdn, code, at.astimezone(timezone).date())
                for msisdn, code, at in connection.execute(statement, bounds)
            }
        )
        for statement in (_HEARD_EARLIER, _ORDERED_EARLIER)
    )
    return {key: Earlier(heard[key], ordered[key]) for key in heard.keys() | ordered.keys()}


def _by_owner(acts: Sequence[Act]) -> dict[str, list[Act]]:
    """Return the acts by owner: the province has all of them, a branch those of its callers."""
    owned: dict[str, list[Act]] = {PROVINCE: list(acts)}
    for act in acts:
        if act.branch in BRANCHES:
            owned.setdefault(act.branch, []).append(act)
    return owned


def _tally_row(owner: str, of: Tally) -> dict[str, object]:
    return {
        "owner": owner,
        "day": of.day,
        "code": of.code,
        "orders": of.orders,
        "unheard": of.unheard,
        "taken_back": of.taken_back,
        "whole": of.whole,
        "part": of.part,
        "repeats": of.repeats,
        "weight": of.weight,
        "against": of.against,
        "grown": (of.weight + of.against) * growth(of.day),
    }


def _busy_rows(owner: str, of: Tally) -> list[dict[str, object]]:
    return [
        {"owner": owner, "day": of.day, "code": of.code, "hour": hour, "weight": weight}
        for hour, weight in of.busy
    ]


def forget_day(connection: Connection, day: date) -> None:
    """Forget what a local day was counted as: it will be counted anew."""
    of_owners = [{"of_owner": owner, "of_day": day} for owner in CHARTED]
    connection.execute(_FORGET_TALLIES, of_owners)
    connection.execute(_FORGET_BUSY, of_owners)
    connection.execute(_FORGET_DAY, {"of_day": day})


def _midnight(day: date, timezone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), timezone)


# ---------------------------------------------------------------- which days

_STANDING = select(order.c.confirmed_at, order.c.state).where(
    order.c.confirmed_at >= bindparam("since"),
    order.c.confirmed_at < bindparam("until"),
    order.c.state.in_((*KEPT_STATES, *TAKEN_BACK_STATES)),
)
_DAYS = select(
    chart_day.c.day,
    chart_day.c.formula_version,
    chart_day.c.tallied_at,
    chart_day.c.kept,
    chart_day.c.taken_back,
).where(chart_day.c.day >= bindparam("first"))
_FIRST_HEARD = select(func.min(preview.c.started_at).label("at"))
_FIRST_ORDERED = select(func.min(order.c.confirmed_at).label("at"))
_OLD_DAYS = select(chart_day.c.day).where(chart_day.c.day < bindparam("first"))


def stale_days(connection: Connection, now: datetime, timezone: ZoneInfo) -> tuple[date, ...]:
    """Return the local days to be tallied before charts are computed, oldest first.

    Today, what was counted before it was over or by another formula, and what has other orders
    than then. The first run has the window to do, as far back as there are hearings or orders.
    """
    today = now.astimezone(timezone).date()
    first = first_day(today)
    standing = _standing(connection, first, today, timezone)
    settled = {
        row.day
        for row in connection.execute(_DAYS, {"first": first})
        if row.formula_version == FORMULA_VERSION
        and row.tallied_at >= _midnight(row.day + timedelta(days=1), timezone) + SETTLED
        and (row.kept, row.taken_back) == standing.get(row.day, (0, 0))
    }
    begun = _begun(connection, today, timezone)
    window = (first + timedelta(days=age) for age in range(WINDOW_DAYS))
    return tuple(day for day in window if day >= begun and day not in settled)


def _begun(connection: Connection, today: date, timezone: ZoneInfo) -> date:
    """Return the day of the oldest hearing or order; today when there is none."""
    begun = today
    for statement in (_FIRST_HEARD, _FIRST_ORDERED):
        oldest: datetime | None = connection.execute(statement).scalar()
        if oldest is not None:
            begun = min(begun, oldest.astimezone(timezone).date())
    return begun


def _standing(
    connection: Connection, first: date, last: date, timezone: ZoneInfo
) -> dict[date, tuple[int, int]]:
    """Return by local day how many orders stand and how many were taken back."""
    bounds = {
        "since": _midnight(first, timezone),
        "until": _midnight(last + timedelta(days=1), timezone),
    }
    kept: Counter[date] = Counter()
    taken_back: Counter[date] = Counter()
    for confirmed_at, state in connection.execute(_STANDING, bounds):
        counted = taken_back if state in TAKEN_BACK_STATES else kept
        counted[confirmed_at.astimezone(timezone).date()] += 1
    return {day: (kept[day], taken_back[day]) for day in kept.keys() | taken_back.keys()}


# ---------------------------------------------------------------- reading

_SUMS = (
    select(
        chart_tally.c.code,
        *(
            func.sum(chart_tally.c[name]).label(name)
            for name in ("orders", "unheard", "taken_back", "whole", "part", "repeats", "weight",
                         "against", "grown")
        ),
    )
    .where(
        chart_tally.c.owner == bindparam("owner"),
        chart_tally.c.day >= bindparam("first"),
        chart_tally.c.day <= bindparam("last"),
    )
    .group_by(chart_tally.c.code)
)  # fmt: skip
_BUSY = select(
    chart_busy.c.code, chart_busy.c.day, chart_busy.c.hour, chart_busy.c.weight
).where(
    chart_busy.c.owner == bindparam("owner"),
    chart_busy.c.day >= bindparam("first"),
    chart_busy.c.day <= bindparam("last"),
)  # fmt: skip


def periods_of(connection: Connection, owner: str, today: date) -> tuple[Period, ...]:
    """Return the sums of an owner's tallies, by song and period of the window that ends today."""
    return tuple(
        period
        for age in range(PERIODS)
        for period in _period(connection, owner, age, *period_days(today, age), growth(today))
    )


def _period(
    connection: Connection, owner: str, age: int, first: date, last: date, grown_today: float
) -> Iterator[Period]:
    within = {"owner": owner, "first": first, "last": last}
    for code, *sums, grown in connection.execute(_SUMS, within):
        decayed = grown / grown_today
        yield Period(code, age, *sums, decayed)  # type: ignore[call-arg]  # the fields in order


def busy_of(connection: Connection, owner: str, today: date) -> tuple[Busy, ...]:
    """Return an owner's hours that may be bursts, of the window that ends today."""
    within = {"owner": owner, "first": first_day(today), "last": today}
    return tuple(Busy(*row) for row in connection.execute(_BUSY, within))


def drop_old_days(connection: Connection, today: date) -> int:
    """Drop the tallies that are older than the window; return of how many days."""
    old = connection.execute(_OLD_DAYS, {"first": first_day(today)}).all()
    for (day,) in old:
        forget_day(connection, day)
    return len(old)
