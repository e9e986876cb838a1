"""The throughput of the simulator on one core, as JSON.

Usage: python bench/simulator.py [--seconds 2]
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from gesture_maze.simulator.players import PlayerHands, synthesize
from gesture_maze.wire.gestures import GESTURES

CROWDS = (1, 50, 200, 1000)
HOLD_STEPS = 15
"""Steps for which a gesture is held, like a player who moves once a second."""


def crowd_rate(players: int, seconds: float) -> float:
    """Return the frames per second of `players` players who change their gesture once a (simulated)
    second."""
    crowd = PlayerHands(players, seed=1)
    rng = np.random.default_rng(2)
    steps, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        if steps % HOLD_STEPS == 0:
            targets = rng.integers(len(GESTURES), size=players)
        crowd.step(steps * crowd.interval_ms, targets)
        steps += 1
    return players * steps / elapsed


def single_rate(hands: int, seconds: float) -> float:
    """Return the independent hands per second, in calls for `hands` hands of all gestures."""
    rng = np.random.default_rng(1)
    calls, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        synthesize(np.arange(hands) % len(GESTURES), rng)
        calls += 1
    return hands * calls / elapsed


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="time of each measurement")
    seconds = parser.parse_args().seconds
    figures = {
        "crowd_frames_per_s": {players: round(crowd_rate(players, seconds)) for players in CROWDS},
        "single_hands_per_s": round(single_rate(1000, seconds)),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
