"""Gradient descent on a network, in float32, towards soft targets.

Scikit-learn's own network takes hard labels only. The targets here are shares, so that a label can be treated
as very likely, but not certainly, right.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

FIRST_DECAY: Final = 0.9
SECOND_DECAY: Final = 0.999
TINY: Final = 1e-8
"""The usual constants of Adam (Kingma and Ba, 2015)."""


@dataclass(slots=True)
class Adam:
    """State of the Adam optimiser for some parameters."""

    parameters: list[Floats]
    """Changed in place."""
    first: list[Floats]
    second: list[Floats]
    """Running means of the gradients and of their squares."""
    steps: int = 0

    @classmethod
    def start(cls, parameters: list[Floats]) -> Adam:
        """Return an optimiser that has seen no gradient yet."""
        zeros = [np.zeros_like(part) for part in parameters]
        return cls(parameters, zeros, [part.copy() for part in zeros])

    def step(self, gradients: list[Floats], rate: float) -> None:
        """Take one step against the gradients, one of the shape of each parameter."""
        self.steps += 1
        scale = np.float32(rate * np.sqrt(1.0 - SECOND_DECAY**self.steps) / (1.0 - FIRST_DECAY**self.steps))
        for part, gradient, first, second in zip(
            self.parameters, gradients, self.first, self.second, strict=True
        ):
            first *= np.float32(FIRST_DECAY)
            first += np.float32(1.0 - FIRST_DECAY) * gradient
            second *= np.float32(SECOND_DECAY)
            second += np.float32(1.0 - SECOND_DECAY) * gradient * gradient
            part -= scale * first / (np.sqrt(second) + np.float32(TINY))


@dataclass(slots=True)
class Learner:
    """Affine layers with ReLU between them, softmax after the last, and their optimiser."""

    parameters: list[Floats]
    """The weights of each layer (inputs, outputs), then the biases of each (outputs,). Changed in place."""
    penalty: float
    """L2 penalty on the weights, divided by the rows of a batch."""
    adam: Adam

    @classmethod
    def start(cls, widths: tuple[int, ...], penalty: float, rng: np.random.Generator) -> Learner:
        """Return a learner whose layers have `widths`, inputs first and outputs last.

        The weights are drawn as Glorot and Bengio (2010) do it: signals keep their size from layer to layer.
        """
        weights = [
            rng.uniform(-1.0, 1.0, (inputs, outputs)) * np.sqrt(6.0 / (inputs + outputs))
            for inputs, outputs in pairwise(widths)
        ]
        biases = [np.zeros(outputs) for outputs in widths[1:]]
        parameters = [np.asarray(part, np.float32) for part in (*weights, *biases)]
        return cls(parameters, penalty, Adam.start(parameters))

    def step(self, features: Floats, targets: Floats, rate: float) -> None:
        """Take one step of Adam on the cross-entropy of a batch.

        Args:
            features: (n, inputs).
            targets: (n, outputs), each row summing to 1.
            rate: the learning rate.
        """
        self.adam.step(self._gradients(features, targets), rate)

    def _gradients(self, features: Floats, targets: Floats) -> list[Floats]:
        layers = len(self.parameters) // 2
        weights, biases = self.parameters[:layers], self.parameters[layers:]
        inputs = [features]
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            inputs.append(np.maximum(inputs[-1] @ weight + bias, np.float32(0.0)))
        back = (softmax(inputs[-1] @ weights[-1] + biases[-1]) - targets) / np.float32(len(features))
        decay = np.float32(self.penalty / len(features))
        of_weights: list[Floats] = []
        of_biases: list[Floats] = []
        for layer in reversed(range(layers)):
            of_weights.insert(0, inputs[layer].T @ back + decay * weights[layer])
            of_biases.insert(0, back.sum(axis=0))
            if layer:
                back = (back @ weights[layer].T) * (inputs[layer] > 0.0)
        return [*of_weights, *of_biases]


def softmax(logits: Floats) -> Floats:
    """Return the probabilities (n, k) of logits (n, k)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Floats = powers / powers.sum(axis=1, keepdims=True)
    return result
