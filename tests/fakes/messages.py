"""MTs and calls to test the outbox with."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ordering.contact import ContactPolicy
from ordering.outbox import Message
from ordering.records import CallEnded

MSISDN = "8613905250001"
LOCAL_NOON = datetime(2026, 11, 23, 12, 0, tzinfo=ZoneInfo("Asia/Shanghai"))
NOON = LOCAL_NOON.astimezone(UTC)
POLICY = ContactPolicy((time(8), time(22)), (time(8), time(21)), 7, 15, "Asia/Shanghai")


def a_message(mt_id: str = "m1", **changes: Any) -> Message:
    message = Message(
        mt_id=mt_id,
        msisdn=MSISDN,
        sender="12530019",
        text="您好",
        message_class="answer",
        purpose="help",
        due_at=NOON,
        expires_at=NOON + timedelta(hours=6),
    )
    return replace(message, **changes)


def an_offer(mt_id: str = "o1", **changes: Any) -> Message:
    offer = a_message(
        mt_id,
        message_class="offer",
        purpose="hangup_sms",
        tone_code="1029",
        call_id="call",
        expires_at=NOON + timedelta(minutes=15),
    )
    return replace(offer, **changes)


def a_call(call_id: str = "call", **changes: Any) -> CallEnded:
    call = CallEnded(
        call_id=call_id,
        msisdn=MSISDN,
        dialled="125300191029",
        branch="yangzhou",
        started_at=NOON - timedelta(minutes=3),
        answered_at=NOON - timedelta(minutes=3),
        ended_at=NOON - timedelta(minutes=1),
        outcome="hung_up",
        events="[]",
        previews=(),
    )
    return replace(call, **changes)
