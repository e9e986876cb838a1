"""A Redis server and the network to it: fakeredis with the real Lua scripts, in simulated time.

`cluster_network` has the same for the nodes of a cluster.

Every command travels: it is executed when the scheduler delivers it, and the client waits for the answer. A
command under way can be lost, executed without an answer, or executed long after its connection is gone.
"""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from hashlib import sha1
from typing import Any, Protocol

import hiredis
import redis
from fakeredis._helpers import SimpleError
from greenlet import getcurrent, greenlet
from redis.backoff import NoBackoff
from redis.retry import Retry

from gesture_maze.wire import keys
from gesture_maze.worker.redis import scripts
from tests.simulation.client import QuickClient, QuickConnection
from tests.simulation.clock import simulated_server_clock
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.server import QuickSocket, new_server

INSTANT = {b"HELLO", b"CLIENT", b"SCRIPT", b"PING", b"AUTH", b"INFO", b"SELECT"}
NEEDS_MEMORY = {b"SET", b"HSET", b"HSETNX", b"HINCRBY", b"ZADD", b"XADD", b"XGROUP CREATE"}
"""Commands that Redis refuses at its memory limit (`denyoom`)."""
WRITES = NEEDS_MEMORY | {
    b"DEL", b"HDEL", b"ZREM", b"ZREMRANGEBYSCORE", b"PEXPIRE", b"XTRIM", b"XGROUP SETID", b"XDEL",
}  # fmt: skip
OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'."
TIMEOUT_S = 2.0
RARE = {"attempt", "clear_suspects", "release", "acquire"}
RARE_WEIGHT = 15
"""Faults of rare commands are as interesting as those of frequent ones, and would hardly ever happen."""
ADMIN = Process("admin")
"""Who looks in from outside: its commands do not travel, do not fail, and are not observed."""


class Observer(Protocol):
    """Sees what the server executes."""

    def before(self, name: str, command: list[bytes]) -> None: ...
    def after(
        self, name: str, command: list[bytes], reply: Any, published: list[tuple[bytes, bytes]]
    ) -> None: ...


class Node:
    """A server.

    Attributes:
        server: fakeredis's.
        skew_s: of its clock, in addition to `Network.skew_s`.
        life: rises when it dies or loses its role; commands that are under way are dropped.
    """

    def __init__(self, skew_s: float = 0.0) -> None:
        self.server = new_server()
        self.skew_s = skew_s
        self.life = 0
        self._admin: Any = None

    def admin(self, network: Network) -> Any:
        """Return a client that looks in from outside."""
        if self._admin is None:
            self._admin = network.node_client(ADMIN, self)
        return self._admin

    def connecting(self, _network: Network) -> None:
        """Raise if a client cannot connect to it."""


