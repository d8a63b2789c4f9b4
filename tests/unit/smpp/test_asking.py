from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from catalog.tones import Prices, move_tone
from ordering import orders, subscribers
from ordering.provisioning import Quote
from store.schema import consent, order, question
from tests.fakes.catalogue import a_tone
from tests.fakes.messages import MSISDN
from tests.fakes.shortcode import RULES, ShortCode, SilentOperator
from tests.unit.ordering.test_orders import a_request


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
        ("off", "active", "您未开通彩铃功能,未订购,未收费。开通请回KT"),
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


class Elsewhere(SilentOperator):
    """An operator with systems of his own, and prices."""

    async def quote(self, msisdn: str, tone: Any) -> Any:
        return Quote(True, None, "member", tone.prices, 150)

    async def quote_function(self, msisdn: str) -> Any:
        return Quote(True, None, "visitor", Prices(800, 800, 800), 800)


def test_an_operator_with_systems_of_his_own_is_asked(line: ShortCode) -> None:
    line.with_operator(Elsewhere())
    assert "您付1.5元" in line.text("1029")
    assert "月功能费8元" in line.text("KT")
    assert line.text("Y1029").startswith("已订购《茉莉花》1.5元")


def test_nobody_is_asked_for_what_our_own_database_tells(line: ShortCode) -> None:
    class Unasked(SilentOperator):
        local = line.service.operator.local

    line.with_operator(Unasked())
    line.database.run_now(subscribers.set_subscriber, MSISDN, line.now, "member", "off")
    assert "月功能费5元" in line.text("KT")
    line.text("Y")
    assert "您付1.5元" in line.text("1029")


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


def test_a_notice_promises_no_undo_where_there_is_none(line: ShortCode) -> None:
    line.with_(rules=replace(RULES, limits=replace(RULES.limits, undo_min=0)))
    line.text("1029")
    assert line.text("Y") == "已订购《茉莉花》2元。退订回TD1029"
    assert line.answers()[-1].purpose == "order_notice"
    line.wait(1)
    assert line.text("0") == "订购后不能撤回。查我的彩铃回CX,退订回TD"
    assert line.text("撤回1029") == "《茉莉花》订购后不能撤回。退订回TD1029"


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
    line.database.run_now(move_tone, "1029", "retire", line.now)
    assert line.text("Y") == "《茉莉花》版权到期,已停售,未收费。请选其他歌曲"
    assert line.orders() == {}


Y_OF_A_QUESTION = pytest.mark.parametrize("yes", ["Y", "Y1029", "1"])


@Y_OF_A_QUESTION
@pytest.mark.parametrize(
    ("function", "state", "answer"),
    [
        ("on", "suspended", "您的号码已停机,暂不能订购,未收费。详询10086"),
        ("off", "active", "您未开通彩铃功能,未订购,未收费。开通请回KT"),
    ],
)
def test_who_may_not_order_any_more_is_told_why_and_his_question_stays(
    line: ShortCode,
    function: subscribers.Function,
    state: subscribers.State,
    answer: str,
    yes: str,
) -> None:
    line.text("1029")
    line.database.run_now(subscribers.set_subscriber, MSISDN, line.now, "visitor", function, state)
    assert line.text(yes) == answer
    assert line.orders() == {}
    assert line.kinds() == ["quote", "refused"]
    line.database.run_now(subscribers.set_subscriber, MSISDN, line.now, "visitor", "on", "active")
    assert line.text(yes).startswith("已订购《茉莉花》2元")


@Y_OF_A_QUESTION
def test_a_tone_that_is_no_longer_sold_is_not_ordered(line: ShortCode, yes: str) -> None:
    line.tones = (a_tone(licence_until=(line.now + timedelta(days=7)).date()),)
    line.now = line.now.replace(hour=15, minute=50)  # ten minutes to midnight in Shanghai
    assert "回Y1029" in line.text("1029")
    line.wait(20)
    assert line.text(yes) == "《茉莉花》版权到期,已停售,未收费。请选其他歌曲"
    assert line.orders() == {}


@Y_OF_A_QUESTION
def test_no_quote_no_order(line: ShortCode, yes: str) -> None:
    operator = line.service.operator
    line.text("1029")
    line.with_operator(SilentOperator())
    assert line.text(yes) == "《茉莉花》暂时查不到您的资费,未订购,未收费。请稍后再试"
    assert line.orders() == {}
    line.with_operator(operator)
    assert line.text(yes).startswith("已订购《茉莉花》2元")


@Y_OF_A_QUESTION
@pytest.mark.parametrize("today_fen", [100, 900])
def test_what_the_question_said_is_what_he_pays(line: ShortCode, yes: str, today_fen: int) -> None:
    line.text("1029")
    line.tones = (a_tone(prices=Prices(today_fen, today_fen, today_fen)),)
    assert line.text(yes).startswith("已订购《茉莉花》2元")
    assert line.rows(select(order.c.pays_fen)) == [(200,)]


def test_a_function_that_was_opened_meanwhile_is_not_opened_again(line: ShortCode) -> None:
    close_function(line)
    line.text("KT")
    line.database.run_now(subscribers.set_subscriber, MSISDN, line.now, "visitor", "on", "active")
    assert line.text("Y").startswith("您已开通彩铃功能")
    assert line.orders() == {}


def test_a_question_stays_open_until_its_order_is_placed(line: ShortCode) -> None:
    line.with_(rules=replace(RULES, limits=replace(RULES.limits, orders_per_day=1)))
    line.order("1055")
    line.text("1029")
    for _ in range(2):
        assert line.text("Y").startswith("您今天订购次数已达上限")
        assert [row.state for row in line.rows(select(question))] == ["confirmed", "open"]
    line.text("撤回1055")
    assert line.text("Y").startswith("已订购《茉莉花》2元")
    assert {row.state for row in line.rows(select(question))} == {"confirmed"}


