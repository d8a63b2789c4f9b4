"""What holds for whatever an owner's files say, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from catalog.branch_files import read
from catalog.directories import Edition, current_edition
from catalog.editions import all_editions, roll_back, withdraw
from catalog.publishing import publish_file
from catalog.tones import put_tones
from store.database import LocalDatabase
from store.engine import engine_for
from store.migrations import upgrade
from tests.fakes.branch_file import edition, file
from tests.fakes.catalogue import CODES, some_tones

ZONE = "Asia/Shanghai"
FRIDAY = datetime(2026, 11, 20, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalDatabase]:
    url = f"sqlite:///{tmp_path_factory.mktemp('editions') / 'toneline.db'}"
    upgrade(url)
    database = LocalDatabase(engine_for(url))
    database.run_now(put_tones, some_tones(), FRIDAY)
    yield database
    database.close()


BEGINNINGS = ["2026-11-16", "2026-11-20", "2026-11-23", "2026-11-24"]
ENDS = ["2026-11-25", "2026-11-27", "2026-12-01"]
drawn = st.lists(
    st.tuples(
        st.sampled_from(BEGINNINGS),
        st.sampled_from(ENDS),
        st.sampled_from(["regular", "holiday"]),
        st.permutations(CODES[:10]),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda one: (one[0], one[2]),
)
Drawn = list[tuple[str, str, str, list[str]]]


def as_file(said: Drawn) -> str:
    return file(
        *(
            edition(", ".join(songs), begins, f"    to: {ends}\n    kind: {kind}\n")
            for begins, ends, kind, songs in said
        )
    )


def begins_at(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=UTC) - 8 * HOUR


@settings(max_examples=25, deadline=None)
@given(drawn, st.integers(0, 200))
def test_publishing_in_any_order_gives_the_same_current_edition(
    empty: LocalDatabase, said: Drawn, hours: int
) -> None:
    at = FRIDAY + timedelta(hours=hours) + HOUR
    found = set()
    for order in permutations(said):
        with empty.engine.connect() as connection:
            for late in range(len(order)):
                written = read(as_file(list(order[: late + 1])).encode(), "yangzhou.yaml")
                when = FRIDAY + timedelta(minutes=late)
                outcome = publish_file(connection, written, "li", "", when, ZONE)
                assert (len(outcome.editions), outcome.withdrawn) == (1, ())
            current = current_edition(all_editions(connection), at)
            found.add(current.checksum if current else "")
            connection.rollback()
    assert len(found) == 1


def as_said(versions: list[Drawn], at: datetime) -> list[str]:
    """Return the songs that a clerk expects, who never heard of editions: her file's last version
    says what is to come; what had begun when she left it out goes on until it ends."""
    meant: dict[tuple[str, str], tuple[str, list[str]]] = {}
    for late, version in enumerate(versions):
        when = FRIDAY + late * 12 * HOUR
        if when > at:
            break
        kept = {key: one for key, one in meant.items() if begins_at(key[1]) <= when}
        meant = kept | {(kind, begins): (ends, songs) for begins, ends, kind, songs in version}
    holding = {
        (kind == "holiday", begins): songs
        for (kind, begins), (ends, songs) in meant.items()
        if begins_at(begins) <= at < begins_at(ends)
    }
    return holding[max(holding)] if holding else []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(drawn, min_size=1, max_size=4),
    st.integers(0, 300),
    st.randoms(use_true_random=False),
)
def test_what_is_heard_is_what_the_files_versions_say(
    empty: LocalDatabase, changes: list[Drawn], hours: int, random: Random
) -> None:
    at = FRIDAY + timedelta(hours=hours)
    versions: list[Drawn] = []
    for change in changes:
        kept = [one for one in (versions[-1] if versions else []) if random.random() < 0.7]
        fresh = {(one[0], one[2]) for one in change}
        versions.append([*change, *(one for one in kept if (one[0], one[2]) not in fresh)])
    said = [one for change in changes for one in change]
    assume(all(said.count(one) == 1 for one in said))  # what comes back has a test of its own
    texts = [as_file(version) for version in versions]
    with empty.engine.connect() as connection:
        for late, text in enumerate(texts):
            written = read(text.encode(), "yangzhou.yaml")
            when = FRIDAY + late * 12 * HOUR
            assert publish_file(connection, written, "li", "", when, ZONE).errors == ()
            again = publish_file(connection, written, "li", "", when + HOUR, ZONE)
            assert (again.editions, again.withdrawn, again.unheard) == ((), (), ())
        stored = list(all_editions(connection))
        connection.rollback()
    random.shuffle(stored)
    current = current_edition(stored, at)
    assert (list(current.songs) if current else []) == as_said(versions, at)


@settings(max_examples=25, deadline=None)
@given(drawn, st.integers(0, 200), st.integers(0, 2))
def test_after_a_rollback_the_old_songs_are_heard(
    empty: LocalDatabase, said: Drawn, hours: int, back: int
) -> None:
    now = FRIDAY + timedelta(hours=hours) + HOUR
    with empty.engine.connect() as connection:
        written = read(as_file(said).encode(), "yangzhou.yaml")
        stored = publish_file(connection, written, "li", "", FRIDAY, ZONE).editions
        earlier = current_edition(all_editions(connection), now)
        old = stored[back % len(stored)]
        assert roll_back(connection, "yangzhou", old.edition_id, "li", "", now) is not None
        current = current_edition(all_editions(connection), now)
        assert current is not None
        assert current.songs == old.songs
        before = current_edition(all_editions(connection), now - timedelta(microseconds=1))
        if earlier is not None and earlier.holds(now - timedelta(microseconds=1)):
            assert before == earlier
        assert publish_file(connection, written, "li", "", now + HOUR, ZONE).editions == ()
        connection.rollback()


@settings(max_examples=25, deadline=None)
@given(drawn, st.integers(0, 200), st.integers(0, 2))
def test_a_withdrawal_is_as_if_it_had_never_been_said_from_then_on_and_not_before(
    empty: LocalDatabase, said: Drawn, hours: int, which: int
) -> None:
    now = FRIDAY + timedelta(hours=hours) + HOUR
    with empty.engine.connect() as connection:
        written = read(as_file(said).encode(), "yangzhou.yaml")
        stored = publish_file(connection, written, "li", "", FRIDAY, ZONE).editions
        gone = stored[which % len(stored)]
        assert isinstance(withdraw(connection, "yangzhou", gone.edition_id, "li", "", now), Edition)
        left = [one for one in stored if one is not gone]
        for late in (-1, 0, 24, 96):
            at = now + late * HOUR
            current = current_edition(all_editions(connection), at)
            assert current == current_edition(stored if late < 0 else left, at)
        connection.rollback()
