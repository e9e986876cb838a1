"""A worker's settings, all faults found at once and before anything is started."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.gestures import DEFAULT_ACTIONS, LABELS, Action
from gesture_maze.wire.keys import DEFAULT_PARTITIONS, check_partitions
from gesture_maze.worker.policy import Rules

_Positive = Annotated[int, Field(gt=0)]


class Settings(BaseModel):
    """What a worker needs to know. Times are in milliseconds; 0 turns a limit off where it says so."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    redis: str = "redis://127.0.0.1:6379/0"
    """Where the frames are."""
    partitions: int = DEFAULT_PARTITIONS
    """Number of partition streams; must agree with `maze:topology`."""
    model: str | None = None
    """Folder or zip of a model bundle; None takes the bundled one."""
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    """Least confidence of an `action`; None takes the bundle's."""
    actions: dict[str, Action] = Field(default_factory=lambda: dict(DEFAULT_ACTIONS))
    """Gesture name -> maze action."""
    policy: Rules = Rules()

    deadline_ms: Annotated[int, Field(ge=0)] = 1000
    """Older frames are shed as `stale`; 0 answers every frame however old. Too low sheds under hiccups."""
    supersede_ms: Annotated[int, Field(ge=0)] = 500
    """Under a backlog older than this a session's newest frame supersedes its others; 0 turns it off."""
    batch_frames: _Positive = 2048
    """Frames aimed at per batch, all partitions together. Larger is faster and later."""
    lease_ttl_ms: _Positive = 3000
    """How long a dead worker's partitions wait. Below 1000 a busy machine loses leases for nothing."""
    retention_ms: _Positive = 60_000
    """Committed entries stay in the stream for this long, for rebuilding state and for captures."""
    rebuild_ms: _Positive = 5000
    """A new owner rebuilds its sessions from this much of the past; must be under `retention_ms`."""
    block_ms: _Positive = 1000
    """Longest wait for frames in one read."""
    drain_ms: _Positive = 5000
    """On SIGTERM: longest time to commit and let go."""
    dead_letters: _Positive = 10_000
    """Dead letters kept per partition."""
    sharded: bool = False
    """Publish replies with SPUBLISH, for a Redis cluster."""

    metrics_host: str = "127.0.0.1"
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = 9100
    """Port of /metrics, /livez and /readyz; 0 picks a free one and logs it."""
    log_format: Literal["human", "json"] = "human"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    summary_s: _Positive = 10
    """Seconds between summary lines in the log."""

    @field_validator("partitions")
    @classmethod
    def _power_of_two(cls, partitions: int) -> int:
        try:
            return check_partitions(partitions)
        except SettingsError as error:
            raise ValueError(str(error)) from None

    @field_validator("actions")
    @classmethod
    def _known_gestures(cls, actions: dict[str, Action]) -> dict[str, Action]:
        unknown = sorted(set(actions) - set(LABELS))
        if unknown:
            raise ValueError(f"unknown gestures {', '.join(unknown)}; known are {', '.join(LABELS)}")
        return actions

    @classmethod
    def of(cls, **values: Any) -> Settings:
        """Settings from keyword values; None means "the default".

        Raises:
            SettingsError: one sentence that names every fault.
        """
        try:
            return cls(**{name: value for name, value in values.items() if value is not None})
        except ValidationError as error:
            faults = [
                f"{'.'.join(map(str, fault['loc']))}: {fault['msg'].removeprefix('Value error, ')}"
                for fault in error.errors(include_url=False)
            ]
            raise SettingsError("settings", "; ".join(faults)) from None
