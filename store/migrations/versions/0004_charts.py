"""Charts, the tallies they are made from, and the indexes that find a day's votes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """See the title."""
    op.create_index(op.f("ix_preview_started_at"), "preview", ["started_at"], unique=False)
    op.create_index(
        op.f("ix_preview_msisdn_tone_code_started_at"),
        "preview",
        ["msisdn", "tone_code", "started_at"],
        unique=False,
    )
    op.create_index(op.f("ix_orders_confirmed_at"), "orders", ["confirmed_at"], unique=False)
    op.create_index(
        op.f("ix_orders_tone_code_confirmed_at"),
        "orders",
        ["tone_code", "confirmed_at"],
        unique=False,
    )

    op.create_table(
        "chart_day",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("formula_version", sa.Integer(), nullable=False),
        sa.Column("tallied_at", sa.BigInteger(), nullable=False),
        sa.Column("kept", sa.Integer(), nullable=False),
        sa.Column("taken_back", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_chart_day")),
    )

    op.create_table(
        "chart_tally",
        sa.Column("owner", sa.String(length=20), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("code", sa.String(length=8), nullable=False),
        sa.Column("orders", sa.Integer(), nullable=False),
        sa.Column("unheard", sa.Integer(), nullable=False),
        sa.Column("taken_back", sa.Integer(), nullable=False),
        sa.Column("whole", sa.Integer(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("repeats", sa.Integer(), nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.Column("against", sa.Float(), nullable=False),
        sa.Column("grown", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "day", "code", name=op.f("pk_chart_tally")),
        sqlite_with_rowid=False,
    )

    op.create_table(
        "chart_busy",
        sa.Column("owner", sa.String(length=20), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("code", sa.String(length=8), nullable=False),
        sa.Column("hour", sa.Integer(), nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "day", "code", "hour", name=op.f("pk_chart_busy")),
    )

    op.create_table(
        "chart",
        sa.Column("chart_id", sa.String(length=32), nullable=False),
        sa.Column("owner", sa.String(length=20), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("formula_version", sa.Integer(), nullable=False),
        sa.Column("computed_at", sa.BigInteger(), nullable=False),
        sa.Column("votes", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("chart_id", name=op.f("pk_chart")),
    )
    op.create_index(op.f("ix_chart_owner_day"), "chart", ["owner", "day"], unique=True)

    op.create_table(
        "chart_entry",
        sa.Column("chart_id", sa.String(length=32), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(length=8), nullable=False),
        sa.Column("owner", sa.String(length=20), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("previous", sa.Integer(), nullable=True),
        sa.Column("peak", sa.Integer(), nullable=False),
        sa.Column("weeks", sa.Integer(), nullable=False),
        sa.Column("bursts", sa.Integer(), nullable=False),
        sa.Column("made", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["chart_id"], ["chart.chart_id"], name=op.f("fk_chart_entry_chart_id")
        ),
        sa.PrimaryKeyConstraint("chart_id", "rank", name=op.f("pk_chart_entry")),
    )
    op.create_index(
        op.f("ix_chart_entry_owner_code_day"),
        "chart_entry",
        ["owner", "code", "day"],
        unique=False,
    )
