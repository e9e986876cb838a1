"""Local programs, and the answers of a Prometheus that observes a pool."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.children import child
from tests.support.servers import absent

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def fetch(url: str) -> Any:
    """Return the JSON document at a URL."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def binary(name: str) -> str:
    """Return the path of a program; without it skip the test, or fail in CI."""
    found = shutil.which(name)
    if found is None:
        absent(name)
    return found


@dataclass
class Observed:
    """The addresses of running programs.

    Attributes:
        redis: its URL.
        prometheus, watch: their addresses.
        healthy: alert rules, as Prometheus's API describes them, before anything was broken.
        received: the log of the receiver of alerts.
    """

    redis: str
    prometheus: str
    watch: str
    healthy: list[Any]
    received: Path

    def api(self, path: str, **query: str) -> Any:
        """Return the data of an answer of Prometheus's HTTP API."""
        return fetch(f"{self.prometheus}/api/v1/{path}?{urllib.parse.urlencode(query)}")["data"]

    def alerts(self) -> list[Any]:
        """Return the alert rules with their state."""
        found: list[Any] = self.api("rules", type="alert")["groups"][0]["rules"]
        return found

    def query(self, expression: str) -> list[Any]:
        """Run an instant query and return [{"metric": {label: value}, "value": [unix seconds, "1"]}, ...]."""
        found: list[Any] = self.api("query", query=expression)["result"]
        return found

    def moves(self, expression: str) -> bool:
        """Return whether an instant query has a value above zero; False if Prometheus does not answer."""
        try:
            return any(float(one["value"][1]) > 0 for one in self.query(expression))
        except OSError:
            return False

    def range(self, expression: str, begin_s: float, end_s: float, step_s: float) -> list[Any]:
        """Run a range query and return [{"metric": {...}, "values": [[unix seconds, "1"], ...]}, ...]."""
        found: list[Any] = self.api(
            "query_range", query=expression, start=f"{begin_s}", end=f"{end_s}", step=f"{step_s}"
        )["result"]
        return found


@contextmanager
def program(folder: Path, name: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program that writes to `folder/name.log`; terminate it at the end."""
    options = {"cwd": folder, "env": ENVIRONMENT}
    with (
        (folder / f"{name}.log").open("wb") as log,
        child(*words, stdout=log, stderr=log, **options) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
