"""A graph in ONNX Runtime. Imported only for graphs that `models.plain` does not know."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from gesture_maze.models.bundle import ModelReason
from gesture_maze.wire.errors import ModelError

_INPUTS: Final = {"landmarks": "tensor(float)", "aspect": "tensor(float)"}
_OUTPUTS: Final = {"label": "tensor(int64)", "probabilities": "tensor(float)"}


class OnnxNetwork:
    """A session of ONNX Runtime. Safe to share between threads; one call uses one thread.

    Raises:
        ModelError: `bad_graph`.
    """

    def __init__(self, model: bytes) -> None:
        self._session: Final = _open_session(model)

    def probabilities(
        self, landmarks: NDArray[np.float32], aspect: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return the probability of each label, (n, k) float32; see `Classifier.probabilities`."""
        found: NDArray[np.float32] = self._run(landmarks, aspect)[1]
        return found

    def classify(
        self, landmarks: NDArray[np.float32], aspect: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the likeliest label (n,) int64 and its probability (n,) float32."""
        labels, probabilities = self._run(landmarks, aspect)
        return labels, probabilities[np.arange(len(labels)), labels]

    def _run(self, landmarks: NDArray[np.float32], aspect: NDArray[np.float32]) -> Any:
        return self._session.run(None, {"landmarks": landmarks, "aspect": aspect})


def _open_session(model: bytes) -> Any:
    """Return a single-threaded session for the graph, or refuse it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # Batch sizes vary from call to call: memory patterns of one size would be kept but never used again.
    options.enable_mem_pattern = False
    options.log_severity_level = 4  # its errors are raised as exceptions; it must not write to stderr as well
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - ONNX Runtime raises many kinds, none of them ours
        raise ModelError(
            ModelReason.BAD_GRAPH, f"ONNX Runtime rejects the model: {str(error).rstrip('.')}"
        ) from None
    inputs = {node.name: node.type for node in session.get_inputs()}
    outputs = {node.name: node.type for node in session.get_outputs()}
    if inputs != _INPUTS or list(outputs.items()) != list(_OUTPUTS.items()):
        raise ModelError(ModelReason.BAD_GRAPH, f"the model maps {inputs} to {outputs}, not as a bundle does")
    return session
