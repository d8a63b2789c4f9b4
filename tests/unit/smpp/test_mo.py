from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred, succeed

from catalog.tones import retire_tone
from ordering import contact, delivery, orders, outbox, subscribers
from ordering.provisioning import Quote
from smpp import answers
from smpp.grammar import parse
from smpp.messages import MoMessage
from smpp.turn import Incoming, LookedUp
from store.database import LocalDatabase, StoreUnavailable
from store.schema import consent, question
from store.wire import Codec
from tests.fakes.catalogue import a_tone
from tests.fakes.messages import MSISDN, an_offer
from tests.fakes.shortcode import RULES, TEXTS, ShortCode, SilentOperator


@pytest.fixture
def line(database: LocalDatabase) -> ShortCode:
    return ShortCode(database)


def send_offer(line: ShortCode) -> None:
    line.database.run_now(outbox.put, an_offer(), line.now)
    line.database.run_now(delivery.sent, "o1", (), line.now)


def opted_out(line: ShortCode) -> bool:
    return not line.database.run_now(contact.stop_offers, MSISDN, line.now)


# ---------------------------------------------------------------- asking


def test_a_code_is_answered_with_the_question(line: ShortCode) -> None:
    answer = line.text("1029")
    assert answer == (
        "《茉莉花》古筝:非会员2元,普通会员1.5元,高级会员1元,您付2元,期限:长期有效。"
        "确认60分钟内回Y1029,放弃回N。退订回TD"
    )
    assert line.orders() == {}
    row = line.answers()[0]
    assert (row.message_class, row.purpose, row.sender) == ("answer", "question", "12530019")
    assert row.expires_at - line.now == timedelta(minutes=60)
    assert line.kinds() == ["quote"]


def test_a_members_question_says_what_he_pays_and_until_when(line: ShortCode) -> None:
    line.database.run_now(subscribers.set_subscriber, MSISDN, line.now, "member")
    line.tones = (a_tone(licence_until=date(2027, 3, 1)),)
    assert "您付1.5元,期限:2027-03-01" in line.text("DG 1029")


def test_an_unknown_code_is_answered_with_the_nearest(line: ShortCode) -> None:
    assert line.text("1028") == "没有编码1028,您要的是1029《茉莉花》吗?请回编码"
    assert line.text("98765432") == "没有编码98765432的歌曲。查编码请回CX加歌名,或拨12530019"
    assert line.kinds() == []


def test_two_codes_are_answered_by_asking_for_one(line: ShortCode) -> None:
    assert line.text("1029 1041").startswith("一次请发一个歌曲编码")


def test_no_quote_no_question(line: ShortCode) -> None:
    line.with_operator(SilentOperator())
    assert line.text("1029") == "《茉莉花》暂时查不到您的资费,未订购,未收费。请稍后再试"
    assert line.text("Y") == "没有待确认的订购。订购回歌曲编码如1029,查询回CX,撤回回0,退订回TD"


@pytest.mark.parametrize(
    ("function", "state", "answer"),
    [
        ("on", "suspended", "您的号码已停机,暂不能订购,未收费。详询10086"),
        ("off", "active", "您未开通彩铃功能,未订购,未收费。开通请询10086"),
    ],
)
def test_who_may_not_order_is_told_why(
    line: ShortCode, function: subscribers.Function, state: subscribers.State, answer: str
) -> None:
    line.database.run_now(subscribers.set_subscriber, MSISDN, line.now, "visitor", function, state)
    assert line.text("1029") == answer
    assert line.rows(select(question)) == []
    assert line.kinds() == ["quote", "refused"]


def test_a_quote_that_refuses_without_a_reason_is_refused(line: ShortCode) -> None:
    class Sullen(SilentOperator):
        async def quote(self, msisdn: str, tone: Any) -> Any:
            return Quote(False, None, "visitor", tone.prices, 200)

    line.with_operator(Sullen())
    assert line.text("1029") == "您的号码暂不能订购,未收费。详询10086"


