"""Two people in view, of whom the detector finds one at a time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gesture_maze.capture.reader import CaptureReader
from gesture_maze.capture.writer import CaptureWriter, lines_of
from gesture_maze.models.classifier import Classifier
from gesture_maze.replay.engine import Replay
from gesture_maze.simulator.players import PlayerHands
from gesture_maze.wire.frames import META
from gesture_maze.wire.gestures import LABELS
from gesture_maze.wire.session_settings import SessionSettings

SIDES = (-0.25, 0.25)
TURN_FRAMES = 6


def by_turns(path: Path, settings: dict[int, SessionSettings], seconds: int = 10, fps: int = 30) -> Path:
    """Write a capture in which one session alternates between a like on the left and a four on the right.

    Args:
        settings: of the session, which its first frame carries under 0.
    """
    hands = PlayerHands(2, 1, fps, missing_share=0, dropped_share=0)
    labels = np.array([LABELS["like"], LABELS["four"]])
    with CaptureWriter(path, {"name": "two people"}) as writer:
        for tick in range(seconds * fps):
            now_ms, seen = tick * 1000 // fps, tick // TURN_FRAMES % 2
            shown = hands.step(now_ms, labels)
            shown.landmarks[:, :, 0] += np.float32(SIDES)[:, None]
            meta = np.empty(1, META)
            meta["seq"], meta["captured_ms"] = tick, now_ms
            meta["aspect"], meta["flags"] = shown.aspect[seen], shown.flags[seen]
            carried = {} if tick else settings
            for line in lines_of([float(now_ms)], ["both"], meta, shown.landmarks[[seen]], carried):
                writer.write_text(f"{line}}}")
    return path


@pytest.mark.parametrize("settings", [{}, {0: SessionSettings(settle_evidence=1000)}], ids=["plain", "own"])
@pytest.mark.parametrize("block_frames", [1, 512])
def test_two_people_in_alternation_move_as_first_hand_shows(
    tmp_path: Path, classifier: Classifier, block_frames: int, settings: dict[int, SessionSettings]
) -> None:
    found: list[str | None] = []
    path = by_turns(tmp_path / "two.jsonl", settings)
    with CaptureReader(path) as reader, Replay(classifier=classifier) as replay:
        for block in reader.blocks(block_frames):
            found += [json.loads(reply)["move"] for reply in replay.run(block) if reply]
    made = [move for move in found if move]
    assert set(made) == {"up"}
    assert len(made) >= 20
