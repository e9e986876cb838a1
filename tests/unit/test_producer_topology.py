"""How producers follow the topology in Redis: simulated answers, no Redis."""

from __future__ import annotations

import pytest

from gesture_maze.producer.errors import SendLost
from gesture_maze.wire.errors import SettingsError
from tests.support.answers import FRAMES, Server, partitions, sending


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
    with pytest.raises(SendLost, match=r"within 1 s .* start `maze worker`") as caught:
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
