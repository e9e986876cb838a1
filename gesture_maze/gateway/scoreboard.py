"""The scoreboard, kept in Redis: the fastest walks of each size."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from pydantic_core import from_json, to_json
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gesture_maze.gateway.game import Game, Input, Size
from gesture_maze.gateway.problems import Problem
from gesture_maze.gateway.refusals import GatewayError, Refusal

KEPT: Final = 100
"""Places kept of each size."""
SHOWN: Final = 10


class Place(BaseModel):
    """One walk."""

    name: str
    time_ms: Annotated[int, Field(ge=0)]
    moves: Annotated[int, Field(ge=1)]
    input: Input


class Scoreboard:
    """The fastest walks. Sorted sets `maze:scores:<size>`, milliseconds as scores.

    Args:
        client: Redis.
    """

    def __init__(self, client: Redis) -> None:
        self._client: Final = client

    async def add(self, game: Game, name: str, session: str, time_ms: int) -> int | None:
        """Enter a finished game; its rank from 1, or None beyond the places kept or where Redis is away."""
        # the session and the seed keep equal walks of different players, or mazes, apart
        member = to_json([name, game.moves, game.input, session[:8], game.seed])
        key = _key(game.size)
        try:
            async with self._client.pipeline() as pipe:
                pipe.zadd(key, {member: time_ms})
                pipe.zremrangebyrank(key, KEPT, -1)
                pipe.zrank(key, member)
                rank = (await pipe.execute())[-1]
        except (RedisError, OSError):
            return None
        return None if rank is None else int(rank) + 1

    async def best(self, size: Size) -> list[Place]:
        """The first places.

        Raises:
            GatewayError: `unavailable`.
        """
        try:
            # [(member, score), ...]
            found: Any = await self._client.zrange(_key(size), 0, SHOWN - 1, withscores=True)
        except (RedisError, OSError):
            raise GatewayError(Refusal.UNAVAILABLE, "the scoreboard cannot be read now") from None
        places = []
        for member, time_ms in found:
            name, moves, shown, *_ = from_json(member)
            places.append(Place(name=name, time_ms=int(time_ms), moves=moves, input=shown))
        return places


def _key(size: Size) -> str:
    return f"maze:scores:{size}"


router = APIRouter()


@router.get(
    "/scores/{size}", responses={422: {"model": Problem}, 503: {"model": Problem, "description": "No Redis"}}
)
async def scores(size: Size, request: Request) -> list[Place]:
    """The fastest walks through mazes of one size."""
    scoreboard: Scoreboard = request.app.state.scoreboard
    return await scoreboard.best(size)
