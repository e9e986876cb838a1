"""Measures teaching with hands of real people: gestures left out of the base are taught by one person's
hands.

`python bench/teach.py DATA [--json OUT.json] [--epochs 30]`

DATA is the folder of the shared data (see CONTRIBUTING.md). For each group of gestures a base is trained
without them and without a quarter of the users. Then each gesture is taught by the first half of one
recorder's hands, cut into takes, and judged on the other half. Webcam sequences, of 1.3 s, are taught by five
of twenty, and again by ten as five takes of 2.6 s, about the five takes of 3 s that `maze teach` asks for.

| figure | what |
|---|---|
| own | share of right frames among the recorder's other hands |
| clean | the same among those that the bundled model, which knows the gesture, reads as it |
| base | change of the base's accuracy on hands of users that it has not seen, in points |
| shared | the same on all shared rows of its gestures |
| without | `base` after the takes that `maze teach` calls doubtful were removed |
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from shapes import shapes_of
from threadpoolctl import threadpool_limits

from gesture_maze.capture.reader import CaptureReader
from gesture_maze.models.bundle import bundled_path
from gesture_maze.models.dataset import Dataset, read_dataset
from gesture_maze.models.features import features
from gesture_maze.models.network import Network
from gesture_maze.models.train.trainer import Recipe, train_classifier
from gesture_maze.teach.base import load_base
from gesture_maze.teach.growth import Grower
from gesture_maze.teach.judging import hold_out, verdicts
from gesture_maze.teach.lessons import Points, Rows, rows_of, settled
from gesture_maze.teach.shapes import Shapes
from gesture_maze.wire.frames import landmark_array
from gesture_maze.wire.gestures import GESTURES

LEFT_OUT = (("ok", "like"), ("peace", "rock", "dislike"), ("palm", "three2"))
"""Gestures that a base does not know; three bases."""
TAKES = 5
LEAST_HANDS = 40
"""Least hands of a recorder and gesture that are used."""
SHARE_OF_USERS = 0.25


@dataclass(frozen=True, slots=True)
class Base:
    """A network and the gestures of its outputs."""

    network: Network
    known: tuple[str, ...]
    shapes: Shapes | None = None
    """Shapes of the hands that it was trained on; None for those of all shared rows."""


@dataclass(frozen=True, slots=True)
class Recorder:
    """One person's hands of one gesture: takes to teach with, hands to evaluate on."""

    gesture: str
    name: str
    takes: list[Points]
    others: Points


def webcam(path: Path) -> Iterator[Recorder]:
    """Yield the recorder of the webcam sequences, per gesture: with takes of one sequence, and of two."""
    found: dict[str, list[Points]] = {}
    with CaptureReader(path) as reader:
        for line in reader.frames():
            if line.values["landmarks"]:
                hand = landmark_array(line.frame.landmarks)[:, :2] * [line.frame.aspect, 1.0]
                found.setdefault(line.frame.session, []).append(hand)
    found.pop("ok-00", None)  # shows other gestures, see the README of the data
    for gesture in ("ok", "like", "peace", "dislike"):
        names = sorted(name for name in found if name.startswith(f"{gesture}-"))
        for title, taught, joined in (
            ("webcam, 1.3 s", names[::4][:TAKES], 1),
            ("webcam, 2.6 s", names[::2][: 2 * TAKES], 2),
        ):
            others = np.concatenate([np.array(found[name]) for name in names if name not in taught])
            takes = [
                np.concatenate([np.array(found[name]) for name in taught[at : at + joined]])
                for at in range(0, len(taught), joined)
            ]
            yield Recorder(gesture, title, takes, others)


def recorders(data: Dataset) -> Iterator[Recorder]:
    """Yield recorders of the extra rows: their first half as takes, the rest to evaluate on."""
    names = np.array(data.gestures)[data.labels]
    for gesture in sorted({name for group in LEFT_OUT for name in group}):
        for source in sorted(set(data.sources[names == gesture].tolist())):
            hands = data.points[(names == gesture) & (data.sources == source)]
            if len(hands) >= LEAST_HANDS:
                half = len(hands) // 2
                yield Recorder(gesture, source[:24], np.array_split(hands[:half], TAKES), hands[half:])


