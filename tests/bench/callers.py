"""Very many callers through Asterisk: SIPp, each call with a number of its own."""

from __future__ import annotations

import csv
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.bench.agi_load import percentiles_ms
from tests.system import rtp
from tests.system.asterisk import Asterisk
from tests.system.load import LoadFailed, read_statistics

SCENARIO = Path(__file__).parent / "scenarios" / "preview.xml"
GRACE_S = 40.0


@dataclass(frozen=True, slots=True)
class Callers:
    """``rate`` calls a second for ``seconds``, each held ``hold_s`` after the answer."""

    dialled: str
    first: int
    rate: int
    seconds: float
    hold_s: float

    @property
    def calls(self) -> int:
        return round(self.rate * self.seconds)


class Crowd:
    """SIPp placing the calls of ``callers``; use as a context manager, and ask for ``report``."""

    def __init__(self, asterisk: Asterisk, callers: Callers) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="callers-")
        self._timeout_s = callers.seconds + callers.hold_s + GRACE_S
        folder = Path(self._folder.name)
        (folder / "frame.alaw").write_bytes(rtp.SILENCE[rtp.PCMA])
        numbers = range(callers.first, callers.first + callers.calls)
        (folder / "callers.csv").write_text("SEQUENTIAL\n" + "\n".join(map(str, numbers)) + "\n")
        host, port = asterisk.sip_address
        self._sipp = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL"),
                *asterisk.tree.command("usr/bin/sipp", f"{host}:{port}"),
                *("-sf", str(SCENARIO), "-inf", "callers.csv", "-s", callers.dialled),
                *("-i", "127.0.0.1", "-r", str(callers.rate), "-m", str(callers.calls)),
                *("-l", str(callers.calls), "-d", str(round(callers.hold_s * 1000))),
                *("-key", "frame", str(folder / "frame.alaw")),
                *("-timeout", f"{self._timeout_s:.0f}s", "-max_invite_retrans", "3"),
                *("-recv_timeout", "20000", "-nostdin", "-buff_size", "4194304"),
                *("-min_rtp_port", "33000", "-max_rtp_port", "60999"),
                *("-trace_stat", "-stf", "statistics.csv", "-fd", "1"),
                *("-trace_rtt", "-rtt_freq", "1", "-trace_err", "-error_file", "errors"),
            ],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        self._sipp.kill()
        self._sipp.wait()
        self._folder.cleanup()

    @property
    def pid(self) -> int:
        """SIPp's process, for measuring its CPU."""
        return self._sipp.pid

    def report(self) -> dict[str, object]:
        """Wait for the last call; counts, and how long the answers took.

        Raises LoadFailed if SIPp could not do its work.
        """
        try:
            self._sipp.wait(self._timeout_s)
        except subprocess.TimeoutExpired as error:
            raise LoadFailed(f"calls did not end in {self._timeout_s:g} s") from error
        statistics = Path(self._folder.name, "statistics.csv")
        if not statistics.exists() or self._sipp.returncode not in (0, 1):
            raise LoadFailed(f"SIPp ended with {self._sipp.returncode}: {self._errors()}")
        counted = read_statistics(statistics.read_text(encoding="utf-8"))
        return {
            "calls": counted.calls,
            "failed": counted.failed,
            "retransmissions": counted.retransmissions,
            "invite_to_answer_ms": percentiles_ms(self._answer_times()),
        }

    def _errors(self) -> str:
        path = Path(self._folder.name, "errors")
        return path.read_text(errors="replace")[:2000] if path.exists() else ""

    def _answer_times(self) -> list[float]:
        """Seconds from INVITE to 200, from SIPp's file of response times."""
        found = []
        for path in Path(self._folder.name).glob("*_rtt.csv"):
            with path.open(encoding="utf-8", newline="") as file:
                rows = csv.DictReader(file, delimiter=";")
                found += [float(row["response_time_ms"]) / 1000 for row in rows]
        return found
