"""What a cluster costs: processor time per frame by process, and latency, against a single Redis.

`python bench/cluster.py [--seconds 8] [--players 60]`

The same simulated players run against one server, and against clusters of one, two and three primaries
without replicas, with two workers each. On two cores more primaries cannot give more throughput; what shows
that the work is shared is that the processor time per frame of all servers together hardly grows, while each
does a part of it. Prints a table and one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from gesture_maze.embedded.cluster import LocalCluster, bundled_binary
from gesture_maze.embedded.server import EMBEDDED, redis_at
from gesture_maze.producer.address import open_client
from gesture_maze.worker.redis.attach import attached
from gesture_maze.worker.redis.status import StatusReader

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
MAZE: Final = (sys.executable, "-m", "gesture_maze")


def cpu_s(pids: list[int]) -> float:
    """Return the processor time that processes have used, in seconds."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(one[11]) + int(one[12]) for one in fields) / TICKS_PER_S


@contextmanager
def servers(primaries: int) -> Iterator[tuple[str, list[int]]]:
    """Run one server (0 primaries) or a cluster, and yield its address and the pids."""
    if primaries:
        with tempfile.TemporaryDirectory() as folder:
            cluster = LocalCluster(bundled_binary(), Path(folder), primaries=primaries, replicas=0)
            try:
                yield cluster.url, [node.pid for node in cluster.nodes]
            finally:
                cluster.close()
        return
    with redis_at(EMBEDDED) as url:
        client = open_client(url, name="bench", timeout_s=2.0)
        facts: Any = client.info("server")
        client.close()
        yield url, [int(facts["process_id"])]


def wait_owned(url: str) -> list[int]:
    """Wait until two workers own all partitions, and return their pids."""
    end_s = time.monotonic() + 60
    with attached(url) as client:
        reader = StatusReader(client)
        while time.monotonic() < end_s:
            found = reader.read()
            if len(found.workers) == 2 and all(one.owner for one in found.partitions):
                return [one.pid for one in found.workers]
            time.sleep(0.1)
    sys.exit("the workers did not start")


def measure(primaries: int, seconds: float, players: int) -> dict[str, Any]:
    """Return the figures of one run."""
    with servers(primaries) as (url, server_pids):
        words = ["worker", "--redis", url, "--processes", "2", "--metrics-port", "0", "--log-level", "error"]
        pool = subprocess.Popen([*MAZE, *words], stderr=subprocess.DEVNULL)
        try:
            pids = wait_owned(url)
            load = [
                "simulate",
                "--redis",
                url,
                "--players",
                str(players),
                "--seconds",
                str(seconds),
                "--json",
            ]
            subprocess.run([*MAZE, *load, "--seed", "2"], capture_output=True, check=True)  # warm
            before = cpu_s(server_pids), cpu_s(pids)
            done = subprocess.run([*MAZE, *load], capture_output=True, check=True, text=True)
            after = cpu_s(server_pids), cpu_s(pids)
        finally:
            pool.terminate()
            pool.wait(20)
    found: dict[str, Any] = json.loads(done.stdout)
    frames = found["accepted"]
    return {
        "primaries": primaries,
        "frames": frames,
        "server_cpu_s_per_million": round((after[0] - before[0]) / frames * 1e6, 1),
        "worker_cpu_s_per_million": round((after[1] - before[1]) / frames * 1e6, 1),
        **{key: found[key] for key in found if "latency" in key},
    }


def main() -> None:
    """Run and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seconds", type=float, default=8)
    options.add_argument("--players", type=int, default=60)
    chosen = options.parse_args()
    rows = [measure(primaries, chosen.seconds, chosen.players) for primaries in (0, 1, 2, 3)]
    for row in rows:
        name = f"{row['primaries']} primaries" if row["primaries"] else "one Redis"
        sys.stderr.write(f"{name:12}  " + "  ".join(f"{key} {row[key]}" for key in row) + "\n")
    sys.stdout.write(json.dumps(rows) + "\n")


if __name__ == "__main__":
    main()
