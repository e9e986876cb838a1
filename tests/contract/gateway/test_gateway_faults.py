"""The gateway while Redis is silent, demoted, loading, late or refuses a command."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gesture_maze.embedded.ports import free_port
from gesture_maze.wire.keys import frames_key, partition_of
from tests.support.gateway import Player, Served, serving
from tests.support.servers import Proxy, RedisProcess, Server, wait_until


def ready(gateway: Served) -> bool:
    return gateway.http.get("/readyz").status_code == 200


def answered(player: Player, timeout_s: float = 0.3) -> bool:
    """Send a frame and return whether its reply arrived."""
    seq = player.show("dislike")
    try:
        return bool(player.receive(lambda one: one.get("seq") == seq and "v" in one, timeout_s))
    except TimeoutError:
        return False


def seconds_until_answered(player: Player, limit_s: float) -> float:
    began_s = time.monotonic()
    wait_until(lambda: answered(player), limit_s)
    return time.monotonic() - began_s


@pytest.fixture
def proxy(pool: Server) -> Iterator[Proxy]:
    assert pool.url is not None
    found = Proxy(int(pool.url.rpartition(":")[2].partition("/")[0]))
    yield found
    found.close()


def test_subscription_on_a_silent_connection_is_replaced(proxy: Proxy) -> None:
    with serving(proxy.url) as gateway, gateway.play() as ann:
        assert ann.still_plays()
        proxy.silence()
        assert seconds_until_answered(ann, 12) < 10
        wait_until(lambda: ready(gateway))


def test_readyz_on_a_silent_redis_is_503(proxy: Proxy) -> None:
    with serving(proxy.url) as gateway:
        proxy.swallow = True
        wait_until(lambda: not ready(gateway), 10)
        assert gateway.http.get("/livez").status_code == 200
        proxy.swallow = False
        proxy.silence()
        wait_until(lambda: ready(gateway), 10)


def test_gateway_behind_a_moved_address_leaves_the_demoted_primary(pool: Server, tmp_path: Path) -> None:
    """The old primary is read only and cut off from the new one; the address already leads to the new one."""
    assert pool.url is not None
    old = RedisProcess(tmp_path)
    proxy = Proxy(old.port)
    try:
        old.client.hset(
            "{maze}:topology",
            mapping={"version": 1, "partitions": pool.client.hget("{maze}:topology", "partitions")},
        )
        with serving(proxy.url) as gateway, gateway.play() as ann:
            old.client.replicaof("127.0.0.1", free_port())
            wait_until(lambda: not ready(gateway), 3)
            proxy.upstream = int(pool.url.rpartition(":")[2].partition("/")[0])
            assert seconds_until_answered(ann, 6) < 3
            wait_until(lambda: ready(gateway), 3)
    finally:
        proxy.close()
        old.client.close()
        old.end()


def logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return the log's events since the last call."""
    return [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]


def test_gateway_starts_before_redis_and_workers_and_becomes_ready(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    with serving(f"redis://127.0.0.1:{port}/0", wait_ready=False, log_format="json") as gateway:
        assert gateway.http.get("/readyz").status_code == 503
        assert gateway.http.get("/livez").status_code == 200
        with gateway.socket() as early:
            assert early.hello()["reason"] == "unavailable"
        redis = RedisProcess(tmp_path, port=port)
        try:
            assert not ready(gateway)
            wait_until(lambda: "no worker" in gateway.http.get("/readyz").json()["detail"], 10)
            assert [one["event"] for one in logged(capsys)].count("pool_not_found") == 1
            with gateway.socket() as early:
                assert "no worker has started" in early.hello()["detail"]
            redis.client.hset("{maze}:topology", mapping={"version": 1, "partitions": 16})
            wait_until(lambda: ready(gateway), 5)
        finally:
            redis.client.close()
            redis.end()


def test_readyz_with_one_broken_partition_is_200(lonely: tuple[Served, Server]) -> None:
    gateway, server = lonely
    with gateway.play() as ann:
        server.client.set(frames_key(partition_of(ann.welcome["session"], 16)), "not a stream")
        ann.show()
        assert ann.receive_type("refused")["reason"] == "unavailable"
        wait_until(lambda: ready(gateway))


@pytest.mark.parametrize("option", [("min-replicas-to-write", 1, 0), ("maxmemory", 1, 0)])
def test_readyz_while_redis_momentarily_refuses_writes_is_200(
    lonely: tuple[Served, Server], option: tuple[str, int, int]
) -> None:
    gateway, server = lonely
    name, bad, good = option
    server.client.config_set(name, bad)
    try:
        with gateway.play() as ann:
            ann.show()
            ann.receive_type("refused")
            wait_until(lambda: ready(gateway))
    finally:
        server.client.config_set(name, good)


def test_readyz_without_the_right_to_add_frames_is_503(lonely: tuple[Served, Server]) -> None:
    gateway, server = lonely
    wait_until(lambda: ready(gateway))
    server.client.acl_setuser("default", enabled=True, commands=["-xadd"])
    try:
        wait_until(lambda: not ready(gateway))
    finally:
        server.client.acl_setuser("default", enabled=True, commands=["+xadd"])
    wait_until(lambda: ready(gateway))


def test_readiness_probe_writes_nothing(lonely: tuple[Served, Server]) -> None:
    gateway, server = lonely
    wait_until(lambda: ready(gateway))
    assert [key for key in server.client.keys("*") if b"probe" in key] == []


def test_stop_of_a_held_move_is_sent_when_frames_cease(gateway: Served) -> None:
    with gateway.play() as ann:
        for frame in range(8):
            began_s = time.monotonic()
            seq = ann.show("like", t=frame * 50)
            time.sleep(0.04)
        assert ann.receive(lambda one: one.get("move") == "up")
        stop = ann.receive(lambda one: one.get("move") == "stop")
        assert stop["synthetic"]
        assert stop["seq"] <= seq
        assert time.monotonic() - began_s > 0.2
