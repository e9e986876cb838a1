"""A challenger sees its share of frames, its answers are counted, and its failures affect no replies."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from gesture_maze.wire.decode import Frames, decode
from gesture_maze.wire.errors import ConnectionLost
from gesture_maze.wire.frames import pack
from gesture_maze.wire.gestures import DEFAULT_ACTIONS, GESTURES, LABELS, LabelSet
from gesture_maze.worker.logs import Log
from gesture_maze.worker.metrics import Metrics
from gesture_maze.worker.serving.drift import Drift
from gesture_maze.worker.serving.observer import MAX_WAITING_FRAMES, Observer
from gesture_maze.worker.serving.serving import Serving
from gesture_maze.worker.serving.shadow import Challenger, Comparison, Sample, Trial
from tests.support.pool import WristModel, hand

CHAMPION = Serving.of(WristModel(), 0.7, DEFAULT_ACTIONS)


class Notebook:
    """Stand-in for Redis."""

    def __init__(self) -> None:
        self.written: list[tuple[str, str, dict[str, int]]] = []
        self.away = False

    def add_shadow(self, champion: str, challenger: str, counts: dict[str, int]) -> None:
        if self.away:
            raise ConnectionLost("connection", "away")
        self.written.append((champion, challenger, counts))


class Contrary:
    """Classify every like as a palm with high confidence."""

    version = "contrary-1"

    def classify(self, landmarks: Any, aspect: Any) -> Any:
        labels = landmarks[:, 0, 0].astype(np.int64)
        return np.where(labels == LABELS["like"], LABELS["palm"], labels), np.full(len(labels), 0.99)


class Raises:
    version = "raises-1"

    def classify(self, landmarks: Any, aspect: Any) -> Any:
        raise RuntimeError("boom")


def frames_of(*gestures: str) -> Frames:
    s, m, landmarks = pack([hand("p", seq, gesture) for seq, gesture in enumerate(gestures)])
    return decode([[b"s", s, b"m", m, b"l", landmarks]])[0]


class Bench:
    """Set up an observer with a challenger on trial."""

    def __init__(self, model: Any = None, share: float = 1.0) -> None:
        self.registry = Notebook()
        self.metrics = Metrics()
        registry: Any = self.registry
        self.observer = Observer(registry, self.metrics, Log("human", "CRITICAL"))
        self.challenger = Challenger.of(model or Contrary(), 0.7, share)
        self.observer.challenge(self.challenger)

    def note(self, *gestures: str) -> None:
        labels = np.array([LABELS.get(gesture, len(GESTURES)) for gesture in gestures])
        frames = frames_of(*(gesture if gesture in LABELS else "like" for gesture in gestures))
        sampled = frames if self.observer.samples(frames) else None
        self.observer.note(CHAMPION, sampled, labels, np.full(len(labels), 950))

    def count(self, result: str) -> float:
        found = self.metrics.registry.get_sample_value("maze_shadow_frames_total", {"result": result})
        assert found is not None
        return found


def chosen(batches: list[int], share: float) -> list[int]:
    sample = Sample()
    return [at for at, frames in enumerate(batches) if sample.take(frames, share)]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 1 / 3, 0.5, 1.0])
@pytest.mark.parametrize("rhythm", [[1], [1, 39], [2048, 1, 1, 7], [5, 5, 400]], ids=str)
def test_sample_takes_share_of_frames_deterministically(share: float, rhythm: list[int]) -> None:
    batches = rhythm * 300
    found = chosen(batches, share)
    assert found == chosen(batches, share)
    frames = sum(batches[at] for at in found)
    assert share * sum(batches) - max(batches) <= frames <= share * sum(batches)


def test_sample_of_single_frames_is_evenly_spaced() -> None:
    assert set(np.diff(chosen([1] * 1000, 0.25)).tolist()) == {4}


def test_comparison_counts_pairs_and_flips_and_round_trips() -> None:
    like, palm, four = (LABELS[name] for name in ("like", "palm", "four"))
    comparison = Comparison(DEFAULT_ACTIONS)
    mine, other = np.array([like, like, palm, four]), np.array([like, palm, palm, four])
    agreed = comparison.add((mine, other), (np.full(4, 900), np.array([900, 900, 900, 500])), (700, 800))
    assert agreed == 3
    fields = comparison.fields()
    assert fields == {
        "frames": 4, "like>like": 1, "like>palm": 1, "palm>palm": 1, "four>four": 1,
        "action:up>none": 1, "action:right>none": 1,
    }  # fmt: skip
    trial = Trial.of(fields)
    assert (trial.frames, trial.agreed) == (4, 3)
    assert trial.pairs["like", "palm"] == 1
    assert trial.flips == {("up", "none"): 1, ("right", "none"): 1}


def test_comparison_of_different_label_sets_matches_by_name() -> None:
    mine, other = LabelSet(("like", "palm"), (16, 8)), LabelSet(("swipe", "like"), (19, 16))
    actions: Any = {"like": "up", "left:swipe": "left"}
    comparison = Comparison(actions, mine, other)
    sure = np.full(3, 900)
    left = np.array([False, False, True])
    agreed = comparison.add((np.array([0, 1, 1]), np.array([1, 0, 0])), (sure, sure), (700, 700), left)
    assert agreed == 1
    assert comparison.fields() == {"frames": 3, "like>like": 1, "palm>swipe": 2, "action:none>left": 1}


def test_observer_writes_counts_for_pair_of_models() -> None:
    bench = Bench()
    bench.note("like", "four", "no hand")
    bench.observer.step(10.0)
    assert bench.registry.written == [
        ("wrist-1", "contrary-1", {"frames": 2, "like>palm": 1, "four>four": 1, "action:up>none": 1})
    ]
    assert (bench.count("agreed"), bench.count("disagreed")) == (1, 1)


def test_observer_writes_at_most_once_per_second() -> None:
    bench = Bench()
    for tenth in range(40):
        bench.note("like")
        bench.observer.step(10.0 + tenth / 10)
    assert len(bench.registry.written) == 4
    bench.observer.step(15.0)
    assert sum(counts["frames"] for _, _, counts in bench.registry.written) == 40


def test_observer_with_share_classifies_only_sampled_frames() -> None:
    bench = Bench(share=0.25)
    for _ in range(40):
        bench.note("four")
    bench.observer.step(10.0)
    assert bench.count("agreed") == 10


def test_challenger_that_raises_is_dropped_and_counted() -> None:
    bench = Bench(Raises())
    bench.note("like", "four")
    bench.note("like")
    bench.observer.step(10.0)
    assert bench.count("failed") == 2, "the second batch must not be classified"
    bench.note("like")
    bench.observer.step(12.0)
    assert (bench.count("failed"), bench.count("agreed")) == (2, 0)
    assert bench.registry.written == []


def test_challenger_that_falls_behind_skips_frames() -> None:
    bench = Bench()
    batch = ["four"] * 2048
    for _ in range(MAX_WAITING_FRAMES // 2048 + 3):
        bench.note(*batch)
    assert bench.count("skipped") == 3 * 2048
    bench.observer.step(10.0)
    assert bench.count("agreed") == MAX_WAITING_FRAMES
    bench.note(*batch)
    assert bench.count("skipped") == 3 * 2048


def test_challenger_that_needs_z_and_replaced_another_is_spared_frames_without_z() -> None:
    bench = Bench()
    frames = frames_of("like")
    frames.without_z = np.ones(1, np.bool_)
    assert bench.observer.samples(frames)
    bench.observer.challenge(Challenger.of(Raises(), 0.7, 1.0, needs_z=True))
    bench.observer.note(CHAMPION, frames, np.array([LABELS["like"]]), np.array([950]))
    bench.observer.step(10.0)
    assert (bench.count("failed"), bench.count("skipped")) == (0, 1)


def test_counts_that_fail_to_write_are_dropped() -> None:
    bench = Bench()
    bench.registry.away = True
    bench.note("like")
    bench.observer.step(10.0)
    bench.registry.away = False
    bench.note("like")
    bench.observer.step(12.0)
    assert [counts["frames"] for _, _, counts in bench.registry.written] == [1]


def test_observer_without_challenger_writes_nothing() -> None:
    bench = Bench()
    bench.observer.challenge(None)
    bench.note("like")
    bench.observer.step(10.0)
    assert bench.registry.written == []


def test_champion_change_restarts_drift_window() -> None:
    bench = Bench()
    bench.observer.note(CHAMPION, None, np.full(2000, 16), np.full(2000, 900))
    other = Serving.of(WristModel(), 0.5, {})
    bench.observer.note(other, None, np.full(1, 16), np.full(1, 900))
    bench.observer.step(10.0)
    value = bench.metrics.registry.get_sample_value("maze_drift_psi", {"of": "gestures"})
    assert value is not None
    assert np.isnan(value)


def test_observer_counts_a_full_queue_without_holding_all_of_it_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    bench.observer.challenge(None)
    labels, steps = np.full(2048, 16), np.full(2048, 900)
    for _ in range(200):
        bench.observer.note(CHAMPION, None, labels, steps)
    counted: list[int] = []
    monkeypatch.setattr(Drift, "add", lambda _drift, labels, *_: counted.append(len(labels)))
    tracemalloc.start()
    bench.observer.step(10.0)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1_000_000  # all notes take 6.5 MB
    assert sum(counted) == 200 * 2048


def test_observer_step_without_notes_returns_false() -> None:
    bench = Bench()
    bench.note("like")
    assert bench.observer.step(10.0)
    assert not bench.observer.step(10.1)
