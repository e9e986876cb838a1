"""From trained weights to the ONNX graph of a bundle: raw landmarks in, label and probabilities out.

The features of `models.features` are part of the graph, so that training and serving cannot differ. They are
written for speed: centring is one constant matrix, so that the few operations left each run once per batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.features import HALF, centring_matrix
from wire.gestures import GESTURES

OPSET: Final = 17
IR_VERSION: Final = 8
"""Both old enough for every ONNX Runtime that `pyproject.toml` accepts."""


@dataclass(frozen=True, slots=True)
class Network:
    """A fitted network on the features: affine layers with ReLU between them and softmax after the last."""

    weights: tuple[NDArray[np.float64], ...]
    """Per layer (inputs, outputs)."""
    biases: tuple[NDArray[np.float64], ...]
    """Per layer (outputs,)."""

    def logits(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n, 19) logits of (n, FEATURES) features."""
        values = features
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = (np.maximum(values, 0.0) if layer else values) @ weight + bias
        return values

    def probabilities(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n, 19) probabilities of (n, FEATURES) features."""
        logits = self.logits(features)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        result: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
        return result


class _Builder:
    """Collects nodes and constants; each method returns the name of the value it adds."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, array: NDArray[Any]) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def floats(self, array: NDArray[Any]) -> str:
        return self.constant(np.asarray(array, np.float32))

    def add(self, op: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        return self.add_many(op, inputs, [out or f"v{len(self.nodes)}"], **attributes)[0]

    def add_many(self, op: str, inputs: Sequence[str], outs: list[str], **attributes: Any) -> list[str]:
        self.nodes.append(helper.make_node(op, list(inputs), outs, **attributes))
        return outs


def build_graph(network: Network) -> bytes:
    """Return the serialised ONNX model of `network` with the features in front.

    Inputs `landmarks` (n, 21, 3) float32 and `aspect` (n,) float32; outputs `label` (n,) int64 and
    `probabilities` (n, 19) float32.
    """
    builder = _Builder()
    values = _features(builder)
    for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        if layer:
            values = builder.add("Relu", values)
        values = builder.add("Gemm", values, builder.floats(weight), builder.floats(bias))
    builder.add("ArgMax", values, out="label", axis=1, keepdims=0)
    builder.add("Softmax", values, out="probabilities", axis=1)
    graph = helper.make_graph(
        builder.nodes,
        "gesture_maze",
        [
            helper.make_tensor_value_info("landmarks", TensorProto.FLOAT, ["n", 21, 3]),
            helper.make_tensor_value_info("aspect", TensorProto.FLOAT, ["n"]),
        ],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["n"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", len(GESTURES)]),
        ],
        builder.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    serialised: bytes = model.SerializeToString()
    return serialised


def _features(builder: _Builder) -> str:
    """Add the features of `models.features.features`, step by step the same."""
    flat = builder.add("Reshape", "landmarks", builder.constant(np.array([0, 63], np.int64)))
    centred = builder.add("MatMul", flat, builder.floats(centring_matrix()))
    sizes = builder.constant(np.array([HALF, HALF, 1, 1, 1, 1], np.int64))
    x, y, ix, iy, px, py = builder.add_many(
        "Split", [centred, sizes], ["x", "y", "ix", "iy", "px", "py"], axis=1
    )
    turn = builder.add("Sub", builder.add("Mul", ix, py), builder.add("Mul", px, iy))
    negative = builder.add("Less", turn, builder.floats(np.zeros(())))
    side = builder.add("Where", negative, builder.floats(np.array([-1.0])), builder.floats(np.array([1.0])))
    stretch = builder.add("Unsqueeze", "aspect", builder.constant(np.array([1], np.int64)))
    unfolded = builder.add("Mul", x, builder.add("Mul", stretch, side))
    joined = builder.add("Concat", unfolded, y, axis=1)
    return builder.add("LpNormalization", joined, axis=1, p=2)
