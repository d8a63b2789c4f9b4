"""What goes over the store's socket: frames of pickled plain values and our own dataclasses.

A frame is the body's length, a kind and a request's id (`!IBQ`, big-endian), and the body.
`REQUEST`: the function's name, a NUL, its values. `VALUE` and `ERROR` answer the request of that
id. `CHANGED`: topics that a commit announced. Why pickle will do: docs/adr/0001-store-process.md.
"""

from __future__ import annotations

import dataclasses
import importlib
import io
import pickle
import struct
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, cast

from store.engine import StoreBusy, StoreError, StoreUnavailable

REQUEST, VALUE, ERROR, CHANGED = 1, 2, 3, 4
LONGEST_BODY = 64 * 1024 * 1024
HEADER = struct.Struct("!IBQ")
_PLAIN = frozenset(
    {
        ("builtins", "complex"),
        ("builtins", "frozenset"),
        ("builtins", "set"),
        ("datetime", "date"),
        ("datetime", "datetime"),
        ("datetime", "time"),
        ("datetime", "timedelta"),
        ("datetime", "timezone"),
        ("decimal", "Decimal"),
        ("pathlib", "PosixPath"),
        ("uuid", "UUID"),
    }
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_KINDS = {kind.__name__: kind for kind in (StoreError, StoreBusy, StoreUnavailable)}


class WireError(Exception):
    """The peer sent what no store or client of ours sends; the connection is of no more use."""


def frame(kind: int, request_id: int, body: bytes) -> bytes:
    """Return one frame.

    Raises:
        WireError: the body is longer than `LONGEST_BODY`.
    """
    if len(body) > LONGEST_BODY:
        raise WireError(f"{len(body)} bytes at once: {LONGEST_BODY} is the most")
    return HEADER.pack(len(body), kind, request_id) + body


class Frames:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, int, bytes]]:
        """Return `(kind, request_id, body)` of every frame that is complete now.

        Raises:
            WireError: a body is longer than `LONGEST_BODY`.
        """
        buffer = self._buffer
        buffer += data
        frames = []
        start = 0
        while len(buffer) - start >= HEADER.size:
            length, kind, request_id = HEADER.unpack_from(buffer, start)
            if length > LONGEST_BODY:
                raise WireError(f"a frame of {length} bytes: {LONGEST_BODY} is the most")
            end = start + HEADER.size + length
            if len(buffer) < end:
                break
            frames.append((kind, request_id, bytes(buffer[start + HEADER.size : end])))
            start = end
        del buffer[:start]
        return frames


def name_of(function: Callable[..., Any]) -> str:
    """Return the name a function is asked for by: `ordering.orders.place`.

    Raises:
        TypeError: it is no module-level function, so no other process could find it.
    """
    name: str = getattr(function, "__qualname__", "")
    if not name.isidentifier() or not getattr(function, "__module__", ""):
        raise TypeError(f"{function!r} is no module-level function: the store cannot find it")
    return f"{function.__module__}.{name}"


