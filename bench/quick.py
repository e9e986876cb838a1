"""Compare ratios of this checkout with the last accepted ones, within a minute. `make bench-quick`

`python bench/quick.py [--accept WHY]`

Absolute times differ between machines and times of day, so ratios of two alternating measurements are
compared. Each is the median of several; one that is worse than the accepted one by more than its margin makes
the program fail. `--accept` writes the ratios into `accepted.json`, with the reason, after the earlier ones.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import redis
from arms import drained, here, server_us
from drain import fill, time_baseline
from servers import redis_server

from gesture_maze.models.bundle import bundled_path, load_bundle
from gesture_maze.models.plain import PlainNetwork
from gesture_maze.models.runtime import OnnxNetwork

ACCEPTED = Path(__file__).with_name("accepted.json")
FRAMES = 60_000
ROUNDS = 3
MARGIN = 0.25
"""A ratio may be worse by this share: other programs on the machine disturb the two sides differently."""
HIGHER_IS_BETTER = {"ticks: worker / read-and-commit loop", "single: worker / read-and-commit loop"}


def drains(client: redis.Redis, url: str) -> dict[str, float]:
    """Return the ratios of one round of drains."""
    found: dict[str, float] = {}
    server: dict[str, float] = {}
    small = here(reply_to="bench", compact=True)
    for name, arm, size in (("single", here(), 1), ("ticks", here(), 32), ("small ticks", small, 32)):
        client.flushall()
        client.config_resetstat()
        fill(client, FRAMES // size, size, compact=arm.compact, reply_to=arm.reply_to)
        loop = time_baseline(client, size)
        frames = FRAMES // size * size
        worker = drained(client, url, arm, frames)["frames_per_s"]
        server[name] = server_us(client, "xadd", "evalsha") / frames
        if arm is not small:
            found[f"{name}: worker / read-and-commit loop"] = worker / loop
    found["server, ticks: reply channel and compact / plain"] = server["small ticks"] / server["ticks"]
    found["server: ticks / single"] = server["ticks"] / server["single"]
    return found


def networks() -> dict[str, float]:
    """Return the time of the network in numpy over that in ONNX Runtime."""
    bundle = load_bundle(bundled_path())
    plain = PlainNetwork.of(bundle.model)
    assert plain is not None
    other, golden, found = OnnxNetwork(bundle.model), bundle.golden, {}
    for rows in (1, 256):
        at = np.arange(rows) % len(golden.aspect)
        hands = golden.landmarks[at], golden.aspect[at]
        times = [(_fastest(plain.classify, hands), _fastest(other.classify, hands)) for _ in range(5)]
        found[f"network of {rows}: numpy / ONNX Runtime"] = min(one for one, _ in times) / min(
            two for _, two in times
        )
    return found


def _fastest(run: Callable[..., object], hands: tuple[np.ndarray, np.ndarray]) -> float:
    found = []
    for _ in range(200):
        begin_s = time.perf_counter()
        run(*hands)
        found.append(time.perf_counter() - begin_s)
    return min(found)


def measured() -> dict[str, float]:
    """Return the median of each ratio."""
    with redis_server() as url:
        client = redis.Redis.from_url(url, protocol=3)
        rounds = [drains(client, url) for _ in range(ROUNDS)]
    medians = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    return {name: round(value, 3) for name, value in (medians | networks()).items()}


def worse_by(name: str, now: float, accepted: float) -> float:
    """Return by which share a ratio is worse than the accepted one; negative if it is better."""
    return accepted / now - 1 if name in HIGHER_IS_BETTER else now / accepted - 1


def main() -> int:
    """Run, print, and return 1 if a ratio is worse."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--accept", metavar="WHY", help="accept the ratios, for this reason")
    why = options.parse_args().accept
    history = json.loads(ACCEPTED.read_text()) if ACCEPTED.exists() else []
    accepted = history[-1]["ratios"] if history else {}
    ratios, worse = measured(), 0
    for name, now in ratios.items():
        before = accepted.get(name)
        change = 0.0 if before is None else worse_by(name, now, before)
        worse += change > MARGIN
        verdict = "new" if before is None else "worse" if change > MARGIN else "ok"
        print(f"{verdict:6} {name:52} {now:8.3f}  accepted {before}")
    if why:
        history.append({"date": time.strftime("%Y-%m-%d"), "why": why, "ratios": ratios})
        ACCEPTED.write_text(json.dumps(history, indent=2) + "\n")
    return int(bool(worse) and not why)


if __name__ == "__main__":
    sys.exit(main())
