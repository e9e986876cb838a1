"""Promotes a model: finds its bundle, checks it by the gates, writes it to Redis.

Bundles are found by `Source`s, asked in turn: a folder or zip, then Redis. Another place that keeps models
(such as a tracking server) is one more function in `sources`.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gesture_maze.models.bundle import (
    BUNDLED,
    MANIFEST,
    MAX_ZIP_BYTES,
    SIZE_LIMITS_BYTES,
    ModelReason,
    bundled_path,
    check_folder,
    load_bundle,
)
from gesture_maze.models.bundle import load_zip as verify
from gesture_maze.models.classifier import Classifier
from gesture_maze.models.gates import (
    MAX_DROP,
    MAX_FALL,
    MAX_US_PER_FRAME,
    check_accuracy,
    check_base,
    check_speed,
)
from gesture_maze.models.judged import judge_with
from gesture_maze.models.proof import prove
from gesture_maze.wire.errors import ModelError, SettingsError
from gesture_maze.worker.redis.registry import KEEP, ModelRegistry, check_version, is_version
from gesture_maze.worker.redis.status import StatusReader

if TYPE_CHECKING:
    from redis import Redis

    from gesture_maze.models.dataset import Reading

Source = Callable[[str], bytes | None]
"""Name -> bytes of the bundle, unchecked; None if there is no such name here."""


@dataclass(frozen=True, slots=True)
class Gates:
    """The checks before a model may answer.

    Attributes:
        data: labelled hands to compare it with the champion on; None leaves that out.
        max_drop: share by which accuracy and action precision may fall.
        max_us_per_frame: limit of its time per frame in batches of 256.
        reading: options that override what the file of hands says about itself, if any.
        max_fall: share by which the accuracy of a taught model's base may have fallen in its training.
    """

    data: Path | None = None
    max_drop: float = MAX_DROP
    max_us_per_frame: float = MAX_US_PER_FRAME
    reading: Reading | None = None
    max_fall: float = MAX_FALL


@dataclass(frozen=True, slots=True)
class Passed:
    """A model that may be written to Redis.

    Attributes:
        bundle: its zip.
        us_per_frame, accuracy, champion_accuracy: what was measured; None if not measured.
        fault: the fault that `force` overruled, if any.
    """

    version: str
    bundle: bytes
    us_per_frame: float | None = None
    accuracy: float | None = None
    champion_accuracy: float | None = None
    fault: ModelError | None = None


def from_path(name: str) -> bytes | None:
    """Return the bundle in a folder or a zip, as one zip, or None if there is no such path.

    `bundled` is the default bundle.
    """
    path = bundled_path() if name == BUNDLED else Path(name)
    if path.is_dir():
        check_folder(path)
        return _zipped(path)
    if path.is_file():
        with path.open("rb") as file:
            return file.read(MAX_ZIP_BYTES + 1)
    return None


def sources(client: Redis) -> list[Source]:
    """Return the places that are searched for bundles, in this order."""
    registry = ModelRegistry(client)
    return [from_path, lambda name: registry.bundle(name) if is_version(name) else None]


def find(name: str, places: Sequence[Source]) -> bytes:
    """Return the bytes of the bundle called `name`.

    Raises:
        ModelError: `not_found`.
    """
    for place in places:
        found = place(name)
        if found is not None:
            return found
    message = f"there is no model {name}: neither a folder, nor a zip, nor a version in Redis ('maze models')"
    raise ModelError(ModelReason.NOT_FOUND, message)


def check(data: bytes, client: Redis, gates: Gates) -> Passed:
    """Check a bundle by all gates: hashes, labels, golden hands, a taught model's base, speed, accuracy.

    Raises:
        ModelError: it does not pass.
        SettingsError: the labelled hands cannot be read.
    """
    prove(data)  # a graph that never ends must not hang the command
    classifier = Classifier.from_bundle(verify(data))
    check_base(classifier.manifest, gates.max_fall)
    took_us = check_speed(classifier, gates.max_us_per_frame)
    if gates.data is None:
        return Passed(classifier.version, data, took_us)
    from gesture_maze.models.dataset import read_dataset

    hands = read_dataset([gates.data], gates.reading)
    mapping = classifier.manifest.mapping
    models = (classifier, _champion(client))
    mine, other = (judge_with(model, hands).evaluation(mapping) for model in models)
    check_accuracy(mine, other, gates.max_drop)
    return Passed(classifier.version, data, took_us, mine["accuracy"], other["accuracy"])


def forced(data: bytes, client: Redis, gates: Gates) -> Passed:
    """Check a bundle like `check`, but report the gate that it does not pass instead of raising."""
    try:
        return check(data, client, gates)
    except ModelError as error:
        return Passed(_claimed_version(data), data, fault=error)


def promote(client: Redis, model: Passed, keep: int = KEEP) -> None:
    """Make a model the champion. If there was none, the bundled model becomes the previous one if workers use
    it.
    """
    registry = ModelRegistry(client)
    answering = None
    if registry.roles().champion is None:
        answering = _keep_bundled(client, registry, model.version)
    registry.promote(model.version, model.bundle, answering=answering, keep=keep)


def challenge(client: Redis, model: Passed, share: float, keep: int = KEEP) -> None:
    """Make a model the challenger.

    Raises:
        SettingsError: it is already the champion.
    """
    registry = ModelRegistry(client)
    if registry.roles().champion == model.version:
        raise SettingsError("settings", f"{model.version} is the champion: it cannot challenge itself")
    registry.challenge(model.version, model.bundle, share, keep=keep)


def _keep_bundled(client: Redis, registry: ModelRegistry, promoted: str) -> str | None:
    """Store the bundled model in Redis for a rollback, if all live workers use it, and return its version."""
    bundled = load_bundle(bundled_path())
    live = {worker.model for worker in StatusReader(client).read().workers}
    if bundled.version == promoted or not live <= {bundled.version}:
        return None
    registry.keep(bundled.version, bundled.to_zip())
    return bundled.version


def _champion(client: Redis) -> Classifier:
    """Return the model to compare with: the champion in Redis, else the bundled one."""
    registry = ModelRegistry(client)
    version = registry.roles().champion
    data = None if version is None else registry.bundle(version)
    return Classifier.from_bundle(load_bundle(bundled_path()) if data is None else verify(data))


def _zipped(folder: Path) -> bytes:
    """Return the files of a bundle in `folder` as one zip, unchecked and without those that are missing."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in sorted(folder.iterdir()):
            if entry.is_file() and not entry.name.startswith("."):
                with entry.open("rb") as file:
                    limit = SIZE_LIMITS_BYTES.get(entry.name, 0)
                    archive.writestr(entry.name, file.read(limit + 1))
    return out.getvalue()


def _claimed_version(data: bytes) -> str:
    """Return the version that a refused bundle claims, or one derived from its bytes."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return check_version(json.loads(archive.read(MANIFEST))["model_version"])
    except Exception:  # noqa: BLE001 - it may be broken in any way, and is to be written as it is
        return f"forced-{hashlib.sha256(data).hexdigest()[:10]}"
