"""compose/ without a container engine: the merged configuration, the Dockerfile's stages, local command
lines."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.observed import ROOT, binary
from tests.support.yamls import read_yaml

COMPOSE = ROOT / "compose"
DOCKERFILE = (COMPOSE / "Dockerfile").read_text()


@cache
def merged(*overlays: str, **environment: str) -> dict[str, Any]:
    """Return the configuration that docker-compose merges from compose.yaml and these overlays."""
    files = [word for name in ("compose.yaml", *overlays) for word in ("-f", str(COMPOSE / name))]
    done = subprocess.run(
        [binary("docker-compose"), *files, "config"],
        capture_output=True, text=True, timeout=30, env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = read_yaml(done.stdout)
    return found


def services(*overlays: str) -> dict[str, Any]:
    """Return the services of the merged configuration."""
    found: dict[str, Any] = merged(*overlays)["services"]
    return found


def stage(name: str) -> str:
    """Return the lines of a stage of the Dockerfile, preceded by those of its base stages."""
    found = re.search(rf"^FROM (\S+) AS {name}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    assert found, name
    before = stage(found[1]) if re.fullmatch(r"[a-z-]+", found[1]) else ""
    return before + found[2]


def last(word: str, lines: str) -> str:
    """Return the last value of an instruction, or an empty string."""
    values = re.findall(rf"^{word} (.*)$", lines, re.MULTILINE)
    return str(values[-1]) if values else ""


def variables(lines: str) -> dict[str, str]:
    """Return the variables that the ENV instructions set."""
    text = lines.replace("\\\n", " ")
    pairs = [pair for line in re.findall(r"^ENV (.*)$", text, re.MULTILINE) for pair in line.split()]
    return dict(pair.split("=", 1) for pair in pairs)


def sources(service: Mapping[str, Any], kind: str) -> list[str]:
    """Return the names of a service's secrets, in either of compose's forms."""
    return [one if isinstance(one, str) else str(one["source"]) for one in service.get(kind, [])]


@dataclass
class Here:
    """Translation of container command lines into local ones.

    Attributes:
        folder: mounted files, in `run` by service, and volumes; the operator's files are in `secrets`.
        config: the merged configuration of docker-compose.
        images: target of the Dockerfile -> a folder with its `opt/maze`.
        ports: service -> port in its container -> local port.
    """

    folder: Path
    config: dict[str, Any]
    images: Mapping[str, Path]
    ports: dict[str, dict[str, int]] = field(default_factory=dict)

    def mount(self, name: str) -> None:
        """Mount only the service's own secrets, and its volumes, which are empty at first use."""
        service = self.config["services"][name]
        folder = self.folder / "run" / name / "secrets"
        folder.mkdir(parents=True, exist_ok=True)
        for secret in sources(service, "secrets"):
            file = self.folder / "secrets" / Path(self.config["secrets"][secret]["file"]).name
            (folder / secret).write_text(self.word(name, file.read_text()))
        for path in self._volumes(name).values():
            path.mkdir(parents=True, exist_ok=True)

    def command(self, name: str) -> list[str]:
        """Return the image's ENTRYPOINT and the service's command."""
        service = self.config["services"][name]
        words = [str(word) for word in service.get("command") or json.loads(last("CMD", self._stage(name)))]
        if service["image"].startswith("gesture-maze/"):
            words = json.loads(last("ENTRYPOINT", self._stage(name))) + words
        return [self.word(name, word) for word in words]

    def health(self, name: str) -> list[str]:
        """Return the command of the health check."""
        kind, *words = self.config["services"][name]["healthcheck"]["test"]
        if kind == "CMD-SHELL":
            return ["/bin/sh", "-c", *(self.word(name, word) for word in words)]
        program, *more = words
        return [*self.word(name, program).split(" "), *(self.word(name, word) for word in more)]

    def environment(self, name: str) -> dict[str, str]:
        """Return the environment of the container, in which no home folder exists."""
        service = self.config["services"][name]
        ours = service["image"].startswith("gesture-maze/")
        image = {**variables(self._stage(name)), "HOME": "/proc/nonexistent"} if ours else {}
        values = {**image, **service.get("environment", {})}
        found = {key: self.word(name, str(value)) for key, value in values.items() if value is not None}
        return {**found, "PATH": found.get("PATH", "$PATH").replace("$PATH", "/usr/bin:/bin")}

    def word(self, name: str, word: str) -> str:
        """Return a word, or a whole file, of a service with local paths, names and ports."""
        service = self.config["services"][name]
        for other, ports in self.ports.items():
            for port, here in ports.items() if other != name else ():
                word = re.sub(rf"(?<![\w.-]){other}:{port}\b", f"127.0.0.1:{here}", word)
        image = self.images.get(service["image"].partition("/")[2])
        word = word.replace("/opt/maze", f"{image}/opt/maze")
        word = word.replace("/run/secrets/", f"{self.folder}/run/{name}/secrets/")
        word = word.replace("/etc/maze/", f"{self.folder}/run/{name}/")
        for path, volume in self._volumes(name).items():
            word = re.sub(rf"(?<![\w.]){path}\b", str(volume), word)
        word = word.replace("valkey-server", "redis-server").replace("valkey-cli", "redis-cli -p 6379")
        for port, here in self.ports.get(name, {}).items():
            word = re.sub(rf"(?<![\w.-]){port}(?![\w.])", str(here), word)
        return word

    def _volumes(self, name: str) -> dict[str, Path]:
        """Return the named volumes of a service: path in the container -> local path."""
        pairs = [str(one).split(":") for one in self.config["services"][name].get("volumes", [])]
        named = [(source, target) for source, target, *_ in pairs if "/" not in source]
        return {target: self.folder / "volumes" / source for source, target in named}

    def _stage(self, name: str) -> str:
        return stage(self.config["services"][name]["image"].partition("/")[2])
