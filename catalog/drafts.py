"""The drafts of a branch's file: what was written, checked against the catalogue."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import PurePath
from zoneinfo import ZoneInfo

from catalog.branches import BRANCHES, PROVINCE
from catalog.tones import Tone
from catalog.values import TONE_CODE, NotAMobile, parse_msisdn
from catalog.written import AUTO, TOP, Mistake, Place, Word, Written, WrittenEdition, plain

SLOTS = 10
PRECEDENCE = {"regular": 0, "holiday": 1, "emergency": 2}
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Draft:
    """An edition as its file has it: ten slots, each a code or `auto`, in `[valid_from, valid_to)`."""  # noqa: E501  one sentence

    owner: str
    kind: str
    valid_from: datetime
    valid_to: datetime | None
    slots: tuple[str, ...]
    reserve: tuple[str, ...]

    @property
    def checksum(self) -> str:
        """SHA-256 of what the draft says: the same words twice are the same draft."""
        ends = [
            at.astimezone(UTC).isoformat() if at else "" for at in (self.valid_from, self.valid_to)
        ]
        said = [self.kind, *ends, " ".join(self.slots), " ".join(self.reserve)]
        return hashlib.sha256("\n".join(said).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Checked:
    """A file's drafts in their order, and every error in it. `contact` is a number, or empty.

    `warnings` tell of what is allowed and hardly meant.
    """

    owner: str
    contact: str
    drafts: tuple[Draft, ...]
    errors: tuple[str, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What a file is checked against: tones by code, checksums of the owner's history, the time.

    A draft that was published once is not held against today's catalogue again: what has been
    retired since is replaced when it is heard, and must not keep next week's edition out. So many
    days before a licence's end its tone is sold no more.
    """

    tones: Mapping[str, Tone]
    timezone: ZoneInfo
    now: datetime
    published: Set[str] = field(default=frozenset())
    stop_selling_days: int = 0


def owner_of(written: Written) -> str:
    """Return the branch or province that a file is of; empty: there is no such."""
    names = BRANCHES if written.owner_is == "branch" else (PROVINCE,)
    name = "" if written.owner is None else plain(written.owner.text)
    return name if name in names else ""


def contact_of(written: Written) -> str:
    """Return the number that is told when the file is refused; empty: none, or none that is one."""
    try:
        return "" if written.contact is None else parse_msisdn(written.contact.text)
    except NotAMobile:
        return ""


def check(written: Written, knowledge: Knowledge) -> Checked:
    """Return a file's drafts; every error of the file is told at once, in the file's order."""
    checker = _Checker(written, knowledge)
    drafts = checker.drafts()
    errors = _told(written, {*written.mistakes, *checker.mistakes})
    warnings = _told(written, set(checker.warnings))
    return Checked(owner_of(written), contact_of(written), drafts, errors, warnings)


def _told(written: Written, mistakes: Set[Mistake]) -> tuple[str, ...]:
    return tuple(f"{written.file}:{one.place}: {one.sentence}" for one in sorted(mistakes))


def same_owner_twice(files: Sequence[Written]) -> dict[str, Mistake]:
    """Return, by file, the mistake of files that are of one owner: nobody knows which holds."""
    by_owner: dict[str, list[Written]] = {}
    for written in files:
        if owner := owner_of(written):
            by_owner.setdefault(owner, []).append(written)
    return {
        written.file: Mistake(
            TOP if written.owner is None else written.owner.place,
            f"{owner} has another file, {', '.join(sorted(_others(sharing, written)))};"
            " a branch has one",
        )
        for owner, sharing in by_owner.items()
        if len(sharing) > 1
        for written in sharing
    }


def _others(sharing: Sequence[Written], written: Written) -> Iterator[str]:
    return (other.file for other in sharing if other is not written)


