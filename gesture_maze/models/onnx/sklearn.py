"""From a fitted scikit-learn pipeline to the ONNX graph of a bundle, with the features in front.

The four kinds of `models.train.candidates` are written out by hand, from their fitted numbers. For a
comparison with skl2onnx see docs/model-trials.md.

Arithmetic is float64, as in scikit-learn: trees and votes compare numbers with constants, and float32
rounding would sometimes change the outcome.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline

from gesture_maze.models.bundle import ModelReason
from gesture_maze.models.features import INPUT_GAIN
from gesture_maze.models.onnx.graph import TREES, GraphBuilder, feature_nodes, serialised
from gesture_maze.models.onnx.svc import decision_nodes, squared_distances, vectors_of
from gesture_maze.wire.errors import ModelError

LEAST_PROBABILITY: Final = 1e-300
"""Stands for 0 under a logarithm, as in `models.train.calibration.cooled`."""
LEAST_DISTANCE: Final = 1e-12
"""Stands for 0 in the weight of a neighbour, which is one over its distance: smaller than any distance
between different hands, so that a hand that was trained on outweighs all others."""


def pipeline_graph(pipeline: Pipeline, temperature: float, classes: int) -> bytes:
    """Return the serialised graph of a fitted pipeline of `models.train.candidates`.

    Args:
        pipeline: fitted; its classes are places in the label set of the bundle.
        temperature: divides the logits.
        classes: size of that label set.

    Raises:
        ModelError: `bad_graph`: the pipeline's classifier is not one of the four.
    """
    classifier = pipeline[-1]
    nodes = _NODES.get(type(classifier))
    if nodes is None:
        message = f"a {type(classifier).__name__} cannot be exported; those that can: {', '.join(_names())}"
        raise ModelError(ModelReason.BAD_GRAPH, message)
    builder = GraphBuilder(np.float64)
    features = builder.add("Mul", feature_nodes(builder), builder.floats(INPUT_GAIN))
    probabilities = nodes(builder, features, classifier)
    return finished(builder, probabilities, np.asarray(classifier.classes_, np.int64), classes, temperature)


def finished(
    builder: GraphBuilder,
    probabilities: str,
    labels: NDArray[np.int64],
    classes: int,
    temperature: float = 1.0,
) -> bytes:
    """Add a bundle's outputs to a graph and return it serialised.

    Args:
        builder: holds the nodes up to `probabilities`.
        probabilities: name of the value, (n, k).
        labels: (k,) the label of each column; gestures without one get the probability 0.
        classes: number of labels of the bundle.
        temperature: divides the logits.
    """
    if temperature != 1.0:
        floor = builder.add("Max", probabilities, builder.floats(LEAST_PROBABILITY))
        logits = builder.add("Div", builder.add("Log", floor), builder.floats(temperature))
        probabilities = builder.add("Softmax", logits, axis=1)
    places = np.eye(classes)[labels]
    everything = builder.add("MatMul", probabilities, builder.floats(places))
    builder.add("Cast", everything, out="probabilities", to=1)  # 1 is float32
    builder.add("ArgMax", "probabilities", out="label", axis=1, keepdims=0)
    return serialised(builder, classes)


def softmax_nodes(builder: GraphBuilder, scores: str, classes: int) -> str:
    """Add the probabilities (n, k) of logits (n, k), or of the one logit of the second of two classes."""
    if classes == 2:
        scores = builder.add("Concat", builder.add("Mul", scores, builder.floats(0.0)), scores, axis=1)
    return builder.add("Softmax", scores, axis=1)


def _network(builder: GraphBuilder, rows: str, fitted: Any) -> str:
    layers = list(zip(fitted.coefs_, fitted.intercepts_, strict=True))
    for layer, (weight, bias) in enumerate(layers):
        if layer:
            rows = builder.add("Relu", rows)
        rows = builder.add("Gemm", rows, builder.floats(weight), builder.floats(bias))
    return softmax_nodes(builder, rows, len(fitted.classes_))


def _calibrated_svc(builder: GraphBuilder, rows: str, fitted: Any) -> str:
    """Add one SVC (`ensemble=False`) with a separate sigmoid for each of its decisions."""
    (only,) = fitted.calibrated_classifiers_
    decisions = decision_nodes(builder, rows, vectors_of(only.estimator))
    slopes = np.array([sigmoid.a_ for sigmoid in only.calibrators])
    offsets = np.array([sigmoid.b_ for sigmoid in only.calibrators])
    bent = builder.add("Mul", decisions, builder.floats(-slopes[None, :]))
    chances = builder.add("Sigmoid", builder.add("Add", bent, builder.floats(-offsets[None, :])))
    if len(fitted.classes_) == 2:
        rest = builder.add("Sub", builder.floats(1.0), chances)
        return builder.add("Concat", rest, chances, axis=1)
    return _normalised(builder, chances)


def _neighbours(builder: GraphBuilder, rows: str, fitted: Any) -> str:
    points = np.asarray(fitted._fit_X, np.float64)
    products = builder.add("MatMul", rows, builder.floats(points.T))
    squares = squared_distances(builder, rows, products, points)
    builder.add(
        "TopK", squares, builder.ints(fitted.n_neighbors),
        out="nearest", more=("neighbours",), axis=1, largest=0,
    )  # fmt: skip
    shown = builder.add("Gather", builder.floats(np.eye(len(fitted.classes_))[fitted._y]), "neighbours")
    if fitted.weights == "distance":
        distances = builder.add("Sqrt", "nearest")
        weights = builder.add(
            "Reciprocal", builder.add("Max", distances, builder.floats(LEAST_DISTANCE))
        )  # (n, neighbours)
    else:
        weights = builder.add("Add", builder.add("Mul", "nearest", builder.floats(0.0)), builder.floats(1.0))
    # (n, 1, neighbours) times (n, neighbours, k)
    sums = builder.add("MatMul", builder.add("Unsqueeze", weights, builder.ints(1)), shown)
    return _normalised(builder, builder.add("Squeeze", sums, builder.ints(1)))


def _trees(builder: GraphBuilder, rows: str, fitted: Any) -> str:
    columns = len(fitted._predictors[0])
    leaves = builder.add("TreeEnsembleRegressor", rows, domain=TREES, **_tree_attributes(fitted))
    raw = builder.add("Cast", leaves, to=builder.element_type)
    start = np.reshape(fitted._baseline_prediction, (1, columns))
    return softmax_nodes(builder, builder.add("Add", raw, builder.floats(start)), len(fitted.classes_))


def _tree_attributes(fitted: Any) -> dict[str, Any]:
    """Return the attributes of ONNX's tree operator: one line per node of each tree."""
    trees = [(k, tree.nodes) for stage in fitted._predictors for k, tree in enumerate(stage)]
    nodes = np.concatenate([nodes for _, nodes in trees])
    tree_of = np.repeat(np.arange(len(trees)), [len(nodes) for _, nodes in trees])
    id_of = np.concatenate([np.arange(len(nodes)) for _, nodes in trees])
    column_of = np.array([k for k, _ in trees])[tree_of]
    leaf = nodes["is_leaf"].astype(bool)
    inner = ~leaf
    return {
        "n_targets": len(fitted._predictors[0]),
        "nodes_treeids": tree_of.tolist(),
        "nodes_nodeids": id_of.tolist(),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_featureids": np.where(inner, nodes["feature_idx"], 0).tolist(),
        "nodes_truenodeids": np.where(inner, nodes["left"], 0).tolist(),
        "nodes_falsenodeids": np.where(inner, nodes["right"], 0).tolist(),
        "nodes_values_as_tensor": _tensor(np.where(inner, nodes["num_threshold"], 0.0)),
        "target_treeids": tree_of[leaf].tolist(),
        "target_nodeids": id_of[leaf].tolist(),
        "target_ids": column_of[leaf].tolist(),
        "target_weights_as_tensor": _tensor(nodes["value"][leaf]),
    }


def _tensor(values: NDArray[Any]) -> Any:
    return numpy_helper.from_array(np.ascontiguousarray(values, np.float64))


def _normalised(builder: GraphBuilder, parts: str) -> str:
    return builder.add("Div", parts, builder.add("ReduceSum", parts, builder.ints(1), keepdims=1))


_NODES: Final[dict[type, Callable[[GraphBuilder, str, Any], str]]] = {
    CalibratedClassifierCV: _calibrated_svc,
    MLPClassifier: _network,
    HistGradientBoostingClassifier: _trees,
    KNeighborsClassifier: _neighbours,
}


def _names() -> list[str]:
    return [kind.__name__ for kind in _NODES]
