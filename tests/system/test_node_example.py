"""The examples against a real server and a real pool: what another language is told works."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.example_pool import ROOT, environment, run, running_pool
from tests.support.servers import Server, absent

NPM_CI = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel", "error"]


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_pool(tmp_path_factory.mktemp("pool")) as found:
        yield found


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
