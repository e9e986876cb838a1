"""Races: two to eight players in one maze by a link, each seeing the others, on any gateway.

A race is a hash in Redis that expires; what happens in it is published to all gateways, which pass it on to
their players. A race waits until one of its players starts it; once all have finished, it can be started
again with another maze.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, Final, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json, to_json
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gesture_maze.gateway.game import Size
from gesture_maze.gateway.logs import Outages
from gesture_maze.gateway.refusals import GatewayError, Refusal
from gesture_maze.gateway.subscription import Follower
from gesture_maze.wire.keys import RACES, race_key

MOST_RACERS: Final = 8
KEEP_S: Final = 3600
"""Seconds without a move after which a race is forgotten."""
COUNTDOWN_MS: Final = 4000
"""Between the start signal and the first move that counts."""
MOST_PER_MINUTE: Final = 120
"""Most races that one gateway begins per minute, for all players: each is a key in Redis."""
RACE_BYTES: Final = 6
MOST_NEWS: Final = 10_000
"""Most messages that wait to be passed on; further ones are dropped."""


class Racer(BaseModel):
    """One player of a race, as the others see it."""

    model_config = ConfigDict(frozen=True)

    who: str
    name: str
    cell: Annotated[int, Field(ge=0)] = 0
    moves: Annotated[int, Field(ge=0)] = 0
    time_ms: int | None = None
    """How long the walk took, or None before it has ended."""
    place: int | None = None
    left: bool = False
    """Has left the race: the others do not wait for this player."""


class Race(BaseModel):
    """A race as it is now.

    Attributes:
        starts_ms: when the first move counts, ms of the wall clock; 0 while it waits.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    size: Size
    seed: int
    starts_ms: int
    racers: list[Racer]

    @property
    def over(self) -> bool:
        """Whether every player has finished."""
        return bool(self.racers) and all(one.place is not None for one in self.racers)

    def of(self, who: str) -> Racer | None:
        """Return this player, or None if the player is not in the race."""
        return next((one for one in self.racers if one.who == who), None)


class Member(Protocol):
    """A socket whose player is in a race."""

    def race_news(self, race: Race) -> None:
        """Handle that the race was joined or started."""

    def racer_news(self, racer: Racer) -> None:
        """Handle that a racer moved or finished."""


