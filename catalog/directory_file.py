"""A branch's YAML file, read with the line and column of every word."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from catalog.written import (
    AUTO,
    MOST_EDITIONS,
    MOST_SONGS,
    TOP,
    Mistake,
    Place,
    Word,
    Written,
    WrittenEdition,
    nothing,
    plain,
    text_of,
)

BEGINS_WITH = "the file begins with `branch: NAME` or `province: NAME`"
TOO_DEEP = "brackets or dashes stand within each other without end"
MOST_BRACKETS = 20
EDITION_HAS = "an edition has `from:` and `songs:`"

_SENTENCES = (
    (r"character '\\t'", "a tab stands here; indent with spaces"),
    ("mapping values are not allowed", "this line does not fit the one above it: look at its"
     " indent, and whether a colon is missing above or one too many stands here"),
    ("could not find expected ':'", "a colon with a space behind it is missing in this line"),
    ("unexpected end of stream", "a quotation mark is opened here and never closed"),
    ("expected ',' or ']'", "a list that begins here needs a comma between its codes and a ] at"
     " its end"),
    ("expected ',' or '}'", "a { begins here that is never closed; it is not needed"),
    ("expected <block end>", "this line is not indented like the lines it belongs to"),
    ("expected the node content", "something is missing here: between two commas stands a code"),
    ("another document", "`---` stands here; a file has one part only"),
    ("cannot start any token", "this sign cannot begin a word; put the word between quotes"),
    ("undefined alias", "a word cannot begin with *; put it between quotes"),
)  # fmt: skip
_AT_ITS_BEGINNING = ("could not find expected ':'", "unexpected end of stream", "expected ','")
"""What these complain of began where their context did, not where they were noticed."""

_NO_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")

_WIDE_MARKS = {"：": ": ", "，": ", ", "［": "[", "］": "]", "【": "[", "】": "]", "－": "-",
               "“": '"', "”": '"', "\u3000": " ", "\xa0": " ", "＃": "#"}  # fmt: skip


def read_file(data: bytes, file: str) -> Written:
    """Return what a branch's YAML file says; what cannot be read is among its mistakes."""
    text = text_of(data, "plain text")
    if isinstance(text, Mistake):
        return nothing(file, text)
    marks, text = _with_usual_marks(text)
    if _is_too_deep(text):
        return nothing(file, *marks, Mistake(TOP, TOO_DEEP))
    try:
        root = YAML(typ="rt").compose(io.StringIO(text))
    except RecursionError:
        return nothing(file, *marks, Mistake(TOP, TOO_DEEP))
    except (YAMLError, ValueError, OverflowError) as error:  # an impossible escape or number
        told = {mistake.place.line for mistake in marks}
        mistake = _explained(error, text)
        return nothing(file, *marks, *(() if mistake.place.line in told else (mistake,)))
    return _Reader(file, marks).written(root)


def _with_usual_marks(text: str) -> tuple[list[Mistake], str]:
    """Tell of full-width marks and of tabs before a word, and put usual ones in their place."""
    found: list[Mistake] = []
    lines = []
    for number, line in enumerate(text.split("\n"), start=1):
        said, comment = _parted(line)
        for column, character in enumerate(said, start=1):
            if character in _WIDE_MARKS:
                usual = _WIDE_MARKS[character].strip() or "a usual space"
                found.append(Mistake(
                    Place(number, column),
                    f"{character!r} is a full-width character; write {usual}",
                ))  # fmt: skip
        indent = said[: len(said) - len(said.lstrip())]
        if "\t" in indent:
            found.append(
                Mistake(
                    Place(number, indent.index("\t") + 1), "a tab stands here; indent with spaces"
                )
            )
            said = indent.replace("\t", "  ") + said[len(indent) :]
        lines.append("".join(_WIDE_MARKS.get(one, one) for one in said) + comment)
    return found, "\n".join(lines)


def _parted(line: str) -> tuple[str, str]:
    """Return a line's words and its comment."""
    match = re.search(r"(^|\s)#", line)
    return (line, "") if match is None else (line[: match.start()], line[match.start() :])


def _is_too_deep(text: str) -> bool:
    """Say whether more brackets are open at once than any list needs: reading 2,000 takes 5 s."""
    depth = 0
    for character in re.findall(r"[\[\]{}]", text):
        depth += 1 if character in "[{" else -1
        if depth > MOST_BRACKETS:
            return True
    return False


