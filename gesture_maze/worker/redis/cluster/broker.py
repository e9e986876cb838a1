"""The commands outside the frame path, on a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from typing import Any, Final

import redis

from gesture_maze.producer.cluster.client import ClusterRedis, Command
from gesture_maze.wire import keys
from gesture_maze.wire.errors import NodeLost
from gesture_maze.worker.records import Roster, Standing
from gesture_maze.worker.redis.broker import TRIM_ENTRIES, Broker
from gesture_maze.worker.redis.client import connection_errors
from gesture_maze.worker.redis.cluster.errors import node_errors
from gesture_maze.worker.redis.scripts import lua, standing_of


class ClusterBroker(Broker):
    """`Broker` for a cluster. A method on one partition raises `NodeLost` if the partition's node does not
    serve it.

    A method on several partitions does what the nodes that answer allow, and raises nothing for the others.

    Args:
        client: of the cluster.
        partitions, lease_ttl_ms: as for `Broker`.
    """

    def __init__(self, client: ClusterRedis, partitions: int, lease_ttl_ms: int) -> None:
        super().__init__(client, partitions, lease_ttl_ms)
        self._cluster: Final = client
        self._leases: Final[list[str | None]] = [None] * partitions
        """The leases read last; those on a node that is away are unchanged."""

    def _errors(self, partition: int) -> AbstractContextManager[None]:
        return node_errors(self._cluster, partition)

    def roster(self, worker: str, info: str) -> Roster:
        """See `Broker.roster`. The leases are read just after the roster, not at the same instant."""
        roster = super().roster(worker, info)
        commands: list[Command] = [
            (("GET", keys.lease_key(partition)), {}) for partition in range(self.partitions)
        ]
        for partition, answer in enumerate(self._cluster.run(commands)):
            if not isinstance(answer, Exception):
                self._leases[partition] = answer and answer.decode("utf-8", "backslashreplace")
        return replace(roster, leases=list(self._leases))

    def renew(self, tokens: Mapping[int, str]) -> dict[int, bool]:
        """See `Broker.renew`. Takes one round trip per node."""
        calls = [([keys.lease_key(number)], [self.lease_ttl_ms, token]) for number, token in tokens.items()]
        answers = zip(tokens, self._run_each("renew", calls), strict=True)
        return {number: bool(answer[0]) for number, answer in answers if not isinstance(answer, Exception)}

    def release(self, tokens: Mapping[int, str]) -> None:
        """See `Broker.release`. A lease whose node does not answer expires."""
        self._run_tokens("release", tokens)

    def abandon(self, tokens: Mapping[int, str]) -> None:
        """See `Broker.abandon`. A lease whose node does not answer expires."""
        self._run_tokens("abandon", tokens)

    def _run_tokens(self, name: str, tokens: Mapping[int, str]) -> None:
        calls: list[tuple[list[str], list[Any]]] = [
            ([keys.lease_key(number), keys.suspect_key(number)], [token]) for number, token in tokens.items()
        ]
        self._run_each(name, calls)
        self.wake()

    def free(self, worker: str, partitions: Sequence[int], beyond_ms: int = 0) -> list[int]:
        """See `Broker.free`. Takes one round trip per node."""
        calls = [([keys.lease_key(partition)], [worker, beyond_ms]) for partition in partitions]
        answers = zip(partitions, self._run_each("free", calls), strict=True)
        return [partition for partition, answer in answers if answer == 1]

    def survey(self, partitions: Sequence[int]) -> list[Standing]:
        """See `Broker.survey`. Takes one round trip per node."""
        calls = [([keys.frames_key(partition)], [keys.GROUP]) for partition in partitions]
        answers = zip(partitions, self._run_each("survey", calls), strict=True)
        return [
            standing_of(partition, answer[0])
            for partition, answer in answers
            if not isinstance(answer, Exception) and answer[0]
        ]

    def trim(self, boundaries: Mapping[int, bytes]) -> None:
        """See `Broker.trim`. Takes one round trip per node."""
        commands: list[Command] = [
            (("XTRIM", keys.frames_key(partition), "MINID", "~", boundary, "LIMIT", TRIM_ENTRIES), {})
            for partition, boundary in boundaries.items()
        ]
        for partition, answer in zip(boundaries, self._cluster.run(commands), strict=True):
            if isinstance(answer, redis.RedisError):
                with suppress(NodeLost), self._errors(partition):
                    raise answer

    def memory(self) -> tuple[int, int]:
        """Return the memory use and the limit, in bytes, of the primary that is nearest to its limit."""
        found = []
        with connection_errors():
            for address in self._cluster.primaries():
                if self._cluster.is_away(address):
                    continue
                with suppress(redis.ConnectionError, redis.TimeoutError, OSError):
                    facts: Any = self._cluster.node(address).info("memory")
                    found.append((int(facts.get("used_memory", 0)), int(facts.get("maxmemory", 0))))
        return max(found, key=lambda one: one[0] / one[1] if one[1] else 0.0, default=(0, 0))

    def _run_each(self, name: str, calls: Sequence[tuple[list[str], list[Any]]]) -> list[Any]:
        """Run a script once per call, and return an answer or an exception for each.

        Args:
            name: of the script.
            calls: keys (of one slot) and arguments.
        """
        script = self._cluster.register_script(lua(name))
        with connection_errors(), self._cluster.pipeline(transaction=False) as pipe:
            for script_keys, args in calls:
                script(keys=script_keys, args=args, client=pipe)
            return pipe.execute(raise_on_error=False)
