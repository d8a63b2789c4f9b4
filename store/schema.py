"""Every table on one page.

Instants are microseconds since 1970 UTC in the database and timezone-aware datetimes in Python, so
that both engines sort and compare them alike. Money is integer fen. Numbers are `86` and 11 digits.
Rows that prove something (consents, events, messages) are only ever inserted.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    null,
    text,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """A timezone-aware datetime, stored as integer microseconds since 1970 UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002  the signature is SQLAlchemy's
        """Return microseconds; a naive datetime is a TypeError, never a guess."""
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  the signature is SQLAlchemy's
        """Return an aware datetime in UTC."""
        return None if value is None else _EPOCH + timedelta(microseconds=value)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# ---------------------------------------------------------------- the catalogue

tone = Table(
    "tone",
    metadata,
    Column("code", String(8), primary_key=True),
    Column("title", String(20), nullable=False),
    Column("artist", String(15), nullable=False),
    Column("sp", String(40), nullable=False),
    Column("style", String(20), nullable=False),
    Column("price_fen", Integer, nullable=False),
    Column("member_price_fen", Integer, nullable=False),
    Column("senior_price_fen", Integer, nullable=False),
    Column("licence_until", Date),
    Column("state", String(10), nullable=False),  # draft, published, suspended, retired
    Column("sound", String(200), nullable=False),  # stem below the sounds folder
    Column("duration_ms", Integer, nullable=False),
    Column("title_sound", String(200)),  # stem below the sounds folder
    Column("spelling", Text, nullable=False),  # in pinyin, see catalog.pinyin
    Column("changed_at", Instant, nullable=False),
    Column("retired_at", Instant),  # its code goes to no other song for a while
    Column("reason", String(100)),  # of a suspension
    # The catalogue's version that has it so; every UPDATE takes it away until the change is named.
    Column("changed_in", Integer, onupdate=null()),
    Index(None, "licence_until"),
    Index(None, "changed_in", "code"),
)

_NOTHING = text("''")

edition = Table(
    "edition",
    metadata,
    Column("edition_id", Integer, primary_key=True, autoincrement=True),
    Column("owner", String(20), nullable=False),  # a branch's or the province's name
    Column("kind", String(10), nullable=False),  # regular, holiday, emergency
    Column("valid_from", Instant, nullable=False),
    Column("valid_to", Instant),
    Column("checksum", String(64), nullable=False),
    Column("author", String(80), nullable=False),
    Column("published_at", Instant, nullable=False),
    Column(
        "origin", String(10), nullable=False, server_default="file"
    ),  # see catalog.directories.Edition
    Column("reason", String(200), nullable=False, server_default=_NOTHING),
    Column("said_from", Instant, nullable=False, server_default="0"),  # its draft's beginning
    Column("said_at", Instant, nullable=False, server_default="0"),  # when that was published
    Column(
        "draft", Text, nullable=False, server_default=_NOTHING
    ),  # JSON: ten slots, with auto; left_out
    Column("difference", Text, nullable=False, server_default=_NOTHING),  # JSON: before, slots
    Column("contact", String(13), nullable=False, server_default=_NOTHING),  # told of a bad file
    Index(None, "owner", "valid_from"),
    Index("uq_edition_owner_checksum", "owner", "checksum", unique=True),
)

edition_slot = Table(
    "edition_slot",
    metadata,
    Column("edition_id", ForeignKey("edition.edition_id"), primary_key=True),
    Column("slot", Integer, primary_key=True),
    Column("code", String(8), nullable=False),
    Column("source", String(10), nullable=False),  # file, chart, reserve
)

catalogue_version = Table(
    "catalogue_version",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", Integer, nullable=False),
)

# ---------------------------------------------------------------- what runs by the calendar

job_run = Table(
    "job_run",
    metadata,
    Column("job", String(40), primary_key=True),
    Column("period", String(10), primary_key=True),  # 2026-11-26, 2026-W48
    Column("host", String(64), nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),  # a step of it was done
    Column("finished_at", Instant),
    Column("told_at", Instant),  # what it had to say was logged
    Column("changed", Integer),
    Column("said", Text),  # JSON: [[event, {detail}], ...]
)

warned = Table(
    "warned",
    metadata,
    Column("subject", String(40), primary_key=True),  # tone 1029, holiday lantern
    Column("due_on", Date, primary_key=True),  # the licence's last day, the holiday
    Column("days_ahead", Integer, primary_key=True),
    Column("warned_at", Instant, nullable=False),
)

# ---------------------------------------------------------------- charts

chart_day = Table(
    "chart_day",
    metadata,
    Column("day", Date, primary_key=True),  # local
    Column("formula_version", Integer, nullable=False),
    Column("tallied_at", Instant, nullable=False),
    Column("kept", Integer, nullable=False),  # orders of the day that stood then,
    Column("taken_back", Integer, nullable=False),  # and those that did not: who changed his mind
)

