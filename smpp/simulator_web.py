"""The simulator's HTTP port: put MOs in, read MTs out, say what goes wrong.

`POST /mo` with JSON `{"from": NUMBER, "to": SHORT_CODE, "text": TEXT}` queues a subscriber's
message and answers 202 `{"mo_id", "parts"}`. Optional: `"data_coding"` 0, 1, 3, 8 or 15 (else 0 if
GSM 03.38 is enough, else 8), `"long_messages"` `udh8` (the default), `udh16`, `sar` or `payload`,
`"octets"` (hexadecimal, with `"data_coding"`) instead of `"text"`: whatever a telephone may send,
`"only"`, a list such as `[2, 1]`: these parts are delivered (from 1), in this order.
With `?wait=1` it answers 200 once the application has answered every part, adding `"status"`
(command_status, 0 is accepted) and `"status_name"`; 504 when that takes 60 s.

`GET /mt?to=NUMBER&since=N&wait=S` lists the messages kept that were sent to NUMBER (in any usual
form; left out: to all) after the N-th:
`[{"n", "at", "source", "destination", "text", "parts", "missing", "message_ids", "data_coding",
"validity", "long_messages"}]`, oldest first, `at` in ISO 8601 with offset; `missing` counts parts
that never came, `validity` is the submit_sm's own, `long_messages` how a long text travelled. With
`wait` the answer comes with the next message, or empty after S seconds (60 at most).

`GET /state` tells who is bound and counts: `{"binds": [{"mode", "peer", "since"}], "counts": {...},
"last": N, "waiting": N, "undelivered": N}`; `last` is the `since` from which only what comes next
is listed.

`GET /rules` lists the rules in force, each with its `id`, how many occasions it `met` and how often
it was `used`. `POST /rules` with a rule as in a script's `[[rule]]`, or a list of them, puts them
behind those in force and answers 201 `{"ids": [...]}`; a rule `"on": "now"` is done at once and has
no id. `DELETE /rules` ends them all, `DELETE /rules?id=N` one: `{"removed": N}`.

`GET /script` shows the whole script in force; `POST /script` with `{"seed", "smsc", "receipt",
"rule": [...]}`, all as in a file and each left out as by default, takes its place.

Errors: a 4xx or 503 with `{"error": SENTENCE}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from smpp import text
from smpp.commands import status_name
from smpp.smsc_mailbox import Mt
from smpp.smsc_rules import BadScript, parse_rule, parse_script
from smpp.smsc_running import RunningSmsc
from smpp.smsc_stage import Mo

LONGEST_BODY: Final = 65_536
LONGEST_WAIT_S: Final = 60.0
T = TypeVar("T")
_ADDRESS = re.compile(r"(?=.{1,20}\Z)\+?[0-9A-Za-z]+")
_LONG_MESSAGES: Final = ("udh8", "udh16", "sar", "payload")
_CODECS: Final = {1: "ascii", 3: "latin-1", 15: "gb18030"}


class Refused(Exception):
    """The request cannot be served: an HTTP status and a sentence."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


class SimulatorSite(Site):
    """Serves the API of this module's docstring."""

    def __init__(self, smsc: RunningSmsc) -> None:
        super().__init__(_Api(smsc))

    def log(self, request: Any) -> None:
        """No access log: it would show subscribers' numbers."""


