"""The line's language: its prompts and SMS texts, and a sentence when there is no such language."""

from __future__ import annotations

from pathlib import Path

from ivr.prompts import PromptBook, PromptBookInvalid
from ivr.prompts import load as load_prompts
from ordering.texts import BadTexts, Texts
from toneline.folders import Folders


class NoSuchLanguage(Exception):
    """`line.language` names no folder of texts; the sentence tells which there are."""

    def __init__(self, language: str, messages: Path) -> None:
        known = sorted(file.parent.name for file in messages.glob("*/prompts.toml"))
        has = f"it has {', '.join(known)}" if known else "it has no language at all"
        super().__init__(f"line.language: {messages} has no folder '{language}'; {has}")


LANGUAGE_FAULTS = (NoSuchLanguage, PromptBookInvalid, BadTexts, OSError)
"""Why a language cannot be read; each says in a sentence what is wrong and where."""


def read_prompts(folders: Folders) -> PromptBook:
    """Return the language's prompt book.

    Raises:
        NoSuchLanguage: there is no folder of that name.
        PromptBookInvalid: its prompts.toml cannot serve the line.
    """
    return load_prompts(_read(folders, folders.prompts_file), folders.language)


def read_texts(folders: Folders, signature: str) -> Texts:
    """Return the language's SMS texts.

    Raises:
        NoSuchLanguage: there is no folder of that name.
        BadTexts: its sms.toml cannot be used.
    """
    text = _read(folders, folders.texts_file)
    try:
        return Texts.load(text, signature)
    except BadTexts as bad:
        named = [f"{folders.texts_file}: {error}" for error in bad.errors]
        raise BadTexts(named) from bad


def _read(folders: Folders, file: Path) -> str:
    if not file.parent.is_dir():
        raise NoSuchLanguage(folders.language, folders.messages)
    return file.read_text("utf-8")
