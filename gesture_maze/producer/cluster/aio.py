"""`AsyncClusterRedis`: the same as `producer.cluster.client`, for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from gesture_maze.producer.cluster.client import (
    AWAY_S,
    FAILURES,
    NOT_SERVED,
    REDIRECTS,
    REFRESH_S,
    STALE,
    TRY_AGAIN_S,
    Command,
)
from gesture_maze.producer.cluster.pipeline import texts_of
from gesture_maze.producer.cluster.slots import POOL_SLOT, Address, Claims, SlotTable, slot_of_command


class AsyncClusterRedis(Redis):
    """A client of a cluster for one asyncio loop, see `ClusterRedis`."""

    def __init__(self, seeds: Sequence[Address], words: dict[str, Any]) -> None:
        super().__init__(host=seeds[0].host, port=seeds[0].port, **words)
        self.table = SlotTable()
        self.version = 0
        self._seeds: Final = list(seeds)
        self._words: Final = words
        self._nodes: Final[dict[Address, Redis]] = {}
        self._refreshing: Final = asyncio.Lock()
        self._refreshed_s = float("-inf")
        self._source: Address | None = None
        self._away: Final[dict[Address, float]] = {}
        self._claims: Final = Claims()

    def node(self, address: Address) -> Redis:
        """See `ClusterRedis.node`."""
        found = self._nodes.get(address)
        if found is None:
            found = self._nodes[address] = Redis(host=address.host, port=address.port, **self._words)
        return found

    async def primary(self, slot: int = POOL_SLOT) -> Address:
        """See `ClusterRedis.primary`."""
        if not self.version:
            await self.refresh()
        found = self.known_primary(slot)
        if found is None:
            await self.refresh()
            found = self.known_primary(slot)
        if found is None:
            raise exceptions.ClusterDownError(NOT_SERVED)
        return found

    def known_primary(self, slot: int) -> Address | None:
        """See `ClusterRedis.known_primary`."""
        return self._claims.primary(slot, time.monotonic()) or self.table.primary(slot)

    async def primaries(self) -> list[Address]:
        """See `ClusterRedis.primaries`."""
        if not self.version:
            await self.refresh()
        return list(dict.fromkeys([*self.table.primaries(), *self._claims.addresses(time.monotonic())]))

    async def refresh(self, hint: Address | None = None) -> None:
        """See `ClusterRedis.refresh`."""
        async with self._refreshing:
            recent = time.monotonic() - self._refreshed_s < REFRESH_S and self.version
            if recent and hint in (None, self._source):
                return
            fault: Exception = exceptions.ConnectionError("no node of the cluster can be reached")
            hints = [] if hint is None else [hint]
            for address in dict.fromkeys([*hints, *self.table.addresses(), *self._seeds]):
                try:
                    answer = await self.node(address).execute_command("CLUSTER SLOTS")
                except (*FAILURES, exceptions.BusyLoadingError) as error:
                    fault = error
                    continue
                self.table = SlotTable.of(answer, address)
                self._refreshed_s, self._source = time.monotonic(), address
                self._claims.on_table(self.table, address, self._refreshed_s)
                self.version += 1
                return
            raise fault

    async def learn(self, slot: int, address: Address) -> None:
        """See `ClusterRedis.learn`."""
        self._claims.on_moved(slot, address, time.monotonic())
        self.version += 1
        await self.refresh_if_possible(address)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """See `ClusterRedis.execute_command`."""
        if args[0] == "SCRIPT LOAD":
            return await self._load_script(args)
        answer = (await self.run([(args, options)]))[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _load_script(self, words: tuple[Any, ...]) -> Any:
        fault: Exception = exceptions.ClusterDownError(NOT_SERVED)
        loaded: Any = None
        for address in await self.primaries():
            if self.is_away(address):
                continue
            try:
                loaded = await self.node(address).execute_command(*words)
            except FAILURES as error:
                fault = error
        if loaded is None:
            raise fault
        return loaded

    def is_away(self, address: Address) -> bool:
        """See `ClusterRedis.is_away`."""
        return time.monotonic() < self._away.get(address, 0.0)

    def mark_away(self, address: Address) -> None:
        """See `ClusterRedis.mark_away`."""
        self._away[address] = time.monotonic() + AWAY_S
        self._claims.forget(address)

    def doubt(self, slot: int) -> None:
        """See `ClusterRedis.doubt`."""
        address = self._claims.primary(slot, time.monotonic())
        if address is not None:
            self._claims.forget(address)

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        """See `ClusterRedis.run`. The nodes answer at the same time."""
        answers: list[Any] = [None] * len(commands)
        by_node = await self._by_node(commands, answers)
        unsent: dict[Address, list[int]] = {}
        parts = [self._run_on(address, commands, at, answers, unsent) for address, at in by_node.items()]
        if len(parts) == 1:
            await parts[0]
        else:
            await asyncio.gather(*parts)
        failed = [index for index, answer in enumerate(answers) if isinstance(answer, STALE)]
        for index in failed:
            self.doubt(slot_of_command(commands[index][0]))
        if failed:
            await self.refresh_if_possible()
        for address, at in unsent.items():
            for index in at:
                slot = slot_of_command(commands[index][0])
                if self.known_primary(slot) not in (None, address):
                    answers[index] = await self._run_elsewhere(*commands[index])
        for index, answer in enumerate(answers):
            if isinstance(answer, (exceptions.AskError, exceptions.MovedError, exceptions.TryAgainError)):
                answers[index] = await self._redirected(*commands[index], answer)
        return answers

    async def _run_elsewhere(self, words: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Send a command that was never sent to the node that serves its slot now."""
        try:
            node = self.node(await self.primary(slot_of_command(words)))
            return await node.execute_command(*words, **options)
        except (exceptions.RedisError, OSError) as error:
            return error

    async def _by_node(self, commands: Sequence[Command], answers: list[Any]) -> dict[Address, list[int]]:
        found: dict[Address, list[int]] = {}
        try:
            await self.primaries()
        except (exceptions.RedisError, OSError) as error:
            answers[:] = [error] * len(answers)
            return found
        for index, (words, _) in enumerate(commands):
            try:
                address = await self.primary(slot_of_command(words))
            except (exceptions.RedisError, OSError) as error:
                answers[index] = error
            else:
                found.setdefault(address, []).append(index)
        return found

    async def _run_on(
        self,
        address: Address,
        commands: Sequence[Command],
        at: list[int],
        answers: list[Any],
        unsent: dict[Address, list[int]],
    ) -> None:
        """Run the commands at some indices on a node, and fill in their answers or note them as unsent."""
        done = 0
        node = self.node(address)
        pool: Any = node.connection_pool
        try:
            connection = await self._connection(address)
        except FAILURES as error:
            unsent[address] = at
            for index in at:
                answers[index] = error
            return
        try:
            try:
                packed = connection.pack_commands([commands[index][0] for index in at])
                await connection.send_packed_command(packed)
                for index in at:
                    words, options = commands[index]
                    try:
                        answers[index] = await node.parse_response(connection, words[0], **options)
                    except exceptions.ResponseError as error:
                        answers[index] = error
                    done += 1
            finally:
                if done < len(at):
                    await connection.disconnect(nowait=True)
                await pool.release(connection)
        except FAILURES as error:
            if isinstance(error, (exceptions.TimeoutError, TimeoutError)):
                self.mark_away(address)
            for index in at[done:]:
                answers[index] = error

    async def _connection(self, address: Address) -> Any:
        if self.is_away(address):
            raise exceptions.ConnectionError(f"{address} cannot be reached")
        pool: Any = self.node(address).connection_pool
        try:
            return await pool.get_connection()
        except FAILURES:
            self.mark_away(address)
            raise

    async def _redirected(self, words: tuple[Any, ...], options: dict[str, Any], error: Any) -> Any:
        for _ in range(REDIRECTS):
            asking = not isinstance(error, exceptions.MovedError)  # which is a subclass of AskError
            try:
                if isinstance(error, exceptions.AskError):
                    address = Address(error.host, error.port)
                    if not asking:
                        await self.learn(error.slot_id, address)
                else:
                    asking = False
                    await asyncio.sleep(TRY_AGAIN_S)
                    address = await self.primary(slot_of_command(words))
                return await self._run_redirected(self.node(address), words, options, asking=asking)
            except (exceptions.AskError, exceptions.MovedError, exceptions.TryAgainError) as again:
                error = again
            except (exceptions.RedisError, OSError) as fault:
                return fault
        # the slot is still moving: worth another try later
        return exceptions.TryAgainError(str(error))

    async def _run_redirected(
        self, node: Redis, words: tuple[Any, ...], options: dict[str, Any], *, asking: bool
    ) -> Any:
        if not asking:
            return await node.execute_command(*words, **options)
        async with node.pipeline(transaction=False) as pipe:
            pipe.execute_command("ASKING")
            pipe.execute_command(*words, **options)
            answer = (await pipe.execute(raise_on_error=False))[1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def refresh_if_possible(self, hint: Address | None = None) -> None:
        """Read the table of slots again, but keep the old one if no node answers."""
        try:
            await self.refresh(hint)
        except (exceptions.RedisError, OSError):
            return  # the commands have failed already, and the next ones try again

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> AsyncClusterPipeline:  # noqa: ARG002
        """See `ClusterRedis.pipeline`."""
        return AsyncClusterPipeline(self, transaction)

    async def subscribed(self) -> Redis:
        """Return the client of a node that answers, for channels that are published to the whole cluster."""
        first = await self.primary()
        for address in [first, *await self.primaries()]:
            try:
                await self.node(address).execute_command("PING")
            except FAILURES:
                continue
            return self.node(address)
        return self.node(first)

    def set_response_callback(self, command: str, callback: Callable[..., Any]) -> None:
        """Not supported on a cluster by the asyncio client."""
        raise NotImplementedError(command)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close the connections to all nodes."""
        for node in list(self._nodes.values()):
            await node.aclose(close_connection_pool)
        await super().aclose(close_connection_pool)


class AsyncClusterPipeline(Pipeline):
    """Asyncio version of `ClusterPipeline`."""

    def __init__(self, cluster: AsyncClusterRedis, transaction: bool) -> None:
        super().__init__(cluster.connection_pool, cluster.response_callbacks, transaction, None)
        self._cluster: Final = cluster

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """See `ClusterPipeline.execute`."""
        commands: list[Command] = [(tuple(words), dict(options)) for words, options in self.command_stack]
        texts = {script.sha: script.script for script in self.scripts}
        await self.reset()  # type: ignore[no-untyped-call]
        if not commands:
            return []
        if self.is_transaction:
            return await self._run_atomically(commands, raise_on_error)
        answers = await self._cluster.run(commands)
        unknown = [at for at, one in enumerate(answers) if isinstance(one, exceptions.NoScriptError)]
        if unknown:
            await self._load(texts_of([commands[at] for at in unknown], texts))
            again = await self._cluster.run([commands[at] for at in unknown])
            for at, answer in zip(unknown, again, strict=True):
                answers[at] = answer
        if raise_on_error:
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
        return answers

    async def _load(self, texts: Sequence[Any]) -> None:
        for text in texts:
            with suppress(exceptions.RedisError):
                await self._cluster.execute_command("SCRIPT LOAD", text)

    async def _run_atomically(self, commands: list[Command], raise_on_error: bool) -> list[Any]:
        slot = slot_of_command(commands[0][0])
        for tried in range(REDIRECTS):
            node = self._cluster.node(await self._cluster.primary(slot))
            async with node.pipeline(transaction=True) as pipe:
                for words, options in commands:
                    pipe.execute_command(*words, **options)
                try:
                    return list(await pipe.execute(raise_on_error))
                except (exceptions.MovedError, exceptions.AskError, exceptions.ExecAbortError) as error:
                    if tried == REDIRECTS - 1:
                        raise
                    await asyncio.sleep(TRY_AGAIN_S)
                    if isinstance(error, exceptions.MovedError):
                        await self._cluster.learn(slot, Address(error.host, error.port))
                    else:
                        await self._cluster.refresh()
        raise AssertionError("unreachable")
