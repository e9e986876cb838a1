"""One tree of errors, `MazeError` at its root.

Every error carries a `reason` from a closed list. The same word is the metric label, the field of the dead
letter and the key in the log, so that a person can follow one fault through all three.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class RejectReason(StrEnum):
    """Why a frame ended as `rejected` or `buried`. Closed: a new fault gets a new word here, nowhere else."""

    UNKNOWN_ENCODING = "unknown_encoding"
    """The entry has neither the packed fields `s`, `m` and `l` or `c`, nor the text field `json`."""
    TOO_LARGE = "too_large"
    """The entry is over `wire.frames.MAX_ENTRY_BYTES`."""
    BAD_LENGTH = "bad_length"
    """The packed fields disagree about the number of frames, or are not whole frames."""
    BAD_JSON = "bad_json"
    """The text field is not a JSON object, nor a list of them."""
    BAD_SESSION = "bad_session"
    """The session id is missing or does not match `[A-Za-z0-9_-]{1,64}`."""
    BAD_REPLY_TO = "bad_reply_to"
    """The field `r`, the name of a reply channel, does not match `[A-Za-z0-9_-]{1,64}`."""
    BAD_SETTINGS = "bad_settings"
    """The settings of a session are not those of `wire.session_settings`."""
    WRONG_PARTITION = "wrong_partition"
    """The session belongs to another partition than the stream the entry was found on."""
    BAD_SEQ = "bad_seq"
    """The seq is missing, not an integer, or outside 0..2**63-1."""
    BAD_TIME = "bad_time"
    """`t` is missing or not an integer of 64 bits."""
    BAD_ASPECT = "bad_aspect"
    """The aspect is not a number from 0.01 to 100."""
    BAD_FLAGS = "bad_flags"
    """A flag bit is set that version 1 of the wire does not know."""
    BAD_LANDMARKS = "bad_landmarks"
    """Not 21 pairs or triples of numbers (nor an empty list: no hand)."""
    NOT_FINITE = "not_finite"
    """A landmark is NaN, infinite, or larger than 1e9 in magnitude."""
    NEEDS_Z = "needs_z"
    """The frame came without z (compact landmarks), and the model in use declares z as an input."""
    PROCESSING_FAILED = "processing_failed"
    """Buried: the model failed on the frame three times, or on each frame of its batch that was tried."""
    KILLED_WORKER = "killed_worker"
    """Buried: three workers died while they held the frame."""


class MazeError(Exception):
    """Root of every error that this project raises on purpose.

    Args:
        reason: a word from the closed list of the subclass.
        message: a sentence for a person: what is wrong, where, and what to do.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = str(reason)


class FrameError(MazeError):
    """A frame is invalid. `reason` is a `RejectReason`."""


class SettingsError(MazeError):
    """A setting, option or input file is wrong. The program prints the fault and does not start.

    Reasons: `settings`, `topology`, `capture`, `data`, `teach`.
    """


class ModelError(MazeError):
    """A model bundle is broken, foreign or unfit; it is refused. Reasons are listed in `models.bundle`."""


class ConnectionLost(MazeError):
    """Redis cannot be reached, or did not answer in time. Reconnect and try again. Reason: `connection`.

    Whether pending commands took effect is unknown.
    """


class NodeLost(ConnectionLost):
    """The node of a cluster that serves a partition is away, or the partition's slot is moving.

    Other partitions are not affected. Reason: `connection`.

    Args:
        partition: which one.
        message: a sentence for a person.
    """

    def __init__(self, partition: int, message: str) -> None:
        super().__init__("connection", message)
        self.partition = partition


class RefusalReason(StrEnum):
    """Why Redis answered with an error. Closed: a new kind of refusal gets a new member here."""

    NO_PERMISSION = "no_permission"
    """NOPERM: the user lacks the right to a command, a key or a channel."""
    CREDENTIALS = "credentials"
    """NOAUTH, WRONGPASS, DENIED: Redis rejected the user or the password, or requires them."""
    WRONG_TYPE = "wrong_type"
    """WRONGTYPE: the key holds another type of value; something else uses it."""
    UNKNOWN_COMMAND = "unknown_command"
    """The server is too old, or the command was renamed or disabled."""
    WRONG_NODE = "wrong_node"
    """MOVED, ASK, CROSSSLOT: the server is one node of a cluster and the key is on another."""
    OTHER = "other"
    """An error that none of the other reasons describes."""
    READ_ONLY = "read_only"
    """READONLY: the server is a replica, usually since a failover."""
    LOADING = "loading"
    """LOADING: the server is reading its data from disk."""
    MASTER_DOWN = "master_down"
    """MASTERDOWN: a replica that has lost its primary."""
    CLUSTER_DOWN = "cluster_down"
    """CLUSTERDOWN: the cluster has no primary for the slot."""
    TRY_AGAIN = "try_again"
    """TRYAGAIN: the slot is being moved to another node."""
    NO_REPLICAS = "no_replicas"
    """NOREPLICAS: fewer replicas are connected than `min-replicas-to-write` asks for."""
    MISCONFIGURED = "misconfigured"
    """MISCONF: the server cannot write to its disk and therefore refuses writes."""
    BUSY = "busy"
    """BUSY: a script has been running for too long."""
    UNBLOCKED = "unblocked"
    """UNBLOCKED: a blocking read was ended because the server's role changed."""
    MEMORY = "memory"
    """OOM: the server is at its memory limit (`maxmemory`)."""
    MAX_CLIENTS = "max_clients"
    """The server has as many connections as `maxclients` allows."""
    NO_SCRIPT = "no_script"
    """NOSCRIPT: the server has lost its scripts (a restart, SCRIPT FLUSH): load them and repeat."""

    @property
    def momentary(self) -> bool:
        """Return whether the same command may succeed later without a changed setting."""
        return self not in _TERMINAL


_TERMINAL: Final = frozenset(
    {
        RefusalReason.NO_PERMISSION,
        RefusalReason.CREDENTIALS,
        RefusalReason.WRONG_TYPE,
        RefusalReason.UNKNOWN_COMMAND,
        RefusalReason.WRONG_NODE,
        RefusalReason.OTHER,
    }
)


class RedisRefused(MazeError):
    """Redis answered with an error: the command had no effect. `reason` is a `RefusalReason`.

    A momentary refusal (a failover, a full disk, a long script) is worth another try after a pause. Any other
    one stays until a person changes a right, a key or a setting: report it, and never retry it silently.
    """

    @property
    def momentary(self) -> bool:
        """Return whether the same command may succeed later without a changed setting."""
        return RefusalReason(self.reason).momentary
