"""When a tone was retired, and why it is suspended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """See the title. Tones retired before count from the moment that their row changed last."""
    op.add_column("tone", sa.Column("retired_at", sa.BigInteger(), nullable=True))
    op.add_column("tone", sa.Column("reason", sa.String(length=100), nullable=True))
    op.execute("UPDATE tone SET retired_at = changed_at WHERE state = 'retired'")
