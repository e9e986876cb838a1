"""Exceptions that redis-py parses from Redis answers map to one tree of errors."""

from __future__ import annotations

import pytest
from redis import exceptions
from redis._parsers.base import BaseParser

from gesture_maze.producer.redis_errors import redis_error
from gesture_maze.wire.errors import ConnectionLost, MazeError, RedisRefused, RefusalReason

ANSWERS = {
    "NOPERM User a has no permissions to run the 'xadd' command": "no_permission",
    "NOPERM No permissions to access a key script: 9f, on @user_script:3.": "no_permission",
    "NOAUTH Authentication required.": "credentials",
    "WRONGPASS invalid username-password pair or user is disabled.": "credentials",
    "ERR invalid password": "credentials",
    "ERR AUTH <password> called without any password configured for the default user. "
    "Are you sure your configuration is correct?": "credentials",
    "DENIED Redis is running in protected mode": "credentials",
    "WRONGTYPE Operation against a key holding the wrong kind of value": "wrong_type",
    "ERR Error running script (call to f_1): @user_script:7: WRONGTYPE Operation against": "wrong_type",
    "ERR unknown command 'XACKDEL', with args beginning with: ": "unknown_command",
    "MOVED 866 127.0.0.1:7001": "wrong_node",
    "ASK 866 127.0.0.1:7001": "wrong_node",
    "CROSSSLOT Keys in request don't hash to the same slot": "wrong_node",
    "READONLY You can't write against a read only replica.": "read_only",
    "LOADING Redis is loading the dataset in memory": "loading",
    "MASTERDOWN Link with MASTER is down": "master_down",
    "CLUSTERDOWN Hash slot not served": "cluster_down",
    "TRYAGAIN Multiple keys request during rehashing of slot": "try_again",
    "NOREPLICAS Not enough good replicas to write.": "no_replicas",
    "MISCONF Redis is configured to save RDB snapshots, but": "misconfigured",
    "BUSY Redis is busy running a script.": "busy",
    "UNBLOCKED force unblock from blocking operation": "unblocked",
    "OOM command not allowed when used memory > 'maxmemory'.": "memory",
    "ERR max number of clients reached": "max_clients",
    "NOSCRIPT No matching script. Please use EVAL.": "no_script",
    "ERR The ID specified in XADD is equal or smaller": "other",
    "EXECABORT Transaction discarded because of previous errors.": "other",
}

TERMINAL = {"no_permission", "credentials", "wrong_type", "unknown_command", "wrong_node", "other"}


@pytest.mark.parametrize(("answer", "reason"), ANSWERS.items())
@pytest.mark.parametrize("annotated", [False, True])
def test_error_answer_maps_to_redis_refused_with_reason(answer: str, reason: str, annotated: bool) -> None:
    error = BaseParser.parse_error(answer)  # type: ignore[no-untyped-call]
    if annotated:  # as redis-py's pipelines annotate it
        error.args = (f"Command # 1 (XADD frames:{{3}} * s p1) of pipeline caused error: {error}",)
    found = redis_error(error, "XADD frames:{3}")
    assert isinstance(found, RedisRefused)
    assert not isinstance(found, ConnectionLost)
    assert (found.reason, found.momentary) == (reason, reason not in TERMINAL)
    assert "XADD frames:{3}" in str(found)


@pytest.mark.parametrize(
    ("message", "start"),
    [
        ("Error 111 connecting to 127.0.0.1:1. Connection refused.", "cannot reach Redis: Error 111"),
        ("Connection closed by server.", "lost the connection to Redis: "),
    ],
)
def test_missing_answer_tells_a_refused_connection_from_a_lost_one(message: str, start: str) -> None:
    assert str(redis_error(exceptions.ConnectionError(message))).startswith(start)


def test_refusal_reasons_are_all_covered() -> None:
    assert set(ANSWERS.values()) == set(RefusalReason)


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ConnectionError("Connection closed by server."),
        exceptions.TimeoutError("Timeout reading from socket"),
        exceptions.MaxConnectionsError("Too many connections"),
        exceptions.InvalidResponse("Protocol Error: b'<html>'"),
        exceptions.RedisClusterException("Redis Cluster cannot be connected. Please provide at least one"),
        ConnectionResetError(104, "Connection reset by peer"),
        TimeoutError(),
    ],
)
def test_missing_answer_maps_to_connection_lost(error: Exception) -> None:
    found = redis_error(error)
    assert type(found) is ConnectionLost
    assert found.reason == "connection"


def test_maze_error_is_returned_unchanged() -> None:
    error = MazeError("settings", "wrong")
    assert redis_error(error) is error


@pytest.mark.parametrize("error", [TypeError("a bug"), ValueError("a bug"), KeyError("a bug")])
def test_programming_error_is_reraised(error: Exception) -> None:
    with pytest.raises(type(error)):
        redis_error(error)
