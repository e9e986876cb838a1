"""The admit stage: each frame is admitted, or gets the outcome duplicate, stale, superseded or rejected."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gesture_maze.wire.decode import Frames, Reject
from gesture_maze.wire.errors import FrameError, RejectReason
from gesture_maze.wire.session_settings import SessionSettings
from gesture_maze.worker.batch import Batch, Part
from gesture_maze.worker.sessions import Session


@dataclass(frozen=True, slots=True)
class Limits:
    """How old frames may be, in ms; 0 turns a limit off. See `worker.settings`."""

    deadline_ms: int
    supersede_ms: int

    @property
    def shortest_ms(self) -> float:
        """The age up to which no limit applies; infinite if there is none."""
        return min(self.deadline_ms or math.inf, self.supersede_ms or math.inf)


UNLIMITED: Final = Limits(0, 0)
"""No limits: used when sessions are rebuilt from committed entries."""


def admit(batch: Batch, limits: Limits, worker: bytes) -> None:
    """Admit the frames of a batch.

    Args:
        batch: decoded.
        limits: the ages from which frames are stale and superseded.
        worker: our id, for dead letters.
    """
    frames = batch.frames
    assert frames is not None
    seqs = frames.seq.tolist()
    for part in batch.parts:
        _admit_part(part, frames, seqs, batch.now_ms, limits, worker)
    if sum([len(part.rows) for part in batch.parts]) == len(frames):
        batch.admitted = frames
    else:
        rows = [row for part in batch.parts for row in part.rows]
        batch.admitted = frames.take(np.array(rows, np.intp))


def _admit_part(
    part: Part, frames: Frames, seqs: Sequence[int], now_ms: int | None, limits: Limits, worker: bytes
) -> None:
    rows, part.rows = part.rows, []
    if now_ms is None or part.partition.ages.all_within(part.ids, now_ms, limits.shortest_ms):
        _enter(part, frames, seqs, rows, now_ms, worker)
        return
    older = part.partition.ages.older
    stale = 0
    if limits.deadline_ms:
        stale = older(part.ids, now_ms, limits.deadline_ms)
    if stale:
        first_fresh = int(np.searchsorted(frames.entry, part.first + stale))
        cut = max(min(first_fresh - rows[0], len(rows)), 0) if rows else 0
        _enter(part, frames, seqs, rows[:cut], now_ms, worker)
        adopt(part, frames)
        part.count("stale", len(part.rows))
        part.rows, part.sessions = [], []
        rows = rows[cut:]
    _enter(part, frames, seqs, rows, now_ms, worker)
    if limits.supersede_ms and part.rows:
        waiting = part.ids[int(frames.entry[part.rows[0]]) - part.first :]
        if older(waiting[:1], now_ms, limits.supersede_ms):
            _supersede(part, frames)


def adopt(part: Part, frames: Frames) -> None:
    """Adopt the settings that the part's rows carry, for frames that are not decided."""
    if not frames.settings:
        return
    for row, session in zip(part.rows, part.sessions, strict=True):
        settings = frames.settings.get(row)
        if isinstance(settings, SessionSettings):
            session.adopt(settings)


def _enter(
    part: Part, frames: Frames, seqs: Sequence[int], rows: Sequence[int], now_ms: int | None, worker: bytes
) -> None:
    """Look up each frame's session, drop duplicates, and keep the remaining rows in `part.rows`."""
    names = frames.sessions
    active_ms = 0 if now_ms is None else now_ms
    find = part.partition.sessions.by_id.get
    kept, sessions = part.rows, part.sessions
    duplicates = 0
    for row in rows:
        session = find(names[row]) or _open(part, frames, row, worker)
        if session is None:
            continue
        session.active_ms = active_ms
        seq = seqs[row]
        if seq <= session.seq:
            duplicates += 1
            continue
        session.seq = seq
        kept.append(row)
        sessions.append(session)
    part.count("duplicate", duplicates)


def _open(part: Part, frames: Frames, row: int, worker: bytes) -> Session | None:
    """Return the new session of a frame, or reject the frame and return None if its id is invalid."""
    try:
        return part.partition.sessions.open(frames.sessions[row])
    except FrameError as error:
        reason = RejectReason(error.reason)
        part.reject(Reject(int(frames.entry[row]), reason, frames.fields(row)), worker)
        return None


def _supersede(part: Part, frames: Frames) -> None:
    """Keep only the newest frame of each session; the others get the outcome `superseded`."""
    newest = {id(session): row for row, session in zip(part.rows, part.sessions, strict=True)}
    kept = [
        (row, session)
        for row, session in zip(part.rows, part.sessions, strict=True)
        if newest[id(session)] == row
    ]
    if len(kept) < len(part.rows):
        adopt(part, frames)  # the newest frame's own settings, adopted early, apply to it in any case
    part.count("superseded", len(part.rows) - len(kept))
    part.rows = [row for row, _ in kept]
    part.sessions = [session for _, session in kept]
