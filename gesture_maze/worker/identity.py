"""Worker ids: `<host>-<pid of the process that makes the id>-<index>-<8 random hex digits>`."""

from __future__ import annotations

import os
import re
import socket

_ID = re.compile(r"(?P<host>.+)-(?P<pid>\d+)-(?P<index>\d+)-[0-9a-f]{8}")


def worker_id(index: int = 0) -> str:
    """Return a new, unique worker id."""
    return f"{_host()}-{os.getpid()}-{index}-{os.urandom(4).hex()}"


def is_child_of(worker: str, supervisor: int) -> bool:
    """Return whether the supervisor with this pid on this host made the id `worker`."""
    parts = _ID.fullmatch(worker)
    return parts is not None and (parts["host"], int(parts["pid"])) == (_host(), supervisor)


def _host() -> str:
    return "".join(c if c.isalnum() else "-" for c in socket.gethostname())[:32]
