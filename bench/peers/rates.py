"""The latency of the pool and of the peers that keep up, at given rates.

`python bench/peers/rates.py [--rates 500 3000] [--seconds 5] [--runs 5] [--only pool ...] [--python PATH]
[--compiled PATH]`

Frames of 100 sessions with random (Poisson) gaps, one worker process. By Redis: from just before the command
that adds a frame until its reply is read from the session's channel. By HTTP: from when a frame is due until
its response is read, over up to 32 connections. RQ, Celery, docket and streaQ answer 160 to 830 frames a
second from a full queue and are left out. Runs alternate. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import http.client
import importlib
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import numpy as np

HERE = Path(__file__).parent
sys.path += [str(HERE.parent), str(HERE.parents[1])]

import latency  # noqa: E402
import redis  # noqa: E402
from arms import Arm, here, summary  # noqa: E402
from run import CONNECTIONS, HTTP, await_port, started  # noqa: E402
from servers import redis_server  # noqa: E402

from gesture_maze.embedded.ports import free_port  # noqa: E402

QUEUES = ("consumer_group", "faststream_batch")
POOL_COMPILED = "pool, compiled"
SESSIONS = 100
Latencies = np.ndarray
"""In ms, (n,) float64."""


def of_pool(client: redis.Redis, url: str, arm: Arm, rate: int, seconds: float) -> Latencies:
    """Return the latencies of a worker of the pool."""
    with arm.running(url):
        while len(client.keys("lease:*")) < latency.PARTITIONS:
            time.sleep(0.01)
        return latency.run(url, rate, SESSIONS, seconds, poisson=True)


def of_queue(client: redis.Redis, url: str, python: str, name: str, rate: int, seconds: float) -> Latencies:
    """Return the latencies of a peer that takes frames from Redis."""
    module = importlib.import_module(name)
    worker = started(python, name, url)
    try:
        while not client.exists(module.STREAM):
            time.sleep(0.01)
        time.sleep(2.0)  # the group exists before the worker reads
        return latency.run(
            url, rate, SESSIONS, seconds, poisson=True, command=lambda _stream, frame: module.command(frame)
        )
    finally:
        worker.kill()
        worker.wait()


def of_http(python: str, name: str, rate: int, seconds: float) -> Latencies:
    """Return the latencies of an HTTP server."""
    port = free_port()
    worker = started(python, name, str(port))
    try:
        await_port(port)
        bodies = [m + points + s for _, _, (s, m, points) in latency.entries(rate, SESSIONS, seconds)]
        dues_s = latency.dues(len(bodies), rate, poisson=True)
        waiting: SimpleQueue[tuple[float, bytes] | None] = SimpleQueue()
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            posting = [pool.submit(_post, port, HTTP[name], waiting) for _ in range(CONNECTIONS)]
            begin_s = time.perf_counter() + 0.5
            for due_s, body in zip(dues_s, bodies, strict=True):
                time.sleep(max(begin_s + due_s - time.perf_counter(), 0))
                waiting.put((begin_s + due_s, body))
            for _ in posting:
                waiting.put(None)
            return np.array([ms for one in posting for ms in one.result()])
    finally:
        worker.terminate()
        worker.wait(20)


def _post(port: int, path: str, waiting: SimpleQueue[tuple[float, bytes] | None]) -> list[float]:
    """Post frames until None comes, and return their latencies in ms."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    found = []
    while (one := waiting.get()) is not None:
        due_s, body = one
        connection.request("POST", path, body)
        connection.getresponse().read()
        found.append((time.perf_counter() - due_s) * 1000)
    connection.close()
    return found


def _latencies(name: str, arms: dict[str, Arm], python: str, rate: int, seconds: float) -> Latencies | None:
    """Return the latencies of one worker, or None if it does not keep up."""
    if name in HTTP:
        return of_http(python, name, rate, seconds)
    with redis_server() as url:
        client = redis.Redis.from_url(url)
        try:
            if name in arms:
                return of_pool(client, url, arms[name], rate, seconds)
            return of_queue(client, url, python, name, rate, seconds)
        except SystemExit as error:  # replies are missing long after the last frame
            print(f"{name} at {rate}/s: {error}", file=sys.stderr)
            return None


def main() -> None:
    """Run and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rates", type=int, nargs="+", default=[500, 3000])
    options.add_argument("--seconds", type=float, default=5)
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--only", nargs="*", default=["pool", *QUEUES, *HTTP])
    options.add_argument("--python", default=sys.executable)
    options.add_argument("--compiled", type=Path)
    chosen = options.parse_args()
    arms = {"pool": here()}
    if chosen.compiled:
        arms[POOL_COMPILED] = Arm(POOL_COMPILED, chosen.compiled)
        chosen.only.append(POOL_COMPILED)
    runs: dict[str, list[dict[str, float]]] = {}
    for _ in range(chosen.runs):
        for rate in chosen.rates:
            for name in chosen.only:
                found = _latencies(name, arms, chosen.python, rate, chosen.seconds)
                if found is None:
                    continue
                p50, p99 = np.percentile(found, [50, 99]).tolist()
                runs.setdefault(f"{name} at {rate}/s", []).append({"p50_ms": p50, "p99_ms": p99})
                print(f"{name} at {rate}/s: {p50:.2f} {p99:.2f} ms", file=sys.stderr)
    print(json.dumps({name: summary(found) for name, found in runs.items()}, indent=2))


if __name__ == "__main__":
    main()
