"""The SMS that a call may send: a code, asked for or to be ordered later, and the hang-up SMS."""

from __future__ import annotations

from datetime import datetime, timedelta

from twisted.internet.defer import Deferred

from catalog.tones import Tone
from ivr.call import Call
from ordering import outbox
from ordering.contact import HANGUP_SMS, Offer

ANSWER_LIFE = timedelta(hours=6)
HANGUP_SMS_LIFE = timedelta(minutes=15)
HEARD_ENOUGH_MS = 5000
STORE_PATIENCE_S = 2.0  # longer than `store.kept` waits before it keeps what was asked


async def code_by_sms(call: Call, tone: Tone) -> str:
    """Send the caller a tone's code, once a call; return the sentence that tells him."""
    if call.is_rehearsal:
        return "rehearsal_no_order"
    if call.caller.msisdn is None:
        return "code_not_sent"
    if tone.code not in call.codes_sent:
        now = call.line.clock()
        message = _message(
            call, tone, call.caller.msisdn, "answer", "code_by_sms", now, ANSWER_LIFE
        )
        sending = call.pending(_put(call, message), "code_not_sent")
        if not await sending.within(STORE_PATIENCE_S) or sending.error is not None:
            return "code_not_sent"  # it may come all the same
        call.codes_sent.add(tone.code)
    return "code_sent"


def song_later(call: Call, tone: Tone, msisdn: str) -> None:
    """Text a caller whose ring-back function is being opened how to order the tone then."""
    now = call.line.clock()
    message = _message(call, tone, msisdn, "answer", "song_later", now, ANSWER_LIFE)
    call.pending(_put(call, message), "song_later_not_sent")


def _put(call: Call, message: outbox.Message) -> Deferred[str | None]:
    """Put a message in, now or as soon as the store can take it: the caller is told it comes."""
    return Deferred.fromCoroutine(call.line.kept.surely(outbox.put, message))


def hangup_sms(call: Call, ended_at: datetime) -> Offer | None:
    """Return the hang-up SMS for the tone heard longest, with the call's own objection to it."""
    heard = call.record.heard_longest()
    if call.caller.msisdn is None or heard is None or heard[1] < HEARD_ENOUGH_MS:
        return no_hangup_sms(call)
    due_at = ended_at + timedelta(seconds=call.line.policy.hangup_sms_delay_s)
    message = _message(
        call, heard[0], call.caller.msisdn, "offer", HANGUP_SMS, due_at, HANGUP_SMS_LIFE
    )
    return Offer(message, objection(call) or _no_use(call, heard[0]))


def _no_use(call: Call, tone: Tone) -> str | None:
    return None if call.is_for_him(tone) else "not_eligible"


def no_hangup_sms(call: Call) -> Offer | None:
    """Return the call's objection alone, which an earlier call's SMS falls to as well."""
    reason = objection(call)
    return None if reason is None else Offer(None, reason)


def objection(call: Call) -> str | None:
    """Return why this call's caller must get no hang-up SMS, also none of an earlier call."""
    if call.undecided:
        return "being_ordered"
    if call.has_ordered:
        return "ordered"
    if call.order_failed:
        return "order_failed"
    if call.refuses_offers:
        return "refused"
    if call.gave_up:
        return "gave_up"
    return "code_sent" if call.codes_sent else None


def _message(
    call: Call,
    tone: Tone,
    msisdn: str,
    message_class: outbox.MessageClass,
    purpose: str,
    due_at: datetime,
    life: timedelta,
) -> outbox.Message:
    return outbox.Message(
        mt_id=call.line.new_id(),
        msisdn=msisdn,
        sender=call.line.sms.sender(message_class),
        text=call.line.texts.fill(purpose, **call.tone_words(tone, call.pays_fen(tone))),
        message_class=message_class,
        purpose=purpose,
        due_at=due_at,
        expires_at=due_at + life,
        tone_code=tone.code,
        call_id=call.call_id,
    )
