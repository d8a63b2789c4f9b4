"""what has happened at one SMSC since the start."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """In PDUs. `lost` had no response in time, `late` of these had one after it."""

    binds: int = 0
    submitted: int = 0
    accepted: int = 0
    refused: int = 0
    throttled: int = 0
    lost: int = 0
    late: int = 0
    mo: int = 0
    receipts: int = 0
    malformed: int = 0
