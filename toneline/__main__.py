"""`python -m toneline` is the `toneline` command."""

from __future__ import annotations

from toneline.cli import main

main()
