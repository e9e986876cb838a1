"""A pool under observation: Redis and its exporter, two workers, the watch, players, Prometheus."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.servers import absent, free_port, running_redis, wait_until

ROOT = Path(__file__).parents[2]
STREAMS = ",".join(f"db0=frames:{{{partition}}}" for partition in range(16))


def fetch(url: str) -> Any:
    """A JSON document."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def binary(name: str) -> str:
    """Where a program is; without it the test is skipped, or fails in CI."""
    found = shutil.which(name)
    if found is None:
        absent(name)
    return found


@dataclass
class Observed:
    """What is running.

    Attributes:
        redis: its URL.
        prometheus, watch: their addresses.
    """

    redis: str
    prometheus: str
    watch: str

    def api(self, path: str, **query: str) -> Any:
        """The data of an answer of Prometheus's HTTP API."""
        return fetch(f"{self.prometheus}/api/v1/{path}?{urllib.parse.urlencode(query)}")["data"]

    def query(self, expression: str) -> list[Any]:
        """An instant query: [{"metric": {label: value}, "value": [unix seconds, "1"]}, ...]."""
        found: list[Any] = self.api("query", query=expression)["result"]
        return found

    def range(self, expression: str, begin_s: float, end_s: float, step_s: float) -> list[Any]:
        """A range query: [{"metric": {...}, "values": [[unix seconds, "1"], ...]}, ...]."""
        found: list[Any] = self.api(
            "query_range", query=expression, start=f"{begin_s}", end=f"{end_s}", step=f"{step_s}"
        )["result"]
        return found


@contextmanager
def program(folder: Path, name: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program that writes to `folder/name.log`; terminated at the end."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, cwd=ROOT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def configuration(watch: int, exporter: int) -> dict[str, Any]:
    """prometheus.yml itself; only names that a DNS server would resolve, and times, are made fit for here."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "prometheus.yml").read_text())
    found["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    found["rule_files"] = [str(ROOT / path) for path in found["rule_files"]]
    by_job = {job["job_name"]: job for job in found["scrape_configs"]}
    by_job["worker-by-heartbeat"]["http_sd_configs"] = [
        {"url": f"http://127.0.0.1:{watch}/sd", "refresh_interval": "1s"}
    ]
    for name, port in (("watch", watch), ("redis", exporter)):
        del by_job[name]["dns_sd_configs"]
        by_job[name]["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]
    found["scrape_configs"] = [by_job[name] for name in ("worker-by-heartbeat", "watch", "redis")]
    return found


@contextmanager
def observed_pool(folder: Path, players_s: int = 60) -> Iterator[Observed]:
    """Everything started, scraped for some seconds, with players at the gestures."""
    exporter_binary, prometheus_binary = binary("prometheus-redis-exporter"), binary("prometheus")
    maze = (sys.executable, "-m", "gesture_maze")
    watch, exporter, prometheus = free_port(), free_port(), free_port()
    (folder / "prometheus.json").write_text(json.dumps(configuration(watch, exporter)))
    with ExitStack() as stack:
        server = stack.enter_context(running_redis(folder))
        url = str(server.url)
        server.client.config_set("maxmemory", "256mb")

        def start(name: str, *words: str) -> None:
            stack.enter_context(program(folder, name, *words))

        start("worker", *maze, "worker", "--redis", url, "--processes", "2", "--metrics-port", "0")
        start("watch", *maze, "watch", "--redis", url, "--port", str(watch), "--every-s", "0.5")
        start(
            "exporter", exporter_binary, "-redis.addr", url, "-check-single-streams", STREAMS,
            "-web.listen-address", f"127.0.0.1:{exporter}",
        )  # fmt: skip
        start(
            "prometheus", prometheus_binary, f"--config.file={folder / 'prometheus.json'}",
            f"--storage.tsdb.path={folder / 'tsdb'}", f"--web.listen-address=127.0.0.1:{prometheus}",
        )  # fmt: skip
        start(
            "players", *maze, "simulate", "--redis", url, "--players", "20", "--fps", "15",
            "--seconds", str(players_s), "--listen", "0",
        )  # fmt: skip
        found = Observed(url, f"http://127.0.0.1:{prometheus}", f"http://127.0.0.1:{watch}")

        def seen() -> bool:
            try:
                return bool(found.query("job:maze_reply_latency_seconds:p99_rate1m > 0")) and bool(
                    found.query('rate(predicted_gesture_count_total{gesture="like"}[1m]) > 0')
                )
            except OSError:
                return False

        wait_until(seen, 40)
        yield found
