"""One call: who calls, what he has heard and asked for, and what the line works with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from twisted.internet.defer import Deferred

from catalog.snapshot import Snapshot
from catalog.tones import Tone
from catalog.values import FUNCTION_CODE, mask
from config.settings import Line as LineSettings
from config.settings import Policy, Sms
from ivr.call_record import CallRecord
from ivr.caller import Caller, Dialled, read_caller, read_dialled, read_rehearsal
from ivr.channel import Channel
from ivr.keypad import Keypad, Press
from ivr.patience import Pending
from ivr.prompts import CannotSay, PromptBook
from ivr.service import Clock
from ordering.provisioning import NoQuote, Operator, Quote
from ordering.texts import Texts
from store.database import Database
from store.kept import Keeper

T = TypeVar("T")

SILENCE_MS = 3000  # so long the line waits for an answer before it says it once more
UNNOTICED_S = 0.3  # so long nobody needs to be told to wait
QUOTE_PATIENCE_S = 10.0  # the operator's side has its own, shorter limit


class Log(Protocol):
    """What a structlog logger does."""

    def info(self, event: str, **values: object) -> object:
        """Log what is normal."""

    def warning(self, event: str, **values: object) -> object:
        """Log what somebody should look at."""

    def error(self, event: str, **values: object) -> object:
        """Log what somebody must look at."""

    def exception(self, event: str, **values: object) -> object:
        """Log the exception being handled, with its traceback."""


@dataclass(frozen=True, slots=True)
class Line:
    """What every call works with.

    `sounds` is the sounds folder as Asterisk sees it; `fingerprint` gives the SHA-256 of a sound's
    file by its stem, `length_ms` how long it is, `clock` aware instants, `new_id` 32 hex digits.
    `kept` takes what must not be lost, `staff` are the numbers that may rehearse.
    """

    settings: LineSettings
    policy: Policy
    sms: Sms
    prompts: PromptBook
    sounds: str
    snapshot: Callable[[], Snapshot]
    operator: Operator
    database: Database
    kept: Keeper
    texts: Texts
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    reactor: Clock
    fingerprint: Callable[[str], str]
    length_ms: Callable[[str], int | None]
    log: Log
    staff: frozenset[str] = frozenset()


@dataclass(slots=True)
class Call:
    """One call's state. Places change it and nobody else sees it."""

    line: Line
    channel: Channel
    call_id: str
    caller: Caller
    dialled: Dialled
    branch: str | None
    snapshot: Snapshot
    record: CallRecord
    ear: Keypad
    placed: dict[str, str] = field(default_factory=dict)  # tone code -> what is said of its order
    undecided: set[str] = field(default_factory=set)  # of those, what the store has not answered
    unheard: Callable[[], None] | None = None  # what is to be done if no sentence tells an outcome
    pressed_meanwhile: Press = None  # while we were at work: it acts when that is told
    has_ordered: bool = False
    order_failed: bool = False
    gave_up: bool = False
    refuses_offers: bool = False
    codes_sent: set[str] = field(default_factory=set)
    hangup_sms_announced: bool = False
    rehearsed_at: datetime | None = None  # the instant whose line is heard; None: this is no game
    pins_wrong: int = 0
    _quotes: dict[str, Pending[Quote | None]] = field(default_factory=dict)
    _known_pays_fen: dict[str, int] = field(default_factory=dict)
    _not_for_him: set[str] = field(default_factory=set)
    _helped: str = ""

    def arrive(self) -> None:
        """The caller has come to another place."""
        self.ear.may_not_begin_code()
        self._helped = ""

    # Now, or then.

    @property
    def heard_at(self) -> datetime:
        """The instant at which the line is heard: the call's beginning, or the rehearsal's."""
        return self.rehearsed_at or self.record.started_at

    @property
    def is_rehearsal(self) -> bool:
        """Whether nothing may come of this call."""
        return self.rehearsed_at is not None

    def rehearse(self, at: datetime) -> None:
        """From now on the line sounds as it will then, and nothing comes of what is pressed."""
        self.rehearsed_at = at
        self.record.note("rehearsal", of=at.isoformat())

    # Words.

    def say(self, sentence: str, **values: object) -> tuple[str, ...]:
        """Return a sentence's sounds; none, with an event, if it cannot be said."""
        try:
            return self.line.prompts.say(sentence, **values)
        except CannotSay as error:
            self.line.log.warning("cannot_say", call_id=self.call_id, reason=str(error))
            return ()

    async def hear(self, sentence: str, **values: object) -> Press:
        """Say a sentence until a key is pressed."""
        return await self.ear.hear(*self.say(sentence, **values))

    async def ask(self, *sounds: str) -> Press:
        """Say what the caller can choose and wait a while for his key."""
        return await self.ear.hear(*sounds) or await self.ear.wait(SILENCE_MS)

    # What has a key of its own everywhere but in lists and codes.

    async def help(self, sentence: str) -> Press:
        """Help the caller; who asks again in the same place is put through to an agent."""
        if self._helped != sentence:
            self._helped = sentence
            press = await self.hear(sentence)
            if press != "0":
                return press
        if not self.line.settings.agent_dial:
            return await self.hear("agent_missing")
        press = await self.hear("agent_connecting")
        if press is None:
            await self.channel.execute("Dial", *self.line.settings.agent_dial.split(","))
        return press

    async def refuse_offers(self) -> Press:
        """Note that this caller wants no hang-up SMS, and say so."""
        self.note_refusal()
        return await self.hear("no_offers_noted")

    def note_refusal(self) -> None:
        """Note that this caller wants no hang-up SMS."""
        self.refuses_offers = True
        self.record.note("opt_out", of="hangup_sms")

    @property
    def may_be_offered(self) -> bool:
        """Whether a hang-up SMS would come if the caller hung up now."""
        has_objected = (
            self.has_ordered or self.order_failed or self.refuses_offers or self.is_rehearsal
        )
        return self.caller.msisdn is not None and not has_objected

    def press_meanwhile(self, press: Press) -> None:
        """Keep a key pressed while we are at work; the 1 that began it does not begin it again."""
        if press == "1":
            self.record.ignore_key("we are at it")
        elif press is not None:
            self.pressed_meanwhile = press

    def take_meanwhile(self) -> Press:
        """Return what was pressed while we were at work, once."""
        press, self.pressed_meanwhile = self.pressed_meanwhile, None
        return press

    # The operator's side.

    def soon(self, function: Callable[[Tone], None], tone: Tone) -> None:
        """Do something as soon as the next command is on its way: the caller never waits for it."""
        self.line.reactor.callLater(0, function, tone)

    def begin_quote(self, tone: Tone) -> None:
        """Ask what the caller pays for a tone, so that it is known when he wants it."""
        if self.caller.msisdn is not None and not self.is_rehearsal:
            asking = self.line.operator.quote(self.caller.msisdn, tone)
            noting = Deferred.fromCoroutine(self._noted(tone.code, asking))
            self._quotes[tone.code] = self.pending(noting, "quote_failed")

    async def quote(self, tone: Tone) -> Quote | None:
        """Return the quote of a tone for this caller; None: there is none in time."""
        if tone.code not in self._quotes:
            self.begin_quote(tone)
        return await self._in_time(self._quotes.pop(tone.code))

    def is_for_him(self, tone: Tone) -> bool:
        """Whether he may order a tone, as far as it is known."""
        return tone.code not in self._not_for_him

    async def quote_function(self) -> Quote | None:
        """Return the quote of the ring-back function itself; None: there is none in time."""
        if self.caller.msisdn is None:
            return None
        asking = self.line.operator.quote_function(self.caller.msisdn)
        noting = Deferred.fromCoroutine(self._noted(FUNCTION_CODE, asking))
        return await self._in_time(self.pending(noting, "quote_failed"))

    async def _in_time(self, pending: Pending[Quote | None]) -> Quote | None:
        if not await pending.within(UNNOTICED_S):
            self.press_meanwhile(await self.hear("ordering_wait"))
            await pending.within(QUOTE_PATIENCE_S)
        return pending.result

    async def _noted(self, code: str, asking: Awaitable[Quote]) -> Quote | None:
        try:
            quote = await asking
        except NoQuote as error:
            self.record.note("quote", tone_code=code, missing=str(error))
            return None
        self._known_pays_fen[code] = quote.pays_fen
        if not quote.eligible and quote.reason != "function_closed":  # that he can open
            self._not_for_him.add(code)
        self.record.note(
            "quote",
            tone_code=code,
            eligible=quote.eligible,
            reason=quote.reason,
            tier=quote.tier,
            pays_fen=quote.pays_fen,
        )
        return quote

    def pending(self, work: Deferred[T], failure_event: str) -> Pending[T]:
        """Let work go on whatever becomes of the call; its failure is an event of the log."""

        def failed(error: Exception) -> None:
            self.line.log.error(failure_event, call_id=self.call_id, reason=str(error))

        return Pending(work, self.line.reactor, failed)

    # For logs and messages.

    @property
    def masked(self) -> str:
        """The caller's number as logs may show it."""
        return mask(self.caller.msisdn or "")

    def tone_words(self, tone: Tone, pays_fen: int) -> Mapping[str, str]:
        """Return the values that an SMS about a tone may hold."""
        until = tone.licence_until
        return {
            "title": tone.title,
            "artist": tone.artist,
            "code": tone.code,
            "pays": self.line.texts.money(pays_fen),
            "until": self.line.texts.word("forever") if until is None else until.isoformat(),
            "undo_min": str(self.line.policy.undo_min),
            "line": self.line.settings.access_numbers[0],
        }

    def function_words(self, pays_fen: int) -> Mapping[str, str]:
        """Return the values that an SMS about the ring-back function may hold."""
        return {
            "title": self.line.texts.word("function_name"),
            "code": FUNCTION_CODE,
            "pays": self.line.texts.money(pays_fen),
            "undo_min": str(self.line.policy.undo_min),
            "line": self.line.settings.access_numbers[0],
        }

    def pays_fen(self, tone: Tone) -> int:
        """Return what the caller would pay as far as it is known, else the list price."""
        return self._known_pays_fen.get(tone.code, tone.prices.visitor)


def begin(line: Line, channel: Channel, first_sound: Callable[[Call], None]) -> Call:
    """Return the call of a channel: everything it needs for its whole life is looked up here."""
    caller = read_caller(channel.environment)
    dialled = read_dialled(
        channel.environment.get("agi_extension", ""), line.settings.access_numbers
    )
    rehearsed_at = read_rehearsal(channel.environment)
    snapshot = line.snapshot()
    record = CallRecord(line.clock(), line.reactor.seconds)
    call_id = line.new_id()

    def sound_missing(sound: str) -> None:
        line.log.error("sound_missing", call_id=call_id, sound=sound)

    ear = Keypad(
        channel,
        snapshot,
        record,
        sounds=line.sounds,
        lead_in_ms=line.settings.lead_in_ms,
        early_media_max_s=line.settings.early_media_max_s,
        length_ms=line.length_ms,
        first_sound=lambda: first_sound(call),
        sound_missing=sound_missing,
    )
    branch = snapshot.branch_of(caller.msisdn, dialled.area_code)
    call = Call(line, channel, call_id, caller, dialled, branch, snapshot, record, ear)
    if rehearsed_at is not None:
        call.rehearse(rehearsed_at)
    return call
