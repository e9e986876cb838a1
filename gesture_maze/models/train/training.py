"""Training of the default classifier, and the folds by which every candidate is judged.

The classifier is a small ensemble: `Recipe.members` networks of one hidden layer, each from another seed and
each epoch on fresh copies of the hands (`models.train.augment`), with the weights of the last epochs averaged.
Networks of one hidden layer whose logits are averaged *are* one wide network, exactly, so the ensemble costs
at run time what its width costs and nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from gesture_maze.models.train.augment import Spread, augmented
from gesture_maze.models.dataset import Dataset
from gesture_maze.models.features import FEATURES, features
from gesture_maze.models.train.learning import Floats, Learner
from gesture_maze.models.train.network import Network
from gesture_maze.wire.gestures import GESTURES, LABELS, NO_GESTURE

Points = NDArray[np.float64]
"""(n, 21, 2), isotropic."""
Predict = Callable[[Points], NDArray[np.float64]]
"""points (n, 21, 2) -> probabilities (n, 19)."""
Fit = Callable[[Points, NDArray[np.int64]], Predict]
"""points and labels (n,) of the training rows -> what predicts."""
Tick = Callable[[], None]
"""Called once per unit of work, for a progress bar."""

INPUT_GAIN: Final = 10**0.5
"""Factor on the features while training, afterwards part of the weights: it brings them to about 0.5 each,
where the first steps of the optimiser are neither lost nor wild."""

NOTHING: Final = 1e-12
"""Weights below it become 0. A unit that died leaves denormal float32 numbers behind, and a handful of
them make the shipped graph take half as long again."""

TEMPERATURES: Final = np.geomspace(0.3, 3.0, 93)
"""Tried by `choose_temperature`: steps of 2.5 %, finer than the data can tell apart."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the default classifier is trained."""

    hidden: int = 192
    """Units of one member; the shipped layer has `members` times as many. 256 make as many errors, slower."""
    members: int = 2
    """One is as accurate; the second steadies the confidence. More cost time at run time and give nothing."""
    epochs: int = 60
    batch_rows: int = 192
    learning_rate: float = 2e-3
    """Of Adam in the first half; a third of it until 80 % of the epochs, then a tenth."""
    penalty: float = 1e-4
    """L2 on the weights, shared out among the rows of a batch."""
    averaged_share: float = 0.3
    """The last part of the epochs, whose weights are averaged."""
    spread: Spread = field(default_factory=Spread)
    doubt: float = 0.15
    """Share of each label that `train_classifier` spreads evenly over all gestures. Without it the network
    learns the wrong labels too, and is as sure of a mislabelled hand as of a plain one."""
    empty_turns: int = 3
    """Times that a hand of `no_gesture` is seen per epoch, each time another copy. They are a twentieth of
    the data, for the rows from class borders have none of them, and far more of what a camera sees."""

    def steps(self) -> int:
        """Return how often `train_network` calls its `tick`."""
        return self.members * self.epochs


def train_classifier(
    points: Points, labels: NDArray[np.int64], recipe: Recipe, seed: int, tick: Tick = lambda: None
) -> Network:
    """Return the default classifier, trained on `points` and `labels` (n,) as `recipe` takes them."""
    again = np.flatnonzero(labels == LABELS[NO_GESTURE])
    rows = np.concatenate([np.arange(len(labels)), np.tile(again, recipe.empty_turns - 1)])
    return train_network(points[rows], doubted(labels, recipe.doubt)[rows], recipe, seed, tick)


def doubted(labels: NDArray[np.int64], doubt: float) -> NDArray[np.float64]:
    """Return targets (n, 19) that give the share `doubt` of each label to all gestures of `labels` alike.

    After Szegedy et al., Rethinking the Inception Architecture (2016), who call it label smoothing.
    """
    present = np.bincount(labels, minlength=len(GESTURES)) > 0
    truth: NDArray[np.float64] = np.eye(len(GESTURES))[labels]
    even: NDArray[np.float64] = present / present.sum()
    return (1.0 - doubt) * truth + doubt * even


def train_network(
    points: Points,
    labels: NDArray[np.int64] | NDArray[np.float64],
    recipe: Recipe,
    seed: int,
    tick: Tick = lambda: None,
) -> Network:
    """Return the network trained on `points`; seeded: see `models.train.build`.

    Args:
        points: (n, 21, 2), isotropic.
        labels: (n,), or targets (n, 19), each row summing to 1. They are taken at their word.
        recipe: how; its `doubt` and `empty_turns` are `train_classifier`'s.
        seed: of the first weights, the order and the copies.
        tick: called after each epoch of each member.
    """
    hard = labels.ndim == 1
    targets = doubted(labels.astype(np.int64), 0.0) if hard else labels.astype(np.float64)
    seeds = np.random.SeedSequence(seed).generate_state(recipe.members)
    members = [_train_member(points, targets, recipe, int(member), tick) for member in seeds]
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


