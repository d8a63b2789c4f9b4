"""The `toneline` command (click): serve, phone, text, tones, directories, orders, trace, doctor."""

from __future__ import annotations

import math
import sys
from datetime import datetime
from pathlib import Path

import click

from config.settings import zone
from toneline.addresses import client_address
from toneline.calendar_commands import holidays, licences
from toneline.catalogue_commands import tones
from toneline.chart_commands import charts
from toneline.command import (
    Refused,
    config_option,
    emit,
    instant,
    json_option,
    now,
    number,
    settings_of,
)
from toneline.directory_commands import directories
from toneline.records_commands import orders, subscribers, trace

_PORT = click.IntRange(0, 65535)
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


def _number_given(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    if math.isnan(value):  # which no range keeps out
        raise click.BadParameter("that is no number")
    return value


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Toneline, the application server behind a ring-back-tone line."""


@main.command()
@click.option(
    "--only",
    help="Run these services alone: some of voice,sms,scheduler,console.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    metavar="N",
    help="Take the calls in N processes of their own, 1 to 64; without it in this one.",
)
@config_option
def serve(only: str | None, workers: int | None, config: Path | None) -> None:
    """Run the line in the foreground until Ctrl-C or SIGTERM.

    Example: toneline serve --config /etc/toneline.toml --only voice,console

    Example: toneline serve --config /etc/toneline.toml --workers 2
    """
    from toneline.serve import SERVICES
    from toneline.serve import serve as run

    chosen = tuple(only.split(",")) if only else SERVICES
    unknown = [name for name in chosen if name not in SERVICES]
    if unknown:
        raise click.UsageError(f"--only: there is no service {unknown[0]!r}")
    if workers and "voice" not in chosen:
        raise click.UsageError("--workers takes calls, and --only leaves out voice")
    sys.exit(run(settings_of(config), chosen, workers or 0, config))


@main.command()
@click.argument("dialled")
@click.option("--from", "caller", required=True, help="Whose phone it is; any text is allowed.")
@click.option(
    "--keys", default="", help="Keys to press at each silence, such as 1,1 or 3,1029#,1!."
)
@click.option("--interactive", is_flag=True, help="Take keys as they are typed.")
@click.option("--realtime", is_flag=True, help="Hear every sound at its own pace.")
@click.option(
    "--at", metavar="TIME", help="Rehearse the line as it will sound then; nothing is ordered."
)
@config_option
@json_option
def phone(
    dialled: str,
    caller: str,
    keys: str,
    interactive: bool,
    realtime: bool,
    at: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Call the running line from this terminal.

    Example: toneline phone 125300191029 --from 13905250001 --keys 1,1

    Example: toneline phone 12530019 --from 13905250001 --at 2027-02-06T00:00 --keys 2
    """
    from ivr import phone as telephone
    from ivr.typed_keys import keys_of_the_terminal
    from toneline.telephone import call

    settings = settings_of(config)
    moment = None if at is None else instant(at, zone(settings), now())
    try:
        pressed = telephone.parse_keys(keys)
    except telephone.PhoneError as error:
        raise click.UsageError(str(error)) from error
    if interactive:
        with keys_of_the_terminal() as fingers:
            call(settings, dialled, caller, fingers, moment, as_json)
    else:
        script = telephone.Script(pressed, realtime)
        call(settings, dialled, caller, script, moment, as_json)


@main.command()
@click.argument("text")
@click.option("--from", "sender", required=True, metavar="NUMBER", help="Who texts.")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, 3600),
    callback=_number_given,
    default=5.0,
    show_default=True,
    help="Seconds to wait for MTs.",
)
@config_option
@json_option
def text(text: str, sender: str, wait_s: float, config: Path | None, as_json: bool) -> None:
    """Text the line through the SMSC simulator and show what comes back.

    Example: toneline text 1029 --from 13905250001
    """
    from toneline.text import NoSimulator, send_text

    settings = settings_of(config)
    if settings.smsc:
        raise Refused("a real [[smsc]] is set: text the line from a phone")
    sent_from = number(sender)
    received = []
    try:
        host, port = client_address(settings.simulator.http)
        short_code = settings.sms.short_codes[0]
        for message in send_text(f"http://{host}:{port}", sent_from, short_code, text, wait_s):
            received.append(message)
            if not as_json:
                at = datetime.fromisoformat(message["at"]).astimezone(zone(settings))
                click.echo(f"{at:%H:%M:%S}  {message['text']}")
    except (NoSimulator, ValueError) as error:
        raise Refused(str(error)) from error
    if as_json:
        emit(received)


@main.command()
@click.option("--listen", type=_PORT, default=None, help="The SMPP port; [simulator] listen.")
@click.option("--http", type=_PORT, default=None, help="The HTTP port; [simulator] http.")
@click.option(
    "--script", type=_FILE, default=None, help="A TOML file of what goes wrong on purpose."
)
@click.option(
    "--tls", type=_FILE, default=None, help="SMPP over TLS with this PEM file: certificate and key."
)
@config_option
def smsc(
    listen: int | None,
    http: int | None,
    script: Path | None,
    tls: Path | None,
    config: Path | None,
) -> None:
    """Run the SMSC simulator alone, until Ctrl-C.

    Example: toneline smsc --listen 2775 --script night.toml
    """
    from smpp.smsc_rules import BadScript
    from toneline.prepare import simulator_script
    from toneline.serve import serve_simulator

    settings = settings_of(config)
    configured = settings.simulator
    smpp = configured.listen if listen is None else f"tcp:{listen}:interface=127.0.0.1"
    web = configured.http if http is None else f"tcp:{http}:interface=127.0.0.1"
    if tls is not None:
        smpp = f"ssl{smpp.removeprefix('tcp')}:privateKey={_escaped(tls)}:certKey={_escaped(tls)}"
    simulator = configured.model_copy(update={"listen": smpp, "http": web})
    try:
        played = simulator_script(str(script) if script else configured.script)
    except (BadScript, OSError) as error:
        raise Refused(str(error)) from error
    sys.exit(serve_simulator(settings.model_copy(update={"simulator": simulator}), played))


def _escaped(file: Path) -> str:
    """Return a path as an endpoint's description takes it."""
    return str(file).replace("\\", r"\\").replace(":", r"\:")


@main.group()
def db() -> None:
    """The database's schema."""


@db.command()
@config_option
def upgrade(config: Path | None) -> None:
    """Bring the database to this version's schema; harmless when it is there already.

    Example: toneline db upgrade --config /etc/toneline.toml
    """
    from store.engine import StoreError
    from store.migrations import HEAD
    from store.migrations import upgrade as migrate
    from toneline.folders import Folders

    folders = Folders.of(settings_of(config))
    try:
        changed = migrate(folders.database_url)
    except StoreError as error:
        raise Refused(str(error)) from error
    click.echo(f"the database is at revision {HEAD}" + ("" if changed else " already"))


@main.command()
@config_option
@json_option
def doctor(config: Path | None, as_json: bool) -> None:
    """Check everything the line needs, and say what to do about what is wrong.

    Example: toneline doctor --config /etc/toneline.toml
    """
    from toneline.doctor import examine, tell

    findings = examine(settings_of(config))
    tell(findings, as_json)
    sys.exit(0 if all(finding.well for finding in findings) else 1)


directories.add_command(holidays)
tones.add_command(licences)
for command in (tones, directories, charts, subscribers, orders, trace):
    main.add_command(command)
