"""Previews through a real Asterisk: a code dialled, 5 s of the tone, hung up; the same Asterisk
playing the same files from its dialplan alone is the limit.

Beside SIPp's many callers a few are listened to: when the first sound came, whether each key was
acted on and how soon the next prompt began, and whether the sound of one long call has holes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.agi_load import percentiles_ms
from tests.bench.facts import CpuWatch
from tests.bench.ledger import Ledger
from tests.system.asterisk import Asterisk
from tests.system.hearing import Library, read_library, recognise
from tests.system.line import Line
from tests.system.load import Load
from tests.system.rtp import LINEAR, PCMA, Packet
from tests.system.sip import Call

CODE = "1029"
DIALLED = f"12530019{CODE}"
PLAYBACK = "playback"  # an extension of the bench's own
LEAD_IN_S = 0.3
TONE_HEARD_S = 5.0
RATES = (50, 100, 150)
SECONDS = 20.0
FIRST_CALLER = 13_900_000_000
FIRST_LISTENER = 13_800_000_000
KEY = "9"  # again: the title, then the tone from its beginning
KEYS_A_CALL = 3
BETWEEN_KEYS_S = 2.0
LISTENERS_A_S = 1.0
KEY_MISSED_S = 1.5
RECOVERY_S = 40.0  # after a rate that was too much
FRAME_S = 0.02
FRAME_MS = 20
SAMPLES_PER_MS = 8
SETTINGS = {"agi": {"max_calls": 5000}}


@dataclass(slots=True)
class Listened:
    """A call that was listened to."""

    caller: int
    call: Call
    error: str = ""


@dataclass(frozen=True, slots=True)
class Begin:
    """A sound was played from its beginning; seconds since the INVITE."""

    sound: str
    at_s: float


def measure(folder: Path, sounds: Path, *, quick: bool) -> list[dict[str, Any]]:
    """The figures of every rate: Playback alone, then the line."""
    rates, seconds = ((10,), 5.0) if quick else (RATES, SECONDS)
    with Line(folder / "asterisk", SETTINGS, sounds=sounds) as line:
        tone = line.command("tones", "show", CODE)
        song = str(Path(tone["sound"]).relative_to(line.folder / "var" / "sounds"))
        title = _title_sound(line)
        with Asterisk(agi=line.agi, sounds=sounds) as asterisk:
            _add_playback(asterisk, title, song)
            scene = _Scene(line, asterisk, title, song)
            return [scene.measure(rate, seconds) for rate in rates]


def _title_sound(line: Line) -> str:
    ledger = Ledger(line.folder / "var")
    return ledger.title_sound(CODE)


def _add_playback(asterisk: Asterisk, title: str, song: str) -> None:
    """The same call without a line: answer, lead-in, title, tone."""
    sounds = asterisk.sounds.resolve()
    steps = ("Answer", f"Wait,{LEAD_IN_S}", f"Playback,{sounds}/{title}&{sounds}/{song}", "Hangup")
    for priority, step in enumerate(steps, start=1):
        asterisk.command(f"dialplan add extension {PLAYBACK},{priority},{step} into toneline")


class _Scene:
    def __init__(self, line: Line, asterisk: Asterisk, title: str, song: str) -> None:
        self._line = line
        self._asterisk = asterisk
        self._title = title
        self._song = song
        self._library = read_library(asterisk.sounds, title, song)
        self._hold_s = LEAD_IN_S + len(self._library.sounds[title]) / 8000 + TONE_HEARD_S + 0.2
        self._ledger = Ledger(line.folder / "var")
        self._callers = count(FIRST_CALLER, 100_000)
        self._listeners = count(FIRST_LISTENER)

    def measure(self, rate: int, seconds: float) -> dict[str, Any]:
        """Both at one rate."""
        return {
            "rate": rate,
            "seconds": seconds,
            "hold_s": round(self._hold_s, 2),
            "playback": self._run(PLAYBACK, rate, seconds, keys=0),
            "line": self._run(DIALLED, rate, seconds, keys=KEYS_A_CALL),
        }

    def _run(self, dialled: str, rate: int, seconds: float, keys: int) -> dict[str, Any]:
        self._wait_until_idle()
        first = next(self._callers)
        pids = {
            "asterisk": self._asterisk.pid,
            "line": self._line.pid,
            "store": self._line.store_pid(),
        }
        load = Load(
            self._asterisk,
            dialled,
            rate=rate,
            seconds=seconds,
            hold_s=self._hold_s,
            first_caller=first,
        )
        cpu = CpuWatch(pids | {"sipp": load.pid}, time.monotonic)
        watching = threading.Thread(target=_watch_second_half, args=(cpu, seconds))
        with load:
            watching.start()
            listened = self._listen(dialled, seconds, keys)
            counted = load.report()
            watching.join()
        report: dict[str, Any] = {
            "calls": counted.calls,
            "failed": counted.failed,
            "retransmissions": counted.retransmissions,
            "invite_to_answer_ms": percentiles_ms(counted.answers_s),
            "cpu_percent": cpu.percent(),
            "idle_percent": cpu.idle_percent(),
            **self._heard(listened),
        }
        if dialled == DIALLED:
            report["settled_s"] = self._ledger.settle()
            report["stored"] = asdict(self._ledger.stored(first, counted.calls))
        return report

    def _wait_until_idle(self) -> None:
        """Let Asterisk forget the calls of the rate before, which may have been too much for it."""
        deadline = time.monotonic() + RECOVERY_S
        while self._asterisk.live_channels() and time.monotonic() < deadline:
            time.sleep(0.5)

    def _listen(self, dialled: str, seconds: float, keys: int) -> list[Listened]:
        """Make calls of our own for ``seconds``: the first only listens, the others press keys."""
        listened: list[Listened] = []
        threads: list[threading.Thread] = []
        began = time.monotonic()
        for number in range(int(seconds * LISTENERS_A_S)):
            time.sleep(max(0.0, began + number / LISTENERS_A_S - time.monotonic()))
            caller = next(self._listeners)
            one = Listened(caller, Call(self._asterisk, dialled, caller=str(caller)))
            stay_s = seconds if number == 0 else 0.0
            thread = threading.Thread(target=_listen, args=(one, 0 if stay_s else keys, stay_s))
            thread.start()
            listened.append(one)
            threads.append(thread)
        time.sleep(max(0.0, began + seconds - time.monotonic()))
        for thread in threads:
            thread.join(60)
        return listened

    def _heard(self, listened: list[Listened]) -> dict[str, Any]:
        whole = [one for one in listened if not one.error]
        heard = {one.caller: begins(one.call, self._library) for one in whole}
        waits = [wait for one in whole for wait in self._key_waits(one, heard[one.caller])]
        sent = sum(len(one.call.keys) for one in whole)
        acted = [wait for wait in waits if wait is not None]
        return {
            "listeners": len(listened),
            "listeners_failed": [one.error for one in listened if one.error],
            "invite_to_first_sound_ms": self._first_sounds(heard, self._title),
            "invite_to_tone_ms": self._first_sounds(heard, self._song),
            "keys_sent": sent,
            "keys_acted_on": len(acted),
            "keys_recorded": sum(self._ledger.keys(one.caller) for one in whole),
            "key_to_prompt_ms": percentiles_ms(acted),
            "rtp": _holes(whole[0].call.packets) if whole else {},
        }

    def _first_sounds(self, heard: dict[int, list[Begin]], sound: str) -> dict[str, float]:
        """When a sound first began, over all calls that heard it."""
        firsts = [
            next((begin.at_s for begin in begun if begin.sound == sound), None)
            for begun in heard.values()
        ]
        return percentiles_ms([first for first in firsts if first is not None])

    def _key_waits(self, one: Listened, heard: list[Begin]) -> Iterator[float | None]:
        """Seconds from each key's release to the title's beginning; None: it never came."""
        titles = [begin.at_s for begin in heard if begin.sound == self._title]
        for key in one.call.keys:
            # The release is noted when its packets are gone: a busy machine may note it too late
            waits = [max(0.0, at_s - key.up_s) for at_s in titles if at_s > key.down_s]
            wait = min(waits, default=KEY_MISSED_S)
            yield wait if wait < KEY_MISSED_S else None


def begins(call: Call, library: Library) -> list[Begin]:
    """What was heard from its first sample on, and when that sample's packet arrived.

    The packets are put end to end: RTP timestamps say where a sample belongs, not when it came.
    """
    packets = call.packets
    invited_s = time.time() - call.now_s
    ends = np.cumsum([len(packet.payload) for packet in packets])
    sound = b"".join(packet.payload for packet in packets)
    kind = packets[0].payload_type if packets else PCMA
    heard = recognise(LINEAR[kind][np.frombuffer(sound, np.uint8)], library)
    return [
        Begin(piece.name, packets[int(np.searchsorted(ends, first, "right"))].at_s - invited_s)
        for piece in heard
        if piece.file_from_ms < FRAME_MS
        and 0 <= (first := (piece.from_ms - piece.file_from_ms) * SAMPLES_PER_MS) < len(sound)
    ]


def _watch_second_half(cpu: CpuWatch, seconds: float) -> None:
    """Only then are as many calls up as there will be."""
    time.sleep(seconds / 2)
    with cpu:
        time.sleep(seconds / 2)


def _listen(one: Listened, keys: int, stay_s: float) -> None:
    """One call: keys two seconds apart within the tone, or only listening."""
    try:
        with one.call as call:
            call.wait_until_answered()
            for _ in range(keys):
                call.wait(BETWEEN_KEYS_S)
                call.press(KEY)
            call.wait(stay_s or BETWEEN_KEYS_S)
            call.hang_up()
    except Exception as error:  # a load's edge: what happened to one caller is a figure
        one.error = f"{type(error).__name__}: {error}"[:120]


def _holes(packets: list[Packet]) -> dict[str, float]:
    """What is wrong with a stream: packets lost, and how far apart (ms) they came."""
    apart = [after.at_s - before.at_s for before, after in pairwise(packets)]
    sequences = {packet.sequence for packet in packets}
    steps = [(after.sequence - before.sequence) % 2**16 for before, after in pairwise(packets)]
    return {
        "packets": len(packets),
        "lost": sum(step - 1 for step in steps if 1 < step < 2**15),
        "doubled": len(packets) - len(sequences),
        "gaps_over_40_ms": sum(gap > 2 * FRAME_S for gap in apart),
        "gap_p99_ms": percentiles_ms(apart).get("p99", 0.0),
        "gap_max_ms": percentiles_ms(apart).get("max", 0.0),
    }
