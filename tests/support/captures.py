"""Synthetic captures for tests, of the simulator's players."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from gesture_maze.capture.writer import CaptureWriter, lines_of
from gesture_maze.simulator.players import PlayerHands
from gesture_maze.testing.bench import replay
from gesture_maze.wire.frames import META
from gesture_maze.wire.gestures import DEFAULT_ACTIONS, LABELS

SHOWN_MS = (700, 2500)
"""How long a player shows one gesture, at least and at most."""
SHOWN = (*DEFAULT_ACTIONS, "no_gesture", "palm", "ok")


def synthetic(path: Path, players: int = 8, seconds: float = 8.0, fps: float = 30.0, seed: int = 7) -> Path:
    """Write a capture of players who change gestures at random; equal arguments give equal bytes."""
    hands = PlayerHands(players, seed, fps)
    rng = np.random.default_rng(seed)
    labels = np.array([LABELS[name] for name in SHOWN])
    shown_until_ms, turn = np.zeros(players), np.zeros(players, np.int64)
    with CaptureWriter(path, {"name": "synthetic"}) as writer:
        for tick in range(int(seconds * fps)):
            now_ms = round(tick * 1000 / fps, 3)
            over = np.flatnonzero(now_ms >= shown_until_ms)
            turn[over] = rng.integers(0, len(SHOWN), len(over))
            shown_until_ms[over] = now_ms + rng.uniform(*SHOWN_MS, len(over))
            shown = hands.step(now_ms, labels[turn])
            rows = np.flatnonzero(shown.sent)
            meta = np.empty(len(rows), META)
            meta["seq"], meta["captured_ms"] = tick, 1_700_000_000_000 + int(now_ms)
            meta["aspect"], meta["flags"] = shown.aspect[rows], shown.flags[rows]
            names = [f"player-{row}" for row in rows]
            for line in lines_of([now_ms] * len(rows), names, meta, shown.landmarks[rows]):
                writer.write_text(f"{line}}}")
    return path


def held(path: Path, pool: dict[str, Any] | None = None, gesture: str = "like", frames: int = 60) -> Path:
    """Write a capture of one player who holds one gesture, 30 frames/s, with the settings of a pool."""
    hand = PlayerHands(1, 7, 30.0).step(0.0, np.array([LABELS[gesture]]))
    meta = np.empty(1, META)
    meta["aspect"], meta["flags"] = hand.aspect[0], hand.flags[0]
    with CaptureWriter(path, None if pool is None else {"pool": pool}) as writer:
        for seq in range(frames):
            meta["seq"], meta["captured_ms"] = seq, 1_700_000_000_000 + seq * 33
            [line] = lines_of([seq * 33.0], ["p1"], meta, hand.landmarks[:1])
            writer.write_text(f"{line}}}")
    return path


def with_replies(path: Path, **changed: Any) -> Path:
    """Add to each frame but the first the reply that a replay gives, the sixth one with changes."""
    header, first, *frames = path.read_text().splitlines()
    lines = [header, first]
    for row, (frame, line) in enumerate(zip(frames, replay(path).lines[1:], strict=True), start=1):
        answer = json.loads(line)
        kept = {name: answer[name] for name in ("gesture", "confidence", "action", "move", "model")}
        lines.append(json.dumps(json.loads(frame) | {"reply": kept | (changed if row == 5 else {})}))
    path.write_text("\n".join(lines) + "\n")
    return path
