"""Simulated answers of Redis for the sending scripts, without a clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from redis import exceptions

from gesture_maze.producer.options import OptionWords, options_of
from gesture_maze.producer.sending import Sending
from gesture_maze.producer.steps import Command, NoAnswer, Pause, RoundTrip, Steps
from gesture_maze.wire.frames import Frame
from gesture_maze.wire.keys import partition_of

OOM = exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'.")


NOPERM = exceptions.NoPermissionError("No permissions to access a key", status_code="NOPERM")


FRAMES = [Frame(f"p{number}", 1, 2, None) for number in range(4)]
"""One frame each for four different partitions of 16."""


def drive(script: Steps[Any], answer: Callable[[Any], Any]) -> Any:
    """Answer every step of a script, and return what the script returns."""
    given: Any = None
    while True:
        try:
            given = answer(script.send(given))
        except StopIteration as end:
            return end.value


@dataclass
class Server:
    """Answer round trips. `on_add` may refuse an entry, or the whole round by returning `NoAnswer`."""

    topology: list[bytes | None] = field(default_factory=lambda: [b"1", b"16"])
    lag: dict[int, int | None] = field(default_factory=dict)
    length: int = 0
    on_add: Callable[[int], Any] = lambda partition: b"1-0"
    now_s: float = 0.0
    rounds: list[list[Command]] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    silent: int = 0
    """Number of upcoming rounds that get no answer."""
    outcomes: dict[str, int] | None = field(default_factory=dict)
    """Counters of every partition; None when the producer has no permission to read them."""
    refuse: Exception | None = None
    """Error that answers every command, if set."""
    topology_after: tuple[float, list[bytes | None]] | None = None
    """Time in s at which another topology is written, and that topology."""

    def play(self, script: Steps[Any]) -> Any:
        return drive(script, self._step)

    def _step(self, step: Any) -> Any:
        if isinstance(step, RoundTrip):
            self.rounds.append(list(step.commands))
            return self._answer(step)
        if isinstance(step, Pause):
            self.pauses.append(step.seconds)
            self.now_s += step.seconds
            if self.topology_after is not None and self.now_s >= self.topology_after[0]:
                self.topology = self.topology_after[1]
        return None

    def _answer(self, step: RoundTrip) -> Any:
        if self.silent:
            self.silent -= 1
            return NoAnswer("connection closed by server")
        if self.refuse is not None:
            return [self.refuse] * len(step.commands)
        return [self._one(*command) for command in step.commands]

    def _one(self, word: Any, key: Any, *more: Any) -> Any:
        if word == "HMGET" and str(key).startswith("outcomes:"):
            return [self.outcomes.get(name, 0) for name in more] if self.outcomes is not None else NOPERM
        if word == "HMGET":
            return list(self.topology)
        if word == "HSETNX":
            place = ("version", "partitions").index(more[0])
            if self.topology[place] is None:
                self.topology[place] = str(more[1]).encode()
            return 1
        partition = int(key.strip("frames:{}"))
        if word == "XLEN":
            return self.length
        if word == "XINFO GROUPS":
            return [{"name": b"maze", "lag": self.lag[partition]}] if partition in self.lag else []
        return self.on_add(partition)

    def added(self) -> list[list[int]]:
        """Return the partitions that received entries, round by round."""
        keys = [[str(one[1]) for one in commands if one[0] == "XADD"] for commands in self.rounds]
        return [[int(key.strip("frames:{}")) for key in one] for one in keys]


def sending(server: Server, **words: Any) -> Sending:
    options: OptionWords = words  # type: ignore[assignment]
    return Sending(options_of(options), clock=lambda: server.now_s, jitter=lambda: 0.5)


def partitions(frames: list[Frame]) -> list[int]:
    return sorted(partition_of(one.session, 16) for one in frames)
