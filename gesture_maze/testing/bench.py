"""The result of `maze_replay`: the answers as objects, and their comparison with golden answers."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from gesture_maze.models.classifier import Classifier
from gesture_maze.replay.engine import Replay
from gesture_maze.replay.golden import Before, Expected, read_golden, require_answered, write_golden
from gesture_maze.replay.recorded import settings_of
from gesture_maze.replay.report import SHOWN, described
from gesture_maze.replay.run import Files, landmarks_of, run
from gesture_maze.wire.gestures import Action, Move
from gesture_maze.worker.assembly import load_classifier


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one frame; see `wire.replies.Reply`.

    Attributes:
        offset_ms: when the frame was captured, ms since the capture began.
    """

    offset_ms: float
    session: str
    seq: int
    t: int
    gesture: str | None
    label: int | None
    confidence: float
    action: Action | None
    move: Move | None
    model: str


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """The answers to a capture.

    Attributes:
        path: the capture.
        frames: number of frames replayed.
        answers: one per answered frame, in the order of the frames.
        outcomes: frames by outcome.
        rejected: frames by reason.
        bad_lines: lines skipped (with `skip_bad=True`).
        lines: the answers as lines of a golden file.
    """

    path: Path
    frames: int
    answers: list[Answer]
    outcomes: dict[str, int]
    rejected: dict[str, int]
    bad_lines: int
    lines: list[bytes]

    @property
    def sessions(self) -> list[str]:
        """Return the ids of the answered sessions, sorted."""
        return sorted({answer.session for answer in self.answers})

    @property
    def moves(self) -> list[Answer]:
        """Return the answers with a move or a stop."""
        return [answer for answer in self.answers if answer.move is not None]

    @property
    def actions(self) -> list[Answer]:
        """Return the answers whose frame alone shows an action."""
        return [answer for answer in self.answers if answer.action is not None]

    def moves_of(self, session: str) -> list[Move]:
        """Return the moves of one session, in order."""
        return [answer.move for answer in self.answers if answer.session == session and answer.move]

    def gestures_of(self, session: str) -> Counter[str | None]:
        """Return the number of frames of one session by gesture, with None for no hand."""
        return Counter(answer.gesture for answer in self.answers if answer.session == session)


@lru_cache(maxsize=4)
def _classifier(model: str | None) -> Classifier:
    # cached, because loading a model takes longer than a short replay
    return load_classifier(model)


def replay(path: Path, *, skip_bad: bool = False, **settings: Any) -> ReplayResult:
    """Replay a capture and return its answers.

    Args:
        path: the capture.
        skip_bad: skip invalid lines.
        settings: arguments of `replay.engine.replay_settings`; they override the settings of the capture.

    Raises:
        SettingsError, ModelError: the capture or a setting is wrong.
    """
    chosen = settings_of([path], **settings)
    files, lines = Files([path], skip_bad=skip_bad), list[bytes]()
    with Replay(chosen, _classifier(chosen.model)) as worker:
        summary = run(worker, files, files.blocks(), [lines.append])
    answers = [_answer(line) for line in lines]
    return ReplayResult(
        path, summary.frames, answers, summary.outcomes, summary.rejected, summary.bad_lines, lines
    )


def _answer(line: bytes) -> Answer:
    values: dict[str, Any] = json.loads(line)
    return Answer(**{one.name: values[one.name] for one in fields(Answer)})


@dataclass(frozen=True, slots=True)
class Comparing:
    """How answers are compared with golden ones.

    Attributes:
        bless: write the golden file instead.
        tolerance_ms: how much earlier or later a gesture, action or move may occur.
        allow_unanswered: write the golden file although not every frame was answered.
    """

    bless: bool = False
    tolerance_ms: float = 0.0
    allow_unanswered: bool = False


def check(found: ReplayResult, golden: Path, how: Comparing) -> str | None:
    """Compare with golden answers, or write them; return a sentence about what was written.

    Raises:
        SettingsError: the golden file cannot be used, or must not be written.
        pytest's failure: answers differ; its message shows the differences with the hands drawn.
    """
    __tracebackhide__ = True
    if how.bless:
        if not how.allow_unanswered:
            require_answered(golden, found.frames, {**found.outcomes, "answered": len(found.answers)})
        before = Before(golden)
        for line in found.lines:
            before.take(line)
        write_golden(golden, found.lines)
        return before.sentence()
    if not golden.exists():
        pytest.fail(
            f"golden answers {golden} do not exist: run pytest --maze-bless and review the file", False
        )
    expected = Expected(read_golden(golden), how.tolerance_ms)
    for line in found.lines:
        expected.compare(json.loads(line))
    differences = expected.finish()
    if differences:
        hands = landmarks_of([found.path], {one.key for one in differences[:SHOWN]}, skip_bad=True)
        text = "\n".join(described(differences, hands))
        pytest.fail(f"{found.path.name} is not answered as in {golden.name}\n{text}", pytrace=False)
    return None
