"""What goes wrong at the simulated SMSC on purpose, one fault a test."""

from __future__ import annotations

from collections import Counter

import pytest

from smpp import pdu
from smpp.commands import (
    Bind,
    BindResp,
    DeliverSm,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Outbind,
    Status,
    SubmitSmResp,
    Unbind,
    UnbindResp,
)
from smpp.smsc_rules import Profile, Rule
from tests.fakes.esme import SECRET, FakeEsme, SmscScene, mt


def statuses(esme: FakeEsme) -> list[tuple[int, int]]:
    """The submit_sm_resp that came: sequence number and status."""
    return [
        (value.sequence, value.status) for value in esme.read() if isinstance(value, SubmitSmResp)
    ]


def delivered(esme: FakeEsme) -> list[tuple[int, bytes]]:
    return [
        (value.sequence, value.short_message)
        for value in esme.read()
        if isinstance(value, DeliverSm)
    ]


# ---- load


def test_more_than_the_rate_in_any_second_is_throttled_over_all_binds() -> None:
    scene = SmscScene(profile=Profile(tps=2))
    one, other = scene.bind(), scene.bind()
    one.send(mt(2))
    scene.advance(0.9)
    other.send(mt(2), mt(3))
    assert statuses(other) == [(2, Status.ROK), (3, Status.RTHROTTLED)]
    scene.advance(0.1)
    one.send(mt(3), mt(4))
    assert statuses(one) == [(2, 0), (3, 0), (4, Status.RTHROTTLED)]
    assert (scene.counts["throttled"], scene.counts["submitted_peak_1s"]) == (2, 4)


def test_a_rate_may_hold_for_each_bind() -> None:
    scene = SmscScene(profile=Profile(bind_tps=1))
    for esme in (scene.bind(), scene.bind()):
        esme.send(mt(2), mt(3))
        assert statuses(esme) == [(2, 0), (3, Status.RTHROTTLED)]


def test_more_messages_under_way_than_the_queue_holds_are_refused() -> None:
    scene = SmscScene(profile=Profile(queue=1))
    esme = scene.bind()
    esme.send(mt(2), mt(3))
    assert statuses(esme) == [(2, 0), (3, Status.RMSGQFUL)]
    scene.advance(1)
    esme.send(mt(4))
    assert statuses(esme) == [(4, 0)]
    assert scene.counts["queue_full"] == 1


def test_responses_take_their_time() -> None:
    scene = SmscScene(profile=Profile(response_delay_s=0.5, response_jitter_s=0.5))
    esme = scene.bind()
    esme.send(mt(2), mt(3), EnquireLink(4))
    assert esme.read() == [EnquireLinkResp(4)]
    scene.advance(0.49)
    assert statuses(esme) == []
    scene.advance(0.51)
    assert sorted(statuses(esme)) == [(2, 0), (3, 0)]


# ---- submit_sm


@pytest.mark.parametrize("status", [Status.RTHROTTLED, Status.RMSGQFUL, Status.RSYSERR, 0x410])
def test_a_message_is_refused_with_any_status_and_not_kept(status: int) -> None:
    scene = SmscScene(Rule("submit", "refuse", every=2, status=status))
    esme = scene.bind()
    esme.send(mt(2), mt(3))
    assert statuses(esme) == [(2, 0), (3, status)]
    assert (scene.counts["accepted"], scene.counts["refused"]) == (1, 1)


def test_a_message_is_answered_by_generic_nack() -> None:
    esme = SmscScene(Rule("submit", "nack", status=Status.RINVCMDID)).bind()
    esme.send(mt(2))
    assert esme.read() == [GenericNack(2, Status.RINVCMDID)]


@pytest.mark.parametrize(
    ("do", "kept", "ended"),
    [("drop_before", 0, "cut"), ("drop_after", 1, "cut"), ("lose", 1, ""), ("ignore", 0, "")],
)
def test_no_response_comes_before_or_after_the_message_is_kept(
    do: str, kept: int, ended: str
) -> None:
    scene = SmscScene(Rule("submit", do))
    esme = scene.bind()
    esme.send(mt(2))
    assert (esme.read(), esme.ended, scene.counts["accepted"]) == ([], ended, kept)


def test_a_response_comes_more_than_once() -> None:
    scene = SmscScene(Rule("submit", "repeat", count=2, delay_s=1, times=1))
    esme = scene.bind()
    esme.send(mt(2, registered_delivery=0))
    assert statuses(esme) == [(2, 0)]
    scene.advance(1)
    assert statuses(esme) == [(2, 0), (2, 0)]


def test_a_response_comes_late() -> None:
    scene = SmscScene(Rule("submit", "delay", delay_s=3, times=1))
    esme = scene.bind()
    esme.send(mt(2), mt(3))
    assert statuses(esme) == [(3, 0)]
    scene.advance(3)
    assert statuses(esme) == [(2, 0)]


