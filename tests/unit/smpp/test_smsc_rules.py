"""Scripts of the simulated SMSC: what a file may say, what it may not, and which rule is chosen."""

from __future__ import annotations

import re
import tomllib
from dataclasses import asdict
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpp import pdu
from smpp.commands import DeliverSm, EnquireLinkResp, Pdu, Status, SubmitSmResp
from smpp.smsc_malformed import KINDS, Kind, malform
from smpp.smsc_rules import (
    ACTS,
    BadScript,
    Profile,
    ReceiptForm,
    Rule,
    Rules,
    Script,
    Subject,
    parse_rule,
    parse_script,
    read_script,
)

NIGHT = """
seed = 7

[smsc]
tps = 100
response_delay_s = 1

[receipt]
state = "UNDELIV"
delay_s = 0.5

[[rule]]
on = "submit"
do = "refuse"
status = "RMSGQFUL"
every = 10
text = "^订购"

[[rule]]
on = "receipt"
receipt = {intermediate = ["ENROUTE"], bind = "other"}
"""


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "night.toml"
    file.write_text(NIGHT, encoding="utf-8")
    form = ReceiptForm(state="UNDELIV", delay_s=0.5)
    assert read_script(file) == Script(
        7,
        Profile(tps=100, response_delay_s=1.0),
        form,
        (
            Rule(
                "submit",
                "refuse",
                status=Status.RMSGQFUL,
                every=10,
                text="^订购",
                receipt=form,
            ),
            Rule(
                "receipt",
                "send",
                receipt=ReceiptForm(
                    state="UNDELIV", delay_s=0.5, intermediate=("ENROUTE",), bind="other"
                ),
            ),
        ),
    )


def test_an_empty_script_does_nothing() -> None:
    assert parse_script({}) == Script()


def test_the_script_in_the_documentation_is_one() -> None:
    documentation = Path(__file__).parents[3] / "docs" / "simulator.md"
    (example,) = re.findall(r"```toml\n(.*?)```", documentation.read_text("utf-8"), re.DOTALL)
    assert len(parse_script(tomllib.loads(example)).rules) == 2


@pytest.mark.parametrize("text", ["[smsc", "\udcff"])
def test_a_file_that_is_no_toml_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "night.toml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadScript, match=r"night\.toml: "):
        read_script(file)


def test_every_error_is_named_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "night.toml"
    file.write_text(
        'colour = 1\nseed = true\n[smsc]\ntps = -1\nspeed = 2\n[receipt]\nstate = "GONE"\n'
        '[[rule]]\non = "submit"\ndo = "dance"\nevery = 0\n[[rule]]\ndo = "lose"\n'
        '[[rule]]\non = "submit"\ndo = "dance"\ntext = "("\n'
    )
    with pytest.raises(BadScript) as refused:
        read_script(file)
    errors = refused.value.errors
    assert all(error.startswith(f"{file}: ") for error in errors)
    for part in (
        "colour: there is no such key",
        "seed = True",
        "smsc.tps = -1",
        "smsc.speed: there is no such key",
        "receipt.state = 'GONE'",
        "rule 1.every = 0",
        "rule 2.on: must be given",
        "rule 3: on submit do 'dance': one of delay, drop_after",
        "rule 3: text is no regular expression",
    ):
        assert any(part in error for error in errors), (part, errors)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ([], "a table"),
        ({"on": "submit", "do": "refuse", "status": "NICE"}, "status = 'NICE'"),
        ({"on": "submit", "do": "refuse", "status": 0}, "status = "),
        ({"on": "submit", "do": "lose", "chance": 2}, "chance"),
        ({"on": "receipt", "receipt": 1}, "receipt"),
        ({"on": "receipt", "receipt": {"delay_s": float("inf")}}, "delay_s"),
        ({"on": "submit"}, "do: must be given"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(raw: object, why: str) -> None:
    with pytest.raises(BadScript, match=why):
        parse_rule(raw, ReceiptForm())


@pytest.mark.parametrize("what", ["smsc", "receipt", "rule"])
def test_a_section_that_is_none_is_refused(what: str) -> None:
    with pytest.raises(BadScript, match=what):
        parse_script({what: 5})


def test_every_act_of_every_occasion_can_be_written() -> None:
    for on, acts in ACTS.items():
        for do in acts:
            assert parse_rule({"on": on, "do": do}, ReceiptForm()).do == do


def test_a_rule_shown_can_be_read_again() -> None:
    rule = Rule("receipt", "send", receipt=ReceiptForm(intermediate=("ENROUTE",)))
    assert parse_rule(asdict(rule), ReceiptForm()) == rule


def choices(rules: Rules, count: int) -> str:
    return "".join(
        chosen.do[0] if (chosen := rules.choose("submit")) else "." for _ in range(count)
    )


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ((), "......"),
        ((Rule("submit", "lose", every=3),), "..l..l"),
        ((Rule("submit", "lose", after=2, times=2),), "..ll.."),
        ((Rule("submit", "lose", after=1, every=2),), "..l.l."),
        ((Rule("submit", "lose", chance=0),), "......"),
        ((Rule("bind", "drop"), Rule("submit", "lose", every=2)), ".l.l.l"),
        ((Rule("submit", "lose", every=2), Rule("submit", "nack", every=3)), ".lnl.l"),
    ],
)
def test_the_first_rule_that_is_due_decides(rules: tuple[Rule, ...], expected: str) -> None:
    assert choices(Rules(Script(rules=rules)), 6) == expected


