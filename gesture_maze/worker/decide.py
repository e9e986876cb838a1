"""The decide stage: each session's move, and the reply that carries it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt

from gesture_maze.wire.decode import FEW_FRAMES, Frames, Reject
from gesture_maze.wire.frames import LEFT
from gesture_maze.wire.keys import reply_channel
from gesture_maze.wire.session_settings import SessionSettings
from gesture_maze.worker.batch import Batch, Part
from gesture_maze.worker.places import places_of
from gesture_maze.worker.policy import Policy
from gesture_maze.worker.serving.serving import Serving
from gesture_maze.worker.sessions import Session, reply_lead
from gesture_maze.worker.tailored import Tailored

Columns = Iterator[tuple[int, int, int, int, complex, float]]
"""Seq, captured_ms, what is seen (see `ReplyWriter`; negative where the model failed), confidence, place and
size of the admitted frames, in order."""


def decide(batch: Batch, policy: Policy, worker: bytes) -> None:
    """Decide the move of each admitted frame, write its reply, and bury the frames that failed.

    Args:
        batch: classified.
        policy: the decision policy.
        worker: our id, for dead letters.
    """
    frames = batch.admitted
    assert frames is not None
    for row, failure in batch.failures.items():
        entry = int(frames.entry[row])
        reject = Reject(entry, failure.reason, frames.fields(row))
        batch.part_of(entry).reject(reject, worker, "buried", failure.cause)
    sessions = [session for part in batch.parts for session in part.sessions]
    seen = _seen(batch, frames).tolist()
    columns = zip(
        frames.seq.tolist(),
        frames.captured_ms.tolist(),
        seen,
        batch.confidences.tolist(),
        *_places(batch.serving, sessions, frames, seen),
        strict=True,
    )
    replies: list[str] = []
    for begin, end in _segments(sessions, frames):
        replies += _decide_rows(sessions[begin:end], columns, batch.serving, policy)
    for part in reversed(batch.parts):
        first = len(replies) - len(part.sessions)
        _reply(part, batch, replies[first:])
        del replies[first:]  # half a megabyte in a full batch


def _reply(part: Part, batch: Batch, replies: Sequence[str]) -> None:
    """Set and count a part's replies.

    Args:
        part: decided.
        batch: its batch.
        replies: one per admitted frame, "" for each that failed.
    """
    part.count("answered", len(replies) - replies.count(""))
    assert batch.frames is not None
    if batch.frames.reply_to:
        _address_entries(part, batch.frames, replies)
    else:
        part.replies = [
            f"{session.lead}{len(reply)}\r\n{reply}\r\n"
            for session, reply in zip(part.sessions, replies, strict=True)
            if reply
        ]


def _seen(batch: Batch, frames: Frames) -> npt.NDArray[np.int64]:
    """Return the codes of gesture and hand, (n,) int64."""
    if not frames.any_has(LEFT):
        return batch.labels
    left = (frames.flags & LEFT) != 0
    places = len(batch.serving.labels) + 1
    return np.where(left & (batch.labels >= 0), batch.labels + places, batch.labels)


def _places(
    serving: Serving, sessions: Sequence[Session], frames: Frames, seen: Sequence[int]
) -> tuple[list[complex], list[float]]:
    """Return places and sizes of the hands; of few frames only if a decision may depend on them."""
    if len(frames) > FEW_FRAMES or frames.settings:
        return places_of(frames.landmarks)
    actions = serving.action_codes
    if any(one.held or one.leading or one.own for one in sessions) or any(actions[one] for one in seen):
        return places_of(frames.landmarks)
    return [0j] * len(seen), [0.0] * len(seen)


def _segments(sessions: Sequence[Session], frames: Frames) -> Iterator[tuple[int, int]]:
    """Yield the begin and end of each run of frames within which no session changes its settings.

    Before it yields a run, the settings that its first frame carries are adopted.

    Args:
        sessions: of all admitted frames.
        frames: all admitted frames.
    """
    begin = 0
    for row, settings in sorted(frames.settings.items()):
        if isinstance(settings, SessionSettings):
            yield begin, row
            begin = row
            sessions[begin].adopt(settings)
    yield begin, len(sessions)


def _decide_rows(
    sessions: Sequence[Session], columns: Columns, serving: Serving, policy: Policy
) -> list[str]:
    """Decide the next frames and return their replies, "" for each frame that failed.

    This is the only Python loop over frames with a measurable cost: 0.7 µs per frame.
    """
    writer = serving.writer
    action_of, threshold = serving.action_codes, serving.threshold
    gestures, thousandths, tails = writer.gestures, writer.confidences, writer.tails
    replies: list[str] = []
    for session, (seq, captured_ms, seen, confidence, place, size) in zip(sessions, columns, strict=False):
        if seen < 0:
            replies.append("")
            continue
        if session.own is not None:
            values = seq, captured_ms, seen, confidence, place, size
            replies.append(_decide_own(session, session.own, values, serving, policy))
            continue
        action = action_of[seen]
        if action or session.held or session.leading:
            move = session.decide(policy, captured_ms, action, confidence, place, size)
        else:  # the same as `decide`, inlined: most frames show no action
            session.last_ms = captured_ms
            move = 0
        shown = action if confidence >= threshold else 0
        # the same as `ReplyWriter.write`, inlined
        replies.append(
            f'{session.head}{seq},"t":{captured_ms}{gestures[seen]}{thousandths[confidence]}'
            f"{tails[seen][shown][move]}"
        )
    return replies


def _decide_own(
    session: Session,
    own: Tailored,
    values: tuple[int, int, int, int, complex, float],
    serving: Serving,
    policy: Policy,
) -> str:
    """Decide a frame of a session that has its own settings, and return its reply, see `_decide_rows`."""
    seq, captured_ms, seen, confidence, place, size = values
    own.fit(serving, policy)
    action = own.action_codes[seen]
    move = session.decide(own.policy, captured_ms, action, confidence, place, size)
    shown = action if confidence >= own.threshold else 0
    return serving.writer.write(session.head, seq, captured_ms, seen, confidence, shown, move)


def _address_entries(part: Part, frames: Frames, replies: Sequence[str]) -> None:
    """Set the part's replies if some entries name a reply channel.

    The replies to such an entry are one message: a JSON array in the order of its frames.

    Args:
        part: decided.
        frames: all frames of the batch.
        replies: one per admitted frame, "" for each that failed.
    """
    rows = zip(frames.entry[part.rows].tolist(), part.sessions, replies, strict=True)
    for entry, of_entry in groupby(rows, key=lambda row: row[0]):
        name = frames.reply_to.get(entry)
        if name is None:
            part.replies += [
                f"{session.lead}{len(reply)}\r\n{reply}\r\n" for _, session, reply in of_entry if reply
            ]
            continue
        message = ",".join([reply for _, _, reply in of_entry if reply])
        if message:
            lead = reply_lead(reply_channel(part.partition.number, name.decode()))
            part.replies.append(f"{lead}{len(message) + 2}\r\n[{message}]\r\n")
