"""A synthetic capture for tests: the simulator's players, who change their gesture now and then."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from producer.capture_writer import CaptureWriter, lines_of
from producer.simulator import PlayerHands
from wire.frames import META
from wire.gestures import DEFAULT_ACTIONS, LABELS

REAL = Path(__file__).parents[3] / "shared" / "data" / "captures" / "webcam_sequences.jsonl.gz"
"""Real webcam sequences, which may not be committed."""
CHANGE_MS = 1400
SHOWN = (*DEFAULT_ACTIONS, "no_gesture", "palm", "ok")


def synthetic(path: Path, players: int = 8, seconds: float = 8.0, fps: float = 30.0, seed: int = 7) -> Path:
    """Write a capture; the same arguments, the same bytes."""
    hands = PlayerHands(players, seed, fps)
    rng = np.random.default_rng(seed)
    turns = rng.integers(0, len(SHOWN), (players, int(seconds * 1000 / CHANGE_MS) + 2))
    labels = np.array([LABELS[name] for name in SHOWN])
    phase_ms = rng.integers(0, CHANGE_MS, players)
    with CaptureWriter(path, {"name": "synthetic"}) as writer:
        for tick in range(int(seconds * fps)):
            now_ms = round(tick * 1000 / fps, 3)
            turn = ((now_ms + phase_ms) // CHANGE_MS).astype(int)
            shown = hands.step(now_ms, labels[turns[np.arange(players), turn]])
            rows = np.flatnonzero(shown.sent)
            meta = np.empty(len(rows), META)
            meta["seq"], meta["captured_ms"] = tick, 1_700_000_000_000 + int(now_ms)
            meta["aspect"], meta["flags"] = shown.aspect[rows], shown.flags[rows]
            names = [f"player-{row}" for row in rows]
            for line in lines_of([now_ms] * len(rows), names, meta, shown.landmarks[rows]):
                writer.write_text(f"{line}}}")
    return path
