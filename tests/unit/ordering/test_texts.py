from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordering.texts import (
    LIST,
    ONE_SMS,
    QUESTION,
    RULES,
    BadTexts,
    Texts,
    segments,
    ucs2_units,
)

SIGNATURE = "【彩铃直通车】"
MESSAGES = Path("config/messages")
LANGUAGES = ("en", "zh_CN")
SHIPPED = Path("config/messages/zh_CN/sms.toml").read_text(encoding="utf-8")
HOW = "; write {name}, and {{ for a brace"
TD = ": name TD"
TONE = {"title": "茉莉花", "code": "1029", "artist": "古筝", "pays": "2元"}


@cache
def shipped() -> Texts:
    return Texts.load(SHIPPED, SIGNATURE)


def changed(name: str, text: str | None) -> str:
    given = dict(tomllib.loads(SHIPPED))
    if text is None:
        del given[name]
    else:
        given[name] = text
    return "\n".join(f'{key} = "{value}"' for key, value in given.items())


def errors_of(toml_text: str, signature: str = SIGNATURE) -> tuple[str, ...]:
    with pytest.raises(BadTexts) as caught:
        Texts.load(toml_text, signature)
    return caught.value.errors


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_shipped_texts_are_good_and_within_the_contracts_lengths(language: str) -> None:
    texts = Texts.load((MESSAGES / language / "sms.toml").read_text(encoding="utf-8"), SIGNATURE)
    measures = {measure.name: measure for measure in texts.measures()}
    for name in ("hangup_sms", "help", "order_notice"):
        assert measures[name].units <= ONE_SMS == 70
        assert measures[name].segments == 1
    assert measures["question"].units <= QUESTION == 134
    assert measures["my_tones"].limit == LIST == 201
    assert all(measure.units <= measure.limit for measure in measures.values())


@pytest.fixture(scope="module")
def english() -> Texts:
    return Texts.load((MESSAGES / "en" / "sms.toml").read_text(encoding="utf-8"), SIGNATURE)


def test_the_english_question_shows_prices_what_he_pays_and_the_words_to_answer_with(
    english: Texts,
) -> None:
    amounts = {"visitor": "¥2", "member": "¥1.5", "senior": "¥1", "pays": "¥1.5"}
    text = english.fill("question", **{**TONE, **amounts}, until=english.word("forever"))
    assert text == (
        "【彩铃直通车】《茉莉花》¥2, member ¥1.5, VIP ¥1. "
        "You pay ¥1.5, till cancelled. Reply Y1029 or N. Cancel: TD"
    )


def test_english_order_texts_name_the_price_and_cancelling_and_offers_refusing(
    english: Texts,
) -> None:
    values = {**TONE, "pays": "¥2", "undo_min": "30"}
    notice, offer = (english.fill(name, **values) for name in ("order_notice", "hangup_sms"))
    assert notice == "【彩铃直通车】OK《茉莉花》¥2. Undo(30min):0 End:TD1029"
    assert offer == "【彩铃直通车】《茉莉花》¥2. Text 1029 to buy. No ads: R"


def test_an_english_list_that_does_not_fit_tells_how_to_get_the_rest(english: Texts) -> None:
    items = [{"code": str(1000 + n), "title": f"曲{n}", "pays": "¥2"} for n in range(40)]
    text, _ = english.fit_list("my_tones", items, line="12530019")
    assert ucs2_units(text) <= LIST
    assert "You have 40: 1000《曲0》¥2; " in text
    assert " more: dial 12530019, key 4; to cancel, text TD and a code" in text


@pytest.mark.parametrize(
    ("fen", "mandarin", "in_english"),
    [(200, "2元", "¥2"), (250, "2.5元", "¥2.5"), (5, "0.05元", "¥0.05")],
)
def test_an_amount_is_written_as_the_language_does(
    english: Texts, fen: int, mandarin: str, in_english: str
) -> None:
    assert shipped().money(fen) == mandarin
    assert english.money(fen) == in_english


def test_a_language_that_writes_amounts_longer_counts_them() -> None:
    errors = errors_of(changed("money", "人民币{yuan}元整"))
    assert "order_notice: is 71 units with the longest values; 70 are allowed" in errors


def test_a_text_carries_the_signature() -> None:
    assert shipped().fill("declined", **TONE) == "【彩铃直通车】已放弃订购《茉莉花》,未收费"


def test_the_question_shows_three_prices_what_he_pays_and_the_words_to_answer_with() -> None:
    text = shipped().fill(
        "question",
        **TONE,
        visitor="2元",
        member="1.5元",
        senior="1元",
        until="长期有效",
        ttl_min="60",
    )
    for part in (
        "茉莉花",
        "非会员2元",
        "普通会员1.5元",
        "高级会员1元",
        "2元",
        "长期有效",
        "回Y1029",
    ):
        assert part in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_speaks_of_undoing_where_nothing_is_undone(language: str) -> None:
    texts = Texts.load((MESSAGES / language / "sms.toml").read_text(encoding="utf-8"), SIGNATURE)
    for name in ("order_notice", "function_opened", "nothing_to_undo", "nothing_open", "help"):
        now, never = (texts.fill(name, **TONE, undo_min=it, line="12530019") for it in ("30", "0"))
        assert re.search("撤回|[Uu]ndo", now)
        assert re.search("撤回免费|撤回回?0|Undo[:(]|undo:", never) is None
        assert name == "help" or "TD" in never


