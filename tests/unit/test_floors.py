"""Imports point down the floors without cycles, and the worker imports no heavy package."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = "gesture_maze"

FLOORS = (
    {"version"},
    {"wire"},
    {"readers"},
    {"producer", "models", "game", "embedded"},
    {"simulator", "capture", "worker"},
    {"replay", "testing", "lifecycle", "load", "gateway", "landmarks"},
    {"demo", "ops"},
    {"teach"},
    {"cli"},
)
"""Rooms of the package, lowest floor first. A room may import rooms of lower floors only."""

SIDEWAYS = {("testing", "replay")}
"""Pairs of rooms on one floor, the first of which may import the second."""

FOREIGN = {"wire": {"numpy", "pydantic", "pydantic_core"}, "producer": {"redis", "numpy", "pydantic"}}
"""Third-party packages that the rooms of a game server may import."""

TOO_HEAVY = {"sklearn", "joblib", "mlflow", "rq"}
"""Packages that a running worker must not import."""

MAX_FILE_LINES = 399
MAX_FUNCTION_LINES = 39
"""Lines of a function with its signature, without its docstring."""

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = [
    path
    for folder in (PACKAGE, "tests", "bench", "examples", "compose")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
MODULES = {module_name(path): path for path in FILES if path.is_relative_to(ROOT / PACKAGE)}


@dataclass(frozen=True, slots=True)
class Source:
    """What these tests need to know of a file, which is parsed once.

    Attributes:
        lines: its length.
        imported: names that it imports when it is loaded.
        deferred: names that it imports in functions and in `if TYPE_CHECKING`.
        strings: its string constants other than docstrings.
        functions: (first line, name, lines without the docstring) of each function.
    """

    lines: int
    imported: list[str] = field(default_factory=list)
    deferred: list[str] = field(default_factory=list)
    strings: list[str] = field(default_factory=list)
    functions: list[tuple[int, str, int]] = field(default_factory=list)

    def visit(self, node: ast.AST, late: bool) -> None:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            (self.deferred if late else self.imported).extend(names_imported(node))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            self.strings.append(node.value)
        elif isinstance(node, FUNCTIONS):
            self.functions.append((node.lineno, node.name, length(node)))
            late = True
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name):
            late = late or node.test.id == "TYPE_CHECKING"
        for child in ast.iter_child_nodes(node):
            if not is_docstring(child):
                self.visit(child, late)


def is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def names_imported(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    assert node.level == 0, f"imports are absolute here: {ast.unparse(node)}"
    module = node.module or ""
    names = [f"{module}.{alias.name}" for alias in node.names]
    found = [name for name in names if name in MODULES]
    yield from found
    if len(found) < len(names):
        yield module


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function with its signature, without decorators and docstring."""
    first = function.body[0]
    docstring = (first.end_lineno or 0) - first.lineno + 1 if is_docstring(first) else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


@cache
def source(path: Path) -> Source:
    text = path.read_text()
    found = Source(text.count("\n"))
    found.visit(ast.parse(text), False)
    return found


def imports(path: Path, *, deferred: bool) -> list[str]:
    """Return the names that a file imports, if `deferred` also in functions and `if TYPE_CHECKING`."""
    found = source(path)
    return [*found.imported, *found.deferred] if deferred else found.imported


def room(name: str) -> str:
    """Return the room of a module, such as `worker`, or an empty string for the package itself."""
    return name.split(".")[1] if "." in name else ""


def floor(of: str) -> int:
    return next(level for level, rooms in enumerate(FLOORS) if of in rooms)


ROOMS = sorted(set(map(room, MODULES)) - {"", "__main__"})


@pytest.mark.parametrize("name", ROOMS)
def test_room_belongs_to_a_floor(name: str) -> None:
    assert any(name in rooms for rooms in FLOORS)


@pytest.mark.parametrize("name", ROOMS)
def test_import_never_points_up(name: str) -> None:
    up = [
        f"{module} imports {target}"
        for module, path in MODULES.items()
        if room(module) == name
        for target in imports(path, deferred=True)
        if target.startswith(f"{PACKAGE}.")
        and room(target) != name
        and floor(room(target)) >= floor(name)
        and (name, room(target)) not in SIDEWAYS
    ]
    assert not up