class Races:
    """Begins, joins and starts races, and passes events between their players.

    Args:
        client: Redis, for commands and for publishing.
        subscriber: a client of its own for listening.
        outages: for events.
    """

    def __init__(self, client: Redis, subscriber: Redis, outages: Outages) -> None:
        self._client: Final = client
        self._follower: Final = Follower(subscriber, RACES.encode(), self._take, outages)
        self._news: Final[asyncio.Queue[bytes]] = asyncio.Queue(MOST_NEWS)
        self._members: Final[dict[str, set[Member]]] = {}
        self._begun_s: Final[deque[float]] = deque(maxlen=MOST_PER_MINUTE)

    async def begin(self, size: Size, member: Member, racer: Racer) -> Race:
        """Begin a race of this size with its first player.

        Raises:
            GatewayError: `busy` or `unavailable`.
        """
        now_s = time.monotonic()
        if len(self._begun_s) == MOST_PER_MINUTE and now_s - self._begun_s[0] < 60:
            raise GatewayError(Refusal.BUSY, "too many races were started in the last minute: try again soon")
        self._begun_s.append(now_s)
        race = secrets.token_urlsafe(RACE_BYTES)
        await self._write(race, {"size": size, "seed": _new_seed(), "starts_ms": 0})
        return await self.join(race, member, racer)

    async def join(self, race: str, member: Member, racer: Racer) -> Race:
        """Enter a race, or return to it, perhaps under another name, and notify the others.

        Raises:
            GatewayError: `no_race`, `race_full` or `unavailable`.
        """
        before = (await self.look(race, racer.who)).of(racer.who)
        if before is not None:
            racer = before.model_copy(update={"name": racer.name, "left": False})
        if racer != before:
            await self._write(race, {f"p:{racer.who}": racer.model_dump_json()})
        self._members.setdefault(race, set()).add(member)
        await self._publish(race, "changed")
        return await self.read(race)

    async def look(self, race: str, who: str) -> Race:
        """Return a race that this player is in, or can join.

        Raises:
            GatewayError: `no_race`, `race_full` or `unavailable`.
        """
        found = await self.read(race)
        if found.of(who) is None and len(found.racers) >= MOST_RACERS:
            raise GatewayError(Refusal.RACE_FULL, f"the race is full: it has {MOST_RACERS} players")
        return found

    def leave(self, race: str, member: Member) -> None:
        """Stop passing events of the race to this socket."""
        members = self._members.get(race, set())
        members.discard(member)
        if not members:
            self._members.pop(race, None)

    async def start(self, race: str) -> None:
        """Start a race that waits, or one that is over with another maze; else do nothing.

        Raises:
            GatewayError: `no_race` or `unavailable`.
        """
        found = await self.read(race)
        if found.starts_ms and not found.over:
            return
        fields: dict[str, Any] = {"starts_ms": _now_ms() + COUNTDOWN_MS}
        if found.starts_ms:
            fields["seed"] = _new_seed()
        for one in found.racers:
            fields[f"p:{one.who}"] = Racer(who=one.who, name=one.name, left=one.left).model_dump_json()
        await self._write(race, fields | {"finished": 0})
        await self._publish(race, "changed")

    async def report(self, race: str, racer: Racer) -> int | None:
        """Notify the others where a player is now.

        Returns:
            The player's place if the walk has ended, from 1; None otherwise, or if Redis cannot be reached.
        """
        try:
            if racer.time_ms is not None:
                place = int(await self._client.hincrby(race_key(race), "finished", 1))
                racer = racer.model_copy(update={"place": place})
            await self._write(race, {f"p:{racer.who}": racer.model_dump_json()})
            await self._publish(race, racer.model_dump())
        except (RedisError, OSError, GatewayError):
            return None
        return racer.place

    async def change(self, race: str, who: str, **changed: str | bool) -> None:
        """Change a player's `name`, or that the player has `left`, and notify the others.

        Without Redis nothing changes. A result stays in the race until it is started again.
        """
        try:
            one = (await self.read(race)).of(who)
            if one is not None:
                await self._write(race, {f"p:{who}": one.model_copy(update=changed).model_dump_json()})
                await self._publish(race, "changed")
        except GatewayError:
            return

    async def read(self, race: str) -> Race:
        """Return the race as it is now.

        Raises:
            GatewayError: `no_race` or `unavailable`.
        """
        try:
            fields: Any = await self._client.hgetall(race_key(race))
        except (RedisError, OSError):
            raise _unavailable() from None
        try:
            entered = [Racer.model_validate_json(raw) for key, raw in fields.items() if key.startswith(b"p:")]
            racers = [one for one in entered if not one.left or one.place is not None]
            starts_ms, seed = int(fields[b"starts_ms"]), int(fields[b"seed"])
            size: Any = fields[b"size"].decode()
            return Race(id=race, size=size, seed=seed, starts_ms=starts_ms, racers=racers)
        except (KeyError, ValueError, ValidationError):
            raise GatewayError(
                Refusal.NO_RACE, "there is no such race (any more): begin another one"
            ) from None

    async def run(self) -> None:
        """Pass events on until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follower.run())
            tasks.create_task(self._pass_all_on())

    def reconnect(self, why: str) -> None:
        """Replace the subscription, for example because its server was demoted."""
        self._follower.reconnect(why)

    async def close(self) -> None:
        """Close the subscription."""
        await self._follower.close()

    def _take(self, data: bytes) -> None:
        with suppress(asyncio.QueueFull):
            self._news.put_nowait(data)

    async def _pass_all_on(self) -> None:
        while True:
            await self._pass_on(await self._news.get())

    async def _pass_on(self, data: bytes) -> None:
        try:
            news = from_json(data)
            race, what = news["race"], news["what"]
            members = list(self._members.get(race, ()))
            if not members:
                return
            if what == "changed":
                found = await self.read(race)
                for member in members:
                    member.race_news(found)
            else:
                racer = Racer.model_validate(what)
                for member in members:
                    member.racer_news(racer)
        except (ValueError, KeyError, TypeError, GatewayError):
            return  # not published by a gateway, or the race is gone

    async def _write(self, race: str, fields: Mapping[Any, Any]) -> None:
        try:
            async with self._client.pipeline() as pipe:
                pipe.hset(race_key(race), mapping=fields)
                pipe.expire(race_key(race), KEEP_S)
                await pipe.execute()
        except (RedisError, OSError):
            raise _unavailable() from None

    async def _publish(self, race: str, what: Any) -> None:
        try:
            await self._client.publish(RACES, to_json({"race": race, "what": what}))
        except (RedisError, OSError):
            raise _unavailable() from None


def _unavailable() -> GatewayError:
    return GatewayError(Refusal.UNAVAILABLE, "the game cannot reach its Redis")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _new_seed() -> int:
    return secrets.randbelow(2**31)
