"""`toneline charts` as an operator types it, on a database of its own."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result
from sqlalchemy import Connection, insert

from catalog.branches import BRANCHES
from catalog.tones import put_tones
from store.database import LocalDatabase
from store.engine import engine_for
from store.migrations import upgrade
from store.schema import call, preview
from tests.fakes.catalogue import a_tone
from toneline.cli import main


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    logging.basicConfig(force=True, handlers=[logging.NullHandler()])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    url = f"sqlite:///{tmp_path / 'toneline.db'}"
    upgrade(url)
    database = LocalDatabase(engine_for(url))
    database.run_now(
        put_tones,
        [
            replace(a_tone(code, f"曲{code}"), sp=f"SP{code}")
            for code in ("1007", "1010", "1029", "1032")
        ],
        datetime.now(UTC),
    )
    for code, numbers in (("1007", 3), ("1010", 2), ("1029", 40)):
        database.run_now(_heard, code, numbers)
    database.close()
    file = tmp_path / "toneline.toml"
    file.write_text(f'[database]\nurl = "{url}"\n[paths]\nvar = "{tmp_path / "var"}"\n')
    return file


def _heard(connection: Connection, code: str, numbers: int) -> None:
    at = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    for number in range(numbers):
        call_id, msisdn = f"{code}.{number}", f"86139{code}{number:04}"
        connection.execute(
            insert(call).values(
                call_id=call_id, msisdn=msisdn, dialled="12530019", branch="yangzhou", started_at=at
            )
        )
        connection.execute(
            insert(preview).values(
                call_id=call_id, number=1, msisdn=msisdn, tone_code=code, started_at=at,
                heard_ms=40_000, to_the_end=True,
            )
        )  # fmt: skip


def toneline(config: Path, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "--config", str(config)])


def said(config: Path, *words: str) -> str:
    done = toneline(config, *words)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_charts_are_computed_shown_and_explained(config: Path) -> None:
    told = said(config, "charts", "compute")
    assert f"{len(BRANCHES) + 1} charts of " in told
    assert "computed, 2 bursts in them" in told
    shown = said(config, "charts", "show")
    assert shown.splitlines()[0].startswith("jiangsu, ")
    assert [line.split()[:2] for line in shown.splitlines()[1:]] == [
        ["1", "1029"],
        ["2", "1007"],
        ["3", "1010"],
    ]
    assert "NEW" in shown
    assert "(10 of 40 believed)" in shown
    why = said(config, "charts", "explain", "1010", "--owner", "yangzhou")
    assert "1010 曲1010 (SP1010) is third of 3 on the chart of yangzhou" in why
    assert "Above it: 1007" in why


def test_each_command_prints_one_json_document(config: Path) -> None:
    done = json.loads(said(config, "charts", "compute", "--json"))
    assert [burst["owner"] for burst in done["bursts"]] == ["yangzhou", "jiangsu"]
    chart = json.loads(said(config, "charts", "show", "yangzhou", "--json"))
    assert (chart["owner"], chart["votes"], chart["day"]) == ("yangzhou", 45, done["day"])
    assert chart["computed_at"].endswith("+08:00")
    first = chart["entries"][0]
    assert (first["code"], first["burst"], first["flag"]) == ("1029", True, "new")
    assert first["made"]["periods"][0]["whole"] == 40
    why = json.loads(said(config, "charts", "explain", "1007", "--json"))
    assert (why["entry"]["rank"], why["above"]["code"], why["below"]["code"]) == (2, "1029", "1010")
    assert len(why["sentences"]) > 4
    absent = json.loads(said(config, "charts", "explain", "1032", "--json"))
    assert absent["entry"] is None


def test_a_burst_is_logged_when_it_is_computed(config: Path) -> None:
    done = toneline(config, "charts", "compute")
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(one["event"], one["level"], one["owner"]) for one in events] == [
        ("chart_burst", "warning", "yangzhou"),
        ("chart_burst", "warning", "jiangsu"),
    ]
    assert (events[0]["code"], events[0]["weight"], events[0]["counted"]) == ("1029", 40, 10)


def test_charts_computed_again_are_those_of_now(config: Path) -> None:
    assert toneline(config, "charts", "compute").exit_code == 0
    assert f"{len(BRANCHES) + 1} charts" in said(config, "charts", "compute")


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("show",), 1, "there is no chart of jiangsu; `toneline charts compute` computes today's"),
        (("show", "wuxi", "--day", "2026-01-01"), 1, "no chart of wuxi of 2026-01-01"),
        (("explain", "9999"), 1, "tone 9999 is not in the catalogue"),
        (("show", "shanghai"), 2, "Invalid value"),
        (("show", "--day", "yesterday"), 2, "does not match the format"),
    ],
)
def test_what_cannot_be_shown_is_refused(
    config: Path, words: tuple[str, ...], status: int, sentence: str
) -> None:
    done = toneline(config, "charts", *words)
    assert done.exit_code == status
    assert sentence in done.stderr