def test_a_response_is_overtaken_by_others() -> None:
    scene = SmscScene(Rule("submit", "reorder", count=2, every=3))
    esme = scene.bind()
    esme.send(*(mt(sequence) for sequence in range(2, 8)))
    assert [sequence for sequence, _ in statuses(esme)] == [2, 3, 5, 6, 4]


def test_a_response_that_nothing_overtakes_comes_in_the_end() -> None:
    scene = SmscScene(Rule("submit", "reorder"))
    esme = scene.bind()
    esme.send(mt(2, registered_delivery=0))
    scene.advance(0.9)
    assert statuses(esme) == []
    scene.advance(0.1)
    assert statuses(esme) == [(2, 0)]


def test_a_response_is_malformed() -> None:
    scene = SmscScene(Rule("submit", "malformed", kind="sequence"))
    esme = scene.bind()
    esme.send(mt(2))
    assert statuses(esme) == [(0x7ABCDEF0, 0)]


def test_it_unbinds_after_a_message() -> None:
    esme = SmscScene(Rule("submit", "unbind")).bind()
    esme.send(mt(2))
    response, unbind = esme.read()
    assert isinstance(response, SubmitSmResp)
    assert unbind == Unbind(1)
    esme.send(UnbindResp(1))
    assert esme.ended == "closed"


def test_it_unbinds_after_a_response_that_takes_its_time() -> None:
    scene = SmscScene(Rule("submit", "unbind"), profile=Profile(response_delay_s=1))
    esme = scene.bind()
    esme.send(mt(2))
    scene.advance(1)
    assert [type(pdu) for pdu in esme.read()] == [SubmitSmResp, Unbind]


def test_a_stall_takes_octets_and_says_nothing_until_it_ends() -> None:
    scene = SmscScene(Rule("submit", "stall", for_s=10, times=1))
    esme = scene.bind()
    esme.send(mt(2), mt(3), EnquireLink(4))
    scene.put("Y")
    assert (esme.octets, scene.counts["accepted"], scene.counts["unread"]) == (b"", 0, 2)
    scene.advance(10)
    assert esme.texts() == [b"Y"]
    esme.send(EnquireLink(5))
    assert esme.read() == [EnquireLinkResp(5)]


def test_a_stall_without_an_end_lasts_as_long_as_the_connection() -> None:
    scene = SmscScene(Rule("bound", "stall"))
    esme = scene.bind()
    scene.put("Y")
    scene.advance(1000)
    esme.send(EnquireLink(5))
    assert esme.octets == b""


def test_a_rule_may_be_for_some_addresses_and_texts_only() -> None:
    scene = SmscScene(Rule("submit", "refuse", destination="0002$", source="^125", text="订购"))
    esme = scene.bind()
    esme.send(
        mt(2),
        mt(3, destination_addr="8613905250002"),
        mt(4, "订购".encode("utf-16-be"), data_coding=8, destination_addr="8613905250002"),
    )
    assert statuses(esme) == [(2, 0), (3, 0), (4, Status.RTHROTTLED)]


# ---- deliver_sm


@pytest.mark.parametrize("do", ["drop_before", "drop_after"])
def test_a_connection_is_lost_with_a_message_and_the_next_gets_it_again(do: str) -> None:
    scene = SmscScene(Rule("deliver", do))
    esme = scene.bind()
    mo = scene.put("Y")
    assert esme.texts() == [b"Y"]
    assert (bool(esme.ended), scene.answered) == (True, [])
    assert scene.bind().texts() == [b"Y"]
    assert scene.answered == [mo]


@pytest.mark.parametrize("do", ["lose", "malformed"])
def test_an_answer_is_lost_and_the_message_comes_again(do: str) -> None:
    scene = SmscScene(Rule("deliver", do, kind="tlv", delay_s=5))
    esme = scene.bind()
    mo = scene.put("Y")
    esme.octets = b""
    esme.send(GenericNack(1, Status.RINVCMDLEN))
    scene.advance(5)
    assert scene.answered == []
    assert esme.texts() == [b"Y"]
    assert scene.answered == [mo]


def test_a_malformed_message_that_ends_the_connection_comes_over_the_next() -> None:
    scene = SmscScene(Rule("deliver", "malformed", kind="huge"))
    esme = scene.bind()
    scene.put("Y")
    assert pdu.cut(esme.octets)[2] is not None
    esme.leave()
    assert scene.bind().texts() == [b"Y"]


def test_a_message_comes_more_than_once() -> None:
    scene = SmscScene(Rule("deliver", "repeat", count=2))
    esme = scene.bind()
    mo = scene.put("Y")
    assert esme.texts() == [b"Y"] * 3
    assert scene.answered == [mo]


def test_a_message_comes_late() -> None:
    scene = SmscScene(Rule("deliver", "delay", delay_s=2, times=1))
    esme = scene.bind()
    scene.put("1")
    scene.put("2")
    assert delivered(esme) == [(1, b"2")]
    scene.advance(2)
    assert delivered(esme) == [(2, b"1")]


