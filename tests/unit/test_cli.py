"""The command line without Redis: help, settings, errors and start-up."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from gesture_maze.cli import worker as worker_command
from gesture_maze.cli.main import COMMANDS, EXTRA_OF, build, load
from gesture_maze.version import __version__
from gesture_maze.wire.errors import ConnectionLost, FrameError, ModelError, SettingsError
from gesture_maze.worker.rules import Rules
from gesture_maze.worker.settings import PoolSettings, Settings

RUNNER = CliRunner(env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"})
SUBCOMMANDS = (
    *(("dead", name) for name in ("show", "redrive", "purge")),
    *(("capture", name) for name in ("show", "plot", "convert", "mutate")),
    *(("jobs", name) for name in ("worker", "submit", "list", "show", "cancel", "cron")),
    *(("models", name) for name in ("import", "tracked")),
    *(("teach", name) for name in ("record", "look", "train", "ship")),
)
ROOT = Path(__file__).parents[2]


def invoke(*words: str, env: dict[str, str] | None = None) -> Any:
    return RUNNER.invoke(build(), list(words), env=env)


@pytest.mark.parametrize("words", [(name,) for name in COMMANDS] + list(SUBCOMMANDS), ids=" ".join)
def test_help_of_each_command_shows_an_example(words: tuple[str, ...]) -> None:
    result = invoke(*words, "--help")
    assert result.exit_code == 0
    assert f"Example: maze {words[0]}" in result.output


def test_help_lists_every_command() -> None:
    output = invoke("--help").output
    assert all(re.search(rf"^│ {name} ", output, re.MULTILINE) for name in COMMANDS)


def test_maze_without_arguments_shows_the_help() -> None:
    assert "Usage" in invoke().output


def test_version_flag_prints_the_version() -> None:
    assert invoke("--version").output.strip() == f"gesture-maze {__version__}"


def started(monkeypatch: pytest.MonkeyPatch, *words: str, env: dict[str, str] | None = None) -> PoolSettings:
    """Run `maze worker` up to where it would start, and return its settings."""
    seen: list[PoolSettings] = []
    monkeypatch.setattr(worker_command, "run", seen.append)
    result = invoke("worker", *words, env=env)
    assert result.exit_code == 0, result.output
    return seen[0]


def test_worker_without_flags_has_the_default_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert started(monkeypatch) == PoolSettings()


def test_worker_setting_has_a_flag_a_default_and_a_help_text() -> None:
    options = {param.name: param for param in load("worker").params if param.name != "help"}
    rules = {field.name for field in fields(Rules)}
    assert options.keys() == (PoolSettings.model_fields.keys() - {"policy"}) | rules
    default = PoolSettings()
    for name, option in options.items():
        owner = default.policy if name in rules else default
        assert option.envvar == f"MAZE_{name.upper()}"
        assert option.help, name
        if name not in ("actions", "model", "threshold"):
            assert str(option.default) == str(getattr(owner, name)), name


def test_worker_flags_become_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = fields(Rules)[0]
    words = ["--deadline-ms", "0", "--actions", "ok=up, palm=down", f"--{rule.name.replace('_', '-')}", "75"]
    found = started(monkeypatch, *words, "--processes", "3", "--supervise")
    assert found.deadline_ms == 0
    assert found.actions == {"ok": "up", "palm": "down"}
    assert getattr(found.policy, rule.name) == 75
    assert (found.processes, found.supervise) == (3, True)
    first, last = found.of_process(0), found.of_process(2)
    assert type(last) is Settings
    assert last.metrics_port == first.metrics_port + 2 == 9466
    assert last == Settings.of(**last.model_dump())


def test_worker_with_many_faults_reports_all_at_once() -> None:
    result = invoke(
        "worker", "--partitions", "3", "--leave", "2", "--actions", "like=sideways", "--deadline-ms", "-1",
        "--rebuild-ms", "5000", "--retention-ms", "4000", "--metrics-port", "65534", "--processes", "3",
        "--block-ms", "soon", "--log-format", "xml",
    )  # fmt: skip
    assert result.exit_code == 2
    assert result.output.startswith("maze: ")
    for words in (
        "--partitions: must be a power of two", "--leave: input should be less than or equal to 1, got '2'",
        "--actions like: input", "got 'sideways'", "--deadline-ms: ", "got '-1'", "ports 65534 to 65536",
        "--rebuild-ms: must be less than --retention-ms 4000, got 5000", "choose a lower --metrics-port",
        "--block-ms: input should be a valid integer", "--log-format: ", "--processes: ",
    ):  # fmt: skip
        assert words in result.output
    assert result.output.count("\n") == 1


def test_unknown_command_suggests_similar_ones() -> None:
    result = invoke("stauts")
    assert result.exit_code == 2
    assert "Did you mean status?" in result.output


@pytest.mark.parametrize("name", ["capture", "dead", "jobs", "models", "teach"])
def test_help_of_a_group_offers_no_completion_of_its_own(name: str) -> None:
    assert "completion" not in invoke(name, "--help").output


def test_settings_error_for_an_address_hides_its_password() -> None:
    with pytest.raises(SettingsError, match="redis: ") as caught:
        Settings.of(redis=["redis://user:secret@host"])
    assert "secret" not in str(caught.value)


def test_sharded_replies_setting_is_refused() -> None:
    assert invoke("worker", "--sharded").exit_code == 2
    with pytest.raises(SettingsError, match="sharded"):
        Settings.of(sharded=True)


def failing(error: BaseException) -> typer.Typer:
    app = build(())

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
        (ConnectionLost("connection", "connection refused"), 2, "maze: connection refused"),
        (FileNotFoundError(2, "No such file", "x.csv"), 2, "maze: [Errno 2] No such file: 'x.csv'"),
        (ModuleNotFoundError("no", name="sklearn.svm"), 2, "-py3-none-any.whl[training]'"),
        (ModuleNotFoundError("no", name="strange"), 2, "maze: a module is missing: strange"),
        (KeyError("x"), 70, "maze: this is a bug: KeyError: 'x' (MAZE_TRACEBACK=1 shows where)"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_error_ends_the_command_with_a_message_and_an_exit_code(
    error: BaseException, code: int, words: str
) -> None:
    result = RUNNER.invoke(failing(error), ["fail"])
    assert result.exit_code == code
    assert words in result.output
    assert "Traceback" not in result.output
    assert not result.stdout.strip()


def test_unexpected_error_with_maze_traceback_is_raised() -> None:
    result = RUNNER.invoke(failing(KeyError("x")), ["fail"], env={"MAZE_TRACEBACK": "1"})
    assert isinstance(result.exception, KeyError)


def test_extras_named_in_errors_exist_in_pyproject() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text()
    for extra in set(EXTRA_OF.values()):
        assert re.search(rf"^{extra} = \[", pyproject, re.MULTILINE)


@pytest.mark.parametrize("command", [("status",), ("dead",), ("simulate", "--seconds", "1")], ids=" ".join)
@pytest.mark.parametrize(
    ("url", "words"),
    [("embedded", "empty server"), ("http://x", "Redis URL 'http://x'"), ("redis://127.0.0.1:1/0", "Redis")],
)
def test_command_without_a_usable_redis_prints_an_error(
    command: tuple[str, ...], url: str, words: str
) -> None:
    result = invoke(*command, "--redis", url)
    assert result.exit_code == 2
    assert words in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "words", [("dead", "redrive"), ("dead", "purge"), ("dead", "purge", "1/1-1", "--all")], ids=" ".join
)
def test_dead_command_without_a_clear_selection_is_refused(words: tuple[str, ...]) -> None:
    result = invoke(*words, "--redis", "redis://127.0.0.1:1/0")
    assert result.exit_code == 2


def test_reporting_command_has_a_json_flag() -> None:
    for name in set(COMMANDS) - {
        "worker",
        "gateway",
        "watch",
        "jobs",
        "teach",
    }:  # these run a service or only have subcommands
        assert "--json" in [flag for param in load(name).params for flag in param.opts], name
