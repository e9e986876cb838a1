"""Replay onto a live Redis: a producer sends the frames to whatever pool is there, and hears its replies."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from gesture_maze.capture.reader import Block
from gesture_maze.producer import Backpressure, FrameProducer, Replies, Reply
from gesture_maze.replay.run import Answers, Files, ReplaySummary
from gesture_maze.wire.gestures import GESTURES
from gesture_maze.wire.replies import CONFIDENCE_STEPS, MOVES, ReplyWriter, reply_head
from gesture_maze.worker.redis.attach import attached
from gesture_maze.worker.redis.status import StatusReader

SILENCE_S: Final = 2.0
"""After the last frame: so long without any reply, and no more is waited for."""
AGAIN_S: Final = 0.02
"""Pause before frames that the pool could not take are sent again, when speed does not matter."""


@dataclass(slots=True)
class Heard:
    """What was sent and what came back. `answers` is filled only where somebody wants them, in no order."""

    keep: bool
    sent: int = 0
    refused: int = 0
    order: dict[tuple[str, int], tuple[int, float]] = field(default_factory=dict)
    replies: list[Reply] = field(default_factory=list)
    count: int = 0
    models: set[str] = field(default_factory=set)
    last_s: float = 0.0

    def hear(self, reply: Reply) -> None:
        """One reply."""
        self.count += 1
        self.last_s = time.monotonic()
        self.models.add(reply.model)
        if self.keep:
            self.replies.append(reply)


def run_live(
    url: str, blocks: Iterable[Block], files: Files, *, patient: bool, keep: bool
) -> tuple[ReplaySummary, list[bytes], int]:
    """Send the frames, hear the replies.

    Args:
        url: Redis.
        blocks: what is sent, at the pace at which it comes.
        files: where it comes from.
        patient: frames that the pool cannot take are sent again instead of being dropped.
        keep: return the answers.

    Returns:
        The summary (its outcomes are what the pool counted meanwhile, other producers' frames included), the
        answers in the order of the frames, and how many frames the pool could not take.

    Raises:
        SettingsError, ConnectionLost: Redis cannot be used.
    """
    heard, begin_s, done = Heard(keep), time.perf_counter(), threading.Event()
    with attached(url) as client, FrameProducer(url, name="maze-replay") as producer:
        reader = StatusReader(client)
        producer.connect()
        before = reader.read().outcomes
        with producer.actions() as replies:
            listener = threading.Thread(target=_listen, args=(replies, heard, done), name="replies")
            listener.start()
            try:
                _send(producer, replies, blocks, heard, patient=patient)
                _wait(heard)
            finally:
                done.set()
                listener.join()
        after = reader.read().outcomes
    answers = _lines(heard)
    summary = _summary(heard, answers, time.perf_counter() - begin_s)
    summary.sessions, summary.bad_lines = len(files.sessions), files.skipped
    summary.outcomes = {name: count - before[name] for name, count in after.items()}
    return summary, answers, heard.refused


def _send(
    producer: FrameProducer, replies: Replies, blocks: Iterable[Block], heard: Heard, *, patient: bool
) -> None:
    known: set[str] = set()
    for block in blocks:
        new = set(block.sessions) - known
        if new:
            # before the frames, or the first replies would be missed
            replies.subscribe(*sorted(new))
            known |= new
        if heard.keep:
            columns = zip(block.sessions, block.meta["seq"].tolist(), block.offset_ms, strict=True)
            for session, seq, offset_ms in columns:
                heard.order.setdefault((session, seq), (len(heard.order), offset_ms))
        refused = _send_block(producer, block, patient=patient)
        heard.refused += refused
        heard.sent += len(block) - refused


def _send_block(producer: FrameProducer, block: Block, *, patient: bool) -> int:
    """Send; how many frames were not accepted in the end."""
    rows: list[int] = list(range(len(block)))
    while rows:
        meta: Any = block.meta[rows]
        try:
            producer.send_arrays(
                [block.sessions[row] for row in rows],
                meta["seq"],
                meta["captured_ms"],
                block.landmarks[rows],
                aspect=meta["aspect"],
                flags=meta["flags"],
            )
        except Backpressure as error:
            rows = [rows[row] for row in error.rows]
            if not patient:
                return len(rows)
            time.sleep(AGAIN_S)
            continue
        return 0
    return 0


def _listen(replies: Replies, heard: Heard, done: threading.Event) -> None:
    while not done.is_set():
        reply = replies.get(timeout_s=0.05)
        if reply is not None:
            heard.hear(reply)


def _wait(heard: Heard) -> None:
    """Until every frame is answered, or no reply comes any more."""
    heard.last_s = time.monotonic()
    while heard.count < heard.sent and time.monotonic() < heard.last_s + SILENCE_S:
        time.sleep(0.01)


def _lines(heard: Heard) -> list[bytes]:
    """The answers as a replay without a server writes them, in the order of their frames."""
    writers = {model: ReplyWriter(GESTURES, model) for model in heard.models}
    found = sorted((*heard.order[reply.session, reply.seq], _text(writers, reply)) for reply in heard.replies)
    return [f'{{"offset_ms":{offset_ms!r},{text[1:]}'.encode() for _, offset_ms, text in found]


def _text(writers: dict[str, ReplyWriter], reply: Reply) -> str:
    return writers[reply.model].write(
        reply_head(reply.session),
        reply.seq,
        reply.t,
        len(GESTURES) if reply.label is None else reply.label,
        round(reply.confidence * CONFIDENCE_STEPS),
        MOVES.index(reply.action),
        MOVES.index(reply.move),
    )


def _summary(heard: Heard, lines: list[bytes], seconds: float) -> ReplaySummary:
    summary, answers = ReplaySummary(model=", ".join(sorted(heard.models))), Answers()
    for line in lines:
        answers.take(line)
    answers.into(summary)
    summary.frames, summary.answered = heard.sent, heard.count
    summary.seconds = round(seconds, 3)
    summary.frames_per_s = round(heard.sent / seconds, 1)
    return summary