def folds(data: Dataset, count: int, seed: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield `count` pairs (training rows, held-out rows), with no user on both sides.

    Rows without a user id are only ever trained on, since nobody can say whom they show. If no row has one,
    each row counts as a user of its own, and the figures are as optimistic as figures by random rows are.
    """
    known = np.flatnonzero(data.users != "")
    if len(known):
        groups = data.users[known]
    else:
        known = np.arange(len(data))
        groups = known.astype(np.str_)
    always = np.setdiff1d(np.arange(len(data)), known)
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    for inside, outside in splitter.split(known, data.labels[known], groups):
        yield np.concatenate([always, known[inside]]), known[outside]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Predictions for rows that the predicting model was not trained on."""

    rows: NDArray[np.int64]
    """(n,) rows of the data set."""
    labels: NDArray[np.int64]
    """(n,)."""
    probabilities: NDArray[np.float64]
    """(n, 19)."""
    views: dict[str, NDArray[np.float64]]
    """Name of a view -> (n, 19) for the same hands, altered."""
    folds: NDArray[np.int64]
    """(n,) the fold, from 0, that each row was held out in."""


def cross_validate(
    data: Dataset,
    fit: Fit,
    splits: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
    views: dict[str, Callable[[Points], Points]] | None = None,
) -> HeldOut:
    """Return out-of-fold predictions of the models that `fit` gives for each of `splits`."""
    rows: list[NDArray[np.int64]] = []
    found: dict[str, list[NDArray[np.float64]]] = {"": []}
    for inside, outside in splits:
        predict = fit(data.points[inside], data.labels[inside])
        rows.append(outside)
        found[""].append(predict(data.points[outside]))
        for name, alter in (views or {}).items():
            found.setdefault(name, []).append(predict(alter(data.points[outside])))
    order = np.concatenate(rows)
    joined = {name: np.concatenate(parts) for name, parts in found.items()}
    numbers = np.repeat(np.arange(len(rows)), [len(part) for part in rows])
    return HeldOut(order, data.labels[order], joined.pop(""), joined, numbers)


def choose_temperature(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """Return the temperature by which the logits of held-out rows are to be divided to be honest.

    It minimises the Brier score. (Guo et al., On Calibration of Modern Neural Networks, 2017, minimise the
    log loss, but that is ruled by the few hands whose label is wrong: measured, it made calibration worse.)
    """
    truth = np.eye(probabilities.shape[1])[labels]
    scores = [np.mean((cooled(probabilities, temperature) - truth) ** 2) for temperature in TEMPERATURES]
    return float(TEMPERATURES[np.argmin(scores)])


def cooled(probabilities: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return the probabilities (n, 19) after dividing their logits by `temperature`."""
    logits = np.log(np.maximum(probabilities, 1e-300)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return result


def _train_member(
    points: Points, targets: NDArray[np.float64], recipe: Recipe, seed: int, tick: Tick
) -> Network:
    rng = np.random.default_rng(seed)
    present = np.flatnonzero(targets.any(axis=0))
    wanted = targets[:, present].astype(np.float32)
    learner = Learner.start((FEATURES, recipe.hidden, len(present)), recipe.penalty, rng)
    averaged_from = int(recipe.epochs * (1.0 - recipe.averaged_share))
    sums = [np.zeros(part.shape) for part in learner.parameters]
    for epoch in range(recipe.epochs):
        rate = recipe.learning_rate * _cooling(epoch / recipe.epochs)
        seen = (INPUT_GAIN * features(augmented(points, rng, recipe.spread))).astype(np.float32)
        _see_once(learner, seen, wanted, recipe.batch_rows, rate, rng)
        if epoch >= averaged_from:
            sums = [total + part for total, part in zip(sums, learner.parameters, strict=True)]
        tick()
    means = [total / (recipe.epochs - averaged_from) for total in sums]
    first, second, first_bias, second_bias = (np.where(np.abs(mean) < NOTHING, 0.0, mean) for mean in means)
    return _with_all_gestures(first, second, first_bias, second_bias, present)


def _see_once(
    learner: Learner, seen: Floats, wanted: Floats, batch_rows: int, rate: float, rng: np.random.Generator
) -> None:
    """Show each row once, in a random order, in batches of about `batch_rows`."""
    order = rng.permutation(len(seen))
    for rows in np.array_split(order, max(len(order) // batch_rows, 1)):
        learner.step(seen[rows], wanted[rows], rate)


def _cooling(progress: float) -> float:
    """Return the factor on the learning rate at `progress`, 0 to 1, of the training."""
    if progress < 0.5:
        return 1.0
    return 0.3 if progress < 0.8 else 0.1


def _with_all_gestures(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    first_bias: NDArray[np.float64],
    second_bias: NDArray[np.float64],
    present: NDArray[np.int64],
) -> Network:
    """Return the network with 19 outputs; a gesture that the data does not hold gets a logit of -30."""
    weight = np.zeros((len(first_bias), len(GESTURES)))
    bias = np.full(len(GESTURES), -30.0)
    weight[:, present] = second
    bias[present] = second_bias
    return Network((INPUT_GAIN * first, weight), (first_bias, bias))
