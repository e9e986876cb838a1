"""Summarise a capture: frames, gaps, gestures and moves of each session, and a timeline."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gesture_maze.replay.engine import Replay
from gesture_maze.replay.recorded import settings_of
from gesture_maze.replay.run import Files, timed
from gesture_maze.wire.printable import amount

COLUMNS: Final = 60
"""Cells of a timeline."""
GAP_MS: Final = 250.0
"""Longest pause between two frames of a session that is not a gap. A longer one ends a held gesture."""
SYMBOLS: Final = {"up": "U", "down": "D", "left": "L", "right": "R", "stop": "s"}
"""Symbol of each move in the timeline, which shows the first move of a cell."""


@dataclass(slots=True)
class SessionView:
    """One session of a capture.

    Attributes:
        gaps: pauses longer than `GAP_MS`.
        no_hand: frames without a hand.
        gestures: gesture -> frames.
        moves: (offset_ms, move).
        seen_ms: offset_ms of each frame.
    """

    session: str
    frames: int = 0
    gaps: int = 0
    longest_gap_ms: float = 0.0
    no_hand: int = 0
    gestures: Counter[str] = field(default_factory=Counter)
    moves: list[tuple[float, str]] = field(default_factory=list)
    seen_ms: list[float] = field(default_factory=list)
    last_seq: int | None = None
    _skipped: int = 0
    _counted: int = 0
    """Frames whose seq is the previous one plus 1."""

    @property
    def missing(self) -> int | None:
        """The number of skipped seqs; None if seqs are not consecutive but times of a clock."""
        return self._skipped if self._counted * 2 >= self.frames - 1 else None

    def see(self, offset_ms: float, seq: int) -> None:
        """Count one frame."""
        if self.seen_ms:
            pause_ms = offset_ms - self.seen_ms[-1]
            self.gaps += pause_ms > GAP_MS
            self.longest_gap_ms = max(self.longest_gap_ms, pause_ms)
        if self.last_seq is not None and seq > self.last_seq + 1:
            self._skipped += seq - self.last_seq - 1
        self._counted += self.last_seq is not None and seq == self.last_seq + 1
        self.last_seq = seq if self.last_seq is None else max(seq, self.last_seq)
        self.frames += 1
        self.seen_ms.append(offset_ms)

    def take(self, answer: dict[str, Any]) -> None:
        """Count the answer to one frame."""
        if answer["gesture"] is None:
            self.no_hand += 1
        else:
            self.gestures[answer["gesture"]] += 1
        if answer["move"] is not None:
            self.moves.append((answer["offset_ms"], answer["move"]))

    @property
    def fps(self) -> float:
        """Frames per second from the first to the last frame."""
        span_ms = self.seen_ms[-1] - self.seen_ms[0]
        return (self.frames - 1) * 1000 / span_ms if span_ms > 0 else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as `--json` prints it."""
        return {
            "session": self.session,
            "frames": self.frames,
            "begin_ms": self.seen_ms[0],
            "end_ms": self.seen_ms[-1],
            "fps": round(self.fps, 2),
            "gaps": self.gaps,
            "longest_gap_ms": round(self.longest_gap_ms, 1),
            "missing_seqs": self.missing,
            "no_hand": self.no_hand,
            "gestures": dict(self.gestures.most_common()),
            "moves": dict(Counter(move for _, move in self.moves).most_common()),
        }


@dataclass(slots=True)
class CaptureView:
    """A capture as a whole."""

    sessions: dict[str, SessionView]
    frames: int
    end_ms: float
    bad_lines: int
    model: str

    def timeline(self, view: SessionView) -> str:
        """Return `COLUMNS` cells of equal time: the symbol of a move, `.` without one, or blank in a gap."""
        cells = [" "] * COLUMNS
        last_ms = view.seen_ms[0]
        for offset_ms in view.seen_ms:
            # frames may be further apart than a cell is wide, which is not a gap
            begin_ms = last_ms if offset_ms - last_ms <= GAP_MS else offset_ms
            for cell in range(self._cell(begin_ms), self._cell(offset_ms) + 1):
                cells[cell] = "."
            last_ms = offset_ms
        for offset_ms, move in reversed(view.moves):
            cells[self._cell(offset_ms)] = SYMBOLS[move]
        return "".join(cells)

    def _cell(self, offset_ms: float) -> int:
        return min(int(offset_ms / max(self.end_ms, 1e-9) * COLUMNS), COLUMNS - 1)

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as `--json` prints it."""
        return {
            "frames": self.frames,
            "seconds": round(self.end_ms / 1000, 3),
            "bad_lines": self.bad_lines,
            "model": self.model,
            "sessions": [
                view.as_dict() | {"timeline": self.timeline(view)} for view in self.sessions.values()
            ],
        }


def view(path: Path, *, model: str | None = None, skip_bad: bool = False) -> CaptureView:
    """Replay a capture and return its summary.

    Raises:
        SettingsError: `capture`, at the first invalid line.
        ModelError: the bundle is broken.
    """
    files = Files([path], skip_bad=skip_bad)
    sessions: dict[str, SessionView] = {}
    frames, end_ms = 0, 0.0
    with Replay(settings_of([path], model=model)) as replay:
        for block in files.blocks():
            columns = zip(block.sessions, block.offset_ms, block.meta["seq"].tolist(), strict=True)
            for session, offset_ms, seq in columns:
                if session not in sessions:
                    sessions[session] = SessionView(session)
                sessions[session].see(offset_ms, seq)
            for row, answer in timed(block, replay.run(block)):
                sessions[block.sessions[row]].take(json.loads(answer))
            frames += len(block)
            end_ms = max(end_ms, *block.offset_ms)
        return CaptureView(
            dict(sorted(sessions.items())), frames, end_ms, files.skipped, replay.model_version
        )


def show(found: CaptureView, limit: int) -> None:
    """Print the summary of the first `limit` sessions."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    # folded, not cut: names with the same beginning must stay distinguishable in a narrow terminal
    table = Table(title_justify="left", title=_title(found), box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("Session", overflow="fold")
    for column in ("frames", "fps", "gaps", "missing", "no hand"):
        table.add_column(column, justify="right", overflow="fold")
    table.add_column("gestures", overflow="fold")
    table.add_column("moves", overflow="fold")
    for one in list(found.sessions.values())[:limit]:
        gestures = ", ".join(f"{name} {count}" for name, count in one.gestures.most_common(3))
        moves = Counter(move for _, move in one.moves)
        listed = ", ".join(f"{name} {count}" for name, count in moves.most_common())
        numbers = (str(one.frames), f"{one.fps:.1f}", str(one.gaps), _or_dash(one.missing), str(one.no_hand))
        table.add_row(one.session, *numbers, gestures, listed)
    console = Console()
    console.print(table)
    width = max(len(name) for name in found.sessions) if found.sessions else 0
    for one in list(found.sessions.values())[:limit]:
        console.print(f"{one.session:>{width}} |{found.timeline(one)}|", highlight=False, markup=False)
    if len(found.sessions) > limit:
        console.print(f"... and {amount(len(found.sessions) - limit, 'more session')} (--limit)")


def _or_dash(number: int | None) -> str:
    return "-" if number is None else str(number)


def _title(found: CaptureView) -> str:
    bad = f", {amount(found.bad_lines, 'bad line')}" if found.bad_lines else ""
    return (
        f"{amount(found.frames, 'frame')} of {amount(len(found.sessions), 'session')} "
        f"in {found.end_ms / 1000:.1f} s{bad}; "
        f"moves by {found.model}"
    )
