"""Measures worker processes of this or another checkout in the same way, for `pairs.py` and `quick.py`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import redis
from drain import PARTITIONS, SESSIONS, answered

from gesture_maze.wire import keys

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
STARTED_S = 30.0
DRAINED_S = 300.0


@dataclass(frozen=True)
class Arm:
    """A worker to measure.

    Attributes:
        name: in the report.
        path: the checkout whose code runs.
        module: the worker's module in it.
        reply_to: entries name a reply channel.
        compact: entries have compact landmarks.
    """

    name: str
    path: Path
    module: str = "gesture_maze.worker"
    reply_to: str = ""
    compact: bool = False

    @contextmanager
    def running(self, url: str, **settings: object) -> Iterator[subprocess.Popen[bytes]]:
        """Run the worker for the duration of the `with` block."""
        words = json.dumps({"redis": url, "metrics_port": 0, "log_level": "error", **settings})
        environment = {**os.environ, "PYTHONPATH": str(self.path)}
        command = [sys.executable, "-m", self.module, words, "bench"]
        process = subprocess.Popen(command, cwd=self.path, env=environment)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


def here(name: str = "after", **more: object) -> Arm:
    """Return the worker of this checkout."""
    return Arm(name, Path(__file__).resolve().parents[1], **more)  # type: ignore[arg-type]


def compiled(path: Path) -> Path:
    """Return a checkout that must hold the compiled modules of this interpreter."""
    found = (path / "gesture_maze/worker").glob(f"policy*{sysconfig.get_config_var('EXT_SUFFIX')}")
    if not any(found):
        raise SystemExit(f"{path} has no compiled modules for this Python, see docs/benchmarks.md")
    return path.resolve()


def cpu_s(process: subprocess.Popen[bytes]) -> float:
    """Return the CPU seconds of a process so far."""
    return cpu_of(process.pid)


def cpu_of(pid: int) -> float:
    """Return the CPU seconds of the process with an id so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def server_pid(client: redis.Redis) -> int:
    """Return the process id of a server on this machine."""
    return int(client.info("server")["process_id"])


def rss_mb(process: subprocess.Popen[bytes]) -> float:
    """Return the resident memory of a process in MB."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * PAGE_BYTES / 1e6


def server_us(client: redis.Redis, *commands: str) -> float:
    """Return the µs that the server has spent in commands since CONFIG RESETSTAT. Scripts: `evalsha`."""
    stats = client.info("commandstats")
    return sum(float(stats.get(f"cmdstat_{name}", {}).get("usec", 0)) for name in commands)


@contextmanager
def listening(client: redis.Redis, arm: Arm) -> Iterator[None]:
    """Subscribe to all replies for the duration of the `with` block, without reading them."""
    channels = [
        keys.reply_channel(partition, arm.reply_to) for partition in range(PARTITIONS) if arm.reply_to
    ] + [
        keys.actions_channel(keys.partition_of(name, PARTITIONS), name)
        for name in (f"player-{number}" for number in range(SESSIONS))
    ]
    client.config_set("client-output-buffer-limit", "pubsub 0 0 0")
    pubsub = client.pubsub()
    pubsub.subscribe(*channels)
    try:
        yield
    finally:
        pubsub.close()


def drained(client: redis.Redis, url: str, arm: Arm, frames: int) -> dict[str, float]:
    """Return the figures of a worker that answers `frames` frames of full streams."""
    begin_s = time.perf_counter()
    server = server_pid(client)
    with arm.running(url, deadline_ms=0, supersede_ms=0) as worker:
        marks: list[tuple[float, int, float, float]] = []
        while not marks or marks[-1][1] < frames:
            count = answered(client)
            if count:
                marks.append((time.perf_counter(), count, cpu_s(worker), cpu_of(server)))
            if time.perf_counter() - begin_s > DRAINED_S:
                raise SystemExit(f"{arm.name}: {count} of {frames} frames were answered in {DRAINED_S:.0f} s")
            time.sleep(0.005)
        return rates_of(marks) | {"rss_mb": rss_mb(worker), "first_answer_s": marks[0][0] - begin_s}


def rates_of(marks: list[tuple[float, int, float, float]]) -> dict[str, float]:
    """Return frames per second and CPU per frame between the first and the last mark.

    Args:
        marks: time in s, frames answered, CPU seconds of the worker and of the server.
    """
    (first_s, first, worker_s, server_s), last = marks[0], marks[-1]
    count = last[1] - first
    if not count:
        raise SystemExit("all frames were answered at once: take more")
    return {
        "frames_per_s": count / (last[0] - first_s),
        "worker_us_per_frame": (last[2] - worker_s) / count * 1e6,
        "server_cpu_us_per_frame": (last[3] - server_s) / count * 1e6,
    }


def idle(client: redis.Redis, url: str, arm: Arm, seconds: float) -> dict[str, float]:
    """Return the CPU and the Redis calls of a worker without frames."""
    with arm.running(url) as worker:
        ready(client, PARTITIONS)
        time.sleep(1.0)
        before_s, calls = cpu_s(worker), client.info("stats")["total_commands_processed"]
        time.sleep(seconds)
        more = client.info("stats")["total_commands_processed"] - calls
        return {
            "idle_cpu_percent": (cpu_s(worker) - before_s) / seconds * 100,
            "idle_calls_per_s": more / seconds,
        }


def ready(client: redis.Redis, partitions: int) -> None:
    """Wait until a worker owns all partitions."""
    end_s = time.perf_counter() + STARTED_S
    while len(client.keys("lease:*")) < partitions:
        if time.perf_counter() > end_s:
            raise SystemExit(f"no worker owns {partitions} partitions after {STARTED_S:.0f} s")
        time.sleep(0.01)


def summary(runs: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return median, least and largest of each figure of several runs."""
    return {
        name: {
            "median": round(float(np.median(values)), 3),
            "min": round(min(values), 3),
            "max": round(max(values), 3),
        }
        for name in runs[0]
        for values in [[run[name] for run in runs]]
    }
