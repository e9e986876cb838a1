"""Real worker processes, real Redis, real signals; every run accounts for all frames."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gesture_maze.producer import FrameProducer
from gesture_maze.wire import keys
from gesture_maze.wire.frames import Frame
from tests.chaos.driver import DURABLE, in_streams
from tests.support.children import child
from tests.support.processes import DYING, PARTITIONS, Traffic, Workers, pool_outcomes
from tests.support.servers import RedisProcess, Server, wait_until

LEASE_S = 1.0
LONG_LEASE_S = 20.0
AGELESS = {"deadline_ms": 0, "supersede_ms": 0}
"""A generous deadline: on a busy machine a frame may be over a second old and must still be answered."""


def test_killed_workers_lose_no_frame_and_repeat_no_answer(server: Server, workers: Workers) -> None:
    workers.start("a", **AGELESS)
    workers.start("b", **AGELESS)
    with Traffic(server.url) as traffic:
        for victim, new_owner in (("a", "c"), ("b", "d"), ("c", "e")):
            traffic.wait_for_answers()
            if victim == "c":  # a frame that was waiting at three deaths is buried
                traffic.wait_until_committed()
            workers.signal(victim, signal.SIGKILL)
            workers.start(new_owner, **AGELESS)
            traffic.wait_for_answers()
    assert pool_outcomes(server.client)["answered"] == len(traffic.accepted)
    traffic.check_once_and_in_order()
    assert traffic.unanswered() == set(), f"of {len(traffic.accepted)} after 3 kills"


def test_survivor_takes_over_when_the_lease_of_a_killed_worker_ends(server: Server, workers: Workers) -> None:
    workers.start("a")
    with Traffic(server.url) as traffic:
        workers.start("b")
        traffic.wait_for_answers()
        workers.signal("a", signal.SIGKILL)
        # LEASE_S + 1 on an idle machine; the chaos driver measures it
        wait_until(lambda: workers.owners().get("b") == PARTITIONS, LEASE_S + 5.0)
        traffic.wait_for_answers()
    traffic.check_once_and_in_order()
    outcomes = pool_outcomes(server.client)
    assert outcomes["answered"] + outcomes["stale"] + outcomes["superseded"] == len(traffic.accepted)


def test_drained_worker_loses_no_frame_and_exits_with_0(server: Server, workers: Workers) -> None:
    settings = {**AGELESS, "lease_ttl_ms": round(LONG_LEASE_S * 1000)}
    workers.start("a", **settings)
    workers.start("b", **settings)
    with Traffic(server.url) as traffic:
        traffic.wait_for_answers()
        codes = []
        for leaver, joiner in (("a", "c"), ("b", "d"), ("c", "e")):
            codes.append(workers.stop(leaver)[0])
            traffic.wait_for_answers()
            workers.start(joiner, **settings)
            traffic.wait_for_answers()
    assert codes == [0, 0, 0]
    traffic.check_once_and_in_order()
    assert traffic.unanswered() == set()
    assert pool_outcomes(server.client)["answered"] == len(traffic.accepted)
    assert traffic.longest_silence_s() < LONG_LEASE_S / 4, "leases are released, not left to end"


def test_worker_paused_past_its_lease_has_no_late_effect(server: Server, workers: Workers) -> None:
    workers.start("a")
    workers.start("b")
    with Traffic(server.url) as traffic:
        traffic.wait_for_answers()
        workers.signal("a", signal.SIGSTOP)
        wait_until(lambda: workers.owners().get("b") == PARTITIONS)
        traffic.wait_for_answers(500)
        workers.signal("a", signal.SIGCONT)
        workers.wait_balanced()
        traffic.wait_for_answers(500)
    traffic.check_once_and_in_order()
    outcomes = pool_outcomes(server.client)
    assert outcomes["answered"] == len(traffic.answered)
    assert sum(outcomes.values()) == len(traffic.accepted)


def test_pool_answers_again_after_flushall(server: Server, workers: Workers) -> None:
    workers.start("a")
    with Traffic(server.url) as traffic:
        traffic.wait_for_answers()
        server.client.flushall()
        traffic.wait_for_answers(200, 5.0)
    traffic.check_once_and_in_order()
    _, log = workers.stop("a")
    assert log.count("lease lost") <= PARTITIONS
    assert "Traceback" not in log


def test_worker_without_memory_for_frames_answers_its_backlog_and_keeps_its_leases(
    server: Server, workers: Workers
) -> None:
    lease_s = 3.0
    workers.start("a", **AGELESS, lease_ttl_ms=round(lease_s * 1000))
    tokens = [server.client.get(keys.lease_key(p)) for p in range(PARTITIONS)]
    with Traffic(server.url) as traffic:
        traffic.wait_for_answers()
        workers.signal("a", signal.SIGSTOP)  # so that frames wait when memory runs out
        wait_until(lambda: len(traffic.unanswered()) > 200)
        server.client.config_set("maxmemory", "1mb")
        wait_until(lambda: traffic.refused > 0)
        backlog, answered_before = traffic.unanswered(), len(traffic.answered)
        assert len(backlog) > 200
        workers.signal("a", signal.SIGCONT)
        wait_until(lambda: not backlog & traffic.unanswered(), 15)
        assert len(traffic.answered) >= answered_before + len(backlog), "answered while memory was out"
        time.sleep(lease_s)  # every lease expires unless it is renewed without memory
        assert [server.client.get(keys.lease_key(p)) for p in range(PARTITIONS)] == tokens
        server.client.config_set("maxmemory", 0)
        traffic.wait_for_answers()
    traffic.check_once_and_in_order()
    assert traffic.unanswered() == set(), "accepted frames without an answer"


def test_poison_frame_after_three_deaths_is_dead_lettered(server: Server, workers: Workers) -> None:
    producer = FrameProducer(server.url, partitions=PARTITIONS)
    poison = np.zeros((21, 3), np.float32)
    poison[0, 0] = 666
    fine = np.random.default_rng(1).random((21, 3), np.float32)
    mates = [name for name in map("p{}".format, range(99)) if keys.partition_of(name, PARTITIONS) == 3][:3]
    with producer, producer.actions(*mates) as replies:
        shown = zip(mates, (fine, poison, fine), strict=True)
        producer.send_tick([Frame(name, 1, 0, landmarks) for name, landmarks in shown])
        for number in range(1, 5):
            settings = {"redis": server.url, "partitions": PARTITIONS, "metrics_port": 0, "lease_ttl_ms": 500}
            settings |= {**AGELESS, "block_ms": 100}
            command = [sys.executable, "-m", DYING, json.dumps(settings), f"w{number}"]
            died = _run_until_death_or_answer(command, server.client)
            if not died:
                break
        answered = [replies.get(1.0), replies.get(1.0)]
    assert number == 4, "three deaths, and the fourth worker buries it"
    assert {reply.session for reply in answered if reply} == {mates[0], mates[2]}
    (letter,) = (fields for _, fields in server.client.xrange(keys.dead_key(3)))
    assert (letter[b"reason"], letter[b"s"]) == (b"killed_worker", mates[1].encode())


def _run_until_death_or_answer(command: list[str], client: Any) -> bool:
    with child(*command) as process:
        wait_until(lambda: process.poll() is not None or client.hget(keys.outcomes_key(3), "buried"), 20)
        died = process.poll() == -signal.SIGKILL
        process.terminate()
        process.wait(20)
    return died


def test_third_worker_gets_its_share_of_the_partitions(server: Server, workers: Workers) -> None:
    workers.start("a")
    workers.start("b")
    assert workers.owners() == {"a": 4, "b": 4}
    workers.start("c")
    assert sorted(workers.owners().values()) == [2, 3, 3]


def test_worker_serves_metrics_and_health(server: Server, workers: Workers) -> None:
    with Traffic(server.url) as traffic:
        workers.start("a")
        traffic.wait_for_answers()
        info = json.loads(server.client.hget("{maze}:workers:info", "a"))
        address = f"http://127.0.0.1:{info['port']}"
        page = urllib.request.urlopen(f"{address}/metrics").read().decode()
        for path in ("/livez", "/readyz"):
            assert json.load(urllib.request.urlopen(address + path))["ok"] is True
    series = {line.split(" ")[0]: float(line.split(" ")[1]) for line in page.splitlines() if line[0] != "#"}
    assert series['maze_frames_total{outcome="answered"}'] >= 100
    assert series["model_predictions_total"] >= 100
    gestures = [name for name in series if name.startswith("predicted_gesture_count_total")]
    assert len(gestures) == 19
    assert series["maze_partitions_owned"] == PARTITIONS
    assert series["maze_reply_latency_seconds_count"] >= 100
    assert "player" not in page


def test_worker_after_an_outage_of_redis_answers_again(server: Server, workers: Workers) -> None:
    workers.start("a")
    with Traffic(server.url) as traffic:
        traffic.wait_for_answers()
        server.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        traffic.wait_for_answers(300)
    traffic.check_once_and_in_order()
    code, log = workers.stop("a")
    assert code == 0
    assert "redis_disconnected" in log
    assert "Traceback" not in log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_frames_written_to_disk_are_answered_after_a_restart_of_redis(
    number: signal.Signals, tmp_path: Path
) -> None:
    redis = RedisProcess(tmp_path, *DURABLE)
    try:
        with Workers(redis.url, redis.client) as workers:
            workers.start("a", **AGELESS)
            with Traffic(redis.url) as traffic:
                traffic.wait_for_answers()
                redis.end(number)
                redis.client.connection_pool.disconnect()
                redis.start().close()
                traffic.wait_for_answers(timeout_s=5.0)
            outcomes, held = pool_outcomes(redis.client), in_streams(redis.client)
            assert workers.stop("a")[0] == 0
    finally:
        redis.end()
    traffic.check_once_and_in_order()
    assert traffic.accepted <= set(held), "Redis kept what it accepted"
    assert outcomes["answered"] == len(set(held))
    assert outcomes["duplicate"] == len(held) - len(set(held)), "an entry that was sent again counts"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"partitions": 3}, "power of two"),
        ({"model": "/nowhere"}, "/nowhere"),
        ({"actions": {"wave": "up"}}, "published set knows wave"),
    ],
)
def test_worker_with_wrong_settings_names_them_and_does_not_start(
    server: Server, settings: dict[str, Any], says: str
) -> None:
    given = settings | {"metrics_port": 0, "redis": server.url}
    command = [sys.executable, "-m", "gesture_maze.worker", json.dumps(given)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert found.returncode == 2
    assert says in found.stderr
    assert "Traceback" not in found.stderr
