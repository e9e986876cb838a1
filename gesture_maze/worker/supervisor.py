"""The supervisor of N worker processes: restarts those that die, frees their partitions, forwards signals.

The parent holds no frames and no leases. `startup -> watch -> shutdown`; signal handlers only append to a
list. Children drain when the parent ends for any reason, see `embedded.tether`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import Final

from gesture_maze.wire.errors import MazeError
from gesture_maze.worker.identity import worker_id
from gesture_maze.worker.logs import Log
from gesture_maze.worker.redis.client import connect
from gesture_maze.worker.redis.opened import open_broker
from gesture_maze.worker.settings import PoolSettings

RESTART_BACK_OFF_S: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
STEADY_S: Final = 10.0
"""A process that ran for this long is restarted without back-off."""
FATAL_EXIT: Final = 2
"""Exit code of wrong settings or a broken model. The process is not restarted."""
PORT_IN_USE_EXIT: Final = 75
"""Exit code if the metrics port is in use: EX_TEMPFAIL of sysexits.h."""
PORT_PATIENCE_S: Final = 15.0
"""How long a port in use is retried. A pool that was killed may still be draining on it."""
POLL_S: Final = 0.05


@dataclass(slots=True)
class _Child:
    index: int
    worker: str
    process: subprocess.Popen[bytes]
    started_s: float
    failures: int = 0
    busy_since_s: float | None = None
    """Start of the current run of attempts that found the port in use; monotonic seconds."""


@dataclass(frozen=True, slots=True)
class _Restart:
    due_s: float
    index: int
    failures: int
    busy_since_s: float | None


class Supervisor:
    """Runs `settings.processes` workers until a signal arrives.

    Args:
        settings: of the pool; process i listens on metrics port + i (0 stays 0).
        log: where events go.
    """

    def __init__(self, settings: PoolSettings, log: Log) -> None:
        self._settings: Final = settings
        self._log: Final = log
        self._children: list[_Child] = []
        self._due: list[_Restart] = []
        """Scheduled restarts."""
        self._signals: list[int] = []
        self._exit_code = 0

    def run(self) -> int:
        """Run the pool until a signal and return the exit code: 0 after a clean drain, 2 for wrong settings,
        else 1."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note_signal)
        for index in range(self._settings.processes):
            self._children.append(self._start(_Restart(0.0, index, 0, None)))
        while not self._signals and not self._exit_code:
            self._keep_alive()
            time.sleep(POLL_S)
        self._shut_down()
        return self._exit_code

    def _note_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)

    def _start(self, restart: _Restart) -> _Child:
        index, failures = restart.index, restart.failures
        settings = self._settings.of_process(index)
        worker = worker_id(index)
        command = [sys.executable, "-m", "gesture_maze.worker", "-", worker, str(os.getpid())]
        process = subprocess.Popen(  # noqa: S603 - our own module
            command, stdin=subprocess.PIPE, start_new_session=True
        )
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin as stdin:  # it may have died at once
            stdin.write(settings.model_dump_json().encode())
        self._log.info("process_started", index=index, pid=process.pid, child=worker, restarts=failures)
        return _Child(index, worker, process, time.monotonic(), failures, restart.busy_since_s)

    def _keep_alive(self) -> None:
        now_s = time.monotonic()
        for child in [child for child in self._children if child.process.poll() is not None]:
            self._children.remove(child)
            self._handle_exit(child, now_s)
        for due in [due for due in self._due if due.due_s <= now_s]:
            self._due.remove(due)
            self._children.append(self._start(due))

    def _handle_exit(self, child: _Child, now_s: float) -> None:
        code = child.process.returncode
        failures = 0 if now_s - child.started_s > STEADY_S else child.failures
        wait_s = RESTART_BACK_OFF_S[min(failures, len(RESTART_BACK_OFF_S) - 1)]
        self._log.error(
            "process_exited", index=child.index, pid=child.process.pid, exit_code=code, restart_s=wait_s
        )
        busy_since_s = None
        if code == PORT_IN_USE_EXIT:
            busy_since_s = child.started_s if child.busy_since_s is None else child.busy_since_s
        if code == FATAL_EXIT or (busy_since_s is not None and now_s - busy_since_s > PORT_PATIENCE_S):
            self._exit_code = FATAL_EXIT
            return
        self._due.append(_Restart(now_s + wait_s, child.index, failures + 1, busy_since_s))
        threading.Thread(target=self._free, args=(child.worker,), daemon=True).start()

    def _free(self, worker: str) -> None:
        """Free the partitions of a dead worker, so that others need not wait for its leases to expire."""
        client = connect(self._settings.redis, "maze-supervisor")
        try:
            broker = open_broker(client, self._settings.partitions, self._settings.lease_ttl_ms)
            self._log.info("partitions_freed", child=worker, partitions=broker.release_dead(worker))
        except MazeError as error:
            self._log.warning("partitions_not_freed", child=worker, error=str(error))
        finally:
            client.close()

    def _shut_down(self) -> None:
        """Drain the children, and kill them after a second signal or when the drain time is over."""
        for child in self._children:
            child.process.send_signal(signal.SIGTERM)
        patience_s = time.monotonic() + self._settings.drain_ms / 1000 + 1.0
        while any(child.process.poll() is None for child in self._children):
            if len(self._signals) > 1 or time.monotonic() > patience_s:
                self._log.warning("drain_aborted", reason="second signal or drain time over")
                for child in self._children:
                    child.process.kill()
            time.sleep(POLL_S / 5)
        codes = {child.process.returncode for child in self._children}
        # a child ended by the signal itself had not installed its handler yet, and owned no partitions
        if codes - {0, -signal.SIGTERM} and not self._exit_code:
            self._exit_code = 1
        self._log.info("pool_stopped", exit_code=self._exit_code)
