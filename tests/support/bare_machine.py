"""A pool on a bare machine, started by the commands of docs/operations.md, under observation."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from gesture_maze.embedded.ports import free_port
from gesture_maze.wire.keys import frames_key
from gesture_maze.worker.redis.registry import ModelRegistry
from gesture_maze.worker.redis.status import StatusReader
from tests.support.bundles import with_threshold
from tests.support.observed import ROOT, Observed, binary, program
from tests.support.servers import running_redis, wait_until

PYTHON = {"maze": f"{sys.executable} -m gesture_maze", "python": sys.executable}
"""Commands that are run by this interpreter."""
FILES = ("compose/bare/targets.yml", "compose/bare/alertmanager.yml", "compose/prometheus/alertmanager.yml")
"""Files with ports, beside prometheus.yml."""


def documented_commands() -> dict[str, str]:
    """Return the commands of docs/operations.md for bare machines by program, such as `maze worker`."""
    section = (ROOT / "docs/operations.md").read_text().partition("### On bare machines")[2]
    blocks = [one.partition("```")[0] for one in section.split("```console\n")[1:]]
    block = next(one for one in blocks if one.startswith("$ maze worker"))
    lines = [line.removeprefix("$ ").removesuffix(" &") for line in block.splitlines() if line.endswith(" &")]
    return {" ".join(line.split()[: 2 if line.startswith("maze ") else 1]): line for line in lines}


def bare_machine(folder: Path, ports: dict[str, int]) -> None:
    """Copy prometheus.yml and the files that it names into a folder, laid out as in the repository.

    Only ports and times differ, so that tests can run side by side and do not wait.

    Args:
        folder: where.
        ports: a port in the repository's files -> the one to use instead.
    """
    shutil.copytree(ROOT / "compose/prometheus", folder / "compose/prometheus")
    shutil.copytree(ROOT / "compose/k8s/monitoring/user", folder / "compose/k8s/monitoring/user")
    (folder / "compose/bare").mkdir()
    for name in ("prometheus.yml", *FILES):
        text = (ROOT / name).read_text()
        for port, instead in ports.items():
            text = re.sub(rf"(127\.0\.0\.1:){port}\b", rf"\g<1>{instead}", text)
        text = re.sub(r"(scrape_|evaluation_|refresh_)(interval|timeout): \d+s", r"\1\2: 1s", text)
        (folder / name).write_text(text)
    alertmanager = folder / "compose/prometheus/alertmanager.yml"
    alertmanager.write_text(re.sub(r"(group_wait|group_interval): \w+", r"\1: 1s", alertmanager.read_text()))
    alerts = folder / "compose/prometheus/alerts.yml"
    alerts.write_text(re.sub(r"\[5m\]", "[15s]", re.sub(r"for: \w+", "for: 1s", alerts.read_text())))


class BareMachine:
    """Starter of the documented programs, each on its own ports.

    Args:
        folder: with prometheus.yml, as `bare_machine` lays it out.
        redis: the URL of the pool's server.
        ports: a documented port -> the one to use instead.
    """

    def __init__(self, folder: Path, redis: str, ports: dict[str, int]) -> None:
        self._folder = folder
        self._commands = documented_commands()
        pool = ("--redis", redis)
        self._more = {
            "maze worker": (*pool, "--metrics-port", "0"),
            "maze watch": (*pool, "--port", f"{ports['9109']}"),
            "maze gateway": (*pool, "--port", "0", "--metrics-port", f"{ports['9463']}"),
            "redis_exporter": (
                f"-redis.addr={redis}", f"-web.listen-address=127.0.0.1:{ports['9121']}"
            ),
            "python": (f"{ports['9095']}",),
            "alertmanager": (
                f"--web.listen-address=127.0.0.1:{ports['9093']}", "--cluster.listen-address=",
            ),
            "prometheus": (f"--web.listen-address=127.0.0.1:{ports['9090']}",),
        }  # fmt: skip
        assert self._commands.keys() == self._more.keys(), "docs/operations.md and this test differ"

    def start(self, stack: ExitStack, pool_is_there: Callable[[], object]) -> None:
        """Start all programs in order and wait for the pool after its workers; the stack stops them."""
        for name, line in self._commands.items():
            word, _, rest = line.partition(" ")
            path = PYTHON.get(word) or program_path(word)
            command = f"exec {path} {rest} {shlex.join(self._more[name])}"
            stack.enter_context(program(self._folder, name.replace(" ", "-"), "/bin/sh", "-c", command))
            if name == "maze worker":
                wait_until(pool_is_there, 60)


def program_path(name: str) -> str:
    """Return the path of a program under its own name or its Debian name."""
    other = {"redis_exporter": "prometheus-redis-exporter", "alertmanager": "prometheus-alertmanager"}
    return shutil.which(name) or binary(other.get(name, name))


def wait_until_healthy(observed: Observed, timeout_s: float = 30.0) -> None:
    """Wait until no alert is pending or firing, and note the rules; after `timeout_s`, as they are then."""

    def healthy() -> bool:
        observed.healthy = observed.alerts()
        return {rule["state"] for rule in observed.healthy} == {"inactive"}

    with suppress(AssertionError):  # a test reports which alert it was
        wait_until(healthy, timeout_s)


@contextmanager
def observed_pool(folder: Path, players_s: int = 60) -> Iterator[Observed]:
    """Start a pool on a bare machine by the documented commands, with players, a challenger and faults.

    Args:
        folder: for logs, data and configuration.
        players_s: how long the players play.
    """
    ports = {port: free_port() for port in ("9090", "9093", "9095", "9109", "9121", "9463")}
    bare_machine(folder, ports)
    with ExitStack() as stack:
        server = stack.enter_context(running_redis(folder))
        url = str(server.url)
        server.client.config_set("maxmemory", "256mb")
        challenger = with_threshold(
            0.9
        )  # another version of the default model, so that a challenger is compared
        ModelRegistry(server.client).challenge(challenger.version, challenger.to_zip(), 1.0)
        reader = StatusReader(server.client)
        BareMachine(folder, url, ports).start(stack, lambda: reader.read().workers)
        players = ("--players", "20", "--fps", "15", "--seconds", f"{players_s}", "--listen", "0")
        maze = (sys.executable, "-m", "gesture_maze")
        stack.enter_context(program(folder, "players", *maze, "simulate", "--redis", url, *players))
        prometheus, watch = (f"http://127.0.0.1:{ports[port]}" for port in ("9090", "9109"))
        found = Observed(url, prometheus, watch, [], folder / "python.log")
        wait_until(lambda: found.moves("sum(rate(model_predictions_total[1m]))"), 40)
        wait_until_healthy(found)
        for _ in range(3):
            server.client.xadd(frames_key(0), {"neither": "packed nor text"})
        os.kill(reader.read().workers[0].pid, signal.SIGKILL)
        for sign in (
            "job:maze_reply_latency_seconds:p99_rate1m",
            'rate(predicted_gesture_count_total{gesture="like"}[1m])',
            'sum(maze_takeovers_total{cause="crash"})',
        ):
            wait_until(lambda sign=sign: found.moves(sign), 40)
        yield found
