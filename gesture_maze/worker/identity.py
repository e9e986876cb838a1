"""Names of workers."""

from __future__ import annotations

import os
import socket


def worker_id(index: int = 0) -> str:
    """A name that no worker has or had: host, pid of the one who names it, index and four random bytes."""
    host = "".join(c if c.isalnum() else "-" for c in socket.gethostname())[:32]
    return f"{host}-{os.getpid()}-{index}-{os.urandom(4).hex()}"
