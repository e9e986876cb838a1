"""From trained weights to the ONNX graph of a bundle: raw landmarks in, label and probabilities out.

The features of `models.features` are part of the graph, so that training and serving cannot differ. They are
written for speed: centring is one constant matrix, and the few remaining operations each run once per batch.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from gesture_maze.models.features import COORDINATES, PAIRS, POINTS, centring_matrix, difference_matrix
from gesture_maze.models.network import Network

OPSET: Final = 17
TREES: Final = "ai.onnx.ml"
TREES_OPSET: Final = 3
IR_VERSION: Final = 8
"""Versions that every ONNX Runtime accepted by `pyproject.toml` supports."""


class GraphBuilder:
    """Collects nodes and constants. Each method returns the name of the value that it adds.

    Args:
        dtype: type of the arithmetic. float32 is twice as fast; float64 is for models that compare numbers
            with constants, as trees do.
    """

    def __init__(self, dtype: type[np.floating[Any]] = np.float32) -> None:
        self.dtype: Final = dtype
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def floats(self, values: NDArray[Any] | float | list[float] | list[list[float]]) -> str:
        """Add a constant of floating-point numbers and return its name."""
        return self._constant(np.asarray(values, self.dtype))

    def ints(self, *values: int) -> str:
        """Add a constant of int64 and return its name."""
        return self._constant(np.array(values, np.int64))

    @property
    def element_type(self) -> int:
        """The dtype as ONNX numbers it, for `Cast`."""
        return helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))

    def add(
        self, op: str, *inputs: str, out: str | None = None, more: tuple[str, ...] = (), **attributes: Any
    ) -> str:
        """Add a node and return the name of its first output, `out` or a new one; `more` names the others."""
        name = out or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name, *more], **attributes))
        return name

    def split(self, value: str, *widths: int) -> list[str]:
        """Cut a value (n, sum of widths) into columns and return their names."""
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
    `probabilities` (n, k) float32, k the outputs of the last layer.
    """
    builder = GraphBuilder()
    values = feature_nodes(builder)
    for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        if layer:
            values = builder.add("Relu", values)
        values = builder.add("Gemm", values, builder.floats(weight), builder.floats(bias))
    builder.add("ArgMax", values, out="label", axis=1, keepdims=0)
    builder.add("Softmax", values, out="probabilities", axis=1)
    return serialised(builder, len(network.biases[-1]))


def serialised(builder: GraphBuilder, classes: int) -> bytes:
    """Return the ONNX model of a graph whose nodes give `label` and `probabilities` (n, classes)."""
    graph = helper.make_graph(
        builder.nodes,
        "gesture_maze",
        [
            helper.make_tensor_value_info("landmarks", TensorProto.FLOAT, ["n", 21, 3]),
            helper.make_tensor_value_info("aspect", TensorProto.FLOAT, ["n"]),
        ],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["n"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", classes]),
        ],
        builder.constants,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    if any(node.domain == TREES for node in builder.nodes):
        opsets.append(helper.make_opsetid(TREES, TREES_OPSET))
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def feature_nodes(builder: GraphBuilder) -> str:
    """Add the same steps as `models.features.features`, and return the name of the features."""
    landmarks, aspect = (in_dtype(builder, name) for name in ("landmarks", "aspect"))
    flat = builder.add("Reshape", landmarks, builder.ints(0, 3 * POINTS))
    centred = builder.add("MatMul", flat, builder.floats(centring_matrix()))
    points, first, second = builder.split(centred, COORDINATES, 2, 2)
    products = builder.add("Mul", first, second)
    # the tiny term makes the side of an exact zero +1; Sign, not Where, which costs six times as much
    turn = builder.add("Gemm", products, builder.floats([[1.0], [-1.0]]), builder.floats([1e-30]))
    stretch = builder.add("Unsqueeze", aspect, builder.ints(1))
    factor = builder.add("Mul", stretch, builder.add("Sign", turn))
    of_x = np.repeat([1.0, 0.0], POINTS)
    factors = builder.add("Gemm", factor, builder.floats(of_x[None]), builder.floats(1.0 - of_x))
    joined = builder.add("Mul", points, factors)
    coordinates = builder.add("LpNormalization", joined, axis=1, p=2)
    differences = builder.add("MatMul", coordinates, builder.floats(difference_matrix()))
    squares = builder.add("Mul", differences, differences)
    in_x, in_y = builder.split(squares, len(PAIRS), len(PAIRS))
    distances = builder.add("Sqrt", builder.add("Add", in_x, in_y))
    return builder.add("Concat", coordinates, distances, axis=1)


def in_dtype(builder: GraphBuilder, name: str) -> str:
    """Return the name of the float32 input `name` in the builder's type."""
    if builder.dtype is np.float32:
        return name
    return builder.add("Cast", name, to=builder.element_type)
