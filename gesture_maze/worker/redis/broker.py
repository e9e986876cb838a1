"""Redis's command words for everything rare: ownership, roster, rebuilding, surveying.

With `worker.redis.streams` (the hot path) this is the only module of the pool that knows them; the rest speaks our
nouns. No connection retries by itself: redis-py would send a commit twice. One that fails raises
`ConnectionLost`; the worker then takes its partitions again under a new epoch, which fences whatever the old
connection may still deliver.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib import resources
from typing import Any, Final

import redis

from gesture_maze.producer.address import open_client
from gesture_maze.wire import keys
from gesture_maze.wire.errors import ConnectionLost, Refused, SettingsError
from gesture_maze.worker.records import Grant, Read, Roster, Standing

SOCKET_TIMEOUT_S: Final = 5.0
"""Longest wait for an answer to a command that does not block."""
WAKE_CHANNEL: Final = "maze:wake"
"""Published when partitions come free or workers come and go, so that nobody waits for the next heartbeat."""
WORKERS_INFO: Final = "maze:workers:info"


@contextmanager
def connection_errors() -> Iterator[None]:
    """Turn redis-py's errors into ours."""
    try:
        yield
    except (redis.AuthenticationError, redis.exceptions.NoPermissionError) as error:
        message = f"Redis does not let us in: {error}; check user, password and access list"
        raise SettingsError("settings", message) from None
    except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
        raise ConnectionLost("connection", f"Redis: {error}") from error
    except redis.ResponseError as error:
        raise Refused("connection", f"Redis refuses: {error}") from error


def connect(url: str, client_name: str) -> redis.Redis:
    """A client with explicit time-outs and no retries of its own. Does not connect yet."""
    return open_client(url, name=client_name, timeout_s=SOCKET_TIMEOUT_S)


