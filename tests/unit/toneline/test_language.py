from __future__ import annotations

from pathlib import Path

import pytest

from config.settings import Settings
from toneline.folders import Folders
from toneline.language import NoSuchLanguage, read_prompts, read_texts
from toneline.prepare import CannotStart, prepare

ROOT = Path(__file__).parents[3]


def places(language: str, messages: Path = ROOT / "config" / "messages") -> Folders:
    return Folders.of(settings(language, messages))


def settings(language: str, messages: Path) -> Settings:
    return Settings.model_validate(
        {"line": {"language": language}, "paths": {"messages": str(messages)}}
    )


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_a_language_that_is_there_has_prompts_and_texts(language: str) -> None:
    assert read_prompts(places(language)).language == language
    assert read_texts(places(language), "").money(250)


def test_a_language_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(NoSuchLanguage) as refused:
        read_prompts(places("fr"))
    messages = ROOT / "config" / "messages"
    assert str(refused.value) == (f"line.language: {messages} has no folder 'fr'; it has en, zh_CN")


def test_a_folder_without_any_language_says_so(tmp_path: Path) -> None:
    with pytest.raises(NoSuchLanguage, match="has no folder 'en'; it has no language at all"):
        read_texts(places("en", tmp_path), "")


def test_the_line_does_not_start_in_a_language_that_is_not_there_and_says_it_once(
    tmp_path: Path,
) -> None:
    settings = Settings.model_validate(
        {"line": {"language": "fr"}, "paths": {"var": str(tmp_path), "directories": str(tmp_path)},
         "database": {"url": f"sqlite:///{tmp_path / 'toneline.db'}"}}
    )  # fmt: skip
    with pytest.raises(CannotStart) as refused:
        prepare(settings, lambda _: None)
    assert refused.value.errors == [
        "line.language: config/messages has no folder 'fr'; it has en, zh_CN"
    ]
