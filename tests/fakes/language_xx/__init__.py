"""A made-up second language, read digit by digit."""

from __future__ import annotations

from pathlib import Path

PROMPTS_TOML = Path(__file__).with_name("prompts.toml")
