"""The line itself, `toneline serve` as an operator starts it, with a settings file of its own."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

from tests.ports import free_port
from tests.system.asterisk import Address

ROOT = Path(__file__).parents[2]
PROGRAM = (sys.executable, "-m", "toneline")
FIRST_START_S = 300.0  # the sample's music is rendered once
Section = Mapping[str, object]
Settings = Mapping[str, Section | Sequence[Section]]
"""By section's name; several of a name, such as [[smsc]], are a sequence."""


class LineFailed(Exception):
    """The line did not do what was asked; the sentence ends with its last words."""


class Line:
    """A context manager around one `toneline serve`; everything it writes is below ``folder``.

    ``settings`` are laid over what a test needs (ports of its own, hours that never forbid).
    ``sounds``: a folder that an earlier line has prepared, to start in seconds. ``options`` are
    further ones of the command. ``new_session``: it leads a process group, as in a terminal.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings | None = None,
        *,
        sounds: Path | None = None,
        options: Sequence[str] = (),
        new_session: bool = False,
    ) -> None:
        self.folder = folder
        self._options = options
        self._new_session = new_session
        self.sounds = sounds or folder / "var" / "sounds"
        self.agi: Address = ("127.0.0.1", free_port())
        self._http = free_port()
        self._console = free_port()
        self._file = folder / "toneline.toml"
        self._process: subprocess.Popen[str] | None = None
        (folder / "var").mkdir(parents=True)
        if sounds is not None:
            (folder / "var" / "sounds").symlink_to(sounds)
        self._file.write_text(_toml(self._sections(settings or {})), encoding="utf-8")

    def __enter__(self) -> Line:
        """Start it and wait for its `ready:`."""
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *("setpriv", "--pdeathsig", "KILL"),
                    *(*PROGRAM, "serve", "--config", str(self._file), *self._options),
                ],
                cwd=ROOT,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=self._new_session,
            )
        if not self._wait_until_ready(self._process):
            self.__exit__(None, None, None)
            raise LineFailed(f"the line did not start: {self.log()[-3000:]}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it at once: calls that a test left are of no interest."""
        if self._process is None:
            return
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is None:
                self._process.send_signal(number)
                try:
                    self._process.wait(2)
                except subprocess.TimeoutExpired:
                    continue
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    @property
    def pid(self) -> int:
        """The line's own process; it takes the calls unless there are workers."""
        assert self._process is not None
        return self._process.pid

    def store_pid(self) -> int:
        """The store process that serves now, as the line's own health tells."""
        word, _, pid = self.health()["services"]["store"]["detail"].partition(" ")
        if word != "pid":
            raise LineFailed("the line has no store process")
        return int(pid)

    def fill_its_disk(self) -> None:
        """Let the store process' writes fail as they do on a full disk."""
        self._limit_files(0)

    def make_room(self) -> None:
        """Let them succeed again."""
        self._limit_files(None)

    def _limit_files(self, octets: int | None) -> None:
        _, hard = resource.prlimit(self.store_pid(), resource.RLIMIT_FSIZE)
        most = hard if octets is None else octets
        resource.prlimit(self.store_pid(), resource.RLIMIT_FSIZE, (most, hard))

    def worker_pids(self) -> dict[int, int]:
        """The processes that take the calls, by their numbers, as the log tells."""
        return {event["worker"]: event["pid"] for event in self.events("worker_ready")}

    def end(self) -> None:
        """Ask it to end, as an operator does: running calls are let finish."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def wait(self, timeout_s: float) -> int:
        """Its status, once it has ended."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    # What an operator sees.

    def command(self, *words: str) -> Any:
        """What a `toneline` command prints as JSON."""
        done = subprocess.run(
            [*PROGRAM, *words, "--json", "--config", str(self._file)],
            cwd=ROOT,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise LineFailed(f"toneline {' '.join(words)}: {done.stderr[-2000:]}")
        return json.loads(done.stdout)

    def orders(self, number: str) -> list[dict[str, Any]]:
        """A number's orders."""
        found: list[dict[str, Any]] = self.command("orders", "--msisdn", number)
        return found

    def trace(self, number: str, *kinds: str) -> list[dict[str, Any]]:
        """What happened to a number, only these kinds if any are named."""
        found: list[dict[str, Any]] = self.command("trace", number)
        return [happening for happening in found if not kinds or happening["kind"] in kinds]

    def health(self) -> dict[str, Any]:
        """The answer of /healthz, which has the same form when a service fails."""
        try:
            answer: dict[str, Any] = _get(f"http://127.0.0.1:{self._console}/healthz")
        except urllib.error.HTTPError as error:
            answer = json.load(error)
        return answer

    def metrics(self) -> dict[str, float]:
        """The values of /metrics, by name and labels as they are written there."""
        url = f"http://127.0.0.1:{self._console}/metrics"
        with urllib.request.urlopen(url, timeout=20) as answer:
            lines = answer.read().decode().splitlines()
        pairs = [line.rpartition(" ") for line in lines if not line.startswith("#")]
        return {name: float(value) for name, _, value in pairs}

    def log(self) -> str:
        """Everything it logged so far."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        """The logged events of one name."""
        lines = [line for line in self.log().splitlines() if line.startswith("{")]
        return [event for line in lines if (event := json.loads(line)).get("event") == name]

    # What a subscriber's telephone shows.

    def messages(self, number: str, *, wait_s: float = 0.0, since: int = 0) -> list[dict[str, Any]]:
        """The SMS that came to a number after the ``since``-th, waiting for the first."""
        query = urlencode({"to": number, "since": since, "wait": wait_s})
        found: list[dict[str, Any]] = _get(f"http://127.0.0.1:{self._http}/mt?{query}", wait_s)
        return found

    def text(self, number: str, text: str) -> list[dict[str, Any]]:
        """Send the line an SMS; return what comes back."""
        known = self.messages(number)
        since = max((message["n"] for message in known), default=0)
        body = {"from": number, "to": "12530019", "text": text}
        _get(f"http://127.0.0.1:{self._http}/mo", 60, json.dumps(body).encode())
        return self.messages(number, wait_s=20, since=since)

    def wait_for(
        self, condition: Callable[[], bool], sentence: str, timeout_s: float = 20.0
    ) -> None:
        """Look again until the condition holds. Raises LineFailed when it never does."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise LineFailed(f"{sentence}: not in {timeout_s:g} s. {self.log()[-2000:]}")
            time.sleep(0.1)

    # The machinery.

    def _sections(self, settings: Settings) -> Settings:
        ours: dict[str, Section | Sequence[Section]] = {
            "agi": {"listen": _endpoint(self.agi[1])},
            "simulator": {"listen": _endpoint(free_port()), "http": _endpoint(self._http)},
            "console": {"listen": _endpoint(self._console)},
            "paths": {"var": str(self.folder / "var")},
            "policy": {"hangup_sms_hours": "", "hangup_sms_delay_s": 1},
        }
        for name, keys in settings.items():
            there = ours.get(name, {})
            if isinstance(keys, Mapping) and isinstance(there, Mapping):
                ours[name] = {**there, **keys}
            else:
                ours[name] = keys
        return ours

    def _wait_until_ready(self, process: subprocess.Popen[str]) -> bool:
        # A reader of its own: a line that hangs silently must not hang the test.
        said: list[str] = []
        assert process.stdout is not None
        output = process.stdout
        reader = threading.Thread(target=lambda: said.append(output.readline()), daemon=True)
        reader.start()
        reader.join(FIRST_START_S)
        return bool(said) and said[0].startswith("ready:")


def _toml(sections: Settings) -> str:
    return "".join(
        f"[{name}]\n{_keys(keys)}"
        if isinstance(keys, Mapping)
        else "".join(f"[[{name}]]\n{_keys(one)}" for one in keys)
        for name, keys in sections.items()
    )


def _keys(keys: Section) -> str:
    # JSON's strings, numbers, booleans and lists are TOML's too
    return "".join(
        f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in keys.items()
    )


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("TONELINE_")}


def _endpoint(port: int) -> str:
    return f"tcp:{port}:interface=127.0.0.1"


def _get(url: str, wait_s: float = 0.0, body: bytes | None = None) -> Any:
    kind = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data=body, headers=kind)  # noqa: S310  our own ports
    with urllib.request.urlopen(request, timeout=wait_s + 20) as answer:  # noqa: S310  the same
        return json.load(answer)
