"""prompts.py: every prompt and how numbers, prices and titles are read out, once.

A `PromptBook` turns a sentence's id and its values into the sounds to play, in order. Texts, parts
and the choice of reading rules are data (`config/messages/<language>/prompts.toml`); this module
knows which sentences there are and which values each has, `ivr.reading` how a value is read out.
Text in, sound stems (`prompts/zh_CN/menu_rest`, relative to the sounds root) out.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from ivr.reading import RULES, Reader, Rules, Unreadable

SENTENCES: Mapping[str, frozenset[str]] = {
    sentence: frozenset(values.split())
    for sentence, values in {
        "greeting": "", "menu": "branch", "menu_no_branch": "", "back_to_menu": "",
        "ask_area_code": "", "area_code_unknown": "",
        "list_intro": "directory", "list_item": "n tone key", "list_choices": "",
        "list_excerpts": "", "list_again": "", "list_empty": "",
        "ask_code": "", "ask_code_again": "", "code_unknown": "code", "code_nearest_intro": "",
        "code_nearest": "code tone", "code_gave_up": "", "tone_retired": "code",
        "tone_intro": "tone", "choices": "", "choices_short": "", "no_next": "",
        "code_sent": "", "code_not_sent": "", "hangup_sms_notice": "", "no_offers_noted": "",
        "offer_title": "tone", "offer_prices": "visitor member senior", "offer_pays": "pays",
        "offer_until": "until", "offer_forever": "", "offer_confirm": "",
        "function_offer": "fee", "function_confirm": "", "function_opened": "",
        "function_accepted": "",
        "ordering_wait": "", "ordered": "", "order_accepted": "", "being_ordered": "",
        "order_given_up": "", "order_failed": "", "quote_missing": "",
        "refused_other_network": "", "refused_landline": "", "refused_iot": "",
        "refused_function_closed": "", "refused_suspended": "", "refused_arrears": "",
        "refused_library_full": "", "refused_owned": "", "refused_licence_ended": "",
        "refused_unknown": "", "refused_orders_per_day": "", "refused_spend_per_day": "",
        "my_tones_intro": "n", "my_tones_item": "n tone key", "my_tones_none": "",
        "ask_initials": "", "search_intro": "n", "search_item": "n tone key", "search_none": "",
        "ask_pin": "", "pin_wrong": "", "ask_rehearsal_date": "", "date_wrong": "",
        "rehearsal": "at", "rehearsal_no_order": "",
        "help_menu": "", "help_list": "", "help_tone": "", "help_order": "",
        "agent_connecting": "", "agent_missing": "", "silence": "", "wrong_key": "",
        "sound_missing": "", "busy": "", "closing": "", "line_trouble": "",
        "call_too_long": "", "goodbye": "",
    }.items()
}  # fmt: skip
"""Every sentence the line may say, and the names of the values it gives."""

_PLACEHOLDER = re.compile(r"\{(\w+)\|(\w+)\}")
_LANGUAGE = re.compile(r"[A-Za-z0-9_]+")
_PROMPT_ID = re.compile(r"[a-z][a-z0-9_]*")


class Spoken(Protocol):
    """A tone as the reader `title` needs it."""

    @property
    def code(self) -> str:
        """The short code, decimal digits."""

    @property
    def title_sound(self) -> str | None:
        """The spoken title's stem, relative to the sounds root; None if nobody spoke it yet."""


class PromptBookInvalid(Exception):
    """A language's prompts.toml that cannot serve the line; `problems` has every reason."""

    def __init__(self, language: str, problems: tuple[str, ...]) -> None:
        """Tell each problem on a line of its own."""
        super().__init__("\n".join(f"prompts of {language}: {problem}" for problem in problems))
        self.problems = problems


class CannotSay(Exception):
    """A sentence asked for with a value that it cannot read out."""

    def __init__(self, sentence: str, why: str) -> None:
        """Name the sentence and the reason."""
        super().__init__(f"cannot say '{sentence}': {why}")


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A part of a sentence that stands for a value: `{pays|price}`."""

    value: str
    reader: str


Part = str | Placeholder


@dataclass(frozen=True, slots=True)
class PromptBook:
    """One language's sentences; made by `load`, which has checked every part.

    `titles` is the language whose spoken titles it plays: songs keep their names in every language.
    """

    language: str
    titles: str
    texts: Mapping[str, str]
    sentences: Mapping[str, tuple[Part, ...]]
    readers: Mapping[str, Reader]

    def say(self, sentence: str, **values: object) -> tuple[str, ...]:
        """Return the sounds of `sentence` in order, as stems relative to the sounds root.

        Values: money in integer fen, `until` a date, codes and keys as digits, `n` a number,
        `branch` and `directory` the id of a prompt (`branch_yangzhou`), `tone` a Spoken. Values
        that the language does not use are allowed. Raises CannotSay for an unknown sentence, a
        missing value, or one that its reader cannot read.
        """
        try:
            return tuple(
                stem for part in self.sentences[sentence] for stem in self._stems(part, values)
            )
        except KeyError as missing:
            raise CannotSay(sentence, f"there is no {missing}") from missing
        except (Unreadable, AttributeError) as unreadable:
            raise CannotSay(sentence, str(unreadable)) from unreadable

    def needed(self) -> frozenset[str]:
        """Return the stems of every prompt that must be there as a sound."""
        return frozenset(map(self._stem, self.texts))

    def text_of(self, sound: str) -> str | None:
        """Return the words of a prompt's stem, None if it is no prompt of this book."""
        folder, _, prompt = sound.rpartition("/")
        return self.texts.get(prompt) if folder == f"prompts/{self.language}" else None

    def _stem(self, prompt: str) -> str:
        return f"prompts/{self.language}/{prompt}"

    def _stems(self, part: Part, values: Mapping[str, object]) -> Iterator[str]:
        if isinstance(part, str):
            yield self._stem(part)
            return
        value = values[part.value]
        if part.reader == "title":
            title_sound: str | None = value.title_sound  # type: ignore[attr-defined]  # a Spoken
            if title_sound:
                yield title_sound
                return
            value = value.code  # type: ignore[attr-defined]  # a Spoken
        for prompt in self.readers[part.reader](value, self.texts):
            yield self._stem(prompt)


