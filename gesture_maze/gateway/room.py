"""What all sockets of a gateway share."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from gesture_maze.gateway.fan import Fan
from gesture_maze.gateway.limits import ConcurrencyLimit, Rates
from gesture_maze.gateway.mapping import PoolMapping
from gesture_maze.gateway.metrics import Metrics
from gesture_maze.gateway.outbox import Outbox
from gesture_maze.gateway.races import Races
from gesture_maze.gateway.releases import Releases
from gesture_maze.gateway.saved import SavedGames
from gesture_maze.gateway.scoreboard import Scoreboard
from gesture_maze.gateway.sessions import Sessions
from gesture_maze.gateway.settings import Settings
from gesture_maze.gateway.tokens import Tokens


@dataclass(frozen=True)
class Room:
    """What all sockets share."""

    settings: Settings
    metrics: Metrics
    tokens: Tokens
    concurrency: ConcurrencyLimit
    openings: Rates
    starts: Rates
    connections: ConcurrencyLimit
    refusals: Rates
    sessions: Sessions
    outbox: Outbox
    fan: Fan
    releases: Releases
    scoreboard: Scoreboard
    saved: SavedGames
    races: Races
    mapping: PoolMapping
    tasks: set[asyncio.Task[None]]

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Run this coroutine as a task and keep a reference until it ends."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
