"""Takes: recordings of one gesture each, as capture files in a folder."""

from __future__ import annotations

import io
import re
import secrets
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from gesture_maze.capture.reader import CaptureReader
from gesture_maze.capture.writer import CaptureWriter
from gesture_maze.models.labels import is_gesture_name
from gesture_maze.teach.lessons import Points
from gesture_maze.wire.errors import FrameError, SettingsError
from gesture_maze.wire.frames import landmark_array
from gesture_maze.wire.gestures import NAME_PATTERN
from gesture_maze.wire.text import frame_of

CONSENT: Final = (
    "The person shown agrees that the landmarks of this hand (no picture) are kept in this folder until they "
    "are deleted, and used to train gesture models."
)
"""Text in the header of every take."""
SUFFIX: Final = ".jsonl.gz"
ID: Final = re.compile(r"[0-9a-f]{8}")
MOST_FRAMES: Final = 3600
"""Frames of one take: two minutes of 30 frames per second."""
LEAST_HANDS: Final = 5
"""Frames with a hand that a take needs."""


def teach_error(sentence: str) -> SettingsError:
    """Return the error to raise for a fault of takes or of their settings, with the reason `teach`."""
    return SettingsError("teach", sentence)


@dataclass(frozen=True, slots=True)
class Take:
    """One take, in memory.

    Attributes:
        id: eight hexadecimal digits.
        label: the gesture that it shows.
        path: its capture file.
        taken_at: ISO 8601, UTC; empty if the header does not say.
        source: `camera`, `simulated`, or the name of the file that it was made from.
        points: (n, 21, 2) of its frames with a hand, isotropic.
        landmarks: (n, 21, 3) of the same, as captured.
        aspect: (n,) width / height.
        left: (n,) bool, which are left hands.
        frames: with and without a hand.
        seconds: from the first frame to the last.
    """

    id: str
    label: str
    path: Path
    taken_at: str
    source: str
    points: Points
    landmarks: np.ndarray[Any, np.dtype[np.float32]]
    aspect: np.ndarray[Any, np.dtype[np.float64]]
    left: np.ndarray[Any, np.dtype[np.bool_]]
    frames: int
    seconds: float