class Codec:
    """Values to bytes and back; only names below `packages` ever resolve.

    `packages` are modules or packages; values may be instances of any class in their top-level
    packages, functions must be in one of them or below it.
    """

    def __init__(self, packages: Iterable[str]) -> None:
        self._packages = tuple(packages)
        self._roots = frozenset(package.partition(".")[0] for package in self._packages)
        self._functions: dict[str, Callable[..., Any]] = {}
        self._classes: dict[tuple[str, str], Any] = {
            (__name__, made.__name__): self._make,
            (__name__, instant.__name__): instant,
        }

    def dumps(self, value: object) -> bytes:
        """Return the value as bytes; raises whatever pickling it raises."""
        file = io.BytesIO()
        pickler = pickle.Pickler(file, pickle.HIGHEST_PROTOCOL)
        pickler.dispatch_table = _REDUCERS
        pickler.dump(value)
        return file.getvalue()

    def loads(self, data: bytes) -> Any:
        """Return the value.

        Raises:
            WireError: the bytes are none, or name a class that is not on the list.
        """
        try:
            unpickler = _Unpickler(io.BytesIO(data))
            unpickler.find_class = self._class
            return unpickler.load()
        except WireError:
            raise
        except Exception as error:  # unpickling strange bytes may raise anything
            raise WireError(f"a frame cannot be read: {type(error).__name__}: {error}") from error

    def request(self, request_id: int, function: Callable[..., Any], values: object) -> bytes:
        """Return the frame that asks for `function(connection, *values)`."""
        return frame(REQUEST, request_id, name_of(function).encode() + b"\0" + self.dumps(values))

    def asked(self, body: bytes) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Return the function and the values that a `REQUEST` asks for.

        Raises:
            StoreError: the function or a value's class is not on the list.
        """
        name, _, values = body.partition(b"\0")
        function = self.function(name.decode(errors="replace"))
        try:
            return function, tuple(self.loads(values))
        except WireError as error:
            raise StoreError(
                f"the values for {function.__name__} cannot be read: {error}"
            ) from error

    def answer(self, request_id: int, value: object, error: StoreError | None) -> bytes:
        """Return the frame that answers a request; a value that cannot travel becomes an error."""
        if error is None:
            try:
                return frame(VALUE, request_id, self.dumps(value))
            except Exception as reason:  # pickling strange values may raise anything
                error = StoreError(f"it is done, but its result cannot be sent: {reason}")
        body = self.dumps((type(error).__name__, str(error), error.trace))
        return frame(ERROR, request_id, body)

    def error(self, body: bytes) -> StoreError:
        """Return the error that an `ERROR` frame carries."""
        kind, sentence, trace = self.loads(body)
        return _KINDS.get(kind, StoreError)(sentence, trace)

    def function(self, name: str) -> Callable[..., Any]:
        """Return the function of that name.

        Raises:
            StoreError: no listed module has it.
        """
        found = self._functions.get(name)
        if found is None:
            found = self._functions[name] = self._find(name)
        return found

    def _find(self, name: str) -> Callable[..., Any]:
        module_name, _, function_name = name.rpartition(".")
        if not self._is_listed(module_name):
            listed = ", ".join(self._packages)
            raise StoreError(f"{name} may not be called: the store's list is {listed}")
        try:
            found = getattr(importlib.import_module(module_name), function_name)
        except (ImportError, AttributeError) as error:
            raise StoreError(f"{name} is not there: {error}") from error
        if not callable(found) or isinstance(found, type) or found.__module__ != module_name:
            raise StoreError(f"{name} is no function of that module")
        return cast("Callable[..., Any]", found)

    def _is_listed(self, module: str) -> bool:
        return any(module == name or module.startswith(name + ".") for name in self._packages)

    def _make(self, name: tuple[str, str], *values: Any) -> Any:
        return (self._classes.get(name) or self._class(*name))(*values)

    def _class(self, module: str, name: str) -> Any:
        found = self._classes.get((module, name))
        if found is None:
            if (module, name) not in _PLAIN and module.partition(".")[0] not in self._roots:
                raise WireError(f"{module}.{name} is not on the store's list of classes")
            found = importlib.import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
            if not isinstance(found, type):
                raise WireError(f"{module}.{name} is no class")
            self._classes[module, name] = found
        return found


def made(name: tuple[str, str], *values: Any) -> Any:
    """Stand, in what is sent, for what makes a dataclass: `Codec` puts its own in this place."""
    raise NotImplementedError(f"{name}{values}")


def instant(microseconds: int) -> datetime:
    """Return the time so long after 1970 UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)


class _Reducers(dict[type, Callable[[Any], Any]]):
    """How values of each class are taken apart.

    A dataclass travels as its class' name and the arguments that make it again: three times as fast
    as the getters and setters of state that frozen dataclasses with slots have of their own, and
    twice as fast as with the class itself, which pickle looks up to be sure that it can be found.
    """

    def __missing__(self, kind: type) -> Callable[[Any], Any]:
        fields = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
        if len(fields) > 1 and all(field.init and not field.kw_only for field in fields):
            name = (kind.__module__, kind.__qualname__)
            values_of = attrgetter(*(field.name for field in fields))
            self[kind] = lambda value: (made, (name, *values_of(value)))
        else:
            self[kind] = _as_ever
        return self[kind]


def _as_ever(value: Any) -> Any:
    return value.__reduce_ex__(pickle.HIGHEST_PROTOCOL)


def _instant_or_not(value: datetime) -> Any:
    # Its time zone alone would take longer than most requests.
    if value.tzinfo is UTC:
        return instant, ((value - _EPOCH) // _MICROSECOND,)
    return _as_ever(value)


_REDUCERS = _Reducers({datetime: _instant_or_not})


class _Unpickler(pickle.Unpickler):
    find_class: Any  # whoever reads gives it his own: pickle's would find anything