class _Checker:
    """Collects the mistakes of one file while its words become values."""

    def __init__(self, written: Written, knowledge: Knowledge) -> None:
        self._written = written
        self._knows = knowledge
        self._owner = owner_of(written)
        self._regular = sorted(self._regular_beginnings())
        self.mistakes: list[Mistake] = []
        self.warnings: list[Mistake] = []

    def drafts(self) -> tuple[Draft, ...]:
        self._check_owner()
        self._check_contact()
        begun: dict[tuple[str, datetime], Place] = {}
        drafts = []
        for edition in self._written.editions:
            draft = self._draft(edition)
            if draft is None:
                continue
            key = (draft.kind, draft.valid_from)
            if key in begun:
                place = edition.begins.place if edition.begins else edition.place
                self._wrong(place, f"another {draft.kind} edition begins at the same time,"
                            f" in line {begun[key].line}")  # fmt: skip
            begun.setdefault(key, edition.place)
            drafts.append(draft)
        return tuple(drafts)

    def _check_owner(self) -> None:
        owner = self._written.owner
        if owner is None:
            return
        if not self._owner:
            kind = self._written.owner_is
            known = f"there are {', '.join(BRANCHES)}" if kind == "branch" else f"it is {PROVINCE}"
            other = "province" if kind == "branch" else "branch"
            if plain(owner.text) in (PROVINCE, *BRANCHES):
                known = f"write `{other}: {plain(owner.text)}`"
            self._wrong(owner.place, f"there is no {kind} {owner.text!r}; {known}")
            return
        stem = PurePath(self._written.file).stem.lower()
        if stem in (PROVINCE, *BRANCHES) and stem != self._owner:
            self._wrong(owner.place, f"the file is named for {stem}, but is {self._owner}'s")

    def _check_contact(self) -> None:
        contact = self._written.contact
        if contact is not None and contact.text and not contact_of(self._written):
            self._wrong(contact.place, f"{contact.text!r} is not a mobile number of 11 digits")

    def _draft(self, edition: WrittenEdition) -> Draft | None:
        before = len(self.mistakes)
        kind = self._kind(edition)
        begins = self._instant(edition.begins, "from")
        ends = self._instant(edition.ends, "to")
        if edition.begins is None:
            self._wrong(edition.place, "an edition has `from:` and `songs:`")
        if kind != "regular" and edition.ends is None:
            place = edition.kind.place if edition.kind else edition.place
            self._wrong(place, f"a {kind} edition needs `to:`, the time at which it ends")
        if begins and ends and edition.ends and ends <= begins:
            self._wrong(edition.ends.place, "`to:` is not later than `from:`")
        slots = self._slots(edition)
        reserve = self._reserve(edition)
        if begins is None or len(self.mistakes) > before:
            # Whatever its times are, its codes can be looked up.
            self._check_tones(edition, None, None)
            return None
        draft = Draft(self._owner, kind, begins, ends, slots, reserve)
        if draft.checksum not in self._knows.published:
            self._check_tones(edition, begins, ends)
            self._warn_of_unsold(edition, begins, ends)
        return draft

    def _regular_beginnings(self) -> Iterator[datetime]:
        for edition in self._written.editions:
            kind = "regular" if edition.kind is None else plain(edition.kind.text).lower()
            if edition.begins is not None and kind == "regular":
                with suppress(ValueError):
                    yield instant(edition.begins.text, self._knows.timezone).astimezone(UTC)

    def _next_begins(self, begins: datetime) -> datetime | None:
        """Return when the next regular edition of the file begins; None: none does."""
        return next((at for at in self._regular if at > begins), None)

    def _kind(self, edition: WrittenEdition) -> str:
        kind = "regular" if edition.kind is None else plain(edition.kind.text).lower()
        if kind in PRECEDENCE:
            return kind
        if edition.kind is not None and kind:
            self._wrong(edition.kind.place, "the kind is regular, holiday or emergency")
        return "regular"

    def _slots(self, edition: WrittenEdition) -> tuple[str, ...]:
        codes = [self._code(word) for word in edition.songs]
        for word in edition.songs[SLOTS:]:
            self._wrong(word.place, f"this is song {edition.songs.index(word) + 1};"
                        f" a directory has {SLOTS}")  # fmt: skip
        self._check_twice(edition.songs, ())
        return tuple((codes + [AUTO] * SLOTS)[:SLOTS])

    def _reserve(self, edition: WrittenEdition) -> tuple[str, ...]:
        for word in edition.reserve:
            if plain(word.text).lower() == AUTO:
                self._wrong(word.place, "`auto` stands among songs; the reserve has codes only")
        self._check_twice(edition.reserve, edition.songs)
        return tuple(self._code(word) for word in edition.reserve)

    def _check_twice(self, words: Sequence[Word], others: Sequence[Word]) -> None:
        seen = {self._code(word): word.place for word in others}
        for word in words:
            code = self._code(word)
            if code in seen and code != AUTO:
                self._wrong(word.place, f"tone {code} stands here twice,"
                            f" first in line {seen[code].line}")  # fmt: skip
            seen.setdefault(code, word.place)

    def _code(self, word: Word) -> str:
        text = plain(word.text)
        return AUTO if text.lower() == AUTO else text

    def _check_tones(
        self, edition: WrittenEdition, begins: datetime | None, ends: datetime | None
    ) -> None:
        for word in (*edition.songs, *edition.reserve):
            code = self._code(word)
            if code != AUTO and (sentence := self._unfit(code, begins, ends)):
                self._wrong(word.place, sentence)

    def _unfit(self, code: str, begins: datetime | None, ends: datetime | None) -> str | None:
        if TONE_CODE.fullmatch(code) is None:
            return f"{code!r} is not a tone's code (3 to 8 digits; one in each place, or `auto`)"
        tone = self._knows.tones.get(code)
        if tone is None:
            return f"tone {code} is not in the catalogue"
        if tone.state == "retired":
            return f"tone {code} was taken out of the catalogue"
        if tone.state != "published":
            return f"tone {code} is not published: it is {tone.state}"
        return self._unlicensed(tone, begins, ends) if begins else None

    def _unlicensed(self, tone: Tone, begins: datetime, ends: datetime | None) -> str | None:
        """Say how a tone's licence fails an edition; one without an end needs it at its start."""
        now, until = self._knows.now, tone.licence_until
        heard = begins if ends and ends <= now else max(begins, now)
        if until is None:
            return None
        if until < self._local(heard):
            return f"the licence of tone {tone.code} ended on {until}, before this edition is heard"
        if ends is not None and until < self._local(ends - _INSTANT):
            return f"the licence of tone {tone.code} ends on {until}, before this edition does"
        following = None if ends else self._next_begins(begins)
        if following and following > now and until < self._local(following - _INSTANT):
            return (
                f"the licence of tone {tone.code} ends on {until}, before the next edition begins,"
                f" on {self._local(following)}"
            )
        return None

    def _warn_of_unsold(
        self, edition: WrittenEdition, begins: datetime, ends: datetime | None
    ) -> None:
        if ends is not None and ends <= self._knows.now:
            return
        first = self._local(max(begins, self._knows.now))
        for word in edition.songs:
            tone = self._knows.tones.get(self._code(word))
            until = None if tone is None else tone.licence_until
            if until is not None and until - timedelta(self._knows.stop_selling_days) < first:
                sentence = (
                    f"tone {self._code(word)} would be heard but not sold: its licence ends on"
                    f" {until}, and selling stops {self._knows.stop_selling_days} days before"
                )
                self.warnings.append(Mistake(word.place, sentence))

    def _local(self, at: datetime) -> date:
        return at.astimezone(self._knows.timezone).date()

    def _instant(self, word: Word | None, key: str) -> datetime | None:
        if word is None:
            return None
        try:
            at = instant(word.text, self._knows.timezone)
        except ValueError as error:
            self._wrong(word.place, f"`{key}:` {error}")
            return None
        return at.astimezone(UTC)

    def _wrong(self, place: Place, sentence: str) -> None:
        self.mistakes.append(Mistake(place, sentence))


_DATE = re.compile(
    r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})"
    r"(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2}))?\s*(Z|[+-]\d{2}:?\d{2})?)?",
    re.ASCII,
)


def instant(text: str, timezone: ZoneInfo) -> datetime:
    """Return a date's local midnight, or a local time; an offset behind it is kept.

    Raises:
        ValueError: the text is anything else; the sentence continues "`from:` ...".
    """
    match = _DATE.fullmatch(plain(text).upper())
    if match is None:
        raise ValueError("is a date such as 2026-11-23, or a time 2026-11-23T04:00")
    year, _, month, day, hour, minute, second, offset = match.groups(default="")
    digits = f"{year}-{int(month):02}-{int(day):02}"
    clock = f"T{int(hour or 0):02}:{minute or '00'}:{second or '00'}"
    try:
        at = datetime.fromisoformat(digits + clock + offset)
    except ValueError:
        raise ValueError(f"names a day or a time that does not exist: {text}") from None
    if not 2000 <= at.year <= 2199:
        raise ValueError(f"is in the year {at.year}; that is a slip")
    return at if at.tzinfo else at.replace(tzinfo=timezone)
