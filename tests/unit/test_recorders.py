"""Recorders: found in the data, left out by folds, and half of what the temperature is fitted to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gesture_maze.models.dataset import Dataset, read_dataset
from gesture_maze.models.train.calibration import choose_temperature, cooled
from gesture_maze.models.train.folds import cross_validate, folds
from gesture_maze.wire.gestures import GESTURES, LABELS
from tests.unit.test_training import hands, write_csv


def recorded(data: Dataset) -> Dataset:
    """Return the same hands, the second half of them without user ids and of six recorders."""
    recorders = np.array([f"r{row % 6}" for row in range(len(data))])
    known = np.arange(len(data)) < len(data) // 2
    return replace(
        data,
        users=np.where(known, data.users, ""),
        recorders=np.where(known, "", recorders),
        gestures=GESTURES,
    )


def test_folds_leave_each_recorder_out_once_with_all_rows():
    data = recorded(hands(80))
    seen = []
    for inside, outside, left_out in folds(data, 4, 0):
        assert not set(data.recorders[inside]) & set(data.recorders[left_out])
        assert sorted([*inside, *outside, *left_out]) == list(range(len(data)))
        seen += list(left_out)
    assert sorted(seen) == list(np.flatnonzero(data.recorders != ""))


def test_folds_always_train_on_recorder_whose_gesture_no_user_shows():
    data = recorded(hands(80))
    labels = np.where(data.recorders == "r2", LABELS["rock"], data.labels)
    left_out = {
        name for split in folds(replace(data, labels=labels), 4, 0) for name in data.recorders[split.left_out]
    }
    assert left_out == {"r0", "r1", "r3", "r4", "r5"}


def test_folds_with_few_recorders_leave_none_out():
    data = recorded(hands(80))
    few = replace(data, recorders=np.where(data.recorders == "", "", "r0"))
    assert not any(len(split.left_out) for split in folds(few, 4, 0))


def test_dataset_of_file_with_users_has_no_recorders(tmp_path: Path) -> None:
    data = hands(12)
    both = read_dataset(
        [write_csv(tmp_path / "a.csv", data), write_csv(tmp_path / "b.csv", data, source="them")]
    )
    assert both.recorders is not None
    assert list(both.recorders) == [""] * len(data) + ["them"] * len(data)
    assert read_dataset([tmp_path / "a.csv"]).recorders is None


def test_temperature_weighs_recorders_like_users_whatever_their_number_of_rows():
    rng = np.random.default_rng(0)
    logits = rng.normal(0.0, 1.5, (4000, 19))
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(19, p=row) for row in honest])
    home, unsure = (labels, honest), (labels[:2000], cooled(honest[:2000], 2.0))
    assert choose_temperature(*unsure) == pytest.approx(0.5, rel=0.1)
    between = choose_temperature(*home, [unsure])
    assert 0.6 < between < 0.9
    shares = choose_temperature(*home, [(labels[:2000], unsure[1]), (labels[:200], unsure[1][:200])])
    assert shares == pytest.approx(between, rel=0.06)


def test_recorders_are_judged_by_models_that_did_not_see_them():
    data = recorded(hands(80))
    seen: list[int] = []

    def fit(points, labels):
        seen.append(len(points))
        return lambda asked: np.eye(19)[np.full(len(asked), len(seen))]

    held = cross_validate(data, fit, list(folds(data, 4, 0)))
    assert held.other_cameras is not None
    assert len(held.other_cameras.labels) == (data.recorders != "").sum()
    by_fold = {
        name: set(held.other_cameras.probabilities[held.other_cameras.recorders == name].argmax(axis=1))
        for name in set(held.other_cameras.recorders)
    }
    assert all(len(folds_of) == 1 for folds_of in by_fold.values())
    assert sum(len(labels) for labels, _ in held.other_cameras.by_recorder()) == len(
        held.other_cameras.labels
    )
