"""Training of the default classifier.

The classifier is a small ensemble: `Recipe.members` networks of one hidden layer, each from another seed and
each epoch on fresh copies of the hands (`models.train.augmentation`), with the weights of the last epochs
averaged. Networks of one hidden layer whose logits are averaged *are* one wide network, exactly, so at run
time the ensemble costs no more than one network of its width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gesture_maze.models.features import FEATURES, INPUT_GAIN, features
from gesture_maze.models.network import Network
from gesture_maze.models.train.augmentation import Spread, augmented, random_walks
from gesture_maze.models.train.folds import Points
from gesture_maze.models.train.learner import Floats, Learner
from gesture_maze.wire.gestures import GESTURES, NO_GESTURE

Tick = Callable[[], None]
"""Called once per unit of work, for a progress bar."""

NOTHING: Final = 1e-12
"""Weights below it become 0. A dead unit leaves denormal float32 numbers behind, a few of which slow the
shipped graph by half."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the default classifier is trained."""

    hidden: int = 96
    """Units of one member; the shipped layer has `members` times as many. 128 and 192 make as many errors, on
    the training cameras and on others, and take 17 and 52 % more time per frame (docs/model-trials.md)."""
    members: int = 2
    """One is as accurate; the second makes the confidence more stable. More only cost time at run time."""
    epochs: int = 60
    batch_rows: int = 192
    learning_rate: float = 2e-3
    """Learning rate of Adam in the first half; a third of it until 80 % of the epochs, then a tenth."""
    penalty: float = 1e-4
    """L2 penalty on the weights, divided by the rows of a batch."""
    averaged_share: float = 0.3
    """Share of the epochs, at the end, whose weights are averaged."""
    spread: Spread = field(default_factory=Spread)
    doubt: float = 0.15
    """Share of each label that `train_classifier` spreads evenly over all gestures. Without it the network
    learns wrong labels too, and is as confident on a mislabelled hand as on a clear one."""
    empty_turns: int = 3
    """Copies of each `no_gesture` hand per epoch. These hands are a twentieth of the data, because the rows
    from class borders have none, but a far larger part of what a camera sees."""
    random_walks: int = 400
    """New random walks of 21 points per epoch, whose target is a uniform distribution over all gestures. They
    stand for points that are not a hand, of which the data has none and on which a network is confident."""

    def steps(self) -> int:
        """Return how often `train_network` calls its `tick`."""
        return self.members * self.epochs


def train_classifier(
    points: Points,
    labels: NDArray[np.int64],
    recipe: Recipe,
    seed: int,
    tick: Tick = lambda: None,
    gestures: Sequence[str] = GESTURES,
) -> Network:
    """Return the default classifier, trained on hands as `recipe` says.

    Args:
        points: (n, 21, 2), isotropic.
        labels: (n,), places in `gestures`.
        recipe: how to train.
        seed: of the initial weights, the order and the copies.
        tick: called after each epoch of each member.
        gestures: names of the k outputs.
    """
    rows = np.arange(len(labels))
    if NO_GESTURE in gestures:
        again = np.flatnonzero(labels == gestures.index(NO_GESTURE))
        rows = np.concatenate([rows, np.tile(again, recipe.empty_turns - 1)])
    targets = smoothed(labels, recipe.doubt, len(gestures))[rows]
    return train_network(points[rows], targets, recipe, seed, tick, walks=recipe.random_walks)


def smoothed(labels: NDArray[np.int64], doubt: float, classes: int) -> NDArray[np.float64]:
    """Return targets (n, classes) in which all gestures of `labels` share the part `doubt` of each label.

    After Szegedy et al., Rethinking the Inception Architecture (2016), who call it label smoothing.
    """
    present = np.bincount(labels, minlength=classes) > 0
    truth: NDArray[np.float64] = np.eye(classes)[labels]
    even: NDArray[np.float64] = present / present.sum()
    return (1.0 - doubt) * truth + doubt * even


def train_network(
    points: Points,
    targets: NDArray[np.float64],
    recipe: Recipe,
    seed: int,
    tick: Tick = lambda: None,
    *,
    walks: int = 0,
) -> Network:
    """Return the network trained on `points`; the same seed gives the same network on the same machine.

    Args:
        points: (n, 21, 2), isotropic.
        targets: (n, k), each row summing to 1; a gesture that no row shows never wins.
        recipe: how to train; `doubt`, `empty_turns` and `random_walks` are for `train_classifier`.
        seed: of the initial weights, the order and the copies.
        tick: called after each epoch of each member.
        walks: random walks per epoch, whose target is a uniform distribution over the gestures of the data.
    """
    seeds = np.random.SeedSequence(seed).generate_state(recipe.members)
    members = [_train_member(points, targets, recipe, int(member), tick, walks) for member in seeds]
    return Network(
        weights=(
            np.concatenate([member.weights[0] for member in members], axis=1),
            np.concatenate([member.weights[1] for member in members], axis=0) / len(members),
        ),
        biases=(
            np.concatenate([member.biases[0] for member in members]),
            np.mean([member.biases[1] for member in members], axis=0),
        ),
    )


def _train_member(
    points: Points, targets: NDArray[np.float64], recipe: Recipe, seed: int, tick: Tick, walks: int
) -> Network:
    rng = np.random.default_rng(seed)
    present = np.flatnonzero(targets.any(axis=0))
    even = np.full((walks, len(present)), 1.0 / len(present))
    wanted = np.concatenate([targets[:, present], even]).astype(np.float32)
    learner = Learner.start((FEATURES, recipe.hidden, len(present)), recipe.penalty, rng)
    averaged_from = int(recipe.epochs * (1.0 - recipe.averaged_share))
    sums = [np.zeros(part.shape) for part in learner.parameters]
    for epoch in range(recipe.epochs):
        rate = recipe.learning_rate * _cooling(epoch / recipe.epochs)
        seen = np.concatenate([augmented(points, rng, recipe.spread), random_walks(walks, rng)])
        seen = (INPUT_GAIN * features(seen)).astype(np.float32)
        _see_once(learner, seen, wanted, recipe.batch_rows, rate, rng)
        if epoch >= averaged_from:
            sums = [total + part for total, part in zip(sums, learner.parameters, strict=True)]
        tick()
    means = [total / (recipe.epochs - averaged_from) for total in sums]
    first, second, first_bias, second_bias = (np.where(np.abs(mean) < NOTHING, 0.0, mean) for mean in means)
    return _with_all_outputs(first, second, first_bias, second_bias, present, targets.shape[1])


def _see_once(
    learner: Learner, seen: Floats, wanted: Floats, batch_rows: int, rate: float, rng: np.random.Generator
) -> None:
    """Train on each row once, in a random order, in batches of about `batch_rows`."""
    order = rng.permutation(len(seen))
    for rows in np.array_split(order, max(len(order) // batch_rows, 1)):
        learner.step(seen[rows], wanted[rows], rate)


def _cooling(progress: float) -> float:
    """Return the factor on the learning rate at `progress`, 0 to 1, of the training."""
    if progress < 0.5:
        return 1.0
    return 0.3 if progress < 0.8 else 0.1


def _with_all_outputs(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    first_bias: NDArray[np.float64],
    second_bias: NDArray[np.float64],
    present: NDArray[np.int64],
    classes: int,
) -> Network:
    """Return the network with an output per gesture; one that the data does not hold gets a logit of -30."""
    weight = np.zeros((len(first_bias), classes))
    bias = np.full(classes, -30.0)
    weight[:, present] = second
    bias[present] = second_bias
    return Network((INPUT_GAIN * first, weight), (first_bias, bias))
