"""The run-time of a model: landmarks in, label and confidence out.

This is what a worker imports, so it stays lean: numpy, ONNX Runtime and the bundle, nothing of training.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from gesture_maze.models.bundle import Bundle, ModelReason
from gesture_maze.models.golden import TOLERANCE
from gesture_maze.wire.errors import ModelError
from gesture_maze.wire.gestures import GESTURES

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

    def probabilities(
        self, landmarks: NDArray[np.float32], aspect: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return the probability of each gesture, (n, 19) float32, columns in the order of `GESTURES`.

        Args:
            landmarks: (n, 21, 3) float32, finite; x and y in units of the image's width and height.
                z is read and not used, but must be finite.
            aspect: (n,) float32, width / height of the image, above 0.
        """
        return self._run(landmarks, aspect)[1]

    def classify(
        self, landmarks: NDArray[np.float32], aspect: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the likeliest label (n,) int64 and its probability (n,) float32; arguments as above."""
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
            raise ModelError(ModelReason.BAD_GRAPH, f"The model cannot run: {error}.") from None
        if found.shape != self._golden.probabilities.shape:
            raise ModelError(ModelReason.BAD_GRAPH, f"The model gives probabilities of shape {found.shape}.")
        difference = self._golden.worst_difference(found)
        if difference > TOLERANCE:
            raise ModelError(
                ModelReason.SELF_TEST,
                f"Model {self.version} differs from its golden outputs by {difference:.2g}; it is not used.",
            )

    def _run(
        self, landmarks: NDArray[np.float32], aspect: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        rows = len(landmarks)
        if 0 < rows <= SLICE_ROWS:
            labels, probabilities = self._session.run(None, {"landmarks": landmarks, "aspect": aspect})
            return labels, probabilities
        all_labels = np.empty(rows, np.int64)
        all_probabilities = np.empty((rows, len(GESTURES)), np.float32)
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
        raise ModelError(ModelReason.BAD_GRAPH, f"ONNX Runtime refuses the model: {error}.") from None
    inputs = {node.name: node.type for node in session.get_inputs()}
    outputs = {node.name: node.type for node in session.get_outputs()}
    if inputs != _INPUTS or list(outputs.items()) != list(_OUTPUTS.items()):
        raise ModelError(
            ModelReason.BAD_GRAPH, f"The model maps {inputs} to {outputs}, not as a bundle does."
        )
    return session
