"""Whoever reads English texts gets through ordering, looking up and cancelling with them."""

from __future__ import annotations

from dataclasses import replace

from catalog.directories import Edition
from tests.fakes.catalogue import CODES, a_snapshot, some_tones
from tests.fakes.messages import NOON
from tests.fakes.shortcode import ENGLISH, ShortCode


def test_a_song_is_ordered_looked_up_and_cancelled_in_english(line: ShortCode) -> None:
    line.with_(texts=ENGLISH)
    assert line.text("Text 1029") == (
        "《茉莉花》¥2, member ¥1.5, VIP ¥1. You pay ¥2, till cancelled. "
        "Reply Y1029 or N. Cancel: TD"
    )
    assert line.text("Reply Y1029") == "OK《茉莉花》¥2. Undo(30min):0 End:TD1029"
    assert line.text("CX") == "You have 1: 1029《茉莉花》¥2; to cancel, text TD and a code"
    assert line.text("Cancel 1029") == "《茉莉花》cancelled, no more charges"
    assert line.text("CX") == "You have no songs yet. Choose at 12530019, it is free"


def test_the_words_of_the_lists_lead_to_the_next_page(line: ShortCode) -> None:
    songs = tuple(replace(tone, title=tone.code * 5) for tone in some_tones())
    edition = Edition("jiangsu", "regular", NOON, None, CODES[:10], (), edition_id=1)
    line.with_(texts=ENGLISH, snapshot=lambda: a_snapshot(songs, [edition]))
    first = line.text("ML PROV")
    assert first.startswith(f"Top songs of the province: {songs[0].code}《{songs[0].title}》; ")
    assert "more: ML PROV2; to buy, text a code" in first
    assert line.text("ML PROV2").startswith("Top songs of the province: ")


def test_help_and_refusing_are_understood_as_written(line: ShortCode) -> None:
    line.with_(texts=ENGLISH)
    assert line.text("what is this").startswith("Buy:code Find:CX ")
    assert line.text("R") == "No more offers. You can still buy and cancel. Resume: TJ"
    assert line.text("TJ") == "You will get offers again. No ads: R"