class _Api(Resource):
    isLeaf = True

    def __init__(self, smsc: RunningSmsc) -> None:
        super().__init__()
        self._smsc = smsc
        self._references = 0

    def render(self, request: Request) -> Any:
        """Answer a request, now or later; Refused becomes its error."""
        routes: dict[tuple[bytes, bytes], Callable[[Request], Any]] = {
            (b"POST", b"/mo"): self._post_mo,
            (b"GET", b"/mt"): self._get_mt,
            (b"GET", b"/state"): self._get_state,
            (b"GET", b"/rules"): self._get_rules,
            (b"POST", b"/rules"): self._post_rules,
            (b"DELETE", b"/rules"): self._delete_rules,
            (b"GET", b"/script"): self._get_script,
            (b"POST", b"/script"): self._post_script,
        }
        request.setHeader(b"content-type", b"application/json; charset=utf-8")
        try:
            route = _found(routes, request)
            return route(request)
        except Refused as refused:
            request.setResponseCode(refused.status)
            return _json({"error": refused.why})

    # ---- POST /mo

    def _post_mo(self, request: Request) -> Any:
        asked = _object(request)
        source, destination = _address(asked, "from"), _address(asked, "to")
        segments = self._segments(asked)
        core = self._smsc.core
        if core.waiting + len(segments) > core.kept:
            raise Refused(503, f"{core.waiting} messages wait for a bind already")
        mo = self._smsc.put_mo(source, destination, segments)
        answer = {"mo_id": mo.mo_id, "parts": len(segments)}
        if _argument(request, "wait", "0") in ("", "0"):
            request.setResponseCode(202)
            return _json(answer)
        return self._when_answered(request, mo, answer)

    def _when_answered(self, request: Request, mo: Mo, answer: dict[str, Any]) -> Any:
        if mo.open_parts == 0:
            return _json(answer | _status(mo.status))

        def finish(status: int | None) -> None:
            if status is None:
                request.setResponseCode(504)
                _finish(request, answer | {"error": "no answer within 60 s"})
            else:
                _finish(request, answer | _status(status))

        self._wait(request, self._smsc.answered(mo), LONGEST_WAIT_S, finish)
        return NOT_DONE_YET

    def _segments(self, asked: dict[str, Any]) -> tuple[text.Segment, ...]:
        words, coding = asked.get("text"), asked.get("data_coding")
        way = asked.get("long_messages", "udh8")
        if "octets" in asked:
            words = ""
        if not isinstance(words, str):
            raise Refused(400, '"text" is to be a string')
        if way not in _LONG_MESSAGES:
            raise Refused(400, f'"long_messages" is to be one of {", ".join(_LONG_MESSAGES)}')
        self._references = self._references % 0xFFFF + 1
        try:
            if "octets" in asked:
                octets, coding = _octets(asked)
                segments = text.segment_octets(octets, coding, False, self._references, way)
            elif coding is None:
                segments = text.segment(words, self._references, "gsm7", way)
            else:
                coding = _whole(coding, "data_coding")
                octets = _encoded(words, coding)
                septets = coding == 0
                segments = text.segment_octets(octets, coding, septets, self._references, way)
        except text.TooLong as error:
            raise Refused(400, str(error)) from None
        return _only(asked, segments)

    # ---- GET /mt, GET /state

    def _get_mt(self, request: Request) -> Any:
        destination = _argument(request, "to", "")
        since = int(_number(request, "since"))
        wait_s = min(_number(request, "wait"), LONGEST_WAIT_S)
        found = self._smsc.mts_since(since, destination)
        if found or wait_s <= 0:
            return _json(_listed(found))
        answered = Deferred.fromCoroutine(self._next_mts(since, destination))
        self._wait(request, answered, wait_s, lambda found: _finish(request, _listed(found or [])))
        return NOT_DONE_YET

    async def _next_mts(self, since: int, destination: str) -> list[Mt]:
        while not (found := self._smsc.mts_since(since, destination)):
            await self._smsc.next_mt()
        return found

    def _get_state(self, _request: Request) -> bytes:
        core = self._smsc.core
        binds = [
            {"mode": link.mode, "peer": link.peer, "since": link.since.isoformat()}
            for link in core.binds
        ]
        return _json(
            {
                "binds": binds,
                "counts": dict(core.stage.counts),
                "last": core.mailbox.last,
                "waiting": core.waiting,
                "undelivered": core.undelivered,
            }
        )

    # ---- the script

    def _get_rules(self, _request: Request) -> bytes:
        return _json(
            [
                {"id": one.rule_id, **asdict(one.rule), "met": one.met, "used": one.used}
                for one in self._smsc.core.stage.rules
            ]
        )

    def _post_rules(self, request: Request) -> bytes:
        asked = _body(request)
        base = self._smsc.core.stage.receipt
        asked = asked if isinstance(asked, list) else [asked]
        rules = _accepted(lambda: [parse_rule(raw, base) for raw in asked])
        request.setResponseCode(201)
        return _json({"ids": self._smsc.follow(*rules)})

    def _delete_rules(self, request: Request) -> bytes:
        wanted = _argument(request, "id", "")
        rule_id = int(_number(request, "id")) if wanted else None
        removed = self._smsc.core.stage.rules.remove(rule_id)
        if rule_id is not None and not removed:
            raise Refused(404, f"there is no rule {rule_id}")
        return _json({"removed": removed})

    def _get_script(self, _request: Request) -> bytes:
        stage = self._smsc.core.stage
        return _json(
            {
                "seed": stage.seed,
                "smsc": asdict(stage.profile),
                "receipt": asdict(stage.receipt),
                "rule": [asdict(one.rule) for one in stage.rules],
            }
        )

    def _post_script(self, request: Request) -> bytes:
        asked = _object(request)
        self._smsc.play(_accepted(lambda: parse_script(asked)))
        return self._get_script(request)

    # ---- waiting

    def _wait(
        self,
        request: Request,
        waiting: Deferred[Any],
        wait_s: float,
        finish: Callable[[Any], None],
    ) -> None:
        """Call `finish` with the result, or with None after `wait_s` or when the simulator stops.

        Not at all when the client has gone.
        """
        timer = self._smsc.reactor.callLater(wait_s, waiting.cancel)
        gone: list[bool] = []

        def left(_: object) -> None:
            gone.append(True)
            waiting.cancel()

        def ended(result: Any) -> None:
            if timer.active():
                timer.cancel()
            if not gone:
                finish(result)

        def stopped(failure: Failure) -> None:
            if not isinstance(failure.value, CancelledError):
                failure.raiseException()

        request.notifyFinish().addErrback(left)
        waiting.addErrback(stopped)
        waiting.addCallback(ended)


