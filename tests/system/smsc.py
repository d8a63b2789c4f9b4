"""SMSCs that a line binds to, each a process of its own: our simulator, and one on node-smpp.

Both take the same rules by HTTP (docs/simulator.md); they share no code.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from tests.machine import require_program
from tests.ports import free_port

Kind = Literal["simulator", "node"]
KINDS: tuple[Kind, ...] = ("simulator", "node")
ROOT = Path(__file__).parents[2]
SERVER = Path(__file__).parent / "smsc_node"
START_S = 60.0
PASSWORD = "secret"


class SmscFailed(Exception):
    """The SMSC did not do what was asked; the sentence ends with its last words."""


class SmscProcess:
    """A context manager around one SMSC; what it prints is below ``folder``."""

    def __init__(
        self, kind: Kind, folder: Path, name: str = "", *, pem: Path | None = None
    ) -> None:
        """With ``pem`` (certificate and key) it speaks TLS, and is its own authority."""
        self.kind = kind
        self.name = name or kind
        self.port, self._http = free_port(), free_port()
        self._log = folder / f"{self.name}.log"
        self._folder = folder
        self._pem = pem
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> SmscProcess:
        """Start it and wait for its `ready:`."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self._command()],
                cwd=ROOT,
                env=_environment(self.kind),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_S
        while "ready:" not in self.log():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__(None, None, None)
                raise SmscFailed(f"the SMSC did not start: {self.log()[-2000:]}")
            time.sleep(0.05)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def settings(self, **more: object) -> dict[str, object]:
        """The `[[smsc]]` of a line that binds to it."""
        tls = {} if self._pem is None else {"tls": True, "tls_ca": str(self._pem)}
        return {
            "name": self.name, "host": "127.0.0.1", "port": self.port,
            "system_id": "toneline", "password": PASSWORD, **tls, **more,
        }  # fmt: skip

    def kill(self) -> None:
        """End it without a word, as a machine that loses its power."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def log(self) -> str:
        """Everything it printed so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    # What is asked of it.

    def play(
        self,
        *rules: dict[str, object],
        smsc: dict[str, object] | None = None,
        receipt: dict[str, object] | None = None,
    ) -> None:
        """Follow this script from now on."""
        script = {"smsc": smsc or {}, "receipt": receipt or {}, "rule": list(rules)}
        self._ask("/script", script)

    def now(self, do: str, **more: object) -> None:
        """Do something at once to all who are bound."""
        self._ask("/rules", {"on": "now", "do": do, **more})

    def mo(self, number: str, text: str, **more: object) -> None:
        """Put a subscriber's message in; ``more`` as of `POST /mo`."""
        self._ask("/mo", {"from": number, "to": "12530019", "text": text, **more})

    def mts(self, since: int = 0) -> list[dict[str, Any]]:
        """The messages submitted after the ``since``-th."""
        found: list[dict[str, Any]] = self._ask(f"/mt?since={since}")
        return found

    def state(self) -> dict[str, Any]:
        """Who is bound, and counts."""
        found: dict[str, Any] = self._ask("/state")
        return found

    def _ask(self, path: str, document: object = None) -> Any:
        body = None if document is None else json.dumps(document).encode()
        kind = {"Content-Type": "application/json"}
        url = f"http://127.0.0.1:{self._http}{path}"
        request = urllib.request.Request(url, data=body, headers=kind)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310  our port
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise SmscFailed(f"{path}: {error.read().decode(errors='replace')}") from error

    # The machinery.

    def _command(self) -> list[str]:
        ports = [str(self.port), str(self._http)]
        pem = [] if self._pem is None else [str(self._pem)]
        if self.kind == "node":
            return [require_program("node", "nodejs"), str(SERVER / "server.js"), *ports, *pem]
        config = self._folder / f"{self.name}.toml"
        config.write_text(f'[simulator]\nsystem_id = "toneline"\npassword = "{PASSWORD}"\n')
        program = [sys.executable, "-m", "toneline", "smsc"]
        listen = ["--listen", ports[0], "--http", ports[1], "--config", str(config)]
        return [*program, *listen, *(["--tls", *pem] if pem else [])]


def _environment(kind: Kind) -> dict[str, str]:
    ours = {key: value for key, value in os.environ.items() if not key.startswith("TONELINE_")}
    return ours | {"NODE_PATH": str(node_modules())} if kind == "node" else ours


def node_modules() -> Path:
    """The modules of the SMSC on node-smpp, installed once below the user's cache."""
    lock = SERVER / "package-lock.json"
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    mark = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    folder = base / "toneline" / "smsc_node" / mark
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            _install(folder)
            (folder / "installed").touch()
    return folder / "node_modules"


def _install(folder: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(SERVER / name, folder / name)
    npm = require_program("npm", "npm")
    done = subprocess.run(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode != 0:
        raise SmscFailed(f"npm could not install node-smpp: {done.stderr[-1000:]}")
