"""A primary, its replica and a Sentinel: the cost of a failover that pool and producers follow."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gesture_maze.embedded.ports import free_port
from gesture_maze.producer.address import open_client
from tests.support.processes import Traffic, Workers, pool_outcomes
from tests.support.servers import RedisProcess, wait_until

DOWN_MS = 500
"""How long the primary must be silent before the Sentinel declares it down."""


class Watched:
    """Two servers and the Sentinel that monitors them; `url` is the address for clients."""

    def __init__(self, folder: Path) -> None:
        folders = [folder / name for name in ("one", "two", "sentinel")]
        for one in folders:
            one.mkdir()
        self._running: list[RedisProcess] = []
        try:
            self._start(folders)
        except BaseException:
            self.close()
            raise

    def _start(self, folders: list[Path]) -> None:
        self.primary = self._added(RedisProcess(folders[0]))
        replica = RedisProcess(folders[1], "--replicaof", f"127.0.0.1 {self.primary.port}")
        self.replica = self._added(replica)
        wait_until(lambda: self.replica.client.info("replication")["master_link_status"] == "up", 10)
        wait_until(lambda: self.primary.client.info("replication")["connected_slaves"] == 1, 10)
        port = free_port()
        settings = folders[2] / "sentinel.conf"
        settings.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folders[2]}\n"
            f"sentinel monitor maze 127.0.0.1 {self.primary.port} 1\n"
            f"sentinel down-after-milliseconds maze {DOWN_MS}\nsentinel failover-timeout maze 3000\n"
        )
        self.sentinel = self._added(RedisProcess.sentinel(settings, port))
        self.url = f"redis+sentinel://127.0.0.1:{port}/maze/0"
        wait_until(lambda: self.sentinel.client.sentinel_slaves("maze"), 10)

    def _added(self, process: RedisProcess) -> RedisProcess:
        self._running.append(process)
        return process

    def close(self) -> None:
        """Stop all processes."""
        while self._running:
            self._running.pop().end(signal.SIGKILL)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    found = Watched(tmp_path)
    yield found
    found.close()


def test_pool_and_producers_after_a_sentinel_failover_use_the_new_primary(
    watched: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    client = open_client(watched.url, name="tests", timeout_s=5)
    with closing(client), Workers(watched.url, client) as workers:
        workers.start("a", deadline_ms=0, supersede_ms=0)
        with Traffic(watched.url) as traffic:
            traffic.wait_for_answers()
            watched.primary.end(signal.SIGKILL)
            before = len(traffic.answered)
            wait_until(lambda: len(traffic.answered) > before + 400, 20)
        outcomes = pool_outcomes(watched.replica.client)
        assert workers.stop("a")[0] == 0
    outage_s = traffic.longest_silence_s()
    lost = traffic.unanswered()
    with capsys.disabled():
        sys.stdout.write(f" {len(traffic.accepted)} accepted, {len(lost)} unheard, {outage_s:.1f} s silent ")
    traffic.check_once_and_in_order()
    assert outage_s < DOWN_MS / 1000 + 5.0
    assert len(lost) < 0.2 * len(traffic.accepted), "what was not yet copied, and what had no subscriber"
    assert outcomes["rejected"] == outcomes["buried"] == 0
