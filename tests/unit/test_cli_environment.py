"""The environment variables that commands read: deployment settings only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gesture_maze.cli import worker as worker_command
from gesture_maze.cli.environment import apply_environment
from gesture_maze.cli.main import COMMANDS, build, load
from gesture_maze.gateway import server as gateway_server
from gesture_maze.worker.rules import Rules
from gesture_maze.worker.settings import PoolSettings

RUNNER = CliRunner()
OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
PER_RUN = {
    "all", "against", "anonymise", "as_json", "bless", "burst", "create", "data", "every", "expect", "force",
    "fresh", "kill_after", "limit", "once", "open_browser", "out", "passwords", "report", "seconds", "seed",
    "sessions", "shadow", "speed", "url",
}  # fmt: skip
"""Parameters that describe one run."""


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    yield name, command
    for word, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{name} {word}")


ALL = {words: command for name in COMMANDS for words, command in commands(load(name), name)}


def variables(words: str) -> set[str]:
    return {param.envvar for param in ALL[words].params if param.envvar}


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> list[PoolSettings]:
    """Collect the settings with which `maze worker` would start."""
    seen: list[PoolSettings] = []
    monkeypatch.setattr(worker_command, "run", seen.append)
    return seen


@pytest.mark.parametrize("words", ALL)
def test_option_of_one_run_has_no_variable(words: str) -> None:
    assert not [param.name for param in ALL[words].params if param.envvar and param.name in PER_RUN]


@pytest.mark.parametrize("words", ["replay", "demo", "evaluate", "classify", "capture show", "acl"])
def test_command_without_a_live_pool_reads_no_variable(words: str) -> None:
    assert variables(words) == set()


@pytest.mark.parametrize(
    "words", ["status", "top", "doctor", "dead", "dead redrive", "models", "promote", "watch"]
)
def test_command_on_a_pool_reads_its_address(words: str) -> None:
    assert "MAZE_REDIS" in variables(words)


def test_operations_page_lists_exactly_the_variables_read() -> None:
    section = OPERATIONS.read_text().partition("## Environment variables\n")[2].partition("\n## ")[0]
    table = "\n".join(line for line in section.splitlines() if line.startswith("| "))
    listed = set(re.findall(r"`(MAZE_[A-Z_]*[A-Z])`", table))
    policy = {f"MAZE_{field.name.upper()}" for field in fields(Rules)}
    of_command = [variables(words) for words in ALL]
    # the table names the policy once, as a whole; a gateway reads one of its names, too
    read = {name for found in of_command for name in (found - policy if policy <= found else found)}
    assert listed - {"MAZE_TRACEBACK"} == read


def test_flag_overrides_the_variable(workers: list[PoolSettings]) -> None:
    env = {"MAZE_REDIS": "redis://x:1/0", "MAZE_DEADLINE_MS": "80", "MAZE_BLOCK_MS": "70"}
    assert RUNNER.invoke(build(), ["worker", "--deadline-ms", "90"], env=env).exit_code == 0
    assert (workers[0].redis, workers[0].deadline_ms, workers[0].block_ms) == ("redis://x:1/0", 90, 70)


def test_variable_overrides_its_file(workers: list[PoolSettings], tmp_path: Path) -> None:
    (tmp_path / "url").write_text("redis://worker:pw@redis/0\n")
    env = {"MAZE_REDIS_FILE": str(tmp_path / "url")}
    RUNNER.invoke(build(), ["worker"], env=env)
    RUNNER.invoke(build(), ["worker"], env={**env, "MAZE_REDIS": "redis://given/0"})
    assert [one.redis for one in workers] == ["redis://worker:pw@redis/0", "redis://given/0"]


@pytest.mark.parametrize("words", [["worker"], ["status"], ["dead"], ["dead", "show", "0/1-1"]], ids=" ".join)
def test_variable_that_names_a_missing_file_is_a_settings_error(words: list[str]) -> None:
    result = RUNNER.invoke(build(), words, env={"MAZE_REDIS_FILE": "/no/such/file"})
    assert result.exit_code == 2
    assert "maze: MAZE_REDIS_FILE: " in result.output
    assert "/no/such/file" in result.output


@pytest.mark.parametrize("words", ALL)
def test_kubernetes_service_links_are_not_settings(words: str) -> None:
    command = load(words.split()[0])
    links = dict.fromkeys(variables(words), "tcp://10.96.0.17:8000")
    apply_environment(command, links)
    found = dict(commands(command, words.split()[0]))[words]
    assert not [param.name for param in found.params if param.envvar]


def test_worker_beside_a_service_named_maze_starts_with_defaults(workers: list[PoolSettings]) -> None:
    env = {"MAZE_PORT": "tcp://10.96.0.17:8000", "MAZE_METRICS_PORT": "tcp://10.96.0.18:9464"}
    result = RUNNER.invoke(build(), ["worker"], env=env)
    assert result.exit_code == 0, result.output
    assert workers == [PoolSettings()]


def test_gateway_secret_is_read_from_flag_variable_or_file_in_that_order(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(gateway_server, "run", lambda settings: seen.append(settings.secret))
    for name in ("flag", "file"):
        (tmp_path / name).write_text(f"sixteen characters of {name}\n")
    flag, file = ["--secret-file", str(tmp_path / "flag")], {"MAZE_SECRET_FILE": str(tmp_path / "file")}
    variable = {"MAZE_SECRET": "sixteen characters of variable", "MAZE_PORT": "tcp://10.96.0.17:8000"}
    for words, env in ((flag, {**file, **variable}), ([], {**file, **variable}), ([], file)):
        assert RUNNER.invoke(build(), ["gateway", *words], env=env).exit_code == 0
    assert seen == [f"sixteen characters of {name}" for name in ("flag", "variable", "file")]
