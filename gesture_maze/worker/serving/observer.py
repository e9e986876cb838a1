"""The observer: compares a challenger with the champion and measures drift, outside the hot path.

The main loop only queues one note per batch (about 1 µs). A thread processes the notes: it runs the
challenger on the sampled batches, counts the comparison, writes it to Redis at most once a second, and
updates the drift gauges. It may fall behind or fail without delaying answers.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Final

import numpy as np
import numpy.typing as npt

from gesture_maze.wire.decode import FEW_FRAMES, Frames
from gesture_maze.wire.errors import MazeError
from gesture_maze.wire.frames import LEFT
from gesture_maze.wire.replies import CONFIDENCE_STEPS
from gesture_maze.worker.logs import Log
from gesture_maze.worker.metrics import Metrics
from gesture_maze.worker.redis.registry import ModelRegistry
from gesture_maze.worker.serving.drift import Drift
from gesture_maze.worker.serving.serving import Serving
from gesture_maze.worker.serving.shadow import Challenger, Comparison, Sample

TICK_S: Final = 0.1
"""Interval at which notes are processed. With a longer one, more notes wait, and more samples are skipped
under load."""
IDLE_TICK_S: Final = 1.0
"""The same interval while there are none."""
FLUSH_S: Final = 1.0
MAX_NOTES: Final = 1024
"""Most notes that wait; the oldest are dropped. At 2,048 frames each this is 8 MB."""
COUNTED_FRAMES: Final = 4096
"""Notes of about this many frames are counted together. To count all that a full stream leaves in `TICK_S`
together would take 3 MB more, which glibc keeps for the thread."""
MAX_WAITING_FRAMES: Final = 32_768
"""About the most frames that wait for the challenger (8 MB). Further batches are skipped and counted."""

_Column = npt.NDArray[np.int64] | npt.NDArray[np.int16]
_Note = tuple[Serving, _Column, _Column]
"""The model that answered, labels (n,) and confidences (n,) in thousandths."""


class Observer:
    """Queues notes from the main loop and processes them in `step`.

    Args:
        registry: where comparisons are counted.
        metrics: counts comparisons and shows drift.
        log: where events go.
    """

    def __init__(self, registry: ModelRegistry, metrics: Metrics, log: Log) -> None:
        self._registry: Final = registry
        self._metrics: Final = metrics
        self._log: Final = log
        self._challenger: Challenger | None = None
        self._notes: Final[deque[_Note]] = deque(maxlen=MAX_NOTES)
        self._sampled: Final[deque[tuple[_Note, Challenger, Frames]]] = deque()
        self._sample: Final = Sample()
        # two counters, each with one writer, instead of one with two
        self._frames_in = self._frames_out = 0
        self._serving: Serving | None = None
        self._drift = Drift(None)
        self._comparisons: dict[tuple[str, str], Comparison] = {}
        self._next_flush_s = 0.0

    def challenge(self, challenger: Challenger | None) -> None:
        """Set or clear the challenger. May be called from any thread."""
        self._challenger = challenger

    def samples(self, frames: Frames) -> bool:
        """Return whether the challenger will classify these frames, so that `note` needs them.

        Frames whose commit fails afterwards have used up their share nevertheless.
        """
        challenger = self._challenger
        if challenger is None or not self._sample.take(len(frames), challenger.share):
            return False
        waiting = self._frames_in - self._frames_out
        if _lacks_z(frames, challenger) or waiting + len(frames) > MAX_WAITING_FRAMES:
            self._metrics.shadowed("skipped", len(frames))
            return False
        return True

    def note(
        self,
        serving: Serving,
        frames: Frames | None,
        labels: npt.NDArray[np.int64],
        confidences: npt.NDArray[np.int64],
    ) -> None:
        """Queue a note about an answered batch of n frames. Frames without a hand are ignored.

        Args:
            serving: the model that answered.
            frames: the n frames; None for a batch that is not sampled.
            labels: (n,).
            confidences: (n,), in thousandths.
        """
        note: _Note = (serving, labels, confidences)
        if len(labels) > FEW_FRAMES:  # such batches may wait by the hundred, and the numbers are small
            note = (serving, labels.astype(np.int16), confidences.astype(np.int16))
        self._notes.append(note)
        challenger = self._challenger
        if frames is None or challenger is None:
            return
        if _lacks_z(frames, challenger):  # another one than `samples` saw
            self._metrics.shadowed("skipped", len(frames))
            return
        self._frames_in += len(frames)
        self._sampled.append((note, challenger, frames))

    def step(self, now_s: float) -> bool:
        """Process all queued notes and return whether there were any. `now_s` is monotonic."""
        busy = bool(self._notes)
        while self._notes:
            for serving, notes in groupby(self._take_notes(), key=lambda note: note[0]):
                # joined, because counting hundreds of small notes one by one would hold the interpreter for
                # milliseconds
                _, labels, steps = zip(*notes, strict=True)
                joined = np.concatenate(labels, dtype=np.int64), np.concatenate(steps, dtype=np.int64)
                self._count(serving, *joined, now_s)
        while self._sampled:
            note, challenger, frames = self._sampled.popleft()
            self._compare(note, challenger, frames)
            self._frames_out += len(frames)
        if now_s >= self._next_flush_s:
            self._next_flush_s = now_s + FLUSH_S
            self._metrics.drift(self._drift.indices(now_s))
            self._flush()
        return busy

    def run(self, stop: threading.Event, clock: Callable[[], float]) -> None:
        """Run passes until `stop` is set."""
        tick_s = TICK_S
        while not stop.wait(tick_s):
            tick_s = TICK_S if self.step(clock()) else IDLE_TICK_S

    def _take_notes(self) -> Iterator[_Note]:
        """Yield and remove the oldest notes, of about `COUNTED_FRAMES` frames."""
        frames = 0
        while self._notes and frames < COUNTED_FRAMES:
            note = self._notes.popleft()
            frames += len(note[1])
            yield note

    def _count(
        self, serving: Serving, labels: npt.NDArray[np.int64], steps: npt.NDArray[np.int64], now_s: float
    ) -> None:
        if serving is not self._serving:
            # another model has another baseline, so the window starts again
            self._serving, self._drift = serving, Drift(serving.baseline, serving.labels.names)
        hands = _hands(labels, serving)
        self._drift.add(labels[hands], steps[hands], now_s)

    def _compare(self, note: _Note, challenger: Challenger, frames: Frames) -> None:
        if challenger is not self._challenger:
            return  # replaced or dropped meanwhile
        serving, labels, steps = note[0], note[1].astype(np.int64), note[2].astype(np.int64)
        hands = _hands(labels, serving)
        count = int(np.count_nonzero(hands))
        if not count:
            return
        try:
            rows = hands if count < len(labels) else slice(None)  # no copy if all frames show a hand
            found, confidences = challenger.model.classify(frames.landmarks[rows], frames.aspect[rows])
            found_steps = np.rint(confidences * CONFIDENCE_STEPS).astype(np.int64)
            agreed = self._comparison(serving, challenger).add(
                (labels[hands], found),
                (steps[hands], found_steps),
                (serving.threshold, challenger.threshold),
                (frames.flags[rows] & LEFT) != 0,
            )
        except Exception as error:  # noqa: BLE001 - a challenger may raise anything; only it is dropped
            self._challenger = None
            self._metrics.shadowed("failed", count)
            self._log.error("challenger_dropped", model=challenger.model.version, error=repr(error))
            return
        self._metrics.shadowed("agreed", agreed)
        self._metrics.shadowed("disagreed", count - agreed)

    def _comparison(self, serving: Serving, challenger: Challenger) -> Comparison:
        versions = (serving.version, challenger.model.version)
        if versions not in self._comparisons:
            self._comparisons[versions] = Comparison(
                serving.actions, serving.labels, challenger.labels, challenger.actions
            )
        return self._comparisons[versions]

    def _flush(self) -> None:
        """Add the comparisons to Redis. If that fails they are dropped, because a retry could count them
        twice."""
        comparisons, self._comparisons = self._comparisons, {}
        try:
            for (champion, challenger), comparison in comparisons.items():
                self._registry.add_shadow(champion, challenger, comparison.fields())
        except MazeError as error:
            self._log.warning("shadow_not_written", error=str(error))


def _lacks_z(frames: Frames, challenger: Challenger) -> bool:
    return challenger.needs_z and frames.without_z is not None


def _hands(labels: npt.NDArray[np.int64], serving: Serving) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = (labels >= 0) & (labels < len(serving.labels))
    return found
