"""SMS texts: fill, measure, refuse what is too long.

The texts are data (`config/messages/LANGUAGE/sms.toml`); their names, values and limits are here.
A unit is a UTF-16 code unit: an SMS holds 70, a part of a longer one 67 (TS 23.040 9.2.3.24.1).
"""

from __future__ import annotations

import re
import string
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from catalog.values import bare_yuan
from ordering.provisioning import REASONS

ONE_SMS = 70
QUESTION = 134
LIST = 201

_LONGEST = {
    "title": "歌" * 20,  # catalog.catalogue_file.LONGEST
    "artist": "人" * 15,
    "code": "8" * 8,
    "nearest": "88888888",
    "words": "88888888",
    "yuan": "999.99",
    "until": "2088-08-28",
    "undo_min": "1440",
    "ttl_min": "1440",
    "count": "888",
    "number": "88",
    "page": "8",
    "line": "12530019",
    "file": "lianyungang.yaml",
    "row": "8888",
}
"""The longest value of each placeholder; a list is cut to what fits."""
_AMOUNTS = ("visitor", "member", "senior", "pays")
_LISTS = {
    "which_question", "my_tones", "found", "cancel_which", "cancelled_these", "cancelled_all",
    "restored", "given_up", "given_up_offers", "branch_songs", "province_songs",
}  # fmt: skip
_NO_UNDO = {
    "order_notice": "order_notice_no_undo",
    "function_opened": "opened_no_undo",
    "nothing_to_undo": "no_undo",
    "undo_too_late": "too_late_no_undo",
    "nothing_open": "nothing_open_no_undo",
    "help": "help_no_undo",
}
"""What stands for a text that names undoing where `undo_min` is 0 and nothing is undone."""
_CANCEL = re.compile(r"TD|退订")
_REFUSE = re.compile(r"(?<![A-Z])R(?![A-Z])|TDGG|拒收")


class BadTexts(Exception):
    """The SMS texts cannot be used; `errors` names each text with what is wrong and what to do."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = tuple(errors)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a text may and must hold. `limit` counts units with the signature."""

    limit: int
    may: frozenset[str] = frozenset()
    must: frozenset[str] = frozenset()
    names_cancelling: bool = False
    names_refusing: bool = False


@dataclass(frozen=True, slots=True)
class Measure:
    """The length of a text with the longest values: what `toneline doctor` shows."""

    name: str
    units: int
    limit: int
    segments: int


