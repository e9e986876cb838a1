"""The stages of the frame path between reading and committing, with what they need. No network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Final

from gesture_maze.worker.admit import UNLIMITED, Limits, admit, adopt
from gesture_maze.worker.ages import entry_order
from gesture_maze.worker.batch import Batch
from gesture_maze.worker.classify import classify
from gesture_maze.worker.decide import decide
from gesture_maze.worker.decode import decode
from gesture_maze.worker.partition import Partition
from gesture_maze.worker.policy import Policy
from gesture_maze.worker.records import Read
from gesture_maze.worker.serving.serving import Serving


class FramePath:
    """Decode, admit, classify, decide.

    Args:
        serving: the model that classifies at first; `offer` replaces it.
        limits: ages from which frames are stale and superseded.
        policy: the decision policy.
        worker: our id, written into dead letters.
        on_model_error: called with everything that a model raises.
    """

    def __init__(
        self,
        serving: Serving,
        limits: Limits,
        policy: Policy,
        worker: str,
        on_model_error: Callable[[Exception], None] = lambda _error: None,
    ) -> None:
        self.serving = self._offered = serving
        self._limits: Final = limits
        self._policy: Final = policy
        self._worker: Final = worker.encode()
        self._on_model_error: Final = on_model_error

    def offer(self, serving: Serving) -> None:
        """Use another model from the next batch on. May be called from any thread."""
        self._offered = serving

    def begin(self, owned: Iterable[tuple[Partition, Read]], now_ms: int | None) -> Batch:
        """Return a new batch of the reads, with each partition at most once.

        Args:
            owned: the partitions and their reads.
            now_ms: the server's time; None in a replay, where no frame ages.
        """
        self.serving = self._offered
        return Batch.of(owned, self.serving, now_ms)

    def decode(self, batch: Batch) -> None:
        """Run the decode stage, see `worker.decode`."""
        decode(batch, self._worker)

    def admit(self, batch: Batch) -> None:
        """Run the admit stage, see `worker.admit`."""
        admit(batch, self._limits, self._worker)

    def classify(self, batch: Batch) -> None:
        """Run the classify stage, see `worker.classify`."""
        classify(batch, self._on_model_error)

    def decide(self, batch: Batch) -> None:
        """Run the decide stage, see `worker.decide`."""
        decide(batch, self._policy, self._worker)

    def rebuild(self, partition: Partition, past: Iterable[Read], now_ms: int | None) -> None:
        """Restore a partition's sessions from committed entries, without publishing or committing anything.

        Of entries that have been suspects only the seqs are restored: classifying one of them may kill this
        worker, and no note would record it.
        """
        ranges = [(entry_order(after), entry_order(until)) for after, until in partition.grant.unsafe]

        def is_safe(entry_id: bytes) -> bool:
            order = entry_order(entry_id)
            return not any(after < order <= until for after, until in ranges)

        for read in past:
            at = 0
            for safe, run in groupby(read.ids, is_safe):
                end = at + len(list(run))
                part = Read(read.partition, read.ids[at:end], read.fields[at:end])
                self._rebuild(partition, part, now_ms, classified=safe)
                at = end

    def _rebuild(self, partition: Partition, read: Read, now_ms: int | None, *, classified: bool) -> None:
        batch = self.begin([(partition, read)], now_ms)
        self.decode(batch)
        admit(batch, UNLIMITED, self._worker)
        if classified:
            self.classify(batch)
            self.decide(batch)
        elif batch.frames is not None:
            for part in batch.parts:
                adopt(part, batch.frames)
