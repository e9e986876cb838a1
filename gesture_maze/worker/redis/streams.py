"""The two connections of the frame path: frames in, fenced commits out.

Sending commands and reading answers are separate steps, so that the server works on a read and a commit while
the worker computes. redis-py opens the connections (address, TLS, Sentinels, login). After that, their
sockets and hiredis's parser are used directly, which saves 10 µs per command.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Container, Mapping, Sequence
from enum import Enum
from typing import Any, Final, Protocol

import hiredis
import redis

from gesture_maze.producer.redis_errors import redis_error
from gesture_maze.wire import keys
from gesture_maze.wire.errors import RedisRefused, RefusalReason
from gesture_maze.worker.records import Commit, Read
from gesture_maze.worker.redis.client import connection_errors
from gesture_maze.worker.redis.scripts import lua

BUFFER_BYTES: Final = 1 << 18
"""Size of the buffer for reading from a socket."""
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


class Reader(Protocol):
    """Reads frames in three steps: `request`, `wait`, `receive`."""

    pending: bool
    """Whether a request was sent whose answer is not yet received."""
    received_bytes: int
    """Size of the last answer; 0 if it is not known."""

    def request(self, positions: Mapping[int, bytes], count: int, block_ms: int) -> None:
        """Request up to `count` entries per partition after the given ids. Returns immediately."""

    def wait(self, timeout_s: float, wake: int) -> bool:
        """Wait for the answer. Return True if it has arrived, False if `wake` became readable or the time is
        over."""

    def receive(self) -> list[Read]:
        """Return the answer to `request`."""

    def take_lost(self) -> Mapping[int, str]:
        """Return the partitions that must be acquired again, and why. Always empty for a single Redis."""

    def interrupt(self) -> None:
        """End a blocking request now. Its answer must still be received."""

    def close(self) -> None:
        """Drop the connection and the pending request."""


class Connection:
    """A connection taken from the client's pool and kept."""

    def __init__(self, client: redis.Redis) -> None:
        self._pool: Final = client.connection_pool
        self._connection: Any = None
        self._socket: socket.socket | None = None
        self._answers = hiredis.Reader(replyError=redis.ResponseError)
        self.received_bytes = 0
        self._buffer: Final = bytearray(BUFFER_BYTES)

    def opened(self) -> Any:
        """Return redis-py's connection, and open it on first use."""
        if self._connection is None:
            self._connection = self._pool.get_connection()
            found = getattr(self._connection, "_sock", None)
            # fakeredis has none
            self._socket = found if isinstance(found, socket.socket) else None
            self._answers = hiredis.Reader(replyError=redis.ResponseError)
        return self._connection

    @property
    def socket(self) -> socket.socket | None:
        """The socket to wait on, or None for fakeredis, which answers within `send`."""
        self.opened()
        return self._socket

    def send(self, packed: bytes) -> None:
        """Send commands."""
        connection = self.opened()
        if self._socket is None:
            connection.send_packed_command([packed], check_health=False)
        else:
            self._socket.sendall(packed)

    def receive(self) -> Any:
        """Return the next answer, or raise it if it is an error."""
        if self._socket is None:
            return self._connection.read_response(disable_decoding=True)
        reader = self._answers
        self.received_bytes = 0
        while (answer := reader.gets()) is False:
            received = self._socket.recv_into(self._buffer)
            if not received:
                raise redis.ConnectionError("the server closed the connection")
            self.received_bytes += received
            reader.feed(self._buffer, 0, received)  # type: ignore[arg-type]  # any buffer will do
        if isinstance(answer, Exception):
            raise answer
        return answer

    def is_lost(self) -> bool:
        """Return whether the connection was lost while no answer was due."""
        if self._connection is None:
            return False
        try:
            return bool(self._connection.can_read(timeout=0))
        except (redis.RedisError, OSError):
            return True

    def command(self, *words: Any) -> Any:
        """Send one command and return its answer."""
        self.send(hiredis.pack_command(words))
        return self.receive()

    def close(self) -> None:
        """Drop the connection. The next use opens a new one."""
        if self._connection is not None:
            self._connection.disconnect()
            self._pool.release(self._connection)
            self._connection = self._socket = None


