"""Where a client finds what listens on an endpoint such as `tcp:4573:interface=127.0.0.1`."""

from __future__ import annotations


def client_address(listen: str) -> tuple[str, int]:
    """Return host and port to connect to; an endpoint on every address is found on this host.

    Raises:
        ValueError: the endpoint is no `tcp:PORT[:interface=ADDRESS]`.
    """
    kind, port, *options = listen.replace(r"\:", "\0").split(":")
    if kind not in {"tcp", "tcp6"} or not port.isdigit():
        raise ValueError(f"{listen!r} is not tcp:PORT[:interface=ADDRESS]")
    named = dict(option.split("=", 1) for option in options if "=" in option)
    interface = named.get("interface", "").replace("\0", ":")
    everywhere = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  read, not bound
    return everywhere.get(interface, interface), int(port)
