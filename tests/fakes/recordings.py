"""Recordings as a studio delivers them, and what is wrong with some."""

from __future__ import annotations

import subprocess
import wave
from pathlib import Path

import numpy as np

from audio.formats import Samples, from_samples

CD_HZ = 44_100


def a_melody(seconds: float, amplitude: float = 0.2, rate_hz: int = 8000, key: int = 0) -> Samples:
    """Notes of a quarter of a second, each struck: nothing in it is silent, clipped or a key."""
    time = np.arange(int(seconds * rate_hz)) / rate_hz
    notes = 330 * 2 ** ((np.floor(time * 4) * 5 % 12 + key) / 12)
    phase = 2 * np.pi * np.cumsum(notes) / rate_hz
    struck = 0.3 + 0.7 * np.exp(-6 * (time * 4 % 1))
    return np.asarray(amplitude * struck * (0.7 * np.sin(phase) + 0.3 * np.sin(3 * phase)))


def silence(seconds: float, rate_hz: int = 8000) -> Samples:
    """Nothing."""
    return np.zeros(int(seconds * rate_hz))


def a_digit(row: float, column: float, seconds: float, rate_hz: int = 8000) -> Samples:
    """Two frequencies as a telephone's key sends them."""
    time = np.arange(int(seconds * rate_hz)) / rate_hz
    low, high = np.sin(2 * np.pi * row * time), np.sin(2 * np.pi * column * time)
    return np.asarray(0.2 * low + 0.2 * high)


def recorded(path: Path, *parts: Samples, rate_hz: int = 8000, channels: int = 1) -> Path:
    """Write a 16-bit .wav of these sounds, one after the other, alike in all channels."""
    pcm = from_samples(np.repeat(np.concatenate(parts), channels))
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(2)
        sound.setframerate(rate_hz)
        sound.writeframes(pcm)
    return path


def encoded(recording: Path, ending: str, *options: str) -> Path:
    """Let ffmpeg make another format of a recording."""
    made = recording.with_suffix(f".{ending}")
    subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", "-y", "-i", str(recording), *options, str(made)],
        check=True,
    )
    return made
