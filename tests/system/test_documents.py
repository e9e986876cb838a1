"""Documents: links resolve, commands and their flags exist, the README stays short."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gesture_maze.cli.main import COMMANDS, build
from tests.support.observed import ROOT

PATTERNS = ("*.md", "docs/*.md", "examples/*/*.md", "clients/*/*.md", "compose/**/*.md")
DOCUMENTS = sorted(path for one in PATTERNS for path in ROOT.glob(one) if "node_modules" not in path.parts)
SUBCOMMANDS = {"capture", "dead", "jobs", "models", "teach"}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(path: Path) -> str:
    """Return a document without its code blocks."""
    return re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """Return the anchors of a document's headings, as forges make them."""
    titles = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_link_points_to_an_existing_file_and_heading(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists(), target
        if anchor and found.suffix == ".md":
            assert anchor in anchors(found), target


@cache
def help_of(*words: str) -> str:
    """Return what `maze WORDS --help` prints."""
    done = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(build(words[:1]), [*words, "--help"])
    assert done.exit_code == 0, f"maze {' '.join(words)}: {done.output}"
    return done.stdout


def commands(path: Path) -> Iterator[list[str]]:
    """Yield the words after `maze` of every command in a document's console blocks."""
    for block in re.findall(r"^```console\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL):
        for line in re.sub(r"\\\n", " ", block).splitlines():
            for part in re.split(r"&&|\||;", line):
                found = re.match(r"[$#]? *(?:[A-Z_]+=\S+ )*(?:\S*/)?maze (.*)", part.strip())
                if found:
                    words = shlex.split(found[1].partition(" >")[0].removesuffix(" &"), comments=True)
                    yield words


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if list(commands(path))], ids=named)
def test_command_in_documents_and_its_flags_exist(path: Path) -> None:
    for words in commands(path):
        known = help_of(words[0])
        word = words[1] if len(words) > 1 else "-"
        if words[0] in SUBCOMMANDS and not word.startswith("-") and f" {word} " in known:
            known = help_of(*words[:2])
        flags = [word.partition("=")[0] for word in words if word.startswith("--")]
        assert [flag for flag in flags if not re.search(rf"{flag}\b", known)] == [], " ".join(words)


def test_readme_is_at_most_150_lines() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("path", sorted(ROOT.glob("bench/*.py")), ids=named)
def test_flags_in_the_docstring_of_a_bench_exist(path: Path) -> None:
    source = path.read_text()
    described = re.findall(r"(?<=[\[ `])--[a-z][a-z-]*", ast.get_docstring(ast.parse(source)) or "")
    assert [flag for flag in described if f'"{flag}"' not in source] == []


def test_make_targets_in_documents_exist() -> None:
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named_in = {
        name for path in DOCUMENTS for name in re.findall(r"(?:\$ |`)make ([a-z-]+)", path.read_text())
    }
    assert named_in
    assert named_in <= known


def test_index_lists_every_document() -> None:
    index = (ROOT / "docs/README.md").read_text()
    names = {path.name for path in ROOT.glob("docs/*.md")} - {"README.md"}
    assert [name for name in sorted(names) if f"({name})" not in index] == []


def located(path: Path, name: str) -> list[Path]:
    """Return the files that a document means by `name`: in the repository, package or own folder."""
    return [
        found for folder in (ROOT, ROOT / "gesture_maze", path.parent) if (found := folder / name).is_file()
    ]


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_files_named_in_documents_exist(path: Path) -> None:
    names = set(re.findall(r"`((?:[\w.-]+/)+[\w-]+\.(?:py|lua|js|ya?ml|toml|html))`", prose(path)))
    assert [name for name in sorted(names) if not located(path, name)] == []


def members(path: Path) -> set[str]:
    """Return the names that a module defines: `function`, `CONSTANT`, `Class` and `Class.method`."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            found |= {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
        if isinstance(node, ast.ClassDef):
            functions = (ast.FunctionDef, ast.AsyncFunctionDef)
            found |= {f"{node.name}.{one.name}" for one in node.body if isinstance(one, functions)}
    return found


def test_functions_named_in_documents_exist() -> None:
    """`file.py`: `Name.method` or `file.py`, `NAME` in a document names something in that file."""
    pairs = {
        (path, file, name)
        for path in DOCUMENTS
        for file, name in re.findall(r"`([\w/]+\.py)`[:,] `([A-Za-z_.]+)`", prose(path))
        if not name.endswith((".py", ".lua", ".md"))
    }
    assert len(pairs) > 12
    wrong = [
        f"{path.name}: {file}: {name}"
        for path, file, name in sorted(pairs)
        if not any(name in members(found) for found in located(path, file))
    ]
    assert wrong == []


def test_maze_commands_named_in_prose_exist() -> None:
    words = {word for path in DOCUMENTS for word in re.findall(r"`maze ([a-z]+)", prose(path))}
    assert len(words) > 15
    assert words <= set(COMMANDS)
