"""Workers' metrics, asked for directly: for commands that run where a person is, not for Prometheus."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from gesture_maze.ops.watch import targets

if TYPE_CHECKING:
    from gesture_maze.worker.redis.status import PoolStatus

TIMEOUT_S: Final = 1.0
"""For a page; workers answer in milliseconds, and a person waits."""
MOST_AT_ONCE: Final = 16


def metrics_pages(status: PoolStatus) -> dict[str, str]:
    """/metrics by worker id, of those that can be reached from here within a second."""
    listed = targets(status, socket.gethostname())
    addresses = {one["labels"]["worker"]: str(one["targets"][0]) for one in listed}
    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        found = zip(addresses, pool.map(_page, addresses.values()), strict=True)
        return {worker: page for worker, page in found if page is not None}


def _page(address: str) -> str | None:
    with suppress(OSError), urllib.request.urlopen(f"http://{address}/metrics", timeout=TIMEOUT_S) as answer:
        return str(answer.read().decode())
    return None


def total(pages: Iterable[str], name: str) -> float:
    """A metric's sum over all series of all pages."""
    lines = (line for page in pages for line in page.splitlines())
    return sum(
        float(line.rpartition(" ")[2]) for line in lines if line.partition("{")[0].split(" ")[0] == name
    )
