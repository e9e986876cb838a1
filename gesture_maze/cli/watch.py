"""`maze watch`: heartbeats through every partition, the pool's counters as metrics, and a list of workers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from gesture_maze.cli.environment import variable
from gesture_maze.cli.options import DEFAULT_REDIS, RedisUrl

if TYPE_CHECKING:
    from gesture_maze.ops.watch import Watch
    from gesture_maze.worker.health import HealthServer

Opt = typer.Option
LogFormat = Annotated[
    Literal["human", "json"],
    Opt(envvar=variable("log_format"), help="Log lines for people, or JSON objects."),
]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"],
    Opt(envvar=variable("log_level"), help="Least severe level that is logged."),
]
DEFAULT_PORT: Final = 9109


def watch(
    redis: RedisUrl = DEFAULT_REDIS,
    host: Annotated[str, Opt(envvar=variable("watch_host"), help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int,
        Opt(envvar=variable("watch_port"), min=0, max=65_535, help="Port to listen on; 0: any free one."),
    ] = DEFAULT_PORT,
    every_s: Annotated[
        float, Opt(envvar=variable("watch_every_s"), min=0.05, help="Seconds between heartbeats.")
    ] = 1.0,
    log_format: LogFormat = "human",
    log_level: LogLevel = "info",
) -> None:
    """Send a heartbeat through each partition and serve metrics of the pool to Prometheus, until stopped.

    /metrics has the heartbeats and the pool as a whole, also when no worker is alive; /sd lists the workers'
    metrics for Prometheus's http_sd. Costs the pool one frame per partition and heartbeat.

    Example: [bold]maze watch --redis redis://127.0.0.1:6379/0 --port 9109[/bold]
    """
    from gesture_maze.load.stopping import stop_signals
    from gesture_maze.ops.watch import Watch
    from gesture_maze.producer import FrameProducer
    from gesture_maze.producer.address import without_password
    from gesture_maze.worker.library_logs import route_libraries
    from gesture_maze.worker.logs import Log
    from gesture_maze.worker.redis.attach import attached
    from gesture_maze.worker.redis.status import StatusReader

    with ExitStack() as stack:
        stop = stack.enter_context(stop_signals())
        client = stack.enter_context(attached(redis))
        producer = stack.enter_context(FrameProducer(redis, name="maze-watch", retries=0))
        log = Log(log_format, log_level, worker="watch")
        route_libraries(log)
        watching = Watch(producer, StatusReader(client), log)
        stack.callback(watching.close)
        health = _served(watching, host, port)
        stack.callback(health.close)
        log.info("started", metrics=f"http://{host}:{health.port}/metrics", redis=without_password(redis))
        run(watching, stop, every_s)
        log.info("stopped")


def _served(watching: Watch, host: str, port: int) -> HealthServer:
    from gesture_maze.worker.health import HealthServer

    def ready() -> tuple[bool, dict[str, Any]]:
        return watching.ready(), {}

    def workers() -> tuple[str, Iterable[bytes]]:
        return "application/json", [json.dumps(watching.targets()).encode()]

    pages = {"/sd": workers}
    return HealthServer(watching.registry, lambda: (True, {}), ready, host, port, pages, flag="--port")


def run(watching: Watch, stop: threading.Event, every_s: float) -> None:
    """Run a pass every `every_s` seconds and listen in between, until `stop`."""
    next_s = time.monotonic()
    while not stop.is_set():
        now_s = time.monotonic()
        if now_s >= next_s:
            watching.step()
            next_s = max(next_s + every_s, now_s)
        if not watching.listen(0.05):
            stop.wait(0.005)
