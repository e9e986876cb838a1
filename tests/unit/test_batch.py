"""The effects of a batch on one partition."""

from __future__ import annotations

from gesture_maze.wire.decode import Reject
from gesture_maze.wire.errors import RejectReason
from gesture_maze.worker import batch
from gesture_maze.worker.partition import Partition
from gesture_maze.worker.records import Grant


def test_dead_letters_of_one_commit_are_limited_and_all_rejected_frames_counted() -> None:
    frames = batch.MAX_DEAD_LETTERS + 1
    part = batch.Part(Partition(Grant(1, "w:1", b"0-0", 0, None), 4), [b"1-0"], 0)
    for _ in range(frames):
        part.reject(Reject(0, RejectReason.BAD_JSON, [b"json", b"0"]), b"w")
    commit = part.commit()
    assert len(commit.dead_letters) == batch.MAX_DEAD_LETTERS
    assert commit.outcomes["rejected"] == len(part.rejected) == frames
