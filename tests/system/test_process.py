"""The line as a process: bad input, ports, signals, a full disk."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.line import Line
from toneline.addresses import client_address

ROOT = Path(__file__).parents[2]
GARBAGE = (
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x00" * 4096,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\x7f\xff\xff\xff\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00\x01",
    b"agi_network: yes\n" * 20_000,
)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory, prepared_sounds: Path) -> Iterator[Line]:
    with Line(tmp_path_factory.mktemp("process") / "line", sounds=prepared_sounds) as running:
        yield running


def serve(config: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "toneline", "serve", "--config", str(config)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def addresses(line: Line) -> dict[str, tuple[str, int]]:
    """Every port of a running line, by its key in the settings."""
    tree = tomllib.loads((line.folder / "toneline.toml").read_text("utf-8"))
    listens = {
        "agi": tree["agi"]["listen"],
        "smpp": tree["simulator"]["listen"],
        "http": tree["simulator"]["http"],
        "console": tree["console"]["listen"],
    }
    return {name: client_address(listen) for name, listen in listens.items()}


def throw_at(address: tuple[str, int], data: bytes) -> None:
    with socket.create_connection(address, 10) as connection:
        connection.settimeout(10)
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
        except OSError:
            pass  # it was closed on us, as garbage deserves


def test_a_broken_settings_file_is_refused_with_every_error(tmp_path: Path) -> None:
    config = tmp_path / "broken.toml"
    config.write_text('[line]\nanswer = "later"\n[agi]\nmax_calls = 0\ncolour = "red"\n')
    done = serve(config)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 3
    assert "Traceback" not in done.stderr


def test_a_language_that_is_not_there_keeps_the_line_from_starting(tmp_path: Path) -> None:
    config = tmp_path / "t.toml"
    config.write_text(f'[paths]\nvar = "{tmp_path}/var"\nmessages = "{tmp_path}/messages"\n')
    done = serve(config)
    assert done.returncode == 1
    assert "line.language" in done.stderr
    assert f"{tmp_path}/messages has no folder 'zh_CN'" in done.stderr
    assert "Traceback" not in done.stderr


def test_broken_text_files_keep_the_line_from_starting_and_are_named(tmp_path: Path) -> None:
    messages = tmp_path / "messages" / "zh_CN"
    messages.mkdir(parents=True)
    for name in ("prompts.toml", "sms.toml"):
        (messages / name).write_text("this is no TOML")
    config = tmp_path / "t.toml"
    config.write_text(f'[paths]\nvar = "{tmp_path}/var"\nmessages = "{tmp_path}/messages"\n')
    done = serve(config)
    assert done.returncode == 1
    assert "prompts of zh_CN: not TOML: " in done.stderr
    assert f"{messages}/sms.toml: not TOML: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("data", GARBAGE, ids=["http", "nul", "tls", "smpp", "endless"])
def test_garbage_on_every_port_leaves_the_line_up(line: Line, data: bytes) -> None:
    for address in addresses(line).values():
        throw_at(address, data)
    assert line.health()["status"] == "ok"
    assert line.command("phone", "125300191029", "--from", "13905252001")["events"]


def test_health_and_metrics_answer(line: Line) -> None:
    assert set(line.health()["services"]) >= {"voice", "store", "smsc", "outbox", "scheduler"}
    host, port = addresses(line)["console"]
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=10) as answer:
        metrics = answer.read().decode()
    assert "\ntoneline_calls_live 0.0\n" in metrics
    assert "toneline_calls_total" in metrics
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"http://{host}:{port}/nothing", timeout=10)


def test_a_port_in_use_is_named_and_nothing_is_left_running(line: Line) -> None:
    done = serve(line.folder / "toneline.toml")
    assert done.returncode == 1
    assert "is another line running?" in done.stderr
    assert line.health()["status"] == "ok"


def test_a_line_ends_with_status_0_and_leaves_nothing(
    tmp_path: Path, prepared_sounds: Path
) -> None:
    with Line(tmp_path / "line", sounds=prepared_sounds) as ending:
        store = ending.store_pid()
        ending.end()
        assert ending.wait(30) == 0
        with pytest.raises(ProcessLookupError):
            os.kill(store, 0)


def test_a_line_whose_parent_is_killed_takes_its_store_with_it(
    tmp_path: Path, prepared_sounds: Path
) -> None:
    with Line(tmp_path / "line", sounds=prepared_sounds) as killed:
        store = os.pidfd_open(killed.store_pid())
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait(30)
        ended, _, _ = select.select([store], [], [], 20)
        os.close(store)
        assert ended, "the store goes on without its line"


def test_on_a_full_disk_no_order_is_taken_and_the_line_goes_on(
    tmp_path: Path, prepared_sounds: Path
) -> None:
    with Line(tmp_path / "line", sounds=prepared_sounds) as full:
        before = full.command("phone", "125300191029", "--from", "13905252002", "--keys", "1,1")
        assert before["events"]
        full.fill_its_disk()
        call = full.command("phone", "125300191041", "--from", "13905252003", "--keys", "1,1")
        words = " ".join(event["text"] or "" for event in call["events"])
        assert "订购成功" not in words
        assert "♪" in words
        full.make_room()
        full.wait_for(lambda: full.health()["status"] == "ok", "the line is well again")
        again = full.command("phone", "125300191041", "--from", "13905252004", "--keys", "1,1")
        assert "订购成功" in " ".join(event["text"] or "" for event in again["events"])


def test_a_line_that_cannot_write_its_folder_says_so(tmp_path: Path) -> None:
    config = tmp_path / "t.toml"
    (tmp_path / "file").write_text("in the way")
    config.write_text(f'[paths]\nvar = "{tmp_path}/file/var"\n')
    done = serve(config)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
