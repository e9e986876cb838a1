"""Turn an exception of redis-py into one of our own tree of errors.

redis-py has no class for every error: NOREPLICAS, MISCONF, BUSY, WRONGTYPE
and others arrive as plain `ResponseError`, a wrong password as a kind of `ConnectionError`. Redis's own error
code, the first word of its answer, decides here.
"""

from __future__ import annotations

import re
from typing import Final

from redis import exceptions

from gesture_maze.wire.errors import ConnectionLost, MazeError, RedisRefused, RefusalReason

_REASON_OF_CODE: Final = {
    "NOPERM": RefusalReason.NO_PERMISSION,
    "NOAUTH": RefusalReason.CREDENTIALS,
    "WRONGPASS": RefusalReason.CREDENTIALS,
    "DENIED": RefusalReason.CREDENTIALS,
    "WRONGTYPE": RefusalReason.WRONG_TYPE,
    "MOVED": RefusalReason.WRONG_NODE,
    "ASK": RefusalReason.WRONG_NODE,
    "CROSSSLOT": RefusalReason.WRONG_NODE,
    "READONLY": RefusalReason.READ_ONLY,
    "LOADING": RefusalReason.LOADING,
    "MASTERDOWN": RefusalReason.MASTER_DOWN,
    "CLUSTERDOWN": RefusalReason.CLUSTER_DOWN,
    "TRYAGAIN": RefusalReason.TRY_AGAIN,
    "NOREPLICAS": RefusalReason.NO_REPLICAS,
    "MISCONF": RefusalReason.MISCONFIGURED,
    "BUSY": RefusalReason.BUSY,
    "UNBLOCKED": RefusalReason.UNBLOCKED,
    "OOM": RefusalReason.MEMORY,
    "NOSCRIPT": RefusalReason.NO_SCRIPT,
}

_REASON_OF_CLASS: Final[tuple[tuple[type[Exception], RefusalReason], ...]] = (
    (exceptions.ExternalAuthProviderError, RefusalReason.TRY_AGAIN),
    (exceptions.AuthenticationError, RefusalReason.CREDENTIALS),
    (exceptions.AuthorizationError, RefusalReason.CREDENTIALS),
    (exceptions.AuthenticationWrongNumberOfArgsError, RefusalReason.CREDENTIALS),
    (exceptions.BusyLoadingError, RefusalReason.LOADING),
    (exceptions.ReadOnlyError, RefusalReason.READ_ONLY),
    (exceptions.MasterDownError, RefusalReason.MASTER_DOWN),
    (exceptions.ClusterDownError, RefusalReason.CLUSTER_DOWN),
    (exceptions.SlotNotCoveredError, RefusalReason.CLUSTER_DOWN),
    (exceptions.TryAgainError, RefusalReason.TRY_AGAIN),
    (exceptions.AskError, RefusalReason.WRONG_NODE),
    (exceptions.ClusterCrossSlotError, RefusalReason.WRONG_NODE),
    (exceptions.NoPermissionError, RefusalReason.NO_PERMISSION),
    (exceptions.OutOfMemoryError, RefusalReason.MEMORY),
    (exceptions.NoScriptError, RefusalReason.NO_SCRIPT),
)
"""redis-py cuts the code off the message of these. The first match counts."""

_REMEDY: Final = {
    RefusalReason.NO_PERMISSION: "grant the user this right; `maze acl` prints the rules of each role",
    RefusalReason.CREDENTIALS: "check the user and the password",
    RefusalReason.WRONG_TYPE: "the key holds another type of value: something else uses it; delete "
    "or rename it",
    RefusalReason.UNKNOWN_COMMAND: "Redis 7.0 or Valkey 8 or newer is needed, with the command enabled",
    RefusalReason.WRONG_NODE: "this server is a node of a cluster: use an address of redis+cluster://",
    RefusalReason.OTHER: "see the server's log",
    RefusalReason.READ_ONLY: "the server is a replica, usually after a failover; try again",
    RefusalReason.LOADING: "the server is reading its data from disk; try again",
    RefusalReason.MASTER_DOWN: "the replica has lost its primary; try again",
    RefusalReason.CLUSTER_DOWN: "the cluster has no primary for this slot; try again",
    RefusalReason.TRY_AGAIN: "try again",
    RefusalReason.NO_REPLICAS: "fewer replicas are connected than min-replicas-to-write asks for",
    RefusalReason.MISCONFIGURED: "the server cannot write to its disk; look at its log and its disk",
    RefusalReason.BUSY: "a script has been running for too long; wait, or end it with SCRIPT KILL",
    RefusalReason.UNBLOCKED: "the server's role has changed; reconnect",
    RefusalReason.MEMORY: "the server is at its memory limit (maxmemory)",
    RefusalReason.MAX_CLIENTS: "the server has as many connections as maxclients allows",
    RefusalReason.NO_SCRIPT: "the server has lost its scripts; load them and try again",
}