def test_a_word_is_not_signed() -> None:
    assert shipped().word("forever") == "长期有效"


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("help", None, "help: missing; write the text"),
        ("help", " ", "help: missing; write the text"),
        ("nonsense", "x", "nonsense: there is no such text; remove it"),
        ("declined", "已放弃《{titel}》", "declined: {titel} is unknown; it may hold: code, title"),
        ("declined", "已放弃", "declined: {title} is missing"),
        ("help", "{", "help: Single '{' encountered in format string" + HOW),
        ("help", "{line!r}", "help: {line} is no plain placeholder" + HOW),
        ("help", "{line.x}", "help: {line.x} is no plain placeholder" + HOW),
        ("help", "{}", "help: {} is no plain placeholder" + HOW),
        ("help", "长" * 64, "help: is 71 units with the longest values; 70 are allowed"),
        ("order_notice", "{title}{pays}{code}", "order_notice: does not say how to cancel" + TD),
        ("question", "{title}{visitor}{member}{senior}{code}TD", "question: {pays} is missing"),
        ("hangup_sms", "{title}{code}TRY", "hangup_sms: does not say how to refuse offers: name R"),
    ],
)  # fmt: skip
def test_a_bad_text_is_refused_with_what_to_do(name: str, text: str | None, error: str) -> None:
    assert error in errors_of(changed(name, text))


def test_a_text_that_is_no_text_is_missing() -> None:
    toml_text = changed("help", None) + "\nhelp = 5"
    assert errors_of(toml_text) == ("help: missing; write the text",)


def test_all_errors_come_at_once() -> None:
    assert len(errors_of("[x")) == 1
    assert len(errors_of("")) == len(RULES)


def test_a_long_signature_counts() -> None:
    assert any(error.startswith("order_notice: is ") for error in errors_of(SHIPPED, "【" * 14))


def test_names_of_texts_fit_the_outbox() -> None:
    assert all(len(name) <= 20 for name in RULES if not name.startswith("refused_"))
    assert all(len(name) <= 40 for name in RULES)


def test_a_list_that_does_not_fit_tells_how_to_get_the_rest() -> None:
    items = [{"code": str(1000 + n), "title": f"曲{n}", "pays": "2元"} for n in range(40)]
    text, _ = shipped().fit_list("my_tones", items, line="12530019")
    assert ucs2_units(text) <= LIST
    assert "您有40首彩铃:1000《曲0》2元;" in text
    assert "首请拨12530019按4收听" in text


def test_a_list_that_fits_has_no_rest() -> None:
    text, _ = shipped().fit_list("my_tones", [TONE], line="12530019")
    assert text == "【彩铃直通车】您有1首彩铃:1029《茉莉花》2元;退订回TD加编码"


def test_a_list_tells_how_many_of_its_items_it_shows() -> None:
    items = [{"code": str(1000 + n), "title": f"曲{n}" * 4} for n in range(20)]
    text, shown = shipped().fit_list("branch_songs", items, page="2")
    assert 0 < shown < 20
    assert f"曲{shown - 1}》" in text
    assert f"曲{shown}》" not in text
    assert "更多回ML2" in text


def test_a_list_of_overlong_lines_shows_none_of_them() -> None:
    text, _ = shipped().fit_list("restored", [{"title": "长" * 300}])
    assert text == "【彩铃直通车】已恢复1首:等;不另收费"


@given(st.text(alphabet="茉𝄞a", max_size=40))
def test_a_text_is_never_longer_than_its_limit(title: str) -> None:
    text = shipped().fill("order_notice", **{**TONE, "title": title}, undo_min="30")
    assert ucs2_units(text) <= ONE_SMS
    assert "TD1029" in text


@given(
    st.sampled_from(sorted(name for name, rule in RULES.items() if rule.may)),
    st.text(max_size=300),
    st.text(max_size=300),
)
def test_no_value_makes_a_text_longer_than_its_limit(name: str, code: str, other: str) -> None:
    values = {**dict.fromkeys(RULES[name].may, other), "code": code}
    assert ucs2_units(shipped().fill(name, **values)) <= RULES[name].limit


def test_what_makes_a_text_too_long_is_cut() -> None:
    filled = shipped().fill("unknown_code", code="9" * 4000, line="12530019")
    assert ucs2_units(filled) <= ONE_SMS
    assert filled.startswith(f"{SIGNATURE}没有编码999")
    assert filled.endswith("…的歌曲。查编码请回CX加歌名,或拨12530019")


@given(st.text())
def test_units_are_what_utf16_has(text: str) -> None:
    assert ucs2_units(text) == len(text.encode("utf-16-be", "surrogatepass")) // 2


def test_segments_of_an_sms() -> None:
    assert [segments(units) for units in (1, 70, 71, 134, 135, 201, 202)] == [1, 1, 2, 2, 3, 3, 4]
