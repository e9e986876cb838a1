"""One worker process of each peer and of the pool: the same frames, model and Redis. `make bench-peers`

`python bench/peers/run.py [--runs 5] [--only consumer_group ...] [--python PATH] [--compiled PATH]`

Queues are filled first; a worker is timed from its 200th reply to its last, by the server's count of PUBLISH.
No client subscribes to the replies. HTTP servers get their requests from one client with 32 connections. The
workers run in turn. The peers are in the extra `peers`; `--python` names an interpreter that has them,
`--compiled` a checkout with compiled modules (docs/benchmarks.md). Prints one JSON object.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import http_client
import numpy as np

HERE = Path(__file__).parent
sys.path += [str(HERE.parent), str(HERE.parents[1])]

import redis  # noqa: E402
from arms import (  # noqa: E402
    Arm,
    compiled,
    cpu_of,
    cpu_s,
    drained,
    here,
    rates_of,
    rss_mb,
    server_pid,
    summary,
)
from drain import fill  # noqa: E402
from servers import redis_server  # noqa: E402

from gesture_maze.embedded.ports import free_port  # noqa: E402
from gesture_maze.simulator.players import synthesize  # noqa: E402
from gesture_maze.wire.frames import HAND, META, pack_arrays  # noqa: E402

QUEUES = {
    "consumer_group": 1, "faststream_batch": 1, "streaq_tasks": 2, "docket_tasks": 3, "rq_jobs": 1,
    "celery_tasks": 1,
}  # fmt: skip
"""Messages published per frame: streaQ announces each result, too, docket that a task begins and ends."""
HTTP = {"fastapi_predict": "/predict", "mosec_predict": "/inference"}
BATCHED = ("consumer_group", "faststream_batch")
"""They take many frames at once, and need more of them than the others to be timed."""
POOL = {"pool, single frames": 1, "pool, ticks of 32": 32}
COMPILED = ", compiled"
WARM_UP = 200
GIVE_UP_S = 180.0
POLL_S = 0.05
Frame = tuple[bytes, bytes, bytes]
Process = subprocess.Popen[bytes]


def frames_of(count: int) -> list[Frame]:
    """Return frames of 100 players, packed one by one."""
    rng = np.random.default_rng(3)
    hands = synthesize(rng.integers(0, 19, 1024), rng).landmarks
    found = []
    for row in range(count):
        meta = np.array([(row, 1_700_000_000_000 + row, 4 / 3, HAND)], META)
        found.append(pack_arrays([f"player-{row % 100}"], meta, hands[row // 15 % 1024][None]))
    return found


def started(python: str, name: str, argument: str) -> Process:
    """Start a peer's worker."""
    environment = {**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parents[1]}", "OPENBLAS_NUM_THREADS": "1"}
    command = [python, str(HERE / f"{name}.py"), argument]
    return subprocess.Popen(command, cwd=HERE, env=environment, stdout=sys.stderr)


def published(client: redis.Redis) -> int:
    """Return the number of PUBLISH commands so far."""
    return int(client.info("commandstats").get("cmdstat_publish", {}).get("calls", 0))


def time_queue(
    client: redis.Redis, url: str, python: str, name: str, frames: list[Frame]
) -> dict[str, float]:
    """Return the figures of a worker on a full queue."""
    client.flushall()
    command = [python, str(HERE / "run.py"), "--feed", name, "--frames", str(len(frames)), "--redis", url]
    subprocess.run(command, check=True)
    client.config_resetstat()
    server, worker = server_pid(client), started(python, name, url)
    try:
        marks: list[tuple[float, int, float, float]] = []
        begin_s = time.perf_counter()
        while not marks or marks[-1][1] < len(frames):
            done = published(client) // QUEUES[name]
            if done >= WARM_UP:
                marks.append((time.perf_counter(), done, cpu_s(worker), cpu_of(server)))
            if time.perf_counter() - begin_s > GIVE_UP_S:
                raise SystemExit(f"{name}: {done} of {len(frames)} frames were answered in {GIVE_UP_S:.0f} s")
            time.sleep(POLL_S)
        return rates_of(marks) | {"rss_mb": rss_mb(worker)}
    finally:
        worker.kill()
        worker.wait()


def time_http(python: str, name: str, frames: list[Frame]) -> dict[str, float]:
    """Return the figures of an HTTP server."""
    port, path = free_port(), HTTP[name]
    worker = started(python, name, str(port))
    try:
        await_port(port)
        encoded = http_client.requests(path, [m + points + s for s, m, points in frames])
        at_once = [0.0] * len(encoded)
        http_client.exchange(port, encoded[:WARM_UP], at_once[:WARM_UP])
        before_s = _family_s(worker)
        sent_s, got_s = http_client.exchange(port, encoded, at_once)
        return {
            "frames_per_s": len(frames) / float(got_s.max() - sent_s.min()),
            "worker_us_per_frame": (_family_s(worker) - before_s) / len(frames) * 1e6,
            "rss_mb": rss_mb(worker),
        }
    finally:
        worker.terminate()
        worker.wait(20)


def await_port(port: int) -> None:
    """Wait until a server listens."""
    end_s = time.perf_counter() + 60
    while time.perf_counter() < end_s:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"no server on port {port} after 60 s")


def _family_s(process: Process) -> float:
    """Return the CPU seconds of a process and its children."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return sum([cpu_of(pid) for pid in (process.pid, *map(int, children))])


def time_pool(client: redis.Redis, url: str, arm: Arm, size: int, frames: int) -> dict[str, float]:
    """Return the figures of a worker of the pool on full streams."""
    client.flushall()
    fill(client, frames // size, size)
    found = drained(client, url, arm, frames // size * size)
    del found["first_answer_s"]
    return found


def main() -> None:
    """Run and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--frames", type=int, default=1_500, help="for a peer that takes them one by one")
    options.add_argument("--batched-frames", type=int, default=100_000, help="for one that takes batches")
    options.add_argument("--pool-frames", type=int, default=200_000)
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--only", nargs="*", default=[*QUEUES, *HTTP, *POOL])
    options.add_argument("--python", default=sys.executable)
    options.add_argument("--compiled", type=Path)
    options.add_argument("--feed", help="only fill the queue of a peer (used by this program)")
    options.add_argument("--redis")
    chosen = options.parse_args()
    if chosen.feed:
        frames = frames_of(chosen.frames)
        importlib.import_module(chosen.feed).feed(redis.Redis.from_url(chosen.redis), frames)
        return
    frames = frames_of(chosen.batched_frames)
    arms = {name: here() for name in POOL}
    if chosen.compiled:
        arms |= {name + COMPILED: Arm(name, compiled(chosen.compiled)) for name in POOL}
        chosen.only += [name + COMPILED for name in POOL if name in chosen.only]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in chosen.only}
    with redis_server() as url:
        client = redis.Redis.from_url(url)
        for number in range(chosen.runs):
            for name in chosen.only:
                print(f"run {number + 1}: {name}", file=sys.stderr)
                if name in arms:
                    size = POOL[name.removesuffix(COMPILED)]
                    found = time_pool(client, url, arms[name], size, chosen.pool_frames)
                elif name in HTTP:
                    found = time_http(chosen.python, name, frames[: chosen.frames])
                else:
                    some = frames if name in BATCHED else frames[: chosen.frames]
                    found = time_queue(client, url, chosen.python, name, some)
                runs[name].append(found)
                print(json.dumps(found), file=sys.stderr)
    print(json.dumps({name: summary(found) for name, found in runs.items()}, indent=2))


if __name__ == "__main__":
    main()
