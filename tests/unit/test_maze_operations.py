"""The operator's commands, without a Redis of their own: advice, doctor, top, watch, roles, secrets."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fakeredis
import pytest
from prometheus_client import generate_latest
from rich.console import Console
from typer.testing import CliRunner

from gesture_maze.cli.main import build
from gesture_maze.ops.acl import ROLES
from gesture_maze.ops.advice import Load, advise, load_between
from gesture_maze.ops.doctor import Facts, examine
from gesture_maze.ops.reach import total
from gesture_maze.ops.top import Look, Window, as_dict, render
from gesture_maze.ops.watch import Watch, beating_sessions, targets
from gesture_maze.producer import FrameProducer
from gesture_maze.wire.keys import is_session, partition_of
from gesture_maze.worker.records import Standing
from gesture_maze.worker.redis.status import PartitionStatus, PoolStatus, StatusReader, WorkerStatus
from tests.support.pool import PARTITIONS, HandWorker

RUNNER = CliRunner(env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"})


def partition(number: int, **changed: Any) -> PartitionStatus:
    counts = {"entries": 10, "frames": 20, "answered": 20}
    return replace(PartitionStatus(number, "w1", 5, 3000, 10, 10, 10, 0, counts), **changed)


def pool(*partitions: PartitionStatus, server_ms: int = 1000, workers: int = 1) -> PoolStatus:
    names = [
        WorkerStatus(f"w{n}", "here", 7, 9464 + n, "m1", "0.1.0", 100, (0,)) for n in range(1, workers + 1)
    ]
    return PoolStatus(server_ms, partitions or (partition(0),), tuple(names))


def page(frames: int, cpu_s: float, like: int = 0) -> str:
    buckets = "".join(
        f'maze_reply_latency_seconds_bucket{{le="{le}"}} {count}\n'
        for le, count in (("0.005", frames // 2), ("0.01", frames), ("+Inf", frames))
    )
    return (
        f'maze_frames_total{{outcome="answered"}} {frames}.0\nprocess_cpu_seconds_total {cpu_s}\n{buckets}'
        f'predicted_gesture_count_total{{gesture="like"}} {like}.0\n'
    )


# --- advice

LOAD = Load(frames_per_s=29_000, lag=0, lag_per_s=0, frame_s=20e-6, workers=2, partitions=16)


def test_workers_are_given_headroom_and_a_spare() -> None:
    found = advise(LOAD)  # one serves 0.6 / 20 µs = 30,000 frames/s
    assert found.workers_needed == 2
    assert found.worker_frames_per_s == pytest.approx(30_000)
    assert found.utilisation == pytest.approx(0.29)
    assert found.sentences == ("2 workers are right.",)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"workers": 0}, "No worker lives: start 2"),
        ({"frames_per_s": 85_000}, "Start 2 more workers: 2 live, 4 are needed."),
        ({"workers": 5}, "3 workers may be stopped"),
        ({"lag": 5000, "lag_per_s": 900}, "grows by 900 a second"),
        ({"frames_per_s": 200_000}, "a second one"),
        ({"frames_per_s": 200_000, "partitions": 8}, "8 partitions are few for 8 workers: 16 would"),
        ({"frame_s": None}, "No worker's metrics could be read"),
    ],
)
def test_advice_says_what_to_do(changed: dict[str, Any], sentence: str) -> None:
    assert any(sentence in one for one in advise(replace(LOAD, **changed)).sentences)


def test_a_load_is_what_happened_between_two_looks() -> None:
    first = pool(partition(0))
    last = pool(partition(0, added=30, entries_read=25), server_ms=3000)
    found = load_between(first, last, [(page(20, 1.0), page(60, 1.5))])
    assert found.frames_per_s == pytest.approx(20)  # 10 entries/s of 2 frames
    assert found.lag_per_s == pytest.approx(2.5)
    assert found.frame_s == pytest.approx(0.5 / 40)


def test_a_total_is_of_all_series_of_exactly_that_name() -> None:
    text = 'a_total{x="1"} 2.0\na_total{x="2"} 3\na_total_more 9\n# HELP a_total 5\n'
    assert total([text, text], "a_total") == 10


# --- doctor

GOOD = Facts(
    info={
        "redis_version": "7.0.15", "maxmemory_policy": "noeviction", "maxmemory": 100, "used_memory": 10,
        "aof_enabled": 1, "aof_last_write_status": "ok", "evicted_keys": 0,
    },
    config={"timeout": "0", "proto-max-bulk-len": str(512 << 20)},
    whoami="operator", powers={"FLUSHALL": False}, skew_ms=3.0, round_trip_ms=0.2, status=pool(),
    reached=frozenset({"w1"}),
)  # fmt: skip


def test_all_is_well() -> None:
    assert {one.level for one in examine(GOOD)} == {"good"}
    assert len(examine(GOOD)) == 10


@pytest.mark.parametrize(
    ("changed", "level", "words"),
    [
        ({"info": {"redis_version": "6.2.14"}}, "bad", "too old"),
        ({"info": {"maxmemory_policy": "allkeys-lru"}}, "bad", "CONFIG SET maxmemory-policy noeviction"),
        ({"info": {"maxmemory": 0}}, "warning", "no maxmemory"),
        ({"info": {"used_memory": 90}}, "bad", "90% of maxmemory"),
        ({"info": {"evicted_keys": 3}}, "bad", "3 keys were evicted"),
        ({"info": {"aof_enabled": 0}}, "warning", "appendonly is off"),
        ({"info": {"aof_last_write_status": "err"}}, "bad", "full disk"),
        ({"whoami": "default"}, "warning", "maze acl"),
        ({"powers": {"FLUSHALL": True}}, "warning", "may FLUSHALL"),
        ({"local": False}, "warning", "rediss://"),
        ({"skew_ms": -900.0}, "warning", "NTP"),
        ({"round_trip_ms": 12.0}, "warning", "every reply waits"),
        ({"config": {"timeout": "5"}}, "bad", "CONFIG SET timeout 0"),
        ({"config": {"proto-max-bulk-len": str(1 << 20)}}, "warning", "model bundle"),
        ({"status": PoolStatus(0, (), ())}, "warning", "No pool has been here"),
        ({"status": pool(workers=0)}, "bad", "No worker lives"),
        ({"status": pool(partition(0), partition(1, owner=None))}, "bad", "Partitions 1 have no owner"),
        ({"status": pool(partition(0, counts={"frames": 9}))}, "bad", "sum does not hold"),
        ({"reached": frozenset()}, "warning", "--metrics-host"),
    ],
)
def test_each_fault_is_found_and_says_what_to_do(changed: dict[str, Any], level: str, words: str) -> None:
    if "info" in changed:
        changed = {"info": {**GOOD.info, **changed["info"]}}
    found = [one for one in examine(replace(GOOD, **changed)) if one.level != "good"]
    assert [(one.level, words in one.says) for one in found if words in one.says] == [(level, True)]


# --- top


def picture(window: Window, height: int = 40) -> str:
    console = Console(width=120, height=height, force_terminal=False)
    with console.capture() as capture:
        console.print(render(window, height, "redis://here"))
    return capture.get()


def test_a_picture_shows_rates_since_the_oldest_look() -> None:
    window = Window()
    window.add(Look(0.0, pool(), {"w1": page(100, 1.0, like=10)}))
    after = partition(0, added=50, entries_read=50, counts={"entries": 50, "frames": 120, "answered": 120})
    window.add(Look(2.0, pool(after, server_ms=3000), {"w1": page(200, 1.5, like=60)}))
    shown = picture(window)
    assert "50 /s" in shown
    assert "p50 ≤5 ms  p99 ≤10 ms" in shown
    assert "like" in shown
    assert "25%" in shown  # half a second of a core in two
    assert "holds" in shown
    found = as_dict(window)
    assert found["frames_per_s"]["answered"] == 50
    assert found["latency_p99_s"] == 0.01
    assert found["workers"]["w1"]["cores"] == pytest.approx(0.25)


def test_a_picture_of_nothing_and_of_a_pool_that_is_lost() -> None:
    window = Window()
    window.add(Look(0.0, PoolStatus(0, (), ()), {}))
    assert "No pool has been" in picture(window)
    window.add(Look(1.0, pool(partition(0, owner=None, added=12, waits_since_ms=400), workers=0), {}))
    shown = picture(window)
    assert "nobody" in shown
    assert "oldest 0.6 s" in shown


@pytest.mark.parametrize("height", [10, 24, 60])
def test_a_picture_of_a_thousand_partitions_fits_the_terminal(height: int) -> None:
    window = Window()
    many = pool(*[partition(number) for number in range(1024)], workers=200)
    window.add(Look(0.0, many, {}))
    assert len(picture(window, height).splitlines()) <= max(height, 20)


# --- watch


@pytest.fixture
def watched() -> Iterator[tuple[Any, Watch]]:
    """A fake Redis with a worker stepped by hand, and a watch of it."""
    client = fakeredis.FakeRedis(version=(7,))
    with FrameProducer(client, retries=0) as producer:
        watch = Watch(producer, StatusReader(client))
        yield client, watch
        watch.close()
    HandWorker.close_all()
    client.close()


def value(watch: Watch, line: str) -> float:
    found = [
        one for one in generate_latest(watch.registry).decode().splitlines() if one.startswith(line + " ")
    ]
    return float(found[0].rpartition(" ")[2])


def test_beats_are_sent_answered_and_counted(watched: tuple[Any, Watch]) -> None:
    client, watch = watched
    worker = HandWorker(client)
    worker.join()
    watch.step()
    worker.work()
    while watch.listen(0.05):
        pass
    for number in range(PARTITIONS):
        assert value(watch, f'maze_heartbeats_answered_total{{partition="{number}"}}') == 1
    assert value(watch, "maze_heartbeat_seconds_count") == PARTITIONS
    watch.step()
    assert value(watch, 'maze_pool_frames_total{outcome="answered"}') == PARTITIONS
    assert value(watch, 'maze_pool_owned{partition="0"}') == 1
    assert value(watch, "maze_pool_sum_holds") == 1
    assert watch.ready()


def test_a_pool_nobody_has_started_is_left_alone(watched: tuple[Any, Watch]) -> None:
    client, watch = watched
    watch.step()
    assert client.keys("*") == []
    assert value(watch, "maze_watch_failures_total") == 0


def test_there_is_a_session_for_each_partition() -> None:
    sessions = beating_sessions(64)
    assert [partition_of(one, 64) for one in sessions] == list(range(64))
    assert all(is_session(one) for one in sessions)


def test_workers_of_this_host_are_reached_by_loopback() -> None:
    found = targets(pool(workers=2), "here")
    assert found[0]["targets"] == ["127.0.0.1:9465"]
    assert found[0]["labels"] == {"job": "worker", "worker": "w1", "host": "here"}
    assert targets(pool(), "elsewhere")[0]["targets"] == ["here:9465"]


# --- roles and secrets


def test_maze_acl_makes_passwords_once_and_prints_hashes(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    words = ["acl", "--passwords", str(folder), "--url", "rediss://redis:6379/0?ssl_ca_certs=/ca"]
    assert RUNNER.invoke(build(), words).exit_code == 2
    first = RUNNER.invoke(build(), [*words, "--create"])
    assert RUNNER.invoke(build(), words).output == first.output
    assert first.output.count("\nuser ") == len(ROLES)
    password = (folder / "worker.password").read_text().strip()
    assert password not in first.output
    assert (
        folder / "worker.url"
    ).read_text().strip() == f"rediss://worker:{password}@redis:6379/0?ssl_ca_certs=/ca"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    known = json.loads((folder / "exporter.json").read_text())
    assert known.keys() == {"rediss://redis:6379", "rediss://exporter@redis:6379"}


def test_maze_acl_as_json_says_who_is_who() -> None:
    found = json.loads(RUNNER.invoke(build(), ["acl", "--json"]).output)
    assert {one["role"] for one in found} >= {"producer", "gateway", "worker", "operator", "exporter", "jobs"}


@pytest.mark.parametrize("url", ["http://redis", "redis://user@redis:6379", "redis:///0"])
def test_an_address_that_cannot_take_a_role_is_refused(url: str, tmp_path: Path) -> None:
    words = ["acl", "--passwords", str(tmp_path), "--create", "--url", url]
    assert RUNNER.invoke(build(), words).exit_code == 2


def test_a_partition_that_was_given_away_after_the_survey_has_no_lag_here() -> None:
    client = fakeredis.FakeRedis(version=(7,))
    worker = HandWorker(client)
    worker.join()
    worker.work()
    worker.keeper.standings = [Standing(99, 40, 40, b"5-0", b"0-0", 8), Standing(0, 3, 3, b"3-0", b"3-0", 3)]
    worker.loop._next_sweep_s = 0.0
    worker.work(1)
    lines = generate_latest(worker.metrics.registry).decode().splitlines()
    lags = [one for one in lines if one.startswith("maze_lag_entries{")]
    assert len(lags) == PARTITIONS
    assert not [one for one in lags if '"99"' in one]
    HandWorker.close_all()
    client.close()
