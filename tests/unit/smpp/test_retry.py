from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordering.claims import Claim
from ordering.outbox import CLASSES, Message
from ordering.outcomes import Outcome, Part
from smpp.commands import Status
from smpp.messages import PartResult, SubmitResult
from smpp.mt import ON_LOST
from smpp.retry import PACES, Pace, kind_of, outcome_of
from tests.fakes.messages import NOON, a_message, an_offer

LOST = PartResult(1, "lost")
NOT_SENT = PartResult(1, "not_sent")


def accepted(number: int = 1) -> PartResult:
    return PartResult(number, "accepted", message_id=f"id{number}")


def refused(status: int, number: int = 1, why: str = "") -> PartResult:
    return PartResult(number, "refused", status=status, why=why)


def outcome(
    *parts: PartResult,
    message: Message | None = None,
    smsc: str = "smsc",
    late: tuple[Part, ...] = (),
    **claim: Any,
) -> Outcome:
    made = Claim(message or a_message(), "host/1", 1, **{"attempts": 0, **claim})
    return outcome_of(made, SubmitResult(parts, smsc), ON_LOST, NOON, late)


LATE = Part(1, "before", "a7")


@pytest.mark.parametrize(("part", "smsc"), [(NOT_SENT, ""), (PartResult(1, "lost"), "smsc")])
def test_a_part_that_an_earlier_smsc_has_after_all_is_that_ones(
    part: PartResult, smsc: str
) -> None:
    told = outcome(part, smsc=smsc, late=(LATE,))
    assert (told.word, told.parts) == ("sent", (LATE,))


def test_the_other_parts_go_to_the_smsc_that_has_one_after_all() -> None:
    told = outcome(NOT_SENT, PartResult(2, "not_sent"), smsc="", late=(LATE,))
    assert (told.word, told.parts) == ("later", (LATE,))


def test_a_part_that_two_smscs_have_is_the_newer_ones() -> None:
    told = outcome(accepted(), late=(LATE,))
    assert told.parts == (Part(1, "smsc", "id1"),)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (Status.RTHROTTLED, "throttle"),
        (Status.RMSGQFUL, "throttle"),
        (Status.RSYSERR, "temporary"),
        (Status.RSUBMITFAIL, "temporary"),
        (Status.RX_T_APPN, "temporary"),
        (Status.RINVDSTADR, "permanent"),
        (Status.RX_P_APPN, "permanent"),
        (Status.RINVMSGLEN, "permanent"),
        (0x400, "temporary"),
        (0x4FF, "temporary"),
        (0x500, "permanent"),
        (0x0B0B, "permanent"),
    ],
)
def test_a_status_says_what_kind_of_refusal_it_is(status: int, kind: str) -> None:
    assert kind_of(refused(status)) == kind


def test_what_cannot_be_written_as_a_pdu_is_permanent() -> None:
    assert kind_of(refused(Status.ROK, why="the text is too long")) == "permanent"


def test_a_message_whose_parts_are_all_accepted_is_sent() -> None:
    sent = outcome(accepted(1), accepted(2))
    assert (sent.word, sent.of, sent.attempts) == ("sent", 2, 1)
    assert sent.parts == (Part(1, "smsc", "id1"), Part(2, "smsc", "id2"))


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (refused(Status.RINVDSTADR), "RINVDSTADR"),
        (refused(Status.RINVDSTADR, why="no such number"), "no such number"),
        (refused(0x1234), "0x00001234"),
    ],
)
def test_a_permanent_refusal_is_the_end(part: PartResult, reason: str) -> None:
    failed = outcome(part)
    assert (failed.word, failed.reason, failed.in_doubt) == ("failed", reason, False)


@pytest.mark.parametrize(
    ("part", "reason", "attempts", "pause_s"),
    [
        (refused(Status.RSYSERR), "RSYSERR", 1, 10),
        (refused(Status.RTHROTTLED), "RTHROTTLED", 0, 2),
        (NOT_SENT, "not_sent", 0, 2),
        (LOST, "response_lost", 1, 5),
    ],
)
def test_other_failures_are_tried_again_after_a_pause(
    part: PartResult, reason: str, attempts: int, pause_s: int
) -> None:
    later = outcome(part)
    assert (later.word, later.reason, later.attempts) == ("later", reason, attempts)
    assert later.again_at == NOON + timedelta(seconds=pause_s)


