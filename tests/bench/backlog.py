"""What waits in a line's outbox: put there beforehand, and what has become of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, func, select

from ordering.outbox import Message, MessageClass
from store.engine import engine_for
from store.schema import outbox as table

SENDER, OFFERS_SENDER = "12530019", "12530020"
AT_ONCE = 5000  # in one transaction: the line's own wait for as long
TEXTS: dict[MessageClass, str] = {
    "answer": "【彩铃直通车】您还没有订购彩铃。选歌请拨12530019,免费试听",
    "order": "【彩铃直通车】已订购《茉莉花》2元/月。30分钟内回0撤回免费,退订回TD1029",
    "offer": "【彩铃直通车】您刚听的《茉莉花》编码1029,2元/月,订购回1029,拒收回R",
}
PURPOSES: dict[MessageClass, str] = {
    "answer": "my_tones_none",
    "order": "order_notice",
    "offer": "hangup_sms",
}
"""Each is a single SMS."""


def messages(
    message_class: MessageClass,
    first: int,
    due: Sequence[datetime],
    life: timedelta,
) -> list[Message]:
    """One message to each of so many numbers from ``first`` (11 digits) on, due one by one."""
    return [
        Message(
            mt_id=f"backlog-{first + index}",
            msisdn=f"86{first + index}",
            sender=OFFERS_SENDER if message_class == "offer" else SENDER,
            text=TEXTS[message_class],
            message_class=message_class,
            purpose=PURPOSES[message_class],
            due_at=due_at,
            expires_at=due_at + life,
            tone_code="1029" if message_class == "offer" else None,
        )
        for index, due_at in enumerate(due)
    ]


def put(var: Path, waiting: Sequence[Message]) -> None:
    """Write messages into the database of a line that runs, as if it had done so in their time."""
    for begin in range(0, len(waiting), AT_ONCE):
        rows = [_row(message) for message in waiting[begin : begin + AT_ONCE]]
        with _connection(var) as connection:
            connection.execute(table.insert(), rows)


def count(var: Path, *states: str) -> int:
    """How many messages are in one of these states."""
    with _connection(var) as connection:
        wanted = select(func.count()).where(table.c.state.in_(states))
        return int(connection.execute(wanted).scalar_one())


def _row(message: Message) -> dict[str, object]:
    fields = {name: getattr(message, name) for name in Message.__slots__}
    return {**fields, "state": "due", "created_at": message.due_at}


@contextmanager
def _connection(var: Path) -> Iterator[Connection]:
    engine = engine_for(f"sqlite:///{var / 'toneline.db'}")
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()
