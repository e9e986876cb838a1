"""Which kind of classifier, with which parameters: searched by folds that keep people apart.

Every trial is judged on the same folds, and so on the hands of the same people, none of whom its models were
trained on. The best figure of many trials is a little too good; there are few here, and they differ by less
than the noise.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from gesture_maze.models.dataset import Dataset, require_trainable
from gesture_maze.models.evaluation import Evaluation
from gesture_maze.models.hands import Hands
from gesture_maze.models.timing import BATCH, microseconds_per_frame
from gesture_maze.models.train.fitting import NETWORK, Fitted, Settings, fit_kind
from gesture_maze.models.train.folds import VIEWS, Points, Predict, Split, cross_validate, folds
from gesture_maze.models.train.packaging import Calibrated, Shipped, package
from gesture_maze.models.train.trainer import Tick

GRIDS: Final[Mapping[str, tuple[Mapping[str, Any], ...]]] = {
    NETWORK: ({},),
    "svc": ({}, {"classifier__estimator__C": 30.0, "classifier__estimator__gamma": 0.03}),
    "mlp": ({}, {"classifier__hidden_layer_sizes": (128,), "classifier__alpha": 1e-3}),
    "hgb": ({}, {"classifier__max_iter": 120, "classifier__learning_rate": 0.08}),
    "knn": ({}, {"classifier__n_neighbors": 15}),
}
"""Kind -> parameters of each trial that differ from those in `models.train.candidates`."""

F1_TIE: Final = 0.002
"""Difference in macro F1 that counts as equal: five of 2,500 hands, about the noise between two seeds."""
FALSE_ACTION_TIE: Final = 0.001
RULE: Final = (
    f"the best macro F1 (within {F1_TIE} is equal), of these the fewest false actions (within "
    f"{FALSE_ACTION_TIE} is equal), of these the fastest"
)


@dataclass(frozen=True, slots=True)
class Trial:
    """One kind with one set of parameters, judged on held-out hands."""

    kind: str
    parameters: Mapping[str, Any]
    """The parameters that differ from the defaults."""
    calibrated: Calibrated
    evaluation: Evaluation
    """Of the held-out hands, on given labels."""
    us_per_frame: float
    """Time of the graph, in batches of 256 on one thread."""

    @property
    def name(self) -> str:
        """Kind and changed parameters."""
        changed = ", ".join(f"{key.rpartition('__')[2]} {value}" for key, value in self.parameters.items())
        return f"{self.kind} ({changed})" if changed else self.kind

    def as_dict(self) -> dict[str, Any]:
        """Return the trial's figures as plain values."""
        return {
            "kind": self.kind,
            "parameters": {key: str(value) for key, value in self.parameters.items()},
            "accuracy": self.evaluation["accuracy"],
            "macro_f1": self.evaluation["macro_f1"],
            "action": dict(self.evaluation["action"]),
            "threshold": self.calibrated.threshold.act,
            "temperature": self.calibrated.temperature,
            "ece": self.calibrated.ece,
            "us_per_frame": self.us_per_frame,
        }


def ticks(kinds: Sequence[str], count: int) -> int:
    """Return how often `search` calls its `tick`, with `count` folds."""
    return count * sum(len(GRIDS[kind]) for kind in kinds)


