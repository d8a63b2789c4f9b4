from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr.prompts import SENTENCES, CannotSay, Placeholder, PromptBook, PromptBookInvalid, load
from ivr.reading import RULES
from tests.fakes import language_xx

_ROOT = Path(__file__).parents[3]
ZH_TOML = (_ROOT / "config/messages/zh_CN/prompts.toml").read_text(encoding="utf-8")
EN_TOML = (_ROOT / "config/messages/en/prompts.toml").read_text(encoding="utf-8")
XX_TOML = language_xx.PROMPTS_TOML.read_text(encoding="utf-8")
ZH = load(ZH_TOML, "zh_CN")
EN = load(EN_TOML, "en")
XX = load(XX_TOML, "xx")


@dataclass(frozen=True)
class Tone:
    code: str
    title_sound: str | None = None


JASMINE = Tone("1029", "titles/zh_CN/0123456789ab")
VALUES: dict[str, object] = {
    "branch": "branch_yangzhou",
    "directory": "branch_jiangsu",
    "tone": JASMINE,
    "code": "1029",
    "n": 3,
    "key": "0",
    "until": date(2027, 3, 1),
    "at": date(2027, 2, 6),
    **dict.fromkeys(("visitor", "member", "senior", "pays", "fee"), 250),
}


def spoken(book: PromptBook, sentence: str, **values: object) -> str:
    return "".join(book.text_of(sound) or f"<{sound}>" for sound in book.say(sentence, **values))


def read(reader: str, value: object) -> str:
    """What zh_CN says for a value, without punctuation."""
    texts = ZH.texts
    words = "".join(texts[prompt] for prompt in RULES["zh"].readers[reader](value, texts))
    return words.strip("。，")


def chinese_to_number(words: str) -> int:
    """An independent reading of Chinese numerals, from the words back to the number."""
    if "万" in words:
        high, low = words.split("万")
        return chinese_to_number(high) * 10_000 + (chinese_to_number(low) if low else 0)
    total, digit = 0, None
    for word in words:
        if word in "零一二三四五六七八九两":
            digit = 2 if word == "两" else "零一二三四五六七八九".index(word)
        else:
            unit = {"十": 10, "百": 100, "千": 1000}[word]
            total += (1 if digit in (None, 0) else digit) * unit
            digit = None
    return total + (digit or 0)


def chinese_to_fen(words: str) -> int:
    fen, number = 0, ""
    for word in words:
        if word in "元角分":
            fen += chinese_to_number(number) * {"元": 100, "角": 10, "分": 1}[word]
            number = ""
        else:
            number += word
    assert not number
    return fen


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "零"),
        (2, "二"),
        (10, "十"),
        (12, "十二"),
        (20, "二十"),
        (99, "九十九"),
        (100, "一百"),
        (102, "一百零二"),
        (110, "一百一十"),
        (115, "一百一十五"),
        (222, "两百二十二"),
        (1000, "一千"),
        (1002, "一千零二"),
        (1010, "一千零一十"),
        (1100, "一千一百"),
        (2305, "两千三百零五"),
        (9999, "九千九百九十九"),
        (10_000, "一万"),
        (10_003, "一万零三"),
        (10_015, "一万零一十五"),
        (20_000, "两万"),
        (21_500, "两万一千五百"),
        (100_000, "十万"),
        (99_999_999, "九千九百九十九万九千九百九十九"),
    ],
)
def test_a_number_is_read_as_a_person_says_it(number: int, words: str) -> None:
    assert read("number", number) == words


@pytest.mark.parametrize(
    ("fen", "words"),
    [
        (0, "零元"),
        (5, "五分"),
        (2, "两分"),
        (20, "两角"),
        (50, "五角"),
        (55, "五角五分"),
        (100, "一元"),
        (200, "两元"),
        (205, "两元零五分"),
        (250, "两元五角"),
        (1000, "十元"),
        (2200, "二十二元"),
        (3100, "三十一元"),
        (10_200, "一百零二元"),
        (12_345, "一百二十三元四角五分"),
        (2_000_000, "两万元"),
    ],
)
def test_a_price_is_read_as_a_person_says_it(fen: int, words: str) -> None:
    assert read("price", fen) == words


@pytest.mark.parametrize(("n", "words"), [(1, "一"), (2, "两"), (12, "十二"), (102, "一百零二")])
def test_two_songs_are_counted_with_liang(n: int, words: str) -> None:
    assert read("count", n) == words


@pytest.mark.parametrize(("n", "words"), [(2, "第二首"), (20, "第二十首"), (21, "第二十一首")])
def test_an_ordinal_needs_no_clip_of_its_own(n: int, words: str) -> None:
    assert read("ordinal", n).replace("，", "") == words


@pytest.mark.parametrize(
    ("day", "words"),
    [
        (date(2027, 3, 1), "二零二七年三月一日"),
        (date(2030, 12, 31), "二零三零年十二月三十一日"),
        (date(2041, 10, 20), "二零四一年十月二十日"),
    ],
)
def test_a_date_is_read_year_digit_by_digit(day: date, words: str) -> None:
    assert read("date", day) == words


