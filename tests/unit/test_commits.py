"""What is reported of a batch whose commits had different results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gesture_maze.wire.decode import Frames
from gesture_maze.wire.errors import ConnectionLost
from gesture_maze.wire.frames import pack
from gesture_maze.worker.admit import Limits
from gesture_maze.worker.batch import Batch
from gesture_maze.worker.metrics import Metrics
from gesture_maze.worker.partition import Partition
from gesture_maze.worker.path import FramePath
from gesture_maze.worker.policy import Policy
from gesture_maze.worker.records import Commit, Grant, Read
from gesture_maze.worker.redis.commits import Result, Settled
from gesture_maze.worker.report import Reporter
from gesture_maze.worker.rules import Rules
from gesture_maze.worker.serving.serving import Serving
from tests.support.commits import commits_of
from tests.support.pool import PARTITIONS, WristModel, hand, sessions_of

NUMBERS = (1, 2, 3)


class FakeCommitter:
    """A committer that settles each partition's commit as set in `results`."""

    def __init__(self) -> None:
        self.results: dict[int, Result] = {}
        self.error: Exception | None = None
        self.send_error: Exception | None = None
        self.on_send: Callable[[], None] = lambda: None
        self._sent: list[Commit] = []

    def send(self, commits: list[Commit]) -> None:
        self.on_send()
        if self.send_error:
            raise self.send_error
        self._sent = list(commits)

    def close(self) -> None:
        self._sent = []

    def settle(self) -> list[Settled]:
        sent, self._sent = self._sent, []
        if sent and self.error:
            raise self.error
        return [(commit, self.results.get(commit.partition, Result.DONE), "") for commit in sent]


class Watched:
    """An observer that samples every batch, or none."""

    def __init__(self) -> None:
        self.sampling = False
        self.labels: list[int] = []
        self.landmarks: list[tuple[int, ...]] = []

    def samples(self, frames: Frames) -> bool:
        return self.sampling

    def note(self, serving: Serving, frames: Frames | None, labels: Any, confidences: Any) -> None:
        self.labels.append(len(labels))
        if frames is not None:
            self.landmarks.append(frames.landmarks.shape)


class Sent:
    """Commits of three partitions, with two frames and one entry that is rejected in each."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.committer = FakeCommitter()
        self.observer = Watched()
        self.rejected: list[int] = []
        self.usable = set(NUMBERS)
        self.partitions = {
            number: Partition(Grant(number, "w:1", b"0-0", 0), PARTITIONS) for number in NUMBERS
        }
        observer: Any = self.observer
        self.reporter = Reporter(
            self.metrics,
            observer=observer,
            on_rejected=lambda rejected: self.rejected.extend(one.partition for one in rejected),
        )
        self.commits = commits_of(
            self.committer, self.partitions, self.metrics, lambda number: number in self.usable
        )

    @property
    def observed(self) -> list[int]:
        """The number of frames of each batch that the observer received."""
        return self.observer.labels

    def send(self) -> None:
        batch = self.batch()
        self.reporter.prepare(batch)
        self.commits.send(batch, self.reporter.report)

    def batch(self) -> Batch:
        path = FramePath(Serving.of(WristModel(), 0.7, {}), Limits(0, 0), Policy(Rules()), "w")
        owned = []
        for number, partition in self.partitions.items():
            (session,) = sessions_of(number, 1)
            s, m, landmarks = pack([hand(session, seq, "four") for seq in (1, 2)])
            fields = [[b"s", s, b"m", m, b"l", landmarks], [b"x", b"y"]]
            owned.append((partition, Read(number, [b"1000-0", b"1000-1"], fields)))
        batch = path.begin(owned, None)
        for stage in (path.decode, path.admit, path.classify, path.decide):
            stage(batch)
        return batch

    def counted(self) -> tuple[float, ...]:
        """Return the frames answered, predicted, rejected, and those whose latency was observed."""

        def sample(name: str, **labels: str) -> float:
            return self.metrics.registry.get_sample_value(name, labels) or 0.0

        return (
            sample("maze_frames_total", outcome="answered"),
            sample("model_predictions_total"),
            sample("maze_frames_rejected_total", reason="unknown_encoding"),
            sample("maze_reply_latency_seconds_count"),
        )


@pytest.mark.parametrize("result", [Result.FENCED, Result.REFUSED, Result.LOST])
def test_metrics_of_a_batch_committed_in_part_count_only_that_part(result: Result) -> None:
    sent = Sent()
    sent.committer.results[2] = result
    sent.send()
    assert sent.observed == [], "reported before the results were known"
    sent.commits.settle()
    assert sent.counted() == (4, 4, 2, 4)
    assert (sent.observed, sent.rejected) == ([4], [1, 3])


def test_metrics_of_a_batch_sent_in_part_count_only_that_part() -> None:
    sent = Sent()
    sent.usable.remove(1)
    sent.send()
    sent.commits.settle()
    assert sent.counted() == (4, 4, 2, 4)
    assert (sent.observed, sent.rejected) == ([4], [2, 3])


def test_metrics_of_a_whole_batch_count_it_once() -> None:
    sent = Sent()
    sent.send()
    sent.commits.settle()
    sent.commits.settle()
    assert sent.counted() == (6, 6, 3, 6)
    assert sent.observed == [6]


def test_metrics_of_commits_with_unknown_results_count_nothing() -> None:
    sent = Sent()
    sent.committer.error = ConnectionLost("connection", "lost")
    sent.send()
    with pytest.raises(ConnectionLost):
        sent.commits.settle()
    sent.commits.settle()
    assert sent.observed == []
    assert sum(sent.counted()) == 0


def test_a_batch_is_reported_once_the_next_one_is_sent() -> None:
    sent = Sent()
    sent.send()
    reported: list[list[int]] = []
    sent.committer.on_send = lambda: reported.append(list(sent.observed))
    sent.send()
    assert reported == [[]], "the second batch waited for the report of the first"
    assert sent.observed == [6]


def test_a_settled_batch_is_reported_even_if_the_next_one_cannot_be_sent() -> None:
    sent = Sent()
    sent.send()
    sent.committer.send_error = ConnectionLost("connection", "lost")
    with pytest.raises(ConnectionLost):
        sent.send()
    sent.commits.close()
    assert sent.counted() == (6, 6, 3, 6)
    assert sent.observed == [6]


def test_observer_gets_landmarks_of_sampled_batches_without_frames_that_were_not_committed() -> None:
    sent = Sent()
    sent.observer.sampling = True
    sent.committer.results[2] = Result.FENCED
    sent.send()
    sent.commits.settle()
    assert (sent.observed, sent.observer.landmarks) == ([4], [(4, 21, 3)])


def test_landmarks_of_a_batch_that_is_not_sampled_are_dropped_before_it_is_sent() -> None:
    sent = Sent()
    batch = sent.batch()
    assert batch.frames is not None
    assert batch.admitted is not None
    sent.reporter.prepare(batch)
    assert batch.frames.landmarks.size == batch.admitted.landmarks.size == 0
    sent.commits.send(batch, sent.reporter.report)
    sent.commits.settle()
    assert (sent.observed, sent.observer.landmarks) == ([6], [])
