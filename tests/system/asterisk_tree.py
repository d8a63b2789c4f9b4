"""The Asterisk and SIPp that tests run: unpacked once below the user's cache, run in place.

``python -m tests.system.asterisk_tree`` is what ``make asterisk`` does. Debian's own packages are
fetched with apt and unpacked with dpkg-deb into a folder: nothing is installed, no root is needed,
no package script runs. Programs start through the tree's own loader, so the machine's C library
does not matter. Debian 12 has no Asterisk: the suites that do are tried newest first.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

SUITES = ("forky", "sid", "bullseye")
PACKAGES = ("asterisk", "sip-tester")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
FETCH_TIMEOUT_S = 900


class TreeUnavailable(Exception):
    """There is no Asterisk to run; the sentence says what to do."""


@dataclass(frozen=True, slots=True)
class AsteriskTree:
    """An unpacked Debian tree. ``loader`` and ``libraries`` are relative to ``root``."""

    root: Path
    suite: str
    asterisk_version: str
    sipp_version: str
    loader: str
    libraries: tuple[str, ...]

    def command(self, program: str, *arguments: str) -> list[str]:
        """Words that run ``program`` (a path in the tree, ``usr/sbin/asterisk``) from the tree."""
        library_path = ":".join(str(self.root / folder) for folder in self.libraries)
        return [
            str(self.root / self.loader),
            *("--library-path", library_path, str(self.root / program)),
            *arguments,
        ]

    def modules(self) -> Path:
        """The folder of Asterisk's loadable modules; in bullseye it is in no multiarch folder."""
        return next(self.root.glob("usr/lib/**/asterisk/modules"))


def cache_folder() -> Path:
    """Where trees are kept between checkouts."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "toneline" / "asterisk"


def find_tree(cache: Path | None = None) -> AsteriskTree:
    """The unpacked tree. Raises TreeUnavailable when ``make asterisk`` has not been run."""
    root = (cache or cache_folder()) / "tree"
    try:
        facts = json.loads((root / "tree.json").read_text(encoding="utf-8"))
        return AsteriskTree(root=root, **{**facts, "libraries": tuple(facts["libraries"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise TreeUnavailable(
            f"no Asterisk is unpacked in {root}: run `make asterisk` (it needs no root)"
        ) from error


def unpack_tree(cache: Path | None = None) -> AsteriskTree:
    """Fetch and unpack the tree unless it is there; two runs at once wait for each other."""
    cache = cache or cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "lock"):
        try:
            tree = find_tree(cache)
        except TreeUnavailable:
            tree = _unpack_first_suite(cache)
    return tree


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another run is unpacking Asterisk: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _unpack_first_suite(cache: Path) -> AsteriskTree:
    _require_programs()
    mirror = debian_mirror()
    for suite in SUITES:
        work = Path(tempfile.mkdtemp(prefix=f"{suite}-", dir=cache))
        try:
            tree = _unpack(suite, mirror, work)
            shutil.rmtree(cache / "tree", ignore_errors=True)
            (work / "tree").rename(cache / "tree")
            _say(f"Asterisk {tree.asterisk_version} and SIPp {tree.sipp_version} are in {cache}")
            return find_tree(cache)
        except (subprocess.SubprocessError, OSError) as error:
            _say(f"could not unpack Asterisk from {suite}: {_reason(error)}")
        finally:
            shutil.rmtree(work, ignore_errors=True)
    raise TreeUnavailable("no Debian suite gave an Asterisk; the reasons stand above")


def _require_programs() -> None:
    missing = [name for name in ("apt-get", "dpkg-deb", "dpkg") if shutil.which(name) is None]
    if missing:
        raise TreeUnavailable(
            f"{' and '.join(missing)} not found: install the Debian packages apt and dpkg"
        )


def debian_mirror() -> str:
    """The mirror of apt's own configuration. Raises TreeUnavailable if none serves Debian."""
    return pick_mirror(_output("apt-get", "update", "--print-uris"))


