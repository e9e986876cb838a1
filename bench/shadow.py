"""The cost of a challenger: the worker's processor time per frame, by the share of frames it classifies.

`python bench/shadow.py [--frames 200000] [--runs 3] [--shares 0 0.1 0.5 1]`

Like bench/drain.py, with entries of 32 frames. It measures processor time instead of frames per second,
because the challenger runs in its own thread. At full speed some sampled frames are skipped; `seen` is the
share of frames that the challenger classified. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import redis
from drain import PARTITIONS, answered, fill
from servers import redis_server

sys.path.insert(0, str(Path(__file__).parents[1]))

from gesture_maze.worker.redis.registry import ModelRegistry
from tests.support.bundles import bundled, disturbed

FRAMES_PER_ENTRY = 32


def cpu_s(pid: int) -> float:
    """Return the processor time of a process so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(client: redis.Redis, url: str, frames: int, share: float) -> dict[str, float]:
    """Drain full streams with one worker and return its cost per frame."""
    client.flushall()
    registry = ModelRegistry(client)
    champion, challenger = bundled(), disturbed(0.9)
    registry.promote(champion.version, champion.to_zip())
    if share:
        registry.challenge(challenger.version, challenger.to_zip(), share)
    fill(client, frames // FRAMES_PER_ENTRY, FRAMES_PER_ENTRY)
    settings = {"redis": url, "metrics_port": 0, "deadline_ms": 0, "supersede_ms": 0, "log_level": "error"}
    worker = subprocess.Popen([sys.executable, "-m", "gesture_maze.worker", json.dumps(settings), "bench"])
    try:
        while not (first := answered(client)):
            time.sleep(0.002)
        begin_s = cpu_s(worker.pid)
        while (last := answered(client)) < frames // FRAMES_PER_ENTRY * FRAMES_PER_ENTRY:
            time.sleep(0.005)
        time.sleep(1.5)  # wait until queued samples are classified and written
        used_s = cpu_s(worker.pid) - begin_s
        seen = registry.shadow(champion.version, challenger.version).get("frames", 0)
    finally:
        worker.terminate()
        worker.wait(10)
    return {"cpu_us_per_frame": used_s / (last - first) * 1e6, "seen": seen / last}


def main() -> None:
    """Run and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--frames", type=int, default=200_000)
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--shares", type=float, nargs="+", default=[0.0, 0.1, 0.5, 1.0])
    chosen = options.parse_args()
    report: dict[str, object] = {"frames": chosen.frames, "partitions": PARTITIONS, "runs": chosen.runs}
    with redis_server() as url:
        client = redis.Redis.from_url(url)
        for share in chosen.shares:
            runs = [run(client, url, chosen.frames, share) for _ in range(chosen.runs)]
            report[f"share_{share:g}"] = {
                name: round(statistics.median(one[name] for one in runs), 3) for name in runs[0]
            }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