class Takes:
    """The takes in a folder. Each is a capture `<gesture>-<id>.jsonl.gz`, which other commands read, too.

    Args:
        folder: created if it does not exist.

    Raises:
        SettingsError: `teach`, if the folder cannot be created.
    """

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder
        self._read: dict[Path, tuple[int, Take]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise teach_error(f"cannot create the folder {folder}: {error.strerror}") from None

    def all(self) -> list[Take]:
        """Return the takes by time; other files are ignored.

        Raises:
            SettingsError: `capture`, naming the invalid line of a take.
        """
        found = [self._take(path) for path in sorted(self.folder.glob(f"*{SUFFIX}")) if _id_of(path)]
        return sorted(found, key=lambda take: (take.taken_at, take.id))

    def add(self, label: str, frames: Sequence[Mapping[str, Any]], source: str) -> Take:
        """Write a take and return it.

        Args:
            label: a published gesture or one of the user's own.
            frames: JSON objects with `t` (ms), `aspect`, `landmarks` and optionally `hand`; of one session.
            source: see `Take`.

        Raises:
            SettingsError: `teach`: the name, the number of frames, or a frame is wrong.
        """
        checked_name(label)
        lines = list(_lines(label, frames))
        hands = sum(bool(line["landmarks"]) for line in lines)
        if hands < LEAST_HANDS:
            raise teach_error(f"a take needs {LEAST_HANDS} frames with a hand, got {hands} of {len(lines)}")
        header = {
            "name": label,
            "label": label,
            "taken_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "source": source,
            "consent": CONSENT,
        }
        path = self.folder / f"{label}-{secrets.token_hex(4)}{SUFFIX}"
        self._write(path, header, lines)
        return self._take(path)

    def relabel(self, take_id: str, label: str) -> Take:
        """Give a take another gesture, in its header, frames and file name, and return it.

        Raises:
            SettingsError: `teach`: there is no such take, or the name is wrong.
        """
        checked_name(label)
        old = self.path_of(take_id)
        with CaptureReader(old) as reader:
            header = {**reader.header, "name": label, "label": label}
            lines = [{**line.values, "label": label} for line in reader.frames()]
        path = old.with_name(f"{label}-{take_id}{SUFFIX}")
        self._write(path, header, lines)
        if path != old:
            old.unlink()
        return self._take(path)

    def delete(self, take_id: str) -> None:
        """Remove a take from the disk.

        Raises:
            SettingsError: `teach`: there is no such take.
        """
        path = self.path_of(take_id)
        path.unlink()
        self._read.pop(path, None)

    def path_of(self, take_id: str) -> Path:
        """Return the file of a take.

        Raises:
            SettingsError: `teach`: there is no such take.
        """
        if ID.fullmatch(take_id):
            for path in self.folder.glob(f"*-{take_id}{SUFFIX}"):
                return path
        raise teach_error(f"there is no take {take_id[:40]!r} in {self.folder}")

    def zipped(self) -> bytes:
        """Return all takes as one zip."""
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for take in self.all():
                archive.write(take.path, take.path.name)
        return out.getvalue()

    def _take(self, path: Path) -> Take:
        """Return a take, from memory if its file has not changed."""
        changed = path.stat().st_mtime_ns
        known = self._read.get(path)
        if known is None or known[0] != changed:
            known = self._read[path] = (changed, read_take(path))
        return known[1]

    def _write(self, path: Path, header: Mapping[str, Any], lines: Iterable[Mapping[str, Any]]) -> None:
        """Write a capture atomically: a reader sees the old file or the new one."""
        draft = path.with_name(f".{path.name}")  # ends in .gz, so that it is compressed
        with CaptureWriter(draft, header) as writer:
            for line in lines:
                writer.write(line)
        draft.replace(path)
        self._read.pop(path, None)


def read_take(path: Path) -> Take:
    """Return the take in a capture file.

    Raises:
        SettingsError: `capture`, naming the invalid line.
    """
    with CaptureReader(path) as reader:
        header = reader.header
        lines = list(reader.frames())
    shown = [line for line in lines if line.values["landmarks"]]
    landmarks = np.zeros((len(shown), 21, 3), np.float32)
    for row, line in enumerate(shown):
        landmarks[row] = landmark_array(line.frame.landmarks)
    aspect = np.array([line.frame.aspect for line in shown], np.float64)
    points = landmarks[:, :, :2].astype(np.float64)
    points[:, :, 0] *= aspect[:, None]
    times = [line.frame.captured_ms or 0 for line in lines] or [0]
    return Take(
        id=_id_of(path),
        label=str(header.get("label") or path.name.rpartition("-")[0]),
        path=path,
        taken_at=str(header.get("taken_at") or ""),
        source=str(header.get("source") or ""),
        points=points,
        landmarks=landmarks,
        aspect=aspect,
        left=np.array([line.values.get("hand") == "left" for line in shown], np.bool_),
        frames=len(lines),
        seconds=(max(times) - min(times)) / 1000,
    )


def checked_name(label: str) -> str:
    """Return a gesture's name.

    Raises:
        SettingsError: `teach`: it cannot be one.
    """
    if not is_gesture_name(label):
        raise teach_error(f"the name of a gesture must match {NAME_PATTERN}, got {label[:40]!r}")
    return label


def _id_of(path: Path) -> str:
    """Return the id in the name of a take's file; empty for other files."""
    found = path.name.removesuffix(SUFFIX).rpartition("-")[2]
    return found if ID.fullmatch(found) else ""


def _lines(label: str, frames: Sequence[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    if len(frames) > MOST_FRAMES:
        raise teach_error(f"a take may have at most {MOST_FRAMES} frames, got {len(frames)}")
    begin: int | None = None
    for number, frame in enumerate(frames):
        line: dict[str, Any] = {
            "offset_ms": 0.0,
            "session": "take",
            "seq": number,
            **{key: frame[key] for key in ("t", "aspect", "hand", "mirrored") if frame.get(key) is not None},
            "label": label,
            "landmarks": frame.get("landmarks") or [],
        }
        try:
            t = frame_of(line).captured_ms or 0
        except FrameError as error:
            raise teach_error(f"frame {number}: {error.reason}: {error}") from None
        begin = t if begin is None else begin
        yield {**line, "offset_ms": float(max(t - begin, 0))}
