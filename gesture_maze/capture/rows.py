"""Captures as labelled rows: a table that `maze evaluate` and `maze train` read."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gesture_maze.capture.reader import Line
from gesture_maze.readers.labels import DROPPED, canonical
from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.frames import LANDMARKS, landmark_array

LABELS_FROM: Final = ("label", "session", "reply")
"""Where a frame's label comes from: its own key, its session id, or the pool's recorded answer."""


@dataclass(slots=True)
class Rows:
    """Makes rows of frames.

    Attributes:
        label: the label of all frames; None takes each frame's own.
        label_from: one of `LABELS_FROM`.
        labels: renames labels; one of `readers.labels.DROPPED` leaves the frames out.
        every: keeps each n-th hand of a session, because consecutive hands are almost the same.
        written: rows so far, by label.
        skipped: frames without a hand.
        unanswered: frames that were recorded without a reply, if replies give the labels.
    """

    label: str | None = None
    label_from: str = "label"
    labels: Mapping[str, str] = field(default_factory=dict)
    every: int = 1
    written: dict[str, int] = field(default_factory=dict)
    skipped: int = 0
    unanswered: int = 0

    def __post_init__(self) -> None:
        if self.label_from not in LABELS_FROM:
            message = f"--label-from must be one of {', '.join(LABELS_FROM)}, got {self.label_from}"
            raise SettingsError("settings", message)

    def lines(self, source: str, frames: Iterable[Line]) -> Iterator[str]:
        """Yield a header and one line per hand, with x, y and z in units of the image height.

        In these units the aspect is 1. It is written, so that a reader need not guess. z is left out if the
        first hand has none.

        Args:
            source: name of the capture.
            frames: of the capture.

        Raises:
            SettingsError: `capture`, naming the first frame without a label, or that no frame has a reply.
        """
        seen: dict[str, int] = {}
        axes = 0
        for line in frames:
            if not line.values["landmarks"]:
                self.skipped += 1
                continue
            if self.label is None and self.label_from == "reply" and "reply" not in line.values:
                self.unanswered += 1  # the first reply of a session may be missing
                continue
            count = seen[line.frame.session] = seen.get(line.frame.session, -1) + 1
            if count % self.every:
                continue
            label = self._label(line)
            if label is None:
                continue
            points = landmark_array(line.frame.landmarks) * (line.frame.aspect, 1.0, line.frame.aspect)
            if not axes:
                axes = 3 if points[:, 2].any() else 2
                yield _row(["source", "user_id", "label", "aspect", *_columns(axes)])
            self.written[label] = self.written.get(label, 0) + 1
            user = str(line.values.get("user_id") or line.frame.session)
            numbers = [f"{value:.7g}" for value in points[:, :axes].reshape(-1).tolist()]
            yield _row([source, user, label, "1", *numbers])
        if self.unanswered and not seen:
            raise SettingsError(
                "capture",
                "no frame with a hand has a reply: record with maze capture --with-replies, or give "
                "--label NAME, or --label-from session",
            )

    def _label(self, line: Line) -> str | None:
        found = self.label
        if found is None and self.label_from == "session":
            found = line.frame.session
        elif found is None and self.label_from == "reply":
            found = _text(line.values.get("reply"), "gesture")
        elif found is None:
            found = _text(line.values, "label")
        if not found and self.label_from == "reply":
            message = (
                f"line {line.number}: its reply has no gesture: give --label NAME, or --label-from session"
            )
            raise SettingsError("capture", message)
        if not found:
            ways = "--label-from session or reply" if "reply" in line.values else "--label-from session"
            raise SettingsError(
                "capture",
                f"line {line.number}: no label: give --label NAME, or {ways}, with --labels map.csv to "
                "rename them",
            )
        found = self.labels.get(found, found)
        return None if found.lower() in DROPPED else canonical(found)


def _text(values: Any, key: str) -> str:
    found = values.get(key) if isinstance(values, dict) else None
    return found if isinstance(found, str) else ""


def _columns(axes: int) -> list[str]:
    return [f"{axis}{point}" for point in range(1, LANDMARKS + 1) for axis in "xyz"[:axes]]


def _row(cells: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()
