from __future__ import annotations

import pytest

from toneline.addresses import client_address


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("tcp:4573:interface=127.0.0.1", ("127.0.0.1", 4573)),
        ("tcp:4573", ("127.0.0.1", 4573)),
        ("tcp:4573:interface=0.0.0.0", ("127.0.0.1", 4573)),
        ("tcp:4573:backlog=50:interface=192.0.2.1", ("192.0.2.1", 4573)),
        (r"tcp6:4573:interface=\:\:1", ("::1", 4573)),
        (r"tcp6:4573:interface=\:\:", ("::1", 4573)),
    ],
)
def test_a_client_finds_what_listens(listen: str, address: tuple[str, int]) -> None:
    assert client_address(listen) == address


@pytest.mark.parametrize("listen", ["unix:/tmp/x", "tcp:http", "tcp:"])
def test_other_endpoints_are_refused(listen: str) -> None:
    with pytest.raises(ValueError, match="is not tcp:PORT"):
        client_address(listen)
