"""The demo in a browser: its state published on Redis, and a gateway that serves it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError

from gesture_maze.demo.players import Player
from gesture_maze.demo.snapshot import DemoOptions, Look, View
from gesture_maze.embedded.ports import free_port
from gesture_maze.embedded.tether import tethered
from gesture_maze.gateway.game import ways_of
from gesture_maze.load.latencies import quantile_ms
from gesture_maze.wire.keys import DEMO

CHANNEL: Final = DEMO
"""Channel on which the state is published. The key of the same name keeps the last state for new viewers."""
KEPT_S: Final = 5
MOST_SHOWN: Final = 40
"""Most players shown. Each takes 100 bytes, four times a second."""
MOST_EVENTS: Final = 5
PORT: Final = 8000
"""Port of the gateway, if it is free."""
STOP_S: Final = 5.0


class Published:
    """A view that publishes each look and passes it to another view.

    Args:
        view: the other view.
        client: of Redis. If Redis is unavailable, the demo continues.
    """

    def __init__(self, view: View, client: Redis) -> None:
        self._view: Final = view
        self._client: Final = client
        self._before: tuple[float, int] = (0.0, 0)

    def show(self, look: Look) -> None:
        """Show and publish this moment."""
        self._view.show(look)
        text = json.dumps(self._picture(look))
        try:
            with self._client.pipeline(transaction=False) as pipe:
                pipe.publish(CHANNEL, text)
                pipe.set(CHANNEL, text, ex=KEPT_S)
                pipe.execute()
        except RedisError:
            return

    def _picture(self, look: Look) -> dict[str, Any]:
        before_s, before = self._before
        self._before = look.elapsed_s, look.accepted
        rate = (look.accepted - before) / max(look.elapsed_s - before_s, 1e-9)
        score = look.score
        return {
            "elapsed_s": round(look.elapsed_s, 1),
            "count": len(look.players.all),
            "players": [picture_of(player) for player in look.players.all[:MOST_SHOWN]],
            "numbers": {
                "Frames/s": f"{rate:,.0f}",
                "Latency p50": f"{quantile_ms(look.latencies, 0.5) or 0:.1f} ms",
                "p99": f"{quantile_ms(look.latencies, 0.99) or 0:.1f} ms",
                "Moves": f"{score.moves:,}",
                "Mazes solved": f"{score.solved:,}",
                "Takeovers": str(look.takeovers),
            },
            "workers": [{"pid": one.pid, "partitions": len(one.partitions)} for one in look.pool.workers],
            "events": [f"{at_s:.1f} s  {sentence}" for at_s, sentence in look.events[-MOST_EVENTS:]],
        }


def picture_of(player: Player) -> dict[str, Any]:
    """Return the maze of one player, as the page draws it."""
    # another thread may move the token: read each attribute once, and copy the trail
    maze, cell = player.maze, player.cell
    inside = min(cell, maze.exit)
    return {
        "width": maze.width,
        "height": maze.height,
        "ways": ways_of(maze),
        "cell": inside,
        "trail": sorted(set(player.trail)),
        "solved": player.solved,
        "wants": maze.way_out[inside],
    }


@contextmanager
def showcase(redis: str, log: Path, options: DemoOptions) -> Iterator[str | None]:
    """Run a gateway for the duration of the `with` block.

    Yields:
        The address of its page, or None if no gateway is wanted or can be run.
    """
    if not options.watch or find_spec("fastapi") is None or find_spec("picows") is None:
        yield None
        return
    port = _port()
    address = f"http://127.0.0.1:{port}/watch"
    command = [sys.executable, "-m", "gesture_maze", "gateway", "--port", str(port)]
    # settings of another gateway, for example TLS, must not apply to this one
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAZE_")}
    with log.open("ab") as output:
        # a new session, so that Ctrl-C reaches only this process
        process = subprocess.Popen(  # noqa: S603 - our own module
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            # not on the command line, which every user of the machine can read: the URL may hold a password
            env={**kept, "MAZE_REDIS": redis},
        )
    try:
        with tethered(process.pid, signal.SIGTERM):
            sys.stderr.write(f"watch it: {address}\n")
            sys.stderr.flush()
            if options.open_browser:
                webbrowser.open(address)
            yield address
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _port() -> int:
    """Return `PORT` if it is free, else any free port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            probe.bind(("127.0.0.1", PORT))
            return PORT
    return free_port()
