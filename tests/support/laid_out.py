"""`/opt/maze` of an image in a plain folder, without a container engine, built with the Dockerfile's own
steps.

Installing with pip would take minutes, so the folders are hard links to the packages of the test environment,
exactly those that the requirements need; pip confirms that none is missing.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.composed import COMPOSE, DOCKERFILE, stage
from tests.support.observed import ROOT

SITE = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def run(*words: str | Path, folder: Path = ROOT) -> str:
    """Return the standard output of a program that must succeed."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "PIP_CONSTRAINT": str(ROOT / "constraints.txt"),
        "HOME": str(Path.home()),
    }
    done = subprocess.run(
        [str(word) for word in words], cwd=folder, capture_output=True, text=True, timeout=300,
        env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def dependencies(target: str) -> list[str]:
    """Return the requirements of the stage `<target>-dependencies`."""
    lines = stage(f"{target}-dependencies")
    found = re.search(r"^RUN python compose/requirements.py (.*?) > ", lines, re.MULTILINE)
    assert found, target
    needs = run(sys.executable, COMPOSE / "requirements.py", *found[1].split()).split("\n")
    return [one for one in needs if one]


def base_of(target: str) -> str:
    """Return the image whose layers this one shares: `worker` for `watch`."""
    found = re.search(rf"^FROM (\S+) AS {target}$", DOCKERFILE, re.MULTILINE)
    assert found, target
    return target if found[1] == "base" else base_of(found[1])


def build_wheel(folder: Path) -> Path:
    """Build the project's wheel from only those files that the stage `wheel` copies."""
    source = folder / "src"
    for names in re.findall(r"^COPY ([\w. -]+) \S+$", stage("wheel"), re.MULTILINE):
        for name in names.split():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, source / name)
    run(
        *PIP,
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        folder / "dist",
        source,
        folder=folder,
    )
    return next((folder / "dist").glob("*.whl"))


def missing(image: Path, target: str) -> list[str]:
    """Return the packages that pip would still install to satisfy an image's requirements."""
    (image / "requirements.txt").write_text("\n".join(dependencies(target)))
    pip = (*PIP, "--python", image / "opt/maze/bin/python", "install", "--quiet", "--no-index")
    report = run(*pip, "--dry-run", "--report", "-", "-r", image / "requirements.txt")
    return [one["metadata"]["name"] for one in json.loads(report)["install"]]


def link(folder: Path, target: str, wheel: Path) -> Path:
    """Create the image's folder with hard links, and the project's wheel with pip."""
    image = _environment(folder)
    link_packages(image, closure(dependencies(target)))
    _pip(image, "--no-deps", "--no-index", wheel)
    return folder


def link_packages(environment: Path, installed: Iterable[Distribution]) -> None:
    """Add locally installed packages to a virtual environment, as hard links."""
    for one in installed:
        for file in one.files or ():
            source = Path(str(one.locate_file(file)))
            _link(source, Path(os.path.normpath(environment / SITE / file)), environment)


def closure(needs: Iterable[str]) -> list[Distribution]:
    """Return the locally installed packages of these requirements and of their dependencies."""
    waiting = [(canonicalize_name(one.name), frozenset(one.extras)) for one in map(Requirement, needs)]
    done = set[tuple[str, frozenset[str]]]()
    while waiting:
        name, extras = one = waiting.pop()
        if one not in done:
            done.add(one)
            waiting += _requires(name, extras)
    return [distribution(name) for name in sorted({name for name, _ in done})]


def size_mb(path: Path) -> float:
    """Return the size of all files under a folder, in MB."""
    return sum(one.lstat().st_size for one in path.rglob("*") if one.is_file()) / 1e6


def _requires(name: str, extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    for text in distribution(name).requires or ():
        one = Requirement(text)
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in {"", *extras}):
            yield canonicalize_name(one.name), frozenset(one.extras)


def _environment(folder: Path) -> Path:
    image = folder / "opt/maze"
    run(sys.executable, "-m", "venv", "--without-pip", image)
    return image


def _pip(image: Path, *words: str | Path) -> None:
    run(*PIP, "--python", image / "bin/python", "install", "--quiet", *words)


def _link(source: Path, target: Path, image: Path) -> None:
    if target.exists() or not source.exists():  # in two packages, or bytecode of another Python
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.parent == image / "bin":
        # a script begins with the path of its Python
        text = source.read_bytes()
        target.write_bytes(text.replace(f"#!{sys.executable}".encode(), f"#!{image}/bin/python".encode(), 1))
        target.chmod(0o755)
        return
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
