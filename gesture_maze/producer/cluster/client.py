"""A blocking client of a cluster that is used like a `redis.Redis`.

Every command goes to the node that serves its key. A node that is away or a slot without a primary affects
the commands on its keys only; in a pipeline the other commands are done. Nothing is repeated after a lost
answer: the caller decides. A command that a node did not run because the slot has moved is sent on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from redis import Redis, exceptions

from gesture_maze.producer.cluster.slots import POOL_SLOT, Address, Claims, SlotTable, slot_of_command

if TYPE_CHECKING:
    from gesture_maze.producer.cluster.pipeline import ClusterPipeline

REDIRECTS: Final = 5
"""Most redirections of one command while its slot moves."""
TRY_AGAIN_S: Final = 0.02
"""Pause before a command on several keys of a slot that is being moved is tried again."""
REFRESH_S: Final = 0.05
"""Shortest time between two readings of the slot table."""
AWAY_S: Final = 0.2
"""For how long a node that could not be connected to, or did not answer in time, is not tried again: one dead
machine must not delay every command by a timeout."""
NOT_SERVED: Final = "CLUSTERDOWN Hash slot not served"

FAILURES: Final = (exceptions.ConnectionError, exceptions.TimeoutError, OSError)
"""Errors after which it is unknown whether the command was run."""
STALE: Final = (
    *FAILURES,
    exceptions.ReadOnlyError,
    exceptions.MasterDownError,
    exceptions.ClusterDownError,
)
"""Errors after which the table of slots is read again."""

Command = tuple[tuple[Any, ...], dict[str, Any]]
"""Words and options, as redis-py keeps them in a pipeline."""


class ClusterRedis(Redis):
    """A client of a cluster. Connects on first use, and may be used by several threads.

    Args:
        seeds: some of the nodes.
        words: keywords of the connection to each node, as `redis.Redis` takes them.

    Attributes:
        table: which primary serves each slot, as the node that was asked last sees it; empty before the
            first command.
        version: rises whenever the table is read or a redirection names another primary.
        patience: how often a command on several keys is tried again while their slot is moving.
    """

    def __init__(self, seeds: Sequence[Address], words: dict[str, Any]) -> None:
        super().__init__(seeds[0].host, seeds[0].port, **words)
        self.table = SlotTable()
        self.version = 0
        self.patience = REDIRECTS
        self._seeds: Final = list(seeds)
        self._words: Final = words
        self._nodes: Final[dict[Address, Redis]] = {}
        self._callbacks: Final[dict[str, Callable[..., Any]]] = {}
        self._refreshing: Final = threading.Lock()
        self._refreshed_s = float("-inf")
        self._source: Address | None = None
        self._away: Final[dict[Address, float]] = {}
        self._claims: Final = Claims()

    def node(self, address: Address) -> Redis:
        """Return the client of one node. It raises every error that the node answers, including MOVED."""
        found = self._nodes.get(address)
        if found is None:
            found = self._nodes.setdefault(address, self._open_node(address))
            for command, callback in self._callbacks.items():
                found.set_response_callback(command, callback)
        return found

    def _open_node(self, address: Address) -> Redis:
        return Redis(address.host, address.port, **self._words)

    def primary(self, slot: int = POOL_SLOT) -> Address:
        """Return the primary of a slot; by default of the pool-wide keys.

        Raises:
            ConnectionError: no node of the cluster can be reached.
            ClusterDownError: no primary serves the slot.
        """
        if not self.version:
            self.refresh()
        found = self.known_primary(slot)
        if found is None:
            self.refresh()
            found = self.known_primary(slot)
        if found is None:
            raise exceptions.ClusterDownError(NOT_SERVED)
        return found

    def known_primary(self, slot: int) -> Address | None:
        """Return the primary of a slot by what is known, without asking a node; None if it is not known."""
        return self._claims.primary(slot, time.monotonic()) or self.table.primary(slot)

    def primaries(self) -> list[Address]:
        """Return all primaries that serve slots.

        Raises:
            ConnectionError: no node of the cluster can be reached.
        """
        if not self.version:
            self.refresh()
        return list(dict.fromkeys([*self.table.primaries(), *self._claims.addresses(time.monotonic())]))

    def refresh(self, hint: Address | None = None) -> None:
        """Read the table of slots again, unless that was done just now.

        Args:
            hint: the node to ask first: one that MOVED has named knows about the move, so it is asked even
                if another one was asked just now, which may not know.

        Raises:
            ConnectionError: no node can be reached.
            ResponseError: a node is not part of a cluster, or refuses the user.
        """
        with self._refreshing:
            recent = time.monotonic() - self._refreshed_s < REFRESH_S and self.version
            if recent and hint in (None, self._source):
                return
            fault: Exception = exceptions.ConnectionError("no node of the cluster can be reached")
            for address in self._to_ask(hint):
                try:
                    answer = self.node(address).execute_command("CLUSTER SLOTS")
                except (*FAILURES, exceptions.BusyLoadingError) as error:
                    fault = error
                    continue
                self.table = SlotTable.of(answer, address)
                self._refreshed_s, self._source = time.monotonic(), address
                self._claims.on_table(self.table, address, self._refreshed_s)
                self.version += 1
                return
            raise fault

    def learn(self, slot: int, address: Address) -> None:
        """Note that MOVED has named the primary of a slot, and read the table of that node if possible."""
        self._claims.on_moved(slot, address, time.monotonic())
        self.version += 1
        self.refresh_if_possible(address)

    def _to_ask(self, hint: Address | None) -> list[Address]:
        hints = [] if hint is None else [hint]
        return list(dict.fromkeys([*hints, *self.table.addresses(), *self._seeds]))

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run a command on the node that serves its key; SCRIPT LOAD runs on every primary."""
        if args[0] == "SCRIPT LOAD":
            return self._load_script(args)
        answer = self.run([(args, options)])[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _load_script(self, words: tuple[Any, ...]) -> Any:
        """Load a script on every primary that answers."""
        fault: Exception = exceptions.ClusterDownError(NOT_SERVED)
        loaded: Any = None
        for address in self.primaries():
            if self.is_away(address):
                continue
            try:
                loaded = self.node(address).execute_command(*words)
            except FAILURES as error:
                fault = error
        if loaded is None:
            raise fault
        return loaded

    def is_away(self, address: Address) -> bool:
        """Return whether a node could not be connected to just now."""
        return time.monotonic() < self._away.get(address, 0.0)

    def mark_away(self, address: Address) -> None:
        """Note that a node cannot be connected to or does not answer."""
        self._away[address] = time.monotonic() + AWAY_S
        self._claims.forget(address)

    def doubt(self, slot: int) -> None:
        """Note that the primary of a slot has failed: tables decide again which slots it serves."""
        address = self._claims.primary(slot, time.monotonic())
        if address is not None:
            self._claims.forget(address)

    def run(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands, per node in one round trip, and return an answer or an exception for each."""
        answers: list[Any] = [None] * len(commands)
        sent, unsent = [], {}
        for address, at in self._by_node(commands, answers).items():
            try:
                connection = self._connection(address)
            except FAILURES as error:
                _fill(answers, at, error)
                unsent[address] = at
                continue
            try:
                self._send(address, connection, [commands[index] for index in at])
            except FAILURES as error:
                _fill(answers, at, error)
            else:
                sent.append((address, connection, at))
        for address, connection, at in sent:
            self._receive(address, connection, [commands[index] for index in at], at, answers)
        self._check_nodes(commands, answers)
        for index in self._served_elsewhere(commands, unsent):
            answers[index] = self._run_elsewhere(*commands[index])
        for index, answer in enumerate(answers):
            if isinstance(answer, (exceptions.AskError, exceptions.MovedError, exceptions.TryAgainError)):
                answers[index] = self._redirected(*commands[index], answer)
        return answers

    def _check_nodes(self, commands: Sequence[Command], answers: Sequence[Any]) -> None:
        """Read the table of slots again if a node has failed or does not serve its slots."""
        failed = [at for at, answer in enumerate(answers) if isinstance(answer, STALE)]
        for at in failed:
            self.doubt(slot_of_command(commands[at][0]))
        if failed:
            self.refresh_if_possible()

    def _served_elsewhere(self, commands: Sequence[Command], unsent: dict[Address, list[int]]) -> list[int]:
        """Return the commands that could not be sent and whose slot another node now serves."""
        return [
            index
            for address, at in unsent.items()
            for index in at
            if self.known_primary(slot_of_command(commands[index][0])) not in (None, address)
        ]

    def _run_elsewhere(self, words: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Send a command that was never sent to the node that serves its slot now."""
        try:
            return self._run_on(self.node(self.primary(slot_of_command(words))), words, options)
        except (exceptions.RedisError, OSError) as error:
            return error

    def _by_node(self, commands: Sequence[Command], answers: list[Any]) -> dict[Address, list[int]]:
        """Return the commands of each node; those of slots without a primary are answered here."""
        found: dict[Address, list[int]] = {}
        try:
            self.primaries()
        except (exceptions.RedisError, OSError) as error:
            _fill(answers, range(len(commands)), error)
            return found
        for index, (words, _) in enumerate(commands):
            try:
                address = self.primary(slot_of_command(words))
            except (exceptions.RedisError, OSError) as error:
                answers[index] = error
            else:
                found.setdefault(address, []).append(index)
        return found

    def _connection(self, address: Address) -> Any:
        if self.is_away(address):
            raise exceptions.ConnectionError(f"{address} cannot be reached")
        pool: Any = self.node(address).connection_pool
        try:
            return pool.get_connection()
        except FAILURES:
            self.mark_away(address)
            raise

    def _send(self, address: Address, connection: Any, commands: Sequence[Command]) -> None:
        pool: Any = self.node(address).connection_pool
        try:
            connection.send_packed_command(connection.pack_commands([words for words, _ in commands]))
        except BaseException:
            connection.disconnect()
            pool.release(connection)
            raise

    def _receive(
        self,
        address: Address,
        connection: Any,
        commands: Sequence[Command],
        at: list[int],
        answers: list[Any],
    ) -> None:
        node = self.node(address)
        pool: Any = node.connection_pool
        done = 0
        try:
            for index, (words, options) in zip(at, commands, strict=True):
                try:
                    answers[index] = node.parse_response(connection, words[0], **options)
                except exceptions.ResponseError as error:
                    answers[index] = error
                done += 1
        except FAILURES as error:
            if isinstance(error, (exceptions.TimeoutError, TimeoutError)):
                self.mark_away(address)
            _fill(answers, at[done:], error)
        finally:
            if done < len(at):
                connection.disconnect()
            pool.release(connection)

    def _redirected(self, words: tuple[Any, ...], options: dict[str, Any], error: Any) -> Any:
        """Send a command on while its slot moves, and return its answer or an exception."""
        for tried in range(REDIRECTS):
            if isinstance(error, exceptions.MovedError):  # before AskError, of which it is a subclass
                run, address = self._run_on, Address(error.host, error.port)
                self.learn(error.slot_id, address)
            elif isinstance(error, exceptions.AskError):
                run, address = self._ask, Address(error.host, error.port)
            else:
                if tried >= self.patience:
                    break
                time.sleep(TRY_AGAIN_S)
                run, address = self._run_on, self.primary(slot_of_command(words))
            try:
                return run(self.node(address), words, options)
            except (exceptions.AskError, exceptions.MovedError, exceptions.TryAgainError) as again:
                error = again
            except (exceptions.RedisError, OSError) as fault:
                return fault
        # the slot is still moving: worth another try later
        return exceptions.TryAgainError(str(error))

    def _run_on(self, node: Redis, words: tuple[Any, ...], options: dict[str, Any]) -> Any:
        return node.execute_command(*words, **options)

    def _ask(self, node: Redis, words: tuple[Any, ...], options: dict[str, Any]) -> Any:
        with node.pipeline(transaction=False) as pipe:
            pipe.execute_command("ASKING")
            pipe.execute_command(*words, **options)
            answer = pipe.execute(raise_on_error=False)[1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def refresh_if_possible(self, hint: Address | None = None) -> None:
        """Read the table of slots again, but keep the old one if no node answers."""
        try:
            self.refresh(hint)
        except (exceptions.RedisError, OSError):
            return  # the commands have failed already, and the next ones try again

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> ClusterPipeline:  # noqa: ARG002
        """Return a pipeline; a transaction may use keys of one slot only."""
        from gesture_maze.producer.cluster.pipeline import ClusterPipeline

        return ClusterPipeline(self, transaction)

    def pubsub(self, **words: Any) -> Any:
        """Return a subscriber of channels that are published to the whole cluster, on one node of it."""
        return self.node(self._subscribed()).pubsub(**words)

    def _subscribed(self) -> Address:
        """Return a node that answers, the primary of the pool-wide keys if it does."""
        first = self.primary()
        for address in [first, *self.primaries()]:
            try:
                self.node(address).ping()
            except FAILURES:
                continue
            return address
        return first

    def set_response_callback(self, command: str, callback: Callable[..., Any]) -> None:
        """Set redis-py's callback for the answers to a command, on every node."""
        self._callbacks[command] = callback
        for node in list(self._nodes.values()):
            node.set_response_callback(command, callback)

    def close(self) -> None:
        """Close the connections to all nodes."""
        for node in list(getattr(self, "_nodes", {}).values()):
            node.close()


def _fill(answers: list[Any], at: Sequence[int], error: Exception) -> None:
    for index in at:
        answers[index] = error
