"""A made-up second language: ten prompts, each a beep of its own pitch and under 0.2 s."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from audio.formats import RATE_HZ, from_samples, write_sound

LANGUAGE = "xx"
PROMPTS_TOML = Path(__file__).with_name("prompts.toml")
PROMPTS = tuple(f"d{digit}" for digit in range(10))


def beep(digit: int) -> bytes:
    """PCM of 120 ms, 400 to 1300 Hz: no pair of frequencies, so never a DTMF digit."""
    times = np.arange(RATE_HZ * 120 // 1000) / RATE_HZ
    return from_samples(0.2 * np.sin(2 * np.pi * (400 + 100 * digit) * times))


def write_sounds(sounds: Path) -> None:
    """Put the ten prompts where the language's stems point: <sounds>/prompts/xx/d0.wav ..."""
    for digit, prompt in enumerate(PROMPTS):
        write_sound(sounds / "prompts" / LANGUAGE / prompt, beep(digit))
