"""what the simulated SMSC is and does wrong on purpose: rules as data, read from TOML or JSON.

A script is `seed`, `[smsc]` (how it is anyway), `[receipt]` (what its receipts look like) and any
number of `[[rule]]`, each of which says on which occasion (`on`), which of them (`every`, `after`,
`times`, `chance`, `source`, `destination`, `text`) and what then (`do`, with its own values). On
each occasion the first rule that is due decides, alone. docs/simulator.md shows all of it.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from smpp.commands import Status
from smpp.smsc_malformed import Kind

On = Literal["connect", "bind", "bound", "submit", "deliver", "receipt", "enquire_link", "now"]
State = Literal[
    "ENROUTE", "DELIVRD", "EXPIRED", "DELETED", "UNDELIV", "ACCEPTD", "UNKNOWN", "REJECTD"
]
IdForm = Literal["same", "hex", "upper", "decimal", "padded"]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
AtLeastOne = Annotated[int, Field(ge=1, le=1_000_000_000)]
Seconds = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]

_AT_ANY_TIME: Final = frozenset({"unbind", "drop", "stall", "outbind", "enquire_link", "malformed"})
ACTS: Final[Mapping[str, frozenset[str]]] = {
    "connect": frozenset({"outbind", "drop", "stall", "malformed"}),
    "bind": frozenset({"refuse", "nack", "ignore", "delay", "drop", "stall", "malformed"}),
    "bound": _AT_ANY_TIME,
    "now": _AT_ANY_TIME,
    "submit": frozenset(
        {
            *("refuse", "nack", "ignore", "drop_before", "drop_after", "lose", "repeat", "delay"),
            *("reorder", "malformed", "stall", "unbind"),
        }
    ),
    "deliver": frozenset(
        {"drop_before", "drop_after", "lose", "repeat", "delay", "reorder", "malformed"}
    ),
    "receipt": frozenset({"send", "never"}),
    "enquire_link": frozenset({"nack", "ignore", "delay", "repeat", "drop", "stall", "malformed"}),
}
"""What may be done on each occasion."""

_STRICT: Final = ConfigDict(extra="forbid", strict=True)


class BadScript(Exception):
    """A script or a rule cannot be used; each of `errors` says where, what, and what is allowed."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Profile:
    """`[smsc]`: how the simulated SMSC is anyway; times in seconds, 0 is none."""

    __pydantic_config__ = _STRICT

    tps: Count = 0
    """submit_sm accepted in any second over all binds; what is beyond gets RTHROTTLED."""
    bind_tps: Count = 0
    """The same for each bind."""
    queue: Count = 0
    """Messages not yet delivered to their phones; what is beyond gets RMSGQFUL."""
    response_delay_s: Seconds = 0.0
    response_jitter_s: Seconds = 0.0
    """Up to so much more, by chance."""
    window: AtLeastOne = 10
    """deliver_sm that may wait for an answer on one bind."""
    deliver_timeout_s: Seconds = 30.0
    """A deliver_sm not answered in this time is sent again."""
    retry_s: Seconds = 1.0
    """The pause before a deliver_sm that was refused for now is sent again."""
    enquire_link_s: Seconds = 0.0
    """How often it asks whether the ESME is there; it cuts one that is silent until the next."""
    message_id: Literal["hex", "upper", "decimal", "padded"] = "hex"
    """How ids are written in responses."""
    mo_id_tlv: Annotated[int, Field(ge=0, le=0xFFFF)] = 0
    """The tag of a TLV that carries an MO's id, the same when it is sent again."""


@dataclass(frozen=True, slots=True)
class ReceiptForm:
    """`[receipt]`: what becomes of a message and how the application is told."""

    __pydantic_config__ = _STRICT

    state: State = "DELIVRD"
    intermediate: tuple[State, ...] = ()
    """States told before, as intermediate notifications."""
    final_first: bool = False
    """The final state is told first, the intermediate ones after it."""
    by: Literal["both", "tlv", "text", "nothing"] = "both"
    """Where id and state are written; `nothing` is a receipt that names no message."""
    message_id: IdForm = "same"
    """How the id is written; `same` as in the response."""
    before_response: bool = False
    """The receipt leaves before the submit_sm_resp."""
    bind: Literal["any", "same", "other"] = "any"
    """Over which bind, if there is such a one."""
    delay_s: Seconds = 0.2
    jitter_s: Seconds = 0.0
    """Up to so much more, by chance: receipts overtake one another."""
    copies: AtLeastOne = 1
    error: Annotated[str, Field(pattern=r"^[0-9]{3}$")] = "000"


