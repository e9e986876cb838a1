"""The network in plain numpy gives what ONNX Runtime gives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from gesture_maze.models import plain as plain_module
from gesture_maze.models.classifier import PLAIN_TOLERANCE, Classifier
from gesture_maze.models.plain import PlainNetwork
from gesture_maze.models.runtime import OnnxNetwork
from gesture_maze.wire.errors import ModelError
from tests.support.bundles import bundled, disturbed

BUNDLE = bundled()
ONNX = OnnxNetwork(BUNDLE.model)


def plain(model: bytes) -> PlainNetwork:
    found = PlainNetwork.of(model)
    assert found is not None
    return found


@pytest.mark.parametrize("rows", [1, 2, 256])
def test_plain_network_equals_onnx_runtime_on_golden_hands(rows: int) -> None:
    golden = BUNDLE.golden
    for begin in range(0, len(golden.aspect), rows):
        part = golden.landmarks[begin : begin + rows], golden.aspect[begin : begin + rows]
        np.testing.assert_allclose(
            plain(BUNDLE.model).probabilities(*part), ONNX.probabilities(*part), atol=PLAIN_TOLERANCE
        )
        assert plain(BUNDLE.model).classify(*part)[0].tolist() == ONNX.classify(*part)[0].tolist()


@pytest.mark.parametrize(
    "change",
    [
        lambda points: points * [-1, 1, 1],
        lambda points: points * [1, 1, 9],
        lambda points: points * 0,
        lambda points: points * 1e8,
        lambda points: points * 1e-12,
    ],
    ids=("mirrored", "other z", "zeros", "far out", "tiny"),
)
def test_plain_network_equals_onnx_runtime_on_unusual_hands(
    change: Callable[[np.ndarray], np.ndarray],
) -> None:
    golden = BUNDLE.golden
    landmarks = change(golden.landmarks[:64]).astype(np.float32)
    found, wanted = plain(BUNDLE.model), ONNX.classify(landmarks, golden.aspect[:64])
    labels, confidences = found.classify(landmarks, golden.aspect[:64])
    assert labels.tolist() == wanted[0].tolist()
    np.testing.assert_allclose(confidences, wanted[1], atol=PLAIN_TOLERANCE)
    for row in range(16):
        alone = found.classify(landmarks[row : row + 1], golden.aspect[row : row + 1])
        assert alone[0].tolist() == wanted[0][row : row + 1].tolist()
        np.testing.assert_allclose(alone[1], wanted[1][row : row + 1], atol=PLAIN_TOLERANCE)


def test_classifier_runs_default_graph_in_numpy_and_other_graphs_in_onnx_runtime() -> None:
    assert isinstance(Classifier.from_bundle(BUNDLE)._network, PlainNetwork)
    assert isinstance(Classifier.from_bundle(disturbed(0.9))._network, PlainNetwork)
    graph = onnx.load_from_string(BUNDLE.model)
    graph.graph.node[-4].op_type = "Tanh"
    assert PlainNetwork.of(graph.SerializeToString()) is None


def test_classifier_does_not_use_a_plain_network_whose_native_part_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrong(*arrays: np.ndarray) -> None:
        arrays[-2][:], arrays[-1][:] = 0, 0.5

    monkeypatch.setattr(plain_module, "classify_few", wrong)
    assert not isinstance(Classifier.from_bundle(BUNDLE)._network, PlainNetwork)


def test_graph_with_another_projects_operator_is_not_a_plain_network() -> None:
    graph = onnx.load_from_string(BUNDLE.model)
    graph.graph.node[0].domain = "com.example"
    assert PlainNetwork.of(graph.SerializeToString()) is None
    graph.graph.node[0].domain = ""
    assert PlainNetwork.of(graph.SerializeToString()) is not None


@pytest.mark.parametrize("constant", ["c0", "c10"])
def test_graph_with_a_constant_in_another_file_is_refused(constant: str) -> None:
    graph = onnx.load_from_string(BUNDLE.model)
    tensor = next(one for one in graph.graph.initializer if one.name == constant)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "LOCATION", "/etc/passwd"
    assert PlainNetwork.of(graph.SerializeToString()) is None
    with pytest.raises(ModelError, match="rejects the model"):
        OnnxNetwork(graph.SerializeToString())


@pytest.mark.parametrize("size", [0, 1, 100, 5000, 80_000])
def test_truncated_graph_is_not_a_plain_network(size: int) -> None:
    assert PlainNetwork.of(BUNDLE.model[:size]) is None
    assert PlainNetwork.of(b"\x80" * 10_000) is None


def test_classifier_of_many_rows_equals_rows_one_by_one() -> None:
    classifier, golden = Classifier.from_bundle(BUNDLE), BUNDLE.golden
    rows = np.arange(700) % len(golden.aspect)
    labels, confidences = classifier.classify(golden.landmarks[rows], golden.aspect[rows])
    probabilities = classifier.probabilities(golden.landmarks[rows], golden.aspect[rows])
    assert labels.tolist() == probabilities.argmax(axis=1).tolist()
    np.testing.assert_allclose(confidences, probabilities.max(axis=1), atol=1e-6)
    one = classifier.classify(
        golden.landmarks[699 % len(golden.aspect)][None], golden.aspect[699 % len(golden.aspect)][None]
    )
    assert one[0].tolist() == labels[-1:].tolist()
