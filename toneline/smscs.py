"""[[smsc]] -> the services that bind, with their endpoints, and their figures for /metrics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS

from config.settings import Settings, Smsc
from ordering.outbox import CLASSES
from smpp.commands import SubmitSm
from smpp.esme import EsmeService, bind_request
from smpp.pdu import UnencodablePdu, encode
from smpp.retry import OnLost
from toneline.addresses import client_address
from toneline.health import Figures


class BadSmsc(Exception):
    """An SMSC's settings cannot be used; the sentence says which, why and what to do."""


def smscs_of(settings: Settings) -> Sequence[Smsc]:
    """Return the SMSCs to bind to: those of the settings, or the simulator."""
    return settings.smsc or (_simulated(settings),)


def _simulated(settings: Settings) -> Smsc:
    simulator = settings.simulator
    host, port = client_address(simulator.listen)
    return Smsc(
        name="simulator",
        host=host,
        port=port,
        system_id=simulator.system_id,
        password=simulator.password,
    )


def on_lost(smsc: Smsc) -> OnLost:
    """Return what becomes of a message of each class when its response is lost."""
    lost = smsc.on_lost_response
    return {"answer": lost.answer, "order": lost.order, "offer": lost.offer}


def resent(smscs: Sequence[Smsc]) -> tuple[str, ...]:
    """Return the classes that are sent again when a host dies that held them.

    Of its messages nobody knows which SMSC may have them: each must allow it.
    """
    choices = [on_lost(smsc) for smsc in smscs]
    return tuple(one for one in CLASSES if all(lost[one] == "resend" for lost in choices))


def check(smscs: Sequence[Smsc]) -> None:
    """Find out now what could only fail when the services are built.

    Raises:
        BadSmsc: no PDU can carry what an SMSC's settings say, or `tls_ca` is not as it must be.
    """
    for smsc in smscs:
        try:
            bind_request(smsc, "transceiver")
            encode(SubmitSm(0, "", "", service_type=smsc.service_type))
        except UnencodablePdu as error:
            raise BadSmsc(f"smsc {smsc.name}: {error}") from error
        if smsc.tls:
            _tls_options(smsc)


def endpoint_of(smsc: Smsc, reactor: Any) -> Any:
    """Return the endpoint of an SMSC; with `tls` its certificate must be good for its `host`.

    Raises:
        BadSmsc: `tls_ca` is no file of certificates.
    """
    plain: Any = HostnameEndpoint(reactor, smsc.host, smsc.port)
    return wrapClientTLS(_tls_options(smsc), plain) if smsc.tls else plain


def _tls_options(smsc: Smsc) -> Any:
    # Costs 50 ms, and few need it.
    from OpenSSL.crypto import Error  # noqa: PLC0415
    from twisted.internet import ssl  # noqa: PLC0415

    if not smsc.tls_ca:
        return ssl.optionsForClientTLS(smsc.host)
    try:
        authorities = [ssl.Certificate.loadPEM(pem) for pem in _certificates(Path(smsc.tls_ca))]
    except (OSError, Error) as error:
        raise BadSmsc(_bad_authorities(smsc, str(error))) from error
    if not authorities:
        raise BadSmsc(_bad_authorities(smsc, "there is no certificate in it"))
    return ssl.optionsForClientTLS(smsc.host, ssl.trustRootFromCertificates(authorities))


def _bad_authorities(smsc: Smsc, why: str) -> str:
    return f"smsc {smsc.name}: tls_ca {smsc.tls_ca}: {why}; give a file of PEM certificates"


def _certificates(file: Path) -> list[bytes]:
    begin = b"-----BEGIN CERTIFICATE-----"
    return [begin + rest for rest in file.read_bytes().split(begin)[1:]]


def show(figures: Figures, esme: EsmeService) -> None:
    """Put what happens at an SMSC into /metrics, each with the label `smsc`."""
    of, counters = {"smsc": esme.name_of_smsc}, esme.counters
    gauge, counter = figures.gauge, figures.counter
    gauge("toneline_smsc_bound", "Binds that are bound", lambda: esme.bound, of)
    gauge("toneline_smsc_under_way", "Parts without a response", lambda: esme.under_way, of)
    gauge("toneline_smsc_queued", "Parts that wait for rate or window", lambda: esme.queued, of)
    counter("toneline_smsc_binds", "Binds the SMSC accepted", lambda: counters.binds, of)
    counter("toneline_smsc_malformed", "PDUs that mean nothing", lambda: counters.malformed, of)
    counter("toneline_mo", "deliver_sm from subscribers", lambda: counters.mo, of)
    counter("toneline_mt_submitted", "Parts submitted", lambda: counters.submitted, of)
    counter("toneline_mt_accepted", "Parts the SMSC took", lambda: counters.accepted, of)
    counter("toneline_mt_refused", "Parts it refused", lambda: counters.refused, of)
    counter("toneline_mt_throttled", "Of these, throttled", lambda: counters.throttled, of)
    counter("toneline_mt_lost", "Parts without a response in time", lambda: counters.lost, of)
    counter("toneline_mt_late", "Of these, answered later", lambda: counters.late, of)
    counter("toneline_receipts", "Delivery receipts", lambda: counters.receipts, of)