def test_what_he_has_or_is_getting_is_not_asked_again(line: ShortCode) -> None:
    line.order("1029")
    assert line.text("1029") == "《茉莉花》正在为您办理,无需再次确认,只收费一次"
    line.provision()
    assert line.text("1029") == "您已有《茉莉花》,无需再订,不重复收费。查我的彩铃回CX"


# ---------------------------------------------------------------- confirming


@pytest.mark.parametrize("words", ["Y", "是", "确认", "1", "Y1029", "ｙ１０２９", "回Y1029"])
def test_a_confirmation_orders_once_with_its_proof_and_its_notice(
    line: ShortCode, words: str
) -> None:
    asked = line.text("1029")
    assert line.text(words) == "已订购《茉莉花》2元。30分钟内回0撤回免费,退订回TD1029"
    assert line.orders() == {"1029": "confirmed"}
    (proof,) = line.rows(select(consent))
    assert json.loads(proof.shown)["text"].endswith(asked)
    assert proof.answer == words
    assert json.loads(proof.quote)["prices"] == {"visitor": 200, "member": 150, "senior": 100}
    notice = line.answers()[-1]
    assert (notice.message_class, notice.order_id) == ("order", proof.order_id)
    assert notice.expires_at - line.now == timedelta(hours=48)


def test_the_second_confirmation_hears_that_it_is_being_ordered(line: ShortCode) -> None:
    line.order("1029")
    for words in ("Y", "Y1029", "1"):
        assert line.text(words) == "《茉莉花》正在为您办理,无需再次确认,只收费一次"
    line.provision()
    assert line.text("Y").startswith("您已有《茉莉花》")
    assert list(line.orders()) == ["1029"]


def test_a_bare_y_with_two_questions_lists_the_words_and_orders_nothing(line: ShortCode) -> None:
    line.text("1029")
    line.text("1041")
    listed = "您有多首待确认,未收费。请回:Y1029《茉莉花》2元;Y1041《曲1041》2元;放弃回N加编码"
    assert line.text("Y") == listed
    assert line.text("1") == listed
    assert line.text("N") == listed
    assert line.orders() == {}
    assert "《曲1041》" in line.text("Y1041")
    assert line.text("Y").startswith("已订购《茉莉花》")
    assert set(line.orders()) == {"1029", "1041"}


def test_a_bare_y_after_its_time_orders_nothing(line: ShortCode) -> None:
    line.text("1029")
    line.wait(60)
    assert line.text("Y").startswith("没有待确认的订购")
    assert line.text("Y1029").startswith("《茉莉花》古筝")
    assert line.orders() == {}


def test_a_y_sent_before_the_question_was_asked_orders_nothing(line: ShortCode) -> None:
    before = line.now
    line.text("1029")
    assert line.text("Y", received_at=before).startswith("没有待确认的订购")


def test_a_y_with_a_code_that_was_not_asked_asks_for_it(line: ShortCode) -> None:
    line.text("1029")
    assert line.text("Y1041").startswith("《曲1041》")
    assert line.text("Y1042").startswith("没有编码1042")
    assert line.orders() == {}


def test_a_y_after_undoing_finds_nothing_open(line: ShortCode) -> None:
    line.order("1029")
    line.text("0")
    assert line.text("Y").startswith("没有待确认的订购")


def test_a_tone_retired_meanwhile_is_not_ordered(line: ShortCode) -> None:
    line.text("1029")
    line.database.run_now(retire_tone, "1029", line.now)
    assert line.text("Y") == "《茉莉花》版权到期,已停售,未收费。请选其他歌曲"
    assert line.orders() == {}


