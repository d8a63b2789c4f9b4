"""MO text -> intent (a total, pure function) -> answer, in one transaction, then deliver_sm_resp"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Protocol

import structlog
from twisted.internet.defer import Deferred

from catalog.snapshot import Snapshot
from catalog.tones import Tone
from catalog.values import FUNCTION_CODE, NotAMobile, mask, parse_msisdn
from ordering.claims import Claim
from ordering.provisioning import NoQuote, Operator, Quote
from ordering.texts import Texts
from smpp import answers, grammar, parts
from smpp.answers import Answered, TermsUnknown, ToLookUp
from smpp.commands import Status
from smpp.grammar import CANCELLING, Intent
from smpp.lately import Lately
from smpp.messages import MoMessage, Response
from smpp.parts import MoPart, WholeMo
from smpp.text import Part
from smpp.turn import Incoming, LookedUp, Rules, Terms
from store.database import Database

log = structlog.get_logger()

SETTLED = timedelta(seconds=1)
"""A connection that lives on for so long after a response was written has carried it."""
_WANTS_TONE = ("ask", "confirm", "tone", "listen")
_WANTS_QUOTE = ("ask", "confirm", "function")
_SURE_WITHOUT_ALL_PARTS = CANCELLING | {"how_to_cancel", "help"}
"""What a message means whose other part never came: that part may have said no to all else."""
_LONGEST_MESSAGE_ID = 64


@dataclass(frozen=True, slots=True)
class _Stored:
    """An MO that is stored, and its response, which was written at about that time or never."""

    mo_id: str
    response: Response
    at: datetime


class Sender(Protocol):
    """What is needed of an `MtService`."""

    def reserve(self) -> str:
        """Keep a place in the window for an answer; return who claims it, empty: no place."""

    def send_reserved(self, claimant: str, claim: Claim | None) -> None:
        """Send what was claimed for the place, or give the place back."""


class NoSender:
    """Leaves every answer to whoever claims it from the outbox."""

    def reserve(self) -> str:
        """There is no place."""
        return ""

    def send_reserved(self, claimant: str, claim: Claim | None) -> None:
        """Nothing was reserved."""


@dataclass(slots=True)
class MoService:
    """Answers what subscribers text: `receive` is given to every EsmeService as its `on_mo`."""

    database: Database
    operator: Operator
    snapshot: Callable[[], Snapshot]
    texts: Texts
    rules: Rules
    short_codes: Sequence[str]
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    sender: Sender = NoSender()
    _terms: Terms = field(init=False, repr=False)
    # The latest of each number that the store does not know to be responded to.
    _latest: dict[str, _Stored] = field(init=False, repr=False, default_factory=dict)
    _lately: Lately = field(init=False, repr=False, default_factory=Lately)

    def __post_init__(self) -> None:
        """Put together what the store is told once."""
        self._terms = Terms.of(self.rules, self.texts, self.operator.local)

    async def receive(self, message: MoMessage) -> int:
        """Answer an MO; return the status for its deliver_sm_resp, after the commit.

        A part of a longer one is stored, and answered with the others when it is the last to come.

        Raises:
            StoreError: it could not be stored; the SMSC is to send it again.
        """
        whole = await self._whole(message)
        if whole is None:
            return Status.ROK
        incoming = self._incoming(whole, message.received_at, message.message_id)
        answered = await self._answer(incoming)
        self._latest[incoming.msisdn] = _Stored(answered.mo_id, message.response, self.now())
        return Status.ROK

    async def answer_overdue(self) -> None:
        """Answer the messages of which a part never came.

        Raises:
            StoreError: they wait until the next time.
        """
        for whole in await self.database.run(parts.overdue, self.now()):
            await self._answer(self._incoming(whole, self.now(), None))

    async def note_responses(self, settled: timedelta = SETTLED) -> None:
        """Tell the store which responses left, among those that were written `settled` ago.

        Raises:
            StoreError: it is told the next time.
        """
        before = self.now() - settled
        old = {who: stored for who, stored in self._latest.items() if stored.at <= before}
        left = [stored.mo_id for stored in old.values() if stored.response.left]
        if left:
            await self.database.run(answers.responded, left)
        for who, stored in old.items():
            if self._latest.get(who) is stored:
                del self._latest[who]

    async def _whole(self, message: MoMessage) -> WholeMo | None:
        """Return the message, its parts joined; None while some are missing."""
        msisdn, destination = _number(message.source), self._short_code(message.destination)
        mo_id = self.new_id()
        if message.part is None:
            return WholeMo(mo_id, message.smsc, msisdn, destination, message.text, message.raw)
        part = _part(mo_id, msisdn, destination, message, message.part)
        whole = await self.database.run(parts.keep, part, self.now())
        if whole is None:
            place = f"{part.number}/{part.total}"
            log.info("mo_part", smsc=message.smsc, msisdn=mask(msisdn), part=place)
        return whole

    def _incoming(self, whole: WholeMo, at: datetime, message_id: str | None) -> Incoming:
        return Incoming(
            mo_id=whole.mo_id,
            mt_id=self.new_id(),
            order_id=self.new_id(),
            smsc=whole.smsc,
            msisdn=whole.msisdn,
            destination=whole.destination,
            text=_storable(whole.text),
            received_at=at,
            digest=sha256(whole.octets).hexdigest()[:32],
            message_id=_storable_id(message_id),
            silent=self._silent(whole),
            in_parts=whole.in_parts,
            missing=whole.missing,
        )

    def _silent(self, whole: WholeMo) -> str | None:
        """Return why a message must have no answer, whatever it says."""
        try:
            parse_msisdn(whole.msisdn)
        except NotAMobile:
            return "no_mobile"
        signature = self.texts.signature
        # What we wrote comes back: a machine forwards it, and would forward the answer too.
        return "echo" if signature and signature in whole.text else None

    def _short_code(self, destination: str) -> str:
        """Return our short code as we write it, whatever prefix the SMSC gave it."""
        ours = (code for code in self.short_codes if destination.endswith(code))
        return next(ours, self.short_codes[0])

    async def _answer(self, incoming: Incoming) -> Answered:
        intent = grammar.parse(incoming.text)
        if incoming.missing and intent.kind not in _SURE_WITHOUT_ALL_PARTS:
            intent = Intent("help")
        answered = await self._stored(incoming, intent)
        log.info(
            "mo",
            mo_id=incoming.mo_id,
            smsc=incoming.smsc,
            msisdn=mask(incoming.msisdn),
            intent=intent.kind,
            codes=intent.codes,
            outcome=answered.outcome,
            repeated=answered.repeated,
            missing_parts=incoming.missing,
        )
        if answered.flood:
            log.warning("mo_flood", msisdn=mask(incoming.msisdn), mo_id=incoming.mo_id)
        return answered

    async def _stored(self, incoming: Incoming, intent: Intent) -> Answered:
        known = await self._known(incoming, intent)
        claimant, claim = self.sender.reserve(), None
        try:
            while True:
                answered = await self._tried(incoming, intent, known, claimant)
                if isinstance(answered, Answered):
                    claim = answered.claim
                    return answered
                if isinstance(answered, TermsUnknown):
                    await self.database.run(answers.learn, self._terms)
                elif answered.code:
                    known = await self._look_up_code(incoming.msisdn, intent, answered.code)
                else:
                    known = await self._look_up(incoming.msisdn, intent)
        finally:
            self.sender.send_reserved(claimant, claim)

    def _tried(
        self, incoming: Incoming, intent: Intent, known: LookedUp | None, claimant: str
    ) -> Deferred[Answered | TermsUnknown | ToLookUp]:
        earlier = self._latest.get(incoming.msisdn)
        left = earlier.mo_id if earlier is not None and earlier.response.left else None
        values = (incoming, intent, known, self._terms.key, left, claimant, self.now())
        return self.database.run(answers.answer, *values)

    async def _known(self, incoming: Incoming, intent: Intent) -> LookedUp | None:
        """Return what an answer may need; None: perhaps there is to be none, the store knows."""
        if incoming.silent:
            return LookedUp()
        if self._lately.are_many(incoming.msisdn, self.now()):
            return None
        return await self._look_up(incoming.msisdn, intent)

    async def _look_up(self, msisdn: str, intent: Intent) -> LookedUp:
        snapshot = self.snapshot()
        if intent.kind == "search":
            return LookedUp(found=snapshot.find(intent.words, self.now()))
        if intent.kind in ("branch_songs", "province_songs"):
            branch = snapshot.branch_of(msisdn) if intent.kind == "branch_songs" else None
            songs = snapshot.directory(branch or snapshot.province, self.now())
            return LookedUp(found=songs.tones, owner=songs.owner)
        if intent.kind == "function":
            return await self._look_up_code(msisdn, intent, FUNCTION_CODE)
        if intent.kind not in _WANTS_TONE or not intent.codes:
            return LookedUp()
        return await self._look_up_code(msisdn, intent, intent.codes[0])

    async def _look_up_code(self, msisdn: str, intent: Intent, code: str) -> LookedUp:
        """Return what there is to know of a tone, or of the ring-back function."""
        if code == FUNCTION_CODE:
            return LookedUp(quote=await self._quote(msisdn, intent, None), code=code)
        snapshot = self.snapshot()
        tone = snapshot.tone(code)
        if tone is None:
            return LookedUp(nearest=snapshot.nearest(code, self.now()), code=code)
        return LookedUp(tone, await self._quote(msisdn, intent, tone), code=code)

    async def _quote(self, msisdn: str, intent: Intent, tone: Tone | None) -> Quote | None:
        """Return the quote of a tone, or of the ring-back function, if the operator must be asked.

        What is made of our own database is made where the answer is, in its transaction.
        """
        if intent.kind not in _WANTS_QUOTE or self.operator.local is not None:
            return None
        try:
            if tone is None:
                return await self.operator.quote_function(msisdn)
            return await self.operator.quote(msisdn, tone)
        except NoQuote as error:
            about = FUNCTION_CODE if tone is None else tone.code
            log.warning("no_quote", msisdn=mask(msisdn), codes=(about,), error=str(error))
            return None


def _number(source: str) -> str:
    """Return the subscriber, or as much of another source as is recorded."""
    try:
        return parse_msisdn(source)
    except NotAMobile:
        return source[:13]


def _part(mo_id: str, msisdn: str, destination: str, message: MoMessage, place: Part) -> MoPart:
    return MoPart(
        mo_id=mo_id,
        smsc=message.smsc,
        msisdn=msisdn,
        destination=destination,
        reference=place.reference,
        total=place.total,
        number=place.number,
        data_coding=message.data_coding,
        octets=message.raw,
        alphabet=message.alphabet,
    )


def _storable(text: str) -> str:
    """Return the text without what no database keeps: NUL and half a surrogate pair."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\x00", "\ufffd")


def _storable_id(message_id: str | None) -> str | None:
    if message_id is None or len(message_id) <= _LONGEST_MESSAGE_ID:
        return message_id
    return sha256(message_id.encode()).hexdigest()
