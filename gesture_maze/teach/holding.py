"""Holds the outputs of a grown network back until the base keeps its answers and its accuracy. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gesture_maze.models.network import Network

NEVER: Final = -30.0
"""Logit of a gesture that a subset of the rows does not show."""
SHARES: Final = (1.0, 0.75, 0.5, 0.25, 0.1, 0.0)
"""Shares of the additions to the base's own outputs that are tried in turn; with 0 the outputs are the
base's."""

Labels = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Guard:
    """n hands of the base's gestures on which a grown network is held back.

    Attributes:
        wide: the base, with outputs for the new gestures.
        known: places of the base's gestures.
        idle: place of `no_gesture`; None if the base does not know it.
        found: (n, FEATURES) features of the hands.
        labels: (n,) the gestures that they show.
    """

    wide: Network
    known: Labels
    idle: int | None
    found: Floats
    labels: Labels

    def held_back(self, grown: Network, trained: Labels, most_taken: float, most_fall: float) -> Network:
        """Return the network with its taught outputs held back.

        Each is lowered until all of them take at most a share of the hands, and of those that the base
        answers with `no_gesture`, from the base's answer. A gesture that the base knows can also lose hands.
        If the base's accuracy falls too far, the additions to its own outputs are reduced, if necessary to
        nothing.

        Args:
            grown: the grown network, with the same outputs.
            trained: places of the taught gestures.
            most_taken: share of hands, 0 to 1, divided among the gestures.
            most_fall: largest fall of the accuracy, as a share.
        """
        answers = self._base_answers()
        silent = np.setdiff1d(np.arange(len(grown.biases[1])), [*self.known, *trained])
        for share in SHARES:
            mixed = self._mixed(grown, trained, share)
            mixed.biases[1][silent] = NEVER
            result = self._lowered(mixed, trained, answers, most_taken)
            after = logits_of(result, self.found).argmax(axis=1)
            fall = np.sum(answers == self.labels) - np.sum(after == self.labels)
            if fall <= most_fall * len(self.labels):
                break
        return result

    def _base_answers(self) -> Labels:
        result: Labels = self.known[logits_of(self.wide, self.found)[:, self.known].argmax(axis=1)]
        return result

    def _mixed(self, grown: Network, trained: Labels, share: float) -> Network:
        """Return the network with a share of the additions to the outputs that the base has."""
        weight, bias = grown.weights[1].copy(), grown.biases[1].copy()
        places = np.intersect1d(trained, self.known)
        base = np.zeros_like(weight)
        base[: len(self.wide.weights[1])] = self.wide.weights[1]
        weight[:, places] = base[:, places] + share * (weight - base)[:, places]
        bias[places] = self.wide.biases[1][places] + share * (bias - self.wide.biases[1])[places]
        return Network((grown.weights[0], weight), (grown.biases[0], bias))

    def _lowered(self, grown: Network, trained: Labels, answers: Labels, most_taken: float) -> Network:
        logits, bias = logits_of(grown, self.found), grown.biases[1].copy()
        each = 1.0 - most_taken / len(trained)
        for label in trained:
            others = np.delete(np.arange(len(bias)), label)
            lead = logits[:, label] - logits[:, others].max(axis=1)
            groups = (lead[answers != label], lead[answers == self.idle] if label != self.idle else lead[:0])
            bias[label] -= max([0.0, *(float(np.quantile(one, each)) for one in groups if len(one))])
        return Network(grown.weights, (grown.biases[0], bias))


def logits_of(network: Network, found: Floats) -> Floats:
    """Return the logits (n, k) of features (n, FEATURES)."""
    hidden = np.maximum(found @ network.weights[0] + network.biases[0], 0.0)
    result: Floats = hidden @ network.weights[1] + network.biases[1]
    return result