def search(data: Dataset, settings: Settings, kinds: Sequence[str], tick: Tick) -> list[Trial]:
    """Judge every parameter set of `kinds`; the winner comes first, see `RULE`.

    Args:
        data: labelled hands.
        settings: folds, seed, recipe and the settings of the threshold.
        kinds: of `GRIDS`.
        tick: called once per fold and trial.

    Raises:
        SettingsError: `data`: too few rows or classes.
    """
    require_trainable(data)
    splits = list(folds(data, settings.folds, settings.seed))
    trials = [
        _trial(kind, parameters, data, splits, settings, tick) for kind in kinds for parameters in GRIDS[kind]
    ]
    return ranked(trials)


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials, the winner by `RULE` first, then the winner of the others, and so on."""
    left, order = list(trials), []
    while left:
        best = max(trial.evaluation["macro_f1"] for trial in left)
        tied = [trial for trial in left if trial.evaluation["macro_f1"] >= best - F1_TIE]
        least = min(map(_false_actions, tied))
        tied = [trial for trial in tied if _false_actions(trial) <= least + FALSE_ACTION_TIE]
        winner = min(tied, key=lambda trial: trial.us_per_frame)
        order.append(winner)
        left = [trial for trial in left if trial is not winner]
    return order


def ship(trial: Trial, data: Dataset, settings: Settings, golden: Hands, tick: Tick) -> Shipped:
    """Train the kind of a trial on all rows and return its bundle.

    Raises:
        ModelError: `export_mismatch`: the graph and the fitted model differ by more than 1e-4 on some row.
    """
    if trial.kind == NETWORK:
        return ship_network(data, settings, golden, tick)
    with _unconverged():
        fitted = fit_kind(trial.kind, trial.parameters, data.points, data.labels, settings, data.gestures)
    return package(fitted, trial.calibrated, data, golden, settings.seed)


def ship_network(data: Dataset, settings: Settings, golden: Hands, tick: Tick = lambda: None) -> Shipped:
    """Train the default kind and return its bundle.

    The same seed gives the same bundle on the same machine and libraries; another CPU sums in another order.
    Temperature and threshold are fitted to the held-out predictions: two numbers over all rows, so the
    figures for those rows are hardly biased by it.

    Args:
        data: labelled hands, with user ids if they are known.
        settings: recipe, folds, seed, verdicts.
        golden: synthetic hands for the self-test.
        tick: called `settings.steps()` times.

    Raises:
        SettingsError: `data`: too few rows or classes.
        ModelError: `export_mismatch`.
    """
    require_trainable(data)

    def fit(points: Points, labels: NDArray[np.int64]) -> Predict:
        return fit_kind(NETWORK, {}, points, labels, settings, data.gestures, tick).predict

    held = cross_validate(data, fit, list(folds(data, settings.folds, settings.seed)), VIEWS)
    calibrated = Calibrated.of(held, data, settings)
    fitted = fit_kind(NETWORK, {}, data.points, data.labels, settings, data.gestures, tick)
    return package(fitted, calibrated, data, golden, settings.seed)


@contextmanager
def _unconverged() -> Iterator[None]:
    """Silence the warning that a network stopped after its set number of epochs, which is intended."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def _false_actions(trial: Trial) -> float:
    return trial.evaluation["action"]["false_action_rate"] or 0.0


def _trial(
    kind: str,
    parameters: Mapping[str, Any],
    data: Dataset,
    splits: Sequence[Split],
    settings: Settings,
    tick: Tick,
) -> Trial:
    last: list[Fitted] = []

    def fit(points: Points, labels: NDArray[np.int64]) -> Predict:
        last[:] = [fit_kind(kind, parameters, points, labels, settings, data.gestures)]
        tick()
        return last[0].predict

    with _unconverged():
        held = cross_validate(data, fit, splits)
    calibrated = Calibrated.of(held, data, settings)
    return Trial(
        kind=kind,
        parameters=parameters,
        calibrated=calibrated,
        evaluation=calibrated.evaluation(kind),
        us_per_frame=_us_per_frame(last[0].graph(calibrated.temperature), data),
    )


def _us_per_frame(graph: bytes, data: Dataset) -> float:
    """Return the time per frame of the graph that would be shipped, not of scikit-learn."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    landmarks = np.resize(data.landmarks, (BATCH, 21, 3))
    feed = {"landmarks": landmarks, "aspect": np.ones(BATCH, np.float32)}
    return microseconds_per_frame(partial(_run, session, feed), BATCH)


def _run(session: Any, feed: dict[str, NDArray[np.float32]], batch: int) -> object:
    return session.run(None, {name: values[:batch] for name, values in feed.items()})
