"""The cost of model swaps for players: latency at a steady rate, with and without swaps.

`python bench/swap.py [--rate 20000] [--seconds 10] [--every 0.5] [--workers 1]`

Like the ticks of a game server, every 20 ms one entry per partition is sent with the frames of its sessions.
There are two runs: one without swaps, and one with a promotion every `--every` seconds, to another model and
back. A frame's latency is the time from just before its tick is written to the socket until its reply is
read. Sending and reading share one thread. Every frame must be answered once, by a promoted model; on a busy
machine some are shed in both runs. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import select
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import redis
from servers import redis_server

sys.path.insert(0, str(Path(__file__).parents[1]))

from gesture_maze.models.bundle import Bundle
from gesture_maze.simulator.players import synthesize
from gesture_maze.wire import keys
from gesture_maze.wire.frames import HAND, META, pack_arrays
from gesture_maze.wire.gestures import GESTURES
from gesture_maze.worker.redis.registry import ModelRegistry
from gesture_maze.worker.redis.status import StatusReader
from tests.support.bundles import bundled, disturbed

PARTITIONS = 16
TICK_S = 0.02
WARM_UP_S = 1.0
LATE_MS = 100.0


@dataclass
class Ticks:
    """All frames to send: a list of (stream, fields) per tick."""

    sessions: list[str]
    packed: list[list[tuple[str, tuple[bytes, bytes, bytes]]]] = field(default_factory=list)

    @classmethod
    def make(cls, rate: int, seconds: float) -> Ticks:
        rng = np.random.default_rng(3)
        hands = synthesize(rng.integers(0, len(GESTURES), 1024), rng).landmarks
        ticks = cls([f"player-{number}" for number in range(int(rate * TICK_S))])
        by_partition: dict[int, list[str]] = {}
        for name in ticks.sessions:
            by_partition.setdefault(keys.partition_of(name, PARTITIONS), []).append(name)
        for seq in range(round(seconds / TICK_S)):
            entries = []
            for partition, names in by_partition.items():
                meta = np.empty(len(names), META)
                meta["seq"], meta["captured_ms"] = seq, 1_700_000_000_000 + int(seq * TICK_S * 1000)
                meta["aspect"], meta["flags"] = 4 / 3, HAND
                shown = hands[(seq // 15 + np.arange(len(names))) % len(hands)]
                entries.append((keys.frames_key(partition), pack_arrays(names, meta, shown)))
            ticks.packed.append(entries)
        return ticks


class Promoter(threading.Thread):
    """Promotes two models alternately, until `stop` is set."""

    def __init__(self, url: str, bundles: list[Bundle], every_s: float) -> None:
        super().__init__(daemon=True)
        self._registry = ModelRegistry(redis.Redis.from_url(url))
        self._bundles = [(bundle.version, bundle.to_zip()) for bundle in bundles]
        self._every_s = every_s
        self.stop = threading.Event()
        self.at_s: list[float] = []

    def run(self) -> None:
        while not self.stop.wait(self._every_s):
            version, data = self._bundles[len(self.at_s) % 2]
            self.at_s.append(time.perf_counter())
            self._registry.promote(version, data)


class Exchange:
    """The frames sent and the replies received.

    Attributes:
        sent_s: (ticks,) when each tick was sent.
        got_s: (ticks, sessions) when each frame was answered; 0 if not yet.
        answered, twice: numbers of first replies and of further replies to the same frame.
        models: versions of the models that answered.
    """

    def __init__(self, ticks: Ticks) -> None:
        self.sent_s = np.zeros(len(ticks.packed))
        self.got_s = np.zeros((len(ticks.packed), len(ticks.sessions)))
        self.answered = self.twice = 0
        self.models: set[str] = set()
        self._row_of = {name.encode(): row for row, name in enumerate(ticks.sessions)}

    def reply(self, message: bytes) -> None:
        """Record a reply. It is parsed by hand, because a JSON parser is too slow for 20,000 replies a
        second."""
        session, _, rest = message[len(b'{"v":1,"session":"') :].partition(b'","seq":')
        at = int(rest[: rest.index(b",")]), self._row_of[session]
        if self.got_s[at]:
            self.twice += 1
        else:
            self.answered += 1
        self.got_s[at] = time.perf_counter()
        self.models.add(message[message.rindex(b':"') + 2 : -2].decode())


def play(url: str, ticks: Ticks) -> Exchange:
    """Send all ticks on time, receive replies until every frame is answered or 5 s have passed, and return
    both."""
    client = redis.Redis.from_url(url, socket_timeout=10, protocol=2)
    sender, listener = client.connection_pool.get_connection(), client.connection_pool.get_connection()
    channels = [keys.actions_channel(keys.partition_of(name, PARTITIONS), name) for name in ticks.sessions]
    listener.send_command("SUBSCRIBE", *channels)
    for _ in channels:
        listener.read_response()
    exchange, waiting = Exchange(ticks), 0
    begin, tick = time.perf_counter() + 0.1, 0
    while exchange.answered < exchange.got_s.size:
        now = time.perf_counter()
        due = begin + tick * TICK_S
        if tick < len(ticks.packed) and now >= due:
            exchange.sent_s[tick] = time.perf_counter()
            sender.send_packed_command(sender.pack_commands(adding(ticks.packed[tick])))
            waiting += len(ticks.packed[tick])
            tick += 1
            continue
        if now > begin + len(ticks.packed) * TICK_S + 5:
            break  # missing replies are reported as lost
        wait_s = max(due - now, 0) if tick < len(ticks.packed) else 0.1
        assert listener._sock
        assert sender._sock
        ready, _, _ = select.select([listener._sock, sender._sock], [], [], wait_s)
        while waiting and sender._sock in ready and sender.can_read(0):
            sender.read_response()
            waiting -= 1
        while listener._sock in ready and listener.can_read(0):
            exchange.reply(listener.read_response()[2])
    return exchange


def adding(entries: list[tuple[str, tuple[bytes, bytes, bytes]]]) -> list[tuple[str | bytes, ...]]:
    """Return the XADD commands of a tick."""
    return [("XADD", stream, "*", "s", s, "m", m, "l", hands) for stream, (s, m, hands) in entries]


def figures(exchange: Exchange, shed: int, at_s: list[float]) -> dict[str, object]:
    """Return the report of one run, in which the pool shed `shed` frames."""
    warm = int(WARM_UP_S / TICK_S)
    sent_s, answered = exchange.sent_s, exchange.got_s > 0
    latency_ms = np.where(answered, (exchange.got_s - sent_s[:, None]) * 1000, np.nan)[warm:]
    p50, p99, p999 = np.nanpercentile(latency_ms, [50, 99, 99.9]).round(3).tolist()
    report: dict[str, object] = {
        "frames": int(answered.size), "shed": shed, "lost": int((~answered).sum()) - shed,
        "twice": exchange.twice,
        "p50_ms": p50, "p99_ms": p99, "p99_9_ms": p999, "max_ms": round(float(np.nanmax(latency_ms)), 3),
        f"over_{LATE_MS:.0f}_ms": int((latency_ms > LATE_MS).sum()), "models": sorted(exchange.models),
    }  # fmt: skip
    if at_s:
        # a swap ends within 100 ms of its promotion: 5 ticks
        near = np.array([np.abs(sent_s[warm:] - at).argmin() for at in at_s])
        worst = [float(np.nanmax(latency_ms[max(row - 1, 0) : row + 5])) for row in near]
        report |= {"swaps": len(at_s), "worst_near_a_swap_ms": {
            "p50": round(float(np.median(worst)), 3), "max": round(max(worst), 3)}}  # fmt: skip
    return report


def run(rate: int, seconds: float, every_s: float, workers: int) -> dict[str, object]:
    """Run once, on a new server with new workers, and return the report."""
    ticks = Ticks.make(rate, seconds + WARM_UP_S)
    with redis_server() as url:
        client = redis.Redis.from_url(url)
        settings = {"redis": url, "metrics_port": 0, "log_level": "error"}
        command = [sys.executable, "-m", "gesture_maze.worker", json.dumps(settings)]
        pool = [subprocess.Popen([*command, f"bench-{number}"]) for number in range(workers)]
        promoter = Promoter(url, [disturbed(0.9), bundled()], every_s)
        try:
            while len(client.keys("lease:*")) < PARTITIONS:
                time.sleep(0.01)
            time.sleep(1.0)  # wait until the shares are balanced
            if every_s:
                promoter.start()
            exchange = play(url, ticks)
            outcomes = StatusReader(client).read().outcomes
            promoter.stop.set()
        finally:
            for worker in pool:
                worker.terminate()
            for worker in pool:
                worker.wait(10)
        return figures(exchange, outcomes["stale"] + outcomes["superseded"], promoter.at_s)


def main() -> None:
    """Run and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rate", type=int, default=20_000)
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--every", type=float, default=0.5)
    options.add_argument("--workers", type=int, default=1)
    chosen = options.parse_args()
    report = {"rate": chosen.rate, "workers": chosen.workers} | {
        name: run(chosen.rate, chosen.seconds, every_s, chosen.workers)
        for name, every_s in (("left_alone", 0.0), ("swapping", chosen.every))
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