class StreamReader:
    """Reads all partitions with one XREAD: for a single Redis."""

    def __init__(self, client: redis.Redis) -> None:
        self._client: Final = client
        self._connection: Final = Connection(client)
        self.pending = False
        self.received_bytes = 0
        self._client_id = 0
        self._asked: tuple[tuple[int, ...], int, int] | None = None
        self._head = b""
        self._waiter: Final = _Waiter()

    def request(self, positions: Mapping[int, bytes], count: int, block_ms: int) -> None:
        """Send one XREAD, see `Reader`. With `block_ms` 0 it does not block."""
        assert not self.pending, "receive() must be called before the next request()"
        with connection_errors():
            if not self._client_id:
                self._client_id = int(self._connection.command("CLIENT", "ID"))
            self._connection.send(self._packed(positions, count, block_ms))
        self.pending = True

    def _packed(self, positions: Mapping[int, bytes], count: int, block_ms: int) -> bytes:
        """Return the encoded request. The part before the ids is cached."""
        asked = (tuple(positions), count, block_ms)
        if asked != self._asked:
            block = ("BLOCK", block_ms) if block_ms else ()
            words = ("XREAD", "COUNT", count, *block, "STREAMS", *map(keys.frames_key, positions))
            packed: bytes = hiredis.pack_command(words)
            self._head = b"*%d%b" % (len(words) + len(positions), packed[packed.index(b"\r\n") :])
            self._asked = asked
        return self._head + b"".join([b"$%d\r\n%b\r\n" % (len(at), at) for at in positions.values()])

    def wait(self, timeout_s: float, wake: int) -> bool:
        """Wait for the answer or for `wake`, see `Reader`."""
        with connection_errors():
            if not self.pending:
                self._waiter.readable((wake,), timeout_s)
                return False
            answer = self._connection.socket
            if answer is None:
                return True
            return answer.fileno() in self._waiter.readable((wake, answer.fileno()), timeout_s)

    def receive(self) -> list[Read]:
        """Return the entries read, see `Reader`."""
        with connection_errors():
            reply = self._connection.receive()
        self.pending = False
        self.received_bytes = self._connection.received_bytes
        return reads_of(reply)

    def take_lost(self) -> Mapping[int, str]:
        """Return nothing: a lost connection raises, and concerns all partitions."""
        return {}

    def interrupt(self) -> None:
        """End a blocking request, see `Reader`."""
        with connection_errors():
            self._client.client_unblock(self._client_id)

    def close(self) -> None:
        """Drop the connection and the pending request."""
        self._connection.close()
        self.pending = False
        self._client_id = 0


def reads_of(reply: Any) -> list[Read]:
    """Return the entries in an answer to XREAD.

    Args:
        reply: None, or {stream: [[id, [name, value, ...]], ...]} (RESP 3), or pairs of the same (RESP 2).
    """
    streams = reply.items() if isinstance(reply, dict) else reply or ()
    return [
        Read(
            keys.partition_of_frames_key(stream),
            [entry[0] for entry in entries],
            [entry[1] for entry in entries],
        )
        for stream, entries in streams
    ]


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
        self._common: Final = (keys.GROUP, publish, dead_letters, dead_letter_bytes)
        """The first arguments of the script."""
        self._sha: bytes = b""
        self._keys: Final[dict[int, bytes]] = {}
        """Partition -> the keys of its commits, encoded."""
        self._sent: list[list[Commit]] = []
        """The commits of each call of the script."""

    def send(self, commits: Sequence[Commit]) -> None:
        """Send commits of different partitions. `settle` must be called before the next `send`."""
        assert not self._sent, "settle() must be called before the next send()"
        with connection_errors():
            if not self._sha:
                self._sha = self._connection.command("SCRIPT", "LOAD", lua("commit"))
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
        self._sha = b""
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
        self._sha = b""

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
        words: list[Any] = [*self._common, 0]
        replies: list[str] = []
        for commit in commits:
            words += (
                commit.token,
                commit.last_id,
                commit.entries_read,
                len(commit.replies),
                len(commit.outcomes),
            )
            for outcome in commit.outcomes.items():
                words += outcome
            words.append(len(commit.dead_letters))
            for dead_letter in commit.dead_letters:
                words += (len(dead_letter), sum(map(len, dead_letter)), *dead_letter)
            replies += commit.replies
        words[len(self._common)] = len(words) + 1
        count = 4 * len(commits)
        head = _arguments(("EVALSHA", self._sha, count))
        script_keys = [self._keys_of(commit.partition) for commit in commits]
        total = 3 + count + len(words) + 2 * len(replies)
        return b"".join(
            [b"*%d\r\n" % total, head, *script_keys, _arguments(words), "".join(replies).encode()]
        )

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


class _Waiter:
    """Waits until one of a few file descriptors, which seldom change, can be read.

    `poll`, because `select` fails for descriptors above 1,023.
    """

    def __init__(self) -> None:
        self._descriptors: tuple[int, ...] = ()
        self._poll = select.poll()

    def readable(self, descriptors: tuple[int, ...], timeout_s: float) -> list[int]:
        """Wait, and return the descriptors that can be read."""
        if descriptors != self._descriptors:
            self._descriptors, self._poll = descriptors, select.poll()
            for descriptor in descriptors:
                self._poll.register(descriptor, select.POLLIN)
        return [descriptor for descriptor, _ in self._poll.poll(timeout_s * 1000)]
