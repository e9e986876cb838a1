"""The exported graph answers as scikit-learn does, for each kind and for two classes as well."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier

from gesture_maze.models.bundle import refuse_external_data
from gesture_maze.models.onnx.sklearn import pipeline_graph
from gesture_maze.models.train.calibration import cooled
from gesture_maze.models.train.candidates import candidates, predictor
from gesture_maze.wire.errors import ModelError
from tests.support.hands import hands

KINDS = tuple(candidates(0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [3, 2])
def test_graph_gives_same_probabilities_as_pipeline(kind: str, classes: int) -> None:
    data = hands()
    kept = np.isin(data.labels, np.unique(data.labels)[:classes])
    pipeline = candidates(0)[kind].fit(data.points[kept].reshape(-1, 42), data.labels[kept])
    graph = pipeline_graph(pipeline, 1.3, 19)
    refuse_external_data(graph)
    session = ort.InferenceSession(graph)
    # the training rows (neighbours at distance zero), and others
    points = np.concatenate([data.points[kept], hands(seed=5).points])
    landmarks = np.zeros((len(points), 21, 3), np.float32)
    landmarks[:, :, :2] = points
    label, found = session.run(None, {"landmarks": landmarks, "aspect": np.ones(len(points), np.float32)})
    wanted = cooled(predictor(pipeline, 19)(landmarks[:, :, :2].astype(np.float64)), 1.3)
    assert np.abs(found - wanted).max() < 1e-4
    assert (label == found.argmax(axis=1)).all()
    assert found.dtype == np.float32


def test_graph_with_aspect_undoes_stretch() -> None:
    data = hands()
    pipeline = candidates(0)["knn"].fit(data.points.reshape(-1, 42), data.labels)
    session = ort.InferenceSession(pipeline_graph(pipeline, 1.0, 19))
    narrow = data.landmarks.copy()
    narrow[:, :, 0] /= 2.0
    one, two = (
        session.run(["probabilities"], {"landmarks": points, "aspect": np.full(len(points), aspect, "f4")})[0]
        for points, aspect in ((data.landmarks, 1.0), (narrow, 2.0))
    )
    assert np.abs(one - two).max() < 1e-4


def test_graph_of_unsupported_classifier_is_rejected() -> None:
    data = hands()
    pipeline = Pipeline([("classifier", DecisionTreeClassifier())])
    pipeline.fit(data.points.reshape(-1, 42), data.labels)
    with pytest.raises(ModelError, match="DecisionTreeClassifier cannot be exported"):
        pipeline_graph(pipeline, 1.0, 19)
