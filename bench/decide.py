"""The cost of a decision, in pairs with the previous policy: `python bench/decide.py [--pairs 15]`.

Prints µs of CPU time per frame: the best of each, and the median of the differences within a pair. `one hand`
passes the place of the hand; `places_of` is the part of that cost per batch, including the lists.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import policy_before

from gesture_maze.worker import policy
from gesture_maze.worker.places import places_of

FRAMES = 20_000
BATCHES = (1, 8, 256)


def frames_of(kind: str) -> list[tuple[int, int, int]]:
    """Return frames: time in ms, action code, confidence in thousandths."""
    rng = random.Random(1)
    shows: dict[str, Callable[[int], tuple[int, int]]] = {
        "nothing shown": lambda _row: (0, 970),
        "one gesture held": lambda _row: (1, 970),
        "players": lambda row: (
            (1, 0, 3, 0)[row // 45 % 4] if rng.random() > 0.05 else 0,
            980 if rng.random() > 0.2 else 620,
        ),
        "changes every 2 frames": lambda row: (1 + row // 2 % 4, 800),
    }
    return [(row * 33, *shows[kind](row)) for row in range(FRAMES)]


def cost_us(module: Any, frames: list[tuple[int, int, int]], *, follow: bool = False) -> float:
    """Return the cost of a decision in µs per frame."""
    hold, rules = module.Hold(), module.Policy(module.Rules())
    decide = hold.decide
    begin_s = time.process_time()
    if follow:
        for now_ms, action, confidence in frames:
            decide(rules, now_ms, action, confidence, 0.5 + 0.5j, 0.2)
    else:
        for now_ms, action, confidence in frames:
            decide(rules, now_ms, action, confidence)
    return (time.process_time() - begin_s) / len(frames) * 1e6


def places_us(rows: int, batches: int = 500) -> float:
    """Return the cost of finding the places of a batch, in µs."""
    landmarks = np.random.default_rng(1).random((rows, 21, 3), np.float32)
    begin_s = time.process_time()
    for _ in range(batches):
        places_of(landmarks)
    return (time.process_time() - begin_s) / batches * 1e6


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--pairs", type=int, default=15)
    pairs = options.parse_args().pairs
    print("| frames | before | now | difference | one hand | difference |\n|---|---|---|---|---|---|")
    for kind in ("nothing shown", "one gesture held", "players", "changes every 2 frames"):
        frames = frames_of(kind)
        runs = [
            (cost_us(policy_before, frames), cost_us(policy, frames), cost_us(policy, frames, follow=True))
            for _ in range(pairs)
        ]
        before, now, follow = (min(column) for column in zip(*runs, strict=True))
        more, most = (statistics.median(run[column] - run[0] for run in runs) for column in (1, 2))
        print(f"| {kind} | {before:.2f} | {now:.2f} | {more:+.2f} | {follow:.2f} | {most:+.2f} |")
    for rows in BATCHES:
        best = min(places_us(rows) for _ in range(pairs))
        print(f"places_of, batch of {rows}: {best:.1f} µs, {best / rows:.2f} a frame")


if __name__ == "__main__":
    main()
