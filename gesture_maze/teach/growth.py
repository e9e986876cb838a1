"""Adds gestures to a trained network without training it again.

The base's hidden layer and its outputs stay as they are. Only a few hidden units beside it are trained, and
what they and the base's units add to the outputs of the gestures that have takes. The outputs of all other
gestures give the same logits as before. The result is again a network of one hidden layer, exactly. The
base's training rows are not needed: simulated hands and hands drawn from shapes (`teach.shapes`) keep its
answers, with its own probabilities as targets. Afterwards the outputs are held back until the base keeps its
accuracy on other drawn hands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gesture_maze.models.features import FEATURES, INPUT_GAIN, features
from gesture_maze.models.network import Network
from gesture_maze.models.train.augmentation import Spread, augmented, random_walks
from gesture_maze.models.train.learner import Adam, softmax
from gesture_maze.teach.holding import Guard
from gesture_maze.teach.lessons import Rows, everything_else, spread_evenly
from gesture_maze.teach.shapes import Shapes, shared_shapes
from gesture_maze.wire.gestures import NO_GESTURE

Floats = NDArray[np.float32]

NEW_BIAS: Final = -2.0
"""Logit that a new gesture begins with, so that training starts near the base's answers."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is grown; see docs/teach.md for measurements."""

    units: int = 16
    """Hidden units added. With none, eight gestures at once cost the base 0.5 points of accuracy; with 48
    nothing is gained."""
    copies: int = 6
    """Altered copies of each row."""
    passes: int = 6
    """Passes over all copies."""
    batch_rows: int = 192
    learning_rate: float = 3e-3
    """Learning rate of Adam, falling to a tenth along a half cosine."""
    penalty: float = 1e-4
    """L2 penalty on the weights."""
    doubt: float = 0.03
    """Share of each label that is spread over all gestures, so that confidences are comparable with the
    base's."""
    per_gesture: int = 100
    """Simulated hands of each published gesture, and as many drawn ones, that preserve the base's answers."""
    idle: int = 10
    """Drawn hands of `no_gesture` per drawn hand of another gesture: it is the most varied, and most of what
    a camera sees."""
    walks: int = 100
    """Random walks, which are not hands, with the base's answers as targets."""
    guard_hands: int = 300
    """Further drawn hands per published gesture; the taught outputs are lowered until they take few of
    these."""
    guard_idle: int = 20
    """The same as `idle`, for those hands."""
    most_taken: float = 0.001
    """Share of those hands, and of those of `no_gesture` alone, whose answer may change to a taught gesture;
    divided among the gestures."""
    most_fall: float = 0.002
    """Largest fall of the base's accuracy on those hands, as a share."""


