"""From a trained network to a bundle, refused if the two do not agree."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gesture_maze.models.bundle import CARD, GOLDEN, MANIFEST, MODEL, Bundle, ModelReason, verify_files
from gesture_maze.models.classifier import Classifier
from gesture_maze.models.drawing import Drawing
from gesture_maze.models.features import FEATURE_VERSION, features
from gesture_maze.models.golden import Predict, make_golden
from gesture_maze.models.hands import Hands
from gesture_maze.models.labels import default_numbers
from gesture_maze.models.manifest import (
    Baseline,
    Figures,
    Inputs,
    Manifest,
    Thresholds,
    TrainingData,
    model_digest,
)
from gesture_maze.models.network import Network
from gesture_maze.models.onnx.graph import build_graph
from gesture_maze.wire.errors import ModelError
from gesture_maze.wire.gestures import Action

MAX_DIFFERENCE: Final = 1e-4
"""Largest accepted difference between a probability of the graph (float32) and of the trained network."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a manifest states about a model, apart from the model itself."""

    kind: str
    """One word for the kind of model: the first half of its version."""
    labels: tuple[str, ...]
    """The gestures, in the order of the graph's outputs."""
    thresholds: Thresholds
    evaluation: Mapping[str, Figures]
    training_data: TrainingData
    baseline: Baseline | None
    seed: int
    inputs: Inputs = field(default_factory=Inputs)
    actions: dict[str, Action] | None = None
    drawings: Mapping[str, Drawing] = field(default_factory=dict)


def pack_network(network: Network, facts: Facts, golden: Hands, card: str) -> Bundle:
    """Return the verified bundle of a trained network.

    Args:
        network: the network, in full precision.
        facts: the rest of the manifest.
        golden: synthetic hands; real ones must not be given, because a bundle is published.
        card: the model card, Markdown; every `{version}` in it becomes the model version.
    """

    def exact(landmarks: NDArray[np.float32], aspect: NDArray[np.float32]) -> NDArray[np.float32]:
        return network.probabilities(features(landmarks, aspect)).astype(np.float32)

    return pack_graph(build_graph(network), exact, facts, golden, card)


def pack_graph(model: bytes, exact: Predict, facts: Facts, golden: Hands, card: str) -> Bundle:
    """Return the verified bundle of a graph.

    Args:
        model: the graph, serialised.
        exact: the function that the graph must reproduce: landmarks (n, 21, 3) and aspect (n,) ->
            probabilities (n, k).
        facts, golden, card: see `pack_network`.
    """
    expected = make_golden(golden, exact).to_json()
    draft = Manifest(
        model_version=f"{facts.kind}-{'0' * 10}",
        labels=facts.labels,
        numbers=default_numbers(facts.labels),
        inputs=facts.inputs,
        feature_version=FEATURE_VERSION,
        thresholds=facts.thresholds,
        actions=facts.actions,
        drawings=dict(facts.drawings),
        evaluation=dict(facts.evaluation),
        training_data=facts.training_data,
        baseline=facts.baseline,
        seed=facts.seed,
        files={MODEL: _sha256(model), GOLDEN: _sha256(expected)},
    )
    version = f"{facts.kind}-{model_digest(draft)}"
    card_bytes = card.replace("{version}", version).encode()
    manifest = draft.model_copy(
        update={"model_version": version, "files": {**draft.files, CARD: _sha256(card_bytes)}}
    )
    return verify_files(
        {
            MANIFEST: manifest.model_dump_json(indent=2).encode() + b"\n",
            MODEL: model,
            GOLDEN: expected,
            CARD: card_bytes,
        }
    )


def check_graph(
    bundle: Bundle,
    landmarks: NDArray[np.float32],
    aspect: NDArray[np.float32],
    wanted: NDArray[np.floating[Any]],
) -> float:
    """Return the largest difference between the bundle's probabilities and those of the trained model.

    Args:
        bundle: the export.
        landmarks: (n, 21, 3), as many hands as available, such as the training data.
        aspect: (n,), width / height.
        wanted: (n, k), of the trained model for the same float32 landmarks: rounding of the input must not
            count as an error of the graph.

    Raises:
        ModelError: `export_mismatch` if it is over `MAX_DIFFERENCE`.
    """
    found = Classifier.from_bundle(bundle).probabilities(landmarks, aspect)
    difference = float(np.max(np.abs(found - wanted)))
    if not difference <= MAX_DIFFERENCE:
        raise ModelError(
            ModelReason.EXPORT_MISMATCH,
            f"the exported model differs from the trained one by {difference:.2g}; nothing was written",
        )
    return difference


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