def test_module_imports_form_no_cycle() -> None:
    ahead = {
        name: {target for target in imports(path, deferred=False) if target in MODULES and target != name}
        for name, path in MODULES.items()
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail, name])
        if name not in done:
            for target in ahead[name]:
                visit(target, (*trail, name))
            done.add(name)

    for name in ahead:
        visit(name, ())
    assert done == set(MODULES)


@pytest.mark.parametrize("name", FOREIGN)
def test_game_server_rooms_import_allowed_packages_only(name: str) -> None:
    foreign = {
        target.partition(".")[0]
        for module, path in MODULES.items()
        if room(module) == name
        for target in imports(path, deferred=True)
    }
    assert foreign - sys.stdlib_module_names - {PACKAGE} <= FOREIGN[name]


def reachable(*roots: str) -> set[str]:
    """Return the modules, own and third-party, that importing `roots` imports."""
    waiting, seen = list(roots), set[str]()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            if name in MODULES:
                waiting += imports(MODULES[name], deferred=False)
    return seen


def test_running_worker_imports_no_heavy_package() -> None:
    found = reachable(*(name for name in MODULES if room(name) == "worker"))
    assert len(found) > 50
    assert not {name.partition(".")[0] for name in found} & TOO_HEAVY


@pytest.mark.parametrize("name", ["worker", "producer", "models", "wire", "maze"])
def test_former_package_name_is_not_imported(name: str) -> None:
    """Importing through the links at the top of the repository would load the code twice."""
    assert len(FILES) > 200
    found = [
        path for path in FILES for target in imports(path, deferred=True) if target.split(".")[0] == name
    ]
    assert not found


KEY_NAME = re.compile(r"\b(frames|lease|epoch|suspect|outcomes|dead|actions):\{|\{maze\}")
"""The start of a key or channel name of the pool, as `wire.keys` builds it."""


def test_key_and_channel_names_are_spelled_in_one_module_only() -> None:
    spelled = {
        name for name, path in MODULES.items() for text in source(path).strings if KEY_NAME.search(text)
    }
    assert spelled == {"gesture_maze.wire.keys"}


SCRIPTS = [
    path
    for folder in (PACKAGE, "clients", "examples", "tests")
    for path in sorted((ROOT / folder).rglob("*.*js"))
    if not {"node_modules", "vendor"} & set(path.parts)
]
"""Files in JavaScript: the pages, the client, the examples."""

SCRIPT_FUNCTION = re.compile(
    r"^(\s*)(?!.*\b(?:if|for|while|switch|catch) ?\()"
    r"(?=.*\bfunction\b|.*=> \{$|(?:static |async |get |set )*[#\w]+\().*\{$"
)
"""The first line of a function in JavaScript; it ends with the next brace of the same indentation."""


def script_functions(path: Path) -> Iterator[tuple[int, str, int]]:
    """Yield (first line, its text, lines) of each function of a file in JavaScript."""
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines):
        if found := SCRIPT_FUNCTION.match(line):
            closing = f"{found[1]}}}"
            after = (end for end, text in enumerate(lines[number:], 1) if text.startswith(closing))
            yield number + 1, line.strip(), next(after)


def test_file_is_shorter_than_400_lines() -> None:
    assert len(SCRIPTS) > 40
    found = {path: source(path).lines for path in FILES}
    found |= {path: path.read_text().count("\n") for path in SCRIPTS}
    assert not {str(path): lines for path, lines in found.items() if lines > MAX_FILE_LINES}


def test_function_is_shorter_than_40_lines() -> None:
    functions = [(path, *function) for path in FILES for function in source(path).functions]
    scripts = [(path, *function) for path in SCRIPTS for function in script_functions(path)]
    assert len(functions) > 1000
    assert len(scripts) > 400
    assert not [
        f"{path.relative_to(ROOT)}:{line} {name}: {lines} lines"
        for path, line, name, lines in functions + scripts
        if lines > MAX_FUNCTION_LINES
    ]
