"""The hot path's two connections: frames in, fenced commits out.

Commands are sent and answers read apart, so that the server works on a read and on a commit while the worker
computes in between. Beside `worker.redis.broker` this is the only module that knows Redis's command words.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final

import hiredis
import redis

from gesture_maze.wire import keys
from gesture_maze.worker.redis.broker import connection_errors, lua
from gesture_maze.worker.records import Commit, Read


class Verdict(Enum):
    """What became of a commit."""

    DONE = "done"
    FENCED = "fenced"
    """Not done: another owner has the lease."""
    REFUSED = "refused"
    """Not done: Redis gave an error instead."""
    NO_SCRIPT = "no script"
    """Not done: the server does not know the script (any more)."""


Settled = tuple[Commit, Verdict, str]
"""A commit, its verdict, and an error to report: the reason of a refusal, or one that was worked round."""


class _Raw:
    """A connection of our own, with commands sent and answers read apart, so that work fits between."""

    def __init__(self, client: redis.Redis) -> None:
        self._pool: Final = client.connection_pool
        self._connection: Any = None

    def _connected(self) -> Any:
        if self._connection is None:
            self._connection = self._pool.get_connection()
        return self._connection

    def _receive(self) -> Any:
        return self._connection.read_response(disable_decoding=True)

    def close(self) -> None:
        """Drop the connection; the next use opens a new one."""
        if self._connection is not None:
            self._connection.disconnect()
            self._pool.release(self._connection)
            self._connection = None


class Reader(_Raw):
    """Reads frames: `request` asks, `wait` waits, `receive` returns what has come."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(client)
        self.pending = False
        """A request is out and its answer not yet received."""
        self._id = 0

    @property
    def client_id(self) -> int:
        """The connection's id on the server, for `Broker.unblock`; 0 before the first request."""
        return self._id

    def _connected(self) -> Any:
        if self._connection is None:
            super()._connected().send_command("CLIENT", "ID")
            self._id = int(self._receive())
        return self._connection

    def request(self, positions: Mapping[int, bytes], count: int, block_ms: int | None) -> None:
        """Ask for up to `count` entries per partition after the given ids; waits for nothing."""
        assert not self.pending, "receive() comes before the next request()"
        streams = [keys.frames_key(partition) for partition in positions]
        block = () if block_ms is None else ("BLOCK", block_ms)
        with connection_errors():
            self._connected().send_command(
                "XREAD", "COUNT", count, *block, "STREAMS", *streams, *positions.values()
            )
        self.pending = True

    def wait(self, timeout_s: float, wake: int) -> bool:
        """Wait until the answer is there (True), or something is written to the file descriptor `wake`."""
        with connection_errors():
            sockets: list[Any] = [wake]
            if self.pending:
                answer = self._connected()._sock
                if not isinstance(answer, socket.socket):
                    return True  # fakeredis has answered within `request`
                sockets.append(answer)
            ready, _, _ = select.select(sockets, [], [], timeout_s)
        return self.pending and sockets[1] in ready

    def receive(self) -> list[Read]:
        """The answer to `request`."""
        with connection_errors():
            # None, or {stream: [[id, [name, value, ...]], ...]} (RESP 3), or pairs of the same (RESP 2)
            reply = self._receive()
        self.pending = False
        streams = reply.items() if isinstance(reply, dict) else reply or ()
        return [
            Read(int(stream[8:-1]), [entry[0] for entry in entries], [entry[1] for entry in entries])
            for stream, entries in streams
        ]

    def close(self) -> None:
        """Drop the connection and what it was asked."""
        super().close()
        self.pending = False
        self._id = 0


class Committer(_Raw):
    """Sends commits and collects their results later, so that the server works while we do."""

    def __init__(self, client: redis.Redis, *, sharded: bool, dead_letters: int) -> None:
        super().__init__(client)
        self._publish: Final = "SPUBLISH" if sharded else "PUBLISH"
        self._dead_letters: Final = dead_letters
        self._sha: bytes = b""
        self._sent: list[Commit] = []

    def send(self, commits: Sequence[Commit]) -> None:
        """Send commits of different partitions; `settle` must be called before the next `send`."""
        assert not self._sent, "settle() comes before the next send()"
        with connection_errors():
            connection = self._connected()
            if not self._sha:
                self._load()
            # hiredis itself: redis-py's packer looks at the type of every argument once more
            packed = b"".join(
                hiredis.pack_command(("EVALSHA", self._sha, *self._arguments(commit))) for commit in commits
            )
            self._sent = list(commits)
            connection.send_packed_command([packed], check_health=False)

    def settle(self) -> list[Settled]:
        """What became of the commits sent last, in order.

        Raises:
            ConnectionLost: nobody knows which commits were done.
        """
        sent, self._sent = self._sent, []
        with connection_errors():
            settled = [self._result(commit) for commit in sent]
        forgotten = [commit for commit, verdict, _ in settled if verdict is Verdict.NO_SCRIPT]
        if not forgotten:
            return settled
        self._sha = b""
        self.send(forgotten)
        return [result for result in settled if result[1] is not Verdict.NO_SCRIPT] + self.settle()

    def close(self) -> None:
        """Drop the connection; what was sent and not settled is left to the fence."""
        super().close()
        self._sent = []

    def _load(self) -> None:
        self._connection.send_command("SCRIPT", "LOAD", lua("commit"))
        self._sha = self._receive()

    def _result(self, commit: Commit) -> Settled:
        try:
            text = self._receive().decode()
        except redis.exceptions.NoScriptError:
            return commit, Verdict.NO_SCRIPT, ""
        except redis.ResponseError as error:
            return commit, Verdict.REFUSED, str(error)
        if text == "FENCED":
            return commit, Verdict.FENCED, ""
        return commit, Verdict.DONE, "" if text == "OK" else text

    def _arguments(self, commit: Commit) -> list[Any]:
        partition = commit.partition
        flat: list[Any] = [
            4,
            keys.lease_key(partition),
            keys.frames_key(partition),
            keys.outcomes_key(partition),
            keys.dead_key(partition),
            commit.token,
            keys.GROUP,
            commit.last_id,
            commit.entries_read,
            "" if commit.trim_below_ms is None else commit.trim_below_ms,
            self._publish,
            self._dead_letters,
            len(commit.outcomes),
        ]
        for outcome, count in commit.outcomes.items():
            flat += (outcome, count)
        flat.append(len(commit.letters))
        for letter in commit.letters:
            flat.append(len(letter))
            flat += letter
        flat += commit.replies
        return flat
