"""Yangzhou's file, as its clerk writes it."""

from __future__ import annotations


def file(*editions: str, contact: str = "13905250000") -> str:
    return f'branch: yangzhou\ncontact: "{contact}"\neditions:\n' + "".join(editions)


def edition(songs: str, begins: str = "2026-11-23", more: str = "") -> str:
    return f"  - from: {begins}\n    songs: [{songs}]\n{more}"
