"""Very many callers at once: SIPp alone, as fast as asked, and what became of the calls."""

from __future__ import annotations

import csv
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.system import rtp
from tests.system.asterisk import Asterisk

SCENARIO = Path(__file__).parent / "scenarios" / "load.xml"
GRACE_S = 60


class LoadFailed(Exception):
    """SIPp itself failed; the sentence ends with its last words."""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """Counts of calls; the mean time from INVITE to answer in milliseconds."""

    calls: int
    succeeded: int
    failed: int
    retransmissions: int
    answer_mean_ms: float


class Load:
    """SIPp placing ``rate`` calls a second for ``seconds``, each held ``hold_s``, then hanging up.

    Start it, do something beside it, and ask for the ``report``, which waits for its end.
    """

    def __init__(
        self, asterisk: Asterisk, dialled: str, *, rate: int, seconds: float, hold_s: float
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="load-")
        self._calls = round(rate * seconds)
        self._timeout_s = seconds + hold_s + GRACE_S
        frame = Path(self._folder.name, "frame.alaw")
        frame.write_bytes(rtp.SILENCE[rtp.PCMA])
        host, port = asterisk.sip_address
        self._sipp = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL"),
                *asterisk.tree.command("usr/bin/sipp", f"{host}:{port}"),
                *("-sf", str(SCENARIO), "-s", dialled, "-i", "127.0.0.1"),
                *("-r", str(rate), "-m", str(self._calls), "-l", str(self._calls)),
                *("-d", str(round(hold_s * 1000)), "-key", "frame", str(frame)),
                *("-timeout", f"{self._timeout_s:.0f}s", "-max_invite_retrans", "3"),
                *("-recv_timeout", "20000", "-nostdin", "-buff_size", "4194304"),
                *("-min_rtp_port", "33000", "-max_rtp_port", "60999"),
                *("-trace_stat", "-stf", "statistics.csv", "-fd", "1"),
                *("-trace_err", "-error_file", "errors"),
            ],
            cwd=self._folder.name,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> Load:
        return self

    def __exit__(self, *_: object) -> None:
        self._sipp.kill()
        self._sipp.wait()
        self._folder.cleanup()

    @property
    def pid(self) -> int:
        """SIPp's process, for measuring its CPU."""
        return self._sipp.pid

    def report(self) -> LoadReport:
        """Wait for the last call and count. Raises LoadFailed if SIPp could not do its work."""
        try:
            self._sipp.wait(self._timeout_s)
        except subprocess.TimeoutExpired as error:
            raise LoadFailed(f"calls did not end in {self._timeout_s:g} s") from error
        statistics = Path(self._folder.name, "statistics.csv")
        if not statistics.exists() or self._sipp.returncode not in (0, 1):
            raise LoadFailed(f"SIPp ended with {self._sipp.returncode}: {self.errors()}")
        return read_statistics(statistics.read_text(encoding="utf-8"))

    def errors(self) -> str:
        """What SIPp complained of, cut to 2000 characters."""
        path = Path(self._folder.name, "errors")
        return path.read_text(errors="replace")[:2000] if path.exists() else ""


def read_statistics(text: str) -> LoadReport:
    """The last line of SIPp's statistics file (semicolons, ``(C)`` is cumulative)."""
    *_, last = csv.DictReader(text.splitlines(), delimiter=";")
    return LoadReport(
        calls=int(last["TotalCallCreated"]),
        succeeded=int(last["SuccessfulCall(C)"]),
        failed=int(last["FailedCall(C)"]),
        retransmissions=int(last["Retransmissions(C)"]),
        answer_mean_ms=_milliseconds(last["ResponseTimeanswer(C)"]),
    )


def _milliseconds(clock: str) -> float:
    """``00:00:00:012345`` (hours, minutes, seconds, microseconds) in milliseconds."""
    hours, minutes, seconds, microseconds = (int(part) for part in clock.split(":"))
    return (hours * 3600 + minutes * 60 + seconds) * 1000 + microseconds / 1000
