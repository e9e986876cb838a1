"""Imports point down: wire <- producer, models <- worker <- maze."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

BELOW = {
    "wire": set[str](),
    "producer": {"wire"},
    "models": {"wire"},
    "worker": {"wire", "producer", "models"},
    "maze": {"wire", "producer", "models", "worker"},
}
"""Floor -> the floors it may import."""

FOREIGN = {"wire": {"numpy", "pydantic", "pydantic_core"}, "producer": {"redis", "numpy", "pydantic"}}
"""What the floors that every game server installs may import from elsewhere."""

TOO_HEAVY = {"sklearn", "joblib", "mlflow", "rq"}
"""None of these may be imported by a running worker."""


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """(top-level package, whether it is imported with the module), for each import of a file."""
    tree = ast.parse(path.read_text())
    inside = {child for node in ast.walk(tree) if isinstance(node, _SCOPES) for child in ast.walk(node)}
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            names = [node.module or ""]
        for name in names:
            yield name.partition(".")[0], node not in inside


_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef)


def files(floor: str) -> list[Path]:
    return sorted((ROOT / floor).rglob("*.py"))


@pytest.mark.parametrize("floor", BELOW)
def test_no_import_points_up(floor: str) -> None:
    up = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files(floor)
        for name, _ in imports(path)
        if name in BELOW and name != floor and name not in BELOW[floor]
    ]
    assert not up


@pytest.mark.parametrize("floor", FOREIGN)
def test_a_game_server_installs_little(floor: str) -> None:
    ours = {*BELOW, *FOREIGN[floor]}
    foreign = {
        name
        for path in files(floor)
        for name, _ in imports(path)
        if name not in ours and name not in sys.stdlib_module_names
    }
    assert not foreign


def module_file(name: str) -> Path | None:
    path = ROOT.joinpath(*name.split("."))
    found = [one for one in (path.with_suffix(".py"), path / "__init__.py") if one.exists()]
    return found[0] if found else None


def imported_modules(path: Path) -> set[str]:
    """Dotted names a file imports when it is imported itself (not what its functions import later)."""
    tree = ast.parse(path.read_text())
    inside = {child for node in ast.walk(tree) if isinstance(node, _SCOPES) for child in ast.walk(node)}
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and node not in inside:
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node not in inside:
            module = node.module or ""
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


def test_a_running_worker_imports_nothing_heavy() -> None:
    waiting = [f"worker.{path.stem}" for path in files("worker")]
    seen: set[str] = set()
    heavy = []
    while waiting:
        name = waiting.pop()
        path = module_file(name)
        if name in seen or path is None:
            continue
        seen.add(name)
        wanted = imported_modules(path)
        heavy += [f"{name} imports {one}" for one in wanted if one.partition(".")[0] in TOO_HEAVY]
        waiting += [one for one in wanted if one.partition(".")[0] in BELOW]
    assert seen
    assert not heavy