def test_a_code_is_read_digit_by_digit_and_ends_with_a_falling_voice() -> None:
    stems = ZH.say("code_unknown", code="1029")
    assert stems[1:5] == tuple(f"prompts/zh_CN/{digit}" for digit in ("d1", "d0", "d2", "d9_end"))
    assert spoken(ZH, "code_unknown", code="1029") == "编码幺零二九。不存在。"


@given(st.integers(0, 99_999_999))
def test_a_number_read_out_and_parsed_back_is_the_number(number: int) -> None:
    assert chinese_to_number(read("number", number)) == number
    assert chinese_to_number(read("count", number)) == number


@given(st.integers(0, 9_999_999_999))
def test_a_price_read_out_and_parsed_back_is_the_price(fen: int) -> None:
    assert chinese_to_fen(read("price", fen)) == fen


@given(st.from_regex(r"[0-9]{1,12}", fullmatch=True))
def test_a_code_read_out_has_its_digits_in_order(code: str) -> None:
    words = read("digits", code).replace("。", "")
    assert [("零幺二三四五六七八九").index(word) for word in words] == [
        int(digit) for digit in code
    ]


@given(st.dates(date(1000, 1, 1), date(9999, 12, 31)))
def test_a_date_read_out_and_parsed_back_is_the_date(day: date) -> None:
    year, rest = read("date", day).split("年")
    month, day_words = rest.split("月")
    digits = "".join(str("零一二三四五六七八九".index(word)) for word in year)
    assert date(int(digits), chinese_to_number(month), chinese_to_number(day_words[:-1])) == day


@pytest.mark.parametrize("book", [ZH, EN, XX], ids=["zh_CN", "en", "xx"])
@pytest.mark.parametrize("sentence", sorted(SENTENCES))
def test_every_sentence_can_be_said_with_the_values_the_line_gives(
    book: PromptBook, sentence: str
) -> None:
    stems = book.say(sentence, **{name: VALUES[name] for name in SENTENCES[sentence]})
    assert stems
    assert set(stems) <= book.needed() | {JASMINE.title_sound}


def test_a_tone_is_named_by_its_spoken_title() -> None:
    assert ZH.say("tone_intro", tone=JASMINE) == ("titles/zh_CN/0123456789ab",)


def test_a_tone_without_a_spoken_title_is_named_by_its_code() -> None:
    assert spoken(ZH, "tone_intro", tone=Tone("1007")) == "编码幺零零七。"


def test_the_offer_names_title_three_prices_and_what_the_caller_pays() -> None:
    prices = spoken(ZH, "offer_prices", visitor=200, member=150, senior=100)
    assert prices == "非会员两元普通会员一元五角高级会员一元"
    assert spoken(ZH, "offer_pays", pays=150) == "您需支付一元五角"
    assert spoken(ZH, "offer_until", until=date(2027, 3, 1)) == "有效期至二零二七年三月一日"


def test_a_list_item_tells_place_title_and_key() -> None:
    assert spoken(ZH, "list_item", n=10, tone=JASMINE, key="0") == (
        "第十首，<titles/zh_CN/0123456789ab>按0。"
    )


def test_each_branch_can_be_named_in_the_menu() -> None:
    branches = [prompt for prompt in ZH.texts if prompt.startswith("branch_")]
    assert len(branches) == 14
    for branch in branches:
        assert ZH.texts[branch] in spoken(ZH, "menu", branch=branch)


_WHOLE_EN = (
    {f"count_{n}" for n in range(1, 21)}
    | {f"price_{yuan}50" for yuan in range(1, 10)}
    | {f"fen_{fen}" for fen in (*range(1, 10), *range(10, 100, 10))}
)


@pytest.mark.parametrize(("book", "rules", "more"), [(ZH, "zh", set()), (EN, "en", _WHOLE_EN)])
def test_no_text_of_the_language_lies_idle(book: PromptBook, rules: str, more: set[str]) -> None:
    named = {part for parts in book.sentences.values() for part in parts if isinstance(part, str)}
    whole = {f"yuan_{n}" for n in range(31)} | {f"ordinal_{n}" for n in range(1, 21)}
    whole |= {f"year_{year}" for year in range(2026, 2041)} | more
    branches = {prompt for prompt in book.texts if prompt.startswith("branch_")}
    assert book.texts.keys() == named | RULES[rules].needs | whole | branches


def test_both_languages_tell_of_the_same_branches() -> None:
    zh, en = ({text for text in book.texts if text.startswith("branch_")} for book in (ZH, EN))
    assert zh == en


def test_a_language_of_ten_prompts_reads_everything_digit_by_digit() -> None:
    assert len(XX.needed()) == 10
    assert {
        part.reader
        for parts in XX.sentences.values()
        for part in parts
        if isinstance(part, Placeholder)
    } >= {"title", "price", "date", "number", "key"}
    assert [stem[-2:] for stem in XX.say("offer_pays", pays=250)][-3:] == ["d2", "d5", "d0"]
    assert [stem[-2:] for stem in XX.say("offer_pays", pays=5)][-3:] == ["d0", "d0", "d5"]
    until = [stem[-1] for stem in XX.say("offer_until", until=date(2027, 3, 1))]
    assert "".join(until[-8:]) == "20270301"
    assert [stem[-1] for stem in XX.say("tone_intro", tone=Tone("1029"))][-4:] == list("1029")


