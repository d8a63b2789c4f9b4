"""the simulated SMSC's responses: at once, late, twice, never, malformed, overtaken by others."""

from __future__ import annotations

from typing import Final

from smpp import pdu as codec
from smpp.commands import DataSmResp, GenericNack, Response, SubmitSmResp
from smpp.smsc_malformed import malform
from smpp.smsc_rules import Rule
from smpp.smsc_stage import HeldResponse, Link, Stage

HOLD_S: Final = 1.0
"""How long a response is held back at most, unless its rule says otherwise."""


class Responses:
    """Gives responses as rules have them."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def give(self, link: Link, response: Response, rule: Rule | None) -> None:
        """Send a response, as the rule has it."""
        do = "" if rule is None else rule.do
        if rule is None or do in ("refuse", "unbind"):
            self._stage.after(self._delay(response), self._emit, link, codec.encode(response))
        elif do in ("ignore", "lose"):
            self._stage.counts["unanswered"] += 1
        elif do == "reorder":
            held = HeldResponse(codec.encode(response), rule.count)
            link.held.append(held)
            self._stage.later(rule.delay_s or HOLD_S, self._release, link, held)
        else:
            octets = self._written(response, rule)
            delay_s = self._delay(response)
            first_s = delay_s + (rule.delay_s if do == "delay" else 0.0)
            self._stage.after(first_s, self._emit, link, octets)
            for _ in range(rule.count if do == "repeat" else 0):
                self._stage.after(delay_s + rule.delay_s, self._stage.write, link, octets)

    def _written(self, response: Response, rule: Rule) -> bytes:
        if rule.do == "nack":
            return codec.encode(GenericNack(response.sequence, rule.status))
        octets = codec.encode(response)
        if rule.do == "malformed":
            return malform(octets, rule.kind, self._stage.rules.random)
        return octets

    def _delay(self, response: Response) -> float:
        if not isinstance(response, SubmitSmResp | DataSmResp):
            return 0.0
        profile = self._stage.profile
        return profile.response_delay_s + self._stage.jitter(profile.response_jitter_s)

    def _emit(self, link: Link, octets: bytes) -> None:
        self._stage.write(link, octets)
        for held in list(link.held):
            held.overtakers -= 1
            if held.overtakers <= 0:
                self._release(link, held)

    def _release(self, link: Link, held: HeldResponse) -> None:
        if held in link.held:
            link.held.remove(held)
            self._stage.write(link, held.octets)
