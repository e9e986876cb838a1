"""Where taught models are tried and shipped: a worker for the page alone, and the pool of `--redis`."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from gesture_maze.demo.pool import Pool
from gesture_maze.lifecycle.promotion import Gates, challenge, check, promote
from gesture_maze.producer.address import without_password
from gesture_maze.teach.classroom import Classroom
from gesture_maze.teach.takes import teach_error
from gesture_maze.worker.redis.attach import attached
from gesture_maze.worker.redis.status import StatusReader

READY_S: Final = 60.0
"""Longest wait for the worker: the machine may still be busy with a training."""


class PoolStage:
    """One worker for the page's maze, started when it is first needed, and the pool of `--redis`.

    Args:
        embedded: URL of the server that the page's gateway uses.
        ship_to: URL of the pool that models are shipped to; None if there is none.
        log: file for the worker's log.
    """

    def __init__(self, embedded: str, ship_to: str | None, log: Path) -> None:
        self._embedded: Final = embedded
        self._ship_to: Final = ship_to
        self._log: Final = log
        self._running = ExitStack()
        self._lock: Final = threading.Lock()

    @property
    def pool(self) -> str:
        """The address of the pool to ship to, without a password; empty if there is none."""
        return "" if self._ship_to is None else without_password(self._ship_to)

    def play(self, room: Classroom) -> None:
        """Answer the frames of the page with the newest model, and wait until it does.

        Raises:
            SettingsError: `settings`: the worker does not start.
        """
        flags = ["--model", str(room.path_of(room.taught().bundle))]
        with self._lock:
            self._running.close()
            pool = self._running.enter_context(Pool(self._embedded, 1, self._log, flags))
            with attached(self._embedded) as client:
                pool.wait_ready(StatusReader(client), READY_S)

    def ship(self, room: Classroom, share: float | None, *, accept_fall: bool = False) -> str:
        """Promote the newest model in the pool, or make it challenger of a share; return what was done.

        Args:
            room: the classroom that has trained the model.
            share: of the frames, for a challenger; None makes it the champion.
            accept_fall: ship it although its training cost the base more accuracy than is accepted.

        Raises:
            SettingsError: `teach`: there is no pool to ship to.
            ModelError: a check of the model fails.
            ConnectionLost: the pool cannot be reached.
        """
        if self._ship_to is None:
            raise teach_error("no pool was named: start maze teach with --redis URL")
        data = room.taught().bundle.to_zip()
        with attached(self._ship_to) as client:
            passed = check(data, client, Gates(max_fall=1.0) if accept_fall else Gates())
            if share is None:
                promote(client, passed)
                return f"{passed.version} is the champion now."
            challenge(client, passed, share)
            return f"{passed.version} is the challenger of {100 * share:g} % of the frames now."

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._running.close()