def pick_mirror(listing: str) -> str:
    """The first archive named debian in what ``apt-get update --print-uris`` prints."""
    found = re.search(r"^'(\S+/debian/?)dists/", listing, re.MULTILINE)
    if found is None:
        raise TreeUnavailable("apt knows no Debian mirror: add one to /etc/apt/sources.list")
    return found[1]


def _unpack(suite: str, mirror: str, work: Path) -> AsteriskTree:
    _say(f"fetching {' and '.join(PACKAGES)} from Debian {suite} (90 MB)")
    packages = _fetch(suite, mirror, work)
    _say(f"unpacking {len(packages)} packages (300 MB)")
    root = work / "tree"
    root.mkdir()
    for package in packages:
        _output("dpkg-deb", "-x", str(package), str(root))
    tree = _describe(suite, root)
    facts = {key: value for key, value in asdict(tree).items() if key != "root"}
    (root / "tree.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    return tree


def _fetch(suite: str, mirror: str, work: Path) -> list[Path]:
    """Download PACKAGES with all they need, as apt would for an empty machine."""
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    (work / "state/status").touch()
    option = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
    source = f"deb {option}{mirror} {suite} main\n"
    (work / "sources.list").write_text(source, encoding="utf-8")
    options = {
        "Dir::State": f"{work}/state/",
        "Dir::State::status": f"{work}/state/status",
        "Dir::Cache": f"{work}/cache/",
        "Dir::Etc::sourcelist": f"{work}/sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "APT::Sandbox::User": "",
        "APT::Install-Recommends": "false",
        "Acquire::Check-Valid-Until": "false",  # a testing suite's Release file may be old
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
    }
    apt = ["apt-get", "-q", *(word for k, v in options.items() for word in ("-o", f"{k}={v}"))]
    _output(*apt, "update", "--error-on=any")
    _output(*apt, "install", "--yes", "--download-only", *PACKAGES)
    return sorted((work / "cache/archives").glob("*.deb"))


def _describe(suite: str, root: Path) -> AsteriskTree:
    tree = AsteriskTree(
        root=root,
        suite=suite,
        asterisk_version="",
        sipp_version="",
        loader=_loader(root),
        libraries=_library_folders(root),
    )
    asterisk = _output(*tree.command("usr/sbin/asterisk", "-V")).split()[1]
    # SIPp prints its version with status 99
    sipp = subprocess.run(
        tree.command("usr/bin/sipp", "-v"), capture_output=True, text=True, timeout=30, check=False
    )
    return AsteriskTree(
        root=root,
        suite=suite,
        asterisk_version=asterisk.split("+")[0].split("~")[0],
        sipp_version=sipp.stdout.split()[1].partition("-")[0].removeprefix("v"),
        loader=tree.loader,
        libraries=tree.libraries,
    )


def _loader(root: Path) -> str:
    for pattern in ("usr/lib/*-linux-gnu*/ld-linux*.so.*", "lib/*-linux-gnu*/ld-[0-9]*.so"):
        for path in root.glob(pattern):
            return str(path.relative_to(root))
    raise FileNotFoundError(f"no program loader below {root}")


def _library_folders(root: Path) -> tuple[str, ...]:
    patterns = ("lib/*-linux-gnu*", "usr/lib/*-linux-gnu*", "usr/lib")
    return tuple(
        str(path.relative_to(root)) for pattern in patterns for path in sorted(root.glob(pattern))
    )


def _output(*command: str) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=FETCH_TIMEOUT_S,
        check=True,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
    )
    return done.stdout


def _reason(error: Exception) -> str:
    lines = str(getattr(error, "stderr", "") or error).strip().splitlines()
    return next((line for line in lines if line.startswith("E:")), lines[-1] if lines else "failed")


def _say(sentence: str) -> None:
    sys.stdout.write(f"asterisk: {sentence}\n")
    sys.stdout.flush()


def main() -> int:
    """Unpack, or tell on standard error why not."""
    try:
        tree = unpack_tree()
    except TreeUnavailable as error:
        sys.stderr.write(f"asterisk: {error}\n")
        return 1
    _say(f"ready: Asterisk {tree.asterisk_version} (Debian {tree.suite}), SIPp {tree.sipp_version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
