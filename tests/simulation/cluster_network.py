"""The nodes of a cluster, in simulated time: each with keys, scripts and a clock of its own.

A node knows a table of slots, which may be out of date. It answers MOVED, ASK, TRYAGAIN and CLUSTERDOWN where
a node of a real cluster does, so that the client of `producer.cluster` is tested as it is.
"""

from __future__ import annotations

import copy
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import redis
from fakeredis._helpers import SimpleError

from gesture_maze.producer.cluster.slots import POOL_SLOT, Address, slot_of
from gesture_maze.wire import keys
from tests.simulation.checker import Violation
from tests.simulation.cluster_client import SimCluster, simulated_cluster_time
from tests.simulation.network import ADMIN, Network, Node, Socket
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.server import plan

GOSSIP_S: Final = 0.5
"""A node learns of a new primary of a slot within this time."""
UNBLOCK_S: Final = 0.3
"""A waiting read of a slot that has moved away ends within this time."""
MOST_MOVED: Final = 8
"""Times that a node sends a client on to a primary that all nodes know: commands sent together, and a few."""
CONNECT_TIMEOUT_S: Final = 0.8
"""What `worker.redis.client.node_timeout_s` allows with the time to live of the worlds' leases, 2 s."""


class View(NamedTuple):
    """The primary of a slot as a node knows it; the higher epoch is the later one."""

    epoch: int
    primary: ClusterNode


class ClusterNode(Node):
    """A node of a cluster.

    Attributes:
        address: where it listens.
        view: its table of slots.
        replica: what takes over when it dies.
        alive: whether it answers.
        dark: whether it does not even refuse connections while it is not alive.
        busy: whether its role or its slots change just now.
        parked: reads that wait for entries, by stream.
    """

    def __init__(self, number: int, skew_s: float) -> None:
        super().__init__(skew_s)
        self.address = Address(f"n{number}", 7000 + number)
        self.view: dict[int, View] = {}
        self.replica: ClusterNode | None = None
        self.alive = True
        self.dark = self.busy = False
        self.parked: defaultdict[bytes, list[_Parked]] = defaultdict(list)

    def connecting(self, network: Network) -> None:
        """See `Node`."""
        if not self.alive:
            network.scheduler.sleep(CONNECT_TIMEOUT_S if self.dark else 0.001)
            raise redis.ConnectionError("cannot connect")

    def serves(self, slot: int) -> bool:
        """Return whether the node itself believes that it is the primary of a slot."""
        return self.view[slot].primary is self


@dataclass(eq=False)
class _Parked:
    """A read that waits: an XREAD with BLOCK."""

    socket: Socket
    words: list[bytes]


class _Move(NamedTuple):
    """A slot that moves key by key."""

    source: ClusterNode
    target: ClusterNode


