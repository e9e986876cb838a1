"""The wheel and source distribution: their contents, and the installations that the README describes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.distributions import Distributions, Environment, build_distributions
from tests.support.observed import ROOT
from tests.support.servers import Server, wait_until

# pip installs packages, from the network if they are not cached
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

LINKS = ("models", "producer", "worker")
"""Links at the top of the repository into the package."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """Both files of a release."""
    return build_distributions(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def base(built: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A bare environment into which pip installs the wheel with its dependencies."""
    found = Environment.bare(tmp_path_factory.mktemp("base"))
    found.install("--no-compile", built.wheel)
    return found


@pytest.fixture(scope="module")
def worker(built: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel with its extra `worker`; pip finds every requirement in the environment or fails."""
    found = Environment.linked(tmp_path_factory.mktemp("worker"), "worker")
    found.install("--no-index", f"{built.wheel}[worker]")
    return found


@pytest.fixture(scope="module")
def game(built: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The source distribution with its extra `game`; pip finds every requirement there or fails."""
    found = Environment.linked(tmp_path_factory.mktemp("game"), "game", "dist")
    found.install("--no-index", "--no-build-isolation", f"{built.sdist}[game]")
    return found


def test_wheel_owns_one_top_level_name(built: Distributions) -> None:
    folders = {name.partition("/")[0] for name in built.wheel_names()}
    assert {name for name in folders if not name.endswith(".dist-info")} == {"gesture_maze"}


def test_wheel_contains_every_file_of_the_package(built: Distributions) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "gesture_maze"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert len(tracked) > 200
    assert set(tracked) <= set(built.wheel_names())


@pytest.mark.parametrize("link", LINKS)
def test_top_level_link_is_in_no_distribution(built: Distributions, link: str) -> None:
    assert (ROOT / link).is_symlink()
    names = built.wheel_names() + built.sdist_names()
    assert not [name for name in names if name.partition("/")[0] == link]


def test_tools_do_not_follow_top_level_links() -> None:
    def output(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, timeout=50
        )
        return done.stdout + done.stderr

    checked = [Path(line).relative_to(ROOT) for line in output("ruff", "check", "--show-files").splitlines()]
    assert len(checked) > 200
    assert not [path for path in checked if path.parts[0] in LINKS]
    # pytest and mypy look at named folders only, and the links are outside them
    settings = (ROOT / "pyproject.toml").read_text()
    assert 'testpaths = ["tests"]' in settings
    assert 'packages = ["gesture_maze"]' in settings


def test_base_install_has_three_dependencies_and_one_name(base: Environment) -> None:
    code = (
        "import json\n"
        "from importlib.metadata import packages_distributions as all_names, requires\n"
        "ours = [name for name, owners in all_names().items() if 'gesture-maze' in owners]\n"
        "base = [one for one in requires('gesture-maze') if 'extra ==' not in one]\n"
        "print(json.dumps({'names': ours, 'requires': base}))"
    )
    found = json.loads(base.run("python", "-c", code))
    assert found["names"] == ["gesture_maze"]
    assert sorted(one.partition("<")[0].partition(">")[0] for one in found["requires"]) == [
        "numpy", "pydantic", "redis[hiredis]"
    ]  # fmt: skip


def test_command_of_a_base_install_names_the_extra_to_install(base: Environment) -> None:
    with base.running("maze", "worker") as process:
        _, err = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "-py3-none-any.whl[" in err
    assert "Traceback" not in err


def test_script_named_producer_imports_the_package(base: Environment) -> None:
    script = base.folder / "producer.py"
    script.write_text("from gesture_maze import FrameProducer; print(FrameProducer.__module__)")
    assert base.run("python", script).startswith("gesture_maze.")


def test_game_server_and_worker_from_distributions_exchange_frames(
    base: Environment, worker: Environment, server: Server
) -> None:
    examples = ROOT / "examples/python"
    with (
        worker.running("maze", "worker", "--redis", str(server.url), "--metrics-port", "0") as pool,
        base.running("python", "-u", examples / "read_actions.py", str(server.url), "p1") as reader,
    ):
        assert reader.stdout is not None
        assert reader.stdout.readline() == "listening\n"
        wait_until(lambda: server.client.zcard("{maze}:workers") == 1, 20)
        base.run("python", examples / "send_frames.py", str(server.url), "p1", "like")
        moves = [reader.stdout.readline().split()[-1] for _ in range(20)]
        assert "up" in moves
        for process in (reader, pool):
            process.terminate()
            process.communicate(timeout=20)
    assert pool.returncode == 0


def test_game_install_plays_the_demo(game: Environment) -> None:
    report = json.loads(game.run("maze", "demo", "--seconds", "2", "--players", "4", "--json"))
    assert report["outcomes"]["answered"] > 0
    assert report["all_accounted_for"]
