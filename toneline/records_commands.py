"""`toneline subscribers`, `orders` and `trace`: what customer service asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from catalog.values import yuan
from config.settings import zone
from ordering import orders as domain
from ordering import records
from ordering.orders import Order
from ordering.subscribers import Subscriber, set_subscriber, subscriber
from toneline.command import (
    Refused,
    config_option,
    database_of,
    emit,
    instant,
    json_option,
    now,
    number,
    reading,
    settings_of,
)


@click.group()
def subscribers() -> None:
    """What the local provisioning adapter knows of a number."""


@subscribers.command("show")
@click.argument("msisdn", metavar="NUMBER")
@config_option
@json_option
def show_subscriber(msisdn: str, config: Path | None, as_json: bool) -> None:
    """Show a number's tier, function and state.

    Example: toneline subscribers show 13905250001
    """
    with reading(settings_of(config)) as database:
        _tell(database.run_now(subscriber, number(msisdn)), as_json)


@subscribers.command("set")
@click.argument("msisdn", metavar="NUMBER")
@click.option("--tier", type=click.Choice(["visitor", "member", "senior"]))
@click.option("--function", type=click.Choice(["on", "off"]))
@click.option("--state", type=click.Choice(["active", "suspended"]))
@config_option
@json_option
def set_one(
    msisdn: str,
    tier: Any,
    function: Any,
    state: Any,
    config: Path | None,
    as_json: bool,
) -> None:
    """Change what is given of a number, keep the rest.

    Example: toneline subscribers set 13905250001 --tier member
    """
    with database_of(settings_of(config)) as database:
        known = database.run_now(set_subscriber, number(msisdn), now(), tier, function, state)
        _tell(known, as_json)


def _tell(known: Subscriber, as_json: bool) -> None:
    if as_json:
        emit(known)
    else:
        click.echo(
            f"{known.msisdn}  tier {known.tier}, function {known.function}, state {known.state}"
        )


@click.group(invoke_without_command=True)
@click.option("--msisdn", metavar="NUMBER", help="Whose orders to list.")
@config_option
@json_option
@click.pass_context
def orders(context: click.Context, msisdn: str | None, config: Path | None, as_json: bool) -> None:
    """List the orders of a number, oldest first.

    Example: toneline orders --msisdn 13905250001
    """
    if context.invoked_subcommand is not None:
        return
    if msisdn is None:
        raise click.UsageError("--msisdn NUMBER is needed")
    settings = settings_of(config)
    with reading(settings) as database:
        found = database.run_now(domain.orders_of, number(msisdn))
    if as_json:
        emit([_document(order, zone(settings)) for order in found])
        return
    for order in found:
        click.echo(_line(order, zone(settings)))


@orders.command("show")
@click.argument("order_id", metavar="ID")
@config_option
@json_option
def show_order(order_id: str, config: Path | None, as_json: bool) -> None:
    """Show an order with its proof: what was shown, and the answer.

    Example: toneline orders show 5d41402abc4b2a76b9719d911017c592
    """
    settings = settings_of(config)
    with reading(settings) as database:
        order = database.run_now(domain.find_order, order_id)
        consent = database.run_now(domain.consent_of, order_id)
    if order is None:
        raise Refused(f"there is no order {order_id}")
    proof = _local(consent, zone(settings))
    if as_json:
        emit(_document(order, zone(settings)) | {"consent": proof})
        return
    click.echo(_line(order, zone(settings)))
    if proof is not None:
        click.echo("\n".join(_proof_lines(proof)))


def _proof_lines(proof: Mapping[str, Any]) -> Iterator[str]:
    """Write a consent for a person: what was shown or played, the answer, and the terms."""
    quote, shown = proof["quote"], proof["shown"]
    prices = ", ".join(f"{tier} {yuan(fen)}" for tier, fen in quote["prices"].items())
    yield f"  pays    {yuan(quote['pays_fen'])} as {quote['tier']} ({prices})"
    if isinstance(shown, dict):
        yield f"  shown   {_said(shown)}"
        for prompt in shown.get("prompts", ()):
            yield f"  played  {prompt['id']}  {prompt['played_ms']} ms  sha256 {prompt['sha256']}"
    yield f"  answer  {proof['answer']}  at {proof['answered_at']}"


def _document(order: Order, timezone: ZoneInfo) -> dict[str, Any]:
    document: dict[str, Any] = _local(asdict(order), timezone)
    return document


def _local(value: Any, timezone: ZoneInfo) -> Any:
    """Return a value with its times in local time: details hold them as text, named `..._at`."""
    if isinstance(value, dict):
        return {
            key: _local(_instant(inner) if key.endswith("_at") else inner, timezone)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_local(inner, timezone) for inner in value]
    if isinstance(value, datetime):
        return value.astimezone(timezone).isoformat()
    return value


def _instant(written: Any) -> Any:
    """Return the instant that a text is; anything else as it is."""
    try:
        at = datetime.fromisoformat(written)
    except (TypeError, ValueError):
        return written
    return at if at.tzinfo else written


def _line(order: Order, timezone: ZoneInfo) -> str:
    at = order.requested_at.astimezone(timezone)
    why = f" ({order.reason})" if order.reason else ""
    return (
        f"{order.order_id}  {at:%Y-%m-%d %H:%M:%S}  {order.msisdn}  {order.tone_code} "
        f"{order.title}  {yuan(order.pays_fen)}  {order.channel}  {order.state}{why}"
    )


@click.command()
@click.argument("msisdn", metavar="NUMBER")
@click.option("--since", help="Not before this time, such as 2026-11-22T08:00.")
@click.option("--until", help="Before this time.")
@config_option
@json_option
def trace(
    msisdn: str, since: str | None, until: str | None, config: Path | None, as_json: bool
) -> None:
    """Show everything that happened to a number, in order of time.

    Sounds heard, keys, consents with every prompt's checksum: --json has them whole.

    Example: toneline trace 13905250001 --since 2026-11-22
    """
    settings = settings_of(config)
    timezone = zone(settings)
    start = instant(since, timezone, records.START_OF_TIME)
    end = instant(until, timezone, records.END_OF_TIME)
    with reading(settings) as database:
        happenings = database.run_now(records.trace, number(msisdn), start, end)
    if as_json:
        emit([_local(asdict(happening), timezone) for happening in happenings])
        return
    for happening in happenings:
        at = happening.at.astimezone(timezone)
        local = _local(happening.detail, timezone)
        detail = "  ".join(f"{key}={said}" for key, of in local.items() if (said := _said(of)))
        click.echo(f"{at:%Y-%m-%d %H:%M:%S.%f}  {happening.kind:12}  {detail}")


def _said(value: Any) -> str:
    """Write a detail on one line: of a consent its words, of each part of a message its values."""
    if isinstance(value, list):
        return ", ".join("/".join(str(one) for one in part.values() if one) for part in value)
    if isinstance(value, dict):
        return str(value.get("text", ""))
    return str(value or "")
