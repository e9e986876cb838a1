"""Run a replay on fakeredis in this process: files, pace, answers and their summary."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from gesture_maze.capture.reader import BLOCK_FRAMES, Block, CaptureReader
from gesture_maze.replay.agreement import Agreement
from gesture_maze.replay.engine import Replay, unusual

TICK_MS: Final = 10.0
"""Frames within this time of each other are sent together."""


@dataclass(slots=True)
class ReplaySummary:
    """The summary of a replay.

    Attributes:
        settings: threshold, actions and rules of the policy that are not the defaults of a worker.
        outcomes: frames by outcome.
        gestures, actions, moves: answers by gesture, action and move; answers without one are not listed.
        rejected: frames by reason.
        bad_lines: lines that were skipped.
        blessed: a sentence about what `--bless` wrote.
        recorded: agreement with the replies that were recorded with the frames.
        sha256: digest of the answers, in hexadecimal: equal for equal answers.
    """

    model: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    frames: int = 0
    sessions: int = 0
    answered: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    gestures: dict[str, int] = field(default_factory=dict)
    actions: dict[str, int] = field(default_factory=dict)
    moves: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    bad_lines: int = 0
    blessed: str = ""
    recorded: Agreement = field(default_factory=Agreement)
    sha256: str = ""
    seconds: float = 0.0
    frames_per_s: float = 0.0


class Answers:
    """Counters over the answers of a replay."""

    def __init__(self) -> None:
        self._gestures: Final[Counter[bytes]] = Counter()
        self._tails: Final[Counter[bytes]] = Counter()
        self._hash: Final = sha256()
        self.count = 0

    def take(self, answer: bytes) -> None:
        """Count one answer, a line of JSON without its newline. Takes 1 µs."""
        # cut from the text, because parsing would cost as much as everything else
        at = answer.index(b',"gesture":') + 11
        self._gestures[answer[at : answer.index(b",", at)]] += 1
        self._tails[answer[answer.index(b'"action":', at) :]] += 1
        self._hash.update(answer + b"\n")
        self.count += 1

    def into(self, summary: ReplaySummary) -> None:
        """Write the counts into a summary."""
        summary.answered = self.count
        summary.sha256 = self._hash.hexdigest()
        gestures = {json.loads(name): count for name, count in self._gestures.items()}
        summary.gestures = {name: gestures[name] for name in sorted(filter(None, gestures))}
        for tail, count in sorted(self._tails.items()):
            shown = json.loads(b"{" + tail)
            for name, counts in (("action", summary.actions), ("move", summary.moves)):
                if shown[name] is not None:
                    counts[shown[name]] = counts.get(shown[name], 0) + count


class Files:
    """Reads several captures as one, in which each begins where the one before ends.

    Args:
        paths: the captures.
        skip_bad: skip and count invalid lines.
        count: frames per block.
    """

    def __init__(self, paths: Sequence[Path], *, skip_bad: bool = False, count: int = BLOCK_FRAMES) -> None:
        self._paths: Final = paths
        self._skip_bad: Final = skip_bad
        self._count: Final = count
        self.sessions: Final[set[str]] = set()
        self.skipped = 0
        self.faults: Final[list[str]] = []

    def blocks(self) -> Iterator[Block]:
        """Yield the frames of all captures.

        Raises:
            SettingsError: see `CaptureReader`.
        """
        begin_ms = 0.0
        for path in self._paths:
            end_ms = begin_ms
            with CaptureReader(path, skip_bad=self._skip_bad) as reader:
                try:
                    for block in reader.blocks(self._count):
                        shifted = block if not begin_ms else _later(block, begin_ms)
                        end_ms = max(end_ms, *shifted.offset_ms)
                        self.sessions.update(shifted.sessions)
                        yield shifted
                finally:
                    self.skipped += reader.skipped
                    self.faults.extend(reader.faults)
            begin_ms = end_ms


def _later(block: Block, begin_ms: float) -> Block:
    offset_ms = [begin_ms + one for one in block.offset_ms]
    return replace(block, offset_ms=offset_ms)


def paced(
    blocks: Iterable[Block],
    speed: float | None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Block]:
    """Yield the frames at `speed` times the captured pace, or without waiting if `speed` is None."""
    begin_s = clock()
    for block in blocks:
        if speed is None:
            yield block
            continue
        row = 0
        while row < len(block):
            end = row + 1
            while end < len(block) and abs(block.offset_ms[end] - block.offset_ms[row]) < TICK_MS:
                end += 1
            wait_s = begin_s + block.offset_ms[row] / 1000 / speed - clock()
            if wait_s > 0:
                sleep(wait_s)
            yield block.rows(row, end)
            row = end


def timed(block: Block, replies: Sequence[bytes | None]) -> Iterator[tuple[int, bytes]]:
    """Yield the row and answer of each answered frame. An answer is the reply with `offset_ms` prepended."""
    for row, reply in enumerate(replies):
        if reply is not None:
            yield row, b'{"offset_ms":%s,%b' % (repr(block.offset_ms[row]).encode(), reply[1:])


def run(
    replay: Replay, files: Files, blocks: Iterable[Block], takers: Sequence[Callable[[bytes], object]] = ()
) -> ReplaySummary:
    """Replay `blocks`, which come from `files`, and return the summary.

    Args:
        replay: the worker.
        files: where the blocks come from.
        blocks: the frames.
        takers: called with each answer, in the order of the frames.

    Raises:
        SettingsError: `capture`, at the first invalid line.
    """
    summary, answers = ReplaySummary(replay.model_version, unusual(replay.settings)), Answers()
    begin_s = time.perf_counter()
    for block in blocks:
        replies = replay.run(block)
        summary.recorded.compare_block(block, replies)
        for _, answer in timed(block, replies):
            answers.take(answer)
            for take in takers:
                take(answer)
        summary.frames += len(block)
    answers.into(summary)
    summary.seconds = round(time.perf_counter() - begin_s, 3)
    summary.frames_per_s = round(summary.frames / max(summary.seconds, 1e-9), 1)
    summary.sessions, summary.bad_lines = len(files.sessions), files.skipped
    summary.outcomes, summary.rejected = replay.outcomes(), dict(sorted(replay.rejected.items()))
    return summary


def landmarks_of(
    paths: Sequence[Path], wanted: set[tuple[str, int]], *, skip_bad: bool
) -> dict[tuple[str, int], tuple[Any, float]]:
    """Return the landmarks (21, 3) and aspect of the `wanted` frames, by reading the captures once more.

    Args:
        paths: the captures.
        wanted: session and seq of each frame.
        skip_bad: skip invalid lines.
    """
    found: dict[tuple[str, int], tuple[Any, float]] = {}
    for block in Files(paths, skip_bad=skip_bad).blocks():
        for row, key in enumerate(zip(block.sessions, block.meta["seq"].tolist(), strict=True)):
            if key in wanted and key not in found:
                found[key] = block.landmarks[row], float(block.meta["aspect"][row])
        if len(found) == len(wanted):
            break
    return found
