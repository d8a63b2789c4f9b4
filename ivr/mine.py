"""The tones that a caller owns."""

from __future__ import annotations

from dataclasses import dataclass

from catalog.tones import Prices, Tone
from catalog.values import FUNCTION_CODE
from ivr.call import Call
from ivr.lists import Songs
from ivr.place import Place, Way, said
from ordering import orders

DATABASE_PATIENCE_S = 3.0


@dataclass(frozen=True, slots=True)
class MyTones:
    """What the caller owns."""

    async def visit(self, call: Call) -> Place | Way:
        """Look up the caller's tones and list them."""
        if call.caller.msisdn is None:
            return await said(call, f"refused_{call.caller.kind}")
        asking = call.line.database.run(orders.owned, call.caller.msisdn)
        looking = call.pending(asking, "my_tones_failed")
        await looking.within(DATABASE_PATIENCE_S)
        if looking.result is None:
            return await said(call, "line_trouble")
        tones = tuple(
            call.snapshot.tone(owned.tone_code) or _retired(owned.tone_code, owned.title)
            for owned in looking.result
            if owned.tone_code != FUNCTION_CODE
        )
        if not tones:
            return await said(call, "my_tones_none")
        return Songs(call.say("my_tones_intro", n=len(tones)), "my_tones_item", tones)


def _retired(code: str, title: str) -> Tone:
    """Return a tone that is no longer in the catalogue, as far as an order knows it."""
    return Tone(code, title, "", "", "", Prices(0, 0, 0), None, "retired", "", 0, None)