@dataclass(frozen=True, slots=True)
class Rule:
    """What is done on which occasions."""

    __pydantic_config__ = _STRICT

    on: On
    do: str
    every: AtLeastOne = 1
    """Every n-th occasion that fits."""
    after: Count = 0
    """Not on the first so many."""
    times: Count = 0
    """At most so often; 0 is no limit."""
    chance: Annotated[float, Field(ge=0, le=1)] = 1.0
    source: str = ""
    """A regular expression that is found in the sender's address."""
    destination: str = ""
    text: str = ""
    status: Annotated[int, Field(ge=1, le=0xFFFF_FFFF)] = Status.RTHROTTLED
    """For refuse and nack; in a file also by name, such as "RMSGQFUL"."""
    delay_s: Seconds = 0.0
    """delay, lose, repeat, bound: how much later. reorder: how long at most (0: 1 s)."""
    for_s: Seconds = 0.0
    """stall: how long; 0 is until the connection ends."""
    count: AtLeastOne = 1
    """repeat: how many more. reorder: how many may overtake it."""
    kind: Kind = "length"
    """malformed: in which way."""
    receipt: ReceiptForm = field(default_factory=ReceiptForm)
    """receipt: what is not named here is as in `[receipt]`."""


@dataclass(frozen=True, slots=True)
class Script:
    """A whole script."""

    seed: int = 1
    smsc: Profile = Profile()
    receipt: ReceiptForm = ReceiptForm()
    rules: tuple[Rule, ...] = ()


PLAIN: Final = Script()
"""Nothing goes wrong."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What an occasion is about: addresses as on the wire, the text if it can be read."""

    source: str = ""
    destination: str = ""
    text: str = ""


NOBODY: Final = Subject()


# ---- reading


def read_script(file: Path) -> Script:
    """Return the script of a TOML file.

    Raises:
        BadScript: it is no TOML or says what it cannot; each error begins with the file's name.
        OSError: it cannot be read.
    """
    try:
        tree = tomllib.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise BadScript([f"{file}: {error}"]) from None
    try:
        return parse_script(tree)
    except BadScript as bad:
        raise BadScript([f"{file}: {error}" for error in bad.errors]) from None


def parse_script(tree: Mapping[str, Any]) -> Script:
    """Return a script from what TOML or JSON makes of it; BadScript names every error."""
    errors = [
        f"{key}: there is no such key; there are seed, smsc, receipt and rule"
        for key in tree
        if key not in ("seed", "smsc", "receipt", "rule")
    ]
    seed = tree.get("seed", 1)
    if not isinstance(seed, int) or isinstance(seed, bool):
        errors.append(f"seed = {seed!r}: a whole number")
    smsc = _read(_PROFILE, tree.get("smsc", {}), "smsc", errors)
    receipt = _read(_RECEIPT, tree.get("receipt", {}), "receipt", errors)
    rules = []
    listed = tree.get("rule", [])
    for number, raw in enumerate(listed if isinstance(listed, list) else [listed], 1):
        try:
            rules.append(parse_rule(raw, receipt or ReceiptForm(), f"rule {number}"))
        except BadScript as bad:
            errors += bad.errors
    if errors or smsc is None or receipt is None:
        raise BadScript(errors)
    return Script(seed, smsc, receipt, tuple(rules))


