"""A fitted support vector classifier as plain arrays, and as nodes of an ONNX graph.

libsvm's classifier is one-against-one: a decision per pair of classes, each a weighted sum of kernels with
the support vectors. Written as two matrix products it runs at the speed of the matrix library, unlike ONNX's
own operator.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gesture_maze.models.onnx.graph import TREES, GraphBuilder

KERNELS: Final = ("rbf", "linear", "poly", "sigmoid")
"""Kernel names of scikit-learn; ONNX's are the same in upper case."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """An SVC of k classes and m support vectors, with scikit-learn's names and signs.

    Raises:
        ValueError: the arrays do not fit together, or hold numbers that are not finite.
    """

    kernel: str
    gamma: float
    coef0: float
    degree: int
    vectors: NDArray[np.float64]
    """(m, f), sorted by class."""
    counts: NDArray[np.int64]
    """(k,) support vectors per class."""
    dual: NDArray[np.float64]
    """(k - 1, m), scikit-learn's `dual_coef_`."""
    intercepts: NDArray[np.float64]
    """One per pair of classes, in the order (0, 1), (0, 2), ..."""
    platt_a: NDArray[np.float64]
    platt_b: NDArray[np.float64]
    """One per pair: `probA_`, `probB_`; both empty if it was fitted without `probability=True`."""

    def __post_init__(self) -> None:
        k, m = len(self.counts), len(self.vectors)
        pairs = k * (k - 1) // 2
        fits = (
            self.kernel in KERNELS
            and k >= 2
            and int(self.counts.sum()) == m
            and self.dual.shape == (k - 1, m)
            and self.intercepts.shape == (pairs,)
            and self.platt_a.shape == self.platt_b.shape
            and len(self.platt_a) in (0, pairs)
        )
        numbers = (self.vectors, self.dual, self.intercepts, self.platt_a, self.platt_b)
        if not fits or not all(np.isfinite(array).all() for array in numbers):
            raise ValueError("it is not a fitted SVC with a kernel that can be exported")

    @property
    def calibrated(self) -> bool:
        """Whether it has probabilities of its own (Platt's)."""
        return len(self.platt_a) > 0

    def without_probabilities(self) -> Vectors:
        """Return the same SVC as if it had been fitted without `probability=True`."""
        return replace(self, platt_a=np.zeros(0), platt_b=np.zeros(0))

    def pair_weights(self) -> NDArray[np.float64]:
        """Return the (m, pairs) matrix from kernels to decisions, positive for the first of each pair.

        With two classes, scikit-learn inverts the sign: positive means the second.
        """
        ends = np.cumsum(self.counts)
        places = [slice(end - count, end) for end, count in zip(ends, self.counts, strict=True)]
        pairs = list(combinations(range(len(self.counts)), 2))
        weights = np.zeros((len(self.vectors), len(pairs)))
        for column, (first, second) in enumerate(pairs):
            weights[places[first], column] = self.dual[second - 1, places[first]]
            weights[places[second], column] = self.dual[first, places[second]]
        return weights


def vectors_of(svc: Any) -> Vectors:
    """Return the arrays of a fitted `sklearn.svm.SVC`.

    Raises:
        AttributeError: it is not fitted.
        ValueError: as `Vectors`.
    """
    return Vectors(
        kernel=str(svc.kernel),
        gamma=float(svc._gamma),
        coef0=float(svc.coef0),
        degree=int(svc.degree),
        vectors=np.asarray(svc.support_vectors_, np.float64),
        counts=np.asarray(svc.n_support_, np.int64),
        dual=np.asarray(svc.dual_coef_, np.float64),
        intercepts=np.asarray(svc.intercept_, np.float64),
        # the public names are deprecated since scikit-learn 1.9
        platt_a=np.asarray(svc._probA, np.float64),
        platt_b=np.asarray(svc._probB, np.float64),
    )


