"""The scoreboards, kept in Redis: the fastest walks by size, input and seed; the maze of the day."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from pydantic_core import from_json, to_json
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gesture_maze.gateway.game import Game, Input, Size
from gesture_maze.gateway.problems import Problem
from gesture_maze.gateway.refusals import GatewayError, Refusal
from gesture_maze.wire.keys import scores_key

KEPT: Final = 100
"""Places kept of each board."""
SHOWN: Final = 10
LEAST_STEP_MS: Final = 40
"""A walk with less time per step was made by a program and is not entered."""
SEED_BOARDS: Final = 1000
"""Most boards of single mazes that are kept; those not played for longest are deleted first."""
SEED_BOARD_S: Final = 7 * 24 * 3600
"""A board of a single maze is forgotten after a week without a walk."""


class Place(BaseModel):
    """One walk."""

    name: str
    time_ms: Annotated[int, Field(ge=0)]
    moves: Annotated[int, Field(ge=1)]
    input: Input
    seed: int
    shortest: Annotated[int | None, Field(description="moves of the shortest way out")]


class Daily(BaseModel):
    """The maze of the day: the same for every player."""

    date: date
    seed: int


def daily(now: datetime) -> Daily:
    """Return the maze of the day, which changes at midnight UTC."""
    return Daily(date=now.date(), seed=int(f"{now:%Y%m%d}"))


class Scoreboard:
    """The fastest walks: sorted sets of results, with milliseconds as scores.

    Args:
        client: Redis.
    """

    def __init__(self, client: Redis) -> None:
        self._client: Final = client

    async def add(self, game: Game, name: str, session: str, time_ms: int) -> int | None:
        """Enter a finished game on its boards.

        Returns:
            Its rank among all walks of its size, from 1; None beyond the places kept, for a walk faster than
            a person's, or if Redis cannot be reached.
        """
        if time_ms < (game.moves - 1) * LEAST_STEP_MS:
            return None
        # the session and the seed keep equal walks of different players, or mazes, apart
        member = to_json([name, game.moves, game.input, session[:8], game.seed, game.shortest])
        seed_board = _seed_board(game.size, game.seed)
        try:
            async with self._client.pipeline(transaction=False) as pipe:
                for board in (f"{game.size}:{game.input}", seed_board, game.size):
                    # of equal walks the fastest stays
                    pipe.zadd(scores_key(board), {member: time_ms}, lt=True)
                    pipe.zremrangebyrank(scores_key(board), KEPT, -1)
                pipe.expire(scores_key(seed_board), SEED_BOARD_S)
                pipe.zrank(scores_key(game.size), member)
                rank = (await pipe.execute())[-1]
            await self._bound_seed_boards(seed_board)
        except (RedisError, OSError):
            return None
        return None if rank is None else int(rank) + 1

    async def _bound_seed_boards(self, board: str) -> None:
        """Note that `board` was played on, and delete boards beyond `SEED_BOARDS`."""
        index = scores_key("seeds")
        await self._client.zadd(index, {board: time.time_ns() // 1_000_000})
        excess: Any = await self._client.zrange(index, 0, -SEED_BOARDS - 1)
        for old in excess:
            await self._client.unlink(scores_key(old.decode()))
            await self._client.zrem(index, old)

    async def best(self, size: Size, shown: Input | None = None, seed: int | None = None) -> list[Place]:
        """Return the first places, filtered by input and by seed if these are given.

        Raises:
            GatewayError: `unavailable`.
        """
        board = size if shown is None else f"{size}:{shown}"
        if seed is not None:
            board = _seed_board(size, seed)
        try:
            # [(member, score), ...]
            found: Any = await self._client.zrange(scores_key(board), 0, KEPT - 1, withscores=True)
        except (RedisError, OSError):
            raise GatewayError(Refusal.UNAVAILABLE, "the scoreboard cannot be read now") from None
        places = [place for member, time_ms in found if (place := _place(member, int(time_ms)))]
        return [place for place in places if shown is None or place.input == shown][:SHOWN]


def _place(member: bytes, time_ms: int) -> Place | None:
    """Return one walk, or None for a member that no gateway wrote."""
    try:
        name, moves, shown, _session, seed, *rest = from_json(member)
        shortest = rest[0] if rest else None  # results of earlier versions have none
        return Place(name=name, time_ms=time_ms, moves=moves, input=shown, seed=seed, shortest=shortest)
    except (ValueError, TypeError):
        return None


def _seed_board(size: Size, seed: int) -> str:
    return f"{size}:seed:{seed}"


router = APIRouter()


@router.get(
    "/scores/{size}", responses={422: {"model": Problem}, 503: {"model": Problem, "description": "No Redis"}}
)
async def scores(
    size: Size,
    request: Request,
    shown: Annotated[Input | None, Query(alias="input", description="only walks made by this input")] = None,
    seed: Annotated[int | None, Query(ge=0, le=2**31 - 1, description="only walks through this maze")] = None,
) -> list[Place]:
    """Return the fastest walks through mazes of one size."""
    scoreboard: Scoreboard = request.app.state.scoreboard
    return await scoreboard.best(size, shown, seed)


@router.get("/daily")
async def daily_maze() -> Daily:
    """Return the maze of the day: its seed, to be used with any size."""
    return daily(datetime.now(UTC))