def test_over_the_days_limits_is_refused_with_where_to_ask(line: ShortCode) -> None:
    line.with_(rules=replace(RULES, limits=replace(RULES.limits, orders_per_day=1)))
    line.order("1029")
    line.text("1041")
    assert line.text("Y") == "您今天订购次数已达上限,未收费。请明天再订,详询10086"
    assert line.answers()[-1].purpose == "refused"
    line.with_(rules=replace(RULES, limits=replace(RULES.limits, spend_per_day_fen=300)))
    line.text("1055")
    assert line.text("Y1055") == "您今天订购金额已达上限,未收费。请明天再订,详询10086"


# ---------------------------------------------------------------- giving up, taking back


@pytest.mark.parametrize("words", ["N", "否", "放弃", "2", "N1029", "不要1029"])
def test_giving_up_closes_the_question(line: ShortCode, words: str) -> None:
    line.text("1029")
    assert line.text(words) == "已放弃订购《茉莉花》,未收费"
    assert line.text("Y").startswith("没有待确认的订购")


def test_n_to_nothing_says_so(line: ShortCode) -> None:
    assert line.text("N").startswith("没有待确认的订购")
    assert not opted_out(line)


def test_n_after_an_offer_means_no_more_offers(line: ShortCode) -> None:
    send_offer(line)
    assert line.text("N") == "不再向您推荐歌曲。订购和退订仍可使用,恢复推荐回TJ"
    assert line.text("N") == ""
    assert opted_out(line)


def test_n_to_a_question_is_no_answer_to_an_offer(line: ShortCode) -> None:
    send_offer(line)
    line.text("1029")
    assert line.text("N").startswith("已放弃订购")
    assert not opted_out(line)


@pytest.mark.parametrize("words", ["0", "CH", "撤回", "０"])
def test_the_last_order_is_taken_back(line: ShortCode, words: str) -> None:
    line.order("1029", "1041")
    assert line.text(words) == "已撤回《曲1041》,不收费"
    assert line.orders() == {"1029": "confirmed", "1041": "undone"}


def test_undo_counts_by_the_messages_own_time(line: ShortCode) -> None:
    line.order("1029")
    in_time = line.now + timedelta(minutes=30)
    line.wait(45)
    assert line.text("0").startswith("30分钟内没有可撤回的订购")
    assert line.text("0", received_at=in_time) == "已撤回《茉莉花》,不收费"


# ---------------------------------------------------------------- looking up


def test_my_tones(line: ShortCode) -> None:
    assert line.text("CX") == "您还没有订购彩铃。选歌请拨12530019,免费试听"
    line.order("1029", "1041")
    assert line.text("CX") == ("您有2首彩铃:1029《茉莉花》2元;1041《曲1041》2元;退订回TD加编码")


def test_a_tone_by_its_code(line: ShortCode) -> None:
    assert line.text("CX 1029") == (
        "《茉莉花》古筝,编码1029:非会员2元,普通会员1.5元,高级会员1元,期限:长期有效。订购回1029"
    )
    assert line.text("CX 1028").startswith("没有编码1028")
    assert line.rows(select(question)) == []


def test_a_search(line: ShortCode) -> None:
    assert line.text("CX 茉莉") == "找到:1029《茉莉花》古筝;订购回编码"
    assert line.text("CX 没有这首歌") == "没有找到。请换歌名中的几个字再查,或拨12530019"


# ---------------------------------------------------------------- cancelling


def test_a_tone_is_cancelled_by_its_code(line: ShortCode) -> None:
    line.order("1029", "1041")
    assert line.text("TD 1029") == "已退订《茉莉花》,不再使用,不再收费"
    assert line.orders() == {"1029": "cancelled", "1041": "confirmed"}
    assert line.text("TD1029") == "您没有编码1029的彩铃,无需退订。查我的彩铃回CX"
    assert not opted_out(line)


def test_several_tones_are_cancelled_by_their_codes(line: ShortCode) -> None:
    line.order("1029", "1041", "1055")
    assert line.text("TD 1029 1055") == "已退订2首:《茉莉花》《曲1055》不再使用,不再收费"
    assert line.orders()["1041"] == "confirmed"


