from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from catalog.tones import put_tones
from tests.fakes.shortcode import RULES, ShortCode

# ---------------------------------------------------------------- giving up, taking back


@pytest.mark.parametrize("words", ["N", "否", "放弃", "2", "N1029", "不要1029"])
def test_giving_up_closes_the_question(line: ShortCode, words: str) -> None:
    line.text("1029")
    assert line.text(words) == "已放弃订购《茉莉花》,未收费"
    assert line.text("Y").startswith("没有待确认的订购")


def test_n_to_nothing_says_so(line: ShortCode) -> None:
    assert line.text("N").startswith("没有待确认的订购")
    assert not line.opted_out()


def test_n_after_an_offer_means_no_more_offers(line: ShortCode) -> None:
    line.send_offer()
    assert line.text("N") == "不再向您推荐歌曲。订购和退订仍可使用,恢复推荐回TJ"
    assert line.text("N") == ""
    assert line.opted_out()


def test_n_to_a_question_is_no_answer_to_an_offer(line: ShortCode) -> None:
    line.send_offer()
    line.text("1029")
    assert line.text("N").startswith("已放弃订购")
    assert not line.opted_out()


def test_n_to_an_offer_that_came_after_the_question_is_no_to_both(line: ShortCode) -> None:
    line.text("1029")
    line.wait(1)
    line.send_offer()
    line.wait(1)
    given_up = "已放弃订购《茉莉花》未收费,也不再向您推荐歌曲。查我的彩铃回CX"
    assert line.text("N") == given_up
    assert line.text("Y").startswith("没有待确认的订购")
    assert line.opted_out()


def test_n_to_the_song_asked_for_before_an_offer_is_about_that_song(line: ShortCode) -> None:
    line.text("1029")
    line.wait(1)
    line.send_offer()
    line.wait(1)
    assert line.text("N1029") == "已放弃订购《茉莉花》,未收费"
    assert not line.opted_out()


@pytest.mark.parametrize("words", ["N", "N1029", "TD1029", "TD", "00000", "2"])
def test_who_gives_up_a_song_is_offered_none_for_the_call_before(
    line: ShortCode, words: str
) -> None:
    line.order("1041")
    line.text("1029")
    line.plan_offer()
    line.text(words)
    (offer,) = [row for row in line.answers() if row.message_class == "offer"]
    assert (offer.state, offer.reason) == ("dropped", "gave_up")


def test_n_before_an_offer_leaves_keeps_it_from_leaving(line: ShortCode) -> None:
    line.plan_offer()
    assert line.text("N").startswith("没有待确认的订购")
    (offer,) = [row for row in line.answers() if row.message_class == "offer"]
    assert (offer.state, offer.reason) == ("dropped", "gave_up")


@pytest.mark.parametrize("words", ["0", "CH", "撤回", "０", "回0", "请回复0"])
def test_the_last_order_is_taken_back(line: ShortCode, words: str) -> None:
    line.order("1029", "1041")
    assert line.text(words) == "已撤回《曲1041》,不收费"
    assert line.orders() == {"1029": "confirmed", "1041": "undone"}


def test_what_was_confirmed_last_is_taken_back_first_whenever_it_was_asked(
    line: ShortCode,
) -> None:
    line.text("1029")
    line.text("1041")
    line.text("Y1041")
    line.wait(1)
    line.text("Y1029")
    assert line.text("0") == "已撤回《茉莉花》,不收费"
    assert line.orders() == {"1029": "undone", "1041": "confirmed"}
    assert line.text("0") == "已撤回《曲1041》,不收费"


def test_the_order_that_is_named_is_taken_back_and_no_other(line: ShortCode) -> None:
    line.order("1029", "1041")
    assert line.text("撤回1029") == "已撤回《茉莉花》,不收费"
    assert line.text("CH1055") == "您没有编码1055的彩铃,无需退订。查我的彩铃回CX"
    line.wait(31)
    late = "《曲1041》订购已过30分钟,不能撤回。退订回TD1041"
    assert line.text("CH 1041") == late
    assert line.text("撤回1029 1041").startswith("一次请发一个歌曲编码")
    assert line.orders() == {"1029": "undone", "1041": "confirmed"}


def test_undo_counts_by_the_messages_own_time(line: ShortCode) -> None:
    line.order("1029")
    in_time = line.now + timedelta(minutes=30)
    line.wait(45)
    assert line.text("0").startswith("30分钟内没有可撤回的订购")
    assert line.text("0", received_at=in_time) == "已撤回《茉莉花》,不收费"