class Network:
    """A server and the connections to it.

    Attributes:
        nodes: the servers; the first is the only one without a cluster.
        skew_s: of the servers' clocks.
        out_of_memory: whether the server is at its memory limit.
        added: entries added so far, by stream.
        faults: chance that a command of a worker or a producer meets a fault.
        slow: chance that a command takes up to a second.
    """

    def __init__(self, scheduler: Scheduler, rng: random.Random, trace: Callable[..., None]) -> None:
        self.scheduler, self.rng, self.trace = scheduler, rng, trace
        self.nodes = [Node()]
        self.running = self.nodes[0]
        self.skew_s = 1_800_000_000.0
        self.out_of_memory = False
        self.added: Counter[bytes] = Counter()
        self.faults = self.slow = 0.0
        self.observer: Observer | None = None
        self.on_wake: Callable[[], None] = lambda: None
        self.on_added: Callable[[bytes], None] = lambda _stream: None
        self.on_published: Callable[[bytes, bytes], int] = lambda _channel, _message: 0
        self.names = {sha1(scripts.lua(name).encode()).hexdigest().encode(): name for name in SCRIPTS}
        self.sockets: list[Socket] = []

    def server_s(self) -> float:
        """Return the clock of the server that executes a command, in Unix seconds."""
        return self.scheduler.now_s + self.skew_s + self.running.skew_s

    def database_of(self, _key: str) -> Any:
        """Return fakeredis's database that holds a key, or would."""
        return self.database(self.nodes[0])

    def database(self, node: Node) -> Any:
        """Return fakeredis's database of a server, in which nothing is left that has expired by now."""
        found = node.server.dbs[0]
        found.time = self.scheduler.now_s + self.skew_s + node.skew_s
        return found

    def admin_of(self, _key: str) -> Any:
        """Return a client that looks in from outside where a key is, or None if no server has it now."""
        return self.nodes[0].admin(self)

    @property
    def is_settled(self) -> bool:
        """Whether no change of the servers' roles is under way."""
        return True

    def answers(self, _socket: Socket, _name: str, _command: list[bytes]) -> bool:
        """Answer a command in place of the server, and return whether that was done."""
        return False

    def in_force(self) -> AbstractContextManager[None]:
        """Let fakeredis read the simulated clock."""
        return simulated_server_clock(self.server_s)

    def client(self, process: Process) -> Any:
        """Return a client for a process."""
        return self.node_client(process, self.nodes[0])

    def node_client(self, process: Process, node: Node) -> Any:
        """Return a client of one server for a process."""
        client = QuickClient(server=node.server, version=(7,), retry=Retry(NoBackoff(), 0))
        pool = client.connection_pool
        pool.connection_class = _Connection
        # without the commands that name the library
        pool.connection_kwargs |= {"network": self, "process": process, "node": node, "driver_info": None}
        return client

    def cut(self, process: Process | None = None, share: float = 1.0) -> None:
        """Break a share of the connections of a process, or of all; what is under way may be executed."""
        for socket in self.sockets:
            chosen = socket.process is not ADMIN and process in (None, socket.process)
            if chosen and (share == 1.0 or self.rng.random() < share):
                socket.lose(0.0)

    def copy_of_keys(self) -> dict[bytes, Any]:
        """Return a copy of everything that the server holds, as a replica has it."""
        return copy.deepcopy(self.nodes[0].server.dbs[0]._dict)

    def fail_over(self, replica: dict[bytes, Any]) -> None:
        """Let a replica become the primary: what it lacks is gone, and so are commands that are under way."""
        node = self.nodes[0]
        node.life += 1
        node.server.dbs[0].clear()
        node.server.dbs[0].update(replica)
        node.server.script_cache.clear()
        self.cut()

    def post(self, socket: Socket, command: list[bytes]) -> None:
        """Send a command on its way."""
        if socket.process is ADMIN or command[0].upper() in INSTANT:
            socket.execute(command)
            return
        now_s, rng = self.scheduler.now_s, self.rng
        delay_s = rng.uniform(0.0002, 0.002)
        if self.slow and rng.random() < self.slow:
            delay_s = rng.uniform(0.01, 1.0)
        if socket.process.cut_until_s > now_s:
            socket.lose(TIMEOUT_S)
            return
        chance = min(self.faults * (RARE_WEIGHT if self.name(command) in RARE else 1), 0.5)
        if chance and rng.random() < chance:
            self._fault(socket, command, delay_s)
            return
        socket.due_s = max(socket.due_s, now_s + delay_s)
        self._deliver_at(socket.due_s, socket, command)

    def _deliver_at(self, at_s: float, socket: Socket, command: list[bytes]) -> None:
        node, life = socket.node, socket.node.life

        def deliver() -> None:
            if life == node.life:
                self._deliver(socket, command)

        self.scheduler.at(at_s, deliver)

    def _fault(self, socket: Socket, command: list[bytes], delay_s: float) -> None:
        kinds = ["dropped", "unanswered", "late"]
        if self.name(command) in RARE:
            kinds += ["late", "late"]  # what a fence is there for
        kind = self.rng.choice(kinds)
        self.trace("command_lost", kind=kind, process=socket.process, command=self.name(command))
        if kind != "dropped":
            if kind == "late":
                delay_s = self.rng.uniform(0.3, 3.0)
            self._deliver_at(max(socket.due_s, self.scheduler.now_s + delay_s), socket, command)
        socket.lose(self.rng.choice([0.001, TIMEOUT_S]))

    def _deliver(self, socket: Socket, command: list[bytes]) -> None:
        if socket._server is None:  # the client is gone, and the server reads what it has sent
            node = socket.node
            ghost = Socket(self, Process("network"), node, node.server, client_class=redis.Redis, db=0)
            ghost.execute(command)
            ghost.close()
            return
        socket.execute(command)
        self.answered(socket)

    def answered(self, socket: Socket) -> None:
        """Let a client receive what its socket has got."""
        if socket.waiting is not None and not socket.lost:
            waiting, socket.waiting = socket.waiting, None
            self.scheduler.resume(waiting, self.rng.uniform(0.0001, 0.001))
        elif socket.on_ready is not None:
            socket.on_ready()

    def entry_added(self, _socket: Socket, stream: bytes) -> None:
        """Note that an entry was added to a stream on the server of a socket."""
        self.added[stream] += 1
        self.on_added(stream)

    def name(self, command: list[bytes]) -> str:
        """Return the name of a command, or of the script that it runs."""
        if command[0].upper() == b"EVALSHA":
            return self.names.get(bytes(command[1]), "script")
        return command[0].decode().upper()


SCRIPTS = (
    "abandon", "acquire", "attempt", "clear_suspects", "commit", "free", "release", "renew", "roster",
    "survey",
)  # fmt: skip


