from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr.prompts import CannotSay, load
from ivr.reading import RULES

EN = load(Path("config/messages/en/prompts.toml").read_text(encoding="utf-8"), "en")
_NAMED = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
          "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen",
          "eighteen", "nineteen"]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September",
           "October", "November", "December"]  # fmt: skip
_IRREGULAR = {"first": "one", "second": "two", "third": "three", "fifth": "five",
              "eighth": "eight", "ninth": "nine", "twelfth": "twelve"}  # fmt: skip


@dataclass(frozen=True)
class Tone:
    code: str
    title_sound: str | None = None


def read(reader: str, value: object) -> str:
    """What the line says for a value, without punctuation."""
    said = RULES["en"].readers[reader](value, EN.texts)
    return " ".join(EN.texts[prompt].strip(".,") for prompt in said)


def spoken(sentence: str, **values: object) -> str:
    return " ".join(EN.text_of(sound) or f"<{sound}>" for sound in EN.say(sentence, **values))


def english_to_number(words: str) -> int:
    """An independent reading of English numerals, from the words back to the number."""
    total = group = 0
    for word in words.replace("-", " ").split():
        if word in _NAMED:
            group += _NAMED.index(word)
        elif word in _TENS:
            group += 10 * _TENS.index(word) + 20
        elif word == "hundred":
            group *= 100
        else:
            total += group * {"thousand": 1000, "million": 1_000_000}[word]
            group = 0
    return total + group


def english_to_fen(words: str) -> int:
    yuan, yuan_said, rest = words.rpartition("yuan")
    fen, fen_said, nothing = rest.partition("fen")
    assert not nothing
    if yuan_said and fen.strip() and not fen_said:
        assert english_to_number(fen) >= 10
    return 100 * english_to_number(yuan) + english_to_number(fen)


def english_to_day(words: str) -> int:
    *tens, last = words.split("-")
    if last in _IRREGULAR:
        last = _IRREGULAR[last]
    last = last.removesuffix("th").replace("tie", "ty")
    return english_to_number(" ".join((*tens, last)))


def english_to_year(words: str) -> int:
    if "thousand" in words:
        return english_to_number(words)
    century, year = words.split(" ")
    return 100 * english_to_number(century) + english_to_number(year)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (12, "twelve"),
        (40, "forty"),
        (99, "ninety-nine"),
        (100, "one hundred"),
        (115, "one hundred fifteen"),
        (1000, "one thousand"),
        (2305, "two thousand three hundred five"),
        (20_000, "twenty thousand"),
        (1_000_001, "one million one"),
        (
            99_999_999,
            "ninety-nine million nine hundred ninety-nine thousand nine hundred ninety-nine",
        ),
    ],
)
def test_a_number_is_read_as_a_person_says_it(number: int, words: str) -> None:
    assert read("number", number) == words


@pytest.mark.parametrize(
    ("fen", "words"),
    [
        (0, "zero yuan"),
        (5, "five fen"),
        (50, "fifty fen"),
        (55, "fifty-five fen"),
        (100, "one yuan"),
        (150, "one yuan fifty"),
        (205, "two yuan five fen"),
        (299, "two yuan ninety-nine"),
        (1050, "ten yuan fifty"),
        (3100, "thirty-one yuan"),
        (12_345, "one hundred twenty-three yuan forty-five"),
    ],
)
def test_a_price_is_read_as_a_person_says_it(fen: int, words: str) -> None:
    assert read("price", fen) == words


@pytest.mark.parametrize(
    ("day", "words"),
    [
        (date(2028, 6, 30), "June thirtieth twenty twenty-eight"),
        (date(2027, 3, 1), "March first twenty twenty-seven"),
        (date(2041, 10, 22), "October twenty-second twenty forty-one"),
        (date(2005, 1, 3), "January third two thousand five"),
    ],
)
def test_a_date_is_read_month_day_and_year_in_halves(day: date, words: str) -> None:
    assert read("date", day) == words


@pytest.mark.parametrize(
    ("n", "words"),
    [(1, "one song"), (2, "two songs"), (0, "zero songs"), (21, "twenty-one songs")],
)
def test_songs_are_counted_in_singular_and_plural(n: int, words: str) -> None:
    assert read("count", n) == words


@pytest.mark.parametrize(
    ("n", "words"), [(2, "Song two"), (20, "Song twenty"), (21, "Song number twenty-one")]
)
def test_a_place_in_a_list_needs_no_clip_of_its_own(n: int, words: str) -> None:
    assert read("ordinal", n) == words


def test_a_list_item_is_the_song_s_own_title_inside_an_english_sentence() -> None:
    jasmine = Tone("1029", "titles/zh_CN/0123456789ab")
    said = spoken("list_item", n=3, tone=jasmine, key="3")
    assert said == "Song three, <titles/zh_CN/0123456789ab> press 3."


def test_a_song_whose_title_nobody_spoke_is_named_by_its_code() -> None:
    assert spoken("tone_intro", tone=Tone("1007")) == "Code one, zero, zero, seven."


def test_the_menu_names_the_branch_inside_its_sentence() -> None:
    said = spoken("menu", branch="branch_yangzhou")
    assert "For the top songs in Yangzhou, press 2. To enter" in said


def test_the_offer_names_three_prices_what_the_caller_pays_and_until_when() -> None:
    prices = spoken("offer_prices", visitor=200, member=150, senior=100)
    assert prices == (
        "For non-members, two yuan for members, one yuan fifty for VIP members, one yuan"
    )
    assert spoken("offer_pays", pays=150) == "You pay one yuan fifty"
    until = spoken("offer_until", until=date(2028, 6, 30))
    assert until == "It is valid until June thirtieth, twenty twenty-eight."


@given(st.integers(0, 99_999_999))
def test_a_number_read_out_and_parsed_back_is_the_number(number: int) -> None:
    assert english_to_number(read("number", number)) == number


@given(st.integers(0, 9_999_999_999))
def test_a_price_read_out_and_parsed_back_is_the_price(fen: int) -> None:
    assert english_to_fen(read("price", fen)) == fen


@given(st.from_regex(r"[0-9]{1,12}", fullmatch=True))
def test_a_code_read_out_has_its_digits_in_order(code: str) -> None:
    words = read("digits", code).split()
    assert "".join(str(_NAMED.index(word)) for word in words) == code


@given(st.dates(date(1000, 1, 1), date(9999, 12, 31)))
def test_a_date_read_out_and_parsed_back_is_the_date(day: date) -> None:
    month, day_words, year = read("date", day).split(" ", 2)
    assert date(english_to_year(year), _MONTHS.index(month) + 1, english_to_day(day_words)) == day


def test_a_number_beyond_all_reading_is_refused() -> None:
    with pytest.raises(CannotSay, match="more than can be read"):
        EN.say("search_intro", n=100_000_000)
