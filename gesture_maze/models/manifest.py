"""`manifest.json` of a model bundle: what the model is, what it was measured to do, what it was made from."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

FORMAT_VERSION: Final = 1
"""Of the bundle's layout. Raised when an older program could misread a newer bundle."""

DIGEST_CHARS: Final = 10
"""Hex digits of the content digest in a model version: 40 bits tell any two models of one pool apart."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
"""A part of a whole, 0 to 1."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Record(BaseModel):
    """A frozen record that refuses unknown keys and numbers that are not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Thresholds(_Record):
    """Where the model becomes sure enough, as confidences."""

    act: Share = 0.70
    """A frame acts when its gesture has an action and its confidence is at least this."""


class Figures(_Record):
    """One evaluation, on one split of the data."""

    rows: Annotated[int, Field(ge=0)]
    accuracy: Share
    macro_f1: Share
    action_precision: Share | None
    action_recall: Share | None
    false_action_rate: Share | None
    """Share of the `no_gesture` rows that would have acted."""
    ece: Share
    """Expected calibration error, 15 bins of equal width."""


class TrainingData(_Record):
    """Fingerprint of the rows that the model was trained on; the rows themselves are not in a bundle."""

    sha256: Sha256
    rows: Annotated[int, Field(ge=0)]
    files: tuple[str, ...] = ()
    """Names only, without folders."""


class Baseline(_Record):
    """What the model said about held-out rows: what live traffic is compared with to notice drift."""

    gesture_mix: dict[str, Share]
    """Gesture name -> share of the predictions."""
    confidence_histogram: tuple[Share, ...]
    """Shares of the predictions by confidence, bins of equal width from 0 to 1."""


class Manifest(_Record):
    """The manifest; `files` holds the sha256 of every other file of the bundle."""

    format_version: int = FORMAT_VERSION
    model_version: Annotated[str, Field(pattern=rf"^[a-z0-9]{{1,16}}-[0-9a-f]{{{DIGEST_CHARS}}}$")]
    """`<kind>-<digest of the content>`, see `model_digest`."""
    labels: tuple[str, ...]
    """Gesture names; a name's position is its label and its column of the probabilities."""
    feature_version: Annotated[int, Field(ge=1)]
    """`models.features.FEATURE_VERSION` at the export. For people: the features are part of the graph."""
    thresholds: Thresholds
    evaluation: dict[str, Figures] = {}
    """Name of the split -> figures."""
    training_data: TrainingData | None = None
    baseline: Baseline | None = None
    seed: int | None = None
    files: dict[str, Sha256]
    """File name -> sha256 of its bytes."""


def model_digest(manifest: Manifest) -> str:
    """Return the digest that a model version ends with.

    It follows from all that decides what the model answers (graph, golden hands, labels, thresholds) and from
    nothing else: no clock, no figures, no card. So the same training gives the same version anywhere.
    """
    content = {
        "files": {name: sha for name, sha in manifest.files.items() if name in ("model.onnx", "golden.json")},
        "labels": manifest.labels,
        "thresholds": manifest.thresholds.model_dump(),
        "feature_version": manifest.feature_version,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:DIGEST_CHARS]