def test_two_sentences_of_the_made_up_language_never_sound_alike() -> None:
    assert len({parts[:2] for parts in XX.sentences.values()}) == len(SENTENCES)


def test_the_words_of_a_sound_are_known_and_those_of_other_sounds_are_not() -> None:
    assert ZH.text_of("prompts/zh_CN/goodbye") == "感谢您的来电，再见。"
    assert ZH.text_of("prompts/zh_CN/nothing") is None
    assert ZH.text_of("tones/goodbye") is None


@pytest.mark.parametrize(
    ("sentence", "values", "why"),
    [
        ("sing", {}, "there is no 'sing'"),
        ("menu", {}, "there is no 'branch'"),
        ("menu", {"branch": "branch_atlantis"}, "'branch_atlantis' is no prompt"),
        ("offer_pays", {"pays": -1}, "-1 is not a whole number from 0 up"),
        ("offer_pays", {"pays": 2.5}, "2.5 is not a whole number from 0 up"),
        ("my_tones_intro", {"n": 100_000_000}, "100000000 is more than can be read"),
        ("code_unknown", {"code": "12a"}, "'12a' is not made of decimal digits"),
        ("code_unknown", {"code": ""}, "'' is not made of decimal digits"),
        ("code_unknown", {"code": "１２"}, "is not made of decimal digits"),
        ("list_item", {"n": 1, "tone": JASMINE, "key": "12"}, "'12' is not one digit key"),
        ("offer_until", {"until": "2027-03-01"}, "'2027-03-01' is not a date"),
        ("tone_intro", {"tone": "1029"}, "title_sound"),
    ],
)
def test_what_cannot_be_said_is_refused_with_a_reason(
    sentence: str, values: dict[str, object], why: str
) -> None:
    with pytest.raises(CannotSay, match=f"cannot say '{sentence}': ") as refused:
        ZH.say(sentence, **values)
    assert why in str(refused.value)


def test_a_language_plays_its_own_titles_unless_it_names_another() -> None:
    assert [book.titles for book in (ZH, EN, XX)] == ["zh_CN", "zh_CN", "xx"]


def test_values_a_language_does_not_use_are_no_error() -> None:
    assert XX.say("menu", branch="branch_yangzhou") == ("prompts/xx/d0", "prompts/xx/d1")


def test_all_problems_of_a_language_are_told_at_once() -> None:
    broken = (
        XX_TOML.replace('d9 = "no"\n', 'D9 = "no"\nd10 = " "\n')
        .replace('goodbye = ["d7", "d5"]\n', 'sing = ["d7"]\nwrong = 1\n')
        .replace('silence = ["d6", "d8"]', 'silence = ["d6", "hush"]')
        .replace('busy = ["d7", "d1"]', 'busy = "d7"')
        .replace("{pays|price}", "{costs|song}")
        + "\n[extra]\n"
    )
    with pytest.raises(PromptBookInvalid) as refused:
        load(broken, "xx")
    assert set(refused.value.problems) >= {
        "[extra] is unknown; there are [prompts], [sentences] and [reading]",
        "prompt 'D9': an id has small letters, digits and _, a letter first",
        "prompt 'd10' has no text",
        "prompt 'd9' is missing: the reading rules need it",
        "sentence 'goodbye' is missing",
        "sentence 'sing': the line never says it",
        "sentence 'wrong': the line never says it",
        "sentence 'silence': there is no prompt 'hush'",
        "sentence 'busy': must be a list of prompt ids and placeholders in quotes",
        "sentence 'offer_pays': it has no value 'costs' (values: pays)",
    }
    assert any("there is no reader 'song'" in problem for problem in refused.value.problems)
    assert all(line.startswith("prompts of xx: ") for line in str(refused.value).splitlines())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[prompts", "not TOML: "),
        ("", "[reading] rules must be one of: digits, en, zh"),
        ('reading = "zh"', "[reading] rules must be one of: digits, en, zh"),
        ('prompts = 1\n[reading]\nrules = "digits"', "[prompts] and [sentences] must be tables"),
        (XX_TOML.replace('"digits"', '"fr"'), "[reading] rules must be one of: digits, en, zh"),
        (
            XX_TOML.replace('"digits"', '"digits"\ntitles = "../zh"'),
            "[reading] titles must be a language's folder such as zh_CN, not '../zh'",
        ),
        (
            XX_TOML.replace('"digits"', '"digits"\nrule = 1'),
            "[reading] has no 'rule'; there are rules and titles",
        ),
    ],
)
def test_a_file_that_is_no_language_is_refused(text: str, problem: str) -> None:
    with pytest.raises(PromptBookInvalid) as refused:
        load(text, "xx")
    assert any(told.startswith(problem) for told in refused.value.problems)
