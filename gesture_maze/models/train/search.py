"""Which kind of classifier, with which parameters: searched by folds that keep people apart.

Every trial is judged by the same folds, so by the same people's hands, none of whom its models were trained
on. The best figure of many trials is a little too good; there are few here, and they differ by less than the
noise.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline

from gesture_maze.models.train.build import HELD_OUT, Settings, baseline, build_bundle
from gesture_maze.models.bundle import Bundle
from gesture_maze.models.train.candidates import candidates, fit_candidate, microseconds_per_frame, predictor
from gesture_maze.models.train.card import model_card
from gesture_maze.models.dataset import Dataset, require_trainable
from gesture_maze.models.train.estimator import NetworkClassifier
from gesture_maze.models.evaluation import Evaluation, calibration_error, choose_threshold, evaluate, summarise
from gesture_maze.models.onnx.export import Facts, check_graph, pack_graph
from gesture_maze.models.onnx.graph import build_graph
from gesture_maze.models.judged import Judged
from gesture_maze.models.manifest import Thresholds, TrainingData
from gesture_maze.models.onnx.sklearn import pipeline_graph
from gesture_maze.models.train.training import Fit, HeldOut, Tick, choose_temperature, cooled, cross_validate, folds

NETWORK: Final = "network"
"""The default kind, see `models.train.training`; all others are those of `models.train.candidates`."""

GRIDS: Final[Mapping[str, tuple[Mapping[str, Any], ...]]] = {
    NETWORK: ({},),
    "svc": ({}, {"classifier__estimator__C": 30.0, "classifier__estimator__gamma": 0.03}),
    "mlp": ({}, {"classifier__hidden_layer_sizes": (128,), "classifier__alpha": 1e-3}),
    "hgb": ({}, {"classifier__max_iter": 120, "classifier__learning_rate": 0.08}),
    "knn": ({}, {"classifier__n_neighbors": 15}),
}
"""Kind -> what is changed, in each trial, of the parameters in `models.train.candidates`."""

F1_TIE: Final = 0.002
"""Macro F1 that counts as the same: five of 2,500 hands, about the noise between two seeds."""
FALSE_ACTION_TIE: Final = 0.001
RULE: Final = (
    f"the best macro F1 (within {F1_TIE} is equal), of these the fewest false actions (within "
    f"{FALSE_ACTION_TIE} is equal), of these the fastest"
)
BATCH: Final = 256


@dataclass(frozen=True, slots=True)
class Trial:
    """One kind with one set of parameters, judged on held-out hands."""

    kind: str
    parameters: Mapping[str, Any]
    """What was changed."""
    held: HeldOut
    temperature: float
    threshold: float
    """Chosen on the held-out hands."""
    evaluation: Evaluation
    ece: float
    us_per_frame: float
    """Of the graph, in batches of 256 on one thread."""

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
            "threshold": self.threshold,
            "temperature": self.temperature,
            "ece": self.ece,
            "us_per_frame": self.us_per_frame,
        }


@dataclass(frozen=True, slots=True)
class Shipped:
    """A bundle with all that is known of how it came about."""

    bundle: Bundle
    evaluation: Evaluation
    """Of the held-out hands, at the shipped threshold."""
    temperature: float
    export_difference: float
    """Largest difference of a probability between the graph and the trained model, over all rows."""
    held: HeldOut
    pipeline: Pipeline
    """The model for people: flat points (n, 42) in, not cooled by the temperature unless it is the
    network."""
    parameters: Mapping[str, Any]

    def judged(self, data: Dataset) -> Judged:
        """Return the held-out answers, cooled, for reports and tracking."""
        return Judged(
            model=self.bundle.version,
            threshold=self.bundle.manifest.thresholds.act,
            points=data.points[self.held.rows],
            labels=self.held.labels,
            users=data.users[self.held.rows],
            probabilities=cooled(self.held.probabilities, self.temperature),
            folds=self.held.folds,
        )


@dataclass(frozen=True, slots=True)
class Golden:
    """Synthetic hands for the self-test of a bundle."""

    landmarks: NDArray[np.float32]
    aspect: NDArray[np.float32]


def ticks(kinds: Sequence[str], count: int) -> int:
    """Return how often `search` calls its `tick`, with `count` folds."""
    return count * sum(len(GRIDS[kind]) for kind in kinds)


def search(data: Dataset, settings: Settings, kinds: Sequence[str], tick: Tick) -> list[Trial]:
    """Judge every parameter set of `kinds`; the winner comes first, see `RULE`.

    Args:
        data: labelled hands.
        settings: folds, seed, recipe and what the thresholds are to reach.
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


