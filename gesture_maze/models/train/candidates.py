"""The classifiers that `maze train --compare` compares with the shipped one, as scikit-learn pipelines.

A pipeline takes flat points (n, 42), x and y of each landmark in turn, isotropic, with the features as its
first step; so it can be saved, loaded and fed as one thing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC

from gesture_maze.models.features import INPUT_GAIN, features
from gesture_maze.models.train.augmentation import Spread, augmented
from gesture_maze.models.train.folds import Fit, Points, Predict

COPIES: Final = 1
"""Altered copies of each training row, beside the row itself. With more, an SVC takes minutes per fold."""


def flat_features(flat: NDArray[Any]) -> NDArray[np.float64]:
    """Return the features (n, FEATURES) of flat points (n, 42)."""
    return INPUT_GAIN * features(np.asarray(flat).reshape(-1, 21, 2))


def candidates(seed: int) -> dict[str, Pipeline]:
    """Return the unfitted pipelines by name.

    The parameters are those that did best in a small search by user-disjoint folds, see docs/model-trials.md.
    """
    estimators = {
        # The sigmoid is fitted on inner folds, because an SVC alone gives no probabilities.
        "svc": CalibratedClassifierCV(SVC(C=10.0, gamma=0.06), ensemble=False, cv=3),
        "mlp": MLPClassifier((256, 128), max_iter=60, early_stopping=True, random_state=seed),
        # Without the penalty, leaves that hold only one gesture grow without bound: accuracy 0.91 instead of
        # 0.97.
        "hgb": HistGradientBoostingClassifier(
            max_iter=60,
            learning_rate=0.15,
            max_leaf_nodes=15,
            l2_regularization=10.0,
            early_stopping=False,
            random_state=seed,
        ),
        "knn": KNeighborsClassifier(7, weights="distance"),
    }
    return {
        name: Pipeline([("features", FunctionTransformer(flat_features)), ("classifier", estimator)])
        for name, estimator in estimators.items()
    }


def fit_candidate(make: Callable[[], Pipeline], spread: Spread, seed: int, classes: int) -> Fit:
    """Return a `Fit` that trains the pipeline of `make` on the rows and `COPIES` altered copies of each."""

    def fit(points: Points, labels: NDArray[np.int64]) -> Predict:
        rng = np.random.default_rng(seed)
        copies = [points, *(augmented(points, rng, spread) for _ in range(COPIES))]
        pipeline = make()
        pipeline.fit(np.concatenate(copies).reshape(-1, 42), np.tile(labels, COPIES + 1))
        return predictor(pipeline, classes)

    return fit


def predictor(pipeline: Pipeline, classes: int) -> Predict:
    """Return a function that predicts all `classes` gestures with a fitted pipeline; 0 for those it never
    saw."""

    def predict(points: Points) -> NDArray[np.float64]:
        result = np.zeros((len(points), classes))
        result[:, pipeline.classes_] = pipeline.predict_proba(points.reshape(-1, 42))
        return result

    return predict