def test_cancelling_what_is_only_asked_for_gives_it_up(line: ShortCode) -> None:
    line.text("1029")
    assert line.text("TD1029") == "已放弃订购《茉莉花》,未收费"
    assert line.text("Y").startswith("没有待确认的订购")


def test_td_cancels_the_only_tone(line: ShortCode) -> None:
    line.order("1029")
    assert line.text("TD") == "已退订《茉莉花》,不再使用,不再收费"
    assert not opted_out(line)


def test_td_after_an_offer_means_no_more_offers_too(line: ShortCode) -> None:
    line.order("1029")
    send_offer(line)
    assert line.text("TD") == "已退订《茉莉花》,也不再向您推荐歌曲"
    assert opted_out(line)


def test_td_with_several_after_an_offer_lists_them_and_means_no_more_offers_too(
    line: ShortCode,
) -> None:
    line.order("1029", "1041")
    send_offer(line)
    assert line.text("TD").startswith("请回序号退订")
    assert opted_out(line)


@pytest.mark.parametrize("words", ["TD", "退订1029"])
def test_td_of_who_has_nothing_means_no_more_offers(line: ShortCode, words: str) -> None:
    assert line.text(words) == "您没有订购彩铃,无需退订,也不再向您推荐歌曲"
    assert opted_out(line)
    assert line.kinds() == ["opt_out"]


LISTED = "请回序号退订,全部退订回00000:1.《茉莉花》;2.《曲1041》;3.《曲1055》;"


@pytest.mark.parametrize("words", ["TD", "0000", "QX", "退订"])
def test_several_tones_are_listed_and_chosen_by_number(line: ShortCode, words: str) -> None:
    line.order("1029", "1041", "1055")
    assert line.text(words) == LISTED
    assert line.text("3") == "已退订《曲1055》,不再使用,不再收费"
    assert line.text("1") == "已退订《茉莉花》,不再使用,不再收费"
    assert line.text("TD 2") == "已退订《曲1041》,不再使用,不再收费"
    assert line.text("2") == "列表中没有这个序号。重新列出请回0000"
    assert line.text("9") == "列表中没有这个序号。重新列出请回0000"
    assert set(line.orders().values()) == {"cancelled"}


def test_2_selects_from_the_list_while_it_is_the_newest(line: ShortCode) -> None:
    line.order("1029", "1041")
    line.text("0000")
    assert line.text("2") == "已退订《曲1041》,不再使用,不再收费"


def test_a_question_asked_after_the_list_takes_1_and_2(line: ShortCode) -> None:
    line.order("1029", "1041")
    line.text("0000")
    line.text("1055")
    assert line.text("1").startswith("已订购《曲1055》")
    assert line.text("1").startswith("《曲1055》正在为您办理")
    line.text("1064")
    assert line.text("2") == "已放弃订购《曲1064》,未收费"
    assert line.orders() == {"1029": "confirmed", "1041": "confirmed", "1055": "confirmed"}


def test_a_list_shown_after_the_question_takes_1_and_2(line: ShortCode) -> None:
    line.order("1029", "1041")
    line.text("1055")
    line.text("TD")
    assert line.text("1") == "已退订《茉莉花》,不再使用,不再收费"
    assert "1055" not in line.orders()


def test_a_list_is_good_for_two_hours(line: ShortCode) -> None:
    line.order("1029", "1041")
    line.text("0000")
    line.wait(120)
    assert line.text("3").startswith("订购回编码")
    assert line.text("1").startswith("没有待确认的订购")
    assert "cancelled" not in line.orders().values()


def test_a_newer_list_renumbers(line: ShortCode) -> None:
    line.order("1029", "1041")
    line.text("0000")
    line.text("1")
    line.text("0000")
    assert line.text("1") == "已退订《曲1041》,不再使用,不再收费"


