"""what stands around a message's number and text: read and written once, then remembered.

submit_sm and deliver_sm share it (SMPP 3.4, Issue 1.2, sections 4.4.1 and 4.6.1). A day's messages
differ in number, text and length, hardly in anything else.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from smpp.body import CString, Layout, Octet
from smpp.commands import Status

_BEFORE_SOURCE: Final = Layout(
    CString("service_type", 6, Status.RINVSERTYP),
    Octet("source_addr_ton"),
    Octet("source_addr_npi"),
)
_SOURCE: Final = CString("source_addr", 21, Status.RINVSRCADR)
_BETWEEN: Final = Layout(Octet("dest_addr_ton"), Octet("dest_addr_npi"))
DESTINATION: Final = CString("destination_addr", 21, Status.RINVDSTADR)
_AFTER_DESTINATION: Final = Layout(
    Octet("esm_class"),
    Octet("protocol_id"),
    Octet("priority_flag"),
    CString("schedule_delivery_time", 17, Status.RINVSCHED),
    CString("validity_period", 17, Status.RINVEXPIRY),
    Octet("registered_delivery"),
    Octet("replace_if_present_flag"),
    Octet("data_coding"),
    Octet("sm_default_msg_id"),
    Octet("sm_length"),
)
_BEFORE_DESTINATION: Final = Layout(*_BEFORE_SOURCE.fields, _SOURCE, *_BETWEEN.fields)
_AFTER_SOURCE: Final = Layout(*_BETWEEN.fields, DESTINATION, *_AFTER_DESTINATION.fields)
MESSAGE: Final = Layout(*_BEFORE_SOURCE.fields, _SOURCE, *_AFTER_SOURCE.fields)
"""All of it, up to the short_message."""

divide: Final = re.compile(
    f"({_BEFORE_SOURCE.pattern})([^\0]{{0,{_SOURCE.size - 1}}}+)\0({_AFTER_SOURCE.pattern})",
    re.DOTALL,
).match
"""Match what stands before the source, the source and what stands after it, up to the text."""

_REMEMBERED: Final = 4096


@lru_cache(_REMEMBERED)
def opened(before_source: str, after_source: str) -> tuple[Any, ...]:
    """Read what stands before and after the source."""
    return (*_BEFORE_SOURCE.values(before_source), *_AFTER_SOURCE.values(after_source))


@lru_cache(_REMEMBERED)
def sealed(*values: str | int) -> tuple[bytes, bytes]:
    """Write what stands before and after the destination."""
    before = len(_BEFORE_DESTINATION.fields)
    return _BEFORE_DESTINATION.write(values[:before]), _AFTER_DESTINATION.write(values[before:])
