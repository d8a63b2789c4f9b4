"""Very many callers at once: SIPp alone, as fast as asked, and what became of the calls."""

from __future__ import annotations

import csv
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.system import rtp
from tests.system.asterisk import Asterisk

SCENARIO = Path(__file__).parent / "scenarios" / "load.xml"
GRACE_S = 60
FIRST_CALLER = 13_700_000_000


class LoadFailed(Exception):
    """SIPp itself failed; the sentence ends with its last words."""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """Counts of calls, and the seconds from each INVITE to its answer."""

    calls: int
    succeeded: int
    failed: int
    retransmissions: int
    answers_s: tuple[float, ...] = ()


class Load:
    """SIPp placing ``rate`` calls a second for ``seconds``, each held ``hold_s``, then hanging up.

    Each call has a number of its own, from ``first_caller`` on. Start it, do something beside it,
    and ask for the ``report``, which waits for its end.
    """

    def __init__(
        self,
        asterisk: Asterisk,
        dialled: str,
        *,
        rate: int,
        seconds: float,
        hold_s: float,
        first_caller: int = FIRST_CALLER,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="load-")
        self._timeout_s = seconds + hold_s + GRACE_S
        folder = Path(self._folder.name)
        (folder / "frame.alaw").write_bytes(rtp.SILENCE[rtp.PCMA])
        numbers = range(first_caller, first_caller + round(rate * seconds))
        (folder / "callers.csv").write_text("SEQUENTIAL\n" + "\n".join(map(str, numbers)) + "\n")
        calls = str(len(numbers))
        host, port = asterisk.sip_address
        self._sipp = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL"),
                *asterisk.tree.command("usr/bin/sipp", f"{host}:{port}"),
                *("-sf", str(SCENARIO), "-inf", "callers.csv", "-s", dialled, "-i", "127.0.0.1"),
                *("-r", str(rate), "-m", calls, "-l", calls, "-d", str(round(hold_s * 1000))),
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
        folder = Path(self._folder.name)
        statistics = folder / "statistics.csv"
        if not statistics.exists() or self._sipp.returncode not in (0, 1):
            raise LoadFailed(f"SIPp ended with {self._sipp.returncode}: {self.errors()}")
        times = [path.read_text(encoding="utf-8") for path in folder.glob("*_rtt.csv")]
        return read_statistics(statistics.read_text(encoding="utf-8"), times)

    def errors(self) -> str:
        """What SIPp complained of, cut to 2000 characters."""
        path = Path(self._folder.name, "errors")
        return path.read_text(errors="replace")[:2000] if path.exists() else ""


def read_statistics(text: str, response_times: Iterable[str] = ()) -> LoadReport:
    """The last line of SIPp's statistics file (semicolons, ``(C)`` is cumulative).

    ``response_times``: its files of those, a line a call.
    """
    *_, last = csv.DictReader(text.splitlines(), delimiter=";")
    return LoadReport(
        calls=int(last["TotalCallCreated"]),
        succeeded=int(last["SuccessfulCall(C)"]),
        failed=int(last["FailedCall(C)"]),
        retransmissions=int(last["Retransmissions(C)"]),
        answers_s=tuple(
            float(row["response_time_ms"]) / 1000
            for times in response_times
            for row in csv.DictReader(times.splitlines(), delimiter=";")
        ),
    )