def test_all_is_cancelled_and_given_back_for_half_an_hour(line: ShortCode) -> None:
    line.order("1029", "1041")
    line.provision()
    line.text("1055")
    assert line.text("00000") == "已全部退订2首:《茉莉花》《曲1041》30分钟内回HF免费恢复"
    assert line.text("Y").startswith("没有待确认的订购")
    line.wait(29)
    assert line.text("HF") == "已恢复2首:《茉莉花》《曲1041》不另收费"
    assert line.orders() == {"1029": "provisioned", "1041": "provisioned"}
    line.text("00000")
    line.wait(31)
    assert line.text("HF").startswith("30分钟内没有全部退订的彩铃")


@pytest.mark.parametrize("words", ["0000", "00000"])
def test_listing_and_cancelling_nothing_is_accepted(line: ShortCode, words: str) -> None:
    assert line.text(words) == "您没有订购彩铃,无需退订"


# ---------------------------------------------------------------- offers, help, silence


@pytest.mark.parametrize("words", ["R", "T", "TDGG", "拒收", "不要", "别发", "STOP"])
def test_refusing_offers_is_confirmed_once_and_then_nothing_more(
    line: ShortCode, words: str
) -> None:
    assert line.text(words) == "不再向您推荐歌曲。订购和退订仍可使用,恢复推荐回TJ"
    assert line.text(words) == ""
    assert line.text("1029") != ""
    assert line.kinds() == ["opt_out", "quote"]


def test_offers_again(line: ShortCode) -> None:
    line.text("R")
    assert line.text("TJ") == "将继续向您推荐歌曲,拒收回R"
    assert line.text("TJ") == "将继续向您推荐歌曲,拒收回R"
    assert line.kinds() == ["opt_out", "opt_in"]
    assert line.text("R").startswith("不再向您推荐歌曲")


@pytest.mark.parametrize("words", ["BZ", "帮助", "?", "你好", "", "ML", "3", "\ud800"])
def test_help_once_in_ten_minutes_and_three_times_a_day(line: ShortCode, words: str) -> None:
    given = []
    for _ in range(5):
        given.append(line.text(words))
        assert line.text(words) == ""
        line.wait(10)
    assert [bool(text) for text in given] == [True, True, True, False, False]
    line.wait(24 * 60)
    assert line.text(words).startswith("订购回编码")


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


def test_a_flood_raises_one_alarm(line: ShortCode) -> None:
    alarms = 0
    for number in range(25):
        line.now += timedelta(seconds=1)
        incoming = Incoming(
            f"mo{number}", f"mt{number}", f"o{number}", "smsc", MSISDN, "12530019", "CX", line.now
        )
        answered = line.database.run_now(
            answers.answer, incoming, parse("CX"), LookedUp(), RULES, TEXTS, line.now
        )
        alarms += answered.flood
    assert alarms == 1


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


def test_a_message_repeated_by_the_smsc_does_its_work_once(line: ShortCode) -> None:
    line.text("1029", message_id="m1")
    assert line.text("1029", message_id="m1") == ""
    line.text("Y", message_id="m2")
    assert line.text("Y", message_id="m2") == ""
    assert [row.repeated for row in line.received()] == [1, 1]
    assert line.rows(select(func.count()).select_from(question))[0][0] == 1


def test_a_store_that_cannot_answer_makes_the_smsc_send_again(line: ShortCode) -> None:
    class Lost:
        def run(self, *_: object) -> Deferred[Any]:
            raise StoreUnavailable("the disk is full")

        def on_change(self, topic: str, callback: Any) -> Any:
            raise NotImplementedError

    lost: Any = Lost()
    line.with_(database=lost)
    message = MoMessage("smsc", MSISDN, "12530019", "CX", b"", 8, line.now)
    failures: list[Any] = []
    Deferred.fromCoroutine(line.service.receive(message)).addErrback(failures.append)
    assert failures[0].check(StoreUnavailable)


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