def _rule(limit: int, must: str = "", may: str = "", **duties: bool) -> Rule:
    required = frozenset(must.split())
    return Rule(limit, required | frozenset(may.split()), required, **duties)


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "question": _rule(
            QUESTION,
            "title visitor member senior pays code",
            "artist until ttl_min undo_min",
            names_cancelling=True,
        ),
        "order_notice": _rule(ONE_SMS, "title pays code", "undo_min until", names_cancelling=True),
        "order_notice_no_undo": _rule(ONE_SMS, "title pays code", "until", names_cancelling=True),
        "money": _rule(ONE_SMS, "yuan"),
        "forever": _rule(ONE_SMS),
        "order_failed": _rule(ONE_SMS, "title", "code line"),
        "hangup_sms": _rule(ONE_SMS, "title code", "artist pays", names_refusing=True),
        "code_by_sms": _rule(ONE_SMS, "title code", "artist pays line"),
        "being_ordered": _rule(ONE_SMS, "title", "code"),
        "which_question": _rule(LIST, "list"),
        "which_question_item": _rule(LIST, "code title", "pays"),
        "which_question_rest": _rule(LIST, "", "count line"),
        "nothing_open": _rule(ONE_SMS, "", "line"),
        "nothing_open_no_undo": _rule(ONE_SMS, "", "line"),
        "one_code_please": _rule(ONE_SMS, "", "line"),
        "unknown_code": _rule(ONE_SMS, "code", "line"),
        "unknown_code_nearest": _rule(ONE_SMS, "code nearest", "title line"),
        "declined": _rule(ONE_SMS, "title", "code"),
        "given_up": _rule(LIST, "list", "count"),
        "given_up_item": _rule(LIST, "title"),
        "given_up_rest": _rule(LIST, "", "count"),
        "given_up_offers": _rule(LIST, "list", "count"),
        "given_up_offers_item": _rule(LIST, "title"),
        "given_up_offers_rest": _rule(LIST, "", "count"),
        "undone": _rule(ONE_SMS, "title", "code pays"),
        "nothing_to_undo": _rule(ONE_SMS, "undo_min", ""),
        "no_undo": _rule(ONE_SMS, names_cancelling=True),
        "too_late_no_undo": _rule(ONE_SMS, "title code", names_cancelling=True),
        "undo_too_late": _rule(ONE_SMS, "title code", "undo_min", names_cancelling=True),
        "my_tones": _rule(LIST, "list", "count"),
        "my_tones_item": _rule(LIST, "code title", "pays"),
        "my_tones_rest": _rule(LIST, "", "count line"),
        "my_tones_none": _rule(ONE_SMS, "", "line"),
        "tone_info": _rule(QUESTION, "title code visitor member senior", "artist until"),
        "found": _rule(LIST, "list"),
        "found_item": _rule(LIST, "code title", "artist"),
        "found_rest": _rule(LIST),
        "found_none": _rule(ONE_SMS, "", "line"),
        "cancelled": _rule(ONE_SMS, "title", "code"),
        "cancelled_these": _rule(LIST, "list", "count"),
        "cancelled_these_item": _rule(LIST, "title", "code"),
        "cancelled_these_rest": _rule(LIST, "", "count"),
        "cancel_which": _rule(LIST, "list", "count"),
        "cancel_which_item": _rule(LIST, "number title", "code"),
        "cancel_which_rest": _rule(LIST, "", "count line"),
        "no_such_number": _rule(ONE_SMS),
        "not_owned": _rule(ONE_SMS, "code"),
        "nothing_owned": _rule(ONE_SMS),
        "no_tones_no_offers": _rule(ONE_SMS),
        "cancelled_no_offers": _rule(ONE_SMS, "title", "code"),
        "cancelled_all": _rule(LIST, "list", "count"),
        "cancelled_all_item": _rule(LIST, "title", "code"),
        "cancelled_all_rest": _rule(LIST, "", "count"),
        "restored": _rule(LIST, "list", "count"),
        "restored_item": _rule(LIST, "title", "code"),
        "restored_rest": _rule(LIST, "", "count"),
        "nothing_to_restore": _rule(ONE_SMS),
        "offers_stopped": _rule(ONE_SMS),
        "offers_resumed": _rule(ONE_SMS, names_refusing=True),
        "help": _rule(ONE_SMS, "", "line"),
        "help_no_undo": _rule(ONE_SMS, "", "line"),
        "no_quote": _rule(ONE_SMS, "title", "code line"),
        "function_name": _rule(ONE_SMS),
        "function_question": _rule(
            QUESTION, "pays code", "ttl_min undo_min", names_cancelling=True
        ),
        "function_opened": _rule(ONE_SMS, "pays code", "undo_min", names_cancelling=True),
        "opened_no_undo": _rule(ONE_SMS, "pays code", names_cancelling=True),
        "song_later": _rule(ONE_SMS, "title code", "line"),
        "function_is_open": _rule(ONE_SMS, "", "line"),
        "calling": _rule(ONE_SMS, "title", "code line"),
        "called_lately": _rule(ONE_SMS, "", "title code line"),
        "dial_instead": _rule(ONE_SMS, "code line", "title"),
        "branch_songs": _rule(LIST, "list"),
        "branch_songs_item": _rule(LIST, "code title", "artist"),
        "branch_songs_rest": _rule(LIST, "page", "count"),
        "province_songs": _rule(LIST, "list"),
        "province_songs_item": _rule(LIST, "code title", "artist"),
        "province_songs_rest": _rule(LIST, "page", "count"),
        "no_more_songs": _rule(ONE_SMS, "", "line"),
        "directory_refused": _rule(ONE_SMS, "file", "row count"),
        **{f"refused_{reason}": _rule(ONE_SMS, "", "title code line") for reason in REASONS},
        "refused_orders_per_day": _rule(ONE_SMS, "", "title code line"),
        "refused_spend_per_day": _rule(ONE_SMS, "", "title code line"),
    }
)
"""Every text by its name. A list has its text with `{list}`, its `_item` and its `_rest`."""