_CODE: Final = re.compile(r"(?:^|caused error: |: )(?:-)?(" + "|".join(_REASON_OF_CODE) + r")(?= |$)")
"""The code at the start of the message, behind redis-py's note on a pipeline, or in the message of a
script."""

_NO_ANSWER: Final = (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.InvalidResponse, OSError)
_DENIED_IN_SCRIPT: Final = ("The user executing the script can't", "ACL failure in script")
"""Messages of Redis and Valkey for a missing right within a script, which have no code of their own."""
CONNECTING: Final = "connecting to "
"""Part of the message of redis-py's errors for a connection that was not made."""
_CLUSTER_AWAY: Final = "Redis Cluster cannot be connected"
"""Start of the message of redis-py's error if no node answers; it has no class of its own."""


def redis_error(error: Exception, command: str = "") -> MazeError:
    """Return the `MazeError` for an exception of redis-py or of its socket.

    Args:
        error: what redis-py raised. A `MazeError` is returned as it is.
        command: the command and key it was raised for, such as `XADD frames:{3}`: Redis does not name the key
            in WRONGTYPE and in most NOPERM answers.

    Returns:
        RedisRefused: Redis answered with an error.
        ConnectionLost: there was no answer, or one that is not Redis's protocol.

    Raises:
        Exception: `error` itself, if it is neither redis-py's nor the socket's: a bug must not look like a
        lost connection.
    """
    if isinstance(error, MazeError):
        return error
    reason = refusal_reason(error)
    if reason is not None:
        what = f"Redis refused {command}" if command else "Redis refused a command"
        return RedisRefused(reason, f"{what} ({_detail(error)}): {_REMEDY[reason]}")
    if isinstance(error, (*_NO_ANSWER, exceptions.RedisClusterException)):
        what = "cannot reach" if CONNECTING in str(error) else "lost the connection to"
        return ConnectionLost("connection", f"{what} Redis: {error}")
    raise error


def refusal_reason(error: object) -> RefusalReason | None:
    """Return why Redis refused, or None if `error` is not an answer of Redis."""
    if not isinstance(error, (exceptions.RedisError, exceptions.RedisClusterException)):
        return None
    message = str(error)
    if "max number of clients" in message:
        return RefusalReason.MAX_CLIENTS
    for kind, reason in _REASON_OF_CLASS:
        if isinstance(error, kind):
            return reason
    if isinstance(error, _NO_ANSWER) or message.startswith(_CLUSTER_AWAY):
        return None
    if message.startswith("All slots are not covered"):
        return RefusalReason.CLUSTER_DOWN
    code = _CODE.search(message)
    if code is not None:
        return _REASON_OF_CODE[code[1]]
    if any(text in message for text in _DENIED_IN_SCRIPT):
        return RefusalReason.NO_PERMISSION
    if "unknown command" in message.lower() or "unknown subcommand" in message.lower():
        return RefusalReason.UNKNOWN_COMMAND
    return RefusalReason.OTHER


def _detail(error: Exception) -> str:
    """Return the first line of Redis's own message, with the code that redis-py may have cut off."""
    code = getattr(error, "status_code", None)
    message = str(error).partition("\n")[0][:300]
    return message if not code or code == "ERR" or message.startswith(code) else f"{code} {message}"
