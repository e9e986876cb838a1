"""What each stage of a pass costs, in one process and without a server.

`python bench/stages.py [--batch 2048 1] [--kinds single ticks small] [--passes 20]`

Answers of XREAD are made in advance, parsed with hiredis, and taken through the worker's own stages up to the
encoded commit and the metrics. Each figure is the fastest of several passes over the same batches, so that a
busy machine hardly matters; sums are smaller than a live worker's, which has cold caches and work in the
kernel. Prints one table per batch size, in µs per frame.
"""

from __future__ import annotations

import argparse
import gc
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import hiredis
import numpy as np

from gesture_maze.simulator.players import synthesize
from gesture_maze.wire import keys
from gesture_maze.wire.frames import HAND, META, pack_arrays, pack_compact
from gesture_maze.wire.gestures import DEFAULT_ACTIONS, GESTURES
from gesture_maze.worker.admit import Limits
from gesture_maze.worker.assembly import load_classifier
from gesture_maze.worker.metrics import Metrics
from gesture_maze.worker.partition import Partition
from gesture_maze.worker.path import FramePath
from gesture_maze.worker.policy import Policy
from gesture_maze.worker.records import Grant
from gesture_maze.worker.redis.commits import Committer
from gesture_maze.worker.redis.streams import reads_of
from gesture_maze.worker.report import Reporter
from gesture_maze.worker.rules import Rules
from gesture_maze.worker.serving.serving import Recipe

PARTITIONS = 16
SESSIONS = 512
NOW_MS = 1_790_000_000_500
STAGES = (
    "parse", "begin", "decode", "admit", "classify", "decide", "encode", "report",
)  # fmt: skip
KINDS = {"single": 1, "ticks": 32, "small": 32}
"""Frames per entry: single frames; ticks; ticks with compact landmarks and a reply channel."""


def answers(kind: str, frames: int, batches: int, sessions: int = SESSIONS) -> list[bytes]:
    """Return answers of XREAD (RESP 3) with about `frames` frames each, spread over all partitions."""
    size = min(KINDS[kind], frames)
    hands = synthesize(np.arange(4096) // 15 % len(GESTURES), np.random.default_rng(7)).landmarks
    owners: dict[int, list[str]] = {number: [] for number in range(PARTITIONS)}
    for number in range(sessions):
        owners[keys.partition_of(f"player-{number}", PARTITIONS)].append(f"player-{number}")
    used = [number for number in owners if owners[number]][: max(frames // size, 1)]
    per_stream = max(frames // size // len(used), 1)
    found, at = [], 0
    for batch in range(batches):
        streams = []
        for number in used:
            entries = []
            for _ in range(per_stream):
                entries.append(
                    _entry(kind, owners[number], at, size, hands, b"%d-0" % (NOW_MS - 500 + batch))
                )
                at += size
            streams.append(_bulk(keys.frames_key(number)) + b"*%d\r\n" % per_stream + b"".join(entries))
        found.append(b"%%%d\r\n" % len(streams) + b"".join(streams))
    return found


def _entry(kind: str, names: list[str], at: int, size: int, hands: Any, entry_id: bytes) -> bytes:
    rows = np.arange(at, at + size)
    meta = np.empty(size, META)
    meta["seq"], meta["captured_ms"] = rows, 1_700_000_000_000 + rows * 66 // len(names)
    meta["aspect"], meta["flags"] = 4 / 3, HAND
    chosen = [names[row % len(names)] for row in rows.tolist()]
    packed = pack_compact(chosen, meta, hands[rows % 4096]) if kind == "small" else None
    s, m, landmarks = packed or pack_arrays(chosen, meta, hands[rows % 4096])
    words = ["s", s, "m", m, "c" if packed else "l", landmarks, *(("r", "bench") if packed else ())]
    return b"*2\r\n" + _bulk(entry_id) + b"*%d\r\n" % len(words) + b"".join(map(_bulk, words))


def _bulk(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return b"$%d\r\n%b\r\n" % (len(raw), raw)


class Bench:
    """A worker's stages without a server."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        serving = Recipe(None, dict(DEFAULT_ACTIONS), self.metrics.inference).serving(load_classifier(None))
        self.path = FramePath(serving, Limits(0, 0), Policy(Rules()), "bench")
        self._committer = Committer(_NoServer(), dead_letters=10_000, dead_letter_bytes=4_000_000)  # type: ignore[arg-type]
        self._committer._call_head = b"$7\r\nEVALSHA\r\n$40\r\n%b\r\n" % (b"a" * 40)
        self._reporter = Reporter(self.metrics)
        self.partitions: dict[int, Partition] = {}
        self.restart()

    def restart(self) -> None:
        """Forget all sessions."""
        for number in range(PARTITIONS):
            self.partitions[number] = Partition(Grant(number, "bench:1790000000000", b"0-0", 0), PARTITIONS)

    def timed(self, raw: bytes, clock: Callable[[], float]) -> tuple[list[float], int]:
        """Run one pass over an answer, and return the seconds of each of `STAGES` and the frames."""
        reader, path = hiredis.Reader(), self.path
        marks = [clock()]
        for begin in range(0, len(raw), 1 << 18):
            reader.feed(raw[begin : begin + (1 << 18)])
        reads = reads_of(reader.gets())
        marks.append(clock())
        batch = path.begin([(self.partitions[read.partition], read) for read in reads], NOW_MS)
        marks.append(clock())
        for stage in (path.decode, path.admit, path.classify, path.decide):
            stage(batch)
            marks.append(clock())
        self._reporter.prepare(batch)
        commits = [part.commit() for part in batch.parts]
        self._committer._packed(commits)
        marks.append(clock())
        self._reporter.report(batch, batch.parts, NOW_MS + 1)
        for commit in commits:
            self.metrics.committed(commit.outcomes)
        marks.append(clock())
        return np.diff(marks).tolist(), batch.counted


class _NoServer:
    connection_pool = None


def costs(raws: Sequence[bytes], passes: int) -> np.ndarray:
    """Return the µs per frame of each of `STAGES`, (8,): the fastest pass of each batch, median of these."""
    # the CPU clock leaves other processes out, but reading it takes as long as a stage of a single frame
    clock = time.thread_time if len(raws[0]) > 1 << 16 else time.perf_counter
    bench = Bench()
    best: np.ndarray | None = None
    for _ in range(passes):
        bench.restart()
        rows = [
            np.array(seconds) / frames * 1e6 for seconds, frames in (bench.timed(raw, clock) for raw in raws)
        ]
        best = np.array(rows) if best is None else np.minimum(best, rows)
    assert best is not None
    median: np.ndarray = np.median(best, axis=0)
    return median


def main() -> None:
    """Run and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--batch", type=int, nargs="+", default=[2048, 1])
    options.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    options.add_argument("--passes", type=int, default=20)
    chosen = options.parse_args()
    gc.collect()
    gc.freeze()
    gc.disable()
    for frames in chosen.batch:
        batches = 4 if frames > 64 else 100
        kinds = chosen.kinds if frames >= 32 else ["single"]
        columns = {kind: costs(answers(kind, frames, batches), chosen.passes) for kind in kinds}
        print(f"{f'batch of {frames}':16}" + "".join(f"{kind:>9}" for kind in columns))
        for at, stage in enumerate(STAGES):
            print(f"{stage:16}" + "".join(f"{column[at]:9.2f}" for column in columns.values()))
        print(f"{'all':16}" + "".join(f"{column.sum():9.2f}" for column in columns.values()))


if __name__ == "__main__":
    main()
