"""How a producer agrees with a pool on the number of partitions, in steps. Pure.

Workers write the topology when they start. A producer writes it only if it was given a number: otherwise it
would write a guess into a Redis that was just emptied, and stop a pool with another number.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from gesture_maze.producer import commands
from gesture_maze.producer.asking import Asking
from gesture_maze.producer.errors import Backpressure
from gesture_maze.producer.fates import OUT_OF_MEMORY
from gesture_maze.producer.options import Options
from gesture_maze.producer.plan import Router
from gesture_maze.producer.steps import Steps
from gesture_maze.wire.errors import ConnectionLost, RedisRefused, RefusalReason, SettingsError
from gesture_maze.wire.keys import TOPOLOGY, WIRE_VERSION, check_partitions
from gesture_maze.wire.printable import amount


class Topology(NamedTuple):
    """What the hash `{maze}:topology` holds.

    Attributes:
        version: of the wire.
        partitions: partition count.
        compact: the pool takes compact landmarks, because its model does not use z.
    """

    version: int
    partitions: int
    compact: bool = False


def topology_of(answer: Any) -> Topology | None:
    """Return the topology from the answer to `commands.read_topology`, or None if it is incomplete.

    Raises:
        SettingsError: `topology`, if the hash holds anything but numbers.
    """
    # [b"1", b"16", b"1"], None for a missing field; `compact` is missing in older pools
    if not isinstance(answer, list) or None in answer[:2]:
        return None
    try:
        version, partitions = map(int, answer[:2])
    except ValueError:
        message = f"{TOPOLOGY} in Redis holds {answer!r:.80}, not a version and a partition count"
        raise SettingsError("topology", message) from None
    return Topology(version, partitions, compact=answer[2:] in ([b"1"], ["1"]))


class Connecting:
    """Reads, checks and, if it may, writes the topology.

    Args:
        options: of the producer.
        asking: asks Redis.
    """

    def __init__(self, options: Options, asking: Asking) -> None:
        self._options: Final = options
        self._asking: Final = asking
        self._router: Router | None = None
        self._confirmed = False

    def connect(self) -> Steps[Router]:
        """Return the router of the pool's partitions. Costs nothing once it is known.

        Raises:
            SettingsError: `topology`, if Redis holds another partition count or version.
            ConnectionLost: `connection`, Redis does not answer; `no_pool`, no topology is written, this
                producer was given no number, and no worker started within `timeout_s`.
            RedisRefused: Redis answers with an error.
            Backpressure: `memory`, if Redis has no memory for the topology.
        """
        if self._confirmed and self._router is not None:
            return self._router
        found = yield from self._read()
        if found is None and self._options.partitions is not None:
            found = yield from self._claim(self._options.partitions)
        if found is None and self._router is not None:
            # Redis was emptied: continue with what it held, until a pool has written it again
            return self._router
        if found is None:
            found = yield from self._await()
        self._router = self._agree(found)
        self._confirmed = True
        return self._router

    def check(self, answer: Any) -> None:
        """Compare a later reading of the topology; if it differs, the next `connect` asks again."""
        try:
            found = topology_of(answer)
        except SettingsError:
            found = None
        if found is None or self._router is None or found[:2] != (WIRE_VERSION, self._router.partitions):
            self._confirmed = False
        else:
            self._router.compact = found.compact and self._options.compact

    def _read(self) -> Steps[Topology | None]:
        (answer,) = yield from self._asking.ask([commands.read_topology()])
        return topology_of(answer)

    def _claim(self, partitions: int) -> Steps[Topology | None]:
        """Write the topology, unless another program has done so in the meantime, and return the current
        one."""
        try:
            answers = yield from self._asking.ask(commands.claim_topology(partitions), atomic=True)
        except RedisRefused as error:
            if error.reason == RefusalReason.MEMORY:
                raise Backpressure("memory", f"{OUT_OF_MEMORY}: the topology could not be written") from error
            raise
        return topology_of(answers[-1])

    def _await(self) -> Steps[Topology]:
        """Wait up to `timeout_s` for a worker to write the topology."""
        begin_s, tries = self._asking.clock(), 0
        while self._asking.clock() - begin_s < self._options.timeout_s:
            tries += 1
            yield self._asking.pause(tries)
            found = yield from self._read()
            if found is not None:
                return found
        message = (
            f"no worker has started on this Redis within {self._options.timeout_s:g} s ({TOPOLOGY} is not "
            "written): start `maze worker` and try again, or pass partitions=16, the number that its "
            "workers use by default"
        )
        raise ConnectionLost("no_pool", message)

    def _agree(self, found: Topology) -> Router:
        if found.version != WIRE_VERSION:
            message = (
                f"Redis holds frames of wire version {found.version}; this producer writes {WIRE_VERSION}"
            )
            raise SettingsError("topology", message)
        known = self._router.partitions if self._router else self._options.partitions
        if known not in (None, found.partitions):
            how = "was given" if self._options.partitions else "has been using"
            message = (
                f"Redis has {amount(found.partitions, 'partition')}, this producer {how} {known}: "
                "leave the number out, or empty Redis before you change it, and restart every producer"
            )
            raise SettingsError("topology", message)
        router = self._router or Router(check_partitions(found.partitions))
        router.compact = found.compact and self._options.compact
        return router
