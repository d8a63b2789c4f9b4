"""Writes the next revision from what store.schema has and the newest revision has not.

    python -m store.migrations "Gifts and renewals"

Look at what it wrote, add what Alembic cannot see (conditions of indexes, data to carry over), and
set `store.migrations.HEAD`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.script import ScriptDirectory

from store.engine import engine_for
from store.migrations import scripts, upgrade


def main(message: str) -> None:
    """Write `versions/NNNN_message.py`."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'newest.db'}"
        upgrade(url)
        engine = engine_for(url)
        with engine.begin() as connection:
            config = scripts(connection)
            number = 1 + int(ScriptDirectory.from_config(config).get_current_head() or 0)
            command.revision(config, message, autogenerate=True, rev_id=f"{number:04}")
        engine.dispose()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
