"""MO text -> intent (a total, pure function) -> answer, in one transaction, then deliver_sm_resp"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from catalog.snapshot import Snapshot
from catalog.values import NotAMobile, mask, parse_msisdn
from ordering.provisioning import NoQuote, Operator, Quote
from ordering.texts import Texts
from smpp import answers, grammar
from smpp.commands import Status
from smpp.grammar import Intent
from smpp.messages import MoMessage
from smpp.turn import Incoming, LookedUp, Rules
from store.database import Database

log = structlog.get_logger()

_WANTS_TONE = ("ask", "confirm", "tone")
_WANTS_QUOTE = ("ask", "confirm")


@dataclass(frozen=True, slots=True)
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

    async def receive(self, message: MoMessage) -> int:
        """Answer an MO; return the status for its deliver_sm_resp, after the commit.

        Raises:
            StoreError: it could not be stored; the SMSC is to send it again.
        """
        incoming = self._incoming(message)
        intent = grammar.parse(message.text)
        known = LookedUp() if incoming.silent else await self._look_up(incoming.msisdn, intent)
        answered = await self.database.run(
            answers.answer, incoming, intent, known, self.rules, self.texts, self.now()
        )
        log.info(
            "mo",
            mo_id=incoming.mo_id,
            smsc=message.smsc,
            msisdn=mask(incoming.msisdn),
            intent=intent.kind,
            codes=intent.codes,
            outcome=answered.outcome,
            repeated=answered.repeated,
            missing_parts=message.missing,
        )
        if answered.flood:
            log.warning("mo_flood", msisdn=mask(incoming.msisdn), mo_id=incoming.mo_id)
        return Status.ROK

    def _incoming(self, message: MoMessage) -> Incoming:
        silent = None
        try:
            msisdn: str = parse_msisdn(message.source)
        except NotAMobile:
            msisdn, silent = message.source[:13], "no_mobile"
        return Incoming(
            mo_id=self._mo_id(message),
            mt_id=self.new_id(),
            order_id=self.new_id(),
            smsc=message.smsc,
            msisdn=msisdn,
            destination=self._short_code(message.destination),
            text=_storable(message.text),
            received_at=message.received_at,
            silent=silent,
        )

    def _mo_id(self, message: MoMessage) -> str:
        """Return an id that a repeated deliver_sm has again, if the SMSC's own id tells."""
        if message.message_id is None:
            return self.new_id()
        of = (message.smsc, message.source, message.destination, message.message_id)
        return hashlib.sha256("\0".join(of).encode() + message.raw).hexdigest()[:32]

    def _short_code(self, destination: str) -> str:
        """Return our short code as we write it, whatever prefix the SMSC gave it."""
        ours = (code for code in self.short_codes if destination.endswith(code))
        return next(ours, self.short_codes[0])

    async def _look_up(self, msisdn: str, intent: Intent) -> LookedUp:
        snapshot = self.snapshot()
        if intent.kind == "search":
            return LookedUp(found=snapshot.find(intent.words))
        if intent.kind not in _WANTS_TONE or not intent.codes:
            return LookedUp()
        tone = snapshot.tone(intent.codes[0])
        if tone is None:
            return LookedUp(nearest=snapshot.nearest(intent.codes[0]))
        quote: Quote | None = None
        if intent.kind in _WANTS_QUOTE:
            try:
                quote = await self.operator.quote(msisdn, tone)
            except NoQuote as error:
                log.warning("no_quote", msisdn=mask(msisdn), code=tone.code, error=str(error))
        return LookedUp(tone, quote)


def _storable(text: str) -> str:
    """Return the text without what no database keeps: NUL and half a surrogate pair."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\x00", "\ufffd")
