"""Takes from files: landmarks of any layout, captures, videos and pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from gesture_maze.capture.convert import recording_lines
from gesture_maze.landmarks.files import PICTURES, VIDEOS, Progress, Wanted
from gesture_maze.readers.hands import Recording
from gesture_maze.readers.read import read_recording
from gesture_maze.teach.takes import MOST_FRAMES, Take, Takes, checked_name

DEFAULT_FPS: Final = 30.0
"""Frames per second of files that have no times."""


def take_files(
    takes: Takes,
    paths: Sequence[Path],
    label: str,
    aspect: float | None,
    progress: Progress,
    show: Callable[[str], None],
) -> list[Take]:
    """Make takes from files, and return them.

    Args:
        takes: the store that they are added to.
        paths: files; the page's tracker finds the hands in videos and pictures, in a headless browser.
        label: the gesture that all of them show.
        aspect: image width / height of landmark files; None keeps the files' own.
        progress: shows progress.
        show: called with what was found in each file.

    Raises:
        SettingsError: `data`, `capture` or `teach`, naming the fault.
    """
    checked_name(label)
    films = [path for path in paths if path.suffix.lower() in (*PICTURES, *VIDEOS)]
    found: list[Take] = []
    for path in paths:
        if path not in films:
            recording = read_recording(path, aspect=aspect)
            show(recording.describe())
            found += add_recording(takes, recording, path.name, label, DEFAULT_FPS)
    if films:
        from gesture_maze.landmarks.browser import open_tracker
        from gesture_maze.landmarks.files import look, sources

        with open_tracker("full", 1) as tracker:
            for name, fps, recording in look(tracker, sources(films), Wanted(label=label), progress):
                show(recording.describe())
                found += add_recording(takes, recording, name, label, fps)
    return found


def add_recording(takes: Takes, recording: Recording, name: str, label: str, fps: float) -> list[Take]:
    """Store each session of a recording as a take (as several, if it is long) and return the takes.

    Raises:
        SettingsError: `capture` or `teach`.
    """
    sessions: dict[str, list[dict[str, Any]]] = {}
    for line in recording_lines(recording, name, fps):
        sessions.setdefault(line["session"], []).append(line)
    return [
        takes.add(label, lines[at : at + MOST_FRAMES], name)
        for lines in sessions.values()
        for at in range(0, len(lines), MOST_FRAMES)
    ]
