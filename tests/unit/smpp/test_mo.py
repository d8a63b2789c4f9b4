from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred, fail, succeed

from catalog.snapshot import Snapshot
from ordering import orders
from smpp import answers
from smpp.messages import MoMessage
from smpp.text import Part
from store.database import StoreUnavailable
from store.schema import question
from store.wire import Codec
from tests.fakes.messages import MSISDN
from tests.fakes.shortcode import RULES, TEXTS, FakeConnection, ShortCode, done

# ---------------------------------------------------------------- who is answered


@pytest.mark.parametrize(
    "source", ["10086", "12530019", "ALIPAY", "", "02584200000", "1440000000000"]
)
def test_who_is_no_mobile_is_recorded_and_not_answered(line: ShortCode, source: str) -> None:
    assert line.text("1029", source=source) == ""
    assert line.received()[0].outcome == "no_mobile"


def test_over_twenty_a_minute_only_cancelling_and_refusing_go_on(line: ShortCode) -> None:
    line.order("1029")
    for _ in range(18):
        line.text("CX")
    assert line.text("CX") == ""
    assert line.text("1041") == ""
    assert line.text("TD 1029").startswith("已退订")
    assert line.text("R").startswith("不再向您推荐")
    assert [row.outcome for row in line.received()[20:22]] == ["flood", "flood"]
    line.wait(1)
    assert line.text("CX") != ""


def test_what_a_flood_asks_for_is_not_looked_up(line: ShortCode) -> None:
    looked_up = []

    def counted() -> Snapshot:
        looked_up.append(1)
        return line.snapshot()

    line.with_(snapshot=counted)
    answered = [line.text("CX 茉莉花") for _ in range(50)]
    assert len([one for one in answered if one]) == len(looked_up) == 20


def test_the_longest_of_texts_costs_no_more_than_a_short_answer(line: ShortCode) -> None:
    for words in ("Y" + "9" * 159, "Y" + "9" * 4000, "CX " + "茉莉 " * 9000, "TD" + "8" * 900):
        line.wait(10)
        line.text(words)
    assert all(len(row.text) <= 70 for row in line.answers())


def test_a_flood_raises_one_alarm(line: ShortCode) -> None:
    with capture_logs() as logs:
        for number in range(50):
            line.text("CX", source=MSISDN)
            line.now += timedelta(seconds=number % 2)
    assert [entry["event"] for entry in logs].count("mo_flood") == 1
    line.wait(120)
    with capture_logs() as logs:
        for _ in range(22):
            line.text("CX")
    assert [entry["event"] for entry in logs].count("mo_flood") == 1


def test_our_own_text_that_comes_back_is_not_answered(line: ShortCode) -> None:
    line.order("1029")
    notice = line.answers()[-1].text
    assert "退订" in notice
    for passed_on in (notice, f"转发:{notice}"):
        assert line.text(passed_on) == ""
        assert line.received()[-1].outcome == "echo"
    assert line.orders() == {"1029": "confirmed"}
    line.with_(texts=replace(TEXTS, signature=""))
    assert line.text("CX") != ""


# ---------------------------------------------------------------- the edge


def test_a_message_is_recorded_as_it_came(line: ShortCode) -> None:
    line.text("１０２９\x00", source="+8613905250001", destination="8612530019")
    (row,) = line.received()
    assert (row.msisdn, row.destination, row.text) == (MSISDN, "12530019", "１０２９\ufffd")
    assert (row.intent, row.outcome, row.repeated) == ("ask", "question", 0)


def test_an_unknown_destination_is_answered_from_the_first_short_code(line: ShortCode) -> None:
    line.text("CX", destination="999")
    assert line.answers()[0].sender == "12530019"


def test_a_sender_that_is_set_is_used(line: ShortCode) -> None:
    line.with_(rules=replace(RULES, sender="1065812530019"))
    line.text("CX")
    assert line.answers()[0].sender == "1065812530019"


# ---------------------------------------------------------------- repeated by the SMSC


def test_a_message_repeated_with_the_smsc_s_own_id_does_its_work_once(line: ShortCode) -> None:
    line.text("1029", message_id="m1")
    assert line.text("1029", message_id="m1") == ""
    line.text("Y", message_id="m2")
    assert line.text("Y", message_id="m2") == ""
    assert line.text("Y", message_id="m2") == ""
    assert [row.repeated for row in line.received()] == [1, 2]
    assert line.rows(select(func.count()).select_from(question))[0][0] == 1


