"""Record a live system into a capture, without disturbing it.

The recorder polls the streams every `POLL_S` instead of blocking: every single frame would wake a blocked
XREAD, which loads Redis; twenty reads a second do not.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import translate
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gesture_maze.capture.pool import POOL, pool_settings
from gesture_maze.capture.stream import START, CaptureStream, Entry
from gesture_maze.capture.writer import CaptureWriter, lines_of
from gesture_maze.wire.decode import Frames, decode
from gesture_maze.wire.errors import ConnectionLost
from gesture_maze.wire.frames import META
from gesture_maze.wire.keys import actions_channel, is_session, reply_channel

POLL_S: Final = 0.05
READ_ENTRIES: Final = 256
"""Most entries per partition and read. After a full read the next one follows at once."""
BACK_OFF_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0)
"""Waits after a lost connection; the last one repeats."""
REPLY_WAIT_S: Final = 1.5
"""How long a frame waits for its reply before it is written without one."""
FLUSH_S: Final = 1.0
REPLY_KEYS: Final = ("gesture", "confidence", "action", "move", "model")
"""The keys of a reply that are kept; the frame's line already has the others."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a recording."""

    frames: int
    sessions: int
    bytes_written: int
    bad_entries: int
    reconnects: int
    seconds: float


@dataclass(slots=True)
class _Waiting:
    line: str
    key: tuple[str, int]
    until_s: float


class Names:
    """The session ids of a capture: those that match a pattern, anonymised on request.

    Args:
        pattern: a shell pattern; None matches all.
        anonymise: `player-1`, `player-2`, ... by first appearance, the same session always the same.
    """

    def __init__(self, pattern: str | None = None, *, anonymise: bool = False) -> None:
        self._pattern: Final = None if pattern is None else re.compile(translate(pattern))
        self._anonymise: Final = anonymise
        self._names: Final[dict[str, str | None]] = {}
        self.count = 0
        """Sessions taken so far."""

    @property
    def seen(self) -> int:
        """Return the number of sessions seen so far, taken or not."""
        return len(self._names)

    def __call__(self, session: str) -> str | None:
        """Return the session's name in the capture, or None if it is not recorded."""
        if session not in self._names:
            wanted = self._pattern is None or self._pattern.match(session) is not None
            self.count += wanted
            shown = f"player-{self.count}" if self._anonymise else session
            self._names[session] = shown if wanted else None
        return self._names[session]


