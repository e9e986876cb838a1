"""The default network as a scikit-learn classifier, so that it can be loaded and used like any other."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from gesture_maze.models.features import features
from gesture_maze.models.network import Network
from gesture_maze.models.train.trainer import Recipe, train_classifier
from gesture_maze.wire.gestures import GESTURES


class NetworkClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Takes flat points (n, 42), isotropic, as the pipelines of `models.train.candidates` do."""

    def __init__(self, recipe: Recipe | None = None, seed: int = 0) -> None:
        self.recipe = recipe
        self.seed = seed

    def fit(self, flat: NDArray[Any], labels: NDArray[np.int64]) -> Self:
        """Train on flat points (n, 42) and labels (n,), places in a label set."""
        points = np.asarray(flat, np.float64).reshape(-1, 21, 2)
        # labels have no names here; with those of the published gestures, no_gesture counts as in training
        gestures = (*GESTURES, *map(str, range(len(GESTURES), int(labels.max()) + 1)))
        network = train_classifier(points, labels, self.recipe or Recipe(), self.seed, gestures=gestures)
        return self.holding(network, np.unique(labels))

    def holding(self, network: Network, labels: NDArray[np.int64]) -> Self:
        """Return a classifier that holds a trained network; `labels` are those that it knows, ascending."""
        self.network_ = network
        self.classes_ = labels
        self.n_features_in_ = 42
        return self

    def predict_proba(self, flat: NDArray[Any]) -> NDArray[np.float64]:
        """Return (n, k) probabilities, columns in the order of `classes_`."""
        points = np.asarray(flat, np.float64).reshape(-1, 21, 2)
        return self.network_.probabilities(features(points))[:, self.classes_]

    def predict(self, flat: NDArray[Any]) -> NDArray[np.int64]:
        """Return the likeliest label of each hand, (n,)."""
        found: NDArray[np.int64] = self.classes_[self.predict_proba(flat).argmax(axis=1)]
        return found
