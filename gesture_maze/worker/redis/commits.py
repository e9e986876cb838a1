"""Commits on their way to Redis, and their results."""

from __future__ import annotations

from collections.abc import Container, Sequence
from enum import Enum
from typing import Any, Final

import hiredis
import redis

from gesture_maze.producer.redis_errors import redis_error
from gesture_maze.wire import keys
from gesture_maze.wire.errors import RedisRefused, RefusalReason
from gesture_maze.worker.records import Commit
from gesture_maze.worker.redis.client import connection_errors
from gesture_maze.worker.redis.connection import Connection
from gesture_maze.worker.redis.scripts import lua

REPLIES_PER_SCRIPT: Final = 256
"""Commits are sent together, in one call of the script, up to this many replies and dead letters: at most a
millisecond in which Redis does nothing else."""


class Result(Enum):
    """The result of a commit."""

    DONE = "done"
    FENCED = "fenced"
    """Not done: the lease has ended, or has another owner."""
    REFUSED = "refused"
    """Not done: Redis answered with an error."""
    NO_SCRIPT = "no script"
    """Not done: the server does not know the script (any more)."""
    LOST = "lost"
    """Not known, or not done because the slot has moved: acquire the partition again. Only on a cluster."""


Settled = tuple[Commit, Result, str]
"""A commit, its result, and an error to report: why it was refused, or an error despite which it was done."""


