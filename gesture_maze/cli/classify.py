"""`maze classify`: landmarks in; gesture, confidence and action out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gesture_maze.cli.options import AsJson
from gesture_maze.cli.printing import cell, print_line, print_table, text_table
from gesture_maze.cli.reading import Actions, Aspect, Layout, show_found
from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.printable import amount

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gesture_maze.readers.hands import Hand, Recording
    from gesture_maze.wire.gestures import Action
    from gesture_maze.wire.gestures import Hand as Side

_NO_HAND: Final = {"gesture": None, "label": None, "confidence": None, "action": None}

Opt = typer.Option


def classify(
    source: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="JSON, CSV or parquet. (default: standard input)")
    ] = None,
    aspect: Aspect = None,
    layout: Layout = None,
    model: Annotated[
        Path | None, Opt(help="Folder or zip of a model bundle, or 'bundled'. (default: bundled)")
    ] = None,
    actions: Actions = None,
    as_json: AsJson = False,
) -> None:
    r"""Print the gesture that a hand shows, its confidence, and the action that it gives.

    A hand is a list of 21 points, \[x, y] or \[x, y, z]; a frame is an object with "landmarks" and perhaps
    "aspect". The input is one of these, a list of them, or one per line, or a file in any layout that maze
    evaluate reads. Frames without a hand give null.

    Example: [bold]maze classify frame.json --aspect 640x480 --json[/bold]
    """
    from gesture_maze.models.bundle import bundled_path, load_bundle
    from gesture_maze.models.classifier import Classifier

    recording = _read(source, layout, aspect)
    show_found([recording.describe()])
    answers = _answers(Classifier.from_bundle(load_bundle(model or bundled_path())), recording, actions)
    if as_json:
        sys.stdout.write("".join(json.dumps(answer) + "\n" for answer in answers))
    else:
        _print_table(recording, answers)


def _read(source: Path | None, layout: str | None, aspect: float | None) -> Recording:
    from gesture_maze.readers.read import read_recording, read_text
    from gesture_maze.readers.text import decoded

    if source is not None:
        return read_recording(source, layout=layout, aspect=aspect)
    name = "standard input"
    return read_text(name, decoded(name, sys.stdin.buffer.read()), layout=layout, aspect=aspect)


def _answers(
    classifier: Any, recording: Recording, actions: Mapping[str, Action] | None
) -> list[dict[str, Any]]:
    """Return one answer per frame, in order."""
    from gesture_maze.wire.gestures import action_of

    mapping = classifier.manifest.mapping if actions is None else actions
    if classifier.needs_depth and not recording.depth:
        # without z its answers would be wrong
        raise SettingsError(
            "data", f"{recording.name}: model {classifier.version} needs z, but the points are [x, y]"
        )
    shown = [number for number, hand in enumerate(recording.hands) if hand.points is not None]
    labels, confidences = classifier.classify(*_arrays([recording.hands[number] for number in shown]))
    answers: list[dict[str, Any]] = [dict(_NO_HAND) for _ in recording.hands]
    for number, label, confidence in zip(shown, labels.tolist(), confidences.tolist(), strict=True):
        sure = confidence >= classifier.manifest.thresholds.act
        name = classifier.labels[label]
        side: Side = "left" if recording.hands[number].side == "left" else "right"
        answers[number] = {
            "gesture": name,
            "label": classifier.numbers[label],
            "confidence": round(confidence, 4),
            "action": action_of(mapping, name, side) if sure else None,
        }
    return [{**answer, "model": classifier.version} for answer in answers]


def _arrays(hands: list[Hand]) -> tuple[Any, Any]:
    """Return the landmarks (n, 21, 3) and aspects (n,), float32, for a classifier."""
    import numpy as np

    landmarks = np.array([hand.points for hand in hands], np.float32).reshape(-1, 21, 3)
    return landmarks, np.array([hand.aspect for hand in hands], np.float32)


def _print_table(recording: Recording, answers: list[dict[str, Any]]) -> None:
    """Print one line per answer, with the picture's name and the label if the file has them."""
    columns = ["Frame", "Gesture", "Confidence", "Action"]
    pictures = recording.layout == "hagrid"
    labelled = any(hand.label for hand in recording.hands)
    table = text_table([*columns, "Label"] if labelled else columns, whole=columns)
    table.title = f"Model {answers[0]['model']}"
    for number, (hand, answer) in enumerate(zip(recording.hands, answers, strict=True), start=1):
        confidence = answer["confidence"]
        shown = "-" if confidence is None else f"{confidence:.3f}"
        frame = hand.source if pictures else str(number)
        cells = [frame, answer["gesture"] or "no hand", shown, answer["action"] or "-"]
        table.add_row(*map(cell, [*cells, hand.label] if labelled else cells))
    print_table(table)
    hands = sum(answer["gesture"] is not None for answer in answers)
    acting = sum(answer["action"] is not None for answer in answers)
    missing = len(answers) - hands
    without = f"; {amount(missing, 'frame')} without a hand" if missing else ""
    print_line(f"{amount(hands, 'hand')}, {acting:,} with an action{without}")
