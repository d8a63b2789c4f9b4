"""deliver_sm and data_sm -> messages and receipts for the application -> their responses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog
from twisted.internet.defer import Deferred

from config.settings import Smsc
from smpp.bind import BindService
from smpp.commands import DataSm, DeliverSm, Status, tlv
from smpp.connection import EsmeProtocol
from smpp.counters import Counters
from smpp.events import MoReceived, ReceiptReceived
from smpp.messages import MoMessage, Response
from smpp.receipt import Receipt
from smpp.text import content

log = structlog.get_logger()


class IncomingMessages:
    """What one SMSC delivers, over whichever bind, answered when the application has it.

    Messages go on part by part, as they come: each is stored before it is answered.
    """

    def __init__(
        self,
        settings: Smsc,
        on_mo: Callable[[MoMessage], Awaitable[int]],
        on_receipt: Callable[[str, Receipt], Awaitable[int]],
        counters: Counters,
        clock: Callable[[], datetime],
    ) -> None:
        """`on_mo` and `on_receipt` return the status of the response; see `EsmeService`."""
        self.is_stopping = False
        self._settings = settings
        self._on_mo = on_mo
        self._on_receipt = on_receipt
        self._counters = counters
        self._clock = clock

    def mo_received(self, bind: BindService, connection: EsmeProtocol, event: MoReceived) -> None:
        """Take a message, or a part of one."""
        if self.is_stopping:
            bind.answer(connection, event.sequence, self._settings.mo_retry_status)
            return
        self._counters.mo += 1
        message = self._message(event.message)
        storing = self._on_mo(message)
        self._take(storing, bind, connection, event.sequence, message.response)

    def receipt_received(
        self, bind: BindService, connection: EsmeProtocol, event: ReceiptReceived
    ) -> None:
        """Take a delivery receipt."""
        self._counters.receipts += 1
        storing = self._on_receipt(self._settings.name, event.receipt)
        self._take(storing, bind, connection, event.sequence, Response())

    def _message(self, received: DeliverSm | DataSm) -> MoMessage:
        settings = self._settings
        octets, part = content(received)
        message_id = tlv(received.tlvs, settings.mo_id_tlv) if settings.mo_id_tlv else None
        return MoMessage(
            settings.name,
            received.source_addr,
            received.destination_addr,
            octets,
            received.data_coding,
            self._clock(),
            settings.alphabet,
            part,
            message_id.hex() if message_id else None,
        )

    def _take(
        self,
        storing: Awaitable[int],
        bind: BindService,
        connection: EsmeProtocol,
        sequence: int,
        response: Response,
    ) -> None:
        """Answer on the connection it came in on, once it is stored."""

        def answer(status: int) -> None:
            if bind.answer(connection, sequence, status) and status == Status.ROK:
                response.sent_on = connection

        Deferred.fromCoroutine(self._status_of(storing)).addCallback(answer)

    async def _status_of(self, storing: Awaitable[int]) -> int:
        try:
            return await storing
        except Exception:  # the SMSC keeps what we could not store
            log.exception("message_not_stored", smsc=self._settings.name)
            return self._settings.mo_retry_status
