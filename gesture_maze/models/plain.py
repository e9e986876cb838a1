"""The network of a bundle in plain numpy, without ONNX Runtime.

The graph of `models.onnx.graph` is a few matrix products. numpy takes about as long for them as ONNX Runtime;
without that a worker is some 25 MB smaller and starts sooner. Compiled wheels compute few hands in C
(`native.c`). What is linear in the landmarks (centring, the turn, the differences) is one matrix here.

Only a graph that matches the one of `models.onnx.graph` node by node is accepted, and `models.classifier`
uses it only if it gives the golden outputs of its bundle.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from gesture_maze.models.features import COORDINATES, FEATURES, PAIRS, POINTS

try:
    from gesture_maze.models.native import classify as classify_few
except ImportError:  # not a compiled wheel
    classify_few = None  # type: ignore[assignment]

Array: TypeAlias = npt.NDArray[np.float32]
Message: TypeAlias = bytes | memoryview

FEW_ROWS: Final = 24
"""Up to this many hands are computed by `native.c`, if it is built; more take less time in numpy."""
BLOCK: Final = 32
"""Outputs of a layer that `native.c` computes at once."""

GRAPH: Final = """\
Reshape landmarks c0 v0
MatMul v0 c1 v1
Split v1 c2 v2_0 v2_1 v2_2
Mul v2_1 v2_2 v3
Gemm v3 c3 c4 v4
Unsqueeze aspect c5 v5
Sign v4 v6
Mul v5 v6 v7
Gemm v7 c6 c7 v8
Mul v2_0 v8 v9
LpNormalization v9 v10
MatMul v10 c8 v11
Mul v11 v11 v12
Split v12 c9 v13_0 v13_1
Add v13_0 v13_1 v14
Sqrt v14 v15
Concat v10 v15 v16
Gemm v16 c10 c11 v17
Relu v17 v18
Gemm v18 c12 c13 v19
ArgMax v19 label
Softmax v19 probabilities"""
"""Operator, inputs and outputs of each node of the graph that is computed here; c0 to c13 are constants."""

_PAIRS: Final = len(PAIRS)
# rows of the values of a hand: differences in y, differences in x, x, y, factors of the turn
_X: Final = 2 * _PAIRS
_TURN: Final = _X + COORDINATES
_HORIZONTAL: Final = slice(_PAIRS, _X + POINTS)
_FEATURES: Final = slice(_PAIRS, _TURN + 1)
_TINY: Final = np.float32(1e-30)
# fields of the messages of ONNX (onnx.proto)
_MODEL_GRAPH, _GRAPH_NODE, _GRAPH_CONSTANT = 7, 1, 5
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR, _NODE_DOMAIN = 1, 2, 4, 7
_TENSOR_SHAPE, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_DATA = 1, 2, 8, 9
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14
_FLOAT32: Final = 1


class PlainNetwork:
    """A network of `models.onnx.graph`. Safe to share between threads.

    All arrays are transposed, a hand in a column, so that every operation runs along contiguous memory. The
    rows of `linear` are ordered so that the features are computed in place, next to each other.

    Features are not divided by the norm of the hand: their bias is multiplied by it, and the logits are
    divided by it. That gives the same, because relu(c x) = c relu(x) for c > 0, with a fourth of the
    divisions.

    Args:
        linear: (96, 63): rows of landmarks -> differences in y, in x, coordinates x, y, factors of the turn.
        hidden: (h + 1, 68): weights of the hidden layer for distances, x, y, and its bias; its last row gives
            the norm.
        output: (k, h + 1): weights of the last layer, its bias in the last column.
    """

    def __init__(self, linear: Array, hidden: Array, output: Array) -> None:
        self._linear: Final = linear
        self._hidden: Final = hidden
        self._output: Final = output
        # an array, because numpy takes longer for the maximum with a number
        self._zeros: Final = np.zeros(len(hidden), np.float32)
        blocks = _blocks(linear), _blocks(hidden), _blocks(output), len(output)
        self._native: Final = None if classify_few is None else blocks

    @classmethod
    def of(cls, model: bytes) -> Self | None:
        """Return the network of a serialised ONNX graph, or None if it is another kind of graph."""
        try:
            constants = _constants(model)
            if constants is None:
                return None
            centring, differences = constants["c1"], constants["c8"]
            across = centring[:, :COORDINATES] @ differences
            linear = np.concatenate([across[:, _PAIRS:], across[:, :_PAIRS], centring], axis=1)
            weights, bias = constants["c10"], constants["c11"]
            hidden = np.zeros((weights.shape[1] + 1, FEATURES + 1), np.float32)
            hidden[:-1, :_PAIRS], hidden[:-1, _PAIRS:-1] = weights[COORDINATES:].T, weights[:COORDINATES].T
            hidden[:-1, -1], hidden[-1, -1] = bias, 1.0
            output = np.concatenate([constants["c12"].T, constants["c13"][:, None]], axis=1)
        except (KeyError, IndexError, ValueError, TypeError, OverflowError):
            return None  # malformed, or other shapes
        if linear.shape != (3 * POINTS, _TURN + 4) or output.shape[1] != len(hidden):
            return None
        return cls(np.ascontiguousarray(linear.T), hidden, np.ascontiguousarray(output))

    def probabilities(self, landmarks: Array, aspect: Array) -> Array:
        """Return the probability of each label, (n, k) float32; see `Classifier.probabilities`."""
        powers, total = _powers(self._logits(landmarks, aspect))
        powers /= total
        return powers.T

    def classify(self, landmarks: Array, aspect: Array) -> tuple[npt.NDArray[np.int64], Array]:
        """Return the likeliest label (n,) int64 and its probability (n,) float32."""
        rows = len(landmarks)
        if rows <= FEW_ROWS and self._native is not None:
            labels, found = np.empty(rows, np.int64), np.empty(rows, np.float32)
            hands = np.ascontiguousarray(landmarks, np.float32), np.ascontiguousarray(aspect, np.float32)
            classify_few(*self._native, *hands, labels, found)
            return labels, found
        logits = self._logits(landmarks, aspect)
        return logits.argmax(axis=0), np.reciprocal(_powers(logits)[1])

    def _logits(self, landmarks: Array, aspect: Array) -> Array:
        """Return the logits of n hands, (k, n)."""
        values = self._linear.dot(landmarks.reshape(-1, 3 * POINTS).T)
        products = values[_TURN : _TURN + 2] * values[_TURN + 2 :]
        turn = products[0] - products[1]
        turn += _TINY
        values[_HORIZONTAL] *= np.copysign(aspect, turn)
        squares, distances = values[:_X], values[_PAIRS:_X]
        squares *= squares
        distances += values[:_PAIRS]
        np.sqrt(distances, distances)
        points = values[_X:_TURN]
        norm = np.einsum("ij,ij->j", points, points)
        np.sqrt(norm, norm)
        np.maximum(norm, _TINY, out=norm)
        values[_TURN] = norm
        hidden = self._hidden.dot(values[_FEATURES])
        np.maximum(hidden, self._zeros[:, None], out=hidden)
        logits: Array = self._output.dot(hidden)
        logits /= norm
        return logits


def _blocks(weights: Array) -> Array:
    """Return weights (n outputs, m inputs) in blocks of outputs for `native.c`, (n / `BLOCK`, m, `BLOCK`).

    The last block is filled with zeros.
    """
    filled = np.pad(weights, ((0, -len(weights) % BLOCK), (0, 0)))
    return np.ascontiguousarray(filled.reshape(-1, BLOCK, weights.shape[1]).transpose(0, 2, 1))


def _powers(logits: Array) -> tuple[Array, Array]:
    """Return e to the logits minus the largest of their hand (k, n), in place, and the sums (n,)."""
    # not by the methods `max` and `sum`, which are Python around this and slower for few hands
    logits -= np.maximum.reduce(logits)
    np.exp(logits, out=logits)
    return logits, np.add.reduce(logits)


def _constants(model: bytes) -> dict[str, Array] | None:
    """Return the constants of a graph, or None if its nodes are not those of `GRAPH`."""
    graph = next((value for number, value in _fields(model) if number == _MODEL_GRAPH), b"")
    nodes, constants = [], {}
    for number, value in _messages(graph):
        if number == _GRAPH_NODE:
            nodes.append(_node(value))
        elif number == _GRAPH_CONSTANT:
            name, array = _tensor(value)
            constants[name] = array
    if nodes != GRAPH.splitlines():
        return None
    # x is multiplied by the stretch, y by 1
    ones, zeros = np.ones(POINTS, np.float32), np.zeros(POINTS, np.float32)
    fixed: dict[str, Array] = {
        "c3": np.array([[1.0], [-1.0]], np.float32),
        "c6": np.concatenate([ones, zeros])[None],
        "c7": np.concatenate([zeros, ones]),
    }
    if all(np.array_equal(constants[name], value) for name, value in fixed.items()):
        return constants
    return None


def _node(message: Message) -> str:
    """Return a node as a line of `GRAPH`, which an operator that is not ONNX's own is not equal to."""
    words: dict[int, list[str]] = {_NODE_OPERATOR: [], _NODE_INPUT: [], _NODE_OUTPUT: [], _NODE_DOMAIN: []}
    for number, value in _messages(message):
        if number in words:
            words[number].append(bytes(value).decode())
    domain = [name for name in words[_NODE_DOMAIN] if name]
    return " ".join(words[_NODE_OPERATOR] + words[_NODE_INPUT] + words[_NODE_OUTPUT] + domain)


