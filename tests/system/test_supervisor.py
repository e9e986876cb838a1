"""`maze worker --processes N`: restarts, exit codes, signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gesture_maze.worker.redis.status import StatusReader
from tests.support.processes import PARTITIONS, ROOT, Traffic, pool_outcomes
from tests.support.servers import Server, wait_until

LEASE_MS = 60_000
"""So long that a takeover within the test can only be the supervisor's doing."""


@contextmanager
def pool(server: Server, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`maze worker` as an operator starts it, killed at the end if it is still there."""
    assert server.url is not None
    command = [
        sys.executable,
        "-m",
        "gesture_maze",
        "worker",
        "--redis",
        server.url,
        "--partitions",
        str(PARTITIONS),
    ]
    command += ["--metrics-port", "0", "--lease-ttl-ms", str(LEASE_MS), "--log-format", "json", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def pids(server: Server) -> dict[int, int]:
    """Process id -> partitions it owns."""
    return {worker.pid: len(worker.partitions) for worker in StatusReader(server.client).read().workers}


def shared(server: Server, without: int = 0) -> bool:
    found = pids(server)
    return without not in found and sorted(found.values()) == [PARTITIONS // 2] * 2


def events(log: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.splitlines()]


def test_a_killed_process_is_replaced_and_nobody_waits_for_its_leases(server: Server) -> None:
    assert server.url is not None
    with pool(server, "--processes", "2", "--deadline-ms", "0", "--supersede-ms", "0") as parent:
        wait_until(lambda: shared(server), 10)
        with Traffic(server.url) as traffic:
            traffic.wait_for_answers()
            victim = next(iter(pids(server)))
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda: shared(server, without=victim), 10)
            traffic.wait_for_answers(500)
        parent.terminate()
        _, log = parent.communicate(timeout=10)
    assert parent.returncode == 0, log
    assert traffic.unanswered() == set(), f"of {len(traffic.accepted)}"
    traffic.check_once_and_in_order()
    assert pool_outcomes(server.client)["answered"] == len(traffic.accepted)
    died = [event for event in events(log) if event["event"] == "process_died"]
    assert [event["exit_code"] for event in died] == [-signal.SIGKILL]


def test_a_pool_that_is_stopped_while_it_starts_ends_with_0(server: Server) -> None:
    with pool(server, "--processes", "2") as parent:
        assert parent.stderr is not None
        for _ in range(2):
            assert "process_started" in parent.stderr.readline()
        parent.terminate()
        _, log = parent.communicate(timeout=10)
    assert parent.returncode == 0, log


def test_a_second_signal_leaves_at_once(server: Server) -> None:
    with pool(server, "--processes", "2") as parent:
        wait_until(lambda: shared(server), 10)
        children = list(pids(server))
        for child in children:
            os.kill(child, signal.SIGSTOP)  # it will not drain
        parent.send_signal(signal.SIGINT)
        parent.send_signal(signal.SIGTERM)
        parent.communicate(timeout=5)
    assert parent.returncode == 1


def test_a_single_process_drains_on_ctrl_c(server: Server) -> None:
    with pool(server) as parent:
        wait_until(lambda: sum(pids(server).values()) == PARTITIONS, 10)
        parent.send_signal(signal.SIGINT)
        _, log = parent.communicate(timeout=5)
    assert parent.returncode == 0, log
    assert events(log)[-1]["event"] == "stopped"
    assert pids(server) == {}


def test_children_follow_a_parent_that_was_killed(server: Server) -> None:
    with pool(server, "--processes", "2", "--summary-s", "1") as parent:
        wait_until(lambda: shared(server), 10)
        parent.kill()
        wait_until(lambda: pids(server) == {}, 10)


def test_wrong_settings_end_the_pool_with_2(server: Server) -> None:
    server.client.hset("maze:topology", mapping={"version": 1, "partitions": 64})
    with pool(server, "--processes", "2") as parent:
        _, log = parent.communicate(timeout=10)
    assert parent.returncode == 2
    assert "--partitions 64" in log
