"""The demo shown in a browser: its picture published on Redis, and a gateway beside it that hands it on."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError

from gesture_maze.demo.players import Player
from gesture_maze.demo.snapshot import DemoOptions, Look, View
from gesture_maze.embedded.tether import tethered
from gesture_maze.gateway.game import ways_of
from gesture_maze.load.latencies import quantile_ms
from gesture_maze.wire.keys import DEMO

CHANNEL: Final = DEMO
"""Where pictures are published; the key of the same name keeps the last one for those who come later."""
KEPT_S: Final = 5
MOST_SHOWN: Final = 40
"""Players in a picture: each is 100 bytes, four times a second."""
MOST_EVENTS: Final = 5
PORT: Final = 8000
"""Where the gateway listens, if nobody else does."""
STOP_S: Final = 5.0


class Published:
    """A view that publishes each look, and shows it as another view does.

    Args:
        view: the other one.
        client: Redis. Where it is away, the demo goes on.
    """

    def __init__(self, view: View, client: Redis) -> None:
        self._view: Final = view
        self._client: Final = client
        self._before: tuple[float, int] = (0.0, 0)

    def show(self, look: Look) -> None:
        """See `View`."""
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
    """One player's maze."""
    # another thread may be moving the token: one look at each, and a copy of the trail
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
    """The page of a gateway that runs for the length of the `with` block; None where there is to be none."""
    if not options.watch or find_spec("fastapi") is None or find_spec("picows") is None:
        yield None
        return
    port = _port()
    address = f"http://127.0.0.1:{port}/watch"
    command = [sys.executable, "-m", "gesture_maze", "gateway", "--port", str(port)]
    # settings of another gateway, TLS for example, are not meant for this one
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAZE_")}
    with log.open("ab") as output:
        # a session of its own: Ctrl-C is ours
        process = subprocess.Popen(  # noqa: S603 - our own module
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            # not on the command line, which every user of the machine can read: it may hold a password
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
    """`PORT`, or any free one."""
    for port in (PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return PORT
