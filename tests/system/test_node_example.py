"""The examples against a real server and a real pool: what another language is told works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gesture_maze.worker.settings import Settings
from tests.support.servers import Server, absent, running_redis, wait_until

ROOT = Path(__file__).parents[2]
WORKERS = 2
NPM_CI = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel", "error"]


def run(*command: str, cwd: Path = ROOT, timeout_s: float = 30) -> str:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=timeout_s, env=environment(), check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "VECTORS": str(ROOT / "tests" / "vectors")}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_redis(tmp_path_factory.mktemp("redis")) as found:
        yield found


@pytest.fixture(scope="module")
def pool(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`server` with workers that own every partition."""
    assert server.url is not None
    settings = Settings(redis=server.url, metrics_port=0).model_dump_json()
    folder = tmp_path_factory.mktemp("workers")
    workers = []
    for number in range(WORKERS):
        with (folder / f"{number}.log").open("wb") as log:
            command = [sys.executable, "-m", "gesture_maze.worker", settings, f"example-{number}"]
            workers.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment(), cwd=folder))

    def all_owned() -> bool:
        gone = [number for number, worker in enumerate(workers) if worker.poll() is not None]
        assert not gone, (folder / f"{gone[0]}.log").read_text()
        return len(server.client.keys("lease:*")) == 16

    try:
        wait_until(all_owned, 20)
        yield server
    finally:
        for worker in workers:
            worker.terminate()
        codes = [worker.wait(10) for worker in workers]
    assert codes == [0] * WORKERS


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of examples/node with its packages."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            absent(tool)
    folder = tmp_path_factory.mktemp("examples") / "examples"
    shutil.copytree(ROOT / "examples", folder, ignore=shutil.ignore_patterns("node_modules"))
    installed = subprocess.run(
        NPM_CI, cwd=folder / "node", capture_output=True, text=True, timeout=50, check=False
    )
    if installed.returncode:
        absent("the package redis for node", f"cannot be had: {installed.stderr[-300:]}")
    return folder / "node"


def test_the_lock_holds_versions_and_no_addresses() -> None:
    lock = (ROOT / "examples" / "node" / "package-lock.json").read_text()
    assert '"integrity"' in lock
    assert "resolved" not in lock
    assert "://" not in lock


def test_the_wire_in_javascript_keeps_the_vectors(node: Path) -> None:
    out = run("node", "--test", cwd=node)
    assert "fail 0" in out
    assert "pass 0" not in out


def test_a_game_server_in_node_is_answered_frame_by_frame(pool: Server, node: Path) -> None:
    assert pool.url is not None
    out = run("node", "game_server.mjs", pool.url, "30", cwd=node)
    assert "60 of 60 frames answered" in out
    # a hand held up for a second settles once and repeats
    assert out.count("move up") >= 2
    assert out.count("move right") >= 2
    assert "node-1 #1: like" in out
    assert "node-2 #1: four" in out


def test_the_python_examples(pool: Server) -> None:
    assert pool.url is not None
    examples = ROOT / "examples" / "python"
    command = [sys.executable, str(examples / "read_actions.py"), pool.url, "p1"]
    reader = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())
    assert reader.stdout is not None
    try:
        assert reader.stdout.readline() == "listening\n"
        run(sys.executable, str(examples / "send_frames.py"), pool.url)
        lines = [reader.stdout.readline().split() for _ in range(30)]
    finally:
        reader.kill()
        reader.wait(10)
        reader.stdout.close()
    assert {line[2] for line in lines} == {"like"}
    assert sum(line[5] == "up" for line in lines) >= 2
