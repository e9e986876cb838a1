"""Asks once a second whether Redis takes frames, so that an idle gateway notices a failover, too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
    ReadOnlyError,
    RedisError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from gesture_maze.gateway.logs import UNREACHABLE, Outages
from gesture_maze.producer.cluster.aio import AsyncClusterRedis
from gesture_maze.wire.keys import PROBE_STREAM

EVERY_S: Final = 1.0
AGAIN_S: Final = 0.25
"""Interval of the probes while Redis cannot be reached."""
COMMAND: Final = ("XADD", PROBE_STREAM, "NOMKSTREAM", "MAXLEN", "1", "*", "s", "")
"""A write like a frame's, to a stream that does not exist: it has no effect, and fails as a frame's would."""

DEMOTED: Final = (ReadOnlyError, BusyLoadingError, MasterDownError, ClusterDownError)
"""The server behind the connection is not, or not yet, a primary. Another may be behind the same address."""
UNAVAILABLE: Final = (*UNREACHABLE, NoPermissionError)
"""Errors after which Redis counts as unable to take frames."""


class Probe:
    """Asks Redis whether it takes frames.

    Without the right to write a frame Redis counts as unreachable. An error that concerns one key or passes
    by itself (NOREPLICAS, MISCONF, BUSY, OOM, a stream of another type) does not make it unreachable: each
    frame is refused, or not, for its own reason.

    Args:
        client: a client of its own.
        replace: called with the reason when Redis takes frames again: the subscriptions may be on a server
            that was demoted, or that vanished without closing them.
        outages: for events.
    """

    def __init__(self, client: Redis, replace: Callable[[str], None], outages: Outages) -> None:
        self._client: Final = client
        self._replace: Final = replace
        self._outages: Final = outages
        self._hurry: Final = asyncio.Event()
        self._failed = False
        self.reachable = False
        """Whether Redis took the last write."""

    def hurry(self) -> None:
        """Probe again now, because a frame could not be sent."""
        self._hurry.set()

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self.step()
            self._hurry.clear()
            try:
                await asyncio.wait_for(self._hurry.wait(), EVERY_S if self.reachable else AGAIN_S)
                await asyncio.sleep(AGAIN_S / 5)  # a gateway with 100 ticks a second calls `hurry` often
            except TimeoutError:
                continue

    async def step(self) -> None:
        """Ask once."""
        try:
            await self._ask()
        except DEMOTED as error:
            # the same address may lead to a primary by now
            await self._client.connection_pool.disconnect()
            self._unreachable(str(error))
        except UNAVAILABLE as error:
            self._unreachable(str(error))
        except RedisError:
            self._reachable()
        else:
            self._reachable()

    async def _ask(self) -> None:
        """Ask Redis, or each primary of a cluster until one answers: others may serve their sessions."""
        if not isinstance(self._client, AsyncClusterRedis):
            await self._client.execute_command(*COMMAND)
            return
        fault: Exception = RedisConnectionError("no primary of the cluster answers")
        for address in await self._client.primaries():
            try:
                await self._client.node(address).execute_command(*COMMAND)
            except UNAVAILABLE as error:
                fault = error
            except RedisError:
                return  # it answers, for example that another node serves the slot
            else:
                return
        await self._client.refresh_if_possible()
        raise fault

    def _unreachable(self, fault: str) -> None:
        if self.reachable or not self._failed:
            self._outages.unavailable(fault)
        self.reachable, self._failed = False, True

    def _reachable(self) -> None:
        if not self.reachable:
            self._outages.available()
        if self._failed:
            self._replace("Redis was unavailable")
        self.reachable, self._failed = True, False
