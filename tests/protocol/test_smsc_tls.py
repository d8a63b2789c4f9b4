"""An SMSC that speaks TLS: its certificate counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet import ssl
from twisted.internet.endpoints import SSL4ServerEndpoint

from config.settings import Smsc
from tests.certificate import self_signed
from tests.protocol.smsc_house import House, mt, settings, turn
from tests.reactor import reactor, run_in_reactor
from toneline.smscs import BadSmsc, check, endpoint_of


def certificate(folder: Path, address: str) -> tuple[Path, ssl.CertificateOptions]:
    """Write a self-signed certificate for an address; return its file and the server's options."""
    pem = self_signed(folder / "server.pem", address).read_bytes()
    file = folder / "ca.pem"
    file.write_bytes(b"The SMSC's own authority\n" + pem[pem.index(b"-----BEGIN CERTIFICATE") :])
    return file, ssl.PrivateCertificate.loadPEM(pem).options()


def smsc(**changes: Any) -> Smsc:
    return settings(2775, tls=True, **changes)


def test_messages_go_over_tls_to_an_smsc_whose_authority_is_known(tmp_path: Path) -> None:
    authority, options = certificate(tmp_path, "127.0.0.1")

    async def run() -> None:
        house = House()
        server = SSL4ServerEndpoint(reactor, 0, options, interface="127.0.0.1")
        await house.open(bind=False, endpoint=server)
        known = smsc(tls_ca=str(authority)).model_copy(update={"port": house.smpp_port})
        esme = house.start_esme(endpoint_of(known, reactor))
        try:
            await house.application.ready.get()
            assert (await esme.submit(mt("Y"))).accepted
        finally:
            await house.close()

    run_in_reactor(run)


@pytest.mark.parametrize(
    ("why", "said"), [("another name", "mismatch"), ("nobody known", "certificate verify failed")]
)
def test_a_certificate_that_does_not_count_is_no_bind(tmp_path: Path, why: str, said: str) -> None:
    address = "127.0.0.2" if why == "another name" else "127.0.0.1"
    authority, options = certificate(tmp_path, address)

    async def run() -> None:
        house = House()
        server = SSL4ServerEndpoint(reactor, 0, options, interface="127.0.0.1")
        await house.open(bind=False, endpoint=server)
        trusted = str(authority) if why == "another name" else ""
        known = smsc(tls_ca=trusted).model_copy(update={"port": house.smpp_port})
        esme = house.start_esme(endpoint_of(known, reactor))
        try:
            while "connection lost" not in esme.health()[1]:
                await turn()
            assert said in esme.health()[1].lower()
            assert house.application.ready.pending == []
        finally:
            await house.close()

    run_in_reactor(run)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"nothing\n", "there is no certificate in it"),
        (b"-----BEGIN CERTIFICATE-----\nabc\n", "bad end line"),
    ],
)
def test_a_file_without_authorities_is_refused_at_start(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadSmsc, match=said) as refused:
        check([smsc(tls_ca=str(file))])
    assert "smsc test: tls_ca" in str(refused.value)
    assert "give a file of PEM certificates" in str(refused.value)


def test_settings_that_no_bind_can_carry_are_refused_at_start() -> None:
    with pytest.raises(BadSmsc, match="smsc test: system_id"):
        check([settings(2775, system_id="彩铃")])
    with pytest.raises(BadSmsc, match="smsc test: service_type"):
        check([settings(2775, service_type="彩铃")])


def test_good_settings_are_not_refused(tmp_path: Path) -> None:
    authority, _ = certificate(tmp_path, "127.0.0.1")
    check([settings(2775), smsc(), smsc(tls_ca=str(authority))])