class Committer:
    """Sends commits and collects their results later, so that the server works while the worker computes.

    Args:
        client: of Redis.
        dead_letters: approximate number of dead letters kept per partition.
        dead_letter_bytes: approximate size of the dead letters kept per partition.
        publish: the command that publishes replies.
        together: whether one script may commit several partitions; not on a cluster, where they are in
            different slots.
        elsewhere: reasons of refusals that make a commit `LOST`.
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        dead_letters: int,
        dead_letter_bytes: int,
        publish: str = "PUBLISH",
        together: bool = True,
        elsewhere: Container[str] = (),
    ) -> None:
        self._connection: Final = Connection(client)
        self._together: Final = together
        self._elsewhere: Final = elsewhere
        common = (keys.GROUP, publish, dead_letters, dead_letter_bytes)
        self._common: Final = _arguments(common)
        """The first arguments of the script, encoded."""
        self._common_words: Final = len(common)
        self._call_head = b""
        """How each call of the script begins, encoded; empty until it is loaded."""
        self._keys: Final[dict[int, bytes]] = {}
        """Partition -> the keys of its commits, encoded."""
        self._sent: list[list[Commit]] = []
        """The commits of each call of the script."""

    @property
    def due(self) -> tuple[int, ...]:
        """Descriptors of the connections on which results are due; empty if there are none to wait on."""
        socket = self._connection.socket if self._sent else None
        return () if socket is None else (socket.fileno(),)

    def send(self, commits: Sequence[Commit]) -> None:
        """Send commits of different partitions. `settle` must be called before the next `send`."""
        assert not self._sent, "settle() must be called before the next send()"
        with connection_errors():
            if not self._call_head:
                self._call_head = _arguments(
                    ("EVALSHA", self._connection.command("SCRIPT", "LOAD", lua("commit")))
                )
            self._sent = _groups(commits) if self._together else [[commit] for commit in commits]
            self._connection.send(b"".join([self._packed(group) for group in self._sent]))

    def settle(self) -> list[Settled]:
        """Return the results of the commits sent last, in order.

        Raises:
            ConnectionLost: it is unknown which commits were done.
            RedisRefused: this server accepts no commits now; it is unknown which commits were done.
        """
        sent, self._sent = self._sent, []
        with connection_errors():
            settled = [one for group in sent for one in self._results(group)]
        forgotten = [commit for commit, result, _ in settled if result is Result.NO_SCRIPT]
        if not forgotten:
            return settled
        self._call_head = b""
        self.send(forgotten)
        return [one for one in settled if one[1] is not Result.NO_SCRIPT] + self.settle()

    def renew(self) -> None:
        """Drop the connection if it was lost since its last commit was settled. The next commit, which would
        be lost with it, opens a new one."""
        if not self._sent and self._connection.is_lost():
            self.close()

    def close(self) -> None:
        """Drop the connection. Commits that are not settled are either done or fenced by the next epoch."""
        self._connection.close()
        self._sent = []
        self._call_head = b""

    def _results(self, group: Sequence[Commit]) -> list[Settled]:
        """Receive the results of the commits of one call of the script."""
        try:
            answers = self._connection.receive()
        except redis.ResponseError as error:
            return [self._refused(commit, error) for commit in group]
        return [self._result(commit, answer) for commit, answer in zip(group, answers, strict=True)]

    def _result(self, commit: Commit, answer: Any) -> Settled:
        if answer == b"OK":
            return commit, Result.DONE, ""
        if answer == b"FENCED":
            return commit, Result.FENCED, ""
        word, error = answer
        if word == b"REFUSED":
            return self._refused(commit, redis.ResponseError(error.decode()))
        return commit, Result.DONE, error.decode()

    def _refused(self, commit: Commit, error: redis.ResponseError) -> Settled:
        refusal = redis_error(error, f"a commit of {keys.frames_key(commit.partition)}")
        if refusal.reason == RefusalReason.NO_SCRIPT:
            return commit, Result.NO_SCRIPT, ""
        if refusal.reason in self._elsewhere:
            return commit, Result.LOST, str(error)
        if isinstance(refusal, RedisRefused) and refusal.momentary:
            raise refusal from error
        return commit, Result.REFUSED, str(refusal)

    def _packed(self, commits: Sequence[Commit]) -> bytes:
        """Return one call of the script, encoded. The replies are RESP already."""
        words: list[str] = []
        replies: list[str] = []
        for commit in commits:
            token = commit.token.encode().decode("latin-1")  # a host may have any name
            words += (token, commit.last_id.decode(), str(commit.entries_read))
            words += (str(len(commit.replies)), str(len(commit.counted)))
            for name, value in commit.counted.items():
                words += (name, str(value))
            words.append(str(len(commit.dead_letters)))
            for dead_letter in commit.dead_letters:
                words += (str(len(dead_letter)), str(sum(map(len, dead_letter))))
                words += [value.decode("latin-1") for value in dead_letter]
            replies += commit.replies
        words.insert(0, str(self._common_words + len(words) + 2))
        count = 4 * len(commits)
        total = 3 + count + self._common_words + len(words) + 2 * len(replies)
        script_keys = [self._keys_of(commit.partition) for commit in commits]
        texts = [*[f"${len(word)}\r\n{word}\r\n" for word in words], *replies]
        # each character is a byte, because dead letters are arbitrary bytes
        arguments = "".join(texts).encode("latin-1")
        called = b"*%d\r\n%b$%d\r\n%d\r\n" % (total, self._call_head, len(str(count)), count)
        return b"".join([called, *script_keys, self._common, arguments])

    def _keys_of(self, partition: int) -> bytes:
        found = self._keys.get(partition)
        if found is None:
            names = (keys.lease_key, keys.frames_key, keys.outcomes_key, keys.dead_key)
            found = self._keys[partition] = _arguments([name(partition) for name in names])
        return found


def _groups(commits: Sequence[Commit]) -> list[list[Commit]]:
    """Return commits by call of the script, see `REPLIES_PER_SCRIPT`."""
    groups: list[list[Commit]] = []
    left = 0
    for commit in commits:
        size = len(commit.replies) + len(commit.dead_letters)
        if not groups or size > left:
            groups.append([])
            left = REPLIES_PER_SCRIPT
        groups[-1].append(commit)
        left -= size
    return groups


def _arguments(words: Sequence[Any]) -> bytes:
    """Return words of a command, encoded (RESP)."""
    packed: bytes = hiredis.pack_command(tuple(words))
    return packed[packed.index(b"\r\n") + 2 :]
