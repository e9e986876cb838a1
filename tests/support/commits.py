"""The commit stage of a worker, without Redis."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from gesture_maze.worker.commits import Commits
from gesture_maze.worker.logs import Log
from gesture_maze.worker.metrics import Metrics
from gesture_maze.worker.partition import Partition


def commits_of(
    committer: object,
    partitions: dict[int, Partition],
    metrics: Metrics | None = None,
    is_usable: Callable[[int], bool] = lambda _number: True,
) -> Commits:
    """Return the commit stage with another committer; partitions that it drops leave `partitions`."""
    keeper: Any = SimpleNamespace(
        is_usable=lambda number, _now_s: is_usable(number), server_ms=lambda _now_s: 1004
    )
    other: Any = committer
    return Commits(
        other,
        keeper,
        partitions,
        drop=lambda number, _why: partitions.pop(number),
        recover=lambda _lost: None,
        metrics=metrics or Metrics(),
        clock=lambda: 1.0,
        log=Log("human", "error"),
    )
