"""Games kept in Redis, so that a gateway that restarts, or another one, continues them.

One string per session, `{maze}:game:<session>`, that expires. Steps are gathered for half a second and
written together; what was walked in the last half second before a gateway is killed is lost.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gesture_maze.gateway.game import Game, SavedGame
from gesture_maze.wire.keys import game_key
from gesture_maze.worker.logs import Log

FLUSH_S: Final = 0.5
MOST_PER_FLUSH: Final = 500
"""Most games written at once; others wait. That is 1,000 a second of 300 bytes, so expiry bounds the total
size."""

MOST_WAITING: Final = 10_000
"""Most games that wait to be written; while Redis is away, the oldest are dropped."""


class SavedGames:
    """Writes and reads the games of sessions.

    Args:
        client: Redis.
        keep_s: how long a game that is not played is kept.
        log: for events.
    """

    def __init__(self, client: Redis, keep_s: int, log: Log) -> None:
        self._client: Final = client
        self._keep_s: Final = keep_s
        self._log: Final = log
        self._changed: dict[str, Game] = {}
        self._failing = False

    def note(self, session: str, game: Game) -> None:
        """Write the game with the next flush."""
        self._changed[session] = game
        if len(self._changed) > MOST_WAITING:
            self._changed.pop(next(iter(self._changed)))

    async def run(self) -> None:
        """Write every half second until cancelled, and once more at the end."""
        try:
            while True:
                await asyncio.sleep(FLUSH_S)
                await self.flush()
        finally:
            await self.flush()

    async def flush(self) -> None:
        """Write the games that changed, at most `MOST_PER_FLUSH` of them."""
        if not self._changed:
            return
        chosen = {session: self._changed.pop(session) for session in list(self._changed)[:MOST_PER_FLUSH]}
        now_s, now_ms = time.monotonic(), time.time_ns() // 1_000_000
        try:
            async with self._client.pipeline(transaction=False) as pipe:
                for session, game in chosen.items():
                    record = game.save(now_s, now_ms).model_dump_json()
                    pipe.set(game_key(session), record, ex=self._keep_s)
                await pipe.execute()
        except (RedisError, OSError) as error:
            self._changed = chosen | self._changed
            if not self._failing:
                self._log.warning("games_not_saved", error=str(error))
            self._failing = True
            return
        if self._failing:
            self._log.info("games_saved_again")
        self._failing = False

    async def load(self, session: str) -> Game | None:
        """Return the session's game, or None if there is none or Redis cannot be read."""
        try:
            raw = await self._client.get(game_key(session))
            saved = SavedGame.model_validate_json(raw) if raw else None
        except (RedisError, OSError, ValidationError):
            return None
        return Game.restore(saved, time.monotonic(), time.time_ns() // 1_000_000) if saved else None