def test_a_repetition_is_known_by_its_id_whatever_came_in_between(line: ShortCode) -> None:
    line.text("1029", message_id="m1")
    line.text("Y", message_id="m2")
    line.text("1041", message_id="m3")
    assert line.text("Y", message_id="m2") == ""
    assert line.orders() == {"1029": "confirmed"}
    line.text("Y", message_id="m4")
    line.text("0", message_id="m5")
    assert line.text("Y", message_id="m4") == ""
    assert line.orders() == {"1029": "confirmed", "1041": "undone"}


def test_a_very_long_id_is_an_id_all_the_same(line: ShortCode) -> None:
    line.text("CX", message_id="0" * 1000)
    assert line.text("CX", message_id="0" * 1000) == ""
    assert line.text("CX", message_id="0" * 999 + "1") != ""


def test_another_id_makes_it_a_message_of_its_own(line: ShortCode) -> None:
    line.connection = FakeConnection(is_closed=True)
    line.text("CX", message_id="m1")
    assert line.text("CX", message_id="m2") != ""


def test_the_same_again_after_the_response_left_is_a_message_of_its_own(line: ShortCode) -> None:
    for words in ("1029", "Y", "CX"):
        assert line.text(words) != ""
        assert line.text(words) != ""
    assert [row.repeated for row in line.received()] == [0] * 6
    assert list(line.orders()) == ["1029"]


def test_the_same_again_while_the_response_is_not_known_to_have_left_is_the_first_copy(
    line: ShortCode,
) -> None:
    line.connection = FakeConnection(is_closed=True)
    line.order("1029", "1041")
    line.text("0000")
    assert line.text("1").startswith("已退订《茉莉花》")
    assert line.text("1") == ""
    assert line.orders() == {"1029": "cancelled", "1041": "confirmed"}
    assert line.received()[-1].repeated == 1


def test_a_repeat_that_was_answered_ends_the_doubt(line: ShortCode) -> None:
    line.connection = FakeConnection(is_closed=True)
    line.text("CX")
    line.connection = FakeConnection()
    assert line.text("CX") == ""
    assert line.text("CX") != ""


def test_another_message_in_between_makes_it_a_message_of_its_own(line: ShortCode) -> None:
    line.connection = FakeConnection(is_closed=True)
    line.text("CX")
    line.text("BZ")
    assert line.text("CX") != ""


@pytest.mark.parametrize(
    "change",
    [{"smsc": "other"}, {"destination": "10658830"}, {"source": "13905250002"}, {"raw": b"CX "}],
)
def test_what_differs_is_no_repeat(line: ShortCode, change: dict[str, Any]) -> None:
    line.connection = FakeConnection(is_closed=True)
    line.with_(short_codes=["12530019", "10658830"])
    first = MoMessage("smsc", MSISDN, "12530019", b"CX", 0, line.now)
    line.deliver(first)
    line.deliver(replace(first, received_at=line.now + timedelta(seconds=1), **change))
    assert len(line.answers()) == 2


def test_three_days_later_nothing_is_a_repeat(line: ShortCode) -> None:
    line.connection = FakeConnection(is_closed=True)
    line.text("CX")
    line.wait(72 * 60)
    assert line.text("CX") != ""


def test_a_response_that_left_is_known_when_the_process_has_ended(line: ShortCode) -> None:
    line.text("CX")
    line.with_()
    assert line.text("CX") != ""


def test_a_response_whose_connection_was_lost_is_not_known_to_have_left(line: ShortCode) -> None:
    line.text("CX")
    line.connection.is_closed = True
    line.connection = FakeConnection()
    assert line.text("CX") == ""


def test_what_left_is_told_again_when_the_store_could_not_hear_it(line: ShortCode) -> None:
    line.text("CX")
    line.wait(1)
    lost: Any = Lost()
    real, line.service.database = line.service.database, lost
    with pytest.raises(StoreUnavailable):
        done(line.service.note_responses())
    line.service.database = real
    done(line.service.note_responses())
    assert [row.responded for row in line.received()] == [True]