def test_the_pause_grows_with_the_attempts_up_to_its_limit() -> None:
    pace = Pace(10, 60)
    assert [pace.delay(n).total_seconds() for n in (0, 1, 2, 3, 4, 99)] == [10, 10, 20, 40, 60, 60]


@pytest.mark.parametrize("kind", ["temporary", "lost"])
def test_attempts_have_a_limit(kind: Any) -> None:
    part = LOST if kind == "lost" else refused(Status.RSYSERR)
    most = PACES[kind].most
    assert most is not None
    last = outcome(part, attempts=most - 1)
    assert (last.word, last.attempts, last.in_doubt) == ("failed", most, kind == "lost")
    assert outcome(part, attempts=most - 2).word == "later"


@pytest.mark.parametrize("part", [NOT_SENT, refused(Status.RMSGQFUL)])
def test_waiting_for_room_has_no_limit_but_the_message_s_time(part: PartResult) -> None:
    soon = a_message(expires_at=NOON + timedelta(seconds=1))
    assert outcome(part, attempts=99, message=soon).word == "later"


def test_what_would_be_expired_at_its_next_attempt_fails_now_with_the_reason() -> None:
    soon = a_message(expires_at=NOON + timedelta(seconds=10))
    failed = outcome(refused(Status.RSYSERR), message=soon)
    assert (failed.word, failed.reason) == ("failed", "RSYSERR")


def test_an_offer_whose_response_was_lost_is_given_up() -> None:
    failed = outcome(LOST, message=an_offer())
    assert (failed.word, failed.reason, failed.in_doubt) == ("failed", "response_lost", True)


def test_an_offer_that_surely_did_not_leave_is_tried_again() -> None:
    assert outcome(NOT_SENT, message=an_offer()).word == "later"
    half = outcome(accepted(1), PartResult(2, "not_sent"), message=an_offer())
    assert (half.word, half.of, [part.part for part in half.parts]) == ("later", 2, [1])


def test_a_class_s_choice_is_its_smsc_s() -> None:
    claim = Claim(an_offer(), "host/1", 1, 0)
    resent = outcome_of(claim, SubmitResult((LOST,), "s"), {**ON_LOST, "offer": "resend"}, NOON)
    assert resent.word == "later"


def test_one_permanent_refusal_outweighs_the_other_parts_fates() -> None:
    parts = (PartResult(1, "lost"), refused(Status.RSYSERR, 2), refused(Status.RINVDSTADR, 3))
    failed = outcome(*parts)
    assert (failed.word, failed.reason, failed.in_doubt) == ("failed", "RINVDSTADR", True)


def test_how_many_parts_there_are_is_told_only_by_who_cut_it() -> None:
    assert outcome(NOT_SENT, smsc="").of is None
    assert outcome(refused(Status.RSYSERR, 2), smsc="smsc", left=(2,)).of is None
    assert outcome(refused(Status.RSYSERR)).of == 1


parts = st.builds(
    PartResult,
    st.just(1),
    st.sampled_from(["accepted", "refused", "lost", "not_sent"]),
    st.text("0123456789abcdef", min_size=1, max_size=5),
    st.integers(0, 0x500),
)


@given(st.lists(parts, min_size=1, max_size=4), st.sampled_from(CLASSES), st.integers(0, 9))
def test_every_result_has_one_outcome_and_keeps_what_was_accepted(
    results: list[PartResult], message_class: Any, attempts: int
) -> None:
    numbered = [PartResult(n, r.outcome, r.message_id, r.status) for n, r in enumerate(results, 1)]
    message = a_message(message_class=message_class)
    told = outcome(*numbered, message=message, attempts=attempts)
    taken = [part.number for part in numbered if part.outcome == "accepted"]
    assert [part.part for part in told.parts] == taken
    assert (told.word == "sent") == (len(taken) == len(numbered))
    assert (told.again_at is not None) == (told.word == "later")
    assert told.attempts - attempts in (0, 1)
    lost = any(part.outcome == "lost" for part in numbered)
    if lost and message_class == "offer":
        assert told.word == "failed"
        assert told.in_doubt
