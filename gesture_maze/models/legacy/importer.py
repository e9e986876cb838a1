"""The old service's model, an SVC with its min-max scaler in two pickles, as a bundle.

Unpickling a file runs whatever code its writer put there, with the rights of the process. It happens only
after the caller has confirmed that the files are trusted, and in a process of its own
(`models.legacy.child`), which hands back numbers. That keeps the pickle's objects out of this process; it is
not a sandbox for a hostile one.

The old model takes raw image coordinates: it depends on where in the image the hand is, how large and which
of the two hands it is. The bundle gives the same answers.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from gesture_maze.models.bundle import Bundle, ModelReason
from gesture_maze.models.features import POINTS
from gesture_maze.models.hands import Hands
from gesture_maze.models.labels import columns, is_gesture_name, label_set
from gesture_maze.models.legacy.layout import Layout
from gesture_maze.models.manifest import Inputs, Thresholds, TrainingData
from gesture_maze.models.onnx.export import Facts, check_graph, pack_graph
from gesture_maze.models.onnx.graph import GraphBuilder, in_dtype
from gesture_maze.models.onnx.sklearn import finished, softmax_nodes
from gesture_maze.models.onnx.svc import Vectors, decision_nodes, platt_nodes
from gesture_maze.wire.errors import ModelError, SettingsError
from gesture_maze.wire.gestures import LABELS, NAME_PATTERN

KIND: Final = "svc"
TIMEOUT_S: Final = 120.0
"""Longest time for the child: it imports scikit-learn and opens two files."""
SHARPNESS: Final = 4.0
"""Factor from votes to logits if the SVC has no probabilities: one vote more than the next class then gives a
confidence of 0.98, and a draw is below the default threshold. Not calibrated."""

AXES: Final[tuple[Literal["x", "y", "z"], ...]] = ("x", "y", "z")
Landmarks = NDArray[np.float32]
"""(n, 21, 3), as frames carry them."""


@dataclass(frozen=True, slots=True)
class Legacy:
    """An old model, as numbers."""

    svc: Vectors
    classes: tuple[str, ...]
    """The gesture of each of its k classes."""
    places: NDArray[np.int64]
    """(f,) index of each of its columns in x1, y1, z1, x2, ..."""
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]
    """(f,) the scaler: value * scale + offset,"""
    clip: tuple[float, float] | None
    """then cut to this range."""
    wanted: NDArray[np.float64]
    """(n, k) probabilities that scikit-learn gives for the probes."""
    agreement: float
    """Share of the probes for which the likeliest class is what scikit-learn's `predict` says. It is below 1
    because `predict` goes by votes and breaks ties by the order of the classes."""
    warnings: tuple[str, ...]
    """Warnings of scikit-learn about the age of the pickles."""
    sha256: str
    """sha256 of both files' bytes."""
    names: tuple[str, ...]
    """Names of both files, without folders."""

    @property
    def gestures(self) -> tuple[str, ...]:
        """Its classes in the order of a bundle."""
        return label_set(self.classes)

    @property
    def inputs(self) -> Inputs:
        """The numbers of a frame that it uses."""
        axes = sorted({int(place) % 3 for place in self.places})
        return Inputs(coordinates=tuple(AXES[axis] for axis in axes), aspect=False)