class Grower:
    """Grows a base by rows of takes, or by any subset of the rows.

    The work that all subsets share is done once: altered copies of all hands, and the base's outputs for
    them.

    Args:
        base: the network to build on.
        known: gestures of its outputs.
        rows: hands of takes; at least one.
        recipe: how to train.
        seed: of copies, initial weights and order; the same seed gives the same networks.
        shapes: shapes from which hands of the base's gestures are drawn; None for `shared_shapes`.
    """

    def __init__(
        self,
        base: Network,
        known: Sequence[str],
        rows: Rows,
        recipe: Recipe | None = None,
        seed: int = 0,
        shapes: Shapes | None = None,
    ) -> None:
        self._recipe: Final = recipe or Recipe()
        self._seed: Final = seed
        self._rows: Final = rows
        self._wide: Final = widened(base, known, rows.gestures)
        self._known: Final = np.array([rows.gestures.index(name) for name in known])
        self._shapes: Final = shapes or shared_shapes()
        self._lessons: Final = self._prepared(known)
        self._guard: Final = self._guard_of(known)

    def grow(self, keep: NDArray[np.bool_] | None = None) -> Network:
        """Return the base with outputs for the gestures of all rows, trained on those that `keep` (n,) marks.

        The output of a gesture without kept rows is the base's; a new gesture without rows never wins.
        """
        rng = np.random.default_rng(self._seed)
        labels = self._rows.labels if keep is None else self._rows.labels[keep]
        trained = np.unique(labels)
        start = np.where(np.isin(trained, self._known), 0.0, NEW_BIAS)
        head = _Head.start(len(self._wide.biases[0]), self._recipe.units, start, rng)
        sources = self._lessons.sources
        kept = np.ones(len(self._rows) + 1, np.bool_) if keep is None else np.append(keep, True)
        usable = np.flatnonzero(kept[sources])
        batches = max(1, len(usable) // self._recipe.batch_rows)
        steps = batches * self._recipe.passes
        for done in range(steps):
            if done % batches == 0:
                order = np.array_split(rng.permutation(usable), batches)
            cosine = 0.5 * (1.0 + np.cos(np.pi * done / steps))
            rate = self._recipe.learning_rate * (0.1 + 0.9 * cosine)
            head.step(self._lessons.of(order[done % batches]), trained, rate, self._recipe.penalty)
        return self._guard.held_back(
            head.joined(self._wide, trained), trained, self._recipe.most_taken, self._recipe.most_fall
        )

    def _prepared(self, known: Sequence[str]) -> _Lessons:
        rng, recipe, gestures = np.random.default_rng(self._seed), self._recipe, self._rows.gestures
        at = spread_evenly(self._rows)
        simulated = everything_else(known, recipe.per_gesture, int(rng.integers(2**31)))
        drawn, _ = self._shapes.draw(known, recipe.per_gesture, recipe.idle, int(rng.integers(2**31)))
        others = np.concatenate([simulated, drawn])
        hands = np.concatenate([self._rows.points[at], others])
        every = np.concatenate(
            [
                features(np.concatenate([augmented(hands, rng, Spread()), random_walks(recipe.walks, rng)]))
                for _ in range(recipe.copies)
            ]
        )
        hidden = np.maximum(every @ self._wide.weights[0] + self._wide.biases[0], 0.0)
        logits = hidden @ self._wide.weights[1] + self._wide.biases[1]
        # hands that are not rows of takes get the index after the last row
        sources = np.tile(np.append(at, np.full(len(others) + recipe.walks, len(self._rows))), recipe.copies)
        targets = self._base_answers(logits)
        own = sources < len(self._rows)
        truth = np.eye(len(gestures))[self._rows.labels[sources[own]]]
        targets[own] = (1.0 - recipe.doubt) * truth + recipe.doubt / len(gestures)
        arrays = (INPUT_GAIN * every, hidden, logits, targets)
        return _Lessons(sources, *(np.asarray(one, np.float32) for one in arrays))

    def _base_answers(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the base's probabilities, with 0 for the gestures that it does not know."""
        known = logits[:, self._known]
        powers = np.exp(known - known.max(axis=1, keepdims=True))
        result = np.zeros_like(logits)
        result[:, self._known] = powers / powers.sum(axis=1, keepdims=True)
        return result

    def _guard_of(self, known: Sequence[str]) -> Guard:
        recipe, seed = self._recipe, self._seed + 1
        drawn, names = self._shapes.draw(known, recipe.guard_hands, recipe.guard_idle, seed)
        found = features(augmented(drawn, np.random.default_rng(seed), Spread()))
        labels = np.array([self._rows.gestures.index(name) for name in names], np.int64)
        idle = self._rows.gestures.index(NO_GESTURE) if NO_GESTURE in known else None
        return Guard(self._wide, self._known, idle, found, labels)


def widened(base: Network, known: Sequence[str], gestures: Sequence[str]) -> Network:
    """Return the same network with an output of logit 0 for each of `gestures` that is not `known`."""
    place = [gestures.index(name) for name in known]
    weight = np.zeros((len(base.biases[0]), len(gestures)))
    bias = np.zeros(len(gestures))
    weight[:, place], bias[place] = base.weights[1], base.biases[1]
    return Network((base.weights[0], weight), (base.biases[0], bias))


@dataclass(frozen=True, slots=True)
class _Lessons:
    """n copies of hands, with the base's outputs for them."""

    sources: NDArray[np.int64]  # (n,) the row that each is a copy of; the number of rows for other hands
    features: Floats  # (n, FEATURES), scaled for training
    hidden: Floats  # (n, units of the base)
    logits: Floats  # (n, gestures), of the widened base
    targets: Floats  # (n, gestures), each row summing to 1

    def of(self, rows: NDArray[np.int64]) -> _Lessons:
        """Return the copies at these places."""
        arrays = (self.features, self.hidden, self.logits, self.targets)
        return _Lessons(self.sources[rows], *(one[rows] for one in arrays))


@dataclass(slots=True)
class _Head:
    """The trained part: hidden units beside the base's, and additions to the logits of some outputs."""

    parameters: list[Floats]
    """Weights (FEATURES, units) and biases (units,) of the new units; weights of the base's units, of the new
    units (each to the trained outputs), and biases of those outputs."""
    adam: Adam

    @classmethod
    def start(cls, base_units: int, units: int, bias: NDArray[np.float64], rng: np.random.Generator) -> _Head:
        """Return an untrained head that adds only `bias` (outputs,) to the logits."""
        width = np.sqrt(6.0 / (FEATURES + units))
        outputs = len(bias)
        parts = (
            rng.uniform(-width, width, (FEATURES, units)),
            np.zeros(units),
            np.zeros((base_units, outputs)),
            np.zeros((units, outputs)),
            bias,
        )
        parameters = [np.array(part, np.float32) for part in parts]
        return cls(parameters, Adam.start(parameters))

    def step(self, batch: _Lessons, trained: NDArray[np.int64], rate: float, penalty: float) -> None:
        """Take one step of Adam on the cross-entropy of a batch."""
        self.adam.step(self._gradients(batch, trained, np.float32(penalty)), rate)

    def _gradients(self, batch: _Lessons, trained: NDArray[np.int64], penalty: np.float32) -> list[Floats]:
        into, into_bias, from_base, out, out_bias = self.parameters
        units = np.maximum(batch.features @ into + into_bias, np.float32(0.0))
        logits = batch.logits.copy()
        logits[:, trained] += batch.hidden @ from_base + units @ out + out_bias
        back = (softmax(logits) - batch.targets)[:, trained] / np.float32(len(batch.targets))
        behind = (back @ out.T) * (units > 0.0)
        return [
            batch.features.T @ behind + penalty * into,
            behind.sum(axis=0),
            batch.hidden.T @ back + penalty * from_base,
            units.T @ back + penalty * out,
            back.sum(axis=0),
        ]

    def joined(self, wide: Network, trained: NDArray[np.int64]) -> Network:
        """Return base and head as one network."""
        into, into_bias, from_base, out, out_bias = (part.astype(np.float64) for part in self.parameters)
        weight = np.concatenate([wide.weights[1], np.zeros((len(into_bias), wide.weights[1].shape[1]))])
        weight[:, trained] += np.concatenate([from_base, out])
        bias = wide.biases[1].copy()
        bias[trained] += out_bias
        first = np.concatenate([wide.weights[0], INPUT_GAIN * into], axis=1)
        return Network((first, weight), (np.concatenate([wide.biases[0], into_bias]), bias))
