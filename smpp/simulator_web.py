"""The simulator's HTTP port: put MOs in, read MTs out.

`POST /mo` with JSON `{"from": NUMBER, "to": SHORT_CODE, "text": TEXT}` queues a subscriber's
message and answers 202 `{"mo_id", "parts"}`. Optional: `"data_coding"` 0, 1, 3, 8 or 15 (else 0 if
GSM 03.38 is enough, else 8), `"long_messages"` `udh8` (the default), `udh16`, `sar` or `payload`.
With `?wait=1` it answers 200 once the application has answered every part, adding `"status"`
(command_status, 0 is accepted) and `"status_name"`; 504 when that takes 60 s.

`GET /mt?to=NUMBER&since=N&wait=S` lists the messages kept that were sent to NUMBER (in any usual
form; left out: to all) after the N-th:
`[{"n", "at", "source", "destination", "text", "parts", "missing", "message_ids", "data_coding",
"validity"}]`, oldest first, `at` in ISO 8601 with offset; `missing` counts parts that never came,
`validity` is the submit_sm's own. With `wait` the answer comes with the next message, or
empty after S seconds (60 at most).

`GET /state` tells who is bound and counts: `{"binds": [{"mode", "peer", "since"}], "counts": {...},
"last": N, "waiting": N}`; `last` is the `since` from which only what comes next is listed.

Errors: a 4xx or 503 with `{"error": SENTENCE}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from smpp import text
from smpp.commands import status_name
from smpp.smsc import Mt, Smsc

LONGEST_BODY: Final = 65_536
LONGEST_WAIT_S: Final = 60.0
_ADDRESS = re.compile(r"\+?[0-9A-Za-z]{1,20}")
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

    def __init__(self, smsc: Smsc) -> None:
        super().__init__(_Api(smsc))

    def log(self, request: Any) -> None:
        """No access log: it would show subscribers' numbers."""


class _Api(Resource):
    isLeaf = True

    def __init__(self, smsc: Smsc) -> None:
        super().__init__()
        self._smsc = smsc
        self._references = 0

    def render(self, request: Request) -> Any:
        """Answer a request, now or later; Refused becomes its error."""
        routes: dict[tuple[bytes, bytes], Callable[[Request], Any]] = {
            (b"POST", b"/mo"): self._post_mo,
            (b"GET", b"/mt"): self._get_mt,
            (b"GET", b"/state"): self._get_state,
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
        asked = _body(request)
        source, destination = _address(asked, "from"), _address(asked, "to")
        segments = self._segments(asked)
        if self._smsc.waiting + len(segments) > self._smsc.kept:
            raise Refused(503, f"{self._smsc.waiting} messages wait for a bind already")
        mo = self._smsc.put_mo(source, destination, segments)
        answer = {"mo_id": mo.mo_id, "parts": len(segments)}
        if _argument(request, "wait", "0") in ("", "0"):
            request.setResponseCode(202)
            return _json(answer)
        if mo.open_parts == 0:
            return _json(answer | _status(mo.status))
        answered: Deferred[int] = Deferred(mo.answered.remove)
        mo.answered.append(answered)

        def finish(status: int | None) -> None:
            if status is None:
                request.setResponseCode(504)
                _finish(request, answer | {"error": "no answer within 60 s"})
            else:
                _finish(request, answer | _status(status))

        self._wait(request, answered, LONGEST_WAIT_S, finish)
        return NOT_DONE_YET

    def _segments(self, asked: dict[str, Any]) -> tuple[text.Segment, ...]:
        words, coding = asked.get("text"), asked.get("data_coding")
        way = asked.get("long_messages", "udh8")
        if not isinstance(words, str):
            raise Refused(400, '"text" is to be a string')
        if way not in _LONG_MESSAGES:
            raise Refused(400, f'"long_messages" is to be one of {", ".join(_LONG_MESSAGES)}')
        self._references = self._references % 0xFFFF + 1
        try:
            if coding is None:
                return text.segment(words, self._references, "gsm7", way)
            octets = _encoded(words, coding)
            return text.segment_octets(octets, coding, coding == 0, self._references, way)
        except text.TooLong as error:
            raise Refused(400, str(error)) from None

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
        smsc = self._smsc
        binds = [
            {
                "mode": connection.mode,
                "peer": connection.peer,
                "since": connection.since.isoformat(),
            }
            for connection in smsc.binds
        ]
        last = smsc.counts["mt"]
        return _json(
            {"binds": binds, "counts": dict(smsc.counts), "last": last, "waiting": smsc.waiting}
        )

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
    raise Refused(404, "there are POST /mo, GET /mt and GET /state")


def _body(request: Request) -> dict[str, Any]:
    octets = request.content.read(LONGEST_BODY + 1) if request.content else b""
    if len(octets) > LONGEST_BODY:
        raise Refused(413, f"a body of more than {LONGEST_BODY} octets")
    try:
        body = json.loads(octets.decode("utf-8"))
    except ValueError as error:
        raise Refused(400, f"the body is no JSON: {error}") from None
    if not isinstance(body, dict):
        raise Refused(400, "the body is to be a JSON object")
    return body


def _address(asked: dict[str, Any], key: str) -> str:
    address = asked.get(key)
    if not isinstance(address, str) or _ADDRESS.fullmatch(address) is None:
        raise Refused(400, f'"{key}" is to be a string of 1 to 20 digits (or letters)')
    return address


def _encoded(words: str, coding: object) -> bytes:
    octets: bytes | None = None
    if coding == 0:
        octets = text.encode_gsm7(words)
    elif coding == text.UCS2:
        octets = text.encode_ucs2(words)
    elif isinstance(coding, int) and coding in _CODECS:
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