def read_labels(path: Path) -> dict[str, str]:
    """Return class -> gesture from a JSON table, which may also map gesture -> class.

    Raises:
        SettingsError: `data`: it is not such a table.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError("data", f"cannot read the labels {path}: {error}") from None
    if isinstance(table, list):
        table = dict(enumerate(table))
    if not isinstance(table, dict) or not table:
        raise SettingsError(
            "data", f'{path}: expected a table of labels such as {{"16": "like", "2": "dislike"}}'
        )
    pairs = {str(key): str(value) for key, value in table.items()}
    if set(pairs) <= set(LABELS):
        pairs = {value: key for key, value in pairs.items()}
    unknown = sorted(name for name in set(pairs.values()) if not is_gesture_name(name))
    if unknown or len(set(pairs.values())) != len(table):
        fault = (
            f"a gesture matches {NAME_PATTERN}, found {unknown[0]!r}"
            if unknown
            else "two classes have the same gesture"
        )
        raise SettingsError("data", f"{path}: {fault}")
    return pairs


def open_pickles(
    svc: Path,
    scaler: Path,
    table: Mapping[str, str],
    probes: Landmarks,
    *,
    layout: Layout = Layout.INTERLEAVED,
    votes: bool = False,
) -> Legacy:
    """Run the code in two pickles, in a process of its own, and return the model that is in them.

    Args:
        svc: pickle or joblib file of a fitted `sklearn.svm.SVC`. The file must be trusted.
        scaler: the same of its `MinMaxScaler`.
        table: class -> gesture; classes that are names of gestures need no entry.
        probes: hands to compare the export with.
        layout: order of the columns, if the scaler does not know their names.
        votes: ignore the probabilities that the SVC was fitted with, if it was. `predict` does so too; and
            with other kernels than RBF they do not always survive the float32 of ONNX's operator.

    Raises:
        SettingsError: `data`: a file is missing or is not such a model, or a class has no gesture.
    """
    data = [_bytes_of(path) for path in (svc, scaler)]
    with tempfile.TemporaryDirectory(prefix="gesture-maze-legacy-") as name:
        folder = Path(name)
        # so that the opened bytes are the hashed ones
        inputs = [folder / part for part in ("svc", "scaler")]
        for path, content in zip(inputs, data, strict=True):
            path.write_bytes(content)
        np.save(folder / "probes.npy", probes.reshape(len(probes), -1).astype(np.float64))
        _run_child(folder, [*map(str, inputs), layout, str(int(votes)), "probes.npy", "out.npz"])
        with np.load(folder / "out.npz", allow_pickle=False) as archive:
            found = dict(archive)
    sha256 = hashlib.sha256(b"".join(data)).hexdigest()
    return _checked(found, table, sha256, (svc.name, scaler.name))


def legacy_bundle(legacy: Legacy, probes: Landmarks, golden: Hands) -> Bundle:
    """Return the bundle of an old model, compared with scikit-learn's own answers for the probes.

    Args:
        legacy: the model.
        probes: the hands that `open_pickles` was called with.
        golden: synthetic hands for the self-test; the old model does not use their aspect.

    Raises:
        ModelError: `export_mismatch`.
    """
    graph = legacy_graph(legacy)
    facts = Facts(
        kind=KIND,
        labels=legacy.gestures,
        inputs=legacy.inputs,
        thresholds=Thresholds(),
        evaluation={},
        training_data=TrainingData(sha256=legacy.sha256, rows=0, files=legacy.names),
        baseline=None,
        seed=0,
    )
    bundle = pack_graph(graph, _runs(graph), facts, golden, _card(legacy))
    wanted = columns(legacy.wanted, legacy.classes, legacy.gestures)
    check_graph(bundle, probes, np.ones(len(probes), np.float32), wanted)
    return bundle


def legacy_graph(legacy: Legacy) -> bytes:
    """Return the serialised graph: raw landmarks, scaler, SVC, probabilities."""
    builder = GraphBuilder(np.float64)
    flat = builder.add("Reshape", in_dtype(builder, "landmarks"), builder.ints(0, 3 * POINTS))
    rows = builder.add("Gather", flat, builder.ints(*legacy.places.tolist()), axis=1)
    scaled = builder.add("Mul", rows, builder.floats(legacy.scale[None, :]))
    scaled = builder.add("Add", scaled, builder.floats(legacy.offset[None, :]))
    if legacy.clip is not None:
        scaled = builder.add("Clip", scaled, *(builder.floats(end) for end in legacy.clip))
    if legacy.svc.calibrated:
        probabilities = platt_nodes(builder, scaled, legacy.svc)
    else:
        votes = decision_nodes(builder, scaled, legacy.svc)
        logits = builder.add("Mul", votes, builder.floats(SHARPNESS))
        probabilities = softmax_nodes(builder, logits, len(legacy.classes))
    place = np.array([legacy.gestures.index(name) for name in legacy.classes], np.int64)
    return finished(builder, probabilities, place, len(legacy.gestures))


def _runs(graph: bytes) -> Any:
    """Return the graph's own outputs: a golden file needs expected values, and `check_graph` checks them."""
    import onnxruntime as ort

    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return lambda landmarks, aspect: session.run(
        ["probabilities"], {"landmarks": landmarks, "aspect": aspect}
    )[0]


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError("data", f"cannot read {path}: {error}") from None


