from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from catalog.directories import Edition
from catalog.pinyin import spelling
from catalog.snapshot import Contents, Snapshot
from catalog.tones import Tone
from store.schema import callback, question
from tests.fakes.catalogue import BRANCHES, CODES, SHANGHAI, a_snapshot, a_tone, some_tones
from tests.fakes.messages import MSISDN, NOON
from tests.fakes.shortcode import RULES, ShortCode


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


def searchable(*tones: Tone) -> Snapshot:
    spellings = {tone.code: spelling(tone.title, tone.artist) for tone in tones}
    return Snapshot(Contents(1, tones, (), spellings), BRANCHES, SHANGHAI)


@pytest.mark.parametrize(
    "words",
    ["CX 茉莉花", "查询茉莉花", "CX mlh", "cxmolihua", "CX ＭＬＨ", "CX lihua", "CX 古筝 茉莉"],
)
def test_a_search_understands_pinyin_and_initials(line: ShortCode, words: str) -> None:
    line.with_(snapshot=lambda: searchable(a_tone(), a_tone("1041", "月光")))
    assert line.text(words) == "找到:1029《茉莉花》古筝;订购回编码"


def test_a_search_that_finds_more_than_fits_says_so(line: ShortCode) -> None:
    assert line.text("CX 曲") == (
        "找到:" + "".join(f"{code}《曲{code}》古筝;" for code in
        ("1007", "1010", "1032", "1041", "1055", "1064", "1078", "1086", "1093", "1108"))
        + "订购回编码"
    )  # fmt: skip
    line.tones = tuple(a_tone(f"10{n}0", "曲" * 19 + str(n)) for n in range(9))
    assert line.text("CX 曲").endswith("还有更多,请多写几个字再查;订购回编码")


# ---------------------------------------------------------------- directories


YANGZHOU = Edition("yangzhou", "regular", NOON, None, CODES[:10], (), edition_id=1)


def test_the_ten_songs_of_his_branch_by_their_codes(line: ShortCode) -> None:
    line.with_(snapshot=lambda: a_snapshot(editions=[YANGZHOU]))
    listed = line.text("ML")
    assert listed.startswith("本地热门:1007《曲1007》;1010《曲1010》;1029《茉莉花》;")
    assert listed.endswith("1093《曲1093》;订购回编码")
    assert line.text("1") == "没有待确认的订购。订购回歌曲编码如1029,查询回CX,撤回回0,退订回TD"


def test_the_provinces_songs(line: ShortCode) -> None:
    line.with_(snapshot=lambda: a_snapshot(editions=[YANGZHOU]))
    for words in ("ML 省", "ML省", "目录 全省"):
        assert line.text(words).startswith("全省热门:1007《曲1007》;")


def test_a_number_of_no_branch_has_the_provinces_songs(line: ShortCode) -> None:
    line.with_(snapshot=lambda: a_snapshot(editions=[YANGZHOU]))
    line.text("ML", source="13800000000")
    assert "全省热门" in line.answers()[-1].text


def test_what_does_not_fit_is_on_the_next_page(line: ShortCode) -> None:
    tones = tuple(replace(tone, title=tone.code * 5) for tone in some_tones())
    line.with_(snapshot=lambda: a_snapshot(tones, [YANGZHOU]))
    pages = [line.text(words) for words in ("ML", "ML2", "ML3")]
    codes = [code for page in pages for code in page.replace("》", "《").split("《")[1::2]]
    assert codes == [tone.title for tone in tones[:10]]
    assert "更多回ML2" in pages[0]
    assert "更多回ML3" not in pages[1]
    assert pages[2].startswith("没有更多了")
    assert "更多回ML省2" in line.text("ML省")
    assert line.text("ML 省 2").startswith("全省热门:")


# ---------------------------------------------------------------- a call to listen


@pytest.mark.parametrize("words", ["ST 1029", "试听1029", "ST1029"])
def test_he_is_called_and_hears_the_song(line: ShortCode, words: str) -> None:
    line.with_(rules=replace(RULES, calls_back=True))
    assert line.text(words) == "正在拨打您的手机播放《茉莉花》,请接听。订购回1029"
    (owed,) = line.rows(select(callback))
    assert (owed.msisdn, owed.tone_code, owed.asked_by, owed.state) == (
        MSISDN,
        "1029",
        "sms",
        "due",
    )
    assert line.text("ST 1041") == "10分钟内只能回拨一次,请稍后再试,或拨12530019免费试听"


def test_where_nobody_places_calls_he_is_told_what_to_dial(line: ShortCode) -> None:
    assert line.text("ST 1029") == "请拨125300191029免费试听"
    assert line.rows(select(callback)) == []


def test_st_wants_one_code_that_exists(line: ShortCode) -> None:
    line.with_(rules=replace(RULES, calls_back=True))
    assert line.text("ST").startswith("一次请发一个歌曲编码")
    assert line.text("ST 1029 1041").startswith("一次请发一个歌曲编码")
    assert line.text("ST 1028").startswith("没有编码1028")
    assert line.rows(select(callback)) == []


# ---------------------------------------------------------------- help


@pytest.mark.parametrize("words", ["BZ", "帮助", "?", "你好", "", "3", "\ud800"])
def test_help_once_in_ten_minutes_and_three_times_a_day(line: ShortCode, words: str) -> None:
    given = []
    for _ in range(5):
        given.append(line.text(words))
        assert line.text(words) == ""
        line.wait(10)
    assert [bool(text) for text in given] == [True, True, True, False, False]
    line.wait(24 * 60)
    assert line.text(words).startswith("订购回编码,查歌CX加歌名")