class Broker:
    """Rare commands: ownership, roster, rebuilding, surveying.

    Args:
        client: its pool is used from two threads and gives each its own connection.
        partitions: number of partitions.
        lease_ttl_ms: time to live of a lease.
    """

    def __init__(self, client: redis.Redis, partitions: int, lease_ttl_ms: int) -> None:
        self.client: Final = client
        self.partitions: Final = partitions
        self.lease_ttl_ms: Final = lease_ttl_ms

    @cached_property
    def _scripts(self) -> dict[str, Any]:
        names = ("acquire", "renew", "release", "roster", "attempt", "survey")
        return {name: self.client.register_script(lua(name)) for name in names}

    def _run(self, script: str, script_keys: Sequence[str], *args: str | bytes | int) -> Any:
        with connection_errors():
            return self._scripts[script](keys=list(script_keys), args=list(args))

    def roster(self, worker: str, info: str) -> Roster:
        """Say that `worker` lives (`info` is shown to operators; "" = it is leaving) and see who else does.

        Raises:
            SettingsError: another topology than ours is written in Redis.
        """
        leases = [keys.lease_key(partition) for partition in range(self.partitions)]
        script_keys = [keys.WORKERS, WORKERS_INFO, keys.TOPOLOGY, *leases]
        # -> [server ms, [version, partitions], [worker id, ...], [lease or b"", ...]]
        server_ms, topology, workers, owners = self._run(
            "roster", script_keys, worker, info, self.lease_ttl_ms, keys.WIRE_VERSION, self.partitions
        )
        self._check_topology(topology)
        return Roster(
            int(server_ms), [name.decode() for name in workers], [o.decode() or None for o in owners]
        )

    def _check_topology(self, topology: list[bytes | None]) -> None:
        version, partitions = topology
        if version is None or partitions is None:
            return  # we are leaving an empty Redis
        if (int(version), int(partitions)) != (keys.WIRE_VERSION, self.partitions):
            message = (
                f"{keys.TOPOLOGY} in Redis says wire version {int(version)} and {int(partitions)} "
                f"partitions, this worker has version {keys.WIRE_VERSION} and {self.partitions}: "
                f"start it with --partitions {int(partitions)}"
            )
            raise SettingsError("topology", message)

    def acquire(self, worker: str, partition: int, cursor: bytes = b"0-0") -> Grant | None:
        """Take a partition that is free or already ours; None where another worker holds it.

        Args:
            worker: our id.
            partition: which one.
            cursor: where to begin if the group is gone from Redis.
        """
        script_keys = [
            keys.lease_key(partition),
            keys.epoch_key(partition),
            keys.suspect_key(partition),
            keys.frames_key(partition),
        ]
        # -> [token, cursor, entries read, suspect until or b""]
        found = self._run("acquire", script_keys, worker, self.lease_ttl_ms, keys.GROUP, cursor)
        if found is None:
            return None
        token, begin, entries_read, suspect_until = found
        return Grant(partition, token.decode(), begin, int(entries_read), suspect_until or None)

    def renew(self, tokens: Mapping[int, str]) -> set[int]:
        """Renew our leases; the partitions that are not ours any more."""
        if not tokens:
            return set()
        leases = [keys.lease_key(partition) for partition in tokens]
        renewed = self._run("renew", leases, self.lease_ttl_ms, *tokens.values())
        return {partition for partition, good in zip(tokens, renewed, strict=True) if not good}

    def release(self, tokens: Mapping[int, str]) -> None:
        """Let go of partitions in good order and wake who waits for them."""
        for partition, token in tokens.items():
            self._run("release", [keys.lease_key(partition), keys.suspect_key(partition)], token)
        self.wake()

    def release_dead(self, worker: str) -> list[int]:
        """Free the leases of a worker known to be dead, so that nobody waits for them to run out.

        Its suspect notes stay, for the next owner has to know that it died.
        """
        freed = []
        with connection_errors():
            leases = [keys.lease_key(partition) for partition in range(self.partitions)]
            holders: Any = self.client.mget(leases)
            for partition, holder in enumerate(holders):
                if holder and holder.decode().rpartition(":")[0] == worker:
                    self.client.delete(leases[partition])
                    freed.append(partition)
            self.client.zrem(keys.WORKERS, worker)
            self.client.hdel(WORKERS_INFO, worker)
        self.wake()
        return freed

    def wake(self) -> None:
        """Wake the other workers' lease keepers."""
        with connection_errors():
            self.client.publish(WAKE_CHANNEL, "")

    def wake_listener(self) -> Any:
        """A subscription to `wake` (redis-py's PubSub), on a connection of its own."""
        with connection_errors():
            listener = self.client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
            listener.subscribe(WAKE_CHANNEL)
            return listener

    def attempt(self, grant: Grant, frame: str) -> int:
        """Note that a suspect frame is about to be tried alone; how many that killed before, -1 if fenced."""
        script_keys = [keys.lease_key(grant.partition), keys.suspect_key(grant.partition)]
        return int(self._run("attempt", script_keys, grant.token, frame))

    def clear_suspects(self, grant: Grant) -> None:
        """Forget the notes about suspects: all of them are done with."""
        with connection_errors():
            key = keys.suspect_key(grant.partition)
            self.client.delete(key)
            self.client.hset(key, "owner", grant.token)

    def survey(self, partitions: Sequence[int]) -> list[Standing]:
        """Where these partitions stand; those whose stream or group is gone are left out."""
        if not partitions:
            return []
        streams = [keys.frames_key(partition) for partition in partitions]
        found = self._run("survey", streams, keys.GROUP)
        # row: [added, length, last id, cursor, entries read] or []
        return [
            Standing(partition, int(row[0]), int(row[1]), row[2], row[3], int(row[4]))
            for partition, row in zip(partitions, found, strict=True)
            if row
        ]

    def past(self, grant: Grant, since_ms: int, count: int) -> Read:
        """Up to `count` committed entries, from server time `since_ms` to the cursor, newest kept."""
        with connection_errors():
            # [(id, {name: value, ...}), ...], newest first
            raw: Any = self.client.xrevrange(
                keys.frames_key(grant.partition), max=grant.cursor.decode(), min=max(since_ms, 0), count=count
            )
        raw.reverse()
        fields = [[part for pair in named.items() for part in pair] for _, named in raw]
        return Read(grant.partition, [entry_id for entry_id, _ in raw], fields)

    def unblock(self, client_id: int) -> None:
        """End a blocked read of ours now."""
        with connection_errors():
            self.client.client_unblock(client_id)


def lua(name: str) -> str:
    """The text of a script in `worker/lua/`."""
    return resources.files("gesture_maze.worker.redis").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
