"""The sending scripts, run against simulated answers: no Redis, no real clock, no randomness."""

from __future__ import annotations

import numpy as np
import pytest
from redis import exceptions

from gesture_maze.producer.errors import Backpressure, ProducerClosed, SendLost, SendRefused
from gesture_maze.producer.numbering import Numbering
from gesture_maze.producer.options import options_of
from gesture_maze.producer.replies import Inbox
from gesture_maze.producer.sending import Sending
from gesture_maze.producer.steps import NoAnswer
from gesture_maze.wire.errors import FrameError
from gesture_maze.wire.frames import META, Frame
from gesture_maze.wire.keys import partition_of, reply_channel
from tests.support.answers import FRAMES, OOM, Server, partitions, sending


def test_send_of_tick_makes_one_round_trip_with_one_entry_per_partition() -> None:
    server = Server()
    one = sending(server)
    server.play(one.connect())
    server.rounds.clear()
    server.play(one.send_frames(FRAMES))
    assert server.added() == [partitions(FRAMES)]


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


def test_send_with_one_node_of_a_cluster_away_loses_only_its_frames() -> None:
    away = partition_of("p1", 16)
    server = Server(on_add=lambda partition: NoAnswer("connection refused") if partition == away else b"1-0")
    one = sending(server, retries=2)
    with pytest.raises(SendLost) as caught:
        server.play(one.send_frames(FRAMES))
    assert caught.value.frames == (FRAMES[1],)
    assert server.added()[-3:] == [partitions(FRAMES), [away], [away]]


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


def test_tick_names_reply_channel_of_listener_but_single_frame_does_not() -> None:
    server, inbox = Server(topology=[b"1", b"1"]), Inbox(1, reply_to="me")
    inbox.want(one.session for one in FRAMES)
    inbox.take({"type": "subscribe", "channel": reply_channel(0, "me").encode(), "data": 1})
    one = Sending(options_of({}), clock=lambda: server.now_s, inboxes=lambda: [inbox])
    other = Frame("other", 1, 2, None)
    found = []
    for frames in (FRAMES, FRAMES[:1], [*FRAMES, other]):
        server.play(one.send_frames(frames))
        (command,) = [one for one in server.rounds[-1] if one[0] == "XADD"]
        found.append(command[9:])
    assert found == [(b"r", "me"), (), ()]


def test_send_arrays_with_reply_channel_names_it_in_every_entry() -> None:
    server = Server()
    names, points = [one.session for one in FRAMES], np.zeros((4, 21, 3))
    server.play(sending(server).send_arrays(names, (1, 5, 1.0, 0), points, {}, "me"))
    assert [one[9:] for one in server.rounds[-1] if one[0] == "XADD"] == [(b"r", "me")] * 4
    with pytest.raises(FrameError, match="reply_to"):
        server.play(sending(server).send_arrays(names, (1, 5, 1.0, 0), points, {}, "a:b"))


def test_send_of_no_frame_names_the_call_that_takes_it() -> None:
    server = Server()
    one = sending(server)
    with pytest.raises(TypeError, match=r"expected a Frame, got list; for several frames call send_tick"):
        server.play(one.send_frames((FRAMES,)))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"for one frame call send\(frame\)"):
        server.play(one.send_frames(FRAMES[0]))  # type: ignore[arg-type]
    assert not server.rounds


def test_closed_producer_raises_and_opens_no_connection() -> None:
    server = Server()
    one = sending(server)
    one.closed = True
    for steps in (one.connect, lambda: one.send_frames(FRAMES)):
        with pytest.raises(ProducerClosed, match="this producer is closed"):
            server.play(steps())
    assert not server.rounds
