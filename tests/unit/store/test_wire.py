from __future__ import annotations

import pickle
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.engine import StoreBusy, StoreError, StoreUnavailable
from store.wire import ERROR, LONGEST_BODY, VALUE, Codec, Frames, WireError, frame, name_of
from tests.fakes import ledger


@dataclass(frozen=True, slots=True)
class Quote:
    tier: str
    until: date | None


codec = Codec(["tests.unit.store.test_wire", "tests.fakes.ledger"])


def a_function(connection: object) -> None: ...


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 2**64 - 1), st.binary(max_size=60))),
    st.lists(st.integers(1, 40)),
)
def test_frames_cut_anywhere_come_out_whole(
    frames: list[tuple[int, int, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(frame(*each) for each in frames)
    reader = Frames()
    received = []
    for size in cuts:
        received += reader.feed(stream[:size])
        stream = stream[size:]
    received += reader.feed(stream)
    assert received == frames


def test_a_length_beyond_all_measure_is_refused_before_it_is_waited_for() -> None:
    with pytest.raises(WireError, match="is the most"):
        Frames().feed((LONGEST_BODY + 1).to_bytes(4, "big") + b"\1" + b"\0" * 8)


def test_a_body_beyond_all_measure_is_not_sent() -> None:
    with pytest.raises(WireError, match="at once"):
        codec.request(1, a_function, (b"\0" * (LONGEST_BODY + 1),))
    [(answer, _, body)] = Frames().feed(codec.answer(1, b"\0" * (LONGEST_BODY + 1), None))
    assert answer == ERROR
    assert "at once" in str(codec.error(body))


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.binary()
    | st.dates()
    | st.datetimes(timezones=st.just(UTC) | st.none() | st.just(timezone(timedelta(hours=8))))
    | st.timedeltas()
    | st.builds(Quote, st.text(), st.none() | st.dates()),
    lambda inner: st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner) | st.lists(inner),
    max_leaves=12,
)


@given(plain)
def test_plain_values_and_our_dataclasses_come_back_equal(value: object) -> None:
    assert codec.loads(codec.dumps(value)) == value


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"garbage",
        pickle.dumps(print),
        pickle.dumps(pickle.loads),
        b"cos\nsystem\n(S'true'\ntR.",
        b"ctests.fakes.ledger\nenter\n(tR.",
        b"ctests.fakes.ledger\nnobody\n.",
        b"ctests.no_such_module\nName\n.",
        b"cstore.wire\nmade\n((Vos\nVsystem\ntVtrue\ntR.",
        b"cstore.wire\nmade\n((Vtests.fakes.ledger\nVenter\ntVx\ntR.",
        b"cstore.wire\nframe\n.",
    ],
)
def test_nothing_off_the_list_resolves(payload: bytes) -> None:
    with pytest.raises(WireError):
        codec.loads(payload)


def test_a_request_names_its_function_and_carries_its_values() -> None:
    moment = datetime(2026, 11, 22, tzinfo=UTC)
    [(_, request_id, body)] = Frames().feed(
        codec.request(3, ledger.enter, (moment, timedelta(seconds=1)))
    )
    function, values = codec.asked(body)
    assert request_id == 3
    assert function is ledger.enter
    assert values == (moment, timedelta(seconds=1))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("os.system", "may not be called"),
        ("tests.fakes.ledger_of_another.enter", "may not be called"),
        ("tests.fakes.ledger.nobody", "is not there"),
        ("tests.fakes.ledger.select", "is no function of that module"),
        ("tests.fakes.ledger.Entry", "is no function of that module"),
        ("tests.fakes.ledger.counter", "is no function of that module"),
        ("\xff", "may not be called"),
    ],
)
def test_a_function_off_the_list_is_refused_in_a_sentence(name: str, why: str) -> None:
    with pytest.raises(StoreError, match=why):
        codec.asked(name.encode("latin-1") + b"\0" + codec.dumps(()))


def test_values_of_a_class_off_the_list_are_refused_in_a_sentence() -> None:
    with pytest.raises(StoreError, match="the values for enter cannot be read"):
        codec.asked(b"tests.fakes.ledger.enter\0" + pickle.dumps((print,)))


@pytest.mark.parametrize("kind", [StoreError, StoreBusy, StoreUnavailable])
def test_an_error_comes_back_as_its_kind_with_sentence_and_trace(kind: type[StoreError]) -> None:
    [(answer, _, body)] = Frames().feed(codec.answer(1, None, kind("no", "line 1")))
    error = codec.error(body)
    assert answer == ERROR
    assert (type(error), str(error), error.trace) == (kind, "no", "line 1")


def test_a_value_that_cannot_travel_becomes_an_error() -> None:
    [(answer, _, body)] = Frames().feed(codec.answer(1, lambda: None, None))
    assert answer == ERROR
    assert "its result cannot be sent" in str(codec.error(body))
    [(answer, _, _)] = Frames().feed(codec.answer(1, Quote("member", None), None))
    assert answer == VALUE


def test_only_module_level_functions_have_a_name() -> None:
    assert name_of(a_function).endswith("test_wire.a_function")
    for nameless in (lambda: None, Quote.__init__, codec.dumps, object()):
        with pytest.raises(TypeError, match="no module-level function"):
            name_of(nameless)  # type: ignore[arg-type]
