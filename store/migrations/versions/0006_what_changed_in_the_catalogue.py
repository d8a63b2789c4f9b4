"""What changed in the catalogue, and in which of its versions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """See the title."""
    op.add_column("tone", sa.Column("changed_in", sa.Integer(), nullable=True))
    op.execute("UPDATE tone SET changed_in = coalesce((SELECT version FROM catalogue_version), 0)")
    op.create_index(op.f("ix_tone_changed_in_code"), "tone", ["changed_in", "code"], unique=False)
