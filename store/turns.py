"""Let hosts take turns with a number: what one has begun the other waits for."""

from __future__ import annotations

from sqlalchemy import Connection, text

_ALONE = text("SELECT pg_advisory_xact_lock(:what, :number)")
_ACTS_OF_ONE = 0x30


def take_turns(connection: Connection, msisdn: str) -> None:
    """Let other hosts wait with what this number does until this transaction is over.

    What was read of him before an act then still holds. One host alone has one transaction at a
    time, and so has SQLite. Taking one's turn twice in a transaction is taking it once.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_ALONE, {"what": _ACTS_OF_ONE, "number": int(msisdn[-9:])})
