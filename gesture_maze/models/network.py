"""A fitted network as plain arrays: the result of training, and the source of a bundle's graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Network:
    """Affine layers on the features, with ReLU between them and softmax after the last."""

    weights: tuple[NDArray[np.float64], ...]
    """Per layer (inputs, outputs)."""
    biases: tuple[NDArray[np.float64], ...]
    """Per layer (outputs,)."""

    def probabilities(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probabilities (n, k) of features (n, FEATURES)."""
        values = features
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = (np.maximum(values, 0.0) if layer else values) @ weight + bias
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        result: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
        return result

    def cooled(self, temperature: float) -> Network:
        """Return the same network with its logits divided by `temperature`."""
        *hidden, last = self.weights
        *hidden_biases, last_bias = self.biases
        return Network((*hidden, last / temperature), (*hidden_biases, last_bias / temperature))
