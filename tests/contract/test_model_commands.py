"""`maze promote`, `maze rollback` and `maze models` from the command line, on a real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gesture_maze.cli.main import build
from gesture_maze.worker.redis.broker import Broker
from gesture_maze.worker.redis.registry import ModelRegistry
from tests.support.bundles import bundled, damaged, disturbed, wrong
from tests.support.servers import Server

OLD, NEW = bundled(), disturbed(0.9)
pytestmark = pytest.mark.parametrize("real_server", ["redis"], indirect=True)
"""One is enough: test_models_in_redis.py runs what the commands call on each server."""
RUNNER = CliRunner(env={"COLUMNS": "120", "TERM": "dumb", "NO_COLOR": "1"})
PATIENT = ("--max-us-per-frame", "1000")
"""A generous speed limit: these tests do not measure speed."""


class Shell:
    def __init__(self, server: Server, folder: Path) -> None:
        self.url, self.client = str(server.url), server.client
        NEW.write(folder / "new")
        (folder / "damaged.zip").write_bytes(damaged(NEW))
        (folder / "wrong.zip").write_bytes(wrong().to_zip())
        self.folder = folder

    def run(self, *words: str, code: int = 0) -> str:
        result = RUNNER.invoke(build(("models", "promote", "rollback")), [*words, "--redis", self.url])
        assert result.exit_code == code, result.output
        return str(result.output)

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json"))


@pytest.fixture
def shell(real_server: Server, tmp_path: Path) -> Shell:
    return Shell(real_server, tmp_path)


def test_commands_promote_models_and_rollback_change_the_champion(shell: Shell) -> None:
    found = shell.json("promote", str(shell.folder / "new"), *PATIENT)
    assert (found["model"], found["role"], found["forced_over"]) == (NEW.version, "champion", None)
    listed = shell.json("models")
    assert (listed["champion"], listed["previous"], listed["mixed"]) == (NEW.version, OLD.version, False)
    facts = {one["version"]: one for one in listed["models"]}
    assert facts[NEW.version]["roles"] == ["champion"]
    assert facts[NEW.version]["figures"]["accuracy"] == OLD.manifest.evaluation["held_out"].accuracy
    assert {one["fault"] for one in facts.values()} == {None}
    assert f"{OLD.version} is the champion again; {NEW.version} was." in shell.run("rollback")
    assert f"{NEW.version} is the champion now." in shell.run("promote", NEW.version, *PATIENT)


def test_promote_of_a_broken_bundle_is_refused_unless_forced(shell: Shell) -> None:
    for name, says in (
        ("damaged.zip", "not a readable zip"),
        ("wrong.zip", "golden outputs"),
        ("none", "no model"),
    ):
        output = shell.run("promote", str(shell.folder / name), *PATIENT, code=2)
        assert says in " ".join(output.split())
    assert "(--max-us-per-frame)" in shell.run(
        "promote", str(shell.folder / "new"), "--max-us-per-frame", "0.001", code=2
    )
    assert shell.json("models")["models"] == []
    assert "no previous model" in shell.run("rollback", code=2)
    forced = shell.json("promote", str(shell.folder / "damaged.zip"), "--force")
    assert (forced["model"], forced["forced_over"]) == (NEW.version, "not_a_bundle")
    (champion,) = (one for one in shell.json("models")["models"] if one["roles"] == ["champion"])
    assert champion["fault"] == "not_a_bundle"
    assert "not_a_bundle" in shell.run("models")


def test_models_command_with_workers_on_different_models_reports_it(shell: Shell) -> None:
    broker = Broker(shell.client, 4, 3000)
    for worker, model in (("a", OLD.version), ("b", NEW.version)):
        broker.roster(worker, json.dumps({"host": "h", "pid": 1, "port": 1, "model": model, "version": "1"}))
    listed = shell.json("models")
    assert listed["mixed"]
    assert {one["version"]: one["workers"] for one in listed["models"]} == {
        OLD.version: ["a"],
        NEW.version: ["b"],
    }
    assert "different models" in shell.run("models")


def test_challenger_when_dismissed_is_no_longer_shown(shell: Shell) -> None:
    assert "there is no challenger: set one" in shell.run("models", "--shadow", code=2)
    shell.run("promote", str(shell.folder / "new"), *PATIENT)
    blind = disturbed(0.0)
    blind.write(shell.folder / "blind")
    found = shell.json("promote", str(shell.folder / "blind"), "--shadow", "--share", "0.25", *PATIENT)
    assert (found["role"], found["share"]) == ("challenger", 0.25)
    assert shell.json("models", "--shadow")["agreement"] is None
    counts = {"frames": 4, "like>like": 3, "like>palm": 1, "action:up>none": 1}
    ModelRegistry(shell.client).add_shadow(NEW.version, blind.version, counts)
    trial = shell.json("models", "--shadow")
    assert (trial["frames"], trial["agreement"], trial["flip_rate"]) == (4, 0.75, 0.25)
    assert trial["actions"] == [{"champion": "up", "challenger": "none", "frames": 1}]
    assert "they agree on 75.00 %" in shell.run("models", "--shadow")
    assert blind.version in shell.run("rollback", "--shadow")
    assert shell.json("models")["challenger"] is None
