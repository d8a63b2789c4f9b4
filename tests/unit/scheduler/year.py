"""A year of the province: clerks, the calendar, the line and its deaths, on a clock of our own.

Everything but the clock and the deaths is the real thing: tables on SQLite in memory, the domain's
functions, the calendar, and the catalogue as a running line follows it. Run as a program it prints
the golden file: `python -m tests.unit.scheduler.year > tests/unit/scheduler/year_2027.txt`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from structlog.testing import capture_logs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from catalog.current import CurrentCatalogue
from catalog.directories import Edition
from catalog.holidays import holidays_of
from catalog.snapshot import Snapshot, load_snapshot
from catalog.switching import OWNERS
from catalog.tones import Tone, put_tones
from ordering import records
from scheduler.appointments import Appointments
from scheduler.timetable import appointments, timetable
from store.database import LocalDatabase
from store.engine import engine_for
from store.schema import metadata
from tests.fakes.catalogue import BRANCHES, SHANGHAI, a_tone
from tests.fakes.clocks import at_once
from tests.fakes.editions import an_edition, local, publish
from tests.fakes.messages import a_call

YEAR = 2027
FIRST, LAST = date(2026, 12, 31), date(2028, 1, 1)
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
SECOND = timedelta(seconds=1)
LOOKS_EVERY = 12 * HOUR
RETENTION_DAYS = 180
CALENDAR = appointments(timezone="Asia/Shanghai", retention_days=RETENTION_DAYS)
DUTIES = timetable(
    resent=("answer", "order"), offers_waiting=10, receipt_timeouts={"smsc": timedelta(hours=72)}
)


@dataclass(frozen=True, slots=True)
class Death:
    """At `at` the process dies at its `call`-th call of the store, if it makes so many (1, 2, ...).

    The store has done it or has not, and the process is started again `away` later.
    """

    at: datetime
    call: int
    is_done: bool
    away: timedelta = HOUR


class MortalDatabase:
    """The store as one process sees it: answers come a turn of the reactor later, until it dies."""

    def __init__(self, store: LocalDatabase, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._subscriptions: list[Callable[[], None]] = []
        self.calls = 0
        self.dies_at: Death | None = None
        self.is_dead = False

    def run(self, function: Callable[..., Any], *values: Any, **named: Any) -> Deferred[Any]:
        """See `store.database.Database`; a dead process never sees an answer."""
        answer: Deferred[Any] = Deferred()
        if self.is_dead:
            return answer
        self.calls += 1
        death = self.dies_at
        self.is_dead = death is not None and self.calls >= death.call
        if death is None or not self.is_dead or death.is_done:
            result = self._store.run_now(function, *values, **named)
            self._clock.callLater(0, self._answer, answer, result)
        return answer

    def _answer(self, answer: Deferred[Any], result: Any) -> None:
        if not self.is_dead:
            answer.callback(result)

    def on_change(self, topic: str, callback: Callable[[], None]) -> Callable[[], None]:
        """See `store.database.Database`; a dead process hears nothing."""
        unsubscribe = self._store.on_change(topic, lambda: None if self.is_dead else callback())
        self._subscriptions.append(unsubscribe)
        return unsubscribe

    def bury(self) -> None:
        """Forget what listens."""
        for unsubscribe in self._subscriptions:
            unsubscribe()


class Process:
    """A running `toneline serve`, as far as directories go."""

    def __init__(self, store: LocalDatabase, clock: Clock, now: Callable[[], datetime]) -> None:
        self._clock = clock
        self._now = now
        self.database = MortalDatabase(store, clock)
        snapshot = load_snapshot(store, BRANCHES, SHANGHAI, now())
        self.catalogue = CurrentCatalogue(self.database, snapshot, clock, now)
        self.catalogue.startService()
        # A started process has another number.
        host = f"host/{now():%m%d%H}"
        self.calendar = Appointments(self.database, CALENDAR, SHANGHAI, host, now, at_once)

    def tick(self, death: Death | None = None) -> bool:
        """Do what is due; False: the process died of it."""
        self.database.calls = 0
        self.database.dies_at = death
        Deferred.fromCoroutine(self.calendar.keep())
        self.turn()
        self.database.dies_at = None
        if self.database.is_dead:
            self.database.bury()
        return not self.database.is_dead

    def turn(self) -> None:
        """Let everything come to rest."""
        while self._clock.getDelayedCalls():
            self._clock.advance(0)


@dataclass
class Year:
    """What happened: who heard what from when on, and what the calendar said."""

    heard: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    deaths: int = 0

    def text(self) -> str:
        """Return the golden file."""
        return "\n".join(
            [
                f"# {YEAR}: from when on who heard which ten, and what the calendar said",
                *self.heard,
                *self.said,
                "",
            ]
        )


def tones() -> tuple[Tone, ...]:
    """Return 60 tones; every fifth one's licence ends on a Wednesday within the year."""
    ends = local(f"{YEAR}-01-27").date()
    return tuple(
        a_tone(
            str(2001 + 7 * number),
            f"曲{number}",
            licence_until=ends + 4 * WEEK * (number // 5) if number % 5 == 0 else None,
        )
        for number in range(60)
    )


def editions_made(day: date, catalogue: tuple[Tone, ...]) -> Iterator[Edition]:
    """Yield what the clerks publish on a day, at three in the afternoon.

    On Fridays next week's songs: Taizhou's every second week, Suqian's never. Four days before a
    holiday the province's edition and those of every second branch; none for teachers' day.
    """
    if day.weekday() == 4:
        monday = day + 3 * DAY
        week = monday.isocalendar().week
        for number, owner in enumerate(OWNERS):
            if owner != "suqian" and (owner != "taizhou" or week % 2):
                songs = _songs(catalogue, monday, 3 * week + 5 * number)
                yield an_edition(owner, monday, songs=songs[:10], reserve=songs[10:12])
    for holiday in holidays_of((day + 4 * DAY).year):
        if holiday.day - 4 * DAY == day and holiday.name != "teachers_day":
            for number, owner in enumerate(OWNERS[::2]):
                songs = _songs(catalogue, holiday.day, holiday.day.day + 2 * number)
                end = holiday.day + (3 if holiday.name == "spring_festival" else 1) * DAY
                yield an_edition(owner, holiday.day, end, songs=songs[:10], reserve=songs[10:11])


def _songs(catalogue: tuple[Tone, ...], day: date, shift: int) -> tuple[str, ...]:
    licensed = [
        tone.code for tone in catalogue if tone.licence_until is None or tone.licence_until >= day
    ]
    return tuple(licensed[(shift + 4 * slot) % len(licensed)] for slot in range(12))


def simulate(deaths: tuple[Death, ...] = (), first: date = FIRST, last: date = LAST) -> Year:
    """Let the days from `first` to before `last` pass, hour by hour."""
    engine = engine_for("sqlite://")
    metadata.create_all(engine)
    store = LocalDatabase(engine)
    catalogue = tones()
    try:
        store.run_now(put_tones, catalogue, local(first))
        opening = [one for day in range(7) for one in editions_made(first - day * DAY, catalogue)]
        publish(store, opening, local(first) - WEEK)
        return _Passing(store, catalogue, list(deaths)).pass_days(first, last)
    finally:
        store.close()


class _Passing:
    """The hours as they pass."""

    def __init__(
        self, store: LocalDatabase, catalogue: tuple[Tone, ...], deaths: list[Death]
    ) -> None:
        self.store = store
        self.tones = catalogue
        self.deaths = deaths
        self.clock = Clock()
        self.now = local(FIRST)
        self.process: Process | None = None
        self.starts_at = self.now
        self.snapshot: Snapshot | None = None
        self.lists: dict[str, tuple[str, ...]] = {}
        self.looked_at = self.now
        self.year = Year()

    def pass_days(self, first: date, last: date) -> Year:
        self.now = self.looked_at = self.starts_at = local(first)
        while self.now < local(last):
            self.hour()
            self.now += HOUR
        return self.year

    def hour(self) -> None:
        with capture_logs() as logs:
            if self.process is None and self.now >= self.starts_at:
                self.process = Process(self.store, self.clock, lambda: self.now)
            self.people()
            if self.process is not None:
                self.process.turn()
                self.listen(self.process.catalogue())
                if not self.process.tick(self.death()):
                    self.year.deaths += 1
                    self.process = None
        self.year.said += [said for one in logs if (said := _said(one))]

    def people(self) -> None:
        """Clerks work in the afternoon whether the line runs or not; someone calls each noon."""
        day, hour = self.now.date(), self.now.astimezone(SHANGHAI).hour
        if hour == 15 and (made := tuple(editions_made(day, self.tones))):
            publish(self.store, made, self.now)
        if hour == 12:
            call = a_call(f"{day}", started_at=self.now, answered_at=None, ended_at=self.now)
            self.store.run_now(records.call_ended, call, None, self.now)
            for duty in DUTIES:
                self.store.run_now(duty.job, self.now, *duty.values)

    def death(self) -> Death | None:
        """Return how the process dies in this hour; it stays dead for as long as that says."""
        for death in self.deaths:
            if death.at == self.now:
                self.starts_at = self.now + death.away
                return death
        return None

    def listen(self, snapshot: Snapshot) -> None:
        """Note whose list is another than it was when somebody listened last, and since when."""
        if snapshot is self.snapshot and self.now - self.looked_at < LOOKS_EVERY:
            return
        for owner in OWNERS:
            heard = self.heard(snapshot, owner, self.now)
            if heard != self.lists.get(owner):
                since = self.since(snapshot, owner, heard)
                self.year.heard.append(f"{since:%F %T} {owner} {' '.join(heard)}")
                self.lists[owner] = heard
        self.looked_at, self.snapshot = self.now, snapshot

    def since(self, snapshot: Snapshot, owner: str, heard: tuple[str, ...]) -> datetime:
        """Return the second from which on a list is heard: between the last look and this one."""
        early, late = self.looked_at, self.now
        if self.heard(snapshot, owner, early) == heard:
            return late
        while late - early > SECOND:
            middle = early + (late - early) // SECOND // 2 * SECOND
            if self.heard(snapshot, owner, middle) == heard:
                late = middle
            else:
                early = middle
        return late

    def heard(self, snapshot: Snapshot, owner: str, at: datetime) -> tuple[str, ...]:
        return tuple(tone.code for tone in snapshot.directory(owner, at).tones)


def _said(one: Mapping[str, Any]) -> str:
    period = one.get("period")
    match one["event"]:
        case "editions_switched":
            return f"{period} switched: {' '.join(one['owners'])}"
        case "licences_end":
            told = " ".join(tone["code"] for tone in one["tones"])
            return f"{period} licences end in {one['days']} days: {told}"
        case "holiday_not_prepared":
            owners = " ".join(one["owners"])
            return f"{period} {one['holiday']} in {one['days_left']} days: {owners}"
        case "job_failed":
            return f"{period} failed: {one['job']}"
    return ""


DEATHS = (
    # On a Monday at 00:00: the announcement is stored and not yet logged.
    Death(local(f"{YEAR}-02-08"), 1, is_done=True),
    # On a Friday evening, before next week is prepared; nobody starts it again until Monday.
    Death(local(f"{YEAR}-05-21", 20), 1, is_done=False, away=timedelta(days=2, hours=14)),
    # In the middle of a night's clean-up.
    Death(local(f"{YEAR}-08-13", 4), 4, is_done=True),
)

if __name__ == "__main__":
    sys.stdout.write(simulate(DEATHS).text())
