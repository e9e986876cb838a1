"""The demo's worker processes: a supervised pool that logs to a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from gesture_maze.embedded.tether import tethered
from gesture_maze.wire.errors import SettingsError
from gesture_maze.worker.identity import is_child_of
from gesture_maze.worker.redis.status import PoolStatus, StatusReader, WorkerStatus

READY_S: Final = 20.0
"""Longest wait for all workers to own their partitions."""
DRAIN_S: Final = 10.0
"""Longest wait for the pool to drain; a little more than its own `--drain-ms` and patience."""
POLL_S: Final = 0.05


class Pool:
    """`maze worker` as a child process for the duration of a `with` block.

    Args:
        url: Redis.
        workers: worker processes.
        log: file that the pool's log is written to.
        flags: further options of `maze worker`.
    """

    def __init__(self, url: str, workers: int, log: Path, flags: Sequence[str] = ()) -> None:
        self.url: Final = url
        self._workers: Final = workers
        self._flags: Final = flags
        self.log: Final = log
        self._process: subprocess.Popen[bytes] | None = None
        self._tether: Final = ExitStack()

    def __enter__(self) -> Self:
        flags = ["--supervise", "--processes", str(self._workers), "--metrics-port", "0", *self._flags]
        command = [sys.executable, "-m", "gesture_maze", "worker", *flags]
        # not on the command line, which every user of the machine can read: the URL may hold a password
        environment = {**os.environ, "MAZE_REDIS": self.url}
        with self.log.open("ab") as log:
            # a new session, so that Ctrl-C reaches only this process, which then stops the pool
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=environment,
            )
        self._tether.enter_context(tethered(self._process.pid, signal.SIGTERM))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(DRAIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # its workers notice that their parent has ended, and drain
            self._process.wait()
        finally:
            self._tether.close()

    def wait_ready(self, reader: StatusReader, patience_s: float = READY_S) -> PoolStatus:
        """Wait until every worker is live and every partition has an owner, and return that status.

        Args:
            reader: of the pool's status.
            patience_s: the longest wait.

        Raises:
            SettingsError: `settings`, if the pool ended or was not ready in time. The message names its log.
        """
        end_s = time.monotonic() + patience_s
        while time.monotonic() < end_s:
            self.check()
            found = reader.read()
            shares = [len(one.partitions) for one in found.workers]
            if len(shares) >= self._workers and min(shares) and sum(shares) == len(found.partitions):
                return found
            time.sleep(POLL_S)
        raise SettingsError("settings", f"the workers were not ready in {patience_s:.0f} s: see {self.log}")

    def check(self) -> None:
        """Check that the pool runs.

        Raises:
            SettingsError: `settings`, if it has ended. The message quotes the end of its log.
        """
        assert self._process is not None
        code = self._process.poll()
        if code is None:
            return
        lines = self.log.read_text(errors="replace").strip().splitlines() or ["the log is empty"]
        raise SettingsError("settings", f"the workers ended with code {code}: {lines[-1]} (see {self.log})")

    def kill_one(self, found: PoolStatus) -> WorkerStatus | None:
        """Kill our worker with the most partitions, and return it, or None if there is none."""
        assert self._process is not None
        # other pools may share this Redis
        supervisor = self._process.pid
        ours = [one for one in found.workers if is_child_of(one.worker, supervisor)]
        if not ours:
            return None
        victim = max(ours, key=lambda one: len(one.partitions))
        os.kill(victim.pid, signal.SIGKILL)
        return victim
