"""The ranking that fills what a branch left open."""

from __future__ import annotations

from sqlalchemy import Connection, select

from store.schema import tone

LONGEST_CHART = 500
_PUBLISHED = (
    select(tone.c.code).where(tone.c.state == "published").order_by(tone.c.code)
    .limit(LONGEST_CHART)
)  # fmt: skip


def ranked(connection: Connection, owner: str) -> tuple[str, ...]:  # noqa: ARG001  nobody votes yet
    """Return the codes of a branch's or the province's chart, best first; there may be none."""
    return tuple(connection.execute(_PUBLISHED).scalars())
