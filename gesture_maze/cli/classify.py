"""`maze classify`: landmarks in; gesture, confidence and action out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gesture_maze.cli.options import AsJson
from gesture_maze.wire.errors import SettingsError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

POINTS: Final = 21
MAX_NUMBER: Final = 1e9
"""As on the wire: a larger coordinate is a fault, not a hand."""

_NO_HAND: Final = {"gesture": None, "label": None, "confidence": None, "action": None}

Opt = typer.Option


def classify(
    source: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="JSON or JSON lines. (default: standard input)")
    ] = None,
    aspect: Annotated[
        float, Opt(min=0.01, max=100.0, help="Image width / height, where a frame has none; 1 = pixels.")
    ] = 1.0,
    model: Annotated[
        Path | None, Opt(help="Folder or zip of a model bundle. (default: the bundled one)")
    ] = None,
    as_json: AsJson = False,
) -> None:
    r"""Print the gesture that a hand shows, its confidence, and the action that it gives.

    A hand is a list of 21 points, \[x, y] or \[x, y, z]; a frame is an object with "landmarks" and perhaps
    "aspect". The input is one of these, a list of them, or one per line. Frames without a hand give null.

    Example: [bold]maze classify frame.json --aspect 1.3333 --json[/bold]
    """
    from gesture_maze.models.bundle import bundled_path, load_bundle
    from gesture_maze.models.classifier import Classifier

    frames = [_frame(item, number, aspect) for number, item in enumerate(_items(_read(source)), start=1)]
    answers = _answers(Classifier.from_bundle(load_bundle(model or bundled_path())), frames)
    if as_json:
        sys.stdout.write("".join(json.dumps(answer) + "\n" for answer in answers))
    else:
        _print_table(answers)


def _read(source: Path | None) -> str:
    try:
        return sys.stdin.read() if source is None else source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError("data", f"Cannot read {source or 'standard input'}: {error}.") from None


def _items(text: str) -> list[Any]:
    """Return the hands and frames in `text`, as JSON gives them."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return _lines(text)
    if isinstance(content, list) and content and not _is_hand(content):
        return content
    return [content]


def _lines(text: str) -> list[Any]:
    """Return one item per line; the header line of a capture is skipped."""
    items: list[Any] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise SettingsError("data", f"Line {number} is not JSON: {error}.") from None
        if not (isinstance(item, dict) and "format" in item and "landmarks" not in item):
            items.append(item)
    if not items:
        raise SettingsError("data", "There is nothing to classify: give a list of 21 [x, y] points.")
    return items


def _is_hand(value: list[Any]) -> bool:
    """Tell a hand, a list of points, from a list of hands or frames."""
    first = value[0]
    return isinstance(first, list) and bool(first) and not isinstance(first[0], list | dict)


def _frame(item: Any, number: int, aspect: float) -> tuple[list[list[float]], float]:
    """Return the points ([] = no hand) and the aspect of one item, checked."""
    points = item.get("landmarks") if isinstance(item, dict) else item
    if isinstance(item, dict):
        aspect = item.get("aspect", aspect)
    if not (_is_number(aspect) and 0.01 <= aspect <= 100.0):
        raise SettingsError("data", f"Frame {number}: the aspect is not a number from 0.01 to 100.")
    if points == []:
        return [], float(aspect)
    if not (isinstance(points, list) and len(points) == POINTS and all(map(_is_point, points))):
        raise SettingsError("data", f"Frame {number}: a hand is {POINTS} points, each [x, y] or [x, y, z].")
    return points, float(aspect)


def _is_point(value: Any) -> bool:
    return isinstance(value, list) and len(value) in (2, 3) and all(map(_is_number, value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER


def _answers(classifier: Any, frames: list[tuple[list[list[float]], float]]) -> list[dict[str, Any]]:
    """Return one answer per frame, in order."""
    from gesture_maze.wire.gestures import DEFAULT_ACTIONS

    _require_depth(classifier, frames)
    shown = [number for number, (points, _) in enumerate(frames) if points]
    labels, confidences = classifier.classify(*_arrays([frames[number] for number in shown]))
    answers: list[dict[str, Any]] = [dict(_NO_HAND) for _ in frames]
    for number, label, confidence in zip(shown, labels.tolist(), confidences.tolist(), strict=True):
        sure = confidence >= classifier.manifest.thresholds.act
        answers[number] = {
            "gesture": classifier.labels[label],
            "label": classifier.numbers[label],
            "confidence": round(confidence, 4),
            "action": DEFAULT_ACTIONS.get(classifier.labels[label]) if sure else None,
        }
    return [{**answer, "model": classifier.version} for answer in answers]


def _require_depth(classifier: Any, frames: list[tuple[list[list[float]], float]]) -> None:
    """Refuse points without z for a model that uses it: its answers would not be those it was trained to."""
    if not classifier.needs_depth:
        return
    for number, (points, _) in enumerate(frames, start=1):
        if any(len(point) < 3 for point in points):
            raise SettingsError(
                "data", f"frame {number}: model {classifier.version} uses z, and the points are [x, y]"
            )


def _arrays(
    frames: list[tuple[list[list[float]], float]],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return landmarks (n, 21, 3) and aspects (n,) as a classifier takes them."""
    import numpy as np

    landmarks = np.zeros((len(frames), POINTS, 3), np.float32)
    for row, (points, _) in enumerate(frames):
        # pairs have z = 0, as on the wire
        landmarks[row] = [[*point, 0.0][:3] for point in points]
    return landmarks, np.array([aspect for _, aspect in frames], np.float32)


def _print_table(answers: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("Frame", "Gesture", "Confidence", "Action", title=f"Model {answers[0]['model']}")
    for number, answer in enumerate(answers, start=1):
        confidence = answer["confidence"]
        shown = "-" if confidence is None else f"{confidence:.3f}"
        table.add_row(str(number), answer["gesture"] or "no hand", shown, answer["action"] or "-")
    Console().print(table)