def load(text: str, language: str) -> PromptBook:
    """Return the book of a language's prompts.toml, given as `text`.

    Raises PromptBookInvalid with every problem: broken TOML, an unknown rule set, reader, value or
    prompt, a missing or unknown sentence, a prompt that the rules need and is not there.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PromptBookInvalid(language, (f"not TOML: {error}",)) from error
    prompts, sentences = tables.get("prompts", {}), tables.get("sentences", {})
    reading = tables.get("reading", {})
    reading = reading if isinstance(reading, dict) else {}
    rules = RULES.get(str(reading.get("rules")))
    problems = (*_reading_problems(reading), *_problems(tables, prompts, sentences, rules))
    if problems or rules is None:
        raise PromptBookInvalid(language, problems)
    parts = {sentence: tuple(map(_part, listed)) for sentence, listed in sentences.items()}
    return PromptBook(language, reading.get("titles", language), prompts, parts, rules.readers)


def _part(written: str) -> Part:
    match = _PLACEHOLDER.fullmatch(written)
    return Placeholder(match[1], match[2]) if match else written


def _reading_problems(reading: Mapping[str, object]) -> Iterator[str]:
    if str(reading.get("rules")) not in RULES:
        yield f"[reading] rules must be one of: {', '.join(sorted(RULES))}"
    titles = reading.get("titles", "zh_CN")
    if not isinstance(titles, str) or not _LANGUAGE.fullmatch(titles):
        yield f"[reading] titles must be a language's folder such as zh_CN, not {titles!r}"
    for key in sorted(reading.keys() - {"rules", "titles"}):
        yield f"[reading] has no '{key}'; there are rules and titles"


def _problems(
    tables: Mapping[str, object], prompts: object, sentences: object, rules: Rules | None
) -> Iterator[str]:
    for table in sorted(tables.keys() - {"prompts", "sentences", "reading"}):
        yield f"[{table}] is unknown; there are [prompts], [sentences] and [reading]"
    if not isinstance(prompts, dict) or not isinstance(sentences, dict):
        yield "[prompts] and [sentences] must be tables"
        return
    yield from _prompt_problems(prompts)
    for prompt in sorted((rules.needs if rules else frozenset()) - prompts.keys()):
        yield f"prompt '{prompt}' is missing: the reading rules need it"
    for sentence in sorted(SENTENCES.keys() - sentences.keys()):
        yield f"sentence '{sentence}' is missing"
    readers = frozenset(rules.readers) if rules else None
    for sentence, listed in sentences.items():
        for problem in _sentence_problems(sentence, listed, prompts, readers):
            yield f"sentence '{sentence}': {problem}"


def _prompt_problems(prompts: Mapping[str, object]) -> Iterator[str]:
    for prompt, words in prompts.items():
        if not _PROMPT_ID.fullmatch(prompt):
            yield f"prompt '{prompt}': an id has small letters, digits and _, a letter first"
        if not isinstance(words, str) or not words.strip():
            yield f"prompt '{prompt}' has no text"


def _sentence_problems(
    sentence: str, listed: object, prompts: Mapping[str, object], readers: frozenset[str] | None
) -> Iterator[str]:
    if sentence not in SENTENCES:
        yield "the line never says it"
        return
    if not isinstance(listed, list) or not all(isinstance(part, str) for part in listed):
        yield "must be a list of prompt ids and placeholders in quotes"
        return
    for part in map(_part, listed):
        if isinstance(part, str):
            if part not in prompts:
                yield f"there is no prompt '{part}'"
            continue
        if part.value not in SENTENCES[sentence]:
            values = ", ".join(sorted(SENTENCES[sentence])) or "none"
            yield f"it has no value '{part.value}' (values: {values})"
        if readers is not None and part.reader not in readers:
            yield f"there is no reader '{part.reader}' (readers: {', '.join(sorted(readers))})"
