"""`manifest.json` of a model bundle: what the model is, what inputs it takes, and how good it was measured to
be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from gesture_maze.models.drawing import Drawing
from gesture_maze.models.labels import action_faults, default_numbers, label_faults
from gesture_maze.wire.gestures import DEFAULT_ACTIONS, Action

FORMAT_VERSION: Final = 2
"""Version of the bundle's layout. Incremented when an older program could misread a newer bundle. Version 2
declares the inputs and the numbers of the labels."""

READABLE_VERSIONS: Final = (1, 2)
"""Format versions that this program reads."""

DIGEST_CHARS: Final = 10
"""Hex digits of the content digest in a model version: 40 bits tell any two models of one pool apart."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
"""A share, 0 to 1."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Record(BaseModel):
    """A frozen record that refuses unknown keys and numbers that are not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Thresholds(_Record):
    """Confidences from which the answers of the model are acted on."""

    act: Share = 0.70
    """A frame acts when its gesture has an action and its confidence is at least this."""


class Inputs(_Record):
    """Which numbers of a frame the model uses; the graph takes them all.

    Missing numbers are an error, because a model that is judged or served without a number that it uses gives
    wrong answers.
    """

    coordinates: tuple[Literal["x", "y", "z"], ...] = ("x", "y")
    """Coordinates of each landmark."""
    aspect: bool = True
    """Whether x is multiplied by width / height inside the graph."""

    @property
    def needs_depth(self) -> bool:
        """Whether the model uses z."""
        return "z" in self.coordinates


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
    file_sha256: tuple[Sha256, ...] = ()
    """Fingerprint of each file."""


class Baseline(_Record):
    """The model's answers on held-out rows, with which live traffic is compared to notice drift."""

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
    """Gesture names; a name's position is its column of the probabilities and the graph's `label`."""
    numbers: tuple[int, ...] = ()
    """The number of each label in replies; published gestures have their published ones."""
    inputs: Inputs | None = None
    """What the model uses; None in format 1, where nothing was declared."""
    feature_version: Annotated[int, Field(ge=1)]
    """`models.features.FEATURE_VERSION` at the export. For people: the features are part of the graph."""
    thresholds: Thresholds
    actions: Annotated[dict[str, Action], Field(min_length=1, max_length=64)] | None = None
    """Which gesture gives which action; None for the published mapping. Workers may override it."""
    evaluation: dict[str, Figures] = {}
    """Name of the split -> figures."""
    training_data: TrainingData | None = None
    baseline: Baseline | None = None
    seed: int | None = None
    drawings: dict[str, Drawing] = {}
    """Gesture that is not a published one -> the median of the hands that taught it, for pages to draw."""
    files: dict[str, Sha256]
    """File name -> sha256 of its bytes."""

    @model_validator(mode="before")
    @classmethod
    def _number_labels(cls, raw: object) -> object:
        """Give labels without numbers (format 1) the default ones."""
        if isinstance(raw, dict) and not raw.get("numbers") and isinstance(raw.get("labels"), list | tuple):
            labels = raw["labels"]
            if all(isinstance(name, str) for name in labels):
                return {**raw, "numbers": default_numbers(labels)}
        return raw

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        fault = label_faults(self.labels, self.numbers)
        if fault:
            raise ValueError(fault)
        if self.format_version > 1 and self.inputs is None:
            raise ValueError("inputs are not declared")
        fault = action_faults(self.actions or {}, self.labels)
        if fault:
            raise ValueError(fault)
        return self

    @property
    def mapping(self) -> Mapping[str, Action]:
        """Which gesture gives which action."""
        return DEFAULT_ACTIONS if self.actions is None else self.actions

    @model_serializer(mode="wrap")
    def _leave_out_what_is_not_set(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write `actions` and `drawings` only if there are any: older programs refuse unknown keys."""
        result: dict[str, Any] = serialise(self)
        return {key: one for key, one in result.items() if key not in ("actions", "drawings") or one}


def model_digest(manifest: Manifest) -> str:
    """Return the digest that a model version ends with.

    It depends on everything that determines the model's answers (graph, golden hands, labels, inputs,
    thresholds, actions) and from nothing else: no clock, no figures, no card. The same training gives the
    same version anywhere.
    """
    content: dict[str, object] = {
        "files": {name: sha for name, sha in manifest.files.items() if name in ("model.onnx", "golden.json")},
        "labels": manifest.labels,
        "thresholds": manifest.thresholds.model_dump(),
        "feature_version": manifest.feature_version,
    }
    if manifest.format_version > 1:
        content |= {"numbers": manifest.numbers, "inputs": manifest.inputs and manifest.inputs.model_dump()}
    if manifest.actions is not None:
        content["actions"] = manifest.actions
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:DIGEST_CHARS]
