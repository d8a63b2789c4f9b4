from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.pinyin import spelling


@pytest.mark.parametrize(
    ("texts", "spelled"),
    [
        (["茉莉花"], "molihua mlh lihua lh hua h"),
        (["茉莉花", "古筝"], "molihua mlh guzheng gz zheng"),
        (["重庆"], "chongqing cq"),
        (["绿岛"], "lvdao ludao ld"),
        (["Love 你"], "loveni ln ni"),
        (["ＳＯＳ"], "sos"),
        (["月光,1999"], "yueguang1999 1999"),
    ],
)
def test_a_text_is_spelled_in_full_and_by_initials_from_any_character(
    texts: list[str], spelled: str
) -> None:
    found = spelling(*texts)
    for word in spelled.split():
        assert f" {word} " in found


def test_a_word_has_only_the_readings_it_allows() -> None:
    assert " zhongqing " not in spelling("重庆")


def test_what_cannot_be_spelled_is_not() -> None:
    assert spelling("") == ""
    assert spelling("!?", "…") == ""


@given(st.text(max_size=20))
def test_any_title_is_spelled_in_bounds(title: str) -> None:
    assert len(spelling(title)) < 20_000


@pytest.mark.parametrize(
    ("title", "keys"),
    [
        ("茉莉花", "654"),
        ("Yesterday", "937837329"),
        ("Love 你", "56836"),
        ("8点", "83"),
        ("长", "2"),
        ("长", "9"),
        ("ＳＯＳ！", "767"),
    ],
)
def test_a_title_is_spelled_on_a_telephones_keys_by_initials_and_letters(
    title: str, keys: str
) -> None:
    assert f" #{keys} " in spelling(title, "古筝")


def test_an_artist_is_not_spelled_on_keys() -> None:
    assert "#" not in spelling("！", "古筝")
