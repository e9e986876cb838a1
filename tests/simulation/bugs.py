"""Bugs, of which some are old ones put back: the simulation must find each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final
from unittest.mock import patch

from redis import exceptions

from gesture_maze.producer.cluster.client import ClusterRedis
from gesture_maze.wire import keys
from gesture_maze.worker.batch import Part
from gesture_maze.worker.ownership import Ownership
from gesture_maze.worker.records import Commit, Grant, Read
from gesture_maze.worker.redis import commits, scripts
from gesture_maze.worker.redis.broker import Broker
from gesture_maze.worker.redis.cluster import broker as cluster_broker

OLD_BOUND: Final = 16
"""It was 2,048 entries; worlds have fewer."""


@contextmanager
def _scripts_changed(changes: dict[str, tuple[str, str]]) -> Iterator[None]:
    """Let scripts run with a part of their text replaced.

    Args:
        changes: script -> the part, and what stands in its place.
    """
    original = scripts.lua

    def lua(name: str) -> str:
        text = original(name)
        if name not in changes:
            return text
        part, instead = changes[name]
        assert part in text, f"{name}.lua does not hold {part!r} any more"
        return text.replace(part, instead)

    with ExitStack() as stack:
        for module in (commits, scripts, cluster_broker):
            stack.enter_context(patch.object(module, "lua", lua))
        yield


@contextmanager
def commit_without_fence() -> Iterator[None]:
    """Let a worker that lost its lease publish and commit."""
    with _scripts_changed({"commit": ("if try('GET', lease) ~= token then", "if false then")}):
        yield


@contextmanager
def suspects_cleared_without_lease() -> Iterator[None]:
    """Let a worker that lost its lease delete the notes of the new owner."""
    fence = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then\n  return 0\nend\n"
    with _scripts_changed({"clear_suspects": (fence, "")}):
        yield


@contextmanager
def cursor_moved_when_built() -> Iterator[None]:
    """Move the cursor when a commit is built, not when it is sent: one that is never sent is skipped."""
    original = Part.commit

    def commit(part: Part) -> Commit:
        built = original(part)
        part.partition.advance(built)
        part.partition.settled = built.last_id
        return built

    with patch.object(Part, "commit", commit):
        yield


@contextmanager
def rebuild_bounded() -> Iterator[None]:
    """Sessions are rebuilt from the last `OLD_BOUND` entries only."""

    def past(broker: Broker, grant: Grant, since_ms: int) -> Iterator[Read]:
        stream = keys.frames_key(grant.partition)
        begin = f"{max(since_ms, 0)}-0"
        rows: Any = broker.client.xrevrange(stream, grant.cursor.decode(), begin, count=OLD_BOUND)
        if rows:
            rows.reverse()
            fields = [[part for pair in named.items() for part in pair] for _, named in rows]
            yield Read(grant.partition, [entry_id for entry_id, _ in rows], fields)

    with patch.object(Broker, "past", past):
        yield


@contextmanager
def suspects_classified_when_rebuilt() -> Iterator[None]:
    """Sessions are rebuilt by classifying every entry of the past, those that kill included."""
    original = Broker.acquire

    def acquire(broker: Broker, worker: str, partition: int, cursor: bytes = b"0-0") -> Grant | None:
        grant = original(broker, worker, partition, cursor)
        if grant is not None:
            object.__setattr__(grant, "unsafe", ())
        return grant

    with patch.object(Broker, "acquire", acquire):
        yield


@contextmanager
def lost_commits_taken_for_done() -> Iterator[None]:
    """A commit that a node did not do, because its slot has moved, is not done at all."""
    with patch.object(Ownership, "recover", lambda _ownership, _lost: None):
        yield


@contextmanager
def epoch_kept_when_acquired_again() -> Iterator[None]:
    """A worker that acquires its partition again, because its slot has moved, keeps its epoch."""
    raised = "math.max(last + 1, now_ms())"
    with _scripts_changed({"acquire": (raised, f"holder and last or {raised}")}):
        yield


@contextmanager
def moved_taken_for_ask() -> Iterator[None]:
    """The client of a cluster follows MOVED as if it were ASK, and does not learn where the slot is now."""
    original = ClusterRedis._redirected

    def redirected(client: ClusterRedis, words: tuple[Any, ...], options: dict[str, Any], error: Any) -> Any:
        if isinstance(error, exceptions.MovedError):
            error = exceptions.AskError(f"{error.slot_id} {error.host}:{error.port}")
        return original(client, words, options, error)

    with patch.object(ClusterRedis, "_redirected", redirected):
        yield


BUGS: Final[dict[str, Callable[[], Any]]] = {
    bug.__name__: bug
    for bug in (
        commit_without_fence,
        suspects_cleared_without_lease,
        cursor_moved_when_built,
        rebuild_bounded,
        suspects_classified_when_rebuilt,
        lost_commits_taken_for_done,
        epoch_kept_when_acquired_again,
        moved_taken_for_ask,
    )
}
