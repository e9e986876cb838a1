"""The decode stage: entries become frames, and invalid ones are rejected."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from gesture_maze.wire.decode import FEW_FRAMES, Reject
from gesture_maze.wire.decode import decode as decode_entries
from gesture_maze.wire.errors import RejectReason
from gesture_maze.worker.batch import Batch


def decode(batch: Batch, worker: bytes) -> None:
    """Decode all entries of a batch together, and count each part's frames.

    Args:
        batch: a new batch.
        worker: our id, for dead letters.
    """
    frames, rejects = decode_entries(batch.take_entries())
    if batch.serving.needs_z and frames.without_z is not None:
        rejects += [
            Reject(int(frames.entry[row]), RejectReason.NEEDS_Z, frames.fields(row))
            for row in np.flatnonzero(frames.without_z).tolist()
        ]
        frames = frames.take(np.flatnonzero(~frames.without_z))
    batch.frames = frames
    for reject in rejects:
        part = batch.part_of(reject.entry)
        part.frames += 1
        part.reject(reject, worker)
    firsts = [part.first for part in batch.parts]
    if len(frames) <= FEW_FRAMES:
        entries = frames.entry.tolist()
        bounds = [*(bisect_left(entries, first) for first in firsts), len(frames)]
    else:
        bounds = [*np.searchsorted(frames.entry, firsts).tolist(), len(frames)]
    for part, begin, end in zip(batch.parts, bounds, bounds[1:], strict=False):
        part.frames += end - begin
        part.rows = list(range(begin, end))