def test_a_response_is_noted_when_its_connection_has_lived_on_for_a_second(line: ShortCode) -> None:
    line.text("CX")
    done(line.service.note_responses())
    assert [row.responded for row in line.received()] == [False]
    line.now += timedelta(seconds=1)
    done(line.service.note_responses())
    assert [row.responded for row in line.received()] == [True]


# ---------------------------------------------------------------- the store


class Lost:
    """A store that cannot answer."""

    def run(self, *_: object) -> Deferred[Any]:
        return fail(StoreUnavailable("the disk is full"))

    def on_change(self, topic: str, callback: Any) -> Any:
        raise NotImplementedError


def test_a_store_that_cannot_answer_makes_the_smsc_send_again(line: ShortCode) -> None:
    line.with_(database=Lost())
    for part in (None, Part(7, 2, 1)):
        message = MoMessage("smsc", MSISDN, "12530019", b"CX", 0, line.now, part=part)
        with pytest.raises(StoreUnavailable):
            done(line.service.receive(message))


def test_a_long_message_that_failed_between_two_tries_is_answered_when_it_comes_again(
    line: ShortCode,
) -> None:
    class DyingAtTheSecondTry:
        tries = 0

        def run(self, function: Any, *values: object) -> Deferred[Any]:
            self.tries += function is answers.answer
            if function is answers.answer and self.tries == 2:
                return fail(StoreUnavailable("it was killed"))
            return line.database.run(function, *values)

        def on_change(self, topic: str, callback: Any) -> Any:
            raise NotImplementedError

    line.text("1029")
    first, last = (
        MoMessage("smsc", MSISDN, "12530019", octets, 0, line.now, part=Part(7, 2, number))
        for number, octets in ((1, b"Y "), (2, b"!" * 100))
    )
    line.with_(database=DyingAtTheSecondTry())
    line.deliver(first)
    with pytest.raises(StoreUnavailable):
        line.deliver(last)
    line.deliver(last)
    assert line.orders() == {"1029": "confirmed"}
    line.deliver(last)
    line.wait(5)
    line.answer_overdue()
    assert [row.text[:2] for row in line.received()] == ["10", "Y "]


def test_the_store_is_given_the_texts_once(line: ShortCode) -> None:
    asked: list[str] = []

    class Counting:
        def run(self, function: Any, *values: object) -> Deferred[Any]:
            asked.append(function.__name__)
            return line.database.run(function, *values)

        def on_change(self, topic: str, callback: Any) -> Any:
            raise NotImplementedError

    engine = line.database.engine.dialect.name  # terms that no other test has
    line.with_(database=Counting(), rules=replace(RULES, line=f"12530{len(engine)}"))
    line.text("CX")
    line.text("TD")
    assert asked == ["answer", "learn", "answer", "answer"]


def test_all_that_goes_to_the_store_process_and_back_is_known_there(line: ShortCode) -> None:
    codec = Codec(["catalog", "ordering", "smpp"])

    class Distant:
        def run(self, function: Any, *values: object) -> Deferred[Any]:
            arrived = codec.loads(codec.dumps(values))
            assert arrived == values
            answered = line.database.run_now(function, *arrived)
            return succeed(codec.loads(codec.dumps(answered)))

    distant: Any = Distant()
    line.with_(database=distant)
    assert line.text("1029").startswith("《茉莉花》")
    assert line.text("Y").startswith("已订购")
    assert line.text("CX 茉莉花").startswith("找到")


def test_the_log_tells_of_every_message_with_its_number_masked(line: ShortCode) -> None:
    with capture_logs() as logs:
        line.text("1029")
    assert logs == [
        {
            "event": "mo",
            "log_level": "info",
            "mo_id": f"{1:032x}",
            "smsc": "smsc",
            "msisdn": "139****0001",
            "intent": "ask",
            "codes": ("1029",),
            "outcome": "question",
            "repeated": False,
            "missing_parts": 0,
        }
    ]


def test_orders_by_sms_keep_what_was_answered(line: ShortCode) -> None:
    line.text("1029")
    line.text("是的")
    with line.database.engine.connect() as connection:
        (order,) = orders.orders_of(connection, MSISDN)
    assert (order.channel, order.pays_fen, order.tier) == ("sms", 200, "visitor")
    assert order.confirmed_at == line.now
