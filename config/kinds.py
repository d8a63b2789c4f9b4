"""What kinds of values settings have: each is checked, and refused in a sentence."""

from __future__ import annotations

import ipaddress
import re
from datetime import time
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator


def _access_number(number: str) -> str:
    if re.fullmatch(r"[0-9]{3,15}", number) is None:
        raise ValueError("an access number is 3 to 15 digits")
    return number


def _network(address: str) -> str:
    try:
        ipaddress.ip_network(address, strict=False)
    except ValueError:
        raise ValueError("an IP address or network such as 192.0.2.0/24") from None
    return address


_LABEL = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"


def _host(name: str) -> str:
    if re.fullmatch(rf"{_LABEL}(\.{_LABEL})*\.?", name) is None:
        try:
            ipaddress.ip_address(name)
        except ValueError:
            raise ValueError(
                "a host name of letters, digits, hyphens and dots (no underscore), or an IP address"
            ) from None
    return name


_OPTIONS = r"(:(interface=)?([^:\\=]|\\.)*|:backlog=[0-9]+)*"
_TCP = re.compile(rf"tcp6?:(?P<port>[0-9]{{1,5}}){_OPTIONS}")


def _endpoint(description: str) -> str:
    if re.fullmatch(r"unix:[^:]+(:.*)?", description) is not None:
        return description
    return _tcp_endpoint(description)


def _tcp_endpoint(description: str) -> str:
    match = _TCP.fullmatch(description)
    if match is None or int(match["port"]) > 65535:
        raise ValueError("a Twisted endpoint such as tcp:4573:interface=127.0.0.1")
    return description


def _timezone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("a time zone's name such as Asia/Shanghai")
    return name


def _database_url(url: str) -> str:
    if url and re.match(r"(sqlite:///|postgresql\+psycopg://).", url) is None:
        raise ValueError(
            "empty, or sqlite:///FILE, or postgresql+psycopg://USER:PASSWORD@HOST/NAME"
        )
    return url


def _pin(given: object) -> object:
    # In the environment a PIN looks like a number; one that begins with 0 does not.
    return str(given) if isinstance(given, int) else given


def _prefix(digits: str) -> str:
    if re.fullmatch(r"(86)?1[0-9]{0,10}", digits) is None:
        raise ValueError("the first digits of mobile numbers, such as 139")
    return digits if digits.startswith("86") else f"86{digits}"


def _hours(text: str) -> str:
    if text:
        parse_hours(text)
    return text


AccessNumber = Annotated[str, AfterValidator(_access_number)]
Host = Annotated[str, AfterValidator(_host)]
Network = Annotated[str, AfterValidator(_network)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
TcpEndpoint = Annotated[str, AfterValidator(_tcp_endpoint)]
Hours = Annotated[str, AfterValidator(_hours)]
Prefix = Annotated[str, AfterValidator(_prefix)]
Timezone = Annotated[str, AfterValidator(_timezone)]
DatabaseUrl = Annotated[str, AfterValidator(_database_url)]
Pin = Annotated[str, BeforeValidator(_pin)]


def parse_hours(text: str) -> tuple[time, time]:
    """Return both ends of `08:00-21:00`; an empty text is the whole day."""
    if not text:
        return time.min, time.max
    match = re.fullmatch(r"([0-2][0-9]):([0-5][0-9])-([0-2][0-9]):([0-5][0-9])", text)
    if match is None:
        raise ValueError('hours such as "08:00-21:00", or "" for all hours')
    try:
        start = time(int(match[1]), int(match[2]))
        end = time.max if text.endswith("-24:00") else time(int(match[3]), int(match[4]))
    except ValueError:
        raise ValueError('hours such as "08:00-21:00", or "" for all hours') from None
    if start >= end:
        raise ValueError("hours that begin before they end, on one day")
    return start, end
