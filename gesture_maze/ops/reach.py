"""Reads workers' metrics directly, for commands that a person runs, not for Prometheus."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import TYPE_CHECKING, Final, Self

from prometheus_client.parser import text_string_to_metric_families

from gesture_maze.ops.watch import targets

if TYPE_CHECKING:
    from prometheus_client.samples import Sample

    from gesture_maze.worker.redis.status import PoolStatus

TIMEOUT_S: Final = 1.0
"""Time limit for one page; workers answer in milliseconds, and a person is waiting."""
MAX_PAGE_BYTES: Final = 4_000_000
"""Far larger than a worker's page, because another program may listen on that port."""
PARALLEL_READS: Final = 16


class MetricsPage:
    """The samples of one worker's /metrics.

    Args:
        samples: in the order of the page.
    """

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples: Final[dict[str, list[Sample]]] = {}
        for sample in samples:
            self._samples.setdefault(sample.name, []).append(sample)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a page in Prometheus's text format.

        Raises:
            ValueError: it is not in that format.
        """
        return cls(sample for family in text_string_to_metric_families(text) for sample in family.samples)

    def total(self, name: str) -> float:
        """Return the sum over all series of a metric; 0 if there are none."""
        return sum(sample.value for sample in self._samples.get(name, ()))

    def by_label(self, name: str, label: str) -> dict[str, float]:
        """Return the value of each series of a metric by one of its labels."""
        return {sample.labels.get(label, ""): sample.value for sample in self._samples.get(name, ())}


def metrics_pages(status: PoolStatus) -> dict[str, MetricsPage]:
    """Return the metrics by worker id, of the workers that can be reached from here within a second."""
    listed = targets(status, socket.gethostname())
    addresses = {one["labels"]["worker"]: str(one["targets"][0]) for one in listed}
    with ThreadPoolExecutor(PARALLEL_READS) as pool:
        found = zip(addresses, pool.map(_page, addresses.values()), strict=True)
        return {worker: page for worker, page in found if page is not None}


def _page(address: str) -> MetricsPage | None:
    # ValueError: the program that answers is not a worker, or its host is not valid in a URL
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=TIMEOUT_S) as answer:
            return MetricsPage.parse(answer.read(MAX_PAGE_BYTES).decode())
    except (OSError, ValueError, HTTPException):
        return None
