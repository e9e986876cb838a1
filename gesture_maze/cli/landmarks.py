"""`maze landmarks`: pictures and videos in, a capture with the landmarks of their hands out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gesture_maze.cli.options import AsJson
from gesture_maze.cli.printing import print_json, print_line
from gesture_maze.cli.progress import progress
from gesture_maze.cli.reading import show_found
from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.printable import amount

Opt = typer.Option


def landmarks(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Pictures, videos, or folders of them.")
    ],
    out: Annotated[Path, Opt(help="Capture to write; compressed if it ends with .gz or .zst.")],
    fps: Annotated[
        float | None, Opt(min=0.1, max=1000, help="Frames per second. (default: the video's own)")
    ] = None,
    hands: Annotated[int, Opt(min=1, max=2, help="Most hands per picture; two are two sessions.")] = 1,
    model: Annotated[str, Opt(metavar="NAME", help="Tracker: full, or lite, which is faster.")] = "full",
    label: Annotated[str, Opt(help="The gesture that all of them show, for maze train.")] = "",
    mirrored: Annotated[
        bool, Opt("--mirrored", help="The pictures are mirrored, as a selfie camera shows them.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Find the hands in pictures and videos with the page's tracker, in a headless browser.

    It needs a Chromium on this machine and no Python package of MediaPipe; nothing leaves the machine. Frame
    rate and aspect are the video's. Each video is one session; the pictures of a folder are one, too. Videos
    that the browser cannot play are converted by ffmpeg if it is installed.

    Example: [bold]maze landmarks clip.mp4 --out clip.jsonl.gz --label like[/bold]
    """
    from gesture_maze.capture.convert import recording_lines
    from gesture_maze.capture.writer import CaptureWriter
    from gesture_maze.landmarks.browser import MODELS, open_tracker
    from gesture_maze.landmarks.files import Wanted, look, sources

    if model not in MODELS:
        raise SettingsError("settings", f"--model must be full or lite, got {model}")
    paths = sources(files)
    wanted = Wanted(fps, label, mirrored)
    header: dict[str, Any] = {"source": "landmarks", "tracker": f"mediapipe hands {model}"}
    shown = 0
    with open_tracker(model, hands) as tracker, CaptureWriter(out, header) as writer:
        for name, rate, recording in look(tracker, paths, wanted, progress):
            show_found([recording.describe()])
            for values in recording_lines(recording, name, rate):
                writer.write(values)
                shown += bool(values["landmarks"])
    facts = {"out": str(out), "frames": writer.frames, "with_hand": shown, "bytes": out.stat().st_size}
    if as_json:
        print_json(facts)
    else:
        frames = amount(writer.frames, "frame")
        print_line(f"{out}: {frames}, {shown:,} with a hand, {facts['bytes']:,} bytes")
