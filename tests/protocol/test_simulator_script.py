"""What goes wrong at the simulator, told by HTTP while it runs."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from smpp.commands import Bind, Outbind, Status
from smpp.text import segment
from tests.protocol.smsc_house import LINE, NUMBER, House, mt, with_house


async def submit(house: House, words: str) -> int:
    """The status of one message submitted."""
    assert house.esme is not None
    (part,) = (await house.esme.submit(mt(words))).parts
    return part.status


def test_a_rule_is_put_in_force_shown_and_ended() -> None:
    async def test(house: House) -> None:
        refuse = {"on": "submit", "do": "refuse", "status": "RINVDSTADR", "text": "^2$"}
        assert await house.http("POST", "/rules", refuse) == (201, {"ids": [1]})
        assert [await submit(house, words) for words in ("1", "2")] == [0, Status.RINVDSTADR]
        _, (shown,) = await house.http("GET", "/rules")
        assert (shown["id"], shown["do"], shown["met"], shown["used"]) == (1, "refuse", 1, 1)
        assert await house.http("DELETE", "/rules?id=1") == (200, {"removed": 1})
        assert await submit(house, "2") == Status.ROK

    with_house(test)


def test_several_rules_come_at_once_and_all_are_ended() -> None:
    async def test(house: House) -> None:
        rules = [{"on": "submit", "do": "lose"}, {"on": "receipt", "do": "never"}]
        assert await house.http("POST", "/rules", rules) == (201, {"ids": [1, 2]})
        assert await house.http("DELETE", "/rules") == (200, {"removed": 2})
        assert await house.http("GET", "/rules") == (200, [])

    with_house(test, bind=False)


def test_what_is_told_now_is_done_at_once_and_not_kept() -> None:
    async def test(house: House) -> None:
        wire = await house.connect(house.smpp_port)
        wire.send(Bind(1, "toneline", "secret"))
        await wire.pdus.get()
        assert await house.http("POST", "/rules", {"on": "now", "do": "outbind"}) == (
            201,
            {"ids": []},
        )
        assert isinstance(await wire.pdus.get(), Outbind)
        assert await house.http("GET", "/rules") == (200, [])

    with_house(test, bind=False)


def test_a_script_takes_the_place_of_the_one_in_force() -> None:
    async def test(house: House) -> None:
        await house.http("POST", "/rules", {"on": "submit", "do": "lose"})
        script: dict[str, Any] = {
            "seed": 7,
            "smsc": {"queue": 1},
            "receipt": {"state": "UNDELIV", "delay_s": 0},
            "rule": [{"on": "receipt", "destination": "0002$"}],
        }
        code, shown = await house.http("POST", "/script", script)
        assert code == 200
        assert (shown["seed"], shown["smsc"]["queue"]) == (7, 1)
        assert [rule["receipt"]["state"] for rule in shown["rule"]] == ["UNDELIV"]
        assert await house.http("GET", "/script") == (200, shown)
        assert await submit(house, "1") == Status.ROK
        assert (await house.application.receipts.get()).state == "UNDELIV"
        again, same = await house.http("POST", "/script", shown)
        assert (again, same) == (200, shown)

    with_house(test)


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "why"),
    [
        ("POST", "/rules", {"on": "submit", "do": "dance"}, 400, "one of"),
        ("POST", "/rules", [5], 400, "a table"),
        ("POST", "/rules", b"[", 400, "no JSON"),
        ("POST", "/rules", b"[" * 60_000, 400, "no JSON"),
        ("POST", "/script", [], 400, "object"),
        ("POST", "/script", {"smsc": {"tps": "x"}}, 400, "smsc.tps"),
        ("DELETE", "/rules?id=9", None, 404, "no rule 9"),
        ("DELETE", "/rules?id=x", None, 400, "id"),
        ("DELETE", "/script", None, 405, "method"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(
    method: str, path: str, body: Any, code: int, why: str
) -> None:
    async def test(house: House) -> None:
        answered, error = await house.http(method, path, body)
        assert answered == code
        assert why in error["error"]

    with_house(test, bind=False)


def test_who_waits_when_the_simulator_stops_is_let_go() -> None:
    async def test(house: House) -> None:
        smsc = house.simulator.smsc
        asked = smsc.answered(smsc.put_mo(NUMBER, LINE, segment("Y", 1)))
        waiting: list[Deferred[Any]] = [smsc.next_mt(), asked]
        smsc.stop()
        for one in waiting:
            with pytest.raises(CancelledError):
                await one

    with_house(test, bind=False)
