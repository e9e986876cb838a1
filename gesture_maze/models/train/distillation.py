"""A fast network trained on a slow model's answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from gesture_maze.models.bundle import Bundle
from gesture_maze.models.classifier import Classifier
from gesture_maze.models.features import features
from gesture_maze.models.hands import Hands
from gesture_maze.models.manifest import TrainingData
from gesture_maze.models.onnx.export import Facts, check_graph, pack_network
from gesture_maze.models.train.trainer import Recipe, Tick, smoothed, train_network

KIND: Final = "distilled"

_CARD: Final = """# Model card: {version}

A network trained on the answers of the model {teacher} for {rows} simulated hands. Both give the same
answer for {agreement:.1%} of {judged} other simulated hands. The teacher's answers may be wrong, and nothing
here was measured on people's hands: `maze evaluate` does that.

- **Gestures**: {labels}.
- **Input**: x and y of each landmark, and `aspect`; z is not used, whether the teacher uses it or not.
"""


@dataclass(frozen=True, slots=True)
class Distilled:
    """The pupil."""

    bundle: Bundle
    agreement: float
    """Share of the hands to judge by for which teacher and pupil give the same gesture."""


def distil(
    teacher: Classifier,
    lessons: Hands,
    judged: Hands,
    golden: Hands,
    recipe: Recipe,
    seed: int,
    tick: Tick = lambda: None,
) -> Distilled:
    """Return a network of the default kind that was trained on the teacher's answers.

    Args:
        teacher: any model.
        lessons: hands to train on.
        judged: other hands, to measure the agreement on.
        golden: synthetic hands for the bundle's self-test.
        recipe: how to train.
        seed: of the training.
        tick: called after each epoch of each member.

    Raises:
        ModelError: `export_mismatch`.
    """
    answers, _ = teacher.classify(lessons.landmarks, lessons.aspect)
    targets = smoothed(answers, 0.0, len(teacher.labels))
    network = train_network(lessons.points, targets, recipe, seed, tick)
    wanted, _ = teacher.classify(judged.landmarks, judged.aspect)
    found = network.probabilities(features(judged.points)).argmax(axis=1)
    agreement = float(np.mean(found == wanted))
    card = _CARD.format(
        version="{version}",  # is known when the bundle is packed
        labels=", ".join(teacher.labels),
        teacher=teacher.version, rows=len(answers), judged=len(wanted), agreement=agreement,
    )  # fmt: skip
    facts = _facts(teacher, len(answers), seed)
    bundle = pack_network(network, facts, golden, card)
    wanted_probabilities = network.probabilities(features(lessons.landmarks, lessons.aspect))
    check_graph(bundle, lessons.landmarks, lessons.aspect, wanted_probabilities)
    return Distilled(bundle, agreement)


def _facts(teacher: Classifier, rows: int, seed: int) -> Facts:
    """Return what the manifest says; without an evaluation, because none was made on people's hands."""
    graph = teacher.manifest.files["model.onnx"]
    return Facts(
        kind=KIND,
        labels=teacher.labels,
        thresholds=teacher.manifest.thresholds,
        evaluation={},
        training_data=TrainingData(sha256=graph, rows=rows, files=(teacher.version,)),
        baseline=None,
        seed=seed,
    )
