"""What a cluster costs: processor time per frame by process, and latency, against a single Redis.

`python bench/cluster.py [--runs 5] [--seconds 6] [--players 60] [--frames 64000]`

One server and clusters of one, two and three primaries without replicas, with two workers each, run at the
same time and are loaded in turn: simulated players, whose replies give the latency, then streams that were
filled while the workers were stopped, of single frames and of ticks of 32. On two cores more primaries cannot
give more throughput. That the work is shared shows in the processor time per frame: the total of all servers
hardly grows, and each does a part of it. Prints a table of medians with the least and the largest, the
latency added in each run, and what `capacity.py` predicts for ticks of 32; then one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from capacity import Costs
from drain import answered, fill

from gesture_maze.embedded.cluster import LocalCluster, bundled_binary
from gesture_maze.embedded.server import EMBEDDED, redis_at
from gesture_maze.producer.address import open_client
from gesture_maze.worker.redis.attach import attached
from gesture_maze.worker.redis.status import StatusReader

MAZE: Final = (sys.executable, "-m", "gesture_maze")
PRIMARIES: Final = (0, 1, 2, 3)
"""0 is a single Redis."""
ENTRY_FRAMES: Final = (1, 32)
LONGEST_S: Final = 120.0

Run = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pool:
    """Servers and two workers.

    Attributes:
        primaries: of the cluster; 0 for a single Redis.
        servers, workers: their process ids.
    """

    primaries: int
    url: str
    servers: list[int]
    workers: list[int]
    client: Any

    @property
    def name(self) -> str:
        """The name in the table."""
        return f"{self.primaries} primaries" if self.primaries else "one Redis"


def cpu_s(pids: Sequence[int]) -> list[float]:
    """Return the processor time that each process has used, in seconds."""
    return [
        sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9
        for pid in pids
    ]


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


@contextmanager
def pool(primaries: int) -> Iterator[Pool]:
    """Run servers and two workers."""
    # the entries of full streams are old, and workers keep their leases while they are stopped
    settings: dict[str, Any] = {"deadline-ms": 0, "supersede-ms": 0, "lease-ttl-ms": 30_000}
    settings |= {"processes": 2, "metrics-port": 0, "log-level": "error"}
    words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    with servers(primaries) as (url, pids), attached(url) as client:
        workers = subprocess.Popen([*MAZE, "worker", "--redis", url, *words], stderr=subprocess.DEVNULL)
        try:
            yield Pool(primaries, url, pids, wait_owned(client), client)
        finally:
            workers.terminate()
            workers.wait(20)


def wait_owned(client: Any) -> list[int]:
    """Wait until two workers own all partitions, and return their pids."""
    end_s = time.monotonic() + 60
    reader = StatusReader(client)
    while time.monotonic() < end_s:
        found = reader.read()
        if len(found.workers) == 2 and all(one.owner for one in found.partitions):
            return [one.pid for one in found.workers]
        time.sleep(0.1)
    sys.exit("the workers did not start")


def play(here: Pool, seconds: float, players: int) -> Run:
    """Let players play, and return the latencies in ms and the costs."""
    words = ["--redis", here.url, "--players", str(players), "--seconds", str(seconds), "--json"]
    before = cpu_s(here.servers), cpu_s(here.workers)
    done = subprocess.run([*MAZE, "simulate", *words], capture_output=True, check=True, text=True)
    found: Run = json.loads(done.stdout)
    costs = cost(here, before, found["accepted"])
    return {"p50_ms": found["latency_p50_ms"], "p99_ms": found["latency_p99_ms"], **costs}


def drain(here: Pool, frames: int, entry_frames: int, first: int) -> Run:
    """Fill streams while the workers are stopped, let them answer, and return the costs of a frame.

    Args:
        here: the pool.
        frames: how many.
        entry_frames: in each entry.
        first: number of the first frame, above those of earlier calls.
    """
    before = cpu_s(here.servers), cpu_s(here.workers)
    had = answered(here.client)
    entries = frames // entry_frames
    signal_each(here.workers, signal.SIGSTOP)
    try:
        fill(here.client, entries, entry_frames, first=first)
    finally:
        signal_each(here.workers, signal.SIGCONT)
    begin_s = time.monotonic()
    end_s = begin_s + LONGEST_S
    while answered(here.client) < had + entries * entry_frames:
        if time.monotonic() > end_s:
            sys.exit(f"not all of {entries * entry_frames} frames were answered in {LONGEST_S:.0f} s")
        time.sleep(0.02)
    rate = entries * entry_frames / (time.monotonic() - begin_s)
    return {"kframes_per_s": rate / 1000, **cost(here, before, entries * entry_frames)}


def signal_each(pids: Sequence[int], number: signal.Signals) -> None:
    """Send a signal to processes."""
    for pid in pids:
        os.kill(pid, number)


def cost(here: Pool, before: tuple[list[float], list[float]], frames: int) -> Run:
    """Return the seconds of processor time per million frames, by process."""
    after = cpu_s(here.servers), cpu_s(here.workers)
    each = [
        [(now - then) / frames * 1e6 for now, then in zip(*pair, strict=True)]
        for pair in zip(after, before, strict=True)
    ]
    return {
        "servers_s": sum(each[0]),
        "workers_s": sum(each[1]),
        "each_server_s": [round(one, 2) for one in each[0]],
        "each_worker_s": [round(one, 2) for one in each[1]],
    }


def measure(pools: Sequence[Pool], chosen: argparse.Namespace) -> dict[str, list[list[Run]]]:
    """Return the runs by load, in the order of the pools."""
    loads = ["players"] * bool(chosen.seconds) + [str(size) for size in ENTRY_FRAMES if chosen.frames]
    found: dict[str, list[list[Run]]] = {load: [[] for _ in pools] for load in loads}
    for number in range(-1, chosen.runs):  # the first warms up
        for at in sorted(range(len(pools)), key=lambda at: (at + number) % len(pools)):
            for turn, load in enumerate(loads):
                if load == "players":
                    run = play(pools[at], chosen.seconds, chosen.players)
                else:
                    first = (len(loads) * (number + 1) + turn) * chosen.frames
                    run = drain(pools[at], chosen.frames, int(load), first)
                if number >= 0:
                    found[load][at].append(run)
        sys.stderr.write(f"round {number + 1} of {chosen.runs}, load {os.getloadavg()[0]:.1f}\n")
    return found


def spread(values: Sequence[float]) -> str:
    """Return the median, and the least and the largest."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def table(pools: Sequence[Pool], found: dict[str, list[list[Run]]]) -> str:
    """Return the medians as a table in Markdown."""
    columns = [(load, name) for load in found for name in ("servers_s", "workers_s")]
    columns += [(load, "kframes_per_s") for load in found if load != "players"]
    columns += [("players", name) for name in ("p50_ms", "added_ms", "p99_ms") if "players" in found]
    for runs in found.get("players", []):
        for run, alone in zip(runs, found["players"][0], strict=True):
            run["added_ms"] = run["p50_ms"] - alone["p50_ms"]
    head = [f"{load}: {name}" for load, name in columns]
    lines = [f"| | {' | '.join(head)} |", "|---" * (len(head) + 1) + "|"]
    for at, here in enumerate(pools):
        cells = [spread([run[name] for run in found[load][at]]) for load, name in columns]
        lines.append(f"| {here.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Run and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--seconds", type=float, default=6, help="of players; 0 for none")
    options.add_argument("--players", type=int, default=60)
    options.add_argument("--frames", type=int, default=64_000, help="per run of full streams; 0 for none")
    chosen = options.parse_args()
    with ExitStack() as stack:
        pools = [stack.enter_context(pool(primaries)) for primaries in PRIMARIES]
        found = measure(pools, chosen)
    costs = Costs()
    sys.stderr.write(
        f"{table(pools, found)}\n\npredicted for ticks of 32, per million frames: servers "
        f"{1e6 / costs.shard_frames_per_s:.2f} s, workers {1e6 / costs.worker_frames_per_s:.2f} s\n"
    )
    rows = {load: dict(zip([here.name for here in pools], runs, strict=True)) for load, runs in found.items()}
    sys.stdout.write(json.dumps(rows) + "\n")


if __name__ == "__main__":
    main()
