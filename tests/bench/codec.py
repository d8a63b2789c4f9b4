"""What a PDU costs to encode and to decode, beside smpplib and aiosmpplib."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.bench import peers, tables
from tests.bench.facts import ROOT

PDUS = ("submit_sm", "submit_sm_resp", "deliver_sm", "deliver_sm_resp", "enquire_link")
SECONDS = 1.0  # for each PDU and way
TIMEOUT_S = 300.0


def measure(*, quick: bool) -> dict[str, Any]:
    """Figures by codec; the peers' PDUs are compared with ours first."""
    interpreters = {
        "toneline": Path(sys.executable),
        "smpplib": Path(sys.executable),
        "aiosmpplib": peers.interpreter(),
    }
    found = {
        name: _one(interpreter, name, 0.05 if quick else SECONDS)
        for name, interpreter in interpreters.items()
    }
    wanted = {pdu: found["toneline"][pdu]["octets"] for pdu in PDUS}
    for name, figures in found.items():
        for pdu in PDUS:
            octets = figures[pdu].pop("octets")
            if octets != wanted[pdu]:
                raise RuntimeError(f"{name}'s {pdu} is {octets}, ours {wanted[pdu]}")
    return found


def _one(interpreter: Path, name: str, seconds: float) -> dict[str, Any]:
    done = subprocess.run(
        [interpreter, "-m", "tests.bench.codec_subjects", name, str(seconds)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def table(figures: dict[str, Any]) -> str:
    """One row a PDU and way, one column a codec."""
    names = list(figures)
    others = [name for name in names if name != "toneline"]
    head = (
        *("us a PDU", "toneline", *(f"{name} {figures[name]['version']}" for name in others)),
        *(f"{name} / toneline" for name in others),
    )
    rows = []
    for pdu in PDUS:
        for way in ("encode", "decode"):
            cost = {name: figures[name][pdu][f"{way}_us"] for name in names}
            ratios = [f"{cost[name] / cost['toneline']:.1f}" for name in others]
            rows.append([f"{pdu}, {way}", *(f"{cost[name]:.2f}" for name in names), *ratios])
    return tables.table(head, rows)