class ClusterNetwork(Network):
    """The nodes of a cluster and the connections to them. `form` must be called before use.

    Attributes:
        full_coverage: whether all nodes refuse commands while a slot has no primary.
    """

    def __init__(self, scheduler: Scheduler, rng: random.Random, trace: Callable[..., None]) -> None:
        super().__init__(scheduler, rng, trace)
        self.nodes: list[ClusterNode] = []  # type: ignore[assignment]
        self.full_coverage = False
        self._slots: list[int] = []
        self._owners: dict[int, ClusterNode] = {}
        self._moves: dict[int, _Move] = {}
        self._epoch = 0
        self._changed_s = 0.0
        self._moved: Counter[tuple[str, Address, str]] = Counter()

    def form(self, primaries: int, partitions: int) -> None:
        """Start primaries and spread the slots of the pool over them."""
        self.full_coverage = self.rng.random() < 0.3
        self._slots = [POOL_SLOT, *[slot_of(keys.frames_key(number)) for number in range(partitions)]]
        found = [self.add_primary() for _ in range(primaries)]
        for at, slot in enumerate(self._slots):
            self._assign(slot, found[at % primaries], self.nodes)

    def add_primary(self) -> ClusterNode:
        """Start a node without slots and its replica, and return it."""
        node = self._add_node()
        node.replica = self._add_node()
        return node

    def _add_node(self) -> ClusterNode:
        node = ClusterNode(len(self.nodes) + 1, self.rng.uniform(-0.02, 0.02))
        self.nodes.append(node)
        if self._owners:
            node.view = {slot: View(0, owner) for slot, owner in self._owners.items()}
        self.running = node
        return node

    def in_force(self) -> Any:
        """As `Network.in_force`; the cluster's client and reader read the simulated clock, too."""
        return simulated_cluster_time(super().in_force(), self.scheduler)

    def client(self, process: Process) -> Any:
        """Return a client of the cluster for a process."""
        return SimCluster(self, process)

    def node_at(self, address: Address) -> ClusterNode:
        """Return the node that listens at an address."""
        return next(node for node in self.nodes if node.address == address)

    def database_of(self, key: str) -> Any:
        """See `Network`."""
        return self.database(self._holder(key))

    def admin_of(self, key: str) -> Any:
        """See `Network`."""
        node = self._holder(key)
        return node.admin(self) if node.alive else None

    def _holder(self, key: str) -> ClusterNode:
        slot = slot_of(key)
        move = self._moves.get(slot)
        if move is not None and key.encode() not in self.database(move.source):
            return move.target
        return self._owners[slot]

    @property
    def is_settled(self) -> bool:
        """See `Network`."""
        return not self._moves and all(node.alive and not node.busy for node in self.nodes)

    # what nodes answer

    def answers(self, socket: Socket, name: str, command: list[bytes]) -> bool:
        """See `Network`: redirections, the table of slots, and reads that wait."""
        node = socket.node
        assert isinstance(node, ClusterNode)
        asking, socket.asking = socket.asking, name == "ASKING"
        if name == "ASKING":
            socket.put_response(b"OK")
        elif name == "CLUSTER":
            table = [(slot, primary, primary.replica) for slot, (_, primary) in node.view.items()]
            socket.put_response(
                [
                    [
                        slot,
                        slot,
                        *([one.address.host.encode(), one.address.port, b""] for one in nodes if one),
                    ]
                    for slot, *nodes in table
                ]
            )
        elif socket.process is not ADMIN and (refusal := self._refusal(node, command, asking=asking)):
            if refusal.startswith("MOVED"):
                self._count_moved(socket.process, node, refusal)
            socket.put_response(socket._decode_result(SimpleError(refusal)))
        elif name == "XREAD" and b"BLOCK" in command:
            self._read_or_park(node, socket, command)
        else:
            return False
        return True

    def _count_moved(self, process: Process, node: ClusterNode, refusal: str) -> None:
        """Check that a client that is sent on learns where a slot is now.

        Before all nodes know it, a client may be sent on, and learn the old primary from another node.
        """
        if self.scheduler.now_s < self._changed_s + GOSSIP_S:
            return
        answer = (process.name, node.address, refusal)
        self._moved[answer] += 1
        if self._moved[answer] > MOST_MOVED:
            raise Violation(f"{process.name} asked {node.address} {MOST_MOVED} times in spite of {refusal}")

    def _refusal(self, node: ClusterNode, command: list[bytes], *, asking: bool) -> str | None:
        """Return what a node answers to a command on a slot that it does not serve, or serves in part."""
        names = keys_of(command)
        if not names:
            return None
        slots = {slot_of(name) for name in names}
        if len(slots) > 1:
            raise Violation(f"{self.name(command)} has keys of several slots: {names}")
        slot = slots.pop()
        if self.full_coverage and any(not owner.alive for owner in self._owners.values()):
            return "CLUSTERDOWN The cluster is down"
        move = self._moves.get(slot)
        missing = sum(name not in self.database(node) for name in names)
        if node.serves(slot):
            if move is None or not missing:
                return None
            if missing < len(names):
                return "TRYAGAIN Multiple keys request during rehashing of slot"
            return f"ASK {slot} {move.target.address}"
        if asking and move is not None and move.target is node:
            if missing and len(names) > 1:
                return "TRYAGAIN Multiple keys request during rehashing of slot"
            return None
        return f"MOVED {slot} {node.view[slot].primary.address}"

    def _read_or_park(self, node: ClusterNode, socket: Socket, command: list[bytes]) -> None:
        at = command.index(b"BLOCK")
        words = [*command[1:at], *command[at + 2 :]]
        parked = _Parked(socket, words)
        if self._try_read(parked):
            return
        stream = words[-2]
        node.parked[stream].append(parked)

        def end() -> None:
            if parked in node.parked[stream]:
                node.parked[stream].remove(parked)
                self._reply(socket, None)

        self.scheduler.at(self.scheduler.now_s + int(command[at + 1]) / 1000, end)

    def _try_read(self, parked: _Parked) -> bool:
        """Answer a read if there are entries, and return whether it waits no longer."""
        if parked.socket._server is None or parked.socket.lost:
            return True
        words = list(parked.words)
        found = parked.socket.perform(plan("xread", len(words)), words, from_script=False)
        if found:
            self._reply(parked.socket, found)
        return bool(found)

    def _reply(self, socket: Socket, reply: Any) -> None:
        if socket._server is not None:
            socket.put_response(socket._decode_result(reply))
            self.answered(socket)

    def entry_added(self, socket: Socket, stream: bytes) -> None:
        """See `Network`: answer the reads that wait for the stream on this node."""
        super().entry_added(socket, stream)
        node = socket.node
        assert isinstance(node, ClusterNode)
        node.parked[stream] = [one for one in node.parked[stream] if not self._try_read(one)]

    # changes

    def _assign(self, slot: int, primary: ClusterNode, sure: Iterable[ClusterNode]) -> None:
        """Make a node the primary of a slot. Those in `sure` know it at once, the others soon."""
        self._epoch += 1
        self._changed_s = self.scheduler.now_s
        self._owners[slot] = primary
        view = View(self._epoch, primary)
        for node in self.nodes:
            if node in sure:
                node.view[slot] = view
                continue

            def learn(node: ClusterNode = node) -> None:
                if node.view[slot].epoch < view.epoch:
                    node.view[slot] = view

            self.scheduler.at(self.scheduler.now_s + self.rng.uniform(0.0, GOSSIP_S), learn)

    def can_fail(self, node: ClusterNode) -> bool:
        """Return whether a node serves slots and has a replica that can take over."""
        return bool(self.slots_of(node)) and node.replica is not None and node.replica.alive

    def slots_of(self, node: ClusterNode) -> list[int]:
        """Return the slots of the pool that a node serves."""
        return [slot for slot in self._slots if self._owners[slot] is node]

    def any_slot(self) -> int:
        """Return one of the slots of the pool."""
        return self.rng.choice(self._slots)

    def owner(self, slot: int) -> ClusterNode:
        """Return the primary of a slot."""
        return self._owners[slot]

    def partitions_of(self, node: ClusterNode) -> list[int]:
        """Return the partitions that a node serves."""
        return [number for number, slot in enumerate(self._slots[1:]) if self._owners[slot] is node]

    def copy_of(self, node: ClusterNode) -> dict[bytes, Any]:
        """Return a copy of everything that a node holds, as its replica has it."""
        return copy.deepcopy(self.database(node)._dict)

    def kill(self, node: ClusterNode, *, dark: bool) -> None:
        """Kill a node; with `dark` its machine, so that its clients wait in vain."""
        node.alive, node.dark = False, dark
        node.life += 1
        node.parked.clear()
        for socket in list(self.sockets):
            if socket.node is node and socket.process is not ADMIN:
                socket.lose(self.rng.uniform(0.5, CONNECT_TIMEOUT_S) if dark else 0.0)

    def replace(self, old: ClusterNode, held: dict[bytes, Any]) -> ClusterNode:
        """Let the replica of a node take over with what it holds, and return it.

        The old node becomes its replica, once it is alive.
        """
        new = old.replica
        assert new is not None
        self.database(new).clear()
        self.database(new).update(held)
        new.server.script_cache.clear()
        for slot in self.slots_of(old):
            self._assign(slot, new, [new, old])
        old.replica, new.replica = None, old
        return new

    def switch(self, old: ClusterNode) -> ClusterNode:
        """Let a replica that has everything take over from a node, which becomes its replica."""
        new = self.replace(old, self.copy_of(old))
        for stream in list(old.parked):
            why = (
                "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"
            )
            self._unblock(old, stream, why)
        return new

    def _unblock(self, node: ClusterNode, stream: bytes, why: str) -> None:
        """End the reads of a stream that wait on a node, some time later."""
        waiting = node.parked.pop(stream, [])

        def end() -> None:
            for parked in waiting:
                self._reply(parked.socket, SimpleError(why))

        self.scheduler.at(self.scheduler.now_s + self.rng.uniform(0.0, UNBLOCK_S), end)

    def begin_move(self, slot: int, target: ClusterNode) -> None:
        """Begin to move a slot key by key."""
        self._moves[slot] = _Move(self._owners[slot], target)

    def move_key(self, slot: int) -> bool:
        """Move another key of a slot, and return whether there was one."""
        source, target = self._moves[slot]
        held = self.database(source)
        for name in list(held):
            if slot_of(name) == slot:
                self.database(target)[name] = held.pop(name)
                return True
        return False

    def end_move(self, slot: int) -> None:
        """Make the target the primary of a slot, whose last keys go with it."""
        source, target = self._moves[slot]
        while self.move_key(slot):
            pass
        del self._moves[slot]
        self._assign(slot, target, [source, target])
        for stream in [one for one in source.parked if slot_of(one) == slot]:
            self._unblock(source, stream, f"MOVED {slot} {target.address}")


def keys_of(command: list[bytes]) -> list[bytes]:
    """Return the keys of a command that the pool uses."""
    name = command[0].upper()
    if name == b"EVALSHA":
        return command[3 : 3 + int(command[2])]
    if name == b"XREAD":
        return [command[-2]]
    if name in (b"XINFO", b"XGROUP"):
        return [command[2]]
    if name in (b"SCRIPT", b"PUBLISH", b"PING", b"INFO", b"CLIENT", b"HELLO", b"SELECT", b"AUTH"):
        return []
    return [command[1]]
