"""compose/bare/systemd: units that systemd accepts, with commands, files and targets that fit the rest."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gesture_maze.ops.acl import ROLES
from tests.support.kubernetes import manifests, pods
from tests.support.observed import ROOT
from tests.support.servers import absent
from tests.support.yamls import read_yaml

UNITS = sorted((ROOT / "compose/bare/systemd").glob("*.service"))
TARGETS = read_yaml((ROOT / "compose/bare/targets.yml").read_text())


def value(unit: Path, key: str) -> list[str]:
    """Return the values of a key of a unit, in order."""
    return re.findall(rf"^{key}=(.*)$", unit.read_text(), re.MULTILINE)


def command(unit: Path) -> list[str]:
    """Return the words of ExecStart after the program."""
    (line,) = value(unit, "ExecStart")
    return shlex.split(line)[1:]


@cache
def flags_of(name: str) -> set[str]:
    """Return the flags that `maze NAME --help` lists."""
    words = [sys.executable, "-m", "gesture_maze", name, "--help"]
    environment = {"COLUMNS": "200", "TERM": "dumb", "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    shown = subprocess.run(
        words, capture_output=True, text=True, check=True, timeout=30, env=environment
    ).stdout
    return set(re.findall(r"--[a-z][a-z-]*", shown))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_unit_is_accepted_by_systemd(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        absent("systemd-analyze")
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/gesture-maze/bin/maze", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, timeout=20
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_unit_starts_a_command_with_flags_that_exist(unit: Path) -> None:
    name, *words = command(unit)
    assert {word for word in words if word.startswith("--")} <= flags_of(name)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_unit_reads_the_address_of_a_role(unit: Path) -> None:
    credentials = dict(one.split(":") for one in value(unit, "LoadCredential"))
    assert Path(credentials["redis"]).stem in {role.name for role in ROLES}
    files = dict(one.split("=") for one in value(unit, "Environment") if "_FILE=" in one)
    assert files["MAZE_REDIS_FILE"] == "%d/redis"
    assert {path.removeprefix("%d/") for path in files.values()} == credentials.keys()


def test_ports_of_the_units_are_the_scraped_ones() -> None:
    scraped = {one["labels"]["job"]: one["targets"] for one in TARGETS}
    gateway = command(next(unit for unit in UNITS if unit.stem == "maze-gateway"))
    assert scraped["gateway"] == [f"127.0.0.1:{gateway[gateway.index('--metrics-port') + 1]}"]
    assert scraped["watch"] == ["127.0.0.1:9109"]


def commands_in_containers() -> list[list[str]]:
    """Return the arguments of all our containers on Kubernetes and in compose."""
    objects: list[dict[str, Any]] = manifests()
    containers = [template["spec"]["containers"][0] for _, template in pods(objects)]
    found = [one["args"] for one in containers if one["image"].startswith("gesture-maze/") and "args" in one]
    services = read_yaml((ROOT / "compose/compose.yaml").read_text())["services"].values()
    ours = [one for one in services if one["image"].startswith("gesture-maze/")]
    return found + [one["command"] for one in ours if not one["image"].endswith("/mlflow")]


@pytest.mark.parametrize("words", commands_in_containers(), ids=" ".join)
def test_container_starts_a_command_with_flags_that_exist(words: list[str]) -> None:
    assert {word for word in words if word.startswith("--")} <= flags_of(words[0])