def ucs2_units(text: str) -> int:
    """Return the length of a text in UTF-16 units, as an SMS counts it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def segments(units: int) -> int:
    """Return how many SMS a text of so many units takes."""
    return 1 if units <= ONE_SMS else -(-units // 67)


@dataclass(frozen=True, slots=True)
class Texts:
    """Checked texts of one language; `signature` stands before each and counts in its length."""

    signature: str
    templates: Mapping[str, str]

    @classmethod
    def load(cls, toml_text: str, signature: str) -> Texts:
        """Read and check all texts.

        Raises:
            BadTexts: with every error found.
        """
        try:
            given = tomllib.loads(toml_text)
        except tomllib.TOMLDecodeError as error:
            raise BadTexts([f"not TOML: {error}"]) from error
        errors = [f"{name}: there is no such text; remove it" for name in given.keys() - RULES]
        longest = _longest_values(given.get("money"))
        for name, rule in RULES.items():
            found = _errors(given.get(name), rule, signature, longest)
            errors += [f"{name}: {error}" for error in found]
        if errors:
            raise BadTexts(errors)
        return cls(signature, given)

    def fill(self, name: str, **values: str) -> str:
        """Return a text with its values, signed and never longer than its limit allows.

        What is too long is cut, a title first: one with characters beyond the common plane is
        longer than it looks. With an `undo_min` of 0 no text speaks of undoing.
        """
        if values.get("undo_min") == "0":
            name = _NO_UNDO.get(name, name)
        limit = RULES[name].limit
        while (over := ucs2_units(text := self._written(name, values)) - limit) > 0:
            longest = max(values, key=lambda key: len(values[key]), default="")
            cut = "title" if values.get("title") else longest
            if not values.get(cut):
                return text.encode("utf-16-le", "surrogatepass")[: 2 * limit].decode(
                    "utf-16-le", "ignore"
                )
            values[cut] = _shorter(values[cut], over)
        return text

    def _written(self, name: str, values: Mapping[str, str]) -> str:
        return self.signature + self.templates[name].format_map(values)

    def word(self, name: str) -> str:
        """Return a text that is a value of others, unsigned."""
        return self.templates[name]

    def money(self, fen: int) -> str:
        """Return an amount as the language writes it: `2.5元`, `¥2.5`."""
        return self.templates["money"].format(yuan=bare_yuan(fen))

    def fit_list(
        self, name: str, items: Sequence[Mapping[str, str]], **values: str
    ) -> tuple[str, int]:
        """Return a list's text with as many items as fit, and how many these are.

        Its `_rest` tells of the others; `count` says how many all are, if not every line is one.
        """
        lines = [self.templates[f"{name}_item"].format_map(item) for item in items]
        values.setdefault("count", str(len(lines)))
        for shown in range(len(lines), -1, -1):
            rest = ""
            if shown < len(lines):
                left = {**values, "count": str(len(lines) - shown)}
                rest = self.templates[f"{name}_rest"].format_map(left)
            values["list"] = "".join(lines[:shown]) + rest
            if ucs2_units(self._written(name, values)) <= RULES[name].limit:
                break
        return self.fill(name, **values), shown

    def measures(self) -> Iterator[Measure]:
        """Yield the length of each text that is sent, with the longest values."""
        for name, rule in RULES.items():
            if not name.endswith(("_item", "_rest")):
                units = rule.limit if name in _LISTS else self._longest(name)
                yield Measure(name, units, rule.limit, segments(units))

    def _longest(self, name: str) -> int:
        longest = _longest_values(self.templates["money"])
        return ucs2_units(self.signature + self.templates[name].format_map(longest))


def _longest_values(money: object) -> Mapping[str, str]:
    """Return the longest value of each placeholder, amounts as `money` writes them."""
    written = str(money).replace("{yuan}", _LONGEST["yuan"])
    return {**_LONGEST, **dict.fromkeys(_AMOUNTS, written), "list": ""}


def _shorter(value: str, over: int) -> str:
    """Return a value without some of the characters that it is too long for, and its new end."""
    # One character may be two units: half of them may be enough.
    kept = value.removesuffix("…")
    kept = kept[: len(kept) - max(1, over // 2)]
    return f"{kept}…" if kept else ""


def _errors(
    template: object, rule: Rule, signature: str, longest: Mapping[str, str]
) -> Iterator[str]:
    if not isinstance(template, str) or not template.strip():
        yield "missing; write the text"
        return
    try:
        used = _placeholders(template)
    except ValueError as error:
        yield f"{error}; write {{name}}, and {{{{ for a brace"
        return
    known = ", ".join(sorted(rule.may)) or "none"
    yield from (f"{{{name}}} is unknown; it may hold: {known}" for name in sorted(used - rule.may))
    yield from (f"{{{name}}} is missing" for name in sorted(rule.must - used))
    if rule.names_cancelling and _CANCEL.search(template) is None:
        yield "does not say how to cancel: name TD"
    if rule.names_refusing and _REFUSE.search(template) is None:
        yield "does not say how to refuse offers: name R"
    if used - rule.may:
        return
    units = ucs2_units(signature + template.format_map(longest))
    if units > rule.limit:
        yield f"is {units} units with the longest values; {rule.limit} are allowed"


def _placeholders(template: str) -> frozenset[str]:
    names = set()
    for _, name, form, conversion in string.Formatter().parse(template):
        if name is None:
            continue
        if form or conversion or not name.isidentifier():
            raise ValueError(f"{{{name}}} is no plain placeholder")
        names.add(name)
    return frozenset(names)