class Recorder:
    """Follows all partitions. `step` reads once; `run` reads until it is stopped.

    Args:
        stream: the live Redis.
        writer: receives the frames.
        names: which sessions are recorded, and under which ids.
        with_replies: keep each frame's reply with it, under the key `reply`. The reply to the very first
            frame of a session may be missed: it is subscribed to when it is first seen.
        clock: monotonic time in seconds.
    """

    def __init__(
        self,
        stream: CaptureStream,
        writer: CaptureWriter,
        names: Names,
        *,
        with_replies: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream: Final = stream
        self._writer: Final = writer
        self._names: Final = names
        self._with_replies: Final = with_replies
        self._clock: Final = clock
        self._begin_s: Final = clock()
        self._next_flush_s = 0.0
        self._positions: dict[int, bytes] = {}
        self._begin_ms: int | None = None
        self._subscribed: Final[set[str]] = set()
        self._waiting: Final[deque[_Waiting]] = deque()
        self._replies: Final[dict[tuple[str, int], str]] = {}
        self._described = False
        self.bad_entries = 0
        """Number of invalid frames and entries, which are not recorded."""
        self.reconnects = 0

    def run(
        self,
        stop: threading.Event,
        seconds: float | None = None,
        progress: Callable[[Progress], None] = lambda _: None,
    ) -> Progress:
        """Record until `stop` is set, or for `seconds`; after a lost connection, read on from there.

        Raises:
            SettingsError: Redis rejects the credentials, or has another version of the wire.
            ConnectionLost: Redis was never reached.
        """
        end_s = float("inf") if seconds is None else self._begin_s + seconds
        failures, met = 0, False
        while not stop.is_set() and self._clock() < end_s:
            try:
                full = self.step()
                failures, met = 0, True
            except ConnectionLost:
                if not met:
                    raise
                self._offline(failures)
                stop.wait(BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)])
                failures += 1
                continue
            if self._clock() >= self._next_flush_s:
                self._next_flush_s = self._clock() + FLUSH_S
                self._writer.flush()
                progress(self.progress())
            if not full:
                stop.wait(POLL_S)
        with suppress(ConnectionLost):
            self.step()  # what came since the last read
        self._write_replied(everything=True)
        return self.progress()

    def progress(self) -> Progress:
        """Return the progress."""
        seconds = self._clock() - self._begin_s
        written = self._writer.bytes_written
        return Progress(
            self._writer.frames, self._names.count, written, self.bad_entries, self.reconnects, seconds
        )

    def step(self) -> bool:
        """Read once and return whether more entries may be waiting.

        Raises:
            ConnectionLost: nothing is missed; call again later.
        """
        if not self._positions and not self._begin():
            return False
        found = self._stream.read(self._positions, READ_ENTRIES)
        if found and not self._described:
            self._describe_pool()
        self._take([(partition, entry) for partition, entries in found for entry in entries])
        for partition, entries in found:
            self._positions[partition] = entries[-1][0]
        if self._with_replies:
            for reply in self._stream.replies():
                self._take_replies(reply)
        self._write_replied(everything=False)
        return any(len(entries) == READ_ENTRIES for _, entries in found)

    def _begin(self) -> bool:
        """Find the ends of the streams; return False while there are none."""
        partitions = self._stream.partitions()
        if partitions is None:
            return False
        # a stream that appeared after the start has no entries older than the recording
        late = self._clock() - self._begin_s > 1.0
        self._positions = (
            dict.fromkeys(range(partitions), START) if late else self._stream.ends(range(partitions))
        )
        return True

    def _describe_pool(self) -> None:
        """Write the pool's settings into the header: a replay needs them to give the same answers."""
        pool = pool_settings(self._stream.workers())
        if pool is not None:
            self._writer.describe(POOL, pool)
        self._described = True

    def _offline(self, failures: int) -> None:
        if not failures:
            self.reconnects += 1
        self._stream.close()
        self._subscribed.clear()

    def _take(self, entries: list[tuple[int, Entry]]) -> None:
        """Write the frames of these entries in the order of their arrival, all partitions together."""
        if not entries:
            return
        entries.sort(key=lambda one: _entry_ms(one[1][0]))
        arrived_ms = [_entry_ms(entry_id) for _, (entry_id, _) in entries]
        if self._begin_ms is None:
            self._begin_ms = arrived_ms[0]
        frames, rejects = decode([fields for _, (_, fields) in entries])
        self.bad_entries += len(rejects)
        rows, names, sessions = [], [], []
        for row, raw in enumerate(frames.sessions):
            session = raw.decode() if is_session(raw) else None
            name = None if session is None else self._names(session)
            self.bad_entries += session is None
            if session is not None and name is not None:
                rows.append(row)
                names.append(name)
                sessions.append(session)
        offset_ms = [float(max(arrived_ms[frames.entry[row]] - self._begin_ms, 0)) for row in rows]
        meta = _meta(frames)[rows]
        settings = frames.settings
        if settings:
            settings = {new: settings[row] for new, row in enumerate(rows) if row in settings}
        lines = lines_of(offset_ms, names, meta, frames.landmarks[rows], settings)
        if self._with_replies:
            channels = {
                _channel_of(entries[at][0], session, frames.reply_to.get(at))
                for at, session in zip(frames.entry[rows].tolist(), sessions, strict=True)
            }
            self._subscribe(channels)
        self._write(lines, sessions, meta["seq"].tolist())

    def _subscribe(self, channels: set[str]) -> None:
        """Subscribe to the channels of replies that are new."""
        new = sorted(channels - self._subscribed)
        self._stream.subscribe(new)
        self._subscribed.update(new)

    def _write(self, lines: list[str], sessions: list[str], seqs: list[int]) -> None:
        if not self._with_replies:
            for line in lines:
                self._writer.write_text(f"{line}}}")
            return
        until_s = self._clock() + REPLY_WAIT_S
        for line, session, seq in zip(lines, sessions, seqs, strict=True):
            self._waiting.append(_Waiting(line, (session, seq), until_s))

    def _take_replies(self, message: bytes) -> None:
        """Store the reply, or the list of replies, in a message.

        What is not a reply is ignored: every client with the right to publish may publish anything.
        """
        try:
            found: Any = json.loads(message)
        except (ValueError, RecursionError):
            return
        for reply in found if isinstance(found, list) else [found]:
            if not isinstance(reply, dict):
                continue
            session, seq = reply.get("session"), reply.get("seq")
            if isinstance(session, str) and isinstance(seq, int):
                kept = {key: reply.get(key) for key in REPLY_KEYS}
                self._replies[session, seq] = json.dumps(kept, separators=(",", ":"))

    def _write_replied(self, *, everything: bool) -> None:
        """Write the frames in order that have their reply or have waited long enough for it."""
        now_s = self._clock()
        while self._waiting:
            first = self._waiting[0]
            reply = self._replies.pop(first.key, None)
            if reply is None and now_s < first.until_s and not everything:
                return
            self._waiting.popleft()
            more = "" if reply is None else f',"reply":{reply}'
            self._writer.write_text(f"{first.line}{more}}}")
        self._replies.clear()  # the rest came too late, or belongs to frames that are not recorded


def _entry_ms(entry_id: bytes) -> int:
    return int(entry_id.partition(b"-")[0])


def _channel_of(partition: int, session: str, reply_to: bytes | None) -> str:
    """Return the channel of the replies to a session's frames, which an entry may have changed."""
    return (
        actions_channel(partition, session)
        if reply_to is None
        else reply_channel(partition, reply_to.decode())
    )


def _meta(frames: Frames) -> npt.NDArray[np.void]:
    meta = np.empty(len(frames), META)
    for name in ("seq", "captured_ms", "aspect", "flags"):
        meta[name] = getattr(frames, name)
    return meta