def _run_child(folder: Path, arguments: Sequence[str]) -> None:
    # A pickle must not see our secrets, so the child gets only what an interpreter needs to start.
    needed = ("PATH", "HOME", "LANG", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
    environment = {name: os.environ[name] for name in needed if name in os.environ}
    command = [sys.executable, "-m", "gesture_maze.models.legacy.child", *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, errors="replace", timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise SettingsError("data", f"opening the pickles took longer than {TIMEOUT_S:.0f} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise SettingsError("data", f"the pickles cannot be converted: {last} (exit code {done.returncode})")


def _checked(
    found: dict[str, NDArray[Any]], table: Mapping[str, str], sha256: str, names: tuple[str, ...]
) -> Legacy:
    """Return what the child wrote, with its classes as labels."""
    classes = [str(one) for one in found["classes"]]
    gestures = [table.get(one, one) for one in classes]
    unknown = [one for one, gesture in zip(classes, gestures, strict=True) if not is_gesture_name(gesture)]
    if unknown or len(set(gestures)) < len(gestures):
        fault = f"do not name {', '.join(unknown)}" if unknown else "give two classes one gesture"
        raise SettingsError("data", f"the model's classes are {', '.join(classes)}; the labels {fault}")
    values: dict[str, Any] = {field.name: found[field.name] for field in fields(Vectors)}
    for name in ("kernel", "gamma", "coef0", "degree"):
        values[name] = values[name].item()
    try:
        svc = Vectors(**values)
    except ValueError as error:
        raise ModelError(ModelReason.BAD_GRAPH, f"the old model cannot be exported: {error}") from None
    wanted = _probabilities(svc, found["answers"])
    likeliest = found["classes"][wanted.argmax(axis=1)]
    return Legacy(
        svc=svc,
        classes=tuple(gestures),
        places=found["places"],
        scale=found["scale"],
        offset=found["offset"],
        clip=(float(found["clip"][0]), float(found["clip"][1])) if len(found["clip"]) else None,
        wanted=wanted,
        agreement=float(np.mean(likeliest == found["predicted"])),
        warnings=tuple(str(one) for one in found["warnings"]),
        sha256=sha256,
        names=names,
    )


def _probabilities(svc: Vectors, answers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return scikit-learn's answers as probabilities; decisions are converted, see `SHARPNESS`."""
    if svc.calibrated:
        return answers
    votes = answers if answers.ndim == 2 else np.stack([np.zeros_like(answers), answers], axis=1)
    powers = np.exp(SHARPNESS * (votes - votes.max(axis=1, keepdims=True)))
    result: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return result


def _card(legacy: Legacy) -> str:
    kind = "Platt's, as fitted" if legacy.svc.calibrated else "made from votes, not calibrated"
    return f"""# Model card: {{version}}

Imported from {" and ".join(legacy.names)} (sha256 of both: `{legacy.sha256[:16]}`).

- **Model**: scikit-learn SVC, kernel {legacy.svc.kernel}, {len(legacy.svc.vectors)} support vectors,
  {len(legacy.classes)} classes, behind a min-max scaler of {len(legacy.places)} raw values.
- **Gestures**: {", ".join(legacy.gestures)}.
- **Input**: raw image coordinates {", ".join(legacy.inputs.coordinates)}, so its answers depend on where the
  hand is, how large it is, and which of the two hands it is. `aspect` is not used.
- **Probabilities**: {kind}.
- **Figures**: none were measured at the import; `maze evaluate` measures them, on hands in image coordinates.
"""