def test_rules_come_and_go() -> None:
    rules = Rules(Script(rules=(Rule("submit", "lose"),)))
    assert rules.add((Rule("submit", "nack"), Rule("bind", "drop"))) == [2, 3]
    assert choices(rules, 1) == "l"
    assert (rules.remove(1), rules.remove(1)) == (1, 0)
    assert choices(rules, 2) == "nn"
    assert [(one.rule_id, one.met, one.used) for one in rules] == [(2, 3, 2), (3, 0, 0)]
    assert rules.remove() == 2
    assert choices(rules, 1) == "."


def test_a_rule_fits_its_addresses_and_text() -> None:
    rules = Rules(Script(rules=(Rule("submit", "lose", source="9$", text="订"),)))
    assert rules.choose("submit", Subject("12530019", "861", "订购")) is not None
    assert rules.choose("submit", Subject("12530018", "861", "订购")) is None
    assert rules.choose("submit", Subject("12530019", "861", "CX")) is None


@given(st.integers(1, 9), st.integers(0, 9), st.integers(0, 9), st.floats(0, 1), st.integers(0, 50))
def test_a_rule_is_never_followed_more_often_than_it_says(
    every: int, after: int, times: int, chance: float, count: int
) -> None:
    rules = Rules(Script(rules=(Rule("submit", "lose", every, after, times, chance),)))
    used = choices(rules, count).count("l")
    assert used <= max(0, count - after) // every
    assert not times or used <= times
    if chance == 1:
        assert used == min(max(0, count - after) // every, times or count)


# ---- malformed PDUs


PDUS = (
    DeliverSm(5, "8613905250001", "12530019", b"Y" * 140, tlvs=((0x1400, b"1"),)),
    SubmitSmResp(5, 0, "6f"),
    EnquireLinkResp(5),
)


@pytest.mark.parametrize("whole", PDUS, ids=["deliver_sm", "submit_sm_resp", "enquire_link_resp"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "sequence"])
def test_each_kind_is_malformed_indeed(kind: Kind, whole: Pdu) -> None:
    octets = malform(pdu.encode(whole), kind, Random(1))
    found, _, broken = pdu.cut(octets + bytes(16))
    if kind in ("length", "huge", "garbage"):
        assert broken is not None
        return
    with pytest.raises(pdu.MalformedPdu):
        pdu.decode(found[0])
    assert int.from_bytes(octets[12:16], "big") == 5


def test_a_sequence_number_may_be_one_nobody_used() -> None:
    octets = malform(pdu.encode(SubmitSmResp(5, 0, "6f")), "sequence", Random(1))
    assert pdu.decode(octets) == SubmitSmResp(0x7ABC_DEF0, 0, "6f")