def _tensor(message: Message) -> tuple[str, Array]:
    """Return name and value of a constant; an empty array if it is not of float32.

    Raises:
        ValueError: it is malformed, or its value is in another file.
    """
    shape: list[int] = []
    name, data, kind = "", b"", 0
    for number, value in _fields(message):
        if number == _TENSOR_EXTERNAL or (number == _TENSOR_LOCATION and value):
            raise ValueError("the value is in another file")
        if number == _TENSOR_SHAPE:
            shape += [value] if isinstance(value, int) else _varints(value)
        elif number == _TENSOR_TYPE and isinstance(value, int):
            kind = value
        elif number == _TENSOR_NAME and not isinstance(value, int):
            name = bytes(value).decode()
        elif number == _TENSOR_DATA and not isinstance(value, int):
            data = bytes(value)
    if kind != _FLOAT32:
        return name, np.empty(0, np.float32)
    return name, np.frombuffer(data, "<f4").reshape(shape)


def _messages(message: Message | int) -> Iterator[tuple[int, Message]]:
    """Yield the fields of a protobuf message that are bytes."""
    for number, value in _fields(message):
        if not isinstance(value, int):
            yield number, value


def _fields(message: Message | int) -> Iterator[tuple[int, memoryview | int]]:
    """Yield number and value of each field of a protobuf message.

    Raises:
        IndexError, ValueError: it is malformed.
    """
    if isinstance(message, int):
        raise TypeError("a number is not a message")
    view, at = memoryview(message), 0
    while at < len(view):
        key, at = _varint(view, at)
        match key & 7:
            case 0:
                number, at = _varint(view, at)
                yield key >> 3, number
            case 2:
                size, at = _varint(view, at)
                if at + size > len(view):
                    raise ValueError("a field is cut short")
                yield key >> 3, view[at : at + size]
                at += size
            case 5:
                at += 4
            case 1:
                at += 8
            case kind:
                raise ValueError(f"unknown wire type {kind}")


def _varints(view: memoryview) -> list[int]:
    found, at = [], 0
    while at < len(view):
        one, at = _varint(view, at)
        found.append(one)
    return found


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    """Return the variable-length integer at a place, and the place after it."""
    value = shift = 0
    while shift < 64:
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("a number has more than 64 bits")
