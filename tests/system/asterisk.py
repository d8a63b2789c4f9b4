"""One Asterisk in a folder of its own, run from the samples in ``config/asterisk`` as they ship.

Only the ``*_site.conf`` files are written by the tests: addresses, ports and the sounds folder.
"""

from __future__ import annotations

import csv
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tests.ports import free_port
from tests.system.asterisk_tree import AsteriskTree, unpack_tree

SAMPLES = Path(__file__).parents[2] / "config" / "asterisk"
SITE_FILES = ("extensions_site.conf", "pjsip_site.conf")
Address = tuple[str, int]
NOBODY: Address = ("127.0.0.1", 9)  # the discard port: nothing listens there
START_TIMEOUT_S = 60.0
RECORD_FIELDS = (
    *("account", "source", "destination", "context", "caller_id", "channel", "other_channel"),
    *("application", "data", "start", "answer", "end", "duration", "billed", "disposition"),
    *("flags", "unique_id", "userfield"),
)


class AsteriskFailed(Exception):
    """Asterisk did not start; the sentence ends with its last words."""


@dataclass(frozen=True, slots=True)
class AmiLogin:
    """AMI switched on for a test, as an operator would in manager_site.conf.

    ``port``: chosen when it is 0.
    """

    username: str
    secret: str
    port: int = 0


class Asterisk:
    """A context manager around one Asterisk process.

    ``agi``, ``agi2``: the first and second FastAGI server. ``sounds``: the project's sounds folder.
    ``trunk``: where calls that Toneline places itself go. ``ami``: AMI, off as shipped, is on.
    ``extra_dialplan``: contexts and extensions beside the shipped ones, for benches.
    """

    def __init__(
        self,
        *,
        agi: Address = NOBODY,
        agi2: Address | None = None,
        sounds: Path,
        trunk: Address = NOBODY,
        ami: AmiLogin | None = None,
        extra_dialplan: str = "",
        tree: AsteriskTree | None = None,
    ) -> None:
        self.tree = tree or unpack_tree()
        self.sounds = sounds
        self.folder = Path(tempfile.mkdtemp(prefix="asterisk-", dir="/tmp"))  # sockets: 108 bytes
        self.ami_port = (ami and ami.port) or free_port(socket.SOCK_STREAM)
        self.sip_address: Address = ("127.0.0.1", free_port(socket.SOCK_DGRAM))
        self._agi = agi
        self._agi2 = agi2 or agi
        self._trunk = trunk
        self._ami = ami
        self._extra_dialplan = extra_dialplan
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Asterisk:
        """Write the configuration and wait until Asterisk has booted."""
        try:
            self._write_configuration()
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process and remove its folder."""
        if self._process is not None:
            try:
                if self._process.poll() is None:
                    self.command("core stop now", check=False)
                self._process.wait(10)
            except subprocess.TimeoutExpired:  # it is overloaded, or hangs
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        """The process, for measuring its CPU."""
        assert self._process is not None
        return self._process.pid

    def command(self, line: str, *, check: bool = True) -> str:
        """What Asterisk's console answers to ``line``."""
        words = self._words("-rx", line)
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=check)
        return done.stdout

    def live_channels(self) -> int:
        """Calls Asterisk has now."""
        return int(self.command("core show channels count").split()[0])

    def log(self) -> str:
        """Warnings and errors so far."""
        path = self.folder / "log" / "messages"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def call_records(self) -> list[dict[str, str]]:
        """The CDRs written so far, oldest first."""
        path = self.folder / "log" / "cdr-csv" / "Master.csv"
        if not path.exists():
            return []
        with path.open(encoding="utf-8", newline="") as file:
            return [dict(zip(RECORD_FIELDS, row, strict=True)) for row in csv.reader(file)]

    def _words(self, *arguments: str) -> list[str]:
        configuration = str(self.folder / "etc" / "asterisk.conf")
        return self.tree.command("usr/sbin/asterisk", "-C", configuration, *arguments)

    def _start(self) -> None:
        with (self.folder / "output").open("wb") as output:
            # setpriv: a test run that is killed takes its Asterisk along
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self._words("-f", "-T")],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AsteriskFailed(f"Asterisk did not start: {self._last_words()}")

    def _answers(self) -> bool:
        if not (self.folder / "run" / "asterisk.ctl").exists():
            time.sleep(0.05)
            return False
        return "fully booted" in self.command("core waitfullybooted", check=False)

    def _last_words(self) -> str:
        output = (self.folder / "output").read_text(encoding="utf-8", errors="replace")
        return (output + self.log())[-2000:]

    def _write_configuration(self) -> None:
        for name in ("etc", "lib", "db", "keys/keys", "data", "agi", "spool", "run", "log/cdr-csv"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        documentation = self.tree.root / "usr/share/asterisk/documentation"
        (self.folder / "data" / "documentation").symlink_to(documentation)
        for sample in SAMPLES.glob("*.conf"):
            if sample.name not in (*SITE_FILES, "asterisk.conf"):
                shutil.copy(sample, self.folder / "etc" / sample.name)
        for name, text in self._site_files().items():
            (self.folder / "etc" / name).write_text(text, encoding="utf-8")

    def _site_files(self) -> Mapping[str, str]:
        files = {
            "asterisk.conf": self._directories() + f'#include "{SAMPLES}/asterisk.conf"\n',
            "extensions_site.conf": self._globals() + self._extra_dialplan,
            "pjsip_site.conf": self._trunk_addresses(),
            "logger.conf": "[general]\n[logfiles]\nmessages = notice,warning,error\n",
        }
        if self._ami is not None:
            files["manager_site.conf"] = (
                f"[general](+)\nenabled = yes\nport = {self.ami_port}\n"
                f"[{self._ami.username}](+)\nsecret = {self._ami.secret}\n"
            )
        return files

    def _directories(self) -> str:
        here = self.folder
        return (
            "[directories]\n"
            f"astetcdir => {here}/etc\n"
            f"astmoddir => {self.tree.modules()}\n"
            f"astvarlibdir => {here}/lib\n"
            f"astdbdir => {here}/db\n"
            f"astkeydir => {here}/keys\n"
            f"astdatadir => {here}/data\n"
            f"astagidir => {here}/agi\n"
            f"astspooldir => {here}/spool\n"
            f"astrundir => {here}/run\n"
            f"astlogdir => {here}/log\n"
        )

    def _globals(self) -> str:
        return (
            "[globals]\n"
            f"AGI1={self._agi[0]}:{self._agi[1]}\n"
            f"AGI2={self._agi2[0]}:{self._agi2[1]}\n"
            f"SOUNDS={self.sounds.resolve()}\n"
            "APOLOGY=${SOUNDS}/prompts/zh_CN/line_trouble\n"
        )

    def _trunk_addresses(self) -> str:
        return (
            "[toneline-udp]\ntype = transport\nprotocol = udp\n"
            f"bind = {self.sip_address[0]}:{self.sip_address[1]}\n"
            "[trunk-address]\ntype = identify\nendpoint = trunk\nmatch = 127.0.0.1\n"
            f"[trunk-contact]\ntype = aor\ncontact = sip:{self._trunk[0]}:{self._trunk[1]}\n"
        )
