"""parts of long MOs, each stored before it is acknowledged, joined in the store in any order

A telephone cuts a text of more than 70 or 160 characters into parts that say with a reference,
their number and their total where they belong (UDH of 8 or 16 bits, TS 23.040 9.2.3.24; SAR TLVs,
SMPP 3.4 5.3.2.22-24). Each may come by another bind, at another host: the store joins them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, or_, select, update

from smpp.text import Alphabet, join_text
from store.once import insert_once
from store.schema import long_mo, mo_part

WAIT = timedelta(seconds=60)
"""How long after its newest part the others of a message are waited for."""
REMEMBERED = timedelta(hours=1)
"""How long the parts of an answered message are known when the SMSC repeats one."""
MOST_OPEN = 10
"""Messages of one number that wait for parts at once; the oldest gives way."""
_MOST_OVERDUE = 50


@dataclass(frozen=True, slots=True)
class MoPart:
    """A part as plain values; `mo_id` becomes the message's if no other part came before."""

    mo_id: str
    smsc: str
    msisdn: str
    destination: str
    reference: int
    total: int
    number: int
    data_coding: int
    octets: bytes
    alphabet: Alphabet


@dataclass(frozen=True, slots=True)
class WholeMo:
    """A message that came in one, or in parts of which `missing` never did."""

    mo_id: str
    smsc: str
    msisdn: str
    destination: str
    text: str
    octets: bytes
    in_parts: bool = False
    missing: int = 0


_SAME_KEY = (
    select(long_mo)
    .where(
        long_mo.c.msisdn == bindparam("msisdn"),
        long_mo.c.destination == bindparam("destination"),
        long_mo.c.reference == bindparam("reference"),
        long_mo.c.total == bindparam("total"),
        # One without an answer is there until it has one, however late that is.
        or_(long_mo.c.state != "answered", long_mo.c.until > bindparam("now")),
    )
    .order_by(long_mo.c.began_at.desc())
)
_PARTS = select(mo_part).where(mo_part.c.mo_id == bindparam("mo_id")).order_by(mo_part.c.part)
_WAIT_ON = (
    update(long_mo).where(long_mo.c.mo_id == bindparam("waiting")).values(until=bindparam("later"))
)
_GIVE_UP = (
    update(long_mo)
    .where(long_mo.c.mo_id == bindparam("given_up"), long_mo.c.state == "open")
    .values(state="given_up", until=bindparam("at"))
)
_OPEN = (
    select(long_mo.c.mo_id)
    .where(long_mo.c.msisdn == bindparam("msisdn"), long_mo.c.state == "open")
    .order_by(long_mo.c.began_at, long_mo.c.mo_id)
)
_ANSWERED = (
    update(long_mo)
    .where(long_mo.c.mo_id == bindparam("answered"))
    .values(state="answered", until=bindparam("remembered"))
)
_OVERDUE = (
    select(long_mo)
    .where(long_mo.c.until <= bindparam("now"), long_mo.c.state != "answered")
    .order_by(long_mo.c.until)
    .limit(_MOST_OVERDUE)
)
_FORGOTTEN = (
    select(long_mo.c.mo_id)
    .where(long_mo.c.until <= bindparam("now"), long_mo.c.state == "answered")
    .limit(_MOST_OVERDUE)
)
_FORGET_PARTS = delete(mo_part).where(mo_part.c.mo_id == bindparam("forgotten"))
_FORGET = delete(long_mo).where(long_mo.c.mo_id == bindparam("forgotten"))


def keep(connection: Connection, part: MoPart, now: datetime) -> WholeMo | None:
    """Store a part; return the message if all its parts are there and it has no answer yet.

    A repeated part changes nothing, but completes the message again until that is answered. A part
    that differs from the one already there belongs to a new message with a used reference: what
    there is of the old one comes out of `overdue`.
    """
    known = _known(connection, part, now)
    if known is None:
        known = _begin(connection, part, now)
    elif known.state != "open":
        return None
    parts = connection.execute(_PARTS, {"mo_id": known.mo_id}).all()
    if all(one.part != part.number for one in parts):
        values = {
            "mo_id": known.mo_id,
            "part": part.number,
            "data_coding": part.data_coding,
            "octets": part.octets,
            "received_at": now,
        }
        insert_once(connection, mo_part, values)
        connection.execute(_WAIT_ON, {"waiting": known.mo_id, "later": now + WAIT})
        parts = connection.execute(_PARTS, {"mo_id": known.mo_id}).all()
    return _joined(known, parts) if len(parts) == known.total else None


def overdue(connection: Connection, now: datetime) -> tuple[WholeMo, ...]:
    """Return the messages without an answer that are waited for no longer, as far as they came.

    They are returned again until `answered`. What was answered long ago is forgotten.
    """
    forgotten = connection.execute(_FORGOTTEN, {"now": now}).scalars().all()
    if forgotten:
        chosen = [{"forgotten": mo_id} for mo_id in forgotten]
        connection.execute(_FORGET_PARTS, chosen)
        connection.execute(_FORGET, chosen)
    late = connection.execute(_OVERDUE, {"now": now}).all()
    return tuple(
        _joined(one, connection.execute(_PARTS, {"mo_id": one.mo_id}).all()) for one in late
    )


def answered(connection: Connection, mo_id: str, now: datetime) -> None:
    """Remember that a message was answered, so that a repeated part is known as such."""
    connection.execute(_ANSWERED, {"answered": mo_id, "remembered": now + REMEMBERED})


def _known(connection: Connection, part: MoPart, now: datetime) -> Row[Any] | None:
    """Return the message that a part belongs to, if one of its parts came before."""
    key = {
        "msisdn": part.msisdn,
        "destination": part.destination,
        "reference": part.reference,
        "total": part.total,
        "now": now,
    }
    fitting = None
    for known in connection.execute(_SAME_KEY, key).all():
        parts = connection.execute(_PARTS, {"mo_id": known.mo_id}).all()
        there = next((bytes(one.octets) for one in parts if one.part == part.number), None)
        if there == part.octets:
            return known
        if known.state == "open":
            fitting = (known, there)
    if fitting is None:
        return None
    waiting, there = fitting
    if there is None:
        return waiting
    connection.execute(_GIVE_UP, {"given_up": waiting.mo_id, "at": now})
    return None


def _begin(connection: Connection, part: MoPart, now: datetime) -> Row[Any]:
    waiting = connection.execute(_OPEN, {"msisdn": part.msisdn}).scalars().all()
    if len(waiting) >= MOST_OPEN:
        connection.execute(_GIVE_UP, {"given_up": waiting[0], "at": now})
    row = {
        "mo_id": part.mo_id,
        "smsc": part.smsc,
        "msisdn": part.msisdn,
        "destination": part.destination,
        "reference": part.reference,
        "total": part.total,
        "alphabet": part.alphabet,
        "state": "open",
        "began_at": now,
        "until": now + WAIT,
    }
    insert_once(connection, long_mo, row)
    # Another host may have begun the same message this moment: its row is the one that is there.
    found = _known(connection, part, now)
    if found is None:
        raise RuntimeError("a message that was just begun is not there")
    return found


def _joined(known: Row[Any], parts: Sequence[Row[Any]]) -> WholeMo:
    pieces = [(one.data_coding, bytes(one.octets)) for one in parts]
    return WholeMo(
        mo_id=known.mo_id,
        smsc=known.smsc,
        msisdn=known.msisdn,
        destination=known.destination,
        text=join_text(pieces, known.alphabet),
        octets=b"".join(octets for _, octets in pieces),
        in_parts=True,
        missing=known.total - len(pieces),
    )
