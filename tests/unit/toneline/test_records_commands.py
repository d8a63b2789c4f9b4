"""`toneline orders` and `trace` as customer service types them, on a database of its own."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from ordering import consent, orders
from store.database import LocalDatabase
from store.engine import engine_for
from store.migrations import upgrade
from tests.unit.ordering.test_orders import LIMITS, NOON, NUMBER, a_notice, a_request
from toneline.cli import main

SHOWN = {
    "text": "《茉莉花》2元",
    "prompts": [{"id": "offer_pays", "text": "2元", "sha256": "ab12", "played_ms": 900}],
    "key_ms": 4000,
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    url = f"sqlite:///{tmp_path / 'toneline.db'}"
    upgrade(url)
    database = LocalDatabase(engine_for(url))
    asked = consent.Question(
        "q", NUMBER, "1029", "茉莉花", "visitor", 200, 150, 100, 200, "?", NOON,
        NOON + timedelta(hours=1),
    )  # fmt: skip
    database.run_now(consent.ask, asked)
    database.run_now(consent.close, "q", "confirmed", NOON)
    shown = json.dumps({**SHOWN, "asked_at": NOON.isoformat()})
    database.run_now(orders.place, replace(a_request(), shown=shown), a_notice(), LIMITS, NOON)
    database.close()
    file = tmp_path / "toneline.toml"
    file.write_text(f'[database]\nurl = "{url}"\n[paths]\nvar = "{tmp_path / "var"}"\n')
    return file


def said(config: Path, *arguments: str) -> str:
    result = CliRunner().invoke(main, [*arguments, "--config", str(config)])
    assert result.exit_code == 0, result.output
    return result.output


def test_an_orders_proof_is_written_for_a_person(config: Path) -> None:
    lines = said(config, "orders", "show", "a").splitlines()
    assert [line.strip() for line in lines[1:]] == [
        "pays    2元 as visitor (visitor 2元, member 1.5元, senior 1元)",
        "shown   《茉莉花》2元",
        "played  offer_pays  900 ms  sha256 ab12",
        "answer  1  at 2026-11-23T12:00:00+08:00",
    ]


def test_every_time_of_a_trace_is_local(config: Path) -> None:
    whole = said(config, "trace", NUMBER, "--json")
    assert "+00:00" not in whole
    assert {one["at"] for one in json.loads(whole)} == {"2026-11-23T12:00:00+08:00"}
    shown = said(config, "trace", NUMBER)
    assert "+00:00" not in shown
    assert "due_at=2026-11-23T12:00:00+08:00" in shown
