"""The sending scripts, run against simulated answers: no Redis, no real clock, no randomness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from redis import exceptions

from gesture_maze.producer.errors import Backpressure, SendLost, SendRefused
from gesture_maze.producer.numbering import Numbering
from gesture_maze.producer.options import OptionWords, options_of
from gesture_maze.producer.sending import Sending
from gesture_maze.producer.steps import Command, NoAnswer, Pause, RoundTrip, Steps
from gesture_maze.wire.errors import FrameError, SettingsError
from gesture_maze.wire.frames import META, Frame
from gesture_maze.wire.keys import partition_of

OOM = exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'.")
NOPERM = exceptions.NoPermissionError("No permissions to access a key", status_code="NOPERM")
FRAMES = [Frame(f"p{number}", 1, 2, None) for number in range(4)]
"""One frame each for four different partitions of 16."""


@dataclass
class Server:
    """Answer round trips. `on_add` may refuse an entry, or the whole round by returning `NoAnswer`."""

    topology: list[bytes | None] = field(default_factory=lambda: [b"1", b"16"])
    lag: dict[int, int | None] = field(default_factory=dict)
    length: int = 0
    on_add: Callable[[int], Any] = lambda partition: b"1-0"
    now_s: float = 0.0
    rounds: list[list[Command]] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    silent: int = 0
    """Number of upcoming rounds that get no answer."""
    outcomes: dict[str, int] | None = field(default_factory=dict)
    """Counters of every partition; None when the producer has no permission to read them."""
    refuse: Exception | None = None
    """Error that answers every command, if set."""
    topology_after: tuple[float, list[bytes | None]] | None = None
    """Time in s at which another topology is written, and that topology."""

    def play(self, script: Steps[Any]) -> Any:
        answer: Any = None
        while True:
            try:
                step = script.send(answer)
            except StopIteration as end:
                return end.value
            answer = None
            if isinstance(step, Pause):
                self.pauses.append(step.seconds)
                self.now_s += step.seconds
                if self.topology_after is not None and self.now_s >= self.topology_after[0]:
                    self.topology = self.topology_after[1]
            elif isinstance(step, RoundTrip):
                self.rounds.append(list(step.commands))
                answer = self._answer(step)

    def _answer(self, step: RoundTrip) -> Any:
        if self.silent:
            self.silent -= 1
            return NoAnswer("connection closed by server")
        if self.refuse is not None:
            return [self.refuse] * len(step.commands)
        return [self._one(*command) for command in step.commands]

    def _one(self, word: Any, key: Any, *more: Any) -> Any:
        if word == "HMGET" and str(key).startswith("outcomes:"):
            return [self.outcomes.get(name, 0) for name in more] if self.outcomes is not None else NOPERM
        if word == "HMGET":
            return list(self.topology)
        if word == "HSETNX":
            place = ("version", "partitions").index(more[0])
            if self.topology[place] is None:
                self.topology[place] = str(more[1]).encode()
            return 1
        partition = int(key.strip("frames:{}"))
        if word == "XLEN":
            return self.length
        if word == "XINFO GROUPS":
            return [{"name": b"maze", "lag": self.lag[partition]}] if partition in self.lag else []
        return self.on_add(partition)

    def added(self) -> list[list[int]]:
        """Return the partitions that received entries, round by round."""
        keys = [[str(one[1]) for one in commands if one[0] == "XADD"] for commands in self.rounds]
        return [[int(key.strip("frames:{}")) for key in one] for one in keys]


def sending(server: Server, **words: Any) -> Sending:
    options: OptionWords = words  # type: ignore[assignment]
    return Sending(options_of(options), clock=lambda: server.now_s, jitter=lambda: 0.5)


def partitions(frames: list[Frame]) -> list[int]:
    return sorted(partition_of(one.session, 16) for one in frames)


def test_send_of_tick_makes_one_round_trip_with_one_entry_per_partition() -> None:
    server = Server()
    one = sending(server)
    server.play(one.connect())
    server.rounds.clear()
    server.play(one.send_frames(FRAMES))
    assert server.added() == [partitions(FRAMES)]


def test_connect_repeated_reads_topology_once() -> None:
    server = Server()
    one = sending(server)
    for _ in range(3):
        server.play(one.connect())
    assert len(server.rounds) == 1


def test_connect_with_partitions_to_empty_redis_writes_topology() -> None:
    server = Server(topology=[None, None])
    assert server.play(sending(server, partitions=4).connect()).partitions == 4
    assert server.topology == [b"1", b"4"]
    assert server.play(sending(server).connect()).partitions == 4


@pytest.mark.parametrize("topology", [[b"1", b"8"], [b"2", b"16"], [b"1", b"many"]])
def test_send_with_conflicting_topology_raises_settings_error(topology: list[bytes | None]) -> None:
    server = Server(topology=topology)
    with pytest.raises(SettingsError) as caught:
        server.play(sending(server, partitions=16).send_frames(FRAMES))
    assert caught.value.reason == "topology"
    assert server.added() == [[]]


def test_emptied_redis_with_given_partitions_gets_topology_at_next_reading() -> None:
    server = Server()
    one = sending(server, guard_interval_s=1.0, partitions=16)
    server.play(one.send_frames(FRAMES))
    server.topology = [None, None]
    server.now_s = 0.5
    server.play(one.send_frames(FRAMES))
    assert server.topology == [None, None]
    server.now_s = 1.0
    server.play(one.send_frames(FRAMES))
    server.play(one.send_frames(FRAMES))
    assert server.topology == [b"1", b"16"]


def test_emptied_redis_without_given_partitions_gets_no_topology() -> None:
    server = Server(topology=[b"1", b"16"])
    one = sending(server, guard_interval_s=0)
    server.play(one.send_frames(FRAMES))
    server.topology = [None, None]
    for _ in range(3):
        server.play(one.send_frames(FRAMES))
    assert server.topology == [None, None]
    assert server.added()[-1] == partitions(FRAMES)


def test_send_without_partitions_and_pool_raises_no_pool_and_writes_nothing() -> None:
    server = Server(topology=[None, None])
    with pytest.raises(SendLost, match="start `maze worker`") as caught:
        server.play(sending(server).send_frames(FRAMES))
    assert (caught.value.reason, caught.value.sent) == ("no_pool", False)
    assert caught.value.frames == tuple(FRAMES)
    assert server.topology == [None, None]
    assert 1.0 <= server.now_s < 1.5


def test_connect_without_partitions_uses_topology_of_starting_pool() -> None:
    server = Server(topology=[None, None], topology_after=(0.3, [b"1", b"64"]))
    assert server.play(sending(server).connect()).partitions == 64


def test_topology_becoming_invalid_between_sends_fails_next_send() -> None:
    server = Server()
    one = sending(server, guard_interval_s=0)
    server.play(one.connect())
    server.topology = [b"1", b"\xff"]
    server.play(one.send_frames(FRAMES))
    with pytest.raises(SettingsError, match="not a version and a partition count"):
        server.play(one.send_frames(FRAMES))


def test_topology_changing_between_sends_fails_next_send() -> None:
    server = Server()
    one = sending(server, guard_interval_s=0)
    server.play(one.send_frames(FRAMES))
    server.topology = [b"1", b"32"]
    server.play(one.send_frames(FRAMES))
    server.rounds.clear()
    with pytest.raises(SettingsError, match="32 partitions"):
        server.play(one.send_frames(FRAMES))
    assert server.added() == [[]]


def test_lag_is_read_at_most_once_per_guard_interval() -> None:
    server = Server()
    one = sending(server, guard_interval_s=0.25)
    readings = []
    for now_s in (0.0, 0.1, 0.2, 0.25, 0.3):
        server.now_s = now_s
        server.rounds.clear()
        server.play(one.send_frames(FRAMES[:1]))
        readings.append(sum(command[0] == "XINFO GROUPS" for command in server.rounds[-1]))
    assert readings == [1, 0, 0, 1, 0]


def test_partition_over_max_lag_raises_backpressure_until_next_reading() -> None:
    full = partition_of("p1", 16)
    server = Server(lag={full: 11})
    one = sending(server, max_lag=10, guard_interval_s=1.0)
    server.play(one.send_frames(FRAMES))
    server.now_s = 0.5
    with pytest.raises(Backpressure) as caught:
        server.play(one.send_frames(FRAMES))
    assert caught.value.reason == "lag"
    assert caught.value.rows == (1,)
    assert caught.value.frames == (FRAMES[1],)
    assert full not in server.added()[-1]
    assert len(server.added()[-1]) == 3
    server.lag[full] = 10
    with pytest.raises(Backpressure):
        server.play(one.send_frames(FRAMES[1:2]))
    server.now_s = 1.0
    server.play(one.send_frames(FRAMES[1:2]))
    assert server.added()[-1] == [full]


@pytest.mark.parametrize("lag", [{}, {partition_of("p0", 16): None}])
def test_guard_without_lag_uses_stream_length(lag: dict[int, int | None]) -> None:
    server = Server(lag=lag, length=11)
    one = sending(server, max_lag=10)
    server.play(one.send_frames(FRAMES[:1]))
    with pytest.raises(Backpressure):
        server.play(one.send_frames(FRAMES[:1]))


def test_send_out_of_memory_names_only_frames_not_accepted() -> None:
    full = {partition_of("p1", 16), partition_of("p3", 16)}
    server = Server(on_add=lambda partition: OOM if partition in full else b"1-0")
    with pytest.raises(Backpressure) as caught:
        server.play(sending(server).send_frames(FRAMES))
    assert caught.value.reason == "memory"
    assert caught.value.rows == (1, 3)
    assert caught.value.frames == (FRAMES[1], FRAMES[3])
    # sending the named frames again sends no accepted frame twice
    server.on_add = lambda partition: b"1-1"
    server.play(sending(server).send_frames(caught.value.frames))
    assert set(server.added()[-1]) == full


def test_send_with_lost_answer_retries_with_growing_pauses() -> None:
    server = Server()
    one = sending(server)
    server.play(one.connect())
    server.silent = 2
    server.play(one.send_frames(FRAMES))
    assert server.added()[-3:] == [partitions(FRAMES)] * 3
    assert server.pauses == [0.05, 0.1]


def test_send_with_lost_answer_after_last_retry_reports_unknown_outcome() -> None:
    server = Server()
    one = sending(server, retries=1)
    server.play(one.connect())
    server.silent = 2
    with pytest.raises(SendLost) as caught:
        server.play(one.send_frames(FRAMES))
    assert caught.value.reason == "connection"
    assert caught.value.frames == tuple(FRAMES)
    assert "unknown" in str(caught.value)


def test_send_retry_repeats_only_refused_entries() -> None:
    loading = partition_of("p2", 16)
    answers = iter([exceptions.ReadOnlyError("READONLY"), b"1-0"])
    server = Server(on_add=lambda partition: next(answers) if partition == loading else b"1-0")
    server.play(sending(server).send_frames(FRAMES))
    assert server.added()[1:] == [partitions(FRAMES), [loading]]


def test_momentary_refusal_with_out_of_memory_names_frames_of_both() -> None:
    server = Server(
        on_add=lambda p: OOM if p == partition_of("p1", 16) else exceptions.ReadOnlyError("READONLY")
    )
    with pytest.raises(SendRefused) as caught:
        server.play(sending(server, retries=0).send_frames(FRAMES))
    assert caught.value.reason == "read_only"
    assert caught.value.rows == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("NOREPLICAS Not enough good replicas to write.", "no_replicas"),
        ("MISCONF Redis is configured to save RDB snapshots", "misconfigured"),
        ("BUSY Redis is busy running a script.", "busy"),
    ],
)
def test_momentary_refusal_past_timeout_is_reported_with_its_reason(answer: str, reason: str) -> None:
    refusing = partition_of("p2", 16)
    error = exceptions.ResponseError(answer)
    server = Server(on_add=lambda partition: error if partition == refusing else b"1-0")
    with pytest.raises(SendRefused) as caught:
        server.play(sending(server, retries=0, timeout_s=1.0).send_frames(FRAMES))
    assert (caught.value.reason, caught.value.momentary) == (reason, True)
    assert caught.value.frames == (FRAMES[2],)
    assert server.added()[1] == partitions(FRAMES)
    assert set(map(tuple, server.added()[2:])) == {(refusing,)}
    assert 1.0 <= server.now_s < 1.3


def test_momentary_refusal_ending_before_timeout_loses_no_frame() -> None:
    refusals = iter([exceptions.ResponseError("NOREPLICAS Not enough good replicas to write.")] * 5)
    server = Server(on_add=lambda partition: next(refusals, b"1-0"))
    server.play(sending(server, retries=0).send_frames(FRAMES[:1]))
    assert len(server.added()) == 7


def test_refusal_after_lost_answer_reports_unknown_outcome() -> None:
    server = Server(on_add=lambda partition: OOM)
    one = sending(server)
    server.play(one.connect())
    server.silent = 1
    with pytest.raises(SendLost) as caught:
        server.play(one.send_frames(FRAMES))
    assert caught.value.sent
    assert caught.value.rows == (0, 1, 2, 3)


@pytest.mark.parametrize("topology", [[b"1", b"16"], [None, None]])
def test_send_without_connection_raises_send_lost_for_all_frames(topology: list[bytes | None]) -> None:
    server = Server(topology=topology, silent=3)
    with pytest.raises(SendLost) as caught:
        server.play(sending(server).send_frames(FRAMES))
    assert caught.value.frames == tuple(FRAMES)
    assert not caught.value.sent
    assert "no frame was sent" in str(caught.value)


def test_terminal_refusal_is_not_retried_and_names_command_key_and_frames() -> None:
    denied = partition_of("p1", 16)
    error = exceptions.NoPermissionError("No permissions to access a key", status_code="NOPERM")
    server = Server(on_add=lambda partition: error if partition == denied else b"1-0")
    with pytest.raises(SendRefused, match=rf"XADD frames:\{{{denied}\}} \(NOPERM") as caught:
        server.play(sending(server).send_frames(FRAMES))
    assert (caught.value.reason, caught.value.momentary) == ("no_permission", False)
    assert caught.value.rows == (1,)
    assert len(server.added()) == 2


@pytest.mark.parametrize("topology", [[b"1", b"16"], [None, None]])
def test_connect_with_refused_credentials_sends_no_frame(topology: list[bytes | None]) -> None:
    server = Server(topology=topology, refuse=exceptions.AuthenticationError("invalid user"))
    with pytest.raises(SendRefused) as caught:
        server.play(sending(server).send_frames(FRAMES))
    assert caught.value.reason == "credentials"
    assert caught.value.rows == (0, 1, 2, 3)
    assert len(server.rounds) == 1


def test_send_with_bad_frame_sends_nothing() -> None:
    server = Server()
    with pytest.raises(FrameError):
        server.play(sending(server).send_frames([*FRAMES, Frame("p 1", 1, 2, None)]))
    assert server.added() == [[]]


@pytest.mark.parametrize(("value", "name"), [(b"1", "c"), (b"0", "l"), (b"yes", "l"), (None, "l")])
def test_landmarks_are_compact_only_when_topology_allows(value: bytes | None, name: str) -> None:
    server = Server(topology=[b"1", b"16", value])
    server.play(sending(server).send_frames(FRAMES[:1]))
    (command,) = [one for one in server.rounds[-1] if one[0] == "XADD"]
    assert command[7] == name


def test_landmark_encoding_follows_topology_changes() -> None:
    server = Server(topology=[b"1", b"16", b"1"])
    one = sending(server, guard_interval_s=0)
    found = []
    for value in (b"1", b"0", b"1"):
        server.topology[2] = value
        server.play(one.send_frames(FRAMES[:1]))
        server.play(one.send_frames(FRAMES[:1]))
        (command,) = [one for one in server.rounds[-1] if one[0] == "XADD"]
        found.append(command[7])
    assert found == ["c", "l", "c"]


def test_frames_without_seq_and_time_are_numbered_also_in_errors() -> None:
    server = Server(on_add=lambda partition: OOM)
    numbering = Numbering(clock=lambda: 1000, wall_ms=lambda: 1003)
    one = Sending(options_of({}), clock=lambda: server.now_s, numbering=numbering)
    frames = [Frame("p1"), Frame("p2", captured_ms=7), Frame("p1"), Frame("p1", 5, 6)]
    with pytest.raises(Backpressure) as caught:
        server.play(one.send_frames(frames))
    found = [(frame.session, frame.seq, frame.captured_ms) for frame in caught.value.frames]
    assert found == [("p1", 1000, 1003), ("p2", 1000, 7), ("p1", 1001, 1003), ("p1", 5, 6)]


def test_arrays_without_seq_and_time_are_numbered() -> None:
    server = Server()
    numbering = Numbering(clock=lambda: 1000, wall_ms=lambda: 1003)
    one = Sending(options_of({}), clock=lambda: server.now_s, numbering=numbering)
    server.play(one.send_arrays(["p1", "p1"], (None, None, 1.0, 1), np.random.rand(2, 21, 3)))
    (entry,) = [command for command in server.rounds[-1] if command[0] == "XADD"]
    meta = np.frombuffer(entry[entry.index("m") + 1], META)  # type: ignore[call-overload]
    assert meta["seq"].tolist() == [1000, 1001]
    assert meta["captured_ms"].tolist() == [1003, 1003]


def test_session_with_only_duplicates_warns_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Server()
    one = sending(server)
    for tick in range(5 * 30):
        server.now_s = tick / 30
        server.play(one.send_frames([Frame("p1", tick, tick, None)]))
        assert server.outcomes is not None
        server.outcomes["duplicate"] = tick
    (record,) = caplog.records
    assert "session 'p1'" in record.message
    assert "leave seq out" in record.message
    readings = sum("outcomes:" in str(command[1]) for round_ in server.rounds for command in round_)
    assert readings == 5


def test_outcome_counters_without_permission_disable_watch_but_not_sends() -> None:
    server = Server(outcomes=None)
    one = sending(server)
    for second in range(4):
        server.now_s = second
        server.play(one.send_frames(FRAMES))
    readings = [command for round_ in server.rounds for command in round_ if "outcomes:" in str(command[1])]
    assert len(readings) == len(FRAMES)


def test_send_of_empty_tick_sends_nothing() -> None:
    server = Server()
    server.play(sending(server).send_frames([]))
    assert server.added() == [[]]


def test_send_with_maxlen_trims_with_every_entry() -> None:
    server = Server()
    server.play(sending(server, maxlen=500).send_frames(FRAMES[:1]))
    (command,) = [one for one in server.rounds[-1] if one[0] == "XADD"]
    assert command[2:6] == ("MAXLEN", "~", 500, "*")


def test_send_arrays_refused_names_rows_without_frames() -> None:
    server = Server(on_add=lambda partition: OOM)
    numbers = ([1, 1], 5, 1.0, 0)
    with pytest.raises(Backpressure) as caught:
        server.play(sending(server).send_arrays(["p1", "p2"], numbers, np.zeros((2, 21, 3))))
    assert caught.value.rows == (0, 1)
    assert caught.value.frames == ()
