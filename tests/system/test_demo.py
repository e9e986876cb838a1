"""`maze demo` from the command line: mazes are solved and no frame is lost, even after a kill."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.children import child
from tests.support.servers import wait_until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DEMO = [sys.executable, "-m", "gesture_maze", "demo", "--players", "20", "--side", "4"]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "workers.log"


def play(log: Path, *words: str) -> tuple[dict[str, Any], str]:
    """Run a demo to its end and return its summary and its standard error."""
    done = subprocess.run(
        [*DEMO, "--json", "--log", str(log), *words],
        capture_output=True, text=True, timeout=50, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + log.read_text()
    return json.loads(done.stdout), done.stderr


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def solved_by(output: str) -> list[tuple[float, int]]:
    """Return (seconds, mazes solved) of each progress line."""
    found = re.findall(r"^ *([\d.]+) s .* solved (\d+) ", output, re.MULTILINE)
    return [(float(seconds), int(solved)) for seconds, solved in found]


def assert_all_accounted_for(summary: dict[str, Any]) -> None:
    assert summary["lost"] == 0
    assert summary["unknown"] == 0
    assert summary["all_accounted_for"]
    shed = sum(summary["outcomes"][name] for name in ("stale", "superseded", "rejected", "buried"))
    assert summary["answered"] + shed == summary["sent"] > 1000
    assert summary["outcomes"]["answered"] == summary["answered"]


def test_demo_solves_mazes_and_accounts_for_every_frame(log: Path) -> None:
    summary, output = play(log, "--seconds", "6")
    assert_all_accounted_for(summary)
    assert summary["mazes_solved"] >= 10
    assert summary["wrong_moves"] + summary["bumps"] <= 0.05 * summary["moves"]
    assert summary["takeovers"] == 0
    assert 0 < summary["latency_p50_ms"] < 100
    assert "embedded server: --redis redis://127.0.0.1:" in output
    assert len(solved_by(output)) >= 5
    assert "pool_stopped" in log.read_text(), "the pool was not drained"


def test_demo_after_a_kill_shows_the_takeover_and_continues(log: Path) -> None:
    summary, output = play(log, "--seconds", "7", "--kill-after", "2")
    assert_all_accounted_for(summary)
    assert summary["takeovers"] == 8
    assert 0 <= summary["takeover_ms"] < 1000
    killed = re.search(r"kill -9 (\d+) \(owner of 8 partitions\)", output)
    assert killed
    went = re.findall(rf"worker {killed[1]} died: (\d+) partitions? went to worker", output)
    assert sum(map(int, went)) == 8
    at_the_kill = max(solved for seconds, solved in solved_by(output) if seconds < 2.5)
    assert summary["mazes_solved"] >= at_the_kill + 5


def test_demo_after_ctrl_c_exits_cleanly(log: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    # a separate session: the interrupt reaches the same processes as a terminal's Ctrl-C
    with output.open("wb") as err, child(
        *DEMO, "--seconds", "0", "--json", "--log", log,
        stdout=subprocess.PIPE, stderr=err, start_new_session=True,
    ) as process:  # fmt: skip
        wait_until(lambda: len(solved_by(output.read_text())) >= 2, 20)
        pids = [int(pid) for pid in re.findall(r"process_started .*?\bpid=(\d+)", log.read_text())]
        assert len(pids) == 2
        os.killpg(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 0, output.read_text()
    summary = json.loads(out)
    assert summary["lost"] == 0
    assert summary["all_accounted_for"]
    assert summary["sent"] > 0
    assert all(map(gone, pids))
    assert "exit_code=0" in log.read_text()


def test_demo_with_workers_that_cannot_start_reports_it(log: Path) -> None:
    done = subprocess.run(
        [*DEMO, "--seconds", "2", "--log", str(log)],
        capture_output=True, text=True, timeout=30, cwd=ROOT, check=False,
        env={**os.environ, "MAZE_MODEL": "no/such/model"},
    )  # fmt: skip
    assert done.returncode == 2
    assert "maze: the workers ended with code 2" in done.stderr
    assert str(log) in done.stderr
    assert "Traceback" not in done.stderr
