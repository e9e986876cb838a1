"""Pictures and videos -> recordings of hands."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from gesture_maze.landmarks.browser import Found, Tracker, Video
from gesture_maze.readers.hands import Hand, Recording, Unit, data_error
from gesture_maze.wire.printable import amount

PICTURES: Final = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".avif")
VIDEOS: Final = (".mp4", ".m4v", ".webm", ".mkv", ".mov", ".avi", ".mjpeg", ".mpg", ".mpeg", ".ogv", ".3gp")
DEFAULT_FPS: Final = 30.0

COPIES: Final = {
    # a key frame every ten, because the browser decodes from the last one at every step
    ".mp4": ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "16", "-g", "10", "-pix_fmt", "yuv420p"),
    ".webm": ("-c:v", "libvpx", "-g", "10", "-crf", "4", "-b:v", "20M", "-deadline", "realtime"),
}
"""Suffix of a copy -> options of ffmpeg; some browsers lack the first kind, and the second takes longer."""

Progress = Callable[[str, int | None], AbstractContextManager[Callable[[], None]]]
"""Shows a progress bar with a title and a number of steps; yields the function that advances it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How pictures and videos are read.

    Attributes:
        fps: frames per second of videos; None takes each video's own.
        label: the gesture of all frames; empty for none.
        mirrored: the pictures are mirrored, as a selfie camera shows them.
    """

    fps: float | None = None
    label: str = ""
    mirrored: bool = False


def sources(paths: Sequence[Path]) -> list[Path]:
    """Return the pictures and videos among files and folders; the files of a folder by name.

    Raises:
        SettingsError: `data`, if there are none, or a file is neither.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(one for one in path.iterdir() if one.suffix.lower() in (*PICTURES, *VIDEOS))
        elif not path.exists():
            raise data_error(f"cannot read {path}: no such file")
        elif path.suffix.lower() in (*PICTURES, *VIDEOS):
            found.append(path)
        else:
            raise data_error(
                f"{path} must be a picture ({', '.join(PICTURES)}) or a video ({', '.join(VIDEOS)})"
            )
    if not found:
        raise data_error(f"there are no pictures and no videos in {', '.join(map(str, paths))}")
    return found


def look(
    tracker: Tracker, paths: Sequence[Path], wanted: Wanted, progress: Progress
) -> Iterator[tuple[str, float, Recording]]:
    """Yield session name, frames per second and hands: one recording per video, one of all pictures.

    Args:
        tracker: an open one.
        paths: as `sources` returns them.
        wanted: how they are read.
        progress: shows progress.

    Raises:
        SettingsError: `data`: the browser cannot show a file.
    """
    pictures = [path for path in paths if path.suffix.lower() in PICTURES]
    if pictures:
        name = pictures[0].stem if len(pictures) == 1 else pictures[0].parent.name or "pictures"
        yield name, wanted.fps or DEFAULT_FPS, _of_pictures(tracker, pictures, wanted, progress)
    for path in paths:
        if path not in pictures:
            fps, recording = _of_video(tracker, path, wanted, progress)
            yield path.stem, fps, recording


def _of_pictures(tracker: Tracker, paths: Sequence[Path], wanted: Wanted, progress: Progress) -> Recording:
    hands: list[Hand] = []
    with progress("Pictures", len(paths)) as tick:
        for number, path in enumerate(paths):
            tracker.choose([path])
            found = tracker.picture(0)
            if found is None:
                raise data_error(f"{path}: the browser cannot show this picture")
            aspect, shown = found
            for hand in _hands(shown, wanted, aspect, number):
                hand.source = path.name
                hands.append(hand)
            tick()
    return Recording("pictures", "tasks", amount(len(paths), "picture"), Unit.STATED, depth=True, hands=hands)


def _of_video(tracker: Tracker, path: Path, wanted: Wanted, progress: Progress) -> tuple[float, Recording]:
    with tempfile.TemporaryDirectory(prefix="gesture-maze-") as folder:
        video = _open_video(tracker, path, Path(folder), wanted.fps, progress)
        fps = wanted.fps or video.fps or DEFAULT_FPS
        count = max(1, round(video.seconds * fps))
        aspect, hands = video.width / video.height, list[Hand]()
        with progress(path.name, count) as tick:
            for number in range(count):
                # the middle of a frame, so that rounding does not show its neighbour
                found = tracker.at(min((number + 0.5) / fps, video.seconds))
                hands += _hands(found, wanted, aspect, number, time_ms=1000 * number / fps)
                tick()
    known = video.fps is not None and path.suffix.lower() != ".mjpeg"  # which has no frame rate
    measured = "given" if wanted.fps else "measured" if known else "assumed"
    detail = f"{amount(count, 'frame')}, {fps:g} frames/s ({measured}), {video.width}x{video.height}"
    return fps, Recording(path.name, "tasks", detail, Unit.STATED, depth=True, hands=hands)


def _open_video(tracker: Tracker, path: Path, folder: Path, fps: float | None, progress: Progress) -> Video:
    """Open a video, or a copy that ffmpeg makes if the browser cannot play it."""
    tracker.choose([path])
    video = tracker.video(0)
    for suffix, words in COPIES.items():
        if video is not None:
            return video
        with progress(f"Converting {path.name}", None):
            copy = _converted(path, folder / f"copy{suffix}", words, fps)
        tracker.choose([copy])
        video = tracker.video(0)
    if video is None:
        raise data_error(f"{path}: the browser cannot play this video, not even after ffmpeg converted it")
    return video


def _converted(path: Path, out: Path, words: Sequence[str], fps: float | None) -> Path:
    program = shutil.which("ffmpeg")
    if program is None:
        advice = f"ffmpeg -i {path.name} {path.stem}.mp4"
        raise data_error(f"{path}: the browser cannot play this video: convert it ({advice})")
    rate = ["-framerate", f"{fps or DEFAULT_FPS:g}"] if path.suffix.lower() == ".mjpeg" else []
    command = [program, "-loglevel", "error", "-nostdin", *rate, "-i", str(path), "-an", *words, str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise data_error(f"{path}: ffmpeg cannot convert this video: {reason}")
    return out


def _hands(
    found: Found, wanted: Wanted, aspect: float, number: int, time_ms: float | None = None
) -> list[Hand]:
    """Return the hands of one picture, or one entry without a hand.

    MediaPipe assumes that a picture is mirrored: if it is not, its left hand is a right hand.
    """
    common = {"frame": number, "time_ms": time_ms, "aspect": aspect, "row": number + 1}
    hands = []
    for one in found:
        side = str(one["label"]).lower()
        if not wanted.mirrored:
            side = {"left": "right", "right": "left"}.get(side, "")
        hand = Hand(np.array(one["points"], np.float64), label=wanted.label, side=side, **common)  # type: ignore[arg-type]
        if wanted.mirrored:
            hand.extra["mirrored"] = True
        hands.append(hand)
    return hands or [Hand(None, label=wanted.label, **common)]  # type: ignore[arg-type]
