"""Commands on a live pool of `maze worker`, with entries written by hand as with redis-cli."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from typer.testing import CliRunner

from gesture_maze.cli.main import build
from gesture_maze.simulator.players import synthesize
from gesture_maze.wire import keys
from gesture_maze.wire.gestures import LABELS
from tests.support.children import maze
from tests.support.servers import wait_until

RUNNER = CliRunner(env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"})


@dataclass
class Live:
    url: str
    client: Any

    def run(self, *words: str) -> Any:
        """Run a command and return its result."""
        return RUNNER.invoke(build(), [*words, "--redis", self.url])

    def json(self, *words: str) -> Any:
        """Return the parsed --json output of a command."""
        result = self.run(*words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def write(self, session: str, text: str) -> None:
        """XADD frames:{p} * json TEXT."""
        partition = keys.partition_of(session, 16)
        self.client.xadd(keys.frames_key(partition), {"json": text})


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """`maze worker --redis embedded --processes 2`, which must drain and exit with 0 at the end."""
    log = tmp_path_factory.mktemp("pool") / "log"
    command = ["worker", "--redis", "embedded", "--processes", "2", "--metrics-port", "0"]
    with log.open("wb") as out, maze(*command, stderr=out) as process:

        def url() -> str | None:
            assert process.poll() is None, log.read_text()
            found = re.search(r"--redis (redis://\S+)", log.read_text())
            return found[1] if found else None

        wait_until(url, 20)
        address = str(url())
        client = redis.Redis.from_url(address)
        wait_until(lambda: len(client.keys("lease:*")) == 16 and client.zcard(keys.WORKERS) == 2, 20)
        yield Live(address, client)
        client.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, log.read_text()


@pytest.fixture
def no_dead_letters(live: Live) -> None:
    live.run("dead", "purge", "--all")


def hand(gesture: str) -> list[list[float]]:
    hands = synthesize(np.array([LABELS[gesture]]), np.random.default_rng(3), aspect=1.0)
    points: list[list[float]] = hands.landmarks[0].astype(float).round(5).tolist()
    return points


def test_entry_written_by_hand_is_answered_on_its_channel(live: Live) -> None:
    with live.client.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe(keys.actions_channel(keys.partition_of("by-hand", 16), "by-hand"))
        pubsub.get_message(timeout=2)
        frame = {"session": "by-hand", "seq": 7, "t": 1700000000000, "aspect": 1.0, "landmarks": hand("like")}
        live.write("by-hand", json.dumps(frame))
        found: list[Any] = []

        def answered() -> bool:
            message = pubsub.get_message(timeout=0.05)
            found.extend([message] if message else [])
            return bool(found)

        wait_until(answered)
    reply = json.loads(found[0]["data"])
    assert (reply["session"], reply["seq"], reply["t"]) == ("by-hand", 7, 1700000000000)
    assert (reply["gesture"], reply["action"]) == ("like", "up")


@pytest.mark.usefixtures("no_dead_letters")
def test_malformed_entries_become_dead_letters_with_a_reason(live: Live) -> None:
    bad = {
        "bad_json": "{",
        "bad_landmarks": '{"session":"m","seq":1,"t":5,"landmarks":[[0,0]]}',
        "bad_seq": '{"session":"m","seq":-1,"t":5,"landmarks":[]}',
        "bad_aspect": '{"session":"m","seq":2,"t":5,"aspect":0,"landmarks":[]}',
    }
    for text in bad.values():
        live.write("m", text)
    live.client.xadd(keys.frames_key(4), {"nonsense": "1"})
    wait_until(lambda: len(live.json("dead")) == 5)

    found = live.json("dead")
    assert {one["reason"] for one in found} == {*bad, "unknown_encoding"}
    (one,) = live.json("dead", "--reason", "bad_landmarks")
    assert (one["session"], one["seq"], one["t"]) == ("m", 1, 5)
    assert [one["reason"] for one in live.json("dead", "--partition", "4")] == ["unknown_encoding"]
    assert len(live.json("dead", "--limit", "2")) == 2

    table = live.run("dead").output
    assert all(reason in table for reason in bad)
    shown = live.json("dead", "show", one["id"])
    assert json.loads(shown["fields"]["json"])["landmarks"] == [[0, 0]]
    assert "field 'json'" in live.run("dead", "show", one["id"]).output


@pytest.mark.usefixtures("no_dead_letters")
def test_dead_letter_is_redriven_once_and_purged(live: Live) -> None:
    live.write("r", '{"session":"r"}')
    wait_until(lambda: len(live.json("dead")) == 1)
    (first,) = live.json("dead")
    assert live.json("dead", "redrive", first["id"])["redriven"] == 1
    assert live.json("dead", "redrive", first["id"])["redriven"] == 0
    # still malformed, so it becomes another dead letter
    wait_until(lambda: [one["id"] for one in live.json("dead")] not in ([], [first["id"]]))
    missing = live.run("dead", "show", first["id"])
    assert missing.exit_code == 2
    assert "there is no dead letter" in missing.output
    assert live.json("dead", "redrive", "--all", "--reason", "no_such")["redriven"] == 0
    assert live.json("dead", "purge", "--all")["purged"] == 1
    assert live.run("dead").output == "No dead letters.\n"


def test_status_of_a_healthy_pool_lists_workers_and_sums(live: Live) -> None:
    found = live.json("status")
    assert found["healthy"]
    assert found["all_accounted_for"]
    assert len(found["partitions"]) == 16
    assert {len(one["partitions"]) for one in found["workers"]} == {8}
    assert {one["owner"] for one in found["partitions"]} == {one["worker"] for one in found["workers"]}
    assert all(one["heartbeat_age_ms"] < 3000 and one["metrics_port"] for one in found["workers"])
    assert found["models"]
    output = live.run("status").output
    assert "ok: all frames are accounted for" in output
    assert str(found["workers"][0]["pid"]) in output


def test_status_with_a_wrong_sum_exits_with_1(live: Live) -> None:
    key = keys.outcomes_key(5)
    live.client.hincrby(key, "answered", 1)
    try:
        result = live.run("status")
        assert result.exit_code == 1
        assert "error: frames were lost or counted twice in partitions 5" in result.output
    finally:
        live.client.hincrby(key, "answered", -1)


def test_simulate_reports_the_outcomes_of_its_frames(live: Live) -> None:
    found = live.json("simulate", "--players", "40", "--rate", "800", "--seconds", "1.5")
    assert found["accepted"] == found["replies"] == found["outcomes"]["answered"] > 100
    assert (found["refused"], found["lag"], found["all_accounted_for"]) == ({}, 0, True)
    assert found["latency_p50_ms"] > 0
    assert "replies" in live.run("simulate", "--players", "4", "--seconds", "0.3").output


def test_simulate_counts_every_frame_as_accepted_or_refused(live: Live) -> None:
    found = live.json("simulate", "--players", "64", "--rate", "2000", "--seconds", "1", "--max-lag", "0")
    assert found["accepted"] + sum(found["refused"].values()) > 100
    assert set(found["refused"]) <= {"lag"}


def test_embedded_server_of_a_killed_worker_exits(tmp_path: Path) -> None:
    output = tmp_path / "output"
    command = ["worker", "--redis", "embedded", "--metrics-port", "0"]
    with output.open("wb") as err, maze(*command, stderr=err) as process:
        wait_until(lambda: "partition_acquired" in output.read_text(), 20)
        url = re.findall(r"--redis (redis://\S+)", output.read_text())[0]
        client = redis.Redis.from_url(url)
        assert client.ping()
        process.kill()

    def gone() -> bool:
        try:
            client.ping()
        except redis.ConnectionError:
            return True
        return False

    wait_until(gone)
    client.close()
