from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smpp.grammar import Intent, parse


def ask(*codes: str) -> Intent:
    return Intent("ask", codes)


def confirm(*codes: str) -> Intent:
    return Intent("confirm", codes)


def decline(*codes: str) -> Intent:
    return Intent("decline", codes)


def cancel(*codes: str) -> Intent:
    return Intent("cancel", codes)


def refuse(*codes: str) -> Intent:
    return Intent("refuse", codes)


SPOKEN_OF = Intent("how_to_cancel")


@pytest.mark.parametrize(
    ("texts", "intent"),
    [
        ("1029|DG 1029|订购1029|dg1029|ＤＧ１０２９|1029。|「1029」", ask("1029")),
        ("我要1029|DG:1029|1029 1029", ask("1029")),
        ("107|12345678", None),
        ("Y|y|Ｙ|是|确认|Y!|是的|yes|確認| Y ", confirm()),
        ("1|１|1.|①", Intent("confirm", numbers=(1,))),
        ("Y1029|y 1029|是1029|确认1029|1029Y|回Y1029|回复：Y1029", confirm("1029")),
        ("Y订购1029|确认订购1029|Y١٠٢٩|Y๑๐๒๙|请回Y1029", confirm("1029")),
        ("Y 1", confirm("1")),
        ("N|n|否|放弃|不|不订|不用了", decline()),
        ("2|２", Intent("decline", numbers=(2,))),
        ("N1029|否 1029|放弃1029|不订购1029|不要1029|我不要1029了", decline("1029")),
        ("R1029|TDGG 1029|STOP1029|拒收1029|别发1029|别再发1029的广告", refuse("1029")),
        ("拒收12530019|拒收12530019的短信|别再发12530019的广告了", refuse("12530019")),
        ("0|０|回0|回复0|请回0|reply 0|CH|ch|撤回| 0 |撤回0|回0撤回", Intent("undo")),
        ("回1|请回 1|text 1", Intent("confirm", numbers=(1,))),
        ("回2|reply 2", Intent("decline", numbers=(2,))),
        ("回3|回 3 5", None),
        ("要 3|我要 10 29", Intent("one_code")),
        ("撤回1029|CH1029|ch 1029|请 撤回 1029", Intent("undo", ("1029",))),
        ("撤回KT|CHKT|撤回开通", Intent("undo", ("KT",))),
        ("CX|cx|查询|查詢|查|CX。", Intent("my_tones")),
        ("CX 1029|cx1029|查询1029|查询 1029", Intent("tone", ("1029",))),
        ("CX 茉莉花|cx茉莉花|查询茉莉花|查询：茉莉花", Intent("search", words="茉莉花")),
        ("CX 不了情", Intent("search", words="不了情")),
        ("CX jasmine 1029", Intent("search", words="JASMINE 1029")),
        ("TD 1029|td1029|退订1029|QX1029|取消1029|T1029|退1029", cancel("1029")),
        ("请取消1029|退订TD1029|取消订购1029|帮我退订1029这首歌谢谢", cancel("1029")),
        ("TD|td|退订|退訂|QX|取消|帮我退订|我要退订了|退订一下|取消彩铃", cancel()),
        ("TD 010|退订010", cancel("010")),
        ("TD 茉莉花|td茉莉花|退订茉莉花|我要退订《茉莉花》", Intent("cancel", words="茉莉花")),
        ("退订1029《茉莉花》|TD1029茉莉花", Intent("cancel", ("1029",), words="1029 茉莉花")),
        ("取消推荐|退订广告短信", Intent("refuse")),
        ("请问怎么取消推荐短信?|会不会自动取消?|怎么退订1029?|不满意可以取消吗", SPOKEN_OF),
        ("已订购《茉莉花》2元。30分钟内回0撤回免费,退订回TD1029", SPOKEN_OF),
        ("我不知道TD是什么意思|N TD 1029", SPOKEN_OF),
        ("TD 1029 1041", cancel("1029", "1041")),
        ("TD 1|退订1", Intent("cancel", numbers=(1,))),
        ("0000|００００|0000.|TD0000|回0000|reply 0000", Intent("list")),
        ("00000|回00000|TD 00000|全部退订|退订全部|TD ALL", Intent("cancel_all")),
        ("HF|恢复", Intent("restore")),
        ("R|r|T|TDGG|拒收|不要|别发|STOP|stop.|别再发了|请不要发了|拒收短信", Intent("refuse")),
        ("Y123456789|N 13812345678|CH999999999999", Intent("one_code")),
        ("TD 13812345678", Intent("list")),
        ("CX " + "茉莉花 " * 90, Intent("search", words=("茉莉花 " * 10).rstrip())),
        ("CX " + "茉莉花 " * 900, Intent("help")),
        ("TJ|推荐", Intent("resume")),
        ("3|12|1 2|1,3|10 29|10-29", None),
        ("BZ|帮助|?|？||hello|谢谢|不错|Y N|Y/N|是否|Y不", Intent("help")),
        ("ML|ml|目录|ML 1|目录。", Intent("branch_songs", numbers=(1,))),
        ("ML2|目录2|ML 2", Intent("branch_songs", numbers=(2,))),
        ("ML 省|ML省|目录 全省|省目录", Intent("province_songs", numbers=(1,))),
        ("ML 省 2|ML省2|ML2省", Intent("province_songs", numbers=(2,))),
        ("ML 1029|ML 2 3|目录 1029", Intent("help")),
        ("ST 1029|st1029|试听1029|试听 1029", Intent("listen", ("1029",))),
        ("ST 1029 1041", Intent("one_code", ("1029", "1041"))),
        ("ST|试听", Intent("one_code")),
        ("不试听1029|N ST 1029|别开通|KT N 1029", Intent("help")),
        ("KT|kt|开通|开通彩铃|我要开通|KT 1029", Intent("function")),
        ("YKT|Y KT|确认开通|KT Y", confirm("KT")),
        ("NKT|N KT|不开通|不要开通|放弃开通", decline("KT")),
        ("TDKT|TD KT|取消开通|退订彩铃功能|QXKT", cancel("KT")),
        ("TD 1029 KT|TDKT1029", cancel("KT", "1029")),
        ("CX mlh|cxmlh|CXMLH", Intent("search", words="MLH")),
        ("13905250001|01029|000|000000|00 00|123456789", Intent("help")),
        ("1029 1041|DG 1029 1041|1029,1041|CX 1029 1041", Intent("one_code", ("1029", "1041"))),
        ("Y 1029 1041|N 1029 1041", Intent("one_code", ("1029", "1041"))),
        ("1029 1|DG 1029 5", Intent("one_code", ("1029",))),
        ("DG|订购|DG 12|DG 01029", Intent("one_code")),
        ("不退订|别取消", Intent("help")),
        ("BUY 1029|order 1029|Text 1029|Please reply 1029", ask("1029")),
        ("Reply Y1029|reply y 1029|YES 1029, thanks", confirm("1029")),
        ("Cancel 1029|Please cancel 1029", cancel("1029")),
        ("CANCEL|cancel please", cancel()),
        ("Undo", Intent("undo")),
        ("ML PROV|prov", Intent("province_songs", numbers=(1,))),
        ("ML PROV2|ML PROV 2", Intent("province_songs", numbers=(2,))),
        ("N BUY 1029|do not buy 1029|don't order 1029|no cancel", Intent("help")),
    ],
)  # fmt: skip
def test_every_kind_of_message_in_every_usual_spelling(texts: str, intent: Intent | None) -> None:
    for text in texts.split("|"):
        expected = intent or _numbers_or_code(text)
        assert parse(text) == expected, text