def test_messages_overtake_one_another() -> None:
    scene = SmscScene(Rule("deliver", "reorder", every=2))
    esme = scene.bind()
    for words in "1234":
        scene.put(words)
    assert scene.core.waiting == 1
    assert [words for _, words in delivered(esme)] == [b"1", b"3", b"2"]
    scene.advance(1)
    assert [words for _, words in delivered(esme)] == [b"4"]
    assert scene.core.waiting == 0


# ---- binds and connections


@pytest.mark.parametrize(
    ("rule", "answers"),
    [
        (Rule("bind", "refuse", status=Status.RALYBND), [BindResp(1, 0x05, "simulator")]),
        (Rule("bind", "nack", status=Status.RINVCMDID), [GenericNack(1, 0x03)]),
        (Rule("bind", "ignore"), []),
        (Rule("bind", "stall"), []),
    ],
)
def test_a_bind_fails(rule: Rule, answers: list[object]) -> None:
    scene = SmscScene(rule)
    esme = scene.connect()
    esme.send(Bind(1, "toneline", SECRET))
    assert esme.read() == answers
    assert scene.core.binds == []


def test_a_bind_is_dropped_or_malformed() -> None:
    scene = SmscScene(Rule("bind", "drop", times=1), Rule("bind", "malformed", kind="unterminated"))
    dropped, malformed = scene.connect(), scene.connect()
    for esme in (dropped, malformed):
        esme.send(Bind(1, "toneline", SECRET))
    assert dropped.ended == "cut"
    assert b"AAAA" in malformed.octets


def test_a_bind_takes_its_time_and_messages_wait_for_it() -> None:
    scene = SmscScene(Rule("bind", "delay", delay_s=2))
    patient, impatient = scene.connect(), scene.connect()
    for esme in (patient, impatient):
        esme.send(Bind(1, "toneline", SECRET))
    impatient.leave()
    scene.put("Y")
    assert patient.octets == b""
    scene.advance(2)
    response, message = patient.read()
    assert isinstance(response, BindResp)
    assert isinstance(message, DeliverSm)


@pytest.mark.parametrize("on", ["connect", "bound", "now"])
def test_it_may_ask_to_be_bound_to(on: str) -> None:
    rule = Rule(on, "outbind")  # type: ignore[arg-type]  # one of the occasions
    scene = SmscScene(rule)
    esme = scene.bind() if on != "connect" else scene.connect()
    scene.follow(rule)
    assert esme.read()[0] == Outbind(1, "simulator", SECRET)


@pytest.mark.parametrize(
    ("do", "ended"), [("drop", "cut"), ("unbind", ""), ("enquire_link", ""), ("malformed", "")]
)
def test_something_happens_a_while_after_the_bind(do: str, ended: str) -> None:
    scene = SmscScene(Rule("bound", do, delay_s=5, kind="command"))
    esme = scene.bind()
    scene.advance(4.9)
    assert (esme.octets, esme.ended) == (b"", "")
    scene.advance(0.1)
    assert (bool(esme.octets), esme.ended) == (do != "drop", ended)
    assert scene.counts[f"did_{do}"] == 1


def test_what_is_told_now_happens_to_everyone_bound_and_to_nobody_later() -> None:
    scene = SmscScene()
    bound, connected = scene.bind(), scene.connect()
    scene.follow(Rule("now", "unbind"), Rule("now", "drop", delay_s=1))
    assert bound.read() == [Unbind(1)]
    assert connected.octets == b""
    bound.leave()
    scene.advance(1)
    assert scene.bind().octets == b""


@pytest.mark.parametrize(
    ("rule", "answers", "ended"),
    [
        (Rule("enquire_link", "ignore"), [], ""),
        (Rule("enquire_link", "nack", status=3), [GenericNack(2, 3)], ""),
        (Rule("enquire_link", "repeat"), [EnquireLinkResp(2), EnquireLinkResp(2)], ""),
        (Rule("enquire_link", "drop"), [], "cut"),
        (Rule("enquire_link", "stall"), [], ""),
        (Rule("enquire_link", "delay", delay_s=1), [], ""),
    ],
)
def test_an_enquire_link_goes_wrong(rule: Rule, answers: list[object], ended: str) -> None:
    esme = SmscScene(rule).bind()
    esme.send(EnquireLink(2))
    assert (esme.read(), esme.ended) == (answers, ended)


# ---- chance


def test_the_same_seed_gives_the_same_night() -> None:
    def night(seed: int) -> list[tuple[int, int]]:
        scene = SmscScene(Rule("submit", "refuse", chance=0.3), seed=seed)
        esme = scene.bind()
        esme.send(*(mt(sequence) for sequence in range(2, 202)))
        return statuses(esme)

    assert night(7) == night(7) != night(8)
    refused = Counter(status for _, status in night(7))
    assert refused[Status.ROK] + refused[Status.RTHROTTLED] == 200
    assert 30 < refused[Status.RTHROTTLED] < 90
