"""The network of few hands in C; only in compiled wheels."""

import numpy as np
import numpy.typing as npt

def classify(
    linear: npt.NDArray[np.float32],
    hidden: npt.NDArray[np.float32],
    output: npt.NDArray[np.float32],
    count: int,
    landmarks: npt.NDArray[np.float32],
    aspect: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float32],
    /,
) -> None:
    """Set labels (n,) and probabilities (n,) of n hands; all arrays contiguous.

    Args:
        linear, hidden, output: weights in blocks, see `models.plain`.
        count: number of labels.
        landmarks, aspect: of the hands.
        labels, probabilities: filled in.

    Raises:
        ValueError: they do not fit together, or one is not contiguous.
    """