def _found(
    routes: dict[tuple[bytes, bytes], Callable[[Request], Any]], request: Request
) -> Callable[[Request], Any]:
    method = b"GET" if request.method == b"HEAD" else request.method
    route = routes.get((method, request.path))
    if route is not None:
        return route
    if any(path == request.path for _, path in routes):
        raise Refused(405, f"{request.path.decode('latin-1')} does not take this method")
    raise Refused(404, "there are POST /mo, GET /mt, GET /state, /rules and /script")


def _accepted(parse: Callable[[], T]) -> T:
    try:
        return parse()
    except BadScript as bad:
        raise Refused(400, "; ".join(bad.errors)) from None


def _object(request: Request) -> dict[str, Any]:
    body = _body(request)
    if not isinstance(body, dict):
        raise Refused(400, "the body is to be a JSON object")
    return body


def _body(request: Request) -> Any:
    octets = request.content.read(LONGEST_BODY + 1) if request.content else b""
    if len(octets) > LONGEST_BODY:
        raise Refused(413, f"a body of more than {LONGEST_BODY} octets")
    try:
        return json.loads(octets.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"the body is no JSON: {error}") from None


def _address(asked: dict[str, Any], key: str) -> str:
    address = asked.get(key)
    if not isinstance(address, str) or _ADDRESS.fullmatch(address) is None:
        raise Refused(400, f'"{key}" is to be a string of 1 to 20 digits (or letters)')
    return address


def _octets(asked: dict[str, Any]) -> tuple[bytes, int]:
    octets, coding = asked["octets"], _whole(asked.get("data_coding", 0), "data_coding")
    if not isinstance(octets, str) or re.fullmatch(r"([0-9A-Fa-f]{2})*", octets) is None:
        raise Refused(400, '"octets" are to be pairs of hexadecimal digits')
    if not 0 <= coding <= 0xFF:
        raise Refused(400, '"data_coding" is to be 0 to 255')
    return bytes.fromhex(octets), coding


def _only(asked: dict[str, Any], segments: tuple[text.Segment, ...]) -> tuple[text.Segment, ...]:
    wanted = asked.get("only", list(range(1, len(segments) + 1)))
    known = range(1, len(segments) + 1)
    wanted = wanted if isinstance(wanted, list) else []
    if not wanted or not all(type(one) is int and one in known for one in wanted):
        raise Refused(400, f'"only" is to be a list of parts from 1 to {len(segments)}')
    return tuple(segments[number - 1] for number in wanted)


def _whole(value: object, key: str) -> int:
    if type(value) is not int:  # True and 8.0 are equal to some
        raise Refused(400, f'"{key}" is to be a whole number')
    return value


def _encoded(words: str, coding: int) -> bytes:
    octets: bytes | None = None
    if coding == 0:
        octets = text.encode_gsm7(words)
    elif coding == text.UCS2:
        octets = text.encode_ucs2(words)
    elif coding in _CODECS:
        try:
            octets = words.encode(_CODECS[coding])
        except UnicodeEncodeError:
            octets = None
    else:
        raise Refused(400, '"data_coding" is to be 0, 1, 3, 8 or 15')
    if octets is None:
        raise Refused(400, f"data_coding {coding} has no form for some character of the text")
    return octets


def _argument(request: Request, name: str, default: str) -> str:
    values = request.args.get(name.encode(), []) if request.args else []
    return values[-1].decode("utf-8", "replace") if values else default


def _number(request: Request, name: str) -> float:
    value = _argument(request, name, "0")
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?", value) is None:
        raise Refused(400, f"{name} is to be a number from 0")
    return float(value)


def _listed(mts: list[Mt]) -> list[dict[str, Any]]:
    return [asdict(mt) | {"at": mt.at.isoformat()} for mt in mts]


def _status(status: int) -> dict[str, Any]:
    return {"status": status, "status_name": status_name(status)}


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def _finish(request: Request, value: object) -> None:
    octets = _json(value)
    request.setHeader(b"content-length", str(len(octets)).encode())
    request.write(octets)
    request.finish()
