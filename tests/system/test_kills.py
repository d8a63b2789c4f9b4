"""kill -9 at random instants, under load and with an SMSC that has a bad night, loses nothing.

`KILLS` in the environment is how often (12), `KILLS_SEED` what the instants are drawn from (1).
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path
from random import Random

from tests.system.kills import draw, live_until
from tests.system.kills_crowd import Crowd
from tests.system.kills_ledger import Ledger, received_again
from tests.system.line import Line, Settings
from tests.system.smsc import SmscProcess

KILLS = int(os.environ.get("KILLS", "12"))
SEED = int(os.environ.get("KILLS_SEED", "1"))
MO_RATE = 200
BINDS = 2
WINDOW = 10
MO_ID_TLV = 0x1400
PATIENCE_S = 240.0

BAD_NIGHT: tuple[dict[str, object], ...] = (
    {"on": "submit", "do": "refuse", "status": "RTHROTTLED", "every": 400},
    {"on": "submit", "do": "refuse", "status": "RMSGQFUL", "every": 900},
    {"on": "submit", "do": "drop_after", "every": 700},
    {"on": "submit", "do": "drop_before", "every": 1100},
    {"on": "deliver", "do": "lose", "every": 150, "delay_s": 0.3},
    {"on": "deliver", "do": "drop_after", "every": 800},
    # So that it is the messages of subscribers that fill the line's time.
    {"on": "receipt", "do": "never", "chance": 0.75},
)


def test_kill_9_at_random_instants_loses_nothing_and_orders_nothing_twice(
    tmp_path: Path, prepared_sounds: Path
) -> None:
    with SmscProcess("simulator", tmp_path) as smsc:
        line = Line(tmp_path / "line", _settings(smsc), sounds=prepared_sounds)
        with line:
            smsc.play(*BAD_NIGHT, smsc={"mo_id_tlv": MO_ID_TLV, "retry_s": 0.3})
        with Crowd(smsc, MO_RATE, Random(SEED)) as crowd:
            errors = _kill_again_and_again(line, smsc, crowd)
        with line:
            ledger = _settled(line, smsc, crowd)
        counts = Counter[str](smsc.state()["counts"])
    errors += _errors(line)
    doubled = counts["accepted"] - ledger.submits_needed()
    allowed = WINDOW * (BINDS * KILLS + counts["cut"])
    print(_told(crowd, ledger, counts))
    print(f"{doubled} submit_sm doubled of {allowed} allowed, errors logged: {dict(errors)}")
    assert not ledger.unrecorded(crowd.sent)
    assert not ledger.unanswered(crowd.got)
    assert not ledger.answered_twice()
    assert not ledger.worked_twice()
    assert not ledger.wrong_orders(crowd.confirmed)
    assert 0 <= doubled <= allowed
    assert not errors


def _settings(smsc: SmscProcess) -> Settings:
    link = {"binds": BINDS, "window": WINDOW, "mo_id_tlv": MO_ID_TLV}
    return {"smsc": [smsc.settings(**link)], "sms": {"sender_offer": "12530020"}}


def _kill_again_and_again(line: Line, smsc: SmscProcess, crowd: Crowd) -> Counter[str]:
    """Start the line and kill it, `KILLS` times; return the errors that it logged."""
    errors, random = Counter[str](), Random(SEED)
    for number in range(1, KILLS + 1):
        instant, began = draw(random), time.monotonic()
        live_until(line, instant, lambda: _count(smsc, "mo_answered"))
        lived_s = time.monotonic() - began
        print(f"kill {number}: {instant}, after {lived_s:.1f} s, {len(crowd.sent)} MO sent")
        errors += _errors(line)
    return errors


def _settled(line: Line, smsc: SmscProcess, crowd: Crowd) -> Ledger:
    """Wait until everything has been answered, sent and fulfilled; return what is written."""
    file = line.folder / "var" / "toneline.db"

    def has_settled() -> bool:
        crowd.read()
        return _count(smsc, "mo_answered") == len(crowd.sent) and Ledger.read(file).is_settled

    line.wait_for(has_settled, "everything is settled", PATIENCE_S)
    crowd.read()
    return Ledger.read(file)


def _count(smsc: SmscProcess, name: str) -> int:
    return int(smsc.state()["counts"].get(name, 0))


def _errors(line: Line) -> Counter[str]:
    """The errors that a life of the line has logged; its last line may be half written."""
    found = Counter[str]()
    for written in line.log().splitlines():
        try:
            event = json.loads(written)
        except ValueError:
            continue
        if event.get("level") in ("error", "critical"):
            found[event["event"]] += 1
    return found


def _told(crowd: Crowd, ledger: Ledger, counts: Counter[str]) -> str:
    return (
        f"{KILLS} kills, seed {SEED}: {len(crowd.sent)} MO, "
        f"{len(ledger.unrecorded(crowd.sent))} lost, "
        f"{len(ledger.unanswered(crowd.got))} without an answer "
        f"({len(ledger.in_slow_parts())} with one in parts a minute apart); "
        f"{counts['deliver_again']} sent again, {len(ledger.taken_for_new())} of them taken for "
        f"new, {len(ledger.worked_twice())} wrongly; "
        f"{len(crowd.confirmed)} confirmed, {len(ledger.orders)} orders, "
        f"{len(ledger.wrong_orders(crowd.confirmed))} too many or too few; "
        f"{counts['accepted']} submit_sm accepted, {counts['throttled']} throttled, "
        f"{counts['queue_full']} refused (queue full), {counts['cut']} connections dropped, "
        f"{received_again(crowd, ledger)} whole messages seen twice; {ledger.states()}"
    )
