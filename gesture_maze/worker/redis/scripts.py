"""The only access to the Lua scripts: one function per script, whose signature is its contract.

The text of a script is `lua/<name>.lua`. Shared helpers are in `lua/prelude.lua`, which is prepended to each
script that uses them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, Final

import redis
from redis.commands.core import Script

from gesture_maze.producer.cluster.client import ClusterRedis
from gesture_maze.wire import keys
from gesture_maze.worker.records import COUNTERS, Grant, Roster, Standing

_PRELUDE_NAMES: Final = ("pairs_of", "now_ms")


@cache
def lua(name: str) -> str:
    """Return the text of a script."""
    folder = resources.files("gesture_maze.worker.redis").joinpath("lua")
    text = folder.joinpath(f"{name}.lua").read_text(encoding="utf-8")
    if any(f"{helper}(" in text for helper in _PRELUDE_NAMES):
        return folder.joinpath("prelude.lua").read_text(encoding="utf-8") + text
    return text


def publish_word(client: redis.Redis) -> str:
    """Return the command that publishes replies: sharded channels on a cluster."""
    return "SPUBLISH" if isinstance(client, ClusterRedis) else "PUBLISH"


class Scripts:
    """The pool's scripts, to be run on one client.

    Args:
        client: redis-py's client, or one of its pipelines. With a pipeline every function returns the
            pipeline, and `execute` returns the replies.

    Attributes:
        publish: the command that publishes replies.
    """

    def __init__(self, client: redis.Redis) -> None:
        self.publish: Final = publish_word(client)
        self._client: Final = client
        self._registered: Final[dict[str, Script]] = {}

    def run(self, name: str, script_keys: Sequence[str], *args: Any, client: Any = None) -> Any:
        """Run a script and return its raw reply."""
        script = self._registered.get(name)
        if script is None:
            script = self._registered[name] = self._client.register_script(lua(name))
        return script(keys=list(script_keys), args=list(args), client=client)

    def roster(
        self, worker: str, info: str, lease_ttl_ms: int, partitions: int
    ) -> tuple[Roster, list[bytes | None]]:
        """Register `worker` as live, remove the dead, and return the roster and the topology.

        Args:
            worker: our id.
            info: JSON shown to operators; "" removes the worker.
            lease_ttl_ms: a worker without a heartbeat for longer is dead, unless its info states a longer
                one.
            partitions: written as the topology if Redis holds none.

        Returns:
            The roster (without leases on a cluster, where they are in other slots), and the topology's fields
            `version` and `partitions` in Redis.
        """
        names = [keys.WORKERS, keys.WORKERS_INFO, keys.TOPOLOGY]
        if not isinstance(self._client, ClusterRedis):
            names += [keys.lease_key(partition) for partition in range(partitions)]
        # [server ms, [version, partitions], [worker id, ...], [lease or b"", ...]]
        server_ms, topology, workers, owners = self.run(
            "roster", names, worker, info, lease_ttl_ms, keys.WIRE_VERSION, partitions
        )
        roster = Roster(
            int(server_ms), [_text(name) for name in workers], [_text(owner) or None for owner in owners]
        )
        return roster, topology

    def acquire(self, worker: str, partition: int, lease_ttl_ms: int, cursor: bytes) -> Grant | None:
        """Acquire a partition that is free or ours, and return the grant, or None if another worker holds it.

        Args:
            cursor: where to begin if the group is gone from Redis.
        """
        names = [
            keys.lease_key(partition),
            keys.epoch_key(partition),
            keys.suspect_key(partition),
            keys.frames_key(partition),
            keys.outcomes_key(partition),
            keys.dead_key(partition),
        ]
        probe = keys.actions_channel(partition, keys.PROBE_SESSION)
        # [token, cursor, entries read, suspect until or b"", [name, deaths, ...], [after, until, ...],
        # [count, ...]]
        words = worker, lease_ttl_ms, keys.GROUP, cursor, probe, self.publish, *COUNTERS
        found = self.run("acquire", names, *words)
        if found is None:
            return None
        token, begin, entries_read, suspect_until, deaths, unsafe, counts = found
        died = {name: int(count) for name, count in zip(deaths[::2], deaths[1::2], strict=True)}
        ranges = tuple(zip(unsafe[::2], unsafe[1::2], strict=True))
        counted = dict(zip(COUNTERS, counts, strict=True))
        return Grant(
            partition, _text(token), begin, int(entries_read), suspect_until or None, died, ranges, counted
        )

    def renew(self, tokens: Mapping[int, str], lease_ttl_ms: int) -> dict[int, bool]:
        """Renew leases and return for each partition whether its lease is still ours."""
        leases = [keys.lease_key(partition) for partition in tokens]
        renewed = self.run("renew", leases, lease_ttl_ms, *tokens.values())
        return {partition: bool(good) for partition, good in zip(tokens, renewed, strict=True)}

    def release(self, partition: int, token: str) -> bool:
        """Release a partition whose work is committed, and return whether it was still ours."""
        return bool(self.run("release", [keys.lease_key(partition), keys.suspect_key(partition)], token))

    def abandon(self, partition: int, token: str) -> bool:
        """Delete a lease and keep its entries suspect for the next owner. Return whether the lease was still
        ours."""
        return bool(self.run("abandon", [keys.lease_key(partition), keys.suspect_key(partition)], token))

    def free(self, partition: int, worker: str, beyond_ms: int) -> bool:
        """Delete the lease of a dead worker if it lasts longer than `beyond_ms`, and return whether it was
        deleted."""
        return bool(self.run("free", [keys.lease_key(partition)], worker, beyond_ms))

    def attempt(self, partition: int, token: str, name: str) -> bool:
        """Write a note about suspects, see `worker.quarantine`, and return whether the lease is still
        ours."""
        script_keys = [keys.lease_key(partition), keys.suspect_key(partition)]
        return bool(self.run("attempt", script_keys, token, name))

    def clear_suspects(self, partition: int, token: str) -> bool:
        """Delete the notes about suspects, and return whether the lease is still ours."""
        script_keys = [keys.lease_key(partition), keys.suspect_key(partition)]
        return bool(self.run("clear_suspects", script_keys, token))

    def survey(self, partitions: Sequence[int]) -> list[Standing]:
        """Return the standing of each partition, except of those without a stream or group."""
        streams = [keys.frames_key(partition) for partition in partitions]
        found = self.run("survey", streams, keys.GROUP)
        return [standing_of(partition, row) for partition, row in zip(partitions, found, strict=True) if row]


def standing_of(partition: int, row: Sequence[Any]) -> Standing:
    """Return a standing from a row of `lua/survey.lua`."""
    return Standing(partition, int(row[0]), int(row[1]), row[2], row[3], row[4], int(row[5]))


def _text(raw: bytes) -> str:
    """Return bytes from Redis as text, with invalid UTF-8 escaped."""
    return raw.decode("utf-8", "backslashreplace")
