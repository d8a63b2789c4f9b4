"""`toneline phone`: a call from the terminal to the running line."""

from __future__ import annotations

from datetime import datetime

import click

from catalog.tones import Tone, all_tones
from config.settings import Settings
from ivr import phone, telling
from toneline.addresses import client_address
from toneline.command import Refused, emit, reading
from toneline.folders import Folders
from toneline.language import LANGUAGE_FAULTS, read_prompts


def call(
    settings: Settings,
    dialled: str,
    caller: str,
    fingers: phone.Fingers,
    at: datetime | None,
    as_json: bool,
) -> None:
    """Make a call and tell it as it goes on, or print it as JSON when it is over.

    `at`: rehearse the line as it will sound then.
    """
    folders = Folders.of(settings)
    try:
        host, port = client_address(settings.agi.listen)
        book = read_prompts(folders)
        text = telling.text_of(book, _tones(settings), folders.asterisk_sounds)
        if as_json:
            events = phone.call(host, port, dialled, caller, fingers, text, at=at)
            emit(telling.as_json(dialled, caller, events))
        else:
            tell = telling.Teller(_say).tell
            phone.call(host, port, dialled, caller, fingers, text, tell, at)
    except (*LANGUAGE_FAULTS, phone.PhoneError, ValueError) as error:
        raise Refused(str(error)) from error


def _tones(settings: Settings) -> tuple[Tone, ...]:
    """Return the tones whose titles are told; the line may well be another host's."""
    try:
        with reading(settings) as database:
            return database.run_now(all_tones)
    except Refused:
        return ()


def _say(line: str) -> None:
    """Print a line of the call; whoever hangs up on us (`| head`) has heard enough."""
    try:
        click.echo(line)
    except BrokenPipeError as gone:
        raise click.exceptions.Exit(0) from gone