def _numbers_or_code(text: str) -> Intent:
    groups = re.findall("[0-9]+", text)
    if len(groups) == 1 and len(groups[0]) > 2:
        return ask(groups[0])
    return Intent("select", numbers=tuple(map(int, groups)))


def test_digits_apart_are_never_read_as_one_code() -> None:
    for separator in " ,.-/、，\n\t　":
        assert "1029" not in parse(f"10{separator}29").codes


@pytest.mark.parametrize("word", ["我要", "我", "要我要", "退订我要", "不", "1 ", "TD "])
def test_many_words_have_a_meaning_before_long(word: str) -> None:
    assert isinstance(parse(word * 5000 + "?"), Intent)
    assert isinstance(parse(word * 5000 + "退"), Intent)


WORDS = "Y,是,确认,DG,订购,1029,1,2,我要,CX,ST,试听,KT,开通,ML,省,回,1041,R,全部,T,好, ,."
words = st.sampled_from(WORDS.split(","))
negatives = st.sampled_from([" N ", " TD ", "不", "别", "退", "取消", "拒"])


@given(st.text())
def test_any_text_has_a_meaning(text: str) -> None:
    assert isinstance(parse(text), Intent)


@given(st.lists(words), negatives, st.lists(words))
def test_a_word_of_refusal_never_opens_or_confirms_a_question(
    before: list[str], negative: str, after: list[str]
) -> None:
    text = "".join([*before, negative, *after])
    assert parse(text).kind not in ("ask", "confirm", "function", "listen"), text


@given(st.text(alphabet="YN是不订购确认取消退别拒0123459 DGTDCXRKST开通试听,"))
def test_no_confirmation_holds_a_word_of_refusal(text: str) -> None:
    if parse(text).kind in ("ask", "confirm", "function", "listen"):
        folded = unicodedata.normalize("NFKC", text).upper()
        assert re.search("[不别退拒]|取消", folded) is None
        assert re.search(r"(?<![A-Z])(?:N|TD)(?![A-Z])", folded) is None


@given(st.text(alphabet="YDGKST是订购1029 ,"))
def test_a_code_it_names_stands_in_the_text(text: str) -> None:
    for code in parse(text).codes:
        assert code in text