class Socket(QuickSocket):
    """The server's end of a connection, and what the client knows of it.

    Attributes:
        asking: whether the next command is one that another node has sent here (ASKING).
        on_ready: called when there is something to receive for a client that waits for several sockets.
    """

    def __init__(self, network: Network, process: Process, node: Node, *args: Any, **kwargs: Any) -> None:
        self.network, self.process, self.node = network, process, node
        self.asking = False
        self.on_ready: Callable[[], None] | None = None
        self.due_s = 0.0
        self.lost = False
        self.waiting: greenlet | None = None
        self._requests = hiredis.Reader()
        self._published: list[tuple[bytes, bytes]] = []
        self._wrote = False
        self._last: Any = None
        self.noticed_s = 0.0
        super().__init__(*args, **kwargs)
        network.sockets.append(self)

    def sendall(self, data: Any) -> None:
        was_lost = self.lost
        self._requests.feed(data)
        while (command := self._requests.gets()) is not False:
            if not self.lost:
                self.network.post(self, command)
        if was_lost:
            raise redis.ConnectionError("the connection is lost")

    def execute(self, command: list[bytes]) -> None:
        """Run a command on the server."""
        observer = None if self.process is ADMIN else self.network.observer
        name = self.network.name(command)
        if self.network.answers(self, name, command):
            return
        self._published, self._wrote = [], False
        self.network.running = self.node
        # what expires now has expired before the observer looks
        self.network.database(self.node)
        if observer is not None:
            observer.before(name, command)
        self._last = None
        self._process_command(command)
        if observer is not None:
            observer.after(name, command, self._last, self._published)
        if name == "PUBLISH" and command[1] == keys.WAKE_CHANNEL.encode():
            self.network.on_wake()
        if name == "XADD":
            self.network.entry_added(self, command[1])

    def put_response(self, msg: Any) -> None:
        self._last = msg
        super().put_response(msg)

    def lose(self, after_s: float) -> None:
        """Lose the connection; the client notices it when it waits for an answer, `after_s` later at most."""
        if self.lost:
            return
        self.lost = True
        self.noticed_s = self.network.scheduler.now_s + after_s
        if self.waiting is not None:
            waiting, self.waiting = self.waiting, None
            self.network.scheduler.resume(waiting, after_s)
        elif self.on_ready is not None:
            self.network.scheduler.at(self.noticed_s, self.on_ready)

    def await_response(self) -> bool:
        """Wait for an answer; False if the connection is lost."""
        while self.responses is not None and not self.responses.qsize():
            if self.lost:
                self.network.scheduler.sleep(max(self.noticed_s - self.network.scheduler.now_s, 0.0))
                return False
            self.waiting = getcurrent()
            self.network.scheduler.suspend()
            if self.lost:
                return False
        return self.responses is not None

    def close(self) -> None:
        if self in self.network.sockets:
            self.network.sockets.remove(self)
        super().close()

    def perform(self, plan: Any, words: list[Any], *, from_script: bool) -> Any:
        if plan.name in WRITES:
            if (
                self.network.out_of_memory
                and plan.name in NEEDS_MEMORY
                and not self._wrote
                and self.process is not ADMIN
            ):
                raise SimpleError(OUT_OF_MEMORY)
            self._wrote = True
        return super().perform(plan, words, from_script=from_script)

    def _lua_redis_call(self, lua_runtime: Any, expected_globals: set[Any], op: bytes, *args: Any) -> Any:
        if op in (b"PUBLISH", b"SPUBLISH"):
            if not args[1]:
                return 0
            self._published.append((args[0], args[1]))
            return self.network.on_published(args[0], args[1])
        return super()._lua_redis_call(lua_runtime, expected_globals, op, *args)


class _Connection(QuickConnection):
    """The client's end."""

    def __init__(self, *args: Any, network: Network, process: Process, node: Node, **kwargs: Any) -> None:
        self._network, self._process, self._node = network, process, node
        super().__init__(*args, **kwargs)

    def _connect(self) -> Socket:
        if self._process.cut_until_s > self._network.scheduler.now_s:
            self._network.scheduler.sleep(1.0)
            raise redis.ConnectionError("cannot connect")
        self._node.connecting(self._network)
        return Socket(
            self._network,
            self._process,
            self._node,
            self._server,
            client_class=self._client_class,
            db=self.db,
            lua_modules=self._lua_modules,
            client_info=self._client_info,
        )

    def can_read(self, timeout: float | None = 0) -> bool:
        socket: Any = self._sock
        if socket is not None and socket.lost and self._network.scheduler.now_s >= socket.noticed_s:
            raise redis.ConnectionError("the connection is lost")
        return bool(super().can_read(timeout))

    def read_response(self, **kwargs: Any) -> Any:
        socket = self._sock
        if socket is None or not socket.await_response():
            self.disconnect()
            raise redis.ConnectionError("the connection is lost")
        return super().read_response(**kwargs)
