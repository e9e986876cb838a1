"""Jobs over RQ: jobs of the closed list run with progress; nothing else is run or imported."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import zlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Callback, Queue
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import now, utcformat
from rq.webhook import Webhook
from typer.testing import CliRunner

from gesture_maze.cli.jobs import LOST_S, check_apart
from gesture_maze.cli.main import build
from gesture_maze.lifecycle.jobs.catalog import JOBS, Context, checked
from gesture_maze.lifecycle.jobs.closed import QUEUE, ClosedJob, ClosedWorker, connection_to, queue_on, submit
from gesture_maze.lifecycle.jobs.schedule import scheduler
from gesture_maze.models.bundle import bundled_path, load_bundle
from gesture_maze.wire.errors import SettingsError
from tests.support.children import maze
from tests.support.hands import hands, write_csv
from tests.support.servers import Server, wait_until

MARK = "tests.contract.touched_by_import"


@pytest.fixture
def url(system_redis: Server) -> str:
    """The jobs' database of an empty server; one server is enough, since RQ tests its own commands."""
    system_redis.client.flushall()
    assert system_redis.url is not None
    return system_redis.url.removesuffix("/0") + "/1"


@pytest.fixture
def worker(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run all queued jobs, each in a forked process as in production; restore RQ afterwards."""
    import rq.job
    import rq.queue

    for module in (rq.job, rq.queue):
        monkeypatch.setattr(module, "import_attribute", vars(module)["import_attribute"])
    monkeypatch.setattr(ClosedJob, "context", None)
    monkeypatch.setenv("TOUCHED_BY_IMPORT", str(tmp_path / "touched"))

    def work() -> None:
        with connection_to(url) as connection:
            found = ClosedWorker(connection, Context(tmp_path, url.removesuffix("/1") + "/0", "none"))
            found.work(burst=True, logging_level="WARNING")

    return work


def fetched(url: str, job: Job) -> Job:
    return ClosedJob.fetch(job.id, connection=connection_to(url), serializer=JSONSerializer)


def fault(url: str, job: Job) -> str:
    result = fetched(url, job).latest_result()
    assert result is not None
    return result.exc_string or ""


def run(url: str, *words: str) -> Any:
    return CliRunner(env={"COLUMNS": "200", "MAZE_JOBS_REDIS": url}).invoke(
        build(("jobs",)), ["jobs", *words]
    )


def test_job_submitted_to_a_worker_is_run_and_shown(url: str, worker: Any, tmp_path: Path) -> None:
    write_csv(tmp_path / "hands.csv", hands(20))
    (tmp_path / "map.csv").write_text("like,hooray\n")
    reading = {"layout": "isotropic", "aspect": "4:3", "labels": "map.csv", "actions": {"hooray": "left"}}
    words = json.dumps({"data": ["hands.csv"], "out": "out", "epochs": 1, "folds": 2, **reading})
    put = run(url, "submit", "train", words, "--json")
    assert put.exit_code == 0, put.output
    name = json.loads(put.stdout)["id"]
    assert json.loads(run(url, "list", "--json").stdout)[0]["status"] == "queued"
    worker()
    shown = json.loads(run(url, "show", name, "--json").stdout)
    assert shown["status"] == "finished", shown
    assert shown["progress"]["title"] == "Training"
    assert shown["progress"]["done"] == shown["progress"]["total"] > 0
    assert shown["result"]["rows"] == 60
    assert "hooray" in shown["result"]["per_class"], "the reading options of the command apply"
    assert any("hooray" in line for line in shown["result"]["found"])
    assert load_bundle(tmp_path / "out").manifest.mapping == {"hooray": "left"}
    assert "100 %" in run(url, "list").stdout
    assert "finished" in run(url, "show", name).stdout


def test_alive_command_with_a_recent_heartbeat_of_this_host_exits_with_0(url: str, worker: Any) -> None:
    assert run(url, "alive").exit_code == 1
    with connection_to(url) as connection:
        one = ClosedWorker(connection, Context(Path(), url, "none"))
        one.register_birth()
        output = run(url, "alive", "--json")
        assert (output.exit_code, json.loads(output.stdout)["alive"]) == (0, True)
        long_ago = utcformat(now() - timedelta(seconds=LOST_S + 1))
        connection.hset(one.key, "last_heartbeat", long_ago)
        assert run(url, "alive").exit_code == 1
        connection.hset(one.key, mapping={"last_heartbeat": utcformat(now()), "hostname": "elsewhere"})
        assert run(url, "alive").exit_code == 1
        one.register_death()


def test_command_job_when_finished_returns_its_json(url: str, worker: Any, tmp_path: Path) -> None:
    write_csv(tmp_path / "hands.csv", hands(5))
    queue = queue_on(connection_to(url))
    good = submit(queue, "evaluate", {"data": "hands.csv", "report": "report.html"})
    bad = submit(queue, "evaluate", {"data": "missing.csv"})
    worker()
    result = fetched(url, good).latest_result()
    assert result is not None
    assert result.return_value["rows"] == 15
    assert (tmp_path / "report.html").exists()
    assert "cannot read missing.csv" in fault(url, bad)


def test_jobs_on_a_pool_act_on_its_redis(url: str, worker: Any, tmp_path: Path, system_redis: Server) -> None:
    system_redis.client.hset("{maze}:topology", mapping={"version": 1, "partitions": 4})
    load_bundle(bundled_path()).write(tmp_path / "mine")
    queue = queue_on(connection_to(url))
    given = (
        ("redrive", {"reason": "bad_json"}),
        ("promote", {"model": "mine"}),
        ("rollback", {"shadow": True}),
        ("replay", {"captures": ["none.jsonl"], "against": "mine"}),
    )
    jobs = [submit(queue, name, arguments) for name, arguments in given]
    worker()
    results = [fetched(url, job).latest_result() for job in jobs]
    redriven, promoted, ended, replayed = (result and result.return_value for result in results)
    assert redriven == {"redriven": 0, "entries": []}, fault(url, jobs[0])
    assert promoted["role"] == "champion"
    assert promoted["model"] == load_bundle(bundled_path()).version
    assert ended == {"dismissed": None}
    assert replayed is None
    assert "none.jsonl" in fault(url, jobs[3])


def payloads() -> dict[str, Any]:
    """Return payloads that an attacker with write access to the queue's Redis could enqueue."""
    return {
        "a function": {"func": f"{MARK}.run"},
        "a builtin": {"func": "os.system", "args": ("true",)},
        "positional arguments": {"func": "rollback", "args": ("x",)},
        "unknown arguments": {"func": "rollback", "kwargs": {"force": True}},
        "a path that leaves the folder": {"func": "evaluate", "kwargs": {"data": "../../etc/passwd"}},
        "an option as a path": {"func": "evaluate", "kwargs": {"data": "--model"}},
        "an option as a model": {"func": "promote", "kwargs": {"model": "--force"}},
        "a callback": {"func": "rollback", "on_failure": Callback(f"{MARK}.run")},
        "another callback": {"func": "rollback", "on_success": Callback(f"{MARK}.run")},
    }


@pytest.mark.parametrize("payload", payloads().values(), ids=payloads())
def test_unlisted_job_is_refused_without_an_import(
    url: str, worker: Any, tmp_path: Path, payload: dict[str, Any]
) -> None:
    open_queue = Queue(QUEUE, connection=Redis.from_url(url), serializer=JSONSerializer)
    job = open_queue.enqueue_call(**payload)
    worker()
    assert fetched(url, job).is_failed
    assert "SettingsError" in fault(url, job)
    assert not (tmp_path / "touched").exists()
    assert MARK not in sys.modules


def test_pickled_payload_is_not_loaded(url: str, worker: Any, tmp_path: Path) -> None:
    job = Queue(QUEUE, connection=Redis.from_url(url)).enqueue_call(f"{MARK}.run")
    worker()
    assert not (tmp_path / "touched").exists()
    assert fetched(url, job).get_status() != "finished"
    assert json.loads(run(url, "list", "--json").stdout)[0]["name"] == "?"


def crafted() -> dict[str, dict[str, Any]]:
    """Return job fields that RQ itself never writes."""
    good = zlib.compress(json.dumps(["rollback", None, [], {}]).encode())
    unknown = zlib.compress(json.dumps(["nope", None, [], {}]).encode())
    return {
        "a raw pickle": {"data": pickle.dumps(["os.system", None, ["true"], {}])},
        "a packed pickle": {"data": zlib.compress(pickle.dumps(["os.system", None, ["true"], {}]))},
        "no data": {"data": b""},
        "data that is not zlib": {"data": b"\x78\x9c" + bytes(50)},
        "a bomb": {"data": zlib.compress(b"[" + b" " * 50_000_000 + b"]", 9)},
        "deep JSON": {"data": zlib.compress(b"[" * 200_000)},
        "an unknown status": {"data": good, "status": "weird"},
        "a date that is none": {"data": good, "created_at": "yesterday"},
        "a timeout that is none": {"data": good, "timeout": "abc"},
        "endless retries": {"data": unknown, "retries_left": "1000000", "retry_intervals": "[0]"},
        "endless repeats": {"data": good, "repeats_left": "100000", "repeat_intervals": "[0]"},
        "a pickle as meta": {"data": good, "meta": zlib.compress(pickle.dumps({}))},
        "bytes that are no text": {"data": good, "origin": b"\x80\xff"},
        "escapes in the name": {"data": zlib.compress(json.dumps(["\x1b[2J", None, [], {}]).encode())},
    }


def test_worker_after_crafted_jobs_runs_the_next_job(url: str, worker: Any) -> None:
    connection, stamp = Redis.from_url(url), utcformat(now())
    for number, fields in enumerate(crafted().values()):
        usual = {"status": "queued", "origin": QUEUE, "timeout": "30"}
        stamps = {"created_at": stamp, "enqueued_at": stamp}
        connection.hset(f"rq:job:crafted-{number}", mapping=stamps | usual | fields)
        connection.rpush(f"rq:queue:{QUEUE}", f"crafted-{number}")
    good = submit(queue_on(connection_to(url)), "rollback", {})
    worker()
    assert connection.llen(f"rq:queue:{QUEUE}") == 0
    assert "maze rollback:" in fault(url, good), "it was done, and there was nothing to go back to"
    listed = run(url, "list")
    assert listed.exit_code == 0, listed.output
    assert "\x1b" not in listed.stdout
    for number in range(len(crafted())):
        shown = run(url, "show", f"crafted-{number}")
        assert shown.exit_code in (0, 2)
        assert "\x1b" not in shown.stdout


def test_worker_that_ends_without_a_signal_exits_with_1(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ClosedWorker, "work", lambda *_, **__: False)
    found = run(url, "worker", "--folder", str(tmp_path), "--redis", url.removesuffix("/1") + "/0")
    assert found.exit_code == 1
    assert "ended because of an error" in found.output


def test_job_of_a_killed_worker_with_an_expired_heartbeat_is_shown_as_failed(url: str) -> None:
    queue = queue_on(connection_to(url))
    job = submit(queue, "rollback", {})
    queue.connection.lpop(f"rq:queue:{QUEUE}")
    job.set_status("started")  # type: ignore[arg-type]
    queue.connection.zadd(queue.started_job_registry.key, {f"{job.id}:one": 1.0})
    found = json.loads(run(url, "show", job.id, "--json").stdout)
    assert found["status"] == "failed"


@pytest.mark.parametrize(
    ("frames", "jobs", "apart"),
    [
        ("redis+sentinel://a:1,b:2/main/0", "redis+sentinel://b:2,a:1/main/1", True),
        ("redis+sentinel://a:1,b:2/main/0", "redis+sentinel://b:2,a:1/main", False),
        ("redis+sentinel://a:1/main/0", "redis://127.0.0.1:6379/0", True),
        ("redis+cluster://a:1", "redis://127.0.0.1:6379/0", True),
    ],
)
def test_jobs_in_the_database_of_frames_behind_sentinels_are_refused(
    frames: str, jobs: str, apart: bool
) -> None:
    if apart:
        check_apart(frames, jobs)
    else:
        with pytest.raises(SettingsError, match="another database"):
            check_apart(frames, jobs)
    connection_to(jobs).close()


def test_webhooks_are_not_called(url: str) -> None:
    connection = Redis.from_url(url)
    job = Queue(QUEUE, connection=connection, serializer=JSONSerializer).enqueue_call(
        "rollback", webhooks=[Webhook("http://127.0.0.1:1/", "failed")]
    )
    assert Job.fetch(job.id, connection=connection, serializer=JSONSerializer).webhooks
    assert not fetched(url, job).webhooks


def test_queued_job_when_cancelled_is_not_run(url: str, worker: Any) -> None:
    job = submit(queue_on(connection_to(url)), "rollback", {})
    assert "is cancelled" in run(url, "cancel", job.id).stdout
    worker()
    assert fetched(url, job).is_canceled
    assert run(url, "cancel", job.id).exit_code == 2
    assert "there is no job nonsense" in run(url, "show", "nonsense").output


def test_running_job_when_cancelled_is_stopped(url: str, tmp_path: Path) -> None:
    write_csv(tmp_path / "hands.csv", hands(400))
    job = submit(queue_on(connection_to(url)), "train", {"data": ["hands.csv"], "out": "out", "folds": 20})
    environment = {**os.environ, "MAZE_JOBS_REDIS": url, "MAZE_REDIS": "redis://127.0.0.1:1/0"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with maze("jobs", "worker", "--folder", tmp_path, env=environment, **quiet) as process:
        wait_until(lambda: fetched(url, job).meta.get("progress"), 30)
        assert "is being stopped" in run(url, "cancel", job.id).stdout
        wait_until(lambda: fetched(url, job).is_stopped, 20)
        assert not (tmp_path / "out").exists()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_cron_job_when_due_is_submitted(url: str, worker: Any) -> None:
    connection = connection_to(url)
    cron = scheduler(connection, "0 3 * * *", "rollback", {"shadow": True})
    assert not cron.enqueue_jobs(), "not before its time"
    (nightly,) = cron.get_jobs()
    nightly.next_enqueue_time = now() - timedelta(seconds=1)
    assert cron.enqueue_jobs() == [nightly]
    (waiting,) = queue_on(connection).jobs
    assert (waiting.func_name, waiting.kwargs) == ("rollback", {"shadow": True})
    for at, name in (("whenever", "rollback"), ("0 3 * * *", "os.system")):
        with pytest.raises(SettingsError):
            scheduler(connection, at, name, {})


def test_jobs_worker_in_the_database_of_frames_exits_with_2(url: str) -> None:
    found = run(url, "worker", "--redis", url)
    assert found.exit_code == 2
    assert "--jobs-redis must not be the frames' database" in found.output


@pytest.mark.parametrize(
    "words", [("nothing",), ("train",), ("train", "[]"), ("train", "{"), ("rollback", '{"x": 1}')]
)
def test_invalid_job_is_not_submitted(url: str, words: tuple[str, ...]) -> None:
    assert run(url, "submit", *words).exit_code == 2
    assert not queue_on(connection_to(url)).jobs


def test_jobs_in_the_catalog_map_to_commands() -> None:
    assert set(JOBS) == {"train", "evaluate", "promote", "rollback", "replay", "redrive"}
    job = checked("promote", {"model": "mlp-0123456789", "shadow": True, "share": 0.5})
    assert job.words() == ["promote", "mlp-0123456789", "--shadow", "--share=0.5"]  # type: ignore[attr-defined]
    for name, required in (("evaluate", {"data": "h.csv"}), ("promote", {"model": "mine", "data": "h.csv"})):
        reading = {"layout": "isotropic", "aspect": "4:3", "labels": "map.csv"}
        words = checked(name, {**required, **reading}).words()  # type: ignore[attr-defined]
        assert words[-2:] == [f"--aspect={4 / 3}", "--labels=map.csv"]
    with pytest.raises(SettingsError, match="aspect"):
        checked("train", {"data": ["h.csv"], "out": "o", "aspect": "wide"})
    with pytest.raises(SettingsError, match="labels"):
        checked("train", {"data": ["h.csv"], "out": "o", "labels": "/etc/passwd"})
    with pytest.raises(SettingsError, match=r"actions.like: Input should be 'up', 'down', 'left' or 'right'"):
        checked("train", {"data": ["h.csv"], "out": "o", "actions": {"like": "north"}})
    assert checked("redrive", {"reason": "bad_json"}).words() == [
        "dead",
        "redrive",
        "--all",
        "--reason=bad_json",
    ]  # type: ignore[attr-defined]
