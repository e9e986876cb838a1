"""From entries to effects: decode -> admit -> classify -> decide. No network, no clock of its own.

The data's way through it: the entries of all partitions of one read are decoded together; each frame is
admitted or counted under another outcome; the admitted ones are classified in one call; each gets its move
and its reply; each partition's effects become one `Commit`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from gesture_maze.models.manifest import Baseline
from gesture_maze.wire.decode import Frames, Reject, decode
from gesture_maze.wire.errors import FrameError, RejectReason
from gesture_maze.wire.frames import HAND
from gesture_maze.wire.gestures import GESTURES, Action
from gesture_maze.wire.keys import is_session
from gesture_maze.wire.replies import CONFIDENCE_STEPS, MOVES
from gesture_maze.worker.partition import Partition
from gesture_maze.worker.policy import Policy
from gesture_maze.worker.records import Commit, Read
from gesture_maze.worker.serving.serving import Model as Model
from gesture_maze.worker.serving.serving import Serving
from gesture_maze.worker.sessions import Session

MAX_TRIES: Final = 3
"""A frame whose processing failed, or killed a worker, this often is buried."""
MAX_LETTER_VALUES: Final = 200
"""Fields of a dead letter beyond this are cut: Lua cannot unpack thousands."""
NO_HAND: Final = len(GESTURES)
"""Label of a frame without a hand."""

_TEXT_SESSION: Final = re.compile(rb'"session"\s*:\s*"([A-Za-z0-9_-]{1,64})"')
_GLANCED_BYTES: Final = 4096
"""A frame as text has 600 to 2,000."""

Attempt = Callable[[Partition, str], int]
"""Notes that a suspect frame is about to be tried alone; how many workers died of that before."""


Observe = Callable[[Serving, Frames, npt.NDArray[np.int64], npt.NDArray[np.int64]], None]
"""Told of each batch: who answered, its frames, labels (n,) and confidences (n,) in thousandths."""


@dataclass(slots=True)
class Tally:
    """What happened in one batch, for the metrics and the log.

    Attributes:
        outcomes: outcome -> frames.
        rejected: partition, entry id, reason and session ("" if unknown) of each rejected or buried frame.
        gestures: (20,) frames by label, the last one for no hand.
        entry_ms: server times of the entries that answered frames came in, one per answered frame.
        classified: the frames that were let in, labels (n,) and confidences (n,) in thousandths;
            for the observer only, None after `run`.
    """

    entries: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    rejected: list[tuple[int, bytes, RejectReason, str]] = field(default_factory=list)
    gestures: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(NO_HAND + 1, np.int64))
    entry_ms: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    classified: tuple[Frames, npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None


class _Share:
    """One partition's part of a batch, on its way to a `Commit`."""

    __slots__ = (
        "counts", "entry_ms", "first", "frames", "letters", "live", "partition", "read", "rejected",
        "replies", "sessions",
    )  # fmt: skip

    def __init__(self, partition: Partition, read: Read, first: int) -> None:
        self.partition = partition
        self.read = read
        self.first = first
        """Index of its first entry among all entries of the batch."""
        self.entry_ms = [int(entry_id.partition(b"-")[0]) for entry_id in read.ids]
        self.counts: dict[str, int] = {}
        self.frames = 0
        """Frames found in its entries; an entry that cannot be taken apart counts as one."""
        self.letters: list[list[bytes]] = []
        self.rejected: list[tuple[int, bytes, RejectReason, str]] = []
        self.replies: list[bytes | str] = []
        self.live: list[int] = []
        self.sessions: list[Session] = []

    def count(self, outcome: str, frames: int = 1) -> None:
        if frames:
            self.counts[outcome] = self.counts.get(outcome, 0) + frames


