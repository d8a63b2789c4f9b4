"""what is wrong with a message that was submitted to the simulated SMSC, as its status says."""

from __future__ import annotations

import re
from typing import Final

from smpp.commands import DataSm, Status, SubmitSm

_TIME: Final = re.compile(r"([0-9]{15}[-+R])?")
"""Empty, or YYMMDDhhmmsstnn and how it counts (SMPP 3.4 section 7.1.1)."""


def mistake_in(message: SubmitSm | DataSm) -> int:
    """Return why a message can be sent to nobody or at no time; ROK: there is no reason."""
    if not message.destination_addr:
        return Status.RINVDSTADR
    if isinstance(message, DataSm):
        return Status.ROK
    if _TIME.fullmatch(message.schedule_delivery_time) is None:
        return Status.RINVSCHED
    return Status.ROK if _TIME.fullmatch(message.validity_period) else Status.RINVEXPIRY
