"""N worker processes: keep them alive, hand signals on, free the partitions of those that died.

The parent holds no frames and no leases. `startup -> watch -> shutdown`; signals only append to a list.
"""

from __future__ import annotations

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
from gesture_maze.worker.redis.broker import Broker, connect
from gesture_maze.worker.settings import PoolSettings

RESTART_BACK_OFF_S: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
STEADY_S: Final = 10.0
"""A process that lived this long starts its back-off anew."""
FATAL_EXIT: Final = 2
"""A process that ends so was started wrongly: starting it again would not help."""
POLL_S: Final = 0.05


@dataclass(slots=True)
class _Child:
    index: int
    worker: str
    process: subprocess.Popen[bytes]
    started_s: float
    failures: int = 0


class Supervisor:
    """Runs `settings.processes` workers until a signal.

    Args:
        settings: of the pool; process i listens on metrics port + i (0 stays 0).
        log: where events go.
    """

    def __init__(self, settings: PoolSettings, log: Log) -> None:
        self._settings: Final = settings
        self._log: Final = log
        self._children: list[_Child] = []
        self._due: list[tuple[float, int, int]] = []
        """Restarts to come: when, index, failures so far."""
        self._signals: list[int] = []
        self._exit_code = 0

    def run(self) -> int:
        """Start, watch, shut down; the exit code: 0 after a clean drain, 2 for wrong settings, else 1."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note_signal)
        for index in range(self._settings.processes):
            self._children.append(self._start(index, 0))
        while not self._signals and not self._exit_code:
            self._keep_alive()
            time.sleep(POLL_S)
        self._shut_down()
        return self._exit_code

    def _note_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)

    def _start(self, index: int, failures: int) -> _Child:
        settings = self._settings.of_process(index)
        worker = worker_id(index)
        command = [sys.executable, "-m", "gesture_maze.worker", "-", worker]
        process = subprocess.Popen(  # noqa: S603 - our own module
            command, stdin=subprocess.PIPE, start_new_session=True
        )
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin as stdin:  # it may have died at once
            stdin.write(settings.model_dump_json().encode())
        self._log.info("process_started", index=index, pid=process.pid, child=worker, restarts=failures)
        return _Child(index, worker, process, time.monotonic(), failures)

    def _keep_alive(self) -> None:
        now_s = time.monotonic()
        for child in [child for child in self._children if child.process.poll() is not None]:
            self._children.remove(child)
            self._mourn(child, now_s)
        for due in [due for due in self._due if due[0] <= now_s]:
            self._due.remove(due)
            self._children.append(self._start(due[1], due[2]))

    def _mourn(self, child: _Child, now_s: float) -> None:
        code = child.process.returncode
        failures = 0 if now_s - child.started_s > STEADY_S else child.failures
        wait_s = RESTART_BACK_OFF_S[min(failures, len(RESTART_BACK_OFF_S) - 1)]
        self._log.error(
            "process_died", index=child.index, pid=child.process.pid, exit_code=code, restart_s=wait_s
        )
        if code == FATAL_EXIT:
            self._exit_code = FATAL_EXIT
            return
        self._due.append((now_s + wait_s, child.index, failures + 1))
        threading.Thread(target=self._free, args=(child.worker,), daemon=True).start()

    def _free(self, worker: str) -> None:
        """The operating system told us that it is dead: nobody has to wait for its leases to run out."""
        client = connect(self._settings.redis, "maze-supervisor")
        try:
            broker = Broker(client, self._settings.partitions, self._settings.lease_ttl_ms)
            self._log.info("partitions_freed", child=worker, partitions=broker.release_dead(worker))
        except MazeError as error:
            self._log.warning("partitions_not_freed", child=worker, error=str(error))
        finally:
            client.close()

    def _shut_down(self) -> None:
        """Pass the first signal on and wait for the drains; pass a second one on and leave."""
        for child in self._children:
            child.process.send_signal(signal.SIGTERM)
        patience_s = time.monotonic() + self._settings.drain_ms / 1000 + 1.0
        while any(child.process.poll() is None for child in self._children):
            if len(self._signals) > 1 or time.monotonic() > patience_s:
                self._log.warning("killing", reason="second signal or drain time over")
                for child in self._children:
                    child.process.kill()
            time.sleep(POLL_S / 5)
        codes = {child.process.returncode for child in self._children}
        # one that the signal ended by itself had not begun yet: it holds nothing
        if codes - {0, -signal.SIGTERM} and not self._exit_code:
            self._exit_code = 1
        self._log.info("pool_stopped", exit_code=self._exit_code)
