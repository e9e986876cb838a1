"""Options of a producer. All faults are found at construction, and reported together."""

from __future__ import annotations

from typing import Annotated, TypedDict

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.keys import MAX_PARTITIONS, check_partitions


class OptionWords(TypedDict, total=False):
    """The keyword arguments of a producer; see `Options`."""

    partitions: int | None
    max_lag: int
    guard_interval_s: float
    maxlen: int | None
    retries: int
    timeout_s: float
    release_ms: int
    reply_channel: bool
    compact: bool
    name: str


class Options(BaseModel):
    """Options of a producer.

    Attributes:
        partitions: partition count, a power of two from 1 to 1,024. None (the default) takes what
            Redis holds, and waits for a pool if it holds none. A number is written into an empty Redis; it
            is an error if Redis holds a different one.
        max_lag: entries that a partition may be behind before frames for it are refused with
            `Backpressure("lag")`. 10,000 single-frame entries take one worker about a tenth of a second.
        guard_interval_s: how old a reading of the lag may be, in seconds. A new one travels in the same round
            trip as a send; between readings the guard costs nothing. 0 reads with every send.
        maxlen: hard cap of a partition's stream in entries (`MAXLEN ~`), or None. It silently removes the
            oldest frames, read or not; the pool counts them as `trimmed`. Rely on the guard unless memory
            must be bounded while no worker runs.
        retries: how often a send is tried again after a lost connection or a missing answer.
        timeout_s: longest wait for a connection, for an answer, for a momentary refusal (a failover, a full
            disk) to end, and for a pool to start, each in seconds.
        release_ms: `release_ms` of the pool's decision policy. If the replies to a session cease for this
            time plus 100 ms while a move is held, its listener gets a `stop` marked as `synthetic`: a hidden
            tab or a dead client sends no frame that could end the move.
        reply_channel: the replies to a tick come in one message per entry, on a channel of the listener's
            own, if one listener (`actions`) is subscribed to all sessions of the entry. Switch it off if
            other programs listen to the same sessions: they do not receive these replies.
        compact: send x and y in 16 bits each if the pool's model does not use z. A confidence may then
            differ by up to 0.008 from that of the full landmarks.
        name: name of the connections, as `CLIENT LIST` shows it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    partitions: Annotated[int, Field(ge=1, le=MAX_PARTITIONS)] | None = None
    max_lag: Annotated[int, Field(ge=0)] = 10_000
    guard_interval_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.25
    maxlen: Annotated[int, Field(ge=1)] | None = None
    retries: Annotated[int, Field(ge=0, le=100)] = 2
    timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    release_ms: Annotated[int, Field(gt=0)] = 250
    reply_channel: bool = True
    compact: bool = True
    name: Annotated[str, Field(pattern=r"\A[!-~]{1,64}\z")] = "gesture-maze-producer"


def options_of(words: OptionWords) -> Options:
    """Return the options in keyword arguments.

    Raises:
        SettingsError: `settings`, with one sentence per fault.
    """
    try:
        options = Options.model_validate(dict(words))
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise SettingsError("settings", "producer options: " + "; ".join(faults)) from None
    if options.partitions is not None:
        check_partitions(options.partitions)
    return options
