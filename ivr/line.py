"""The call itself: greet, directory, preview, order, goodbye.

Plain coroutines, nothing else decides. A call walks from place to place (`ivr.place`); hang-up
anywhere is CallerHungUp, which the walk never tests for. Whatever ends a call, its record and what
it is owed are written afterwards.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Literal

from twisted.internet.defer import CancelledError, Deferred

from ivr.agi import LocalProtocolError
from ivr.call import Call, Line, begin
from ivr.channel import CallerHungUp, CallTooLong, Channel, CommandRefused, SoundMissing
from ivr.codes import code_place
from ivr.menu import Menu
from ivr.messages import hangup_sms, no_hangup_sms
from ivr.place import Place, Way
from ivr.rehearsal import Announcement
from ordering import contact, records

__all__ = ["Line", "refuse_call", "take_call"]

RECORD_PATIENCE_S = 3.0  # afterwards the call's record is written without the call


async def take_call(line: Line, channel: Channel) -> None:
    """Serve one call from its first sound to its record.

    Raises CallerHungUp when it ended so, or whatever went wrong; the record is written first.
    """
    call = begin(line, channel, _note_start)
    outcome = "failed"
    try:
        await _open(call)
        await _walk(call, _first_place(call))
        outcome = "goodbye"
        await channel.hang_up()
    except CallerHungUp:
        outcome = "hung_up"
        raise
    except CallTooLong:
        outcome = "too_long"
        await _part(call, "call_too_long", "goodbye")
    except CancelledError:
        outcome = "cut"
        raise
    except Exception:
        await _apologise(call)
        raise
    finally:
        await _note_end(call, outcome)


async def refuse_call(line: Line, channel: Channel, why: Literal["busy", "closing"]) -> None:
    """Tell a caller for whom there is no place, without answering, and hang up."""
    await channel.progress()
    for sound in line.prompts.say(why):
        with suppress(SoundMissing):
            await channel.play(f"{line.sounds}/{sound}")
    await channel.hang_up()


async def _open(call: Call) -> None:
    """Answer, or open the way for sound before answering; the call costs its caller nothing."""
    if call.line.settings.answer == "immediate":
        await call.ear.answer()
    else:
        await call.channel.progress()
    try:
        await call.channel.set_variable("CDR(userfield)", "free")
    except CommandRefused as error:
        call.line.log.warning("not_marked_free", call_id=call.call_id, reason=str(error))


def _first_place(call: Call) -> Place:
    first = code_place(call, call.dialled.code) if call.dialled.code else Menu("greeting")
    return Announcement(first) if call.is_rehearsal else first


async def _walk(call: Call, leads_to: Place | Way) -> None:
    while leads_to is not Way.OUT:
        call.arrive()
        leads_to = await _at(leads_to).visit(call)


def _at(leads_to: Place | Way) -> Place:
    if isinstance(leads_to, Way):
        return Menu("greeting") if leads_to is Way.START else Menu()
    return leads_to


async def _part(call: Call, *sentences: str) -> None:
    """Say the last words whatever is pressed, and hang up."""
    await call.ear.answer()
    for sentence in sentences:
        for sound in call.say(sentence):
            call.ear.drop_typed()
            await call.ear.play(sound)
    await call.channel.hang_up()


async def _apologise(call: Call) -> None:
    # The error itself is on its way to the log; a caller who is gone needs no apology.
    with suppress(CallerHungUp, CallTooLong, CommandRefused, LocalProtocolError):
        await _part(call, "line_trouble")


# ---------------------------------------------------------------- the record


def _note_start(call: Call) -> None:
    """Write that the call is on the line, once its first sound is on its way; nobody waits."""
    started = records.CallStarted(
        call.call_id,
        call.caller.msisdn,
        call.dialled.text[:40],
        call.branch,
        call.record.started_at,
    )
    call.line.reactor.callLater(0, _write_start, call, started)


def _write_start(call: Call, started: records.CallStarted) -> None:
    call.pending(call.line.database.run(records.call_started, started), "call_not_recorded")


async def _note_end(call: Call, outcome: str) -> None:
    """Write the call and what it is owed, and log its canonical event."""
    line = call.line
    if call.is_rehearsal:
        outcome = "rehearsal"
    ended = records.CallEnded(
        call.call_id,
        call.caller.msisdn,
        call.dialled.text[:40],
        call.branch,
        call.record.started_at,
        call.record.answered_at,
        line.clock(),
        outcome,
        call.record.events(),
        () if call.is_rehearsal else call.record.previews(),
    )
    offer = _owed(call, ended.ended_at)
    storing = line.kept.surely(records.call_ended, ended, offer)
    writing = call.pending(Deferred.fromCoroutine(storing), "call_not_recorded")
    line.log.info(
        "call_ended",
        call_id=call.call_id,
        msisdn=call.masked,
        dialled=call.dialled.text,
        tones=[preview.tone_code for preview in ended.previews],
        ordered=[code for code in call.placed if code not in call.undecided],
        undecided=sorted(call.undecided),
        outcome=outcome,
        seconds=round(call.record.elapsed_ms() / 1000, 1),
    )
    await writing.within(RECORD_PATIENCE_S)


def _owed(call: Call, ended_at: datetime) -> contact.Offer | None:
    """Return the hang-up SMS; an error in composing it must not cost the call its record."""
    if call.is_rehearsal:
        return None
    try:
        return hangup_sms(call, ended_at)
    except Exception as error:  # the edge of a call
        call.line.log.exception("hangup_sms_failed", call_id=call.call_id, reason=repr(error))
        return no_hangup_sms(call)
