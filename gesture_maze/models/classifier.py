"""The runtime of a model: landmarks in, label and confidence out.

Workers import this module, so it needs only numpy and the bundle, nothing from training. ONNX Runtime is
imported for graphs that `models.plain` does not know.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from gesture_maze.models.bundle import Bundle, ModelReason
from gesture_maze.models.golden import TOLERANCE
from gesture_maze.models.plain import FEW_ROWS, PlainNetwork
from gesture_maze.wire.errors import ModelError
from gesture_maze.wire.gestures import LabelSet

SLICE_ROWS: Final = 256
"""Most rows of one run of the graph. Larger batches are cut: the activations of 256 rows stay in the core's
cache, and the cost of one more run per 256 rows is not measurable."""

PLAIN_TOLERANCE: Final = 1e-5
"""Largest difference from the golden outputs at which numpy may compute a graph; replies have three
decimals."""


class Network(Protocol):
    """A graph that can be run on up to `SLICE_ROWS` hands."""

    def probabilities(
        self, landmarks: NDArray[np.float32], aspect: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """See `Classifier.probabilities`."""

    def classify(
        self, landmarks: NDArray[np.float32], aspect: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """See `Classifier.classify`."""


class Classifier:
    """A loaded model, proven on its golden hands. Safe to share between threads; one call uses one thread."""

    def __init__(self, bundle: Bundle) -> None:
        """Load and self-test the graph of `bundle`; see `from_bundle`."""
        self.manifest = bundle.manifest
        self._golden = bundle.golden
        self._network = self._open(bundle.model)
        self.self_test()
        self._needs_depth = self._check_depth()

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> Classifier:
        """Return the classifier of a verified bundle, warmed up by its self-test.

        Raises:
            ModelError: `bad_graph` or `self_test`.
        """
        return cls(bundle)

    @property
    def version(self) -> str:
        """The model version, which every reply names."""
        return self.manifest.model_version

    @property
    def labels(self) -> tuple[str, ...]:
        """The gestures that the model knows; labels and columns of probabilities are places in it."""
        return self.manifest.labels

    @property
    def numbers(self) -> tuple[int, ...]:
        """The number of each of `labels` in replies."""
        return self.manifest.numbers

    @property
    def label_set(self) -> LabelSet:
        """Its `labels` with their `numbers`."""
        return LabelSet(self.labels, self.numbers)

    @property
    def needs_depth(self) -> bool:
        """Whether the model uses z; measured if the bundle does not declare it."""
        return self._needs_depth

    def probabilities(
        self, landmarks: NDArray[np.float32], aspect: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return the probability of each gesture, (n, k) float32, columns in the order of `labels`.

        Args:
            landmarks: (n, 21, 3) float32, finite; x and y in units of the image's width and height, z in
                units of its width. z must be finite also for models that do not use it.
            aspect: (n,) float32, width / height of the image, above 0.
        """
        run = self._network.probabilities
        if 0 < len(landmarks) <= SLICE_ROWS:
            return run(landmarks, aspect)
        found = np.empty((len(landmarks), len(self.labels)), np.float32)
        for part in _slices(len(landmarks)):
            found[part] = run(landmarks[part], aspect[part])
        return found

    def classify(
        self, landmarks: NDArray[np.float32], aspect: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the likeliest label, an index into `labels`, and its probability. See `probabilities` for
        the arguments.

        Returns:
            (n,) int64 and (n,) float32.
        """
        run, rows = self._network.classify, len(landmarks)
        if 0 < rows <= SLICE_ROWS:
            return run(landmarks, aspect)
        labels, confidences = np.empty(rows, np.int64), np.empty(rows, np.float32)
        for part in _slices(rows):
            labels[part], confidences[part] = run(landmarks[part], aspect[part])
        return labels, confidences

    def self_test(self) -> None:
        """Run the golden hands and compare.

        Raises:
            ModelError: `self_test`, with the largest difference; `bad_graph` if the graph cannot run.
        """
        try:
            found = self.probabilities(self._golden.landmarks, self._golden.aspect)
        except Exception as error:  # noqa: BLE001 - ONNX Runtime raises many kinds, none of them ours
            raise ModelError(
                ModelReason.BAD_GRAPH, f"the model cannot run: {str(error).rstrip('.')}"
            ) from None
        if found.shape != self._golden.probabilities.shape:
            raise ModelError(ModelReason.BAD_GRAPH, f"the model gives probabilities of shape {found.shape}")
        difference = self._golden.worst_difference(found)
        if difference > TOLERANCE:
            raise ModelError(
                ModelReason.SELF_TEST,
                f"model {self.version} differs from its golden outputs by {difference:.2g}; it is not used",
            )

    def _check_depth(self) -> bool:
        """Return whether the model uses z, judged by changing it in the golden hands.

        Raises:
            ModelError: `bad_graph`: the model uses z, although the bundle declares that it does not.
        """
        moved = self._golden.landmarks.copy()
        moved[:, :, 2] += np.linspace(-0.5, 0.5, moved.shape[1], dtype=np.float32)
        try:
            found = self.probabilities(moved, self._golden.aspect)
        except Exception as error:  # noqa: BLE001 - ONNX Runtime raises many kinds, none of them ours
            raise ModelError(
                ModelReason.BAD_GRAPH, f"the model cannot run: {str(error).rstrip('.')}"
            ) from None
        used = self._golden.worst_difference(found) > TOLERANCE
        declared = self.manifest.inputs
        if declared is not None and used and not declared.needs_depth:
            raise ModelError(
                ModelReason.BAD_GRAPH,
                f"model {self.version} declares that it does not use z, but its answers depend on it",
            )
        return used if declared is None else declared.needs_depth

    def _open(self, model: bytes) -> Network:
        """Return the graph in numpy, if that gives the golden outputs, or else in ONNX Runtime.

        Raises:
            ModelError: `bad_graph`.
        """
        plain = PlainNetwork.of(model)
        if plain is not None and self._is_golden(plain):
            return plain
        from gesture_maze.models.runtime import OnnxNetwork

        return OnnxNetwork(model)

    def _is_golden(self, network: PlainNetwork) -> bool:
        golden = self._golden
        few = slice(FEW_ROWS)  # which compiled wheels compute in another way
        with np.errstate(all="ignore"):  # a bundle from elsewhere may hold any numbers
            found = network.probabilities(golden.landmarks, golden.aspect)
            _, most = network.classify(golden.landmarks[few], golden.aspect[few])
        if found.shape != golden.probabilities.shape:
            return False
        if not np.allclose(most, golden.probabilities[few].max(axis=1), rtol=0, atol=PLAIN_TOLERANCE):
            return False
        return golden.worst_difference(found) <= PLAIN_TOLERANCE


def _slices(rows: int) -> list[slice]:
    return [slice(start, start + SLICE_ROWS) for start in range(0, rows, SLICE_ROWS)]
