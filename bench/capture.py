"""The cost of recording a live system: reply latency and Redis's processor time, with and without a
recording.

`python bench/capture.py [--rate 3000] [--seconds 8] [--runs 3]`

One worker, 100 players. Runs with and without a recording alternate, because the load of a shared machine
varies more from minute to minute than a recording adds. Prints one JSON object with the medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import redis
from servers import redis_server

START_S = 1.0
"""How long a recording runs before the load begins."""


def maze(*words: object) -> list[str]:
    """Return the command line of a `maze` command."""
    return [sys.executable, "-m", "gesture_maze", *map(str, words)]


def cpu_s(client: redis.Redis) -> float:
    """Return the processor time that Redis has used so far, in seconds."""
    info: Any = client.info("cpu")
    return float(info["used_cpu_user"] + info["used_cpu_sys"])


def load(client: redis.Redis, url: str, rate: int, seconds: float) -> dict[str, float]:
    """Send frames for `seconds` and return the latencies and the cost in Redis."""
    before_s = cpu_s(client)
    command = maze("simulate", "--redis", url, "--rate", rate, "--seconds", seconds, "--json")
    facts = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {
        "p50_ms": facts["latency_p50_ms"],
        "p99_ms": facts["latency_p99_ms"],
        "redis_us_per_frame": (cpu_s(client) - before_s) / facts["accepted"] * 1e6,
        "accepted": facts["accepted"],
    }


def recorded(client: redis.Redis, url: str, rate: int, seconds: float, out: Path) -> dict[str, float]:
    """Return the figures of `load` during a recording, with `missed` frames, which must be 0."""
    command = maze("capture", "--redis", url, "--out", out, "--json")
    recorder = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    time.sleep(START_S)
    found = load(client, url, rate, seconds)
    recorder.terminate()
    output, _ = recorder.communicate(timeout=10)
    return found | {"missed": found["accepted"] - json.loads(output)["frames"]}


def main() -> None:
    """Run and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rate", type=int, default=3000)
    options.add_argument("--seconds", type=float, default=8)
    options.add_argument("--runs", type=int, default=3)
    chosen = options.parse_args()
    runs: dict[str, list[dict[str, float]]] = {"without": [], "with": []}
    with redis_server() as url, tempfile.TemporaryDirectory() as folder:
        client = redis.Redis.from_url(url)
        command = maze("worker", "--redis", url, "--metrics-port", 0, "--log-level", "error")
        worker = subprocess.Popen(command)
        try:
            time.sleep(3)
            for _ in range(chosen.runs):
                runs["without"].append(load(client, url, chosen.rate, chosen.seconds))
                out = Path(folder) / "bench.jsonl.gz"
                runs["with"].append(recorded(client, url, chosen.rate, chosen.seconds, out))
        finally:
            worker.terminate()
            worker.wait(10)
    medians = {
        name: {key: round(statistics.median(run[key] for run in found), 2) for key in found[0]}
        for name, found in runs.items()
    }
    print(json.dumps(medians | {"runs": chosen.runs, "rate": chosen.rate}, indent=2))


if __name__ == "__main__":
    main()
