"""Replay onto a live pool: a producer sends the frames to a running Redis and receives the replies."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from gesture_maze.capture.reader import Block
from gesture_maze.producer import Backpressure, FrameProducer, Replies, Reply
from gesture_maze.replay.agreement import Agreement
from gesture_maze.replay.golden import Difference
from gesture_maze.replay.renaming import Renaming
from gesture_maze.replay.run import Answers, Files, ReplaySummary
from gesture_maze.wire.replies import reply_head
from gesture_maze.worker.redis.attach import attached
from gesture_maze.worker.redis.status import StatusReader

SILENCE_S: Final = 2.0
"""Time after the last reply at which the replay ends with unanswered frames."""
AGAIN_S: Final = 0.02
"""Pause before a patient replay sends refused frames again."""

Key = tuple[str, int]
"""Session as sent, and seq."""


@dataclass(slots=True)
class Exchange:
    """The frames sent and the replies received.

    Attributes:
        sent: frames that were accepted.
        refused: frames that were refused.
        order: position in the capture and `offset_ms` of each frame sent.
        recorded: the reply that was recorded with each frame.
        replies: the first reply to each frame.
        foreign: replies to other frames, which show that live players use the sessions.
        models: versions of the models that answered.
        last_s: when the last reply was received, in monotonic seconds.
    """

    sent: int = 0
    refused: int = 0
    order: dict[Key, tuple[int, float]] = field(default_factory=dict)
    recorded: dict[Key, dict[str, Any]] = field(default_factory=dict)
    replies: dict[Key, Reply] = field(default_factory=dict)
    foreign: int = 0
    models: set[str] = field(default_factory=set)
    last_s: float = 0.0

    def take(self, reply: Reply) -> None:
        """Store one reply. Replies to frames that were not sent here are only counted."""
        if reply.synthetic:  # made by the SDK when frames cease, not by the pool
            return
        key = reply.session, reply.seq
        if key not in self.order:
            self.foreign += 1
            return
        self.last_s = time.monotonic()
        if key not in self.replies:
            self.replies[key] = reply
            self.models.add(reply.model)


@dataclass(frozen=True, slots=True)
class LiveResult:
    """The result of a live replay.

    Attributes:
        summary: its outcomes are those counted by the pool, including frames of other producers.
        answers: in the order of the frames, with the session ids of the capture if there is one copy.
        refused: frames that were refused.
        foreign: replies to frames of other producers in the same sessions.
    """

    summary: ReplaySummary
    answers: list[bytes]
    refused: int
    foreign: int


def run_live(
    url: str, blocks: Iterable[Block], files: Files, renaming: Renaming, *, patient: bool
) -> LiveResult:
    """Send the frames to a live pool and collect the replies.

    Args:
        url: Redis.
        blocks: the frames, sent as they are yielded, with the session ids of the capture.
        files: the captures of the blocks.
        renaming: the session ids to send under.
        patient: send refused frames again instead of dropping them.

    Raises:
        SettingsError, ConnectionLost: Redis cannot be used.
    """
    exchange, begin_s, done = Exchange(), time.perf_counter(), threading.Event()
    # full landmarks, so that answers can be compared with those of a local replay
    with attached(url) as client, FrameProducer(url, name="maze-replay", compact=False) as producer:
        reader = StatusReader(client)
        producer.connect()
        before = reader.read().outcomes
        with producer.actions() as replies:
            listener = threading.Thread(target=_listen, args=(replies, exchange, done), name="replies")
            listener.start()
            try:
                _send(producer, replies, renaming.blocks(blocks), exchange, patient=patient)
                _wait(exchange)
            finally:
                done.set()
                listener.join()
        after = reader.read().outcomes
    answers = _lines(exchange, renaming)
    summary = _summary(exchange, answers, time.perf_counter() - begin_s)
    _compare(exchange, renaming, summary.recorded)
    summary.sessions, summary.bad_lines = len(files.sessions), files.skipped
    summary.outcomes = {name: count - before[name] for name, count in after.items()}
    return LiveResult(summary, answers, exchange.refused, exchange.foreign)


def _send(
    producer: FrameProducer, replies: Replies, blocks: Iterable[Block], exchange: Exchange, *, patient: bool
) -> None:
    known: set[str] = set()
    for block in blocks:
        new = set(block.sessions) - known
        if new:
            # before the frames are sent, or the first replies would be missed
            replies.subscribe(*sorted(new))
            known |= new
        columns = zip(block.sessions, block.meta["seq"].tolist(), block.offset_ms, strict=True)
        for row, (session, seq, offset_ms) in enumerate(columns):
            exchange.order.setdefault((session, seq), (len(exchange.order), offset_ms))
            if row in block.replies:
                exchange.recorded.setdefault((session, seq), block.replies[row])
        refused = _send_block(producer, block, patient=patient)
        exchange.refused += refused
        exchange.sent += len(block) - refused


def _send_block(producer: FrameProducer, block: Block, *, patient: bool) -> int:
    """Send a block and return the number of frames that were not accepted in the end."""
    rows: list[int] = list(range(len(block)))
    settings = block.settings
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
                settings={new: settings[row] for new, row in enumerate(rows) if row in settings},
            )
        except Backpressure as error:
            rows = [rows[row] for row in error.rows]
            if not patient:
                return len(rows)
            time.sleep(AGAIN_S)
            continue
        return 0
    return 0


def _listen(replies: Replies, exchange: Exchange, done: threading.Event) -> None:
    while not done.is_set():
        reply = replies.get(timeout_s=0.05)
        if reply is not None:
            exchange.take(reply)


def _wait(exchange: Exchange) -> None:
    """Return once every frame is answered, or no reply has come for `SILENCE_S`."""
    exchange.last_s = time.monotonic()
    while len(exchange.replies) < exchange.sent and time.monotonic() < exchange.last_s + SILENCE_S:
        time.sleep(0.01)


def _lines(exchange: Exchange, renaming: Renaming) -> list[bytes]:
    """Return the answers in the format of a local replay, in the order of their frames."""
    found = sorted((*exchange.order[key], key) for key in exchange.replies)
    return [
        f'{{"offset_ms":{offset_ms!r},{_text(exchange.replies[key], renaming)[1:]}'.encode()
        for _, offset_ms, key in found
    ]


def _compare(exchange: Exchange, renaming: Renaming, agreement: Agreement) -> None:
    """Compare the replies with the recorded ones, in the order of the frames."""
    for key, recorded in exchange.recorded.items():
        reply, (session, seq), offset_ms = exchange.replies.get(key), key, exchange.order[key][1]
        got = None if reply is None else reply.model_dump()
        agreement.compare(Difference(renaming.original(session), seq, offset_ms, recorded, got))


def _text(reply: Reply, renaming: Renaming) -> str:
    """Return a reply as a worker writes it: compact, in the order of the model, three decimals."""
    # only what the worker sent: later fields of the model have defaults
    values = reply.model_dump(exclude={"v", "session", "seq"}, exclude_unset=True)
    parts = [
        f'"{name}":{format(value, ".3f") if name == "confidence" else json.dumps(value)}'
        for name, value in values.items()
    ]
    return f"{reply_head(renaming.original(reply.session))}{reply.seq},{','.join(parts)}}}"


def _summary(exchange: Exchange, lines: list[bytes], seconds: float) -> ReplaySummary:
    summary, answers = ReplaySummary(model=", ".join(sorted(exchange.models))), Answers()
    for line in lines:
        answers.take(line)
    answers.into(summary)
    summary.frames = exchange.sent
    summary.seconds = round(seconds, 3)
    summary.frames_per_s = round(exchange.sent / seconds, 1)
    return summary
