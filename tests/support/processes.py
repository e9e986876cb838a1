"""Worker processes and traffic for system tests, and the checker of their accounts."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self

import numpy as np
import redis

from gesture_maze.producer import FrameProducer
from gesture_maze.producer.address import open_client
from gesture_maze.producer.connections import subscriber
from gesture_maze.producer.errors import Backpressure, SendLost, SendRefused
from gesture_maze.wire.keys import actions_channel, partition_of
from gesture_maze.wire.replies import Reply
from gesture_maze.worker.redis.status import StatusReader
from tests.support.servers import wait_until

PARTITIONS = 8
ROOT = Path(__file__).parents[2]
DYING = "tests.support.dying_worker"
"""A module to run instead of `worker`: its model kills the process on a marked frame."""


class Workers:
    """Starter of worker processes with short leases.

    Attributes:
        by_name: worker id -> process.
    """

    def __init__(self, url: str, client: Any) -> None:
        self._url = url
        self._client = client
        self.by_name: dict[str, subprocess.Popen[str]] = {}

    def start(self, name: str, *, wait: bool = True, **changed: Any) -> subprocess.Popen[str]:
        """Start a worker and wait until it owns its share, unless `wait` is false."""
        settings = {"redis": self._url, "partitions": PARTITIONS, "metrics_port": 0, "lease_ttl_ms": 1000}
        command = [sys.executable, "-m", "gesture_maze.worker", json.dumps(settings | changed), name]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        self.by_name[name] = process
        if wait:
            self.wait_balanced()
        return process

    def owners(self) -> dict[str, int]:
        """Return the number of owned partitions by worker id, for workers with a recent heartbeat."""
        status = StatusReader(self._client).read()
        return {worker.worker: len(worker.partitions) for worker in status.workers}

    def wait_balanced(self, timeout_s: float = 30.0) -> None:
        """Wait until every running worker owns its fair share and all partitions have an owner."""

        def balanced() -> bool:
            running = {name for name, process in self.by_name.items() if process.poll() is None}
            owners = {name: count for name, count in self.owners().items() if name in running}
            share, extra = divmod(PARTITIONS, len(running))
            allowed = {share, share + 1} if extra else {share}
            return (
                owners.keys() == running
                and sum(owners.values()) == PARTITIONS
                and set(owners.values()) <= allowed
            )

        wait_until(balanced, timeout_s)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal."""
        self.by_name[name].send_signal(number)

    def stop(self, name: str) -> tuple[int, str]:
        """Stop a worker with SIGTERM and return its exit code and log."""
        process = self.by_name[name]
        process.terminate()
        _, log = process.communicate(timeout=20)
        del self.by_name[name]
        return process.returncode, log

    def close(self) -> None:
        """Kill the remaining workers."""
        for process in self.by_name.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Traffic:
    """Players that send frames at an even rate from one thread and listen in another.

    The checker reads its log: frames that were accepted, refused, in doubt or answered.
    """

    def __init__(self, url: str, *, sessions: int = 40, rate: int = 800, prefix: str = "player") -> None:
        self._producer = FrameProducer(url, partitions=PARTITIONS, name="traffic", timeout_s=1.0)
        self._producer.connect()
        self._sessions = [f"{prefix}-{number}" for number in range(sessions)]
        self._rate = rate
        # not the producer's iterator, which drops the late and repeated replies that the checker looks for
        self._listener = open_client(url, name="traffic", timeout_s=1.0)
        self._subscriber = subscriber(self._listener)
        channels = [actions_channel(partition_of(name, PARTITIONS), name) for name in self._sessions]
        self._subscriber.subscribe(*channels)
        confirmed: set[bytes] = set()
        wait_until(lambda: self._confirmed(confirmed) == len(channels))
        self.accepted: set[tuple[str, int]] = set()
        self.refused = 0
        self.doubtful: set[tuple[str, int]] = set()
        self.answered: list[Reply] = []
        self.answered_s: list[float] = []
        self._stop = threading.Event()
        self._done = threading.Event()
        # a test that fails must not keep the process alive
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._send, self._listen)]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def finish(self) -> None:
        """Stop sending; listen until no frame waits and the last replies have arrived."""
        self._stop.set()
        self._threads[0].join()
        self.wait_until_committed()
        self._done.set()
        self._threads[1].join()
        self._subscriber.close()
        self._listener.close()
        self._producer.close()

    def wait_for_answers(self, count: int = 100, timeout_s: float = 10.0) -> None:
        """Wait for this number of further answers."""
        goal = len(self.answered) + count
        wait_until(lambda: len(self.answered) >= goal, timeout_s)

    def wait_until_committed(self, timeout_s: float = 15.0) -> None:
        """Wait for a moment at which no frame waits."""
        reader = StatusReader(self._listener)
        wait_until(lambda: reader.read().lag == 0, timeout_s)

    def wait_for_all(self, timeout_s: float = 10.0) -> None:
        """Wait for a further answer to every session."""
        begin = len(self.answered)
        wait_until(
            lambda: len({reply.session for reply in self.answered[begin:]}) == len(self._sessions), timeout_s
        )

    def longest_silence_s(self) -> float:
        """Return the longest time without an answer, in seconds."""
        return float(np.diff(self.answered_s).max())

    def check_once_and_in_order(self) -> None:
        """Assert that no answer is repeated, out of order, or for a frame that was not sent."""
        seqs: dict[str, int] = {}
        for reply in self.answered:
            assert reply.seq > seqs.get(reply.session, -1), (
                f"{reply.session}: {reply.seq} is late or repeated"
            )
            seqs[reply.session] = reply.seq
        unexpected = {(reply.session, reply.seq) for reply in self.answered} - self.accepted - self.doubtful
        assert not unexpected

    def unanswered(self) -> set[tuple[str, int]]:
        """Return the accepted frames without an answer."""
        return self.accepted - {(reply.session, reply.seq) for reply in self.answered}

    def accepted_seqs(self, session: str) -> set[int]:
        """Return the sequence numbers of a session's accepted frames."""
        return {seq for name, seq in self.accepted if name == session}

    def _send(self) -> None:
        landmarks = np.random.default_rng(0).random((len(self._sessions), 21, 3), np.float32)
        every_s = len(self._sessions) / self._rate
        seq = 0
        begin_s = time.monotonic()
        while not self._stop.wait(max(begin_s + seq * every_s - time.monotonic(), 0)):
            seq += 1
            names = {(name, seq) for name in self._sessions}
            now_ms = np.full(len(self._sessions), time.time_ns() // 1_000_000)
            try:
                self._producer.send_arrays(self._sessions, np.full(len(names), seq), now_ms, landmarks)
            except (Backpressure, SendRefused) as error:
                refused = {(self._sessions[row], seq) for row in error.rows}
                self.refused += len(refused)
                self.accepted |= names - refused
            except SendLost as error:
                doubtful = {(self._sessions[row], seq) for row in error.rows}
                self.doubtful |= doubtful
                self.accepted |= names - doubtful
            else:
                self.accepted |= names

    def _listen(self) -> None:
        # continue until the last reply after the end of sending
        while (message := self._heard()) is not None or not self._done.is_set():
            if message is not None and message["type"] == "message":
                self.answered.append(Reply.model_validate_json(message["data"]))
                self.answered_s.append(time.monotonic())

    def _confirmed(self, channels: set[bytes]) -> int:
        """Read a message, and return the number of channels confirmed so far."""
        message = self._subscriber.get_message(timeout=0.3)
        if message is not None and message["type"] == "subscribe":
            channels.add(message["channel"])
        return len(channels)

    def _heard(self) -> Any:
        try:
            return self._subscriber.get_message(timeout=0.3)
        except redis.RedisError:  # the subscriber reconnects by itself once a server answers
            return time.sleep(0.05)


def pool_outcomes(client: Any) -> dict[str, int]:
    """Return the pool's counters once the lag is 0; all frames must be accounted for."""
    reader = StatusReader(client)
    wait_until(lambda: reader.read().lag == 0)
    status = reader.read()
    assert status.all_accounted_for, status
    return status.outcomes