def _explained(error: Exception, text: str) -> Mistake:
    if isinstance(error, ReaderError):
        character = chr(error.character)
        before = text.partition(character)[0]
        place = Place(before.count("\n") + 1, len(before) - before.rfind("\n"))
        return Mistake(place, f"{character!r} stands here, which is no character; remove it")
    if not isinstance(error, MarkedYAMLError):
        return Mistake(TOP, "a number or a quoted word of this file cannot be read")
    problem = error.problem or ""
    began = any(sign in problem for sign in _AT_ITS_BEGINNING) and error.context_mark
    mark = error.context_mark if began else error.problem_mark or error.context_mark
    place = TOP if mark is None else Place(mark.line + 1, mark.column + 1)
    for sign, sentence in _SENTENCES:
        if sign in problem:
            return Mistake(place, sentence)
    return Mistake(place, f"this cannot be read: {problem}")


class _Reader:
    """Walks the nodes of one file and collects what has another shape than it should."""

    def __init__(self, file: str, mistakes: Sequence[Mistake]) -> None:
        self._file = file
        self._mistakes = list(mistakes)

    def written(self, root: Node | None) -> Written:
        if not isinstance(root, MappingNode):
            self._wrong(root, "the file is empty; it begins with `branch: NAME`"
                        if root is None else BEGINS_WITH)  # fmt: skip
            return nothing(self._file, *self._mistakes)
        entries = self._entries(root, {"branch", "province", "contact", "editions"})
        owner_is = "branch" if "branch" in entries else "province"
        if owner_is not in entries:
            self._wrong(root, BEGINS_WITH)
        elif owner_is == "branch" and "province" in entries:
            self._wrong(entries["province"], "a file has `branch:` or `province:`, not both")
        editions = tuple(self._editions(root, entries.get("editions")))
        return Written(
            file=self._file,
            owner_is=owner_is,
            owner=self._word(entries.get(owner_is)),
            contact=self._word(entries.get("contact")),
            editions=editions,
            mistakes=tuple(self._mistakes),
        )

    def _editions(self, root: Node, listed: Node | None) -> Iterator[WrittenEdition]:
        if not isinstance(listed, SequenceNode) or not listed.value:
            self._wrong(listed or root, "`editions:` lists at least one edition, each with `- `")
            return
        if len(listed.value) > MOST_EDITIONS:
            self._wrong(listed, f"more than {MOST_EDITIONS} editions; remove old ones")
            return
        for node in listed.value:
            if isinstance(node, MappingNode):
                yield self._edition(node)
            else:
                self._wrong(node, EDITION_HAS)

    def _edition(self, node: MappingNode) -> WrittenEdition:
        entries = self._entries(node, {"from", "to", "kind", "songs", "reserve"})
        if "songs" not in entries:
            self._wrong(node, EDITION_HAS)
        return WrittenEdition(
            place=_place(node),
            kind=self._word(entries.get("kind")),
            begins=self._word(entries.get("from")),
            ends=self._word(entries.get("to")),
            songs=self._codes(entries.get("songs"), "songs"),
            reserve=self._codes(entries.get("reserve"), "reserve"),
        )

    def _codes(self, node: Node | None, key: str) -> tuple[Word, ...]:
        if node is None:
            return ()
        if key == "songs" and isinstance(node, ScalarNode) and plain(node.value).lower() == AUTO:
            return ()
        if not isinstance(node, SequenceNode):
            self._wrong(node, f"`{key}:` is a list such as [1007, 1010]")
            return ()
        if len(node.value) > MOST_SONGS:
            self._wrong(node, f"more than {MOST_SONGS} codes stand in `{key}:`")
            return ()
        words = (self._word(item) for item in node.value)
        return tuple(word for word in words if word is not None)

    def _entries(self, node: MappingNode, known: set[str]) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        for key, value in node.value:
            name = self._said(key) if isinstance(key, ScalarNode) else ""
            if name not in known:
                named = name if isinstance(key, ScalarNode) else "this"
                self._wrong(key, f"`{named}` is not known here; known are {_listed(known)}")
            elif name in entries:
                self._wrong(key, f"`{name}:` stands here a second time")
            else:
                entries[name] = value
        return entries

    def _word(self, node: Node | None) -> Word | None:
        if node is None:
            return None
        if not isinstance(node, ScalarNode):
            self._wrong(node, "one word stands here, not a list")
            return None
        return Word(" ".join(self._said(node).split()), _place(node))

    def _said(self, node: ScalarNode) -> str:
        """Return a word; an escape such as "\\uD800" gives what no text can hold, nor any log."""
        said = str(node.value)
        if _NO_TEXT.search(said):
            self._wrong(node, "a sign stands here that is no character; write plain digits")
            return _NO_TEXT.sub("\ufffd", said)
        return said

    def _wrong(self, node: Node | None, sentence: str) -> None:
        self._mistakes.append(Mistake(TOP if node is None else _place(node), sentence))


def _place(node: Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))
