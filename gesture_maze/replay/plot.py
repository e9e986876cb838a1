"""Plot one session of a capture: confidence and moves over time, and the hand at the moves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gesture_maze.replay.drawing import BONES
from gesture_maze.replay.engine import Replay
from gesture_maze.replay.recorded import settings_of
from gesture_maze.replay.run import Files, timed
from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.frames import Float32

HANDS: Final = 8
"""Moves whose hand is drawn, spread over the session."""
COLOURS: Final = {"up": "tab:green", "down": "tab:red", "left": "tab:blue", "right": "tab:orange"}


@dataclass(frozen=True, slots=True)
class Shown:
    """One answered frame."""

    answer: dict[str, Any]
    landmarks: Float32
    aspect: float


def frames_of(
    path: Path, session: str | None, *, model: str | None = None, skip_bad: bool = False
) -> tuple[str, list[Shown]]:
    """Return the name and the answered frames of one session.

    Args:
        path: the capture.
        session: id of the session, or None if the capture has only one.
        model: path of a bundle; None selects the bundled model.
        skip_bad: skip invalid lines.

    Raises:
        SettingsError: there is no such session, or more than one to choose from.
    """
    files, found = Files([path], skip_bad=skip_bad), list[Shown]()
    with Replay(settings_of([path], model=model)) as replay:
        for block in files.blocks():
            for row, answer in timed(block, replay.run(block)):
                if session in (None, block.sessions[row]):
                    aspect = float(block.meta["aspect"][row])
                    found.append(Shown(json.loads(answer), block.landmarks[row], aspect))
    names = sorted(files.sessions)
    if session is None and len(names) != 1:
        message = f"--session must be one of the sessions of {path}: {', '.join(names[:20])}"
        raise SettingsError("settings", message)
    if not found:
        message = f"{path} has no answered frame of session {session}; sessions: {', '.join(names[:20])}"
        raise SettingsError("settings", message)
    return session or names[0], found


def plot(frames: Sequence[Shown], title: str, out: Path) -> None:
    """Draw the session to `out`, in the format of its suffix (.png, .svg, .pdf).

    Raises:
        SettingsError: `settings`, if the format is unknown.
        OSError: `out` cannot be written.
    """
    # without pyplot, which requires a display and keeps global state
    from matplotlib.figure import Figure

    moves = [one for one in frames if one.answer["move"]]
    shown = moves[:: max(1, -(-len(moves) // HANDS))]
    figure = Figure(figsize=(12, 5.5), layout="constrained")
    grid = figure.add_gridspec(2, max(len(shown), 1), height_ratios=(2, 1))
    _draw_confidence(figure.add_subplot(grid[0, :]), frames, moves, title)
    for column, one in enumerate(shown):
        _draw_hand(figure.add_subplot(grid[1, column]), one)
    try:
        figure.savefig(out)
    except ValueError as error:
        raise SettingsError("settings", f"--out {out}: {error}") from None


def _draw_confidence(axes: Any, frames: Sequence[Shown], moves: Sequence[Shown], title: str) -> None:
    seconds = [one.answer["offset_ms"] / 1000 for one in frames]
    axes.plot(seconds, [one.answer["confidence"] for one in frames], color="0.8", linewidth=1, zorder=1)
    for action in (*COLOURS, None):
        points = [one for one in frames if one.answer["action"] == action]
        axes.scatter(
            [one.answer["offset_ms"] / 1000 for one in points],
            [one.answer["confidence"] for one in points],
            s=10, color=COLOURS.get(action or "", "0.6"), label=action or "no action", zorder=2,
        )  # fmt: skip
    for one in moves:
        at_s, move = one.answer["offset_ms"] / 1000, one.answer["move"]
        axes.axvline(at_s, color=COLOURS.get(move, "black"), linewidth=1, alpha=0.6)
        axes.text(at_s, 1.03, move, rotation=60, fontsize=7)
    axes.set(title=title, xlabel="s since the capture began", ylabel="confidence", ylim=(0, 1.18))
    axes.legend(loc="lower right", fontsize=8)


def _draw_hand(axes: Any, one: Shown) -> None:
    points = one.landmarks[:, :2] * (one.aspect, 1.0)
    if one.landmarks.any():
        for begin, end in BONES:
            axes.plot(*points[[begin, end]].T, color="tab:gray", linewidth=1)
        axes.scatter(*points.T, s=6, color="tab:red")
    axes.invert_yaxis()
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_axis_off()
    axes.set_title(f"{one.answer['move']}  {one.answer['offset_ms'] / 1000:.2f} s", fontsize=8)
