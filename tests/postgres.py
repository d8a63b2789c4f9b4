"""A PostgreSQL of the tests' own: on a free port, in a temporary folder, as a non-root user.

`with running() as postgres:` starts it and ends it; it also ends when the tests are killed.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psycopg

from tests.machine import install
from tests.ports import free_port

START_S = 60.0
_PR_SET_PDEATHSIG = 1
# Tests throw the data away, so nothing of it has to survive the machine; a bench's has.
_HASTY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresMissing(Exception):
    """There is no PostgreSQL here and it cannot be installed; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server; its superuser needs no password."""

    port: int
    pid: int

    def url(self, database: str) -> str:
        """Return the URL by which `store.engine.engine_for` opens the database."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def create(self, database: str, template: str = "template0") -> str:
        """Create a database as a copy of `template`; return its URL."""
        self._do(f'CREATE DATABASE "{database}" TEMPLATE "{template}"')
        return self.url(database)

    def drop(self, database: str) -> None:
        """Drop a database, and whoever is connected to it."""
        self._do(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def _do(self, statement: str) -> None:
        with _connect(self.port) as connection:
            connection.execute(statement.encode())


@contextmanager
def running(durable: bool = False) -> Iterator[Postgres]:
    """Start a server, yield it, stop it and delete its folder; `durable` for benches: with fsync.

    Raises:
        PostgresMissing: it is not installed, and we may not install it.
    """
    programs = _programs()
    user = _user()
    folder = Path(tempfile.mkdtemp(prefix="toneline-postgres-"))
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    try:
        _run(user, [str(programs / "initdb"), "-D", str(folder / "data"), *_INITDB])
        server, port = _start(programs, user, folder, {} if durable else _HASTY)
        try:
            yield Postgres(port, server.pid)
        finally:
            stop(server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_INITDB = [
    "--username=postgres",
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C.UTF-8",
    "--no-sync",
]


def stop(server: subprocess.Popen[bytes]) -> None:
    """Stop a server at once, whoever is connected."""
    if server.poll() is None:
        server.send_signal(signal.SIGINT)  # "fast": open transactions are rolled back
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.send_signal(signal.SIGQUIT)
            server.wait(20)


def _programs() -> Path:
    found = _installed()
    if found is None:
        install("postgresql")
        found = _installed()
    if found is None:
        raise PostgresMissing(
            "the tests need PostgreSQL's server programs (initdb, postgres), 13 or newer: "
            "as root, `apt-get install postgresql`"
        )
    return found


def _installed() -> Path | None:
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3])
    )
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb", path="/usr/local/bin:/usr/bin:" + os.environ.get("PATH", ""))
    return None if on_path is None else Path(on_path).resolve().parent


def _user() -> pwd.struct_passwd | None:
    """Whom to be: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return known.get("postgres") or known["nobody"]


def _start(
    programs: Path, user: pwd.struct_passwd | None, folder: Path, settings: dict[str, str]
) -> tuple[subprocess.Popen[bytes], int]:
    for _ in range(5):  # another program may take the free port before PostgreSQL does
        port = free_port()
        wanted = settings | {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
            "shared_buffers": "64MB",
            "max_connections": "60",
        }
        options = [word for name, value in wanted.items() for word in ("-c", f"{name}={value}")]
        arguments = [str(programs / "postgres"), "-D", str(folder / "data"), *options]
        with (folder / "log").open("wb") as log:
            server = _popen(user, arguments, log)
        if _answers(server, port):
            return server, port
        stop(server)
    raise PostgresMissing(f"PostgreSQL does not start: {(folder / 'log').read_text()}")


def _answers(server: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + START_S
    while server.poll() is None and time.monotonic() < deadline:
        try:
            _connect(port).close()
        except psycopg.OperationalError:
            time.sleep(0.02)
        else:
            return True
    return False


def _connect(port: int) -> psycopg.Connection:
    return psycopg.connect(
        host="127.0.0.1", port=port, user="postgres", dbname="postgres", autocommit=True
    )


def _run(user: pwd.struct_passwd | None, arguments: Sequence[str]) -> None:
    with tempfile.TemporaryFile() as log:
        status = _popen(user, arguments, log).wait()
        if status:
            log.seek(0)
            raise PostgresMissing(f"{arguments[0]}: status {status}: {log.read().decode()}")


def _popen(
    user: pwd.struct_passwd | None, arguments: Sequence[str], log: IO[bytes]
) -> subprocess.Popen[bytes]:
    prctl = ctypes.CDLL(None).prctl

    def die_with_the_tests() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)

    return subprocess.Popen(
        arguments,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        preexec_fn=die_with_the_tests,  # noqa: PLW1509  one system call, no lock
        user=None if user is None else user.pw_uid,
        group=None if user is None else user.pw_gid,
        extra_groups=None if user is None else [],
        env={"LC_ALL": "C.UTF-8", "PATH": os.environ.get("PATH", "/usr/bin")},
    )