# ---------------------------------------------------------------- cancelling


def test_a_tone_is_cancelled_by_its_code(line: ShortCode) -> None:
    line.order("1029", "1041")
    assert line.text("TD 1029") == "已退订《茉莉花》,不再使用,不再收费"
    assert line.orders() == {"1029": "cancelled", "1041": "confirmed"}
    assert line.text("TD1029") == "您没有编码1029的彩铃,无需退订。查我的彩铃回CX"
    assert not line.opted_out()


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
    assert not line.opted_out()


@pytest.mark.parametrize(
    "words",
    [
        "请问怎么取消推荐短信?",
        "会不会自动取消?",
        "怎么退订1029",
        "TD 茉莉",
        "TD 别的歌",
        "TD 1",
        "已订购《茉莉花》2元。30分钟内回0撤回免费,退订回TD1029",
    ],
)
def test_what_only_speaks_of_cancelling_shows_how_and_cancels_nothing(
    line: ShortCode, words: str
) -> None:
    line.order("1029")
    assert line.text(words) == "退订请回序号:1.《茉莉花》;全部退订回00000"
    assert line.orders() == {"1029": "confirmed"}


@pytest.mark.parametrize("words", ["TD 曲1041", "退订《曲1041》", "td 曲 1041", "TD1041曲1041"])
def test_a_tone_is_cancelled_by_its_title(line: ShortCode, words: str) -> None:
    line.order("1029", "1041")
    assert line.text(words) == "已退订《曲1041》,不再使用,不再收费"
    assert line.orders() == {"1029": "confirmed", "1041": "cancelled"}


def test_a_title_that_is_only_asked_for_is_given_up(line: ShortCode) -> None:
    line.order("1041")
    line.text("1029")
    assert line.text("TD 茉莉花") == "已放弃订购《茉莉花》,未收费"
    assert line.orders() == {"1041": "confirmed"}


@pytest.mark.parametrize("group", ["010", "1041", "12345678"])
def test_td_with_what_is_no_code_of_his_cancels_nothing(line: ShortCode, group: str) -> None:
    line.order("1029")
    assert line.text(f"TD {group}") == f"您没有编码{group}的彩铃,无需退订。查我的彩铃回CX"
    assert line.orders() == {"1029": "confirmed"}


def test_td_alone_gives_up_what_was_asked_and_cancels_nothing(line: ShortCode) -> None:
    line.order("1029")
    line.text("1041")
    assert line.text("TD") == "已放弃订购《曲1041》未收费。您已有的彩铃不变,退订请回0000"
    assert line.text("Y1041").startswith("《曲1041》")
    assert line.orders() == {"1029": "confirmed"}
    assert not line.opted_out()


def test_td_alone_gives_up_every_question(line: ShortCode) -> None:
    line.text("1029")
    line.text("1041")
    given_up = "已放弃订购《茉莉花》《曲1041》未收费,也不再向您推荐歌曲。查我的彩铃回CX"
    assert line.text("TD") == given_up
    assert line.text("Y").startswith("没有待确认的订购")
    assert line.orders() == {}
    assert line.opted_out()


def test_td_alone_after_the_question_s_time_cancels(line: ShortCode) -> None:
    line.order("1029")
    line.text("1041")
    line.wait(60)
    assert line.text("TD") == "已退订《茉莉花》,不再使用,不再收费"


def test_td_after_an_offer_means_no_more_offers_too(line: ShortCode) -> None:
    line.order("1029")
    line.send_offer()
    assert line.text("TD") == "已退订《茉莉花》,也不再向您推荐歌曲"
    assert line.opted_out()


def test_td_with_several_after_an_offer_lists_them_and_means_no_more_offers_too(
    line: ShortCode,
) -> None:
    line.order("1029", "1041")
    line.send_offer()
    assert line.text("TD").startswith("退订请回序号")
    assert line.opted_out()


@pytest.mark.parametrize("words", ["TD", "退订1029"])
def test_td_of_who_has_nothing_means_no_more_offers(line: ShortCode, words: str) -> None:
    assert line.text(words) == "您没有订购彩铃,无需退订,也不再向您推荐歌曲"
    assert line.opted_out()
    assert line.kinds() == ["opt_out"]


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("TD1041", "已退订《曲1041》,也不再向您推荐歌曲"),
        ("TD1029", "您没有编码1029的彩铃,无需退订。查我的彩铃回CX"),
        ("T1029", "您没有编码1029的彩铃,无需退订。查我的彩铃回CX"),
        ("TD 曲1041", "已退订《曲1041》,也不再向您推荐歌曲"),
        ("TD 别的歌", "退订请回序号:1.《曲1041》;全部退订回00000"),
    ],
)
def test_td_with_what_it_cancels_after_an_offer_means_no_more_offers_too(
    line: ShortCode, words: str, answer: str
) -> None:
    line.order("1041")
    line.send_offer()
    assert line.text(words) == answer
    assert line.opted_out()


