"""compose/ without an engine: the merged configuration, the Dockerfile's images, their command lines here."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.system.observed import ROOT, binary

COMPOSE = ROOT / "compose"
DOCKERFILE = (COMPOSE / "Dockerfile").read_text()


@cache
def services(*overlays: str) -> dict[str, Any]:
    """Services as docker-compose merges them from compose.yaml and these overlays."""
    files = [word for name in ("compose.yaml", *overlays) for word in ("-f", str(COMPOSE / name))]
    done = subprocess.run(
        [binary("docker-compose"), *files, "config"], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = yaml.safe_load(done.stdout)["services"]
    return found


def stage(name: str) -> str:
    """The lines of a stage of the Dockerfile and of those that it is made from, the first one first."""
    found = re.search(rf"^FROM (\S+) AS {name}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    assert found, name
    before = stage(found[1]) if re.fullmatch(r"[a-z-]+", found[1]) else ""
    return before + found[2]


def last(word: str, lines: str) -> str:
    """The last value of an instruction; empty without any."""
    values = re.findall(rf"^{word} (.*)$", lines, re.MULTILINE)
    return str(values[-1]) if values else ""


@dataclass
class Here:
    """Turns what a container would run into what can be run here.

    Attributes:
        folder: secrets in `secrets`, images in `images`.
        ports: port in the container -> port here.
    """

    folder: Path
    ports: dict[str, int] = field(default_factory=dict)

    def command(self, service: dict[str, Any]) -> list[str]:
        """ENTRYPOINT of the image and command of the service."""
        words = [
            str(word) for word in service.get("command") or json.loads(last("CMD", self._stage(service)))
        ]
        if "build" in service or service["image"].startswith("gesture-maze/"):
            words = json.loads(last("ENTRYPOINT", self._stage(service))) + words
        return [self._here(word) for word in words]

    def health(self, service: dict[str, Any]) -> list[str]:
        """The health check's command."""
        kind, *words = service["healthcheck"]["test"]
        return (
            ["/bin/sh", "-c", self._here(words[0])]
            if kind == "CMD-SHELL"
            else [self._here(word) for word in words]
        )

    def environment(self, service: dict[str, Any]) -> dict[str, str]:
        """All that is set in the container."""
        own = {name: self._here(str(value)) for name, value in service.get("environment", {}).items()}
        path = f"{self.folder / 'opt/maze/bin'}:/usr/bin:/bin"
        return {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1", **own}

    def _stage(self, service: dict[str, Any]) -> str:
        return stage(service["image"].partition("/")[2])

    def _here(self, word: str) -> str:
        word = word.replace("/opt/maze", str(self.folder / "opt/maze"))
        word = word.replace("/run/secrets/", f"{self.folder}/run/secrets/").replace(
            "/etc/maze/", f"{self.folder}/"
        )
        word = word.replace("valkey-server", "redis-server").replace("valkey-cli", "redis-cli -p 6379")
        for port, here in self.ports.items():
            word = re.sub(rf"\b{port}\b", str(here), word)
        return word


def lay_out(folder: Path, target: str) -> None:
    """`/opt/maze` of an image, in `folder`, by the Dockerfile's own steps.

    The dependencies are installed by the same command from the same list, then our wheel without any.
    """
    extras = re.search(
        rf"^FROM dependencies AS {target}-dependencies\nRUN python compose/requirements.py (.*?) > ",
        DOCKERFILE,
        re.MULTILINE,
    )
    assert extras
    image = folder / "opt/maze"
    python = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(image / "bin/python"),
        "install",
        "--quiet",
        "--no-compile",
    ]
    environment = {
        "PATH": "/usr/bin:/bin",
        "PIP_CONSTRAINT": str(ROOT / "constraints.txt"),
        "HOME": str(Path.home()),
    }

    def run(*words: str) -> str:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(sys.executable, "-m", "venv", "--without-pip", str(image))
    needs = folder / "requirements.txt"
    needs.write_text(run(sys.executable, str(COMPOSE / "requirements.py"), *extras[1].split()))
    run(*python, "-r", str(needs))
    source = folder / "src"
    for name in re.findall(r"^COPY ([\w. -]+) \S+$", stage("wheel"), re.MULTILINE):
        for one in name.split():
            (shutil.copytree if (ROOT / one).is_dir() else _copy)(ROOT / one, source / one)
    run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(folder / "dist"),
        str(source),
    )
    run(*python, "--no-deps", "--no-index", *map(str, (folder / "dist").glob("*.whl")))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    shutil.copy(source, target)


def size_mb(path: Path) -> float:
    """All files under a folder, MB."""
    return sum(one.lstat().st_size for one in path.rglob("*") if one.is_file()) / 1e6
