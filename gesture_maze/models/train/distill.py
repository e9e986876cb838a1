"""A fast network that learns from a slow model's answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gesture_maze.models.bundle import Bundle
from gesture_maze.models.classifier import Classifier
from gesture_maze.models.onnx.export import Facts, check_export, pack_bundle
from gesture_maze.models.features import features
from gesture_maze.models.manifest import TrainingData
from gesture_maze.models.train.training import Recipe, Tick, train_network

KIND: Final = "distilled"

_CARD: Final = """# Model card: {version}

A network that was taught by the model {teacher}: on {rows} simulated hands it learned to give the same
gestures. Of {judged} other simulated hands, {agreement:.1%} get the same answer from both. The teacher's
answers may be wrong, and nothing here was measured on people's hands: `maze evaluate` does that.
"""


@dataclass(frozen=True, slots=True)
class Hands:
    """n hands as frames carry them."""

    landmarks: NDArray[np.float32]
    """(n, 21, 3)."""
    aspect: NDArray[np.float32]
    """(n,), width / height."""

    @property
    def points(self) -> NDArray[np.float64]:
        """(n, 21, 2), in units of the image's height, as float32 holds them."""
        points = self.landmarks[:, :, :2].astype(np.float64)
        points[:, :, 0] *= self.aspect[:, None]
        return points


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
        lessons: hands to learn from.
        judged: hands that are not among them.
        golden: synthetic hands for the bundle's self-test.
        recipe: how to train.
        seed: of the training.
        tick: called after each epoch of each member.

    Raises:
        ModelError: `export_mismatch`.
    """
    answers, _ = teacher.classify(lessons.landmarks, lessons.aspect)
    network = train_network(lessons.points, answers, recipe, seed, tick)
    wanted, _ = teacher.classify(judged.landmarks, judged.aspect)
    found = network.probabilities(features(judged.points)).argmax(axis=1)
    agreement = float(np.mean(found == wanted))
    card = _CARD.format(
        version="{version}",  # is known when the bundle is packed
        teacher=teacher.version, rows=len(answers), judged=len(wanted), agreement=agreement,
    )  # fmt: skip
    facts = _facts(teacher, len(answers), seed)
    bundle = pack_bundle(network, facts, golden.landmarks, golden.aspect, card)
    check_export(bundle, network, lessons.points)
    return Distilled(bundle, agreement)


def _facts(teacher: Classifier, rows: int, seed: int) -> Facts:
    """What the manifest says; no evaluation, for none was made on people's hands."""
    graph = teacher.manifest.files["model.onnx"]
    return Facts(
        kind=KIND,
        thresholds=teacher.manifest.thresholds,
        evaluation={},
        training_data=TrainingData(sha256=graph, rows=rows, files=(teacher.version,)),
        baseline=None,
        seed=seed,
    )
