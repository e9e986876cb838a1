"""The demo's worker processes: a supervised pool of its own, whose log goes to a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
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
    """`maze worker` as a child process, from `with` to the end of the block.

    Args:
        url: Redis.
        workers: worker processes.
        log: file that the pool's log is written to.
    """

    def __init__(self, url: str, workers: int, log: Path) -> None:
        self.url: Final = url
        self._workers: Final = workers
        self.log: Final = log
        self._process: subprocess.Popen[bytes] | None = None
        self._tether: Final = ExitStack()

    def __enter__(self) -> Self:
        flags = ["--supervise", "--processes", str(self._workers), "--metrics-port", "0"]
        command = [sys.executable, "-m", "gesture_maze", "worker", *flags]
        # not on the command line, which everybody on the machine can read: it may hold a password
        environment = {**os.environ, "MAZE_REDIS": self.url}
        with self.log.open("ab") as log:
            # a session of its own: Ctrl-C is ours, and the pool drains when we say so
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
            self._process.kill()  # its workers notice that they are orphans, and drain
            self._process.wait()
        finally:
            self._tether.close()

    def wait_ready(self, reader: StatusReader) -> PoolStatus:
        """The first status in which every worker lives and every partition is owned.

        Raises:
            SettingsError: the pool ended, or was not ready in time; the sentence names its log.
        """
        end_s = time.monotonic() + READY_S
        while time.monotonic() < end_s:
            self.check()
            found = reader.read()
            shares = [len(one.partitions) for one in found.workers]
            if len(shares) >= self._workers and min(shares) and sum(shares) == len(found.partitions):
                return found
            time.sleep(POLL_S)
        raise SettingsError("settings", f"the workers were not ready in {READY_S:.0f} s: see {self.log}")

    def check(self) -> None:
        """Raise `SettingsError` if the pool has ended by itself."""
        assert self._process is not None
        code = self._process.poll()
        if code is None:
            return
        lines = self.log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
        raise SettingsError("settings", f"the workers ended with code {code}: {lines[-1]} (see {self.log})")

    def kill_one(self, found: PoolStatus) -> WorkerStatus | None:
        """Kill the one of our workers that owns most partitions, and return it; None if there is none."""
        assert self._process is not None
        # other pools may share this Redis
        supervisor = self._process.pid
        ours = [one for one in found.workers if is_child_of(one.worker, supervisor)]
        if not ours:
            return None
        victim = max(ours, key=lambda one: len(one.partitions))
        os.kill(victim.pid, signal.SIGKILL)
        return victim
