"""The latency of the pool and of the peers that keep up, at given rates.

`python bench/peers/rates.py [--rates 500 3000] [--seconds 5] [--runs 5] [--only pool ...] [--python PATH]
[--compiled PATH]`

Frames of 100 sessions with random (Poisson) gaps, one worker process. By Redis: from just before the command
that adds a frame until its reply is read from the session's channel. By HTTP: from just before its request is
written, or waits for one of 32 connections, until its response is read. RQ, Celery, docket and streaQ are
left out, because their own libraries must add each frame. Runs alternate. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from pathlib import Path

import http_client
import numpy as np

HERE = Path(__file__).parent
sys.path += [str(HERE.parent), str(HERE.parents[1])]

import latency  # noqa: E402
import redis  # noqa: E402
from arms import Arm, compiled, here, ready, summary  # noqa: E402
from run import HTTP, await_port, started  # noqa: E402
from servers import redis_server  # noqa: E402

from gesture_maze.embedded.ports import free_port  # noqa: E402

QUEUES = ("consumer_group", "faststream_batch")
POOL_COMPILED = "pool, compiled"
SESSIONS = 100
Latencies = np.ndarray
"""In ms, (n,) float64."""


def of_pool(client: redis.Redis, url: str, arm: Arm, rate: int, seconds: float) -> Latencies:
    """Return the latencies of a worker of the pool."""
    with arm.running(url, deadline_ms=0, supersede_ms=0):
        ready(client, latency.PARTITIONS)
        return latency.run(url, rate, SESSIONS, seconds, poisson=True)


def of_queue(client: redis.Redis, url: str, python: str, name: str, rate: int, seconds: float) -> Latencies:
    """Return the latencies of a peer that takes frames from Redis."""
    module = importlib.import_module(name)
    worker = started(python, name, url)
    try:
        while not client.exists(module.STREAM):
            if worker.poll() is not None:
                raise SystemExit(f"the worker ended with code {worker.returncode}")
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
        todo = latency.entries(rate, SESSIONS, seconds + latency.WARM_UP_S)
        encoded = http_client.requests(HTTP[name], [m + points + s for _, _, (s, m, points) in todo])
        sent_s, got_s = http_client.exchange(port, encoded, latency.dues(len(todo), rate, poisson=True))
        found: Latencies = (got_s - sent_s)[int(latency.WARM_UP_S * rate) :] * 1000
        return found
    finally:
        worker.terminate()
        worker.wait(20)


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
        arms[POOL_COMPILED] = Arm(POOL_COMPILED, compiled(chosen.compiled))
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
