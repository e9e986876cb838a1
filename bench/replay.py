"""The speed of writing captures, and of replaying them without a server.

`python bench/replay.py [--players 100] [--seconds 60] [--keep FILE]`: 600 seconds make the 1.8 million
frames of ten minutes of a hundred players, and take a few minutes to simulate.

The replay runs in a process of its own, `maze replay FILE --json`, so that its time includes reading the
capture and its memory is its own. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from gesture_maze.capture.writer import CaptureWriter, lines_of
from gesture_maze.simulator.players import PlayerHands
from gesture_maze.wire.frames import META
from gesture_maze.wire.gestures import DEFAULT_ACTIONS, LABELS

FPS = 30
CHANGE_MS = 1500
NAMES = (*DEFAULT_ACTIONS, "no_gesture", "palm", "ok", "fist")


def write(path: Path, players: int, seconds: float) -> dict[str, float]:
    """Simulate players who change their gesture every 1.5 s."""
    hands = PlayerHands(players, 1, FPS)
    rng = np.random.default_rng(1)
    labels = np.array([LABELS[name] for name in NAMES])
    turns = rng.integers(0, len(NAMES), (players, int(seconds * 1000 / CHANGE_MS) + 2))
    phase_ms = rng.integers(0, CHANGE_MS, players)
    writing_s = 0.0
    with CaptureWriter(path) as writer:
        for tick in range(int(seconds * FPS)):
            now_ms = tick * 1000 / FPS
            shown = turns[np.arange(players), ((now_ms + phase_ms) // CHANGE_MS).astype(int)]
            found = hands.step(now_ms, labels[shown])
            rows = np.flatnonzero(found.sent)
            meta = np.empty(len(rows), META)
            meta["seq"], meta["captured_ms"] = tick, 1_700_000_000_000 + int(now_ms)
            meta["aspect"], meta["flags"] = found.aspect[rows], found.flags[rows]
            names = [f"player-{row}" for row in rows]
            begin = time.perf_counter()
            for line in lines_of([round(now_ms, 3)] * len(rows), names, meta, found.landmarks[rows]):
                writer.write_text(f"{line}}}")
            writing_s += time.perf_counter() - begin
    return {
        "frames": writer.frames,
        "file_mb": path.stat().st_size / 1e6,
        "written_frames_per_s": writer.frames / writing_s,
    }


def replay(path: Path) -> dict[str, float]:
    """Replay a capture in another process and return the figures."""
    begin = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "gesture_maze", "replay", str(path), "--json"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        facts = json.loads(process.stdout.read())
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0  # wait4 has already collected it
    return {
        "answered": facts["answered"],
        "seconds": facts["seconds"],
        "seconds_with_start": time.perf_counter() - begin,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "frames_per_s": facts["frames_per_s"],
        "peak_rss_mb": usage.ru_maxrss / 1024,
    }


def main() -> None:
    """Run and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--players", type=int, default=100)
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--keep", type=Path, help="use this capture; write it if it is not there")
    chosen = options.parse_args()
    report: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = chosen.keep or Path(folder) / "bench.jsonl.gz"
        if not path.exists():
            report["write"] = write(path, chosen.players, chosen.seconds)
        report["replay"] = replay(path)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
