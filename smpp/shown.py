"""The numbered list that a subscriber was shown last: what the numbers in his next text mean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, select, update

from smpp.turn import Turn
from store.once import insert_once
from store.schema import shown_list as table

VALID = timedelta(hours=2)

_SHOWN = select(table.c.codes).where(
    table.c.msisdn == bindparam("msisdn"), table.c.shown_at > bindparam("since")
)
_REPLACE = (
    update(table)
    .where(table.c.msisdn == bindparam("of"))
    .values(codes=bindparam("now_shown"), shown_at=bindparam("at"))
)
_FORGET = delete(table).where(table.c.msisdn == bindparam("of"))


def keep(turn: Turn, codes: Sequence[str]) -> None:
    """Let numbers mean these codes from now, in their order."""
    listed = json.dumps(list(codes))
    row = {"msisdn": turn.msisdn, "codes": listed, "shown_at": turn.now}
    if not insert_once(turn.connection, table, row):
        turn.connection.execute(_REPLACE, {"of": turn.msisdn, "now_shown": listed, "at": turn.now})


def forget(turn: Turn) -> None:
    """Let numbers mean nothing: a list without any came after it."""
    turn.connection.execute(_FORGET, {"of": turn.msisdn})


def codes(turn: Turn, since: datetime | None = None) -> tuple[str, ...]:
    """Return the codes that numbers mean now, if they were shown after `since`; else none."""
    oldest = turn.incoming.received_at - VALID
    values = {"msisdn": turn.msisdn, "since": max(oldest, since or oldest)}
    found = turn.connection.execute(_SHOWN, values).scalar_one_or_none()
    return () if found is None else tuple(json.loads(found))
