"""The runtime of a model: landmarks in, label and confidence out.

Workers import this module, so it needs numpy, ONNX Runtime and the bundle, and nothing of training.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from gesture_maze.models.bundle import Bundle, ModelReason
from gesture_maze.models.golden import TOLERANCE
from gesture_maze.wire.errors import ModelError
from gesture_maze.wire.gestures import LabelSet

SLICE_ROWS: Final = 256
"""Most rows of one run of the graph. Larger batches are cut: the activations of 256 rows stay in the core's
cache and the memory arena stays small, and one run per 256 rows costs nothing that can be measured."""

_INPUTS: Final = {"landmarks": "tensor(float)", "aspect": "tensor(float)"}
_OUTPUTS: Final = {"label": "tensor(int64)", "probabilities": "tensor(float)"}


class Classifier:
    """A loaded model, proven on its golden hands. Safe to share between threads; one call uses one thread."""

    def __init__(self, bundle: Bundle) -> None:
        """Load and self-test the graph of `bundle`; see `from_bundle`."""
        self.manifest = bundle.manifest
        self._golden = bundle.golden
        self._session = _open_session(bundle.model)
        self.self_test()
        self._needs_depth = self._check_depth()

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> Classifier:
        """Return the classifier of a verified bundle, ready and warm: its self-test was its first batch.

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
        """Whether the model uses z; measured where the bundle does not declare it."""
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
        return self._run(landmarks, aspect)[1]

    def classify(
        self, landmarks: NDArray[np.float32], aspect: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the likeliest label, a place in `labels`, and its probability; arguments as above.

        Returns:
            (n,) int64 and (n,) float32.
        """
        labels, probabilities = self._run(landmarks, aspect)
        return labels, probabilities[np.arange(len(labels)), labels]

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
            ModelError: `bad_graph`: it does, although the bundle declares that it does not.
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

    def _run(
        self, landmarks: NDArray[np.float32], aspect: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        rows = len(landmarks)
        if 0 < rows <= SLICE_ROWS:
            labels, probabilities = self._session.run(None, {"landmarks": landmarks, "aspect": aspect})
            return labels, probabilities
        all_labels = np.empty(rows, np.int64)
        all_probabilities = np.empty((rows, len(self.labels)), np.float32)
        for start in range(0, rows, SLICE_ROWS):
            part = slice(start, start + SLICE_ROWS)
            feed = {"landmarks": landmarks[part], "aspect": aspect[part]}
            all_labels[part], all_probabilities[part] = self._session.run(None, feed)
        return all_labels, all_probabilities


def _open_session(model: bytes) -> Any:
    """Return a single-threaded session for the graph, or refuse it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # Batch sizes vary from call to call: patterns learned for one size would only be kept, never used again.
    options.enable_mem_pattern = False
    options.log_severity_level = 4  # its faults reach us as exceptions; no lines of its own on stderr
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - ONNX Runtime raises many kinds, none of them ours
        raise ModelError(
            ModelReason.BAD_GRAPH, f"ONNX Runtime refuses the model: {str(error).rstrip('.')}"
        ) from None
    inputs = {node.name: node.type for node in session.get_inputs()}
    outputs = {node.name: node.type for node in session.get_outputs()}
    if inputs != _INPUTS or list(outputs.items()) != list(_OUTPUTS.items()):
        raise ModelError(ModelReason.BAD_GRAPH, f"the model maps {inputs} to {outputs}, not as a bundle does")
    return session
