"""What must hold for whatever octets arrive, at the codec and through a whole session."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from random import Random
from typing import Any

from smpp import pdu
from smpp.commands import Bind, BindResp, Pdu, SubmitSm
from smpp.events import ResponseLost, SubmitFailed, Submitted
from smpp.session import Limits, Session
from smpp.states import State
from tests.fuzz import reference
from tests.fuzz.mutations import CORPUS, damaged

PDUS_A_ROUND = 200
MESSAGE = SubmitSm(0, "12530019", "8613905250001", b"hi")
LIMITS = Limits(window=20)


def run_round(seed: int, number: int) -> int:
    """Damage some PDUs and a stream of them; how many were still valid.

    Made from its arguments alone: what fails once fails again.
    """
    random = Random(f"{seed}/{number}")
    accepted = 0
    for _ in range(PDUS_A_ROUND):
        octets = damaged(random)
        try:
            accepted += check_codec(octets)
        except Exception:
            print(f"--seed {seed} --round {number}: {octets.hex()}", flush=True)
            raise
    try:
        check_session(random, PDUS_A_ROUND // 4)
    except Exception:
        print(f"--seed {seed} --round {number}: in the session", flush=True)
        raise
    return accepted


def check_codec(octets: bytes) -> bool:
    """The codec accepts what the specification's tables accept, as the same; whether it does."""
    try:
        wanted: dict[str, Any] | None = reference.read(octets)
    except reference.Refused:
        wanted = None
    try:
        value = pdu.decode(octets)
    except pdu.MalformedPdu as malformed:
        _check_refusal(malformed, wanted)
        return False
    assert wanted is not None, f"read as {value} and should be refused"
    found = _values(value)
    assert wanted.items() <= found.items(), f"{found} instead of {wanted}"
    again = pdu.encode(value)
    assert pdu.decode(again) == value
    if len(octets) > pdu.HEADER_LENGTH:
        assert again[pdu.HEADER_LENGTH :] == octets[pdu.HEADER_LENGTH :]
    return True


def _values(value: Pdu) -> dict[str, Any]:
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return value._asdict()


def _check_refusal(malformed: pdu.MalformedPdu, wanted: dict[str, Any] | None) -> None:
    assert wanted is None, f"refused ({malformed}) and should be read as {wanted}"
    assert malformed.why
    answer = pdu.refusal(malformed.command_id, malformed.sequence, malformed.status)
    if malformed.is_response:
        assert answer is None
    if answer is not None:
        assert pdu.decode(pdu.encode(answer)) == answer
        assert (answer.sequence, answer.status) == (malformed.sequence, malformed.status)


def check_session(random: Random, pdus: int) -> int:
    """A bound session lives through a stream of damaged PDUs; how many of its answers were read.

    Nothing raises, every submit ends exactly once, every answer is a PDU.
    """
    session = Session(LIMITS, "text")
    session.bind(Bind(0, "toneline"), 0.0)
    session.receive_data(pdu.encode(BindResp(1, 0, "SMSC")), 0.0)
    submitted, ends, answers = 0, [], 0
    stream = b"".join(
        damaged(random) if random.random() < 0.7 else _valid(random) for _ in range(pdus)
    )
    at, now = 0, 0.0
    while at < len(stream) and session.state is State.BOUND:
        for _ in range(min(session.free, random.randrange(3))):
            session.submit(MESSAGE, now)
            submitted += 1
        piece = random.choice((1, 15, 16, 100, 1500))
        events = session.receive_data(stream[at : at + piece], now)
        at, now = at + piece, now + random.random()
        ends += [*events, *session.expire(now)]
        answers += _answers(session)
    ends += session.connection_lost()
    ended = [e for e in ends if isinstance(e, Submitted | SubmitFailed | ResponseLost)]
    assert len(ended) == submitted, f"{submitted} submitted, {len(ended)} ends"
    return answers


def _valid(random: Random) -> bytes:
    return random.choice(CORPUS)


def _answers(session: Session) -> int:
    found, rest, broken = pdu.cut(session.data_to_send())
    assert (rest, broken) == (b"", None)
    for octets in found:
        pdu.decode(octets)
    return len(found)
