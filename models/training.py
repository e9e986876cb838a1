"""Training of the default classifier, and the folds by which every candidate is judged.

The classifier is a small ensemble: `Recipe.members` networks of one hidden layer, each from another seed and
each epoch on fresh copies of the hands (`models.augment`), with the weights of the last epochs averaged.
Networks of one hidden layer whose logits are averaged *are* one wide network, exactly, so the ensemble costs
at run time what its width costs and nothing more.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.neural_network import MLPClassifier

from models.augment import Spread, augmented
from models.dataset import Dataset
from models.features import features
from models.network import Network
from wire.gestures import GESTURES

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

TEMPERATURES: Final = np.geomspace(0.3, 3.0, 93)
"""Tried by `choose_temperature`: steps of 2.5 %, finer than the data can tell apart."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the default classifier is trained."""

    hidden: int = 256
    """Units of one member; the shipped layer has `members` times as many."""
    members: int = 2
    """One is as accurate; the second steadies the confidence. More cost time at run time and give nothing."""
    epochs: int = 60
    batch_rows: int = 192
    learning_rate: float = 2e-3
    """Of Adam in the first half; a third of it until 80 % of the epochs, then a tenth."""
    penalty: float = 1e-4
    """L2, scikit-learn's `alpha`."""
    averaged_share: float = 0.3
    """The last part of the epochs, whose weights are averaged."""
    spread: Spread = field(default_factory=Spread)

    def steps(self) -> int:
        """Return how often `train_network` calls its `tick`."""
        return self.members * self.epochs


def train_network(
    points: Points, labels: NDArray[np.int64], recipe: Recipe, seed: int, tick: Tick = lambda: None
) -> Network:
    """Return the network trained on `points` and `labels` (n,); seeded: see `models.build`."""
    seeds = np.random.SeedSequence(seed).generate_state(recipe.members)
    members = [_train_member(points, labels, recipe, int(member), tick) for member in seeds]
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
    points: Points, labels: NDArray[np.int64], recipe: Recipe, seed: int, tick: Tick
) -> Network:
    rng = np.random.default_rng(seed)
    model = MLPClassifier(
        (recipe.hidden,),
        alpha=recipe.penalty,
        batch_size=min(recipe.batch_rows, len(points)),
        max_iter=1,
        warm_start=True,
        random_state=np.random.RandomState(seed),
    )
    averaged_from = int(recipe.epochs * (1.0 - recipe.averaged_share))
    sums: list[NDArray[Any]] = []
    for epoch in range(recipe.epochs):
        model.set_params(learning_rate_init=recipe.learning_rate * _cooling(epoch / recipe.epochs))
        with warnings.catch_warnings():
            # One epoch per call is what is wanted: the next one gets fresh copies and its own rate.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(INPUT_GAIN * features(augmented(points, rng, recipe.spread)), labels)
        if epoch >= averaged_from:
            parameters = [*model.coefs_, *model.intercepts_]
            sums = (
                [total + part for total, part in zip(sums, parameters, strict=True)] if sums else parameters
            )
        tick()
    first, second, first_bias, second_bias = (total / (recipe.epochs - averaged_from) for total in sums)
    return _with_all_gestures(first, second, first_bias, second_bias, model.classes_)


def _cooling(progress: float) -> float:
    """Return the factor on the learning rate at `progress`, 0 to 1, of the training."""
    if progress < 0.5:
        return 1.0
    return 0.3 if progress < 0.8 else 0.1


def _with_all_gestures(
    first: NDArray[Any],
    second: NDArray[Any],
    first_bias: NDArray[Any],
    second_bias: NDArray[Any],
    present: NDArray[np.int64],
) -> Network:
    """Return the network with 19 outputs; a gesture that the data does not hold gets a logit of -30."""
    weight = np.zeros((len(first_bias), len(GESTURES)))
    bias = np.full(len(GESTURES), -30.0)
    if len(present) == 2:  # scikit-learn gives one logit for two classes: the second against the first
        second = np.concatenate([np.zeros_like(second), second], axis=1)
        second_bias = np.concatenate([np.zeros_like(second_bias), second_bias])
    weight[:, present] = second
    bias[present] = second_bias
    return Network((INPUT_GAIN * first, weight), (first_bias, bias))
