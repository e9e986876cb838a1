"""Free ports on loopback for servers that are started as other programs."""

from __future__ import annotations

import secrets
import socket
from contextlib import ExitStack
from typing import Final

PORTS: Final = range(10_000, 32_768)
"""Below the ports that operating systems give to outgoing connections. Such a connection can occupy a port
before its server does, even one to this very port: it may get the same port on both ends."""
BUS: Final = 10_000
"""How far above its own port a cluster node listens for the other nodes."""
TRIES: Final = 100


def free_port(*, bus: bool = False) -> int:
    """Return a random port on which no process listens.

    Another process may take it before the caller's server does: start the server again on another one then.

    Args:
        bus: whether the port `BUS` above it must be free and in `PORTS` too.

    Raises:
        OSError: if no free port was found.
    """
    ports = range(PORTS.start, PORTS.stop - BUS) if bus else PORTS
    for _ in range(TRIES):
        port = secrets.choice(ports)
        if _are_free([port, port + BUS] if bus else [port]):
            return port
    raise OSError(f"found no free port from {ports.start} to {ports.stop - 1} in {TRIES} tries")


def _are_free(ports: list[int]) -> bool:
    with ExitStack() as stack:
        try:
            for port in ports:
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
