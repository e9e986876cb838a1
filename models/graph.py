"""From trained weights to the ONNX graph of a bundle: raw landmarks in, label and probabilities out.

The features of `models.features` are part of the graph, so that training and serving cannot differ. They are
written for speed: centring is one constant matrix, so that the few operations left each run once per batch.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.features import PAIRS, POINTS, centring_matrix, difference_matrix
from models.network import Network
from wire.gestures import GESTURES

OPSET: Final = 17
IR_VERSION: Final = 8
"""Both old enough for every ONNX Runtime that `pyproject.toml` accepts."""


class _Builder:
    """Collects nodes and constants; each method returns the name of the value it adds."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def floats(self, values: NDArray[Any] | float | list[float]) -> str:
        return self._constant(np.asarray(values, np.float32))

    def ints(self, *values: int) -> str:
        return self._constant(np.array(values, np.int64))

    def add(self, op: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        name = out or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def split(self, value: str, *widths: int) -> list[str]:
        names = [f"v{len(self.nodes)}_{part}" for part in range(len(widths))]
        self.nodes.append(helper.make_node("Split", [value, self.ints(*widths)], names, axis=1))
        return names

    def _constant(self, array: NDArray[Any]) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name


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
    flat = builder.add("Reshape", "landmarks", builder.ints(0, 3 * POINTS))
    centred = builder.add("MatMul", flat, builder.floats(centring_matrix()))
    x, y, *knuckles = builder.split(centred, POINTS, POINTS, 1, 1, 1, 1)
    index_x, index_y, little_x, little_y = knuckles
    turn = builder.add("Sub", builder.add("Mul", index_x, little_y), builder.add("Mul", little_x, index_y))
    # Sign, not Where, which costs six times as much; the tiny term makes the side of an exact zero +1.
    side = builder.add("Sign", builder.add("Add", turn, builder.floats(1e-30)))
    stretch = builder.add("Unsqueeze", "aspect", builder.ints(1))
    x = builder.add("Mul", x, builder.add("Mul", stretch, side))
    joined = builder.add("Concat", x, y, axis=1)
    coordinates = builder.add("LpNormalization", joined, axis=1, p=2)
    differences = builder.add("MatMul", coordinates, builder.floats(difference_matrix()))
    squares = builder.add("Mul", differences, differences)
    in_x, in_y = builder.split(squares, len(PAIRS), len(PAIRS))
    distances = builder.add("Sqrt", builder.add("Add", in_x, in_y))
    return builder.add("Concat", coordinates, distances, axis=1)