def parse_rule(raw: object, receipt: ReceiptForm, where: str = "rule") -> Rule:
    """Return a rule from what TOML or JSON makes of it; BadScript names every error.

    `receipt` is what its own receipt leaves unsaid.
    """
    if not isinstance(raw, Mapping):
        raise BadScript([f"{where}: a table with `on` and `do`"])
    tree = dict(raw)
    if isinstance(tree.get("receipt", {}), Mapping):
        tree["receipt"] = {**asdict(receipt), **tree.get("receipt", {})}
    if isinstance(tree.get("status"), str):
        tree["status"] = Status.__members__.get(tree["status"], tree["status"])
    if tree.get("on") == "receipt":
        tree.setdefault("do", "send")
    errors: list[str] = []
    rule: Rule | None = _read(_RULE, tree, where, errors)
    if rule is not None:
        errors += [f"{where}: {why}" for why in _contradictions(rule)]
    if errors or rule is None:
        raise BadScript(errors)
    return rule


def _read(adapter: TypeAdapter[Any], tree: object, where: str, errors: list[str]) -> Any:
    try:
        # As JSON, whose strict reading takes tables for dataclasses and lists for tuples.
        return adapter.validate_json(json.dumps(tree, default=str))
    except ValidationError as invalid:
        for error in invalid.errors():
            key = ".".join(str(part) for part in (where, *error["loc"]))
            if error["type"] == "unexpected_keyword_argument":
                errors.append(f"{key}: there is no such key")
            elif error["type"].startswith("missing"):
                errors.append(f"{key}: must be given")
            else:
                errors.append(f"{key} = {error['input']!r}: {error['msg']}")
    return None


def _contradictions(rule: Rule) -> list[str]:
    found = []
    if rule.do not in ACTS[rule.on]:
        found.append(f"on {rule.on} do {rule.do!r}: one of {', '.join(sorted(ACTS[rule.on]))}")
    for key in ("source", "destination", "text"):
        try:
            re.compile(getattr(rule, key))
        except re.error as error:
            found.append(f"{key} is no regular expression: {error}")
    return found


_PROFILE: Final = TypeAdapter(Profile)
_RECEIPT: Final = TypeAdapter(ReceiptForm)
_RULE: Final = TypeAdapter(Rule)


# ---- choosing


@dataclass(slots=True)
class Standing:
    """A rule in force, how many occasions fitted it, and how often it was followed."""

    rule_id: int
    rule: Rule
    met: int = 0
    used: int = 0


class Rules:
    """The rules in force. The same script and the same occasions give the same choices."""

    def __init__(self, script: Script) -> None:
        self.random = Random(script.seed)
        self._standing: list[Standing] = []
        self._last_id = 0
        self.add(script.rules)

    def __iter__(self) -> Iterator[Standing]:
        return iter(self._standing)

    def add(self, rules: tuple[Rule, ...]) -> list[int]:
        """Put rules behind those in force; return their ids."""
        added = []
        for rule in rules:
            self._last_id += 1
            self._standing.append(Standing(self._last_id, rule))
            added.append(self._last_id)
        return added

    def remove(self, rule_id: int | None = None) -> int:
        """Take one rule out of force, or all; return how many there were."""
        kept = [one for one in self._standing if rule_id is not None and one.rule_id != rule_id]
        removed = len(self._standing) - len(kept)
        self._standing = kept
        return removed

    def choose(self, on: On, subject: Subject = NOBODY) -> Rule | None:
        """Return the rule to follow on this occasion, which counts for every rule that fits."""
        chosen: Standing | None = None
        for one in self._standing:
            if one.rule.on == on and _fits(one.rule, subject):
                one.met += 1
                if chosen is None and self._is_due(one):
                    chosen = one
        if chosen is None:
            return None
        chosen.used += 1
        return chosen.rule

    def _is_due(self, one: Standing) -> bool:
        rule = one.rule
        count = one.met - rule.after
        if count <= 0 or count % rule.every or (rule.times and one.used >= rule.times):
            return False
        return rule.chance >= 1 or self.random.random() < rule.chance


def _fits(rule: Rule, subject: Subject) -> bool:
    return all(
        not pattern or re.search(pattern, value)
        for pattern, value in (
            (rule.source, subject.source),
            (rule.destination, subject.destination),
            (rule.text, subject.text),
        )
    )
