"""`maze worker --processes N`: restarts, exit codes, signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from gesture_maze.worker.redis.status import StatusReader
from gesture_maze.worker.supervisor import PORT_IN_USE_EXIT
from tests.support.children import maze
from tests.support.processes import PARTITIONS, Traffic, pool_outcomes
from tests.support.servers import Server, wait_until

LEASE_MS = 60_000
"""Long enough that only the supervisor can cause a takeover during the test."""


@contextmanager
def pool(server: Server, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`maze worker` as an operator starts it, killed at the end if it still runs."""
    assert server.url is not None
    command = ["worker", "--redis", server.url, "--partitions", str(PARTITIONS)]
    command += ["--metrics-port", "0", "--lease-ttl-ms", str(LEASE_MS), "--log-format", "json", *arguments]
    with maze(*command, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()
            process.communicate()  # until its children have ended too


def pids(server: Server) -> dict[int, int]:
    """Return the number of owned partitions by process id."""
    return {worker.pid: len(worker.partitions) for worker in StatusReader(server.client).read().workers}


def shared(server: Server, without: int = 0) -> bool:
    found = pids(server)
    return without not in found and sorted(found.values()) == [PARTITIONS // 2] * 2


def alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def logged(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Parse the lines of a log that are events."""
    for line in lines:
        if line.startswith("{"):
            yield json.loads(line)


def events(log: str) -> list[dict[str, Any]]:
    return list(logged(log.splitlines()))


def test_killed_process_is_replaced_before_its_leases_expire(server: Server) -> None:
    assert server.url is not None
    with pool(server, "--processes", "2", "--deadline-ms", "0", "--supersede-ms", "0") as parent:
        wait_until(lambda: shared(server), 20)
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
    died = [event for event in events(log) if event["event"] == "process_exited"]
    assert [event["exit_code"] for event in died] == [-signal.SIGKILL]


def test_pool_stopped_while_it_starts_exits_with_0(server: Server) -> None:
    with pool(server, "--processes", "2") as parent:
        assert parent.stderr is not None
        for _ in range(2):
            assert "process_started" in parent.stderr.readline()
        parent.terminate()
        _, log = parent.communicate(timeout=10)
    assert parent.returncode == 0, log


def test_second_signal_ends_the_pool_at_once(server: Server) -> None:
    with pool(server, "--processes", "2") as parent:
        wait_until(lambda: shared(server), 20)
        children = list(pids(server))
        for child in children:
            os.kill(child, signal.SIGSTOP)  # it will not drain
        parent.send_signal(signal.SIGINT)
        parent.send_signal(signal.SIGTERM)
        parent.communicate(timeout=5)
    assert parent.returncode == 1


def test_single_process_after_ctrl_c_drains(server: Server) -> None:
    with pool(server) as parent:
        wait_until(lambda: sum(pids(server).values()) == PARTITIONS, 10)
        parent.send_signal(signal.SIGINT)
        _, log = parent.communicate(timeout=5)
    assert parent.returncode == 0, log
    assert events(log)[-1]["event"] == "stopped"
    assert pids(server) == {}


def test_children_of_a_killed_supervisor_drain(server: Server) -> None:
    # workers check their parent only once a minute; the kernel's signal arrives first
    with pool(server, "--processes", "2", "--summary-s", "60") as parent:
        wait_until(lambda: shared(server), 20)
        parent.kill()
        wait_until(lambda: pids(server) == {}, 10)


def test_children_of_a_supervisor_killed_early_end(server: Server) -> None:
    with pool(server, "--processes", "2", "--summary-s", "60") as parent:
        assert parent.stderr is not None
        children = [json.loads(parent.stderr.readline())["pid"] for _ in range(2)]
        parent.kill()
        wait_until(lambda: not any(alive(child) for child in children), 10)


def test_pool_whose_metrics_port_is_in_use_retries_and_starts(server: Server) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        with pool(server, "--supervise", "--metrics-port", str(port)) as parent:
            assert parent.stderr is not None
            lines = iter(parent.stderr.readline, "")
            exited = next(event for event in logged(lines) if event["event"] == "process_exited")
            assert exited["exit_code"] == PORT_IN_USE_EXIT
            other.close()
            wait_until(lambda: sum(pids(server).values()) == PARTITIONS, 20)
            parent.terminate()
            parent.communicate(timeout=10)
    assert parent.returncode == 0


def test_pool_with_wrong_settings_exits_with_2(server: Server) -> None:
    server.client.hset("{maze}:topology", mapping={"version": 1, "partitions": 64})
    with pool(server, "--processes", "2") as parent:
        _, log = parent.communicate(timeout=10)
    assert parent.returncode == 2
    assert "--partitions 64" in log
