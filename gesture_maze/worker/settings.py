"""A worker's settings: the one declaration of its flags, environment variables, defaults and help texts.

`gesture_maze.cli.declared` builds the options of `maze worker` from the fields below: the name gives the flag
and the variable, the docstring the help text.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.keys import DEFAULT_PARTITIONS, check_partitions
from gesture_maze.wire.session_settings import Actions
from gesture_maze.worker.faults import Name, WrongSettingsError, WrongValueError, faults_of
from gesture_maze.worker.rules import Rules

MAX_PORT: Final = 65_535
DEFAULT_METRICS_PORT: Final = 9464
"""The port that OpenTelemetry gives to Prometheus exporters; 9100 belongs to node_exporter."""

MIN_LEASE_TTL_MS: Final = 500
"""A lease is renewed every quarter of its time to live and used for 0.7 of it. Below this, one slow answer of
Redis or one long batch, which holds up the keeper's thread, loses all leases."""

_Positive = Annotated[int, Field(gt=0)]


class Settings(BaseModel):
    """The settings of one worker process. Times are in milliseconds unless the name has another unit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    redis: str = "redis://127.0.0.1:6379/0"
    """Where the frames are: redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://; 'embedded'
    starts the bundled server on a free port."""
    partitions: int = DEFAULT_PARTITIONS
    """Partition streams, a power of two up to 1024. All workers of a pool must agree."""
    model: str | None = None
    """Folder or zip of a model bundle. (default: the bundled one)"""
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    """Least confidence of an action, 0 to 1. (default: the model's)"""
    actions: Actions | None = None
    """Which gesture gives which action; left:NAME and right:NAME are for one hand only. (default: the
    model's, usually like=up,dislike=down,four=right,three=left)"""
    policy: Rules = Rules()
    """Decision policy"""

    deadline_ms: Annotated[int, Field(ge=0)] = 1000
    """Shed frames older than this as stale; 0 answers every frame. Too low a value sheds frames in short
    stalls."""
    supersede_ms: Annotated[int, Field(ge=0)] = 500
    """Under a backlog older than this, answer only the newest frame of each session; 0 turns this off."""
    batch_frames: _Positive = 2048
    """Frames per batch to aim for, over all partitions. More raises throughput and latency."""
    lease_ttl_ms: _Positive = 3000
    """Time after which the partitions of a dead worker are taken over; at least 500. Below 1000 a busy
    machine loses leases."""
    retention_ms: _Positive = 60_000
    """How long committed entries stay in the stream, for rebuilding sessions and for captures."""
    rebuild_ms: Annotated[int, Field(gt=0, validate_default=True)] = 5000
    """How far back a new owner reads to rebuild sessions; must be less than --retention-ms."""
    block_ms: _Positive = 1000
    """Longest wait of one read."""
    drain_ms: _Positive = 5000
    """Longest drain after SIGTERM."""
    dead_letters: _Positive = 10_000
    """Approximate number of dead letters kept per partition."""
    dead_letter_bytes: _Positive = 4_000_000
    """Approximate size of the dead letters kept per partition, in bytes."""

    metrics_host: str = "127.0.0.1"
    """Address on which /metrics, /livez and /readyz listen."""
    metrics_port: Annotated[int, Field(ge=0, le=MAX_PORT)] = DEFAULT_METRICS_PORT
    """Port of /metrics, /livez and /readyz; process i listens on port + i. 0 picks a free one and logs it."""
    log_format: Literal["human", "json"] = "human"
    """Log lines for people, or one JSON object per line."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is logged."""
    summary_s: _Positive = 10
    """Seconds between summary lines in the log."""

    @field_validator("partitions")
    @classmethod
    def _power_of_two(cls, partitions: int) -> int:
        try:
            return check_partitions(partitions)
        except SettingsError as error:
            raise ValueError(str(error).removeprefix("partitions ")) from None

    @field_validator("lease_ttl_ms")
    @classmethod
    def _renewable(cls, lease_ttl_ms: int) -> int:
        if lease_ttl_ms < MIN_LEASE_TTL_MS:
            quarter = "leases are renewed every quarter of it"
            raise ValueError(f"must be at least {MIN_LEASE_TTL_MS}, got {lease_ttl_ms}: {quarter}")
        return lease_ttl_ms

    @field_validator("rebuild_ms")
    @classmethod
    def _within_retention(cls, rebuild_ms: int, info: ValidationInfo) -> int:
        retention_ms = info.data.get("retention_ms")
        if retention_ms is not None and rebuild_ms >= retention_ms:
            limit = Name("retention_ms"), f" {retention_ms}, got {rebuild_ms}"
            raise WrongValueError("must be less than ", *limit)
        return rebuild_ms

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Return settings from keyword values, where None selects the default.

        Raises:
            WrongSettingsError: with every fault.
        """
        try:
            return cls(**{name: value for name, value in values.items() if value is not None})
        except ValidationError as error:
            raise WrongSettingsError(faults_of(error)) from None


class PoolSettings(Settings):
    """The settings of `maze worker`: those of each process, and the number of processes."""

    processes: _Positive = 1
    """Worker processes; one that dies is started again."""
    supervise: bool = False
    """Run a supervisor even for a single process."""

    @field_validator("processes")
    @classmethod
    def _enough_ports(cls, processes: int, info: ValidationInfo) -> int:
        first = info.data.get("metrics_port")
        if first and first + processes - 1 > MAX_PORT:
            ports = f"the ports {first} to {first + processes - 1}, the highest is {MAX_PORT}"
            raise WrongValueError(
                f"{processes} processes need {ports}: choose a lower ", Name("metrics_port")
            )
        return processes

    def of_process(self, index: int) -> Settings:
        """Return the settings of process `index`, counted from 0."""
        values = {name: getattr(self, name) for name in Settings.model_fields}
        port = self.metrics_port and self.metrics_port + index
        return Settings.model_construct(**values | {"metrics_port": port})