chart_tally = Table(
    "chart_tally",
    metadata,
    Column("owner", String(20), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("code", String(8), primary_key=True),
    Column("orders", Integer, nullable=False),
    Column("unheard", Integer, nullable=False),
    Column("taken_back", Integer, nullable=False),
    Column("whole", Integer, nullable=False),
    Column("part", Integer, nullable=False),
    Column("repeats", Integer, nullable=False),
    Column("weight", Float, nullable=False),
    Column("against", Float, nullable=False),
    Column("grown", Float, nullable=False),  # both, times catalog.ranking.growth(day)
    sqlite_with_rowid=False,  # read in its key's order, some ten thousand rows at once
)

chart_busy = Table(
    "chart_busy",
    metadata,
    Column("owner", String(20), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("code", String(8), primary_key=True),
    Column("hour", Integer, primary_key=True),  # local
    Column("weight", Float, nullable=False),
)

chart = Table(
    "chart",
    metadata,
    Column("chart_id", String(32), primary_key=True),  # owner.day
    Column("owner", String(20), nullable=False),
    Column("day", Date, nullable=False),
    Column("formula_version", Integer, nullable=False),
    Column("computed_at", Instant, nullable=False),
    Column("votes", Integer, nullable=False),
    Index(None, "owner", "day", unique=True),
)

chart_entry = Table(
    "chart_entry",
    metadata,
    Column("chart_id", ForeignKey("chart.chart_id"), primary_key=True),
    Column("rank", Integer, primary_key=True),
    Column("code", String(8), nullable=False),
    # Owner and day once more: a song's past with an owner is one range of an index.
    Column("owner", String(20), nullable=False),
    Column("day", Date, nullable=False),
    Column("score", Float, nullable=False),
    Column("previous", Integer),  # its rank in the last chart of an earlier week
    Column("peak", Integer, nullable=False),
    Column("weeks", Integer, nullable=False),  # in which it stood on a chart
    Column("bursts", Integer, nullable=False),
    Column("made", Text, nullable=False),  # JSON: catalog.ranking.Made
    Index(None, "owner", "code", "day"),
)

# ---------------------------------------------------------------- subscribers

subscriber = Table(
    "subscriber",
    metadata,
    Column("msisdn", String(13), primary_key=True),
    Column("tier", String(10), nullable=False),  # visitor, member, senior
    Column("ring_back", String(3), nullable=False),  # the function: on, off
    Column("state", String(10), nullable=False),  # active, suspended
    Column("changed_at", Instant, nullable=False),
)

no_offers = Table(
    "no_offers",
    metadata,
    Column("msisdn", String(13), primary_key=True),
    Column("since", Instant, nullable=False),
)

# ---------------------------------------------------------------- calls

call = Table(
    "call",
    metadata,
    Column("call_id", String(32), primary_key=True),
    Column("msisdn", String(13)),  # none when the caller is no mobile or unknown
    Column("dialled", String(40), nullable=False),
    Column("branch", String(20)),
    Column("started_at", Instant, nullable=False),
    Column("answered_at", Instant),
    Column("ended_at", Instant),
    Column("outcome", String(20)),
    Column("events", Text),  # JSON: [[ms since started_at, kind, detail], ...]
    Index(None, "msisdn", "started_at"),
)

preview = Table(
    "preview",
    metadata,
    Column("call_id", String(32), primary_key=True),
    Column("number", Integer, primary_key=True),  # 1, 2, ... within the call
    Column("msisdn", String(13)),
    Column("tone_code", String(8), nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("heard_ms", Integer, nullable=False),
    Column("to_the_end", Boolean, nullable=False),
    Index(None, "tone_code", "started_at"),
    Index(None, "started_at"),
    Index(None, "msisdn", "tone_code", "started_at"),
)

# ---------------------------------------------------------------- orders and their proof

order = Table(
    "orders",
    metadata,
    Column("order_id", String(32), primary_key=True),
    Column("msisdn", String(13), nullable=False),
    Column("tone_code", String(8), nullable=False),
    Column("title", String(20), nullable=False),
    Column("state", String(12), nullable=False),
    Column("channel", String(12), nullable=False),  # ivr, sms
    Column("tier", String(10), nullable=False),
    Column("price_fen", Integer, nullable=False),
    Column("pays_fen", Integer, nullable=False),
    Column("requested_at", Instant, nullable=False),
    Column("confirmed_at", Instant),
    Column("provisioned_at", Instant),
    Column("captured_at", Instant),
    Column("undone_at", Instant),
    Column("ended_at", Instant),
    Column("reason", String(40)),
    Column("call_id", String(32)),
    Column("mo_id", String(32)),
    Column("next_at", Instant),  # when the scheduler has to look at it again
    Column("claimed_by", String(64)),
    Column("claimed_until", Instant),
    Index(None, "msisdn", "requested_at"),
    Index(None, "confirmed_at"),
    Index(None, "tone_code", "confirmed_at"),
    Index(None, "next_at", sqlite_where=text("next_at IS NOT NULL"),
          postgresql_where=text("next_at IS NOT NULL")),
)  # fmt: skip

LIVE_STATES = ("requested", "confirmed", "authorised", "provisioned", "captured", "unknown")
"""An order in one of these is under way or owned; a number has one such order per tone."""

_live = text(f"state IN ({', '.join(repr(state) for state in LIVE_STATES)})")
Index("uq_orders_live", order.c.msisdn, order.c.tone_code, unique=True,
      sqlite_where=_live, postgresql_where=_live)  # fmt: skip

OPEN = text("state = 'open'")
"""Of questions, for their partial index."""

question = Table(
    "question",
    metadata,
    Column("question_id", String(32), primary_key=True),
    Column("msisdn", String(13), nullable=False),
    Column("tone_code", String(8), nullable=False),
    Column("title", String(20), nullable=False),
    Column("tier", String(10), nullable=False),
    Column("price_fen", Integer, nullable=False),
    Column("member_price_fen", Integer, nullable=False),
    Column("senior_price_fen", Integer, nullable=False),
    Column("pays_fen", Integer, nullable=False),
    Column("shown", Text, nullable=False),  # the question's text, as sent
    Column("state", String(10), nullable=False),  # open, confirmed, declined, replaced, expired
    Column("asked_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("answered_at", Instant),
    Index(None, "msisdn", "asked_at"),
    Index("ix_question_open", "expires_at", sqlite_where=OPEN, postgresql_where=OPEN),
)

consent = Table(
    "consent",
    metadata,
    Column("order_id", ForeignKey("orders.order_id"), primary_key=True),
    Column("msisdn", String(13), nullable=False),
    Column("channel", String(12), nullable=False),
    Column("shown", Text, nullable=False),  # JSON: the text, or prompts with SHA-256 and ms played
    Column("answer", String(160), nullable=False),  # the key, or the SMS as it came
    Column("answered_at", Instant, nullable=False),
    Column("quote", Text, nullable=False),  # JSON: the three prices, tier, what he pays
)

shown_list = Table(
    "shown_list",
    metadata,
    Column("msisdn", String(13), primary_key=True),
    Column("codes", Text, nullable=False),  # JSON: tone codes in the order shown
    Column("shown_at", Instant, nullable=False),
)

event = Table(
    "event",
    metadata,
    Column("event_id", Integer, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("msisdn", String(13), nullable=False),
    Column("kind", String(12), nullable=False),  # contract.md's kinds of a trace
    Column("order_id", String(32)),
    Column("call_id", String(32)),
    Column("message_id", String(32)),  # the MO or MT it belongs to
    Column("detail", Text, nullable=False),  # JSON
    Index(None, "msisdn", "at"),
)

# ---------------------------------------------------------------- calls that we owe

CALLBACK_OPEN = text("state IN ('due', 'calling')")
"""Of callbacks. A number has one of these at most."""

callback = Table(
    "callback",
    metadata,
    Column("callback_id", String(32), primary_key=True),
    Column("msisdn", String(13), nullable=False),
    Column("tone_code", String(8), nullable=False),
    Column("asked_by", String(10), nullable=False),  # sms, web, staff
    Column("mo_id", String(32)),
    # due, calling, answered, busy, no_answer, failed, expired, unknown
    Column("state", String(10), nullable=False),
    Column("reason", String(40)),
    Column("asked_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("called_at", Instant),
    Column("ended_at", Instant),
    Column("claimed_by", String(64)),
    Column("claimed_until", Instant),
    Index(None, "msisdn", "asked_at"),
)
Index("uq_callback_open", callback.c.msisdn, unique=True,
      sqlite_where=CALLBACK_OPEN, postgresql_where=CALLBACK_OPEN)  # fmt: skip

# ---------------------------------------------------------------- messages

mo = Table(
    "mo",
    metadata,
    Column("mo_id", String(32), primary_key=True),
    Column("smsc", String(40), nullable=False),
    Column("msisdn", String(13), nullable=False),  # as it came when it is no mobile
    Column("destination", String(21), nullable=False),
    Column("text", Text, nullable=False),
    Column("digest", String(32), nullable=False),  # of the octets as they came
    Column("message_id", String(64)),  # the SMSC's own, if it gives one
    Column("intent", String(20), nullable=False),
    Column("outcome", String(40), nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("missing_parts", Integer, nullable=False, server_default="0"),
    Column("responded", Boolean, nullable=False, server_default=false()),  # known to have left
    Column("repeated", Integer, nullable=False, server_default="0"),
    Index(None, "msisdn", "received_at"),
)

LONG_MO_OPEN = text("state = 'open'")
"""Of messages in parts: a number has one such with a reference."""

long_mo = Table(
    "long_mo",
    metadata,
    Column("mo_id", String(32), primary_key=True),  # of the MO that its parts make
    Column("smsc", String(40), nullable=False),
    Column("msisdn", String(13), nullable=False),
    Column("destination", String(21), nullable=False),
    Column("reference", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    Column("alphabet", String(8), nullable=False),
    Column("state", String(10), nullable=False),  # open, given_up (not answered yet), answered
    Column("began_at", Instant, nullable=False),
    Column("until", Instant, nullable=False),  # not waited for, not remembered, longer than this
    Index(None, "msisdn", "reference"),
    Index(None, "until"),
)
Index("uq_long_mo_open", long_mo.c.msisdn, long_mo.c.destination, long_mo.c.reference,
      long_mo.c.total, unique=True, sqlite_where=LONG_MO_OPEN,
      postgresql_where=LONG_MO_OPEN)  # fmt: skip

mo_part = Table(
    "mo_part",
    metadata,
    Column("mo_id", ForeignKey("long_mo.mo_id"), primary_key=True),
    Column("part", Integer, primary_key=True),  # 1, 2, ...
    Column("data_coding", Integer, nullable=False),
    Column("octets", LargeBinary, nullable=False),
    Column("received_at", Instant, nullable=False),
)

DUE = text("state = 'due'")
CLAIMED = text("state = 'claimed'")
"""Of messages. A partial index serves only what repeats its condition, word for word."""

outbox = Table(
    "outbox",
    metadata,
    Column("mt_id", String(32), primary_key=True),
    Column("msisdn", String(13), nullable=False),
    Column("sender", String(21), nullable=False),
    Column("text", Text, nullable=False),
    Column("message_class", String(8), nullable=False),  # answer, order, offer
    Column("purpose", String(20), nullable=False),  # hangup_sms, question, order_notice, ...
    Column("tone_code", String(8)),
    Column("order_id", String(32)),
    Column("call_id", String(32)),
    Column("mo_id", String(32)),
    # due, claimed, sent, delivered, unknown (no receipt came), failed, dropped
    Column("state", String(10), nullable=False),
    Column("reason", String(40)),  # why it was dropped or failed, or waits for another attempt
    Column("reference", Integer),  # ties the parts of a long text together
    Column("parts", Integer),  # how many it was cut into, if they could not all be sent at once
    Column("smsc", String(40)),  # which has some of them: no other may send the rest
    Column("created_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("sent_at", Instant),
    Column("ended_at", Instant),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("claimed_by", String(64)),
    Column("claimed_until", Instant),
    Index(None, "msisdn", "created_at"),
    Index("ix_outbox_due", "message_class", "due_at", "mt_id",
          sqlite_where=DUE, postgresql_where=DUE),
    Index("ix_outbox_claimed", "claimed_by", sqlite_where=CLAIMED, postgresql_where=CLAIMED),
)  # fmt: skip

queue_level = Table(
    "queue_level",
    metadata,
    Column("message_class", String(8), primary_key=True),
    Column("waiting", Integer, nullable=False),
    Column("oldest_due_at", Instant),
    Column("is_full", Boolean, nullable=False),
    Column("measured_at", Instant, nullable=False),
)

UNHEARD = text("(receipt_state IS NULL OR receipt_state IN ('ACCEPTD', 'ENROUTE', 'UNKNOWN'))")
"""Of parts whose fate no receipt has told yet, for their partial index."""

outbox_part = Table(
    "outbox_part",
    metadata,
    Column("mt_id", ForeignKey("outbox.mt_id"), primary_key=True),
    Column("part", Integer, primary_key=True),  # 1, 2, ...
    Column("smsc", String(40), nullable=False),
    Column("message_id", String(65), nullable=False),
    Column("submitted_at", Instant, nullable=False),
    Column("receipt_state", String(10)),
    Index(None, "smsc", "message_id"),
    Index("ix_outbox_part_unheard", "smsc", "submitted_at",
          sqlite_where=UNHEARD, postgresql_where=UNHEARD),
)  # fmt: skip

receipt = Table(
    "receipt",
    metadata,
    Column("receipt_id", Integer, primary_key=True, autoincrement=True),
    Column("smsc", String(40), nullable=False),
    Column("message_id", String(65), nullable=False),
    Column("state", String(10), nullable=False),
    Column("error", String(10), nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),  # when it was repeated last
    UniqueConstraint("smsc", "message_id", "state"),
)
