"""The SHA-256 of what was played."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from twisted.internet.task import Clock

from ivr.fingerprints import TRUSTED_S, Fingerprints


def test_a_sounds_fingerprint_is_its_files_sha256(tmp_path: Path) -> None:
    (tmp_path / "menu.wav").write_bytes(b"sound")
    assert (
        Fingerprints(tmp_path, Clock().seconds).of("menu") == hashlib.sha256(b"sound").hexdigest()
    )


def test_a_replaced_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "menu.wav"
    file.write_bytes(b"sound")
    clock = Clock()
    fingerprints = Fingerprints(tmp_path, clock.seconds)
    fingerprints.of("menu")
    file.write_bytes(b"other")
    os.utime(file, ns=(1, 1))
    clock.advance(TRUSTED_S)
    assert fingerprints.of("menu") == hashlib.sha256(b"other").hexdigest()


def test_a_known_file_is_not_read_again(tmp_path: Path) -> None:
    file = tmp_path / "menu.wav"
    file.write_bytes(b"sound")
    os.utime(file, ns=(1, 1))
    clock = Clock()
    fingerprints = Fingerprints(tmp_path, clock.seconds)
    known = fingerprints.of("menu")
    file.write_bytes(b"sound, of the same length"[:5][::-1])
    os.utime(file, ns=(1, 1))
    clock.advance(TRUSTED_S)
    assert fingerprints.of("menu") == known


def test_a_missing_file_has_none(tmp_path: Path) -> None:
    assert Fingerprints(tmp_path, Clock().seconds).of("menu") == ""


def test_a_file_that_has_gone_has_none(tmp_path: Path) -> None:
    file = tmp_path / "menu.wav"
    file.write_bytes(b"sound")
    clock = Clock()
    fingerprints = Fingerprints(tmp_path, clock.seconds)
    fingerprints.of("menu")
    file.unlink()
    clock.advance(TRUSTED_S)
    assert fingerprints.of("menu") == ""