class Pipeline:
    """The frame path of one worker between reading and committing.

    Args:
        model: what classifies at first; `offer` replaces it.
        threshold: least confidence of an `action`, 0 to 1.
        baseline: what the model said of held-out hands.
        actions: gesture name -> action.
        policy: the decision policy.
        deadline_ms, supersede_ms: see `worker.settings`; 0 turns them off.
        worker: our id, written into dead letters.
        observe: told of each batch that was answered; must be quick.
    """

    def __init__(
        self,
        model: Model,
        *,
        threshold: float,
        baseline: Baseline | None = None,
        actions: dict[str, Action],
        policy: Policy,
        deadline_ms: int,
        supersede_ms: int,
        worker: str,
        observe: Observe | None = None,
    ) -> None:
        self.serving = self._offered = Serving.of(model, threshold, baseline)
        """Who answers now."""
        self._observe: Final = observe
        self._action_of: Final = [MOVES.index(actions.get(name)) for name in GESTURES] + [0]
        self._policy: Final = policy
        self._deadline_ms: Final = deadline_ms
        self._supersede_ms: Final = supersede_ms
        self._worker: Final = worker.encode()

    def offer(self, serving: Serving) -> None:
        """Let another model answer from the next batch on. May be called from any thread."""
        self._offered = serving

    def run(
        self, reads: Iterable[tuple[Partition, Read]], now_ms: int | None, attempt: Attempt | None = None
    ) -> tuple[list[Commit], Tally]:
        """Process what was read.

        Args:
            reads: per partition, in any order; each partition at most once.
            now_ms: the server's time, against which frames are stale; None in a replay, where none is.
            attempt: given for suspect entries: every frame is then noted and classified alone.

        Returns:
            One commit per partition, and what happened.
        """
        shares, tally = self._process(reads, now_ms, attempt)
        # let go of at once: a batch whose memory is still warm is decoded and classified faster
        classified, tally.classified = tally.classified, None
        # not of suspects: a frame that kills the one model may kill another
        if self._observe is not None and classified is not None and attempt is None:
            self._observe(self.serving, *classified)
        return [self._commit(share, tally) for share in shares], tally

    def rebuild(self, partition: Partition, past: Read) -> None:
        """Bring a partition's sessions to where its last owner left them; no effects."""
        self._process([(partition, past)], None, None)

    def _process(
        self, reads: Iterable[tuple[Partition, Read]], now_ms: int | None, attempt: Attempt | None
    ) -> tuple[list[_Share], Tally]:
        self.serving = self._offered
        tally = Tally()
        shares, entries = self._gather(reads)
        if shares:
            frames, rejects = decode(entries)
            for reject in rejects:
                share = _share_of(shares, reject.entry)
                share.frames += 1
                self._reject(share, reject)
            self._admit(shares, frames, now_ms)
            self._answer(shares, frames, attempt, tally)
        return shares, tally

    def _gather(self, reads: Iterable[tuple[Partition, Read]]) -> tuple[list[_Share], list[list[bytes]]]:
        shares: list[_Share] = []
        entries: list[list[bytes]] = []
        for partition, read in reads:
            shares.append(_Share(partition, read, len(entries)))
            entries += read.fields
        return shares, entries

    def _admit(self, shares: Sequence[_Share], frames: Frames, now_ms: int | None) -> None:
        """Let each frame in, or count it as a duplicate, stale, superseded or rejected."""
        seqs = frames.seq.tolist()
        bounds = np.searchsorted(frames.entry, [share.first for share in shares]).tolist()
        for share, begin, end in zip(shares, bounds, [*bounds[1:], len(seqs)], strict=True):
            share.frames += end - begin
            fresh = begin
            if now_ms is not None and self._deadline_ms and share.entry_ms[0] < now_ms - self._deadline_ms:
                too_old = bisect_left(share.entry_ms, now_ms - self._deadline_ms)
                fresh = int(np.searchsorted(frames.entry, share.first + too_old))
                self._enter(share, frames, seqs, range(begin, fresh))
                share.count("stale", len(share.live))
                share.live, share.sessions = [], []
            self._enter(share, frames, seqs, range(fresh, end))
            if now_ms is not None and self._supersede_ms and share.live:
                self._supersede(share, frames, now_ms)

    def _enter(self, share: _Share, frames: Frames, seqs: list[int], rows: range) -> None:
        names = frames.sessions
        table = share.partition.sessions
        find = table.by_id.get
        latest_ms = share.entry_ms[-1]
        live, sessions = share.live, share.sessions
        duplicates = 0
        for row in rows:
            session = find(names[row])
            if session is None:
                try:
                    session = table.open(names[row])
                except FrameError as error:
                    reason = RejectReason(error.reason)
                    self._reject(share, Reject(int(frames.entry[row]), reason, frames.fields(row)))
                    continue
            seq = seqs[row]
            if seq <= session.seq:
                duplicates += 1
                continue
            session.seq = seq
            session.entry_ms = latest_ms
            live.append(row)
            sessions.append(session)
        share.count("duplicate", duplicates)

    def _supersede(self, share: _Share, frames: Frames, now_ms: int) -> None:
        """Under a backlog keep only each session's newest frame: the older ones say nothing new by now."""
        oldest_ms = share.entry_ms[int(frames.entry[share.live[0]]) - share.first]
        if now_ms - oldest_ms <= self._supersede_ms:
            return
        newest = {id(session): row for row, session in zip(share.live, share.sessions, strict=True)}
        kept = [
            (row, session)
            for row, session in zip(share.live, share.sessions, strict=True)
            if newest[id(session)] == row
        ]
        share.count("superseded", len(share.live) - len(kept))
        share.live = [row for row, _ in kept]
        share.sessions = [session for _, session in kept]

    def _answer(
        self, shares: Sequence[_Share], frames: Frames, attempt: Attempt | None, tally: Tally
    ) -> None:
        """Classify what was let in, decide each session's move and write the replies."""
        live = [row for share in shares for row in share.live]
        if not live:
            return
        admitted = frames if len(live) == len(frames) else frames.take(np.array(live))
        labels, confidences = self._classify(shares, admitted, attempt)
        tally.classified = admitted, labels, confidences
        tally.gestures = np.bincount(labels[labels >= 0], minlength=NO_HAND + 1)
        entry_ms = np.array([ms for share in shares for ms in share.entry_ms])
        tally.entry_ms = entry_ms[admitted.entry][labels >= 0]
        columns = zip(
            admitted.seq.tolist(),
            admitted.captured_ms.tolist(),
            labels.tolist(),
            confidences.tolist(),
            strict=True,
        )
        policy, action_of, threshold, write = (
            self._policy,
            self._action_of,
            self.serving.threshold,
            self.serving.writer.write,
        )
        for share in shares:
            replies = share.replies
            for session, (seq, captured_ms, label, confidence) in zip(share.sessions, columns, strict=False):
                if label < 0:
                    continue  # buried
                action = action_of[label]
                move = session.decide(policy, captured_ms, action, confidence)
                shown = action if confidence >= threshold else 0
                replies.append(session.channel)
                replies.append(write(session.head, seq, captured_ms, label, confidence, shown, move))
            share.count("answered", len(replies) // 2)

    def _classify(
        self, shares: Sequence[_Share], frames: Frames, attempt: Attempt | None
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Labels (n,), `NO_HAND` where there is none and -1 where buried; confidences (n,) in thousandths."""
        together = None if attempt else self._classify_together(frames)
        labels, confidences = together or self._classify_alone(shares, frames, attempt)
        hand = (frames.flags & HAND).astype(bool) | (labels < 0)
        steps = np.rint(confidences * CONFIDENCE_STEPS).astype(np.int64)
        return np.where(hand, labels, NO_HAND), np.where(hand, steps, 0)

    def _classify_together(
        self, frames: Frames
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]] | None:
        try:
            return self.serving.model.classify(frames.landmarks, frames.aspect)
        except Exception:  # noqa: BLE001 - a model may raise anything; what fails alone too is buried
            return None

    def _classify_alone(
        self, shares: Sequence[_Share], frames: Frames, attempt: Attempt | None
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        labels = np.full(len(frames), -1, np.int64)
        confidences = np.zeros(len(frames), np.float32)
        for row in range(len(frames)):
            share = _share_of(shares, int(frames.entry[row]))
            reason = self._try_alone(share, frames, row, attempt, labels, confidences)
            if reason is not None:
                self._reject(share, Reject(int(frames.entry[row]), reason, frames.fields(row)), "buried")
        return labels, confidences

    def _try_alone(
        self,
        share: _Share,
        frames: Frames,
        row: int,
        attempt: Attempt | None,
        labels: npt.NDArray[np.int64],
        confidences: npt.NDArray[np.float32],
    ) -> RejectReason | None:
        if attempt is not None:
            entry_id = share.read.ids[int(frames.entry[row]) - share.first].decode()
            session = frames.sessions[row].decode()
            # one more died before, with the batch that made the frame suspect
            if attempt(share.partition, f"{entry_id}/{session}/{frames.seq[row]}") >= MAX_TRIES - 1:
                return RejectReason.KILLED_WORKER
        one = slice(row, row + 1)
        for _ in range(MAX_TRIES):
            try:
                labels[one], confidences[one] = self.serving.model.classify(
                    frames.landmarks[one], frames.aspect[one]
                )
            except Exception:  # noqa: BLE001, S112 - counted by the caller as buried
                continue
            return None
        return RejectReason.PROCESSING_FAILED

    def _reject(self, share: _Share, reject: Reject, outcome: str = "rejected") -> None:
        """Write the dead letter: the frame's own fields, then why, which entry, and who says so."""
        entry_id = share.read.ids[reject.entry - share.first]
        origin = [b"reason", reject.reason.encode(), b"entry", entry_id, b"worker", self._worker]
        share.letters.append([*reject.fields[:MAX_LETTER_VALUES], *origin])
        share.rejected.append((share.partition.number, entry_id, reject.reason, _session_of(reject)))
        share.count(outcome)

    def _commit(self, share: _Share, tally: Tally) -> Commit:
        partition, read = share.partition, share.read
        for outcome, count in share.counts.items():
            tally.outcomes[outcome] = tally.outcomes.get(outcome, 0) + count
        tally.rejected += share.rejected
        tally.entries += len(read.ids)
        share.counts["frames"] = share.frames
        share.counts["entries"] = len(read.ids)
        return partition.commit(read, share.counts, share.replies, share.letters)


def _session_of(reject: Reject) -> str:
    """The session, for the log, if there is one legal one. Text is not parsed again: it may be anything."""
    kind, value = (*map(bytes, reject.fields[:2]), b"", b"")[:2]
    if kind == b"json":
        names = set(_TEXT_SESSION.findall(value[:_GLANCED_BYTES]))
        value = names.pop() if len(names) == 1 else b""
    elif kind != b"s":
        return ""
    return value.decode() if is_session(value) else ""


def _share_of(shares: Sequence[_Share], entry: int) -> _Share:
    return shares[bisect_left(shares, entry + 1, key=lambda share: share.first) - 1]
