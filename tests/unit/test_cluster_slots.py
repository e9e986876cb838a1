"""The slot of a key and of a command, the table of slots, and the bookkeeping of sharded channels."""

from __future__ import annotations

import pytest

from gesture_maze.producer.address import is_cluster, open_client
from gesture_maze.producer.cluster.channels import Channels
from gesture_maze.producer.cluster.client import ClusterRedis
from gesture_maze.producer.cluster.slots import POOL_SLOT, Address, SlotTable, slot_of, slot_of_command
from gesture_maze.wire import keys
from gesture_maze.wire.errors import SettingsError
from gesture_maze.worker.redis.cluster.placement import even_partitions, primaries_in

ONE, TWO = Address("10.0.0.1", 6379), Address("10.0.0.2", 6379)
ANSWER = [[0, 8191, [b"", 6379, b"a"]], [8192, 16000, [b"10.0.0.2", 6379, b"b"], [b"10.0.0.3", 6379, b"c"]]]


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("XADD", "frames:{3}", "*", "a", "b"), "frames:{3}"),
        (("XINFO GROUPS", "frames:{3}"), "frames:{3}"),
        (("XINFO", "STREAM", b"frames:{3}"), "frames:{3}"),
        (("EVALSHA", "0" * 40, 2, "lease:{3}", "frames:{3}", "x"), "frames:{3}"),
        (("XREAD", "COUNT", 5, "STREAMS", "frames:{3}", "0-0"), "frames:{3}"),
        (("SPUBLISH", "actions:{3}:p1", "x"), "frames:{3}"),
        (("PUBLISH", "actions:{3}:p1", "x"), keys.TOPOLOGY),
        (("EVAL", "return 1", 0), keys.TOPOLOGY),
        (("INFO", "memory"), keys.TOPOLOGY),
    ],
)
def test_slot_of_command_each_form_is_that_of_its_key(words: tuple[object, ...], key: str) -> None:
    assert slot_of_command(words) == slot_of(key)


def test_slot_of_every_key_of_a_partition_is_the_same() -> None:
    names = [keys.frames_key(5), keys.lease_key(5), keys.epoch_key(5), keys.suspect_key(5), keys.dead_key(5)]
    names += [keys.outcomes_key(5), keys.actions_channel(5, "p1")]
    assert len({slot_of(name) for name in names}) == 1
    assert {slot_of(keys.WORKERS), slot_of(keys.MODEL), slot_of(keys.bundle_key("m"))} == {POOL_SLOT}


def test_slot_table_of_an_answer_finds_primaries_and_gaps() -> None:
    table = SlotTable.of(ANSWER, asked=ONE)
    assert [table.primary(slot) for slot in (0, 8191, 8192, 16000, 16001)] == [ONE, ONE, TWO, TWO, None]
    assert table.primaries() == [ONE, TWO]
    assert not table.is_complete()


def test_channels_of_a_moved_slot_are_missing_until_subscribed_anew() -> None:
    channels = Channels()
    channels.want([b"actions:{3}:a", b"actions:{3}:b"])
    assert channels.missing_by_slot() == {slot_of("{3}"): [b"actions:{3}:a", b"actions:{3}:b"]}
    channels.asked([b"actions:{3}:a", b"actions:{3}:b"], ONE)
    assert channels.take([b"ssubscribe", b"actions:{3}:a", 1], ONE) == [b"subscribe", b"actions:{3}:a", 1]
    assert channels.take([b"sunsubscribe", b"actions:{3}:a", 1], ONE) is None
    assert channels.missing_by_slot() == {slot_of("{3}"): [b"actions:{3}:a"]}
    channels.asked([b"actions:{3}:a"], TWO)
    # a late notice of the old node
    assert channels.take([b"sunsubscribe", b"actions:{3}:a", 0], ONE) is None
    channels.lost(ONE)
    assert channels.missing_by_slot() == {slot_of("{3}"): [b"actions:{3}:b"]}
    assert channels.drop([b"actions:{3}:a", b"actions:{3}:b"]) == {TWO: [b"actions:{3}:a"]}


def test_open_client_of_a_cluster_url_connects_to_nothing() -> None:
    url = "rediss+cluster://user:secret@10.0.0.1,10.0.0.2:7000"
    assert is_cluster(url)
    assert isinstance(open_client(url, name="test", timeout_s=1.0), ClusterRedis)


@pytest.mark.parametrize("url", ["redis+cluster:///0", "redis+cluster://a:6379/1", "redis+cluster://:1"])
def test_open_client_of_a_wrong_cluster_url_names_the_fault(url: str) -> None:
    with pytest.raises(SettingsError, match="Redis URL"):
        open_client(url, name="test", timeout_s=1.0)


def thirds() -> SlotTable:
    """Return a table of three primaries with a third of the slots each."""
    ends = [0, 5461, 10922, 16384]
    nodes = [[f"10.0.0.{number}".encode(), 6379, b"id"] for number in range(3)]
    return SlotTable.of([[ends[at], ends[at + 1] - 1, nodes[at]] for at in range(3)], asked=ONE)


def test_placement_of_16_partitions_on_3_primaries_is_4_6_6_and_128_fall_evenly() -> None:
    found = primaries_in(thirds(), 16)
    assert sorted(len(one.partitions) for one in found) == [4, 6, 6]
    assert sum(one.pool_wide for one in found) == 1
    count = even_partitions(thirds(), 16)
    assert count is not None
    sizes = [len(one.partitions) for one in primaries_in(thirds(), count)]
    assert max(sizes) * 3 <= 1.15 * count


def test_placement_without_a_primary_names_the_partitions_as_not_served() -> None:
    found = {one.address: one.partitions for one in primaries_in(SlotTable.of(ANSWER[:1], asked=ONE), 16)}
    assert found["none"]
    assert sorted(found["none"] + found["10.0.0.1:6379"]) == list(range(16))