def decision_nodes(builder: GraphBuilder, rows: str, svc: Vectors) -> str:
    """Add `decision_function` of shape `ovr` for `rows` (n, f) and return the name of the (n, k) result.

    With two classes the result is (n, 1), positive for the second class.
    """
    kernels = _kernel_nodes(builder, rows, svc)
    weights, intercepts = svc.pair_weights(), svc.intercepts
    pairs = builder.add("Gemm", kernels, builder.floats(weights), builder.floats(intercepts))
    k = len(svc.counts)
    if k == 2:
        return pairs
    # A vote for the first of the pair if the decision is not negative, else for the second.
    first, second = (_membership(k, place) for place in (0, 1))
    lost = builder.add("Cast", builder.add("Less", pairs, builder.floats(0.0)), to=builder.element_type)
    votes = builder.add("Gemm", lost, builder.floats(second - first), builder.floats(first.sum(axis=0)))
    sums = builder.add("MatMul", pairs, builder.floats(first - second))
    # scikit-learn's tie breaker: the sums squeezed into -1/3..1/3, so that they never outweigh a vote
    size = builder.add("Add", builder.add("Abs", sums), builder.floats(1.0))
    squeezed = builder.add("Div", sums, builder.add("Mul", size, builder.floats(3.0)))
    return builder.add("Add", votes, squeezed)


def platt_nodes(builder: GraphBuilder, rows: str, svc: Vectors) -> str:
    """Add libsvm's coupled pairwise probabilities for `rows` (n, f) and return the name of the (n, k) result.

    Their coupling (Wu, Lin and Weng, Journal of Machine Learning Research 5, 2004) is an iteration, so this
    is left to ONNX's own operator, which works with float32 constants.
    """
    sign = -1.0 if len(svc.counts) == 2 else 1.0  # libsvm's own sign: see `Vectors.pair_weights`
    builder.add(
        "SVMClassifier",
        rows,
        out="svc_label",
        more=("svc_probabilities",),
        domain=TREES,
        kernel_type=svc.kernel.upper(),
        kernel_params=[svc.gamma, svc.coef0, float(svc.degree)],
        vectors_per_class=svc.counts.tolist(),
        support_vectors=svc.vectors.ravel().tolist(),
        coefficients=(sign * svc.dual).ravel().tolist(),
        rho=(sign * svc.intercepts).tolist(),
        prob_a=svc.platt_a.tolist(),
        prob_b=svc.platt_b.tolist(),
        classlabels_ints=list(range(len(svc.counts))),
    )
    return builder.add("Cast", "svc_probabilities", to=builder.element_type)


def _kernel_nodes(builder: GraphBuilder, rows: str, svc: Vectors) -> str:
    products = builder.add("MatMul", rows, builder.floats(svc.vectors.T))
    if svc.kernel == "linear":
        return products
    if svc.kernel == "rbf":
        return builder.add(
            "Exp", builder.add("Mul", squared_distances(builder, rows, products, svc.vectors),
                               builder.floats(-svc.gamma))
        )  # fmt: skip
    scaled = builder.add("Mul", products, builder.floats(svc.gamma))
    shifted = builder.add("Add", scaled, builder.floats(svc.coef0))
    if svc.kernel == "sigmoid":
        return builder.add("Tanh", shifted)
    return builder.add("Pow", shifted, builder.floats(float(svc.degree)))


def squared_distances(builder: GraphBuilder, rows: str, products: str, points: NDArray[np.float64]) -> str:
    """Add the squared distances (n, m) of `rows` (n, f) to `points` (m, f), given their `products` (n, m)."""
    own = builder.add("ReduceSum", builder.add("Mul", rows, rows), builder.ints(1), keepdims=1)
    theirs = builder.floats(np.sum(points**2, axis=1)[None, :])
    twice = builder.add("Mul", products, builder.floats(2.0))
    squares = builder.add("Sub", builder.add("Add", own, theirs), twice)
    return builder.add("Max", squares, builder.floats(0.0))  # rounding can make a zero negative


def _membership(k: int, place: int) -> NDArray[np.float64]:
    """Return the (pairs, k) matrix that marks the class that is first (0) or second (1) in each pair."""
    pairs = list(combinations(range(k), 2))
    matrix = np.zeros((len(pairs), k))
    matrix[np.arange(len(pairs)), [pair[place] for pair in pairs]] = 1.0
    return matrix
