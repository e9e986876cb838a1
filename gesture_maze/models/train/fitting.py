"""Models that were trained on all rows: the default kind and those of `models.train.candidates`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from gesture_maze.models.bundle import ModelReason
from gesture_maze.models.features import features
from gesture_maze.models.golden import Predict
from gesture_maze.models.network import Network
from gesture_maze.models.onnx.graph import build_graph
from gesture_maze.models.onnx.sklearn import pipeline_graph
from gesture_maze.models.train.calibration import cooled
from gesture_maze.models.train.candidates import candidates, fit_candidate, predictor
from gesture_maze.models.train.estimator import NetworkClassifier
from gesture_maze.models.train.folds import Points
from gesture_maze.models.train.trainer import Recipe, Tick, train_classifier
from gesture_maze.models.verdicts import Verdicts
from gesture_maze.wire.errors import MazeError, ModelError
from gesture_maze.wire.gestures import Action
from gesture_maze.wire.printable import amount

NETWORK: Final = "network"
"""The default kind, see `models.train.trainer`; the others are those of `models.train.candidates`."""

MLP: Final = "mlp"
"""The name of the default kind in bundle versions."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How models are trained and judged."""

    recipe: Recipe
    folds: int
    seed: int
    verdicts: Verdicts | None = None
    """On rows of the data; the threshold is then chosen on adjudicated labels."""
    actions: dict[str, Action] | None = None
    """Mapping of the bundle, gesture name -> action, by which the threshold is chosen; None for the
    published one."""

    def steps(self) -> int:
        """Return how often `models.train.search.ship_network` calls its `tick`."""
        return (self.folds + 1) * self.recipe.steps()


class Fitted(Protocol):
    """A trained model, ready for export."""

    @property
    def kind(self) -> str:
        """One word for its kind: the first half of a model's version."""

    @property
    def pipeline(self) -> Pipeline:
        """The model for scikit-learn: flat points (n, 42) in; not cooled by a temperature."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Its parameters by name, for tracking."""

    def predict(self, points: Points) -> NDArray[np.float64]:
        """Return the probabilities (n, k) of points (n, 21, 2), isotropic."""

    def graph(self, temperature: float) -> bytes:
        """Return its ONNX graph, with the logits divided by `temperature`."""

    def exact(self, temperature: float) -> Predict:
        """Return the function that the graph must reproduce."""


@dataclass(frozen=True, slots=True)
class FittedNetwork:
    """The default kind."""

    network: Network
    recipe: Recipe
    seed: int
    present: NDArray[np.int64]
    """The labels that the training rows show, ascending."""

    @property
    def kind(self) -> str:
        """The name of the default kind in versions, mlp."""
        return MLP

    @property
    def pipeline(self) -> Pipeline:
        """The network as a scikit-learn classifier."""
        classifier = NetworkClassifier(self.recipe, self.seed).holding(self.network, self.present)
        return Pipeline([("classifier", classifier)])

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The recipe."""
        return {key: value for key, value in asdict(self.recipe).items() if key != "spread"}

    def predict(self, points: Points) -> NDArray[np.float64]:
        """Return the probabilities (n, k) of points (n, 21, 2), isotropic."""
        return self.network.probabilities(features(points))

    def graph(self, temperature: float) -> bytes:
        """Return the ONNX graph, with the logits divided by `temperature`."""
        return build_graph(self.network.cooled(temperature))

    def exact(self, temperature: float) -> Predict:
        """Return the function that the graph must reproduce."""
        network = self.network.cooled(temperature)

        def predict(landmarks: NDArray[np.float32], aspect: NDArray[np.float32]) -> NDArray[np.float32]:
            return network.probabilities(features(landmarks, aspect)).astype(np.float32)

        return predict


@dataclass(frozen=True, slots=True)
class FittedPipeline:
    """A scikit-learn pipeline of `models.train.candidates`."""

    kind: str
    pipeline: Pipeline
    parameters: Mapping[str, Any]
    classes: int
    """Size of the label set."""

    def predict(self, points: Points) -> NDArray[np.float64]:
        """Return the probabilities (n, k) of points (n, 21, 2), isotropic."""
        with _explained(self.kind, len(points)):
            return predictor(self.pipeline, self.classes)(points)

    def graph(self, temperature: float) -> bytes:
        """Return the ONNX graph, with the logits divided by `temperature`."""
        return pipeline_graph(self.pipeline, temperature, self.classes)

    def exact(self, temperature: float) -> Predict:
        """Return the function that the graph must reproduce."""

        def cool(landmarks: NDArray[np.float32], aspect: NDArray[np.float32]) -> NDArray[np.float32]:
            points = landmarks[:, :, :2].astype(np.float64)
            points[:, :, 0] *= aspect[:, None]
            return cooled(self.predict(points), temperature).astype(np.float32)

        return cool


def new_pipeline(kind: str, parameters: Mapping[str, Any], seed: int) -> Pipeline:
    """Return an unfitted pipeline of a kind, with some of its parameters changed."""
    return candidates(seed)[kind].set_params(**parameters)


def fit_kind(
    kind: str,
    parameters: Mapping[str, Any],
    points: Points,
    labels: NDArray[np.int64],
    settings: Settings,
    gestures: tuple[str, ...],
    tick: Tick = lambda: None,
) -> Fitted:
    """Return a model of a kind, trained on hands and their altered copies.

    Args:
        kind: `NETWORK` or one of `models.train.candidates`.
        parameters: parameters that differ from the kind's defaults; the network takes none.
        points: (n, 21, 2), isotropic.
        labels: (n,), places in `gestures`.
        settings: recipe and seed.
        gestures: the label set.
        tick: called after each epoch of each member of the network; other kinds never call it.

    Raises:
        ModelError: `training`: the library that trains it raised an error.
    """
    with _explained(kind, len(labels)):
        if kind == NETWORK:
            network = train_classifier(points, labels, settings.recipe, settings.seed, tick, gestures)
            return FittedNetwork(network, settings.recipe, settings.seed, np.unique(labels))
        pipeline = new_pipeline(kind, parameters, settings.seed)
        fit_candidate(lambda: pipeline, settings.recipe.spread, settings.seed, len(gestures))(points, labels)
        return FittedPipeline(kind, pipeline, dict(parameters), len(gestures))


@contextmanager
def _explained(kind: str, rows: int) -> Iterator[None]:
    """Turn an error of a training library into one that names the kind."""
    try:
        yield
    except MazeError:
        raise
    except Exception as error:
        message = (
            f"{kind} cannot be trained or judged on {amount(rows, 'row')}: {type(error).__name__}: {error}"
        )
        raise ModelError(ModelReason.TRAINING, message) from error
