from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import Logger
from twisted.python.failure import Failure

from toneline.logs import TwistedEvents, configure_logs, mask_numbers


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    logging.basicConfig(force=True, handlers=[logging.NullHandler()])


def logged(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("8613905250001", "139****0001"),
        ("from +8613905250001 to 12530019", "from 139****0001 to 12530019"),
        ("sip:13905250001@10.0.0.1", "sip:139****0001@10.0.0.1"),
        ("5d413905250001abcc4b2a76b9719d91", "5d413905250001abcc4b2a76b9719d91"),
    ],
)
def test_mobile_numbers_are_masked_wherever_they_stand(said: str, shown: str) -> None:
    assert mask_numbers(None, "", {"text": said, "n": 1}) == {"text": shown, "n": 1}


def test_numbers_within_lists_and_mappings_are_masked_too() -> None:
    event = {"codes": ["13812345678", 3], "by": ({"8613905250001": ["13905250001"]},)}
    assert mask_numbers(None, "", event) == {
        "codes": ["138****5678", 3],
        "by": [{"139****0001": ["139****0001"]}],
    }


def test_numbers_within_what_python_alone_can_show_are_masked_too() -> None:
    shown = mask_numbers(None, "", {"what": {"13905250001"}, "by": [ValueError("13905250001")]})
    assert shown == {"what": "{'139****0001'}", "by": ["ValueError('139****0001')"]}


@given(st.text(alphabet="0123456789 ", max_size=5))
def test_no_log_shows_a_whole_number(around: str) -> None:
    masked = mask_numbers(None, "", {"text": f"{around} 13905250001 {around}"})
    assert "13905250001" not in masked["text"]


def test_an_event_is_one_line_of_json() -> None:
    stream = io.StringIO()
    configure_logs("info", "json", stream)
    structlog.get_logger().info("call_ended", caller="13905250001", seconds=3)
    structlog.get_logger().debug("chatter")
    (event,) = logged(stream)
    assert event["event"] == "call_ended"
    assert event["caller"] == "139****0001"
    assert event["level"] == "info"


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize(
    "value", ["\n13905250001", ["13905250001"], {"13905250001"}, ValueError("86 13905250001")]
)
def test_no_form_of_a_log_shows_a_whole_number(form: str, value: object) -> None:
    stream = io.StringIO()
    configure_logs("info", form, stream)
    structlog.get_logger().info("odd", value=value)
    assert "139****0001" in stream.getvalue()


def test_a_value_that_json_does_not_know_is_logged_all_the_same() -> None:
    stream = io.StringIO()
    configure_logs("info", "json", stream)
    structlog.get_logger().info("odd", codes=("茉莉花",), what={1029})
    assert '"codes": ["茉莉花"]' in stream.getvalue()
    assert logged(stream)[0]["what"] == "{1029}"


def test_what_a_process_is_stands_in_each_of_its_events_whoever_logs() -> None:
    stream = io.StringIO()
    configure_logs("info", "json", stream, {"worker": 2})
    structlog.get_logger().info("call_ended")
    logging.getLogger("apscheduler").warning("missed")
    assert [event["worker"] for event in logged(stream)] == [2, 2]


def test_people_may_read_the_console_form() -> None:
    stream = io.StringIO()
    configure_logs("debug", "console", stream)
    structlog.get_logger().debug("call_ended")
    assert "call_ended" in stream.getvalue()


def test_the_standard_librarys_warnings_come_in_the_same_form() -> None:
    stream = io.StringIO()
    configure_logs("info", "json", stream)
    logging.getLogger("apscheduler").warning("missed by %s", "13905250001")
    (event,) = logged(stream)
    assert event["event"] == "missed by 139****0001"


def test_twisteds_failures_come_with_their_traceback_and_its_chatter_does_not() -> None:
    stream = io.StringIO()
    configure_logs("info", "json", stream)
    observer: Any = TwistedEvents()
    twisted = Logger(observer=observer)
    twisted.info("Starting factory")
    twisted.warn("odd")
    try:
        int("nobody caught this")
    except ValueError:
        twisted.failure("Unhandled error in Deferred", Failure())
    odd, failure = logged(stream)
    assert odd["detail"] == "odd"
    assert "nobody caught this" in failure["exception"]