def test_td_of_a_question_after_an_offer_means_no_more_offers_too(line: ShortCode) -> None:
    line.order("1041")
    line.send_offer()
    line.text("1029")
    assert line.text("TD1029").startswith("已放弃订购《茉莉花》未收费,也不再向您推荐歌曲")
    assert line.opted_out()


def test_who_was_not_told_of_no_more_offers_is_told_when_he_says_it(line: ShortCode) -> None:
    line.order("1029", "1041")
    line.send_offer()
    assert "推荐" not in line.text("TD")
    assert line.text("R") == "不再向您推荐歌曲。订购和退订仍可使用,恢复推荐回TJ"
    assert line.text("R") == ""


@pytest.mark.parametrize("words", ["R1029", "拒收1029", "STOP 1029", "别再发1029的广告"])
def test_refusing_by_a_song_s_code_is_no_to_the_song_and_to_offers(
    line: ShortCode, words: str
) -> None:
    line.text("1029")
    assert line.text(words) == "已放弃订购《茉莉花》未收费,也不再向您推荐歌曲。查我的彩铃回CX"
    assert line.text("Y").startswith("没有待确认的订购")
    assert line.opted_out()


@pytest.mark.parametrize("words", ["R1029", "拒收12530019", "别再发12530019的广告了"])
def test_a_number_beside_it_makes_a_refusal_no_less(line: ShortCode, words: str) -> None:
    assert line.text(words).startswith("不再向您推荐歌曲")
    assert line.opted_out()


@pytest.mark.parametrize("owned", [(), ("1029",)])
def test_a_machine_that_speaks_of_cancelling_is_answered_as_seldom_as_one_that_does_not(
    line: ShortCode, owned: tuple[str, ...]
) -> None:
    line.order(*owned)
    words = "【某店】已收到您的短信,退订请回复TD"
    assert [line.text(words) != "" for _ in range(30)] == [True] + [False] * 29
    line.wait(11)
    assert line.text(words) != ""
    assert line.text("0000") != ""


LISTED = "退订请回序号:1.《茉莉花》;2.《曲1041》;3.《曲1055》;全部退订回00000"


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


def test_a_number_beside_one_that_is_not_in_the_list_cancels_nothing(line: ShortCode) -> None:
    line.order("1029", "1041")
    line.text("0000")
    assert line.text("1 29") == "列表中没有这个序号。重新列出请回0000"
    assert line.text("1 2") == "已退订2首:《茉莉花》《曲1041》不再使用,不再收费"


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
    line.text("0000")
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


@pytest.mark.parametrize("words", ["ML", "CX", "CX 曲"])
def test_numbers_mean_nothing_after_a_list_without_any(line: ShortCode, words: str) -> None:
    line.order("1029", "1041")
    line.text("0000")
    line.text(words)
    line.text("2")
    assert "cancelled" not in line.orders().values()


def test_1_after_a_choice_of_questions_cancels_nothing(line: ShortCode) -> None:
    line.order("1029", "1041")
    line.text("1055")
    line.text("1064")
    line.text("0000")
    line.text("Y")
    assert line.text("1").startswith("您有多首待确认")
    assert "cancelled" not in line.orders().values()


def test_only_numbers_that_were_shown_cancel(line: ShortCode) -> None:
    line.with_(
        rules=replace(
            RULES, limits=replace(RULES.limits, orders_per_day=99, spend_per_day_fen=10**6)
        )
    )
    line.tones = tuple(replace(tone, title="歌" * 20) for tone in line.tones)
    line.database.run_now(put_tones, line.tones, line.now)
    line.order(*(tone.code for tone in line.tones))
    listed = line.text("0000")
    shown = listed.count(".《")
    assert 0 < shown < len(line.orders())
    assert "另有" in listed
    assert line.text(str(shown + 1)) == "列表中没有这个序号。重新列出请回0000"
    assert line.text(str(shown)).startswith("已退订")


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


# ---------------------------------------------------------------- offers


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