def ship(trial: Trial, data: Dataset, settings: Settings, golden: Golden, tick: Tick) -> Shipped:
    """Train what a trial was about on all rows and return its bundle.

    Raises:
        ModelError: `export_mismatch`: the graph and scikit-learn differ by more than 1e-4 on some row.
    """
    if trial.kind == NETWORK:
        return ship_network(data, settings, golden, tick)
    pipeline = _new(trial.kind, trial.parameters, settings)
    predict = fit_candidate(lambda: pipeline, settings.recipe.spread, settings.seed)(data.points, data.labels)
    probabilities = cooled(trial.held.probabilities, trial.temperature)
    facts = Facts(
        kind=trial.kind,
        thresholds=Thresholds(act=trial.threshold),
        evaluation={HELD_OUT: summarise(trial.held.labels, probabilities, threshold=trial.threshold)},
        training_data=TrainingData(sha256=data.sha256, rows=len(data), files=data.names),
        baseline=baseline(probabilities),
        seed=settings.seed,
    )

    def exact(landmarks: NDArray[np.float32], aspect: NDArray[np.float32]) -> NDArray[np.float32]:
        points = landmarks[:, :, :2].astype(np.float64)
        points[:, :, 0] *= aspect[:, None]
        return cooled(predict(points), trial.temperature).astype(np.float32)

    card = model_card(facts, trial.evaluation)
    graph = pipeline_graph(pipeline, trial.temperature)
    bundle = pack_graph(graph, exact, facts, golden.landmarks, golden.aspect, card)
    difference = check_graph(bundle, data.landmarks, data.aspect, exact(data.landmarks, data.aspect))
    evaluation = Evaluation(**{**trial.evaluation, "model": bundle.version})
    return Shipped(
        bundle, evaluation, trial.temperature, difference, trial.held, pipeline, dict(trial.parameters)
    )


def ship_network(data: Dataset, settings: Settings, golden: Golden, tick: Tick) -> Shipped:
    """Train the default kind and return its bundle; `tick` is called `settings.steps()` times.

    Raises:
        SettingsError, ModelError: as `models.train.build.build_bundle`.
    """
    built = build_bundle(data, settings, golden.landmarks, golden.aspect, tick)
    classifier = NetworkClassifier(settings.recipe, settings.seed)
    classifier.holding(built.network, np.unique(data.labels))
    parameters = {key: value for key, value in asdict(settings.recipe).items() if key != "spread"}
    return Shipped(
        bundle=built.bundle,
        evaluation=built.evaluation,
        temperature=built.temperature,
        export_difference=built.export_difference,
        held=built.held,
        pipeline=Pipeline([("classifier", classifier)]),
        parameters=parameters,
    )


@contextmanager
def _unconverged() -> Iterator[None]:
    """A network that stops after a set number of epochs is what is judged; no need to warn of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def _false_actions(trial: Trial) -> float:
    return trial.evaluation["action"]["false_action_rate"] or 0.0


def _trial(
    kind: str,
    parameters: Mapping[str, Any],
    data: Dataset,
    splits: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
    settings: Settings,
    tick: Tick,
) -> Trial:
    last: list[Pipeline] = []

    def make() -> Pipeline:
        last[:] = [_new(kind, parameters, settings)]
        tick()
        return last[0]

    with _unconverged():
        held = cross_validate(data, _fit(kind, make, settings), splits)
    temperature = choose_temperature(held.labels, held.probabilities)
    probabilities = cooled(held.probabilities, temperature)
    threshold = choose_threshold(
        held.labels, probabilities, precision=settings.precision, recall=settings.recall
    )
    return Trial(
        kind=kind,
        parameters=parameters,
        held=held,
        temperature=temperature,
        threshold=threshold,
        evaluation=evaluate(held.labels, probabilities, threshold=threshold, model=kind),
        ece=calibration_error(held.labels, probabilities),
        us_per_frame=_us_per_frame(_graph(last[0], temperature), data),
    )


def _new(kind: str, parameters: Mapping[str, Any], settings: Settings) -> Pipeline:
    if kind == NETWORK:
        return Pipeline([("classifier", NetworkClassifier(settings.recipe, settings.seed))])
    return candidates(settings.seed)[kind].set_params(**parameters)


def _fit(kind: str, make: Any, settings: Settings) -> Fit:
    """Return how a kind is fitted: the network makes its own altered copies, the others are given some."""
    if kind != NETWORK:
        return fit_candidate(make, settings.recipe.spread, settings.seed)
    return lambda points, labels: predictor(make().fit(points.reshape(-1, 42), labels))


def _graph(pipeline: Pipeline, temperature: float) -> bytes:
    classifier = pipeline[-1]
    if isinstance(classifier, NetworkClassifier):
        return build_graph(classifier.network_.cooled(temperature))
    return pipeline_graph(pipeline, temperature)


def _us_per_frame(graph: bytes, data: Dataset) -> float:
    """Return the time per frame of a graph: of what would be shipped, not of scikit-learn."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    landmarks = np.resize(data.landmarks, (BATCH, 21, 3))
    feed = {"landmarks": landmarks, "aspect": np.ones(BATCH, np.float32)}
    return microseconds_per_frame(partial(_run, session, feed), BATCH)


def _run(session: Any, feed: dict[str, NDArray[np.float32]], batch: int) -> object:
    return session.run(None, {name: values[:batch] for name, values in feed.items()})
