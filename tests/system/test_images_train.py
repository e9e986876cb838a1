"""Profile `train` of compose.yaml: jobs and MLflow, each by its own command line in its image's layout."""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gesture_maze.wire.keys import dead_key, frames_key
from tests.support.composed import Here, merged
from tests.support.containers import Containers
from tests.support.hands import hands, write_csv
from tests.support.laid_out import build_wheel, link, size_mb
from tests.support.servers import wait_until

pytestmark = pytest.mark.slow

LARGEST_MB = 1100
PORTS = {"redis": ("6379",), "jobs-redis": ("6379",), "mlflow": ("5000",), "jobs": ()}
UP_S = 55
"""Startup limit: MLflow creates its tables first, which is slow on a busy machine."""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image of jobs, which MLflow shares."""
    folder = tmp_path_factory.mktemp("image")
    return link(folder / "jobs", "jobs", build_wheel(folder))


@pytest.fixture(scope="module", params=[(), ("compose.tls.yaml",)], ids=["plain", "tls"])
def composed(
    request: pytest.FixtureRequest, image: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Containers]:
    """The two servers, jobs and, once, MLflow."""
    folder, images = tmp_path_factory.mktemp("composed"), dict.fromkeys(("jobs", "mlflow"), image)
    ports = {name: dict.fromkeys(of, 0) for name, of in PORTS.items()}
    found = Containers(Here(folder, merged(*request.param), images, ports), tls=bool(request.param))
    try:
        found.start("redis")
        for name in ("jobs-redis", *(() if found.tls else ("mlflow",)), "jobs"):
            found.start(name)
        # the topology that an earlier pool wrote
        found.admin.hset("{maze}:topology", mapping={"version": 1, "partitions": 16})
        yield found
    finally:
        found.close()


def done(composed: Containers, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Submit a job as an operator does, wait for its end and return the result."""
    put = composed.inside("jobs", "jobs", "submit", name, json.dumps(arguments), "--json")
    assert put.returncode == 0, put.stderr
    job = json.loads(put.stdout)["id"]
    end_s = time.monotonic() + 50
    while time.monotonic() < end_s:
        shown: dict[str, Any] = json.loads(composed.inside("jobs", "jobs", "show", job, "--json").stdout)
        if shown["status"] in ("finished", "failed"):
            assert shown["status"] == "finished", shown
            return shown
    raise AssertionError(composed.output("jobs", "err").read_text())


def ask(composed: Containers, path: str, host: str | None = None, **query: str) -> Any:
    """Call MLflow's API by the host name that the jobs use."""
    port = composed.here.ports["mlflow"]["5000"]
    url = f"http://127.0.0.1:{port}/api/2.0/mlflow/{path}?{urllib.parse.urlencode(query)}"
    request = urllib.request.Request(url, headers={"Host": host or f"mlflow:{port}"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


@pytest.mark.timeout(180)
def test_jobs_image_layers_are_below_their_limit(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = size_mb(image / "opt/maze")
    bytecode = sum(one.stat().st_size for one in (image / "opt/maze").rglob("*.pyc")) / 1e6
    with capsys.disabled():
        sys.stdout.write(f" jobs and mlflow: {whole:.0f} MB, {bytecode:.0f} MB of it bytecode ")
    assert bytecode > 100
    assert whole < LARGEST_MB


def test_servers_and_jobs_are_healthy_by_their_own_checks(composed: Containers) -> None:
    for name in ("redis", "jobs-redis", "jobs"):
        wait_until(lambda name=name: composed.healthy(name), 25)


def test_job_acts_on_the_pool_as_the_operator(composed: Containers) -> None:
    letter = {"json": "[", "reason": "bad_json", "entry": "1-1", "worker": "w"}
    composed.admin.xadd(dead_key(3), letter)
    shown = done(composed, "redrive", {"reason": "bad_json"})
    assert composed.admin.xlen(dead_key(3)) == 0, shown
    assert composed.admin.xlen(frames_key(3)) == 1
    assert composed.refused() == []


def test_doctor_on_a_composed_server_finds_only_the_missing_pool(composed: Containers) -> None:
    done = composed.inside("jobs", "doctor", "--json")
    found = {(one["check"], one["status"]): one["message"] for one in json.loads(done.stdout)}
    assert found["access", "ok"] == "user operator"
    for check in ("server", "eviction", "memory", "persistence", "clock", "timeouts"):
        assert (check, "ok") in found, (check, done.stdout)
    assert ("pool", "error") in found, "there is none here"
    assert done.returncode == 1
    assert composed.refused() == []


def test_mlflow_is_healthy_and_refuses_other_host_names(composed: Containers) -> None:
    if composed.tls:
        return  # the command line is the same and has no TLS options
    wait_until(lambda: composed.healthy("mlflow"), UP_S)
    assert ask(composed, "experiments/search", max_results="1")["experiments"]
    with pytest.raises(urllib.error.HTTPError, match="403"):
        ask(composed, "experiments/search", host="evil.example", max_results="1")


def test_training_job_is_tracked_in_mlflow(composed: Containers) -> None:
    if composed.tls:
        return
    folder = Path(composed.here.word("jobs", "/data"))
    write_csv(folder / "hands.csv", hands(20))
    shown = done(composed, "train", {"data": ["hands.csv"], "out": "out", "epochs": 1, "folds": 2})
    assert shown["result"]["tracked"] == "1"
    assert (folder / "out/manifest.json").exists()
    version = ask(composed, "model-versions/get", name="gesture-maze", version="1")["model_version"]
    kept = Path(composed.here.word("mlflow", "/data")) / "artifacts"
    assert list(kept.rglob(f"{version['run_id']}/artifacts/bundle/model.onnx"))


@pytest.mark.parametrize("name", ["jobs", "mlflow"])
def test_service_after_sigterm_exits(composed: Containers, name: str) -> None:
    if name not in composed.running:
        return
    process = composed.running[name]
    process.terminate()
    process.wait(20)
    if name == "jobs":
        assert process.returncode == 0, composed.output(name, "err").read_text()
        assert not composed.healthy(name)
