"""Editions with their history: what the draft said, why, and what it changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ADDED = (
    sa.Column("origin", sa.String(length=10), server_default="file", nullable=False),
    sa.Column("reason", sa.String(length=200), server_default=sa.text("''"), nullable=False),
    sa.Column("said_from", sa.BigInteger(), server_default="0", nullable=False),
    sa.Column("said_at", sa.BigInteger(), server_default="0", nullable=False),
    sa.Column("draft", sa.Text(), server_default=sa.text("''"), nullable=False),
    sa.Column("difference", sa.Text(), server_default=sa.text("''"), nullable=False),
    sa.Column("contact", sa.String(length=13), server_default=sa.text("''"), nullable=False),
)


def upgrade() -> None:
    """See the title."""
    for column in _ADDED:
        op.add_column("edition", column)
    op.execute("UPDATE edition SET said_from = valid_from, said_at = published_at")
    op.create_index("uq_edition_owner_checksum", "edition", ["owner", "checksum"], unique=True)
