"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_LIVE = sa.text(
    "state IN ('requested', 'confirmed', 'authorised', 'provisioned', 'captured', 'unknown')"
)

_UNHEARD = sa.text("(receipt_state IS NULL OR receipt_state IN ('ACCEPTD', 'ENROUTE', 'UNKNOWN'))")


def upgrade() -> None:
    """See the title."""
    op.create_table(
        "call",
        sa.Column("call_id", sa.String(length=32), nullable=False),
        sa.Column("msisdn", sa.String(length=13), nullable=True),
        sa.Column("dialled", sa.String(length=40), nullable=False),
        sa.Column("branch", sa.String(length=20), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.Column("events", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("call_id", name=op.f("pk_call")),
    )
    op.create_index(
        op.f("ix_call_msisdn_started_at"), "call", ["msisdn", "started_at"], unique=False
    )

    op.create_table(
        "callback",
        sa.Column("callback_id", sa.String(length=32), nullable=False),
        sa.Column("msisdn", sa.String(length=13), nullable=False),
        sa.Column("tone_code", sa.String(length=8), nullable=False),
        sa.Column("asked_by", sa.String(length=10), nullable=False),
        sa.Column("mo_id", sa.String(length=32), nullable=True),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=True),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("called_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("claimed_by", sa.String(length=64), nullable=True),
        sa.Column("claimed_until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("callback_id", name=op.f("pk_callback")),
    )
    op.create_index(
        op.f("ix_callback_msisdn_asked_at"), "callback", ["msisdn", "asked_at"], unique=False
    )
    op.create_index(
        "uq_callback_open",
        "callback",
        ["msisdn"],
        unique=True,
        sqlite_where=sa.text("state IN ('due', 'calling')"),
        postgresql_where=sa.text("state IN ('due', 'calling')"),
    )

    op.create_table(
        "catalogue_version",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalogue_version")),
    )
    op.create_table(
        "edition",
        sa.Column("edition_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("owner", sa.String(length=20), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger(), nullable=True),
        sa.Column("checksum", sa.String(length=64), nullable=False),
        sa.Column("author", sa.String(length=80), nullable=False),
        sa.Column("published_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("edition_id", name=op.f("pk_edition")),
    )
    op.create_index(
        op.f("ix_edition_owner_valid_from"), "edition", ["owner", "valid_from"], unique=False
    )

    op.create_table(
        "event",
        sa.Column("event_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("msisdn", sa.String(length=13), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("order_id", sa.String(length=32), nullable=True),
        sa.Column("call_id", sa.String(length=32), nullable=True),
        sa.Column("message_id", sa.String(length=32), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_event")),
    )
    op.create_index(op.f("ix_event_msisdn_at"), "event", ["msisdn", "at"], unique=False)

    op.create_table(
        "mo",
        sa.Column("mo_id", sa.String(length=32), nullable=False),
        sa.Column("smsc", sa.String(length=40), nullable=False),
        sa.Column("msisdn", sa.String(length=13), nullable=False),
        sa.Column("destination", sa.String(length=21), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=32), nullable=False),
        sa.Column("message_id", sa.String(length=64), nullable=True),
        sa.Column("intent", sa.String(length=20), nullable=False),
        sa.Column("outcome", sa.String(length=40), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("missing_parts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("responded", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("repeated", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("mo_id", name=op.f("pk_mo")),
    )
    op.create_index(op.f("ix_mo_msisdn_received_at"), "mo", ["msisdn", "received_at"], unique=False)

    op.create_table(
        "long_mo",
        sa.Column("mo_id", sa.String(length=32), nullable=False),
        sa.Column("smsc", sa.String(length=40), nullable=False),
        sa.Column("msisdn", sa.String(length=13), nullable=False),
        sa.Column("destination", sa.String(length=21), nullable=False),
        sa.Column("reference", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("alphabet", sa.String(length=8), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("mo_id", name=op.f("pk_long_mo")),
    )
    op.create_index(
        op.f("ix_long_mo_msisdn_reference"), "long_mo", ["msisdn", "reference"], unique=False
    )
    op.create_index(op.f("ix_long_mo_until"), "long_mo", ["until"], unique=False)
    op.create_index(
        "uq_long_mo_open",
        "long_mo",
        ["msisdn", "destination", "reference", "total"],
        unique=True,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "mo_part",
        sa.Column("mo_id", sa.String(length=32), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("data_coding", sa.Integer(), nullable=False),
        sa.Column("octets", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["mo_id"], ["long_mo.mo_id"], name=op.f("fk_mo_part_mo_id")),
        sa.PrimaryKeyConstraint("mo_id", "part", name=op.f("pk_mo_part")),
    )

    op.create_table(
        "no_offers",
        sa.Column("msisdn", sa.String(length=13), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("msisdn", name=op.f("pk_no_offers")),
    )
    op.create_table(
        "orders",
        sa.Column("order_id", sa.String(length=32), nullable=False),
        sa.Column("msisdn", sa.String(length=13), nullable=False),
        sa.Column("tone_code", sa.String(length=8), nullable=False),
        sa.Column("title", sa.String(length=20), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("channel", sa.String(length=12), nullable=False),
        sa.Column("tier", sa.String(length=10), nullable=False),
        sa.Column("price_fen", sa.Integer(), nullable=False),
        sa.Column("pays_fen", sa.Integer(), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_at", sa.BigInteger(), nullable=True),
        sa.Column("provisioned_at", sa.BigInteger(), nullable=True),
        sa.Column("captured_at", sa.BigInteger(), nullable=True),
        sa.Column("undone_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(length=40), nullable=True),
        sa.Column("call_id", sa.String(length=32), nullable=True),
        sa.Column("mo_id", sa.String(length=32), nullable=True),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("claimed_by", sa.String(length=64), nullable=True),
        sa.Column("claimed_until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_orders")),
    )
    op.create_index(
        op.f("ix_orders_msisdn_requested_at"), "orders", ["msisdn", "requested_at"], unique=False
    )
    op.create_index(
        op.f("ix_orders_next_at"),
        "orders",
        ["next_at"],
        unique=False,
        sqlite_where=sa.text("next_at IS NOT NULL"),
        postgresql_where=sa.text("next_at IS NOT NULL"),
    )
    op.create_index(
        "uq_orders_live",
        "orders",
        ["msisdn", "tone_code"],
        unique=True,
        sqlite_where=_LIVE,
        postgresql_where=_LIVE,
    )

    op.create_table(
        "outbox",
        sa.Column("mt_id", sa.String(length=32), nullable=False),
        sa.Column("msisdn", sa.String(length=13), nullable=False),
        sa.Column("sender", sa.String(length=21), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("message_class", sa.String(length=8), nullable=False),
        sa.Column("purpose", sa.String(length=20), nullable=False),
        sa.Column("tone_code", sa.String(length=8), nullable=True),
        sa.Column("order_id", sa.String(length=32), nullable=True),
        sa.Column("call_id", sa.String(length=32), nullable=True),
        sa.Column("mo_id", sa.String(length=32), nullable=True),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=True),
        sa.Column("reference", sa.Integer(), nullable=True),
        sa.Column("parts", sa.Integer(), nullable=True),
        sa.Column("smsc", sa.String(length=40), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("claimed_by", sa.String(length=64), nullable=True),
        sa.Column("claimed_until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("mt_id", name=op.f("pk_outbox")),
    )
    op.create_index(
        op.f("ix_outbox_msisdn_created_at"), "outbox", ["msisdn", "created_at"], unique=False
    )
    op.create_index(
        "ix_outbox_due",
        "outbox",
        ["message_class", "due_at", "mt_id"],
        unique=False,
        sqlite_where=sa.text("state = 'due'"),
        postgresql_where=sa.text("state = 'due'"),
    )
    op.create_index(
        "ix_outbox_claimed",
        "outbox",
        ["claimed_by"],
        unique=False,
        sqlite_where=sa.text("state = 'claimed'"),
        postgresql_where=sa.text("state = 'claimed'"),
    )

    op.create_table(
        "preview",
        sa.Column("call_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("msisdn", sa.String(length=13), nullable=True),
        sa.Column("tone_code", sa.String(length=8), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("heard_ms", sa.Integer(), nullable=False),
        sa.Column("to_the_end", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("call_id", "number", name=op.f("pk_preview")),
    )
    op.create_index(
        op.f("ix_preview_tone_code_started_at"),
        "preview",
        ["tone_code", "started_at"],
        unique=False,
    )

    op.create_table(
        "question",
        sa.Column("question_id", sa.String(length=32), nullable=False),
        sa.Column("msisdn", sa.String(length=13), nullable=False),
        sa.Column("tone_code", sa.String(length=8), nullable=False),
        sa.Column("title", sa.String(length=20), nullable=False),
        sa.Column("tier", sa.String(length=10), nullable=False),
        sa.Column("price_fen", sa.Integer(), nullable=False),
        sa.Column("member_price_fen", sa.Integer(), nullable=False),
        sa.Column("senior_price_fen", sa.Integer(), nullable=False),
        sa.Column("pays_fen", sa.Integer(), nullable=False),
        sa.Column("shown", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("question_id", name=op.f("pk_question")),
    )
    op.create_index(
        op.f("ix_question_msisdn_asked_at"), "question", ["msisdn", "asked_at"], unique=False
    )
    op.create_index(
        "ix_question_open",
        "question",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )

    op.create_table(
        "queue_level",
        sa.Column("message_class", sa.String(length=8), nullable=False),
        sa.Column("waiting", sa.Integer(), nullable=False),
        sa.Column("oldest_due_at", sa.BigInteger(), nullable=True),
        sa.Column("is_full", sa.Boolean(), nullable=False),
        sa.Column("measured_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("message_class", name=op.f("pk_queue_level")),
    )
    op.create_table(
        "receipt",
        sa.Column("receipt_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("smsc", sa.String(length=40), nullable=False),
        sa.Column("message_id", sa.String(length=65), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("error", sa.String(length=10), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("receipt_id", name=op.f("pk_receipt")),
        sa.UniqueConstraint(
            "smsc", "message_id", "state", name=op.f("uq_receipt_smsc_message_id_state")
        ),
    )
    op.create_table(
        "shown_list",
        sa.Column("msisdn", sa.String(length=13), nullable=False),
        sa.Column("codes", sa.Text(), nullable=False),
        sa.Column("shown_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("msisdn", name=op.f("pk_shown_list")),
    )
    op.create_table(
        "subscriber",
        sa.Column("msisdn", sa.String(length=13), nullable=False),
        sa.Column("tier", sa.String(length=10), nullable=False),
        sa.Column("ring_back", sa.String(length=3), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("msisdn", name=op.f("pk_subscriber")),
    )
    op.create_table(
        "tone",
        sa.Column("code", sa.String(length=8), nullable=False),
        sa.Column("title", sa.String(length=20), nullable=False),
        sa.Column("artist", sa.String(length=15), nullable=False),
        sa.Column("sp", sa.String(length=40), nullable=False),
        sa.Column("style", sa.String(length=20), nullable=False),
        sa.Column("price_fen", sa.Integer(), nullable=False),
        sa.Column("member_price_fen", sa.Integer(), nullable=False),
        sa.Column("senior_price_fen", sa.Integer(), nullable=False),
        sa.Column("licence_until", sa.Date(), nullable=True),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("sound", sa.String(length=200), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("title_sound", sa.String(length=200), nullable=True),
        sa.Column("spelling", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_tone")),
    )
    op.create_table(
        "consent",
        sa.Column("order_id", sa.String(length=32), nullable=False),
        sa.Column("msisdn", sa.String(length=13), nullable=False),
        sa.Column("channel", sa.String(length=12), nullable=False),
        sa.Column("shown", sa.Text(), nullable=False),
        sa.Column("answer", sa.String(length=160), nullable=False),
        sa.Column("answered_at", sa.BigInteger(), nullable=False),
        sa.Column("quote", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.order_id"], name=op.f("fk_consent_order_id")
        ),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_consent")),
    )
    op.create_table(
        "edition_slot",
        sa.Column("edition_id", sa.Integer(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(length=8), nullable=False),
        sa.Column("source", sa.String(length=10), nullable=False),
        sa.ForeignKeyConstraint(
            ["edition_id"], ["edition.edition_id"], name=op.f("fk_edition_slot_edition_id")
        ),
        sa.PrimaryKeyConstraint("edition_id", "slot", name=op.f("pk_edition_slot")),
    )
    op.create_table(
        "outbox_part",
        sa.Column("mt_id", sa.String(length=32), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("smsc", sa.String(length=40), nullable=False),
        sa.Column("message_id", sa.String(length=65), nullable=False),
        sa.Column("submitted_at", sa.BigInteger(), nullable=False),
        sa.Column("receipt_state", sa.String(length=10), nullable=True),
        sa.ForeignKeyConstraint(["mt_id"], ["outbox.mt_id"], name=op.f("fk_outbox_part_mt_id")),
        sa.PrimaryKeyConstraint("mt_id", "part", name=op.f("pk_outbox_part")),
    )
    op.create_index(
        op.f("ix_outbox_part_smsc_message_id"), "outbox_part", ["smsc", "message_id"], unique=False
    )
    op.create_index(
        "ix_outbox_part_unheard",
        "outbox_part",
        ["smsc", "submitted_at"],
        unique=False,
        sqlite_where=_UNHEARD,
        postgresql_where=_UNHEARD,
    )