def train_base(data: Dataset, extra: Dataset, without: tuple[str, ...], epochs: int) -> Base:
    """Return a base that does not know some gestures."""
    known = tuple(name for name in GESTURES if name not in without)
    names = np.concatenate([np.array(one.gestures)[one.labels] for one in (data, extra)])
    points = np.concatenate([data.points, extra.points])
    keep = np.isin(names, known)
    labels = np.array([known.index(name) for name in names[keep].tolist()])
    network = train_classifier(points[keep], labels, Recipe(epochs=epochs), 0, gestures=known)
    return Base(network, known, shapes_of(data))


def right(network: Network, points: Points, labels: np.ndarray[Any, Any]) -> float:
    """Return the share of right answers."""
    return float(np.mean(network.probabilities(features(points)).argmax(axis=1) == labels))


def judge(base: Base, bundled: Base, one: Recorder, held: Dataset, shared: Dataset) -> dict[str, Any]:
    """Teach one gesture of one recorder and return the figures."""
    rows = rows_of([(one.gesture, take) for take in one.takes], base.known)
    rows = rows.of(settled(base.network, base.known, rows))
    begin = time.process_time()
    grower = Grower(base.network, base.known, rows, shapes=base.shapes)
    grown, answers = grower.grow(), hold_out(rows, grower.grow)
    seconds = time.process_time() - begin
    doubtful = [verdict.take for verdict in verdicts(answers) if verdict.doubtful]
    label = rows.gestures.index(one.gesture)
    truth = np.full(len(one.others), label)
    seen = bundled.network.probabilities(features(one.others)).argmax(axis=1)
    clean = seen == bundled.known.index(one.gesture)
    return {
        "gesture": one.gesture,
        "recorder": one.name,
        "taught": len(rows),
        "judged": len(one.others),
        "own": right(grown, one.others, truth),
        "clean": right(grown, one.others[clean], truth[clean]),
        "base": _change(base, grown, rows, held),
        "shared": _change(base, grown, rows, shared),
        "doubtful": len(doubtful),
        "without": _change_without(base, rows, doubtful, held),
        "cpu_s": round(seconds, 2),
    }


def _change_without(base: Base, rows: Rows, doubtful: list[int], held: Dataset) -> float | None:
    kept = rows.of(~np.isin(rows.takes, doubtful))
    if not doubtful or not len(kept):
        return None
    return _change(base, Grower(base.network, base.known, kept, shapes=base.shapes).grow(), kept, held)


def _change(base: Base, grown: Network, rows: Rows, held: Dataset) -> float:
    names = np.array(held.gestures)[held.labels]
    keep = np.isin(names, base.known)
    before = right(base.network, held.points[keep], np.array([base.known.index(one) for one in names[keep]]))
    labels = np.array([rows.gestures.index(one) for one in names[keep]])
    return 100 * (right(grown, held.points[keep], labels) - before)


def part(data: Dataset, mask: np.ndarray[Any, Any]) -> Dataset:
    """Return some rows of a data set."""
    rows = (data.points[mask], data.labels[mask], data.users[mask], data.sources[mask])
    return Dataset(*rows, data.names, data.sha256, gestures=data.gestures)


def main() -> None:
    """Print a line per recorder and gesture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()
    data = read_dataset([options.data / "landmarks_train.csv.gz"])
    extra = read_dataset([options.data / "landmarks_extra.csv.gz"])
    users = np.unique(data.users[data.users != ""])
    chosen = np.random.default_rng(0).choice(users, round(len(users) * SHARE_OF_USERS), replace=False)
    outside = np.isin(data.users, chosen)
    people = [*webcam(options.data / "captures" / "webcam_sequences.jsonl.gz"), *recorders(extra)]
    bundle, network = load_base(bundled_path())
    bundled, lines = Base(network, bundle.manifest.labels), []
    with threadpool_limits(1, "blas"):
        for without in LEFT_OUT:
            base = train_base(part(data, ~outside), extra, without, options.epochs)
            for one in people:
                if one.gesture in without:
                    lines.append(judge(base, bundled, one, part(data, outside), data))
                    sys.stdout.write(f"{json.dumps(lines[-1])}\n")
                    sys.stdout.flush()
    if options.json:
        options.json.write_text(json.dumps(lines, indent=2))


if __name__ == "__main__":
    main()
