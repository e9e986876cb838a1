"""What swapping models costs the players: latency at a steady rate, with and without swaps.

`python bench/swap.py [--rate 20000] [--seconds 10] [--every 0.5] [--workers 1]`

Every 20 ms one entry per partition with the frames of its sessions: game servers' ticks. Two runs are made:
one left alone, one with a promotion every `--every` seconds, to another model and back. A frame's latency
runs from just before its tick is written to the socket until its reply is read; sending and reading
share one thread. Every frame must be answered once, and by a model that was promoted. Prints one JSON object.
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

from models.bundle import Bundle
from producer.simulator import synthesize
from tests.bundles import bundled, disturbed
from wire import keys
from wire.frames import HAND, META, pack_arrays
from wire.gestures import GESTURES
from worker.registry import ModelRegistry

PARTITIONS = 16
TICK_S = 0.02
WARM_UP_S = 1.0
LATE_MS = 100.0


@dataclass
class Ticks:
    """All that is sent: per tick a list of (stream, fields)."""

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
    """Promotes one model and the other in turn, until told to stop."""

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


def play(url: str, ticks: Ticks) -> tuple[np.ndarray, np.ndarray, int, set[str]]:
    """Send all ticks; when each was sent (ticks,) and answered (ticks, sessions), s; repeats; models."""
    client = redis.Redis.from_url(url, socket_timeout=10, protocol=2)
    sender, listener = client.connection_pool.get_connection(), client.connection_pool.get_connection()
    row_of = {name: row for row, name in enumerate(ticks.sessions)}
    channels = [keys.actions_channel(keys.partition_of(name, PARTITIONS), name) for name in ticks.sessions]
    listener.send_command("SUBSCRIBE", *channels)
    for _ in channels:
        listener.read_response()
    shape = (len(ticks.packed), len(ticks.sessions))
    sent_s, got_s = np.zeros(shape[0]), np.zeros(shape)
    expected, answered, twice, waiting, models = shape[0] * shape[1], 0, 0, 0, set[str]()
    begin, tick = time.perf_counter() + 0.1, 0
    while answered < expected:
        now = time.perf_counter()
        due = begin + tick * TICK_S
        if tick < shape[0] and now >= due:
            commands = [
                ("XADD", stream, "*", "s", s, "m", m, "l", hands)
                for stream, (s, m, hands) in ticks.packed[tick]
            ]
            sent_s[tick] = time.perf_counter()
            sender.send_packed_command(sender.pack_commands(commands))
            waiting += len(commands)
            tick += 1
            continue
        if now > begin + shape[0] * TICK_S + 5:
            break  # what is missing is reported as lost
        ready, _, _ = select.select(
            [listener._sock, sender._sock], [], [], max(due - now, 0) if tick < shape[0] else 0.1
        )
        if sender._sock in ready:
            sender.read_response()
            waiting -= 1
            while waiting and sender.can_read(0):
                sender.read_response()
                waiting -= 1
        while listener._sock in ready and listener.can_read(0):
            message = listener.read_response()[2]
            at = time.perf_counter()
            session, _, rest = message[18:].partition(b'","seq":')
            seq = int(rest[: rest.index(b",")])
            row = row_of[session.decode()]
            twice += got_s[seq, row] > 0
            got_s[seq, row] = at
            models.add(message[message.rindex(b':"') + 2 : -2].decode())
            answered += 1
    return sent_s, got_s, twice, models


def figures(
    sent_s: np.ndarray, got_s: np.ndarray, twice: int, models: set[str], at_s: list[float]
) -> dict[str, object]:
    """The report of one run."""
    warm = int(WARM_UP_S / TICK_S)
    answered = got_s > 0
    latency_ms = np.where(answered, (got_s - sent_s[:, None]) * 1000, np.nan)[warm:]
    p50, p99, p999 = np.nanpercentile(latency_ms, [50, 99, 99.9]).round(3).tolist()
    report: dict[str, object] = {
        "frames": int(answered.size), "lost": int((~answered).sum()), "twice": int(twice),
        "p50_ms": p50, "p99_ms": p99, "p99_9_ms": p999, "max_ms": round(float(np.nanmax(latency_ms)), 3),
        f"over_{LATE_MS:.0f}_ms": int((latency_ms > LATE_MS).sum()), "models": sorted(models),
    }  # fmt: skip
    if at_s:
        # a swap ends within 100 ms of its promotion: 5 ticks
        near = np.array([np.abs(sent_s[warm:] - at).argmin() for at in at_s])
        worst = [float(np.nanmax(latency_ms[max(row - 1, 0) : row + 5])) for row in near]
        report |= {"swaps": len(at_s), "worst_near_a_swap_ms": {
            "p50": round(float(np.median(worst)), 3), "max": round(max(worst), 3)}}  # fmt: skip
    return report


def run(rate: int, seconds: float, every_s: float, workers: int) -> dict[str, object]:
    """One run on a server and workers of its own."""
    ticks = Ticks.make(rate, seconds + WARM_UP_S)
    with redis_server() as url:
        client = redis.Redis.from_url(url)
        settings = {"redis": url, "metrics_port": 0, "log_level": "error"}
        command = [sys.executable, "-m", "worker", json.dumps(settings)]
        pool = [subprocess.Popen([*command, f"bench-{number}"]) for number in range(workers)]
        promoter = Promoter(url, [disturbed(0.9), bundled()], every_s)
        try:
            while len(client.keys("lease:*")) < PARTITIONS:
                time.sleep(0.01)
            time.sleep(1.0)  # shares settle
            if every_s:
                promoter.start()
            sent_s, got_s, twice, models = play(url, ticks)
            promoter.stop.set()
        finally:
            for worker in pool:
                worker.terminate()
            for worker in pool:
                worker.wait(10)
        return figures(sent_s, got_s, twice, models, promoter.at_s)


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