def test_a_question_whose_tone_came_another_way_is_closed_by_its_answer(line: ShortCode) -> None:
    line.text("1029")
    called = replace(a_request(at=line.now), msisdn=MSISDN)
    line.database.run_now(orders.place, called, None, RULES.limits, line.now)
    assert line.text("Y").startswith("《茉莉花》正在为您办理")
    line.text("0")
    assert line.text("Y").startswith("没有待确认的订购")
    assert line.orders() == {"1029": "undone"}


def test_over_the_days_limits_is_refused_with_where_to_ask(line: ShortCode) -> None:
    line.with_(rules=replace(RULES, limits=replace(RULES.limits, orders_per_day=1)))
    line.order("1029")
    line.text("1041")
    assert line.text("Y") == "您今天订购次数已达上限,未收费。请明天再订,详询10086"
    assert line.answers()[-1].purpose == "refused"
    line.with_(rules=replace(RULES, limits=replace(RULES.limits, spend_per_day_fen=300)))
    line.text("1055")
    assert line.text("Y1055") == "您今天订购金额已达上限,未收费。请明天再订,详询10086"


# ---------------------------------------------------------------- the ring-back function


ASKED = "开通彩铃功能,月功能费5元,开通后可订购歌曲。确认60分钟内回YKT,放弃回NKT。开通后取消回TDKT"


def close_function(line: ShortCode) -> None:
    line.database.run_now(subscribers.set_subscriber, MSISDN, line.now, "visitor", "off", "active")


@pytest.mark.parametrize("words", ["KT", "开通", "ｋｔ", "我要开通"])
@pytest.mark.parametrize("yes", ["Y", "YKT", "Y KT", "确认开通", "1"])
def test_a_closed_function_is_asked_for_with_its_fee_and_opened_by_a_y(
    line: ShortCode, words: str, yes: str
) -> None:
    close_function(line)
    assert line.text(words) == ASKED
    assert line.orders() == {}
    assert line.text(yes) == "已开通彩铃功能,月功能费5元。30分钟内回0撤回免费,取消回TDKT"
    assert line.orders() == {"KT": "confirmed"}
    (proof,) = line.rows(select(consent))
    assert json.loads(proof.shown)["text"].endswith(ASKED)
    assert line.text("1029").startswith("《茉莉花》古筝")


def test_an_open_function_is_not_asked_for_again(line: ShortCode) -> None:
    assert line.text("KT") == "您已开通彩铃功能,无需再开。订购回歌曲编码"
    close_function(line)
    line.text("KT")
    line.text("Y")
    assert line.text("KT").startswith("您已开通彩铃功能")
    assert line.text("YKT").startswith("您已开通彩铃功能")
    assert list(line.orders()) == ["KT"]


def test_a_function_that_was_not_asked_for_is_asked_for_first(line: ShortCode) -> None:
    close_function(line)
    line.text("CX")
    assert line.text("YKT") == ASKED
    assert line.text("NKT") == "已放弃订购《彩铃功能》,未收费"
    assert line.orders() == {}


def test_a_song_never_opens_the_function(line: ShortCode) -> None:
    close_function(line)
    line.text("KT")
    assert line.text("1029").endswith("开通请回KT")
    assert line.text("Y1029").endswith("开通请回KT")
    assert line.orders() == {}


def test_two_questions_name_the_function_by_kt(line: ShortCode) -> None:
    close_function(line)
    line.text("KT")
    line.text("Y")
    line.text("TD KT")
    line.text("KT")
    line.database.run_now(subscribers.set_subscriber, MSISDN, line.now, "visitor", "on")
    line.text("1029")
    assert line.text("Y").startswith(
        "您有多首待确认,未收费。请回:YKT《彩铃功能》5元;Y1029《茉莉花》2元"
    )


@pytest.mark.parametrize("words", ["0", "TDKT", "TD KT", "取消开通", "TD", "00000"])
def test_the_function_is_taken_back_as_a_song_is(line: ShortCode, words: str) -> None:
    close_function(line)
    line.text("KT")
    line.text("Y")
    assert "彩铃功能" in line.text(words)
    assert line.orders()["KT"] in ("undone", "cancelled")
    assert line.text("1029").endswith("开通请回KT")


def test_td_alone_means_the_song_not_the_function(line: ShortCode) -> None:
    close_function(line)
    line.text("KT")
    line.text("Y")
    line.order("1029")
    listed = "您有1首彩铃:1029《茉莉花》2元;KT《彩铃功能》5元;退订回TD加编码"
    assert line.text("CX") == listed
    assert line.text("TD") == "已退订《茉莉花》,不再使用,不再收费"
    assert line.orders()["KT"] == "confirmed"


def test_the_operator_closes_what_was_opened(line: ShortCode) -> None:
    close_function(line)
    line.text("KT")
    line.text("Y")
    close_function(line)
    assert line.orders() == {"KT": "cancelled"}
    assert line.text("1029").endswith("开通请回KT")


def test_who_is_suspended_or_has_no_quote_opens_nothing(line: ShortCode) -> None:
    line.database.run_now(
        subscribers.set_subscriber, MSISDN, line.now, "visitor", "off", "suspended"
    )
    assert line.text("KT").startswith("您的号码已停机")
    line.with_operator(SilentOperator())
    assert line.text("KT") == "《彩铃功能》暂时查不到您的资费,未订购,未收费。请稍后再试"
    assert line.orders() == {}
