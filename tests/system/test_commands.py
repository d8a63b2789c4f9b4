"""The `toneline` command as an operator types it, against a running line."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from audio.formats import RATE_HZ, from_samples, to_wav
from catalog.catalogue_file import COLUMNS
from ivr import phone
from scheduler.timetable import appointments
from tests.system.line import Line

ROOT = Path(__file__).parents[2]
HEADER = ",".join(COLUMNS) + "\n"
CALENDAR = {
    appointment.name for appointment in appointments(timezone="Asia/Shanghai", retention_days=180)
}


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory, prepared_sounds: Path) -> Iterator[Line]:
    with Line(tmp_path_factory.mktemp("commands") / "line", sounds=prepared_sounds) as running:
        yield running


def toneline(line: Line, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "toneline", *words, "--config", str(line.folder / "toneline.toml")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def said(line: Line, *words: str) -> str:
    done = toneline(line, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_command_has_help_with_an_example() -> None:
    from toneline.cli import main

    commands = [("", main)]
    while commands:
        name, command = commands.pop()
        children = getattr(command, "commands", {})
        commands += [(f"{name} {child}", found) for child, found in children.items()]
        assert command.help, name
        if not children:
            assert "Example: toneline" in command.help, name


def test_a_call_and_an_sms_order_tones_that_customer_service_can_prove(line: Line) -> None:
    number = "8613905251001"
    told = said(line, "phone", "125300191029", "--from", number, "--keys", "1,1")
    assert "茉莉花" in told
    assert "press 1" in told
    assert "订购成功" in told
    asked = said(line, "text", "1041", "--from", number)
    assert "回Y1041" in asked
    said(line, "text", "Y1041", "--from", number)
    orders = json.loads(said(line, "orders", "--msisdn", number, "--json"))
    assert [(order["tone_code"], order["channel"]) for order in orders] == [
        ("1029", "ivr"),
        ("1041", "sms"),
    ]
    assert orders[0]["requested_at"].endswith("+08:00")
    assert orders[0]["order_id"] in said(line, "orders", "--msisdn", number)
    proof = json.loads(said(line, "orders", "show", orders[0]["order_id"], "--json"))["consent"]
    assert proof["answer"] == "1"
    assert proof["quote"]["pays_fen"] == orders[0]["pays_fen"]
    assert re.search(r'"sha256": "[0-9a-f]{64}"', json.dumps(proof["shown"]))
    kinds = {happening["kind"] for happening in json.loads(said(line, "trace", number, "--json"))}
    assert kinds >= {
        "call_started", "played", "key", "call_ended", "quote", "consent", "order",
        "provision", "mo", "mt", "question",
    }  # fmt: skip
    assert "call_started" in said(line, "trace", number)


def test_what_was_heard_and_ordered_is_on_the_branchs_chart_and_explained(line: Line) -> None:
    number = "8613905252001"
    said(line, "phone", "125300191010", "--from", number, "--keys", "1,1")
    assert "14 charts" in said(line, "charts", "compute")
    chart = json.loads(said(line, "charts", "show", "yangzhou", "--json"))
    (entry,) = [entry for entry in chart["entries"] if entry["code"] == "1010"]
    assert entry["made"]["periods"][0]["orders"] == 1
    assert "1 order" in said(line, "charts", "explain", "1010", "--owner", "yangzhou")


def test_twenty_confirmations_at_once_by_voice_and_sms_make_one_order(line: Line) -> None:
    number = "8613905251004"
    line.text(number, "1055")
    host, port = line.agi

    def confirm(count: int) -> None:
        if count % 2:
            line.text(number, "Y1055")
        else:
            script = phone.Script(phone.parse_keys("1,1"))
            phone.call(host, port, "125300191055", number, script, lambda _: None)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(confirm, range(20)))
    (order,) = line.orders(number)
    assert order["state"] in {"provisioned", "captured"}
    notices = [one for one in line.trace(number, "mt") if one["detail"]["class"] == "order"]
    assert len([one for one in notices if one["detail"]["purpose"] == "order_notice"]) <= 1
    assert len(line.trace(number, "consent")) == 1


def test_the_phone_prints_a_call_as_json(line: Line) -> None:
    call = json.loads(said(line, "phone", "12530019", "--from", "anonymous", "--json"))
    assert (call["dialled"], call["from"]) == ("12530019", "anonymous")
    assert call["events"][0]["kind"] == "played"
    assert call["events"][-1]["kind"] == "hangup"
    assert all({"at", "kind", "file", "text", "digit"} <= set(event) for event in call["events"])


def test_the_phone_refuses_keys_that_are_none(line: Line) -> None:
    done = toneline(line, "phone", "12530019", "--from", "1", "--keys", "a")
    assert done.returncode == 2
    assert "'a' is no key" in done.stderr


def test_a_subscriber_is_set_and_pays_accordingly(line: Line) -> None:
    number = "8613905251002"
    said(line, "subscribers", "set", "139 0525 1002", "--tier", "senior")
    known = json.loads(said(line, "subscribers", "show", number, "--json"))
    assert known == {"msisdn": number, "tier": "senior", "function": "on", "state": "active"}
    said(line, "phone", "125300191029", "--from", number, "--keys", "1,1")
    (order,) = json.loads(said(line, "orders", "--msisdn", number, "--json"))
    assert order["tier"] == "senior"
    assert order["pays_fen"] < order["price_fen"]


def test_a_catalogue_is_imported_and_heard_within_a_second(line: Line, tmp_path: Path) -> None:
    t = np.arange(RATE_HZ * 3) / RATE_HZ
    (tmp_path / "a.wav").write_bytes(to_wav(from_samples(0.2 * np.sin(2 * np.pi * 440 * t))))
    catalogue = tmp_path / "c.csv"
    catalogue.write_text(f"{HEADER}9090,测试曲,古筝,示例,民歌,200,150,100,,a.wav\n")
    assert "1 tones imported, 1 of them new" in said(line, "tones", "import", str(catalogue))
    (tone,) = json.loads(said(line, "tones", "find", "测试", "--json"))
    shown = json.loads(said(line, "tones", "show", "9090", "--json"))
    assert tone == shown
    assert shown["prices"] == {"visitor": 200, "member": 150, "senior": 100}
    assert Path(f"{shown['sound']}.alaw").exists()
    line.wait_for(
        lambda: any(event["tones"] > 48 for event in line.events("catalogue_changed")),
        "the running line has loaded the new catalogue",
    )
    assert "测试曲" in said(line, "phone", "125300199090", "--from", "13905251003")
    said(line, "tones", "retire", "9090")
    assert toneline(line, "tones", "retire", "9090").returncode == 1


def test_a_bad_catalogue_changes_nothing_and_names_every_error(line: Line, tmp_path: Path) -> None:
    catalogue = tmp_path / "bad.csv"
    catalogue.write_text(
        HEADER
        + "0129,一,古筝,示例,民歌,200,150,100,,a.wav\n"
        + f"9103,{'长' * 21},古筝,示例,民歌,200,150,100,,a.wav\n"
        + "9116,三,古筝,示例,民歌,2元,150,100,,a.wav\n"
        + "9122,四,古筝,示例,民歌,200,150,100,bald,a.wav\n"
        + "9137,五\n"
    )
    done = toneline(line, "tones", "import", str(catalogue))
    assert done.returncode == 1
    assert [sentence.split(": ")[0] for sentence in done.stderr.splitlines()] == [
        "bad.csv:2:code", "bad.csv:3:title", "bad.csv:4:price_fen", "bad.csv:5:licence_until",
        "bad.csv:6",
    ]  # fmt: skip
    catalogue.write_text(f"{HEADER}9090,测试曲,古筝,示例,民歌,200,150,100,,../../etc/passwd\n")
    assert "lies outside" in toneline(line, "tones", "import", str(catalogue)).stderr
    catalogue.write_text(f"{HEADER}9103,缺,古筝,示例,民歌,200,150,100,,absent.wav\n")
    assert "No such file" in toneline(line, "tones", "import", str(catalogue)).stderr


def test_directories_are_checked_and_shown(line: Line, tmp_path: Path) -> None:
    assert "14 files with 14 editions: all good" in said(line, "directories", "check")
    wrong = tmp_path / "yangzhou.yaml"
    wrong.write_text("branch: yangzhou\neditions:\n  - from: 2026-11-23\n    songs: [1029, 1999]\n")
    done = toneline(line, "directories", "check", str(wrong))
    assert done.returncode == 1
    assert f"{wrong}:4:19: tone 1999 is not in the catalogue" in done.stderr
    assert "0 new editions published" in said(line, "directories", "publish")
    shown = json.loads(said(line, "directories", "show", "yangzhou", "--json"))
    assert shown["branch"] == "yangzhou"
    assert [song["slot"] for song in shown["songs"]] == list(range(1, 11))
    assert len(said(line, "directories", "show", "jiangsu").splitlines()) == 10


def test_the_calendar_is_kept_by_a_running_line_and_listed(line: Line) -> None:
    holidays = json.loads(said(line, "directories", "holidays", "--days", "366", "--json"))
    assert {"new_year", "spring_festival"} <= {holiday["name"] for holiday in holidays}
    assert json.loads(said(line, "tones", "licences", "--json")) == []
    with closing(sqlite3.connect(line.folder / "var" / "toneline.db")) as database:
        jobs = database.execute("SELECT job FROM job_run WHERE told_at IS NOT NULL").fetchall()
    assert {name for (name,) in jobs} == CALENDAR
    assert line.health()["services"]["scheduler"]["detail"].endswith(" 0 failures")


def test_the_doctor_finds_a_prepared_line_well(line: Line) -> None:
    found = json.loads(said(line, "doctor", "--json"))
    names = {finding["what"] for finding in found}
    assert {"settings", "disk", "database", "tones", "directories", "prompts"} <= names
    assert all(finding["well"] for finding in found)
    assert any(finding["what"] == "text hangup_sms" for finding in found)


def test_what_does_not_exist_is_refused_in_a_sentence(line: Line) -> None:
    for words in (
        ("tones", "show", "9999"),
        ("tones", "show", "９９９９"),
        ("orders", "show", "nothing"),
        ("trace", "anonymous"),
        ("trace", "13905250001", "--since", "yesterday"),
    ):
        done = toneline(line, *words)
        assert done.returncode == 1, words
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1
    assert toneline(line, "orders").returncode == 2


def test_the_database_is_migrated_once(line: Line) -> None:
    assert "already" in said(line, "db", "upgrade")
