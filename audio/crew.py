"""crew.py: work dealt to a few processes; one that dies costs its own piece and no other.

`concurrent.futures` gives up all that is waiting when one worker is killed, and does not say at
which piece; an import of a thousand recordings must know it.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_fork = get_context("fork")  # a worker has at once what is imported already: seconds for each


@dataclass(frozen=True, slots=True)
class Failed:
    """A piece of work that came to nothing, and why, in words."""

    why: str


@dataclass(slots=True)
class _Worker:
    process: ForkProcess
    pipe: Connection
    piece: int | None = field(default=None)


class Crew(Generic[T, R]):
    """So many processes that do `work`, one piece at a time each."""

    def __init__(self, work: Callable[[T], R], size: int) -> None:
        self._work = work
        self._size = size
        self._workers: list[_Worker] = []

    def do_all(self, pieces: Sequence[T]) -> Generator[tuple[int, R | Failed], None, None]:
        """Yield each piece's index and what came of it, as they are done.

        A worker that is killed, or runs out of memory, has failed its piece, and another takes its
        place. Who closes the iterator gets it back when the pieces just begun are done.
        """
        waiting = iter(range(len(pieces)))
        try:
            for _ in range(min(self._size, len(pieces))):
                self._give(self._hire(), pieces, waiting)
            while any(worker.piece is not None for worker in self._workers):
                for worker in self._ready():
                    piece = worker.piece
                    outcome = self._outcome(worker)
                    if piece is None:
                        continue
                    successor = worker if worker in self._workers else self._hire()
                    self._give(successor, pieces, waiting)
                    yield piece, outcome
        finally:
            self._dismiss()

    def _hire(self) -> _Worker:
        ours, theirs = _fork.Pipe()
        inherited = [ours, *(worker.pipe for worker in self._workers)]
        process = _fork.Process(target=_serve, args=(self._work, theirs, inherited), daemon=False)
        process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def _give(self, worker: _Worker, pieces: Sequence[T], waiting: Iterator[int]) -> None:
        worker.piece = next(waiting, None)
        if worker.piece is not None:
            with suppress(BrokenPipeError):  # it died in between: its end of the pipe says so
                worker.pipe.send(pieces[worker.piece])

    def _ready(self) -> list[_Worker]:
        # A dead worker's pipe is ready too: it reads as ended.
        busy = {worker.pipe: worker for worker in self._workers if worker.piece is not None}
        return [busy[pipe] for pipe in wait(list(busy)) if isinstance(pipe, Connection)]

    def _outcome(self, worker: _Worker) -> R | Failed:
        try:
            outcome: R | Failed = worker.pipe.recv()
        except (EOFError, OSError):
            self._workers.remove(worker)
            worker.pipe.close()
            worker.process.join()
            return Failed(_last_words(worker.process.exitcode))
        return outcome

    def _dismiss(self) -> None:
        for worker in self._workers:
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join()
        self._workers.clear()


def _last_words(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        out_of_memory = "; perhaps there was not enough memory" if name == "SIGKILL" else ""
        return f"the process that worked on it was ended by {name}{out_of_memory}"
    return f"the process that worked on it ended with status {exitcode}"


def _serve(work: Callable[[T], R], pipe: Connection, inherited: Sequence[Connection]) -> None:
    """Do one piece after the other until nobody is there any more to want them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to act on
    for other in inherited:
        other.close()
    while True:
        try:
            piece: T = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            outcome: R | Failed = work(piece)
        except Exception as error:  # the edge of the process: one piece's failure, in words
            outcome = Failed(f"{type(error).__name__}: {error}")
        try:
            pipe.send(outcome)
        except OSError:
            return
