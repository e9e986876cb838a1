"""The latency from XADD to the subscriber at a given rate.

`python bench/latency.py [--rate 3000] [--sessions 100] [--seconds 20] [--poisson]`

One worker process, single-frame entries at an even rate or with random gaps, every session's channel
subscribed. A frame's latency is the time from just before its XADD is written to the socket until its reply
is read. Sending and reading share one thread, so that the figures include no lock of this program. Prints
one JSON object.
"""

from __future__ import annotations

import argparse
import gc
import json
import select
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import redis
from servers import redis_server

from gesture_maze.simulator.players import synthesize
from gesture_maze.wire import keys
from gesture_maze.wire.frames import HAND, META, pack_arrays
from gesture_maze.wire.gestures import GESTURES

PARTITIONS = 16
WARM_UP_S = 2.0
Packed = tuple[bytes, bytes, bytes]
Command = tuple[str | bytes, ...]


def added(stream: str, frame: Packed) -> Command:
    """Return the command that adds a frame to its partition's stream."""
    s, m, landmarks = frame
    return ("XADD", stream, "*", "s", s, "m", m, "l", landmarks)


def entries(rate: int, sessions: int, seconds: float) -> list[tuple[str, str, Packed]]:
    """Return all frames in the order of sending: stream, session, packed fields."""
    rng = np.random.default_rng(3)
    hands = synthesize(rng.integers(0, len(GESTURES), 1024), rng).landmarks
    found = []
    for row in range(int(rate * seconds)):
        session = f"player-{row % sessions}"
        meta = np.array([(row, 1_700_000_000_000 + row * 1000 // rate, 4 / 3, HAND)], META)
        fields = pack_arrays([session], meta, hands[row // 15 % 1024][None])
        found.append((keys.frames_key(keys.partition_of(session, PARTITIONS)), session, fields))
    return found


def run(
    url: str,
    rate: int,
    sessions: int,
    seconds: float,
    *,
    poisson: bool = False,
    command: Callable[[str, Packed], Command] = added,
) -> np.ndarray:
    """Send frames and return the latencies in ms, (n,) float64, of those sent after the warm-up.

    Args:
        url: Redis.
        rate: frames per second.
        sessions: senders, in turn.
        seconds: of the measurement, after the warm-up.
        poisson: at random times with this mean rate, instead of evenly spaced.
        command: what is sent, by the frame's stream and the frame.
    """
    todo = entries(rate, sessions, seconds + WARM_UP_S)
    commands = [command(stream, frame) for stream, _, frame in todo]
    client = redis.Redis.from_url(url, socket_timeout=10, protocol=2)  # plain messages, no push types
    sender, listener = client.connection_pool.get_connection(), client.connection_pool.get_connection()
    channels = {
        keys.actions_channel(keys.partition_of(session, PARTITIONS), session) for _, session, _ in todo
    }
    listener.send_command("SUBSCRIBE", *channels)
    for _ in channels:
        listener.read_response()
    gc.collect()
    gc.disable()  # a pause of this program would count as latency
    latency_s = _exchange(sender, listener, commands, dues(len(todo), rate, poisson=poisson))
    gc.enable()
    return latency_s[int(WARM_UP_S * rate) :] * 1000


def _exchange(
    sender: redis.Connection, listener: redis.Connection, commands: list[Command], dues_s: list[float]
) -> np.ndarray:
    """Send each command when it is due and return the time to its reply in s, (n,) float64."""
    sent_s = np.zeros(len(commands))
    got_s = np.zeros(len(commands))
    assert listener._sock
    assert sender._sock
    begin = time.perf_counter() + 0.1
    row = answered = 0
    while answered < len(commands):
        now = time.perf_counter()
        due = begin + dues_s[min(row, len(commands) - 1)]
        if row < len(commands) and now >= due:
            sent_s[row] = time.perf_counter()
            sender.send_command(*commands[row])
            row += 1
            continue
        if now > begin + dues_s[-1] + 10:
            raise SystemExit(f"{len(commands) - answered} of {len(commands)} frames were not answered")
        wait_s = max(due - now, 0) if row < len(commands) else 0.1
        ready, _, _ = select.select([listener._sock, sender._sock], [], [], wait_s)
        if sender._sock in ready:
            sender.read_response()
        while listener._sock in ready and listener.can_read(0):
            message = listener.read_response()[2]
            got_s[int(message.split(b'"seq":', 1)[1].split(b",", 1)[0])] = time.perf_counter()
            answered += 1
    return got_s - sent_s


def dues(count: int, rate: int, *, poisson: bool) -> list[float]:
    """Return when each frame is sent, in s from the beginning, rising; see `run`."""
    if poisson:
        return list(map(float, np.cumsum(np.random.default_rng(5).exponential(1 / rate, count))))
    return [row / rate for row in range(count)]


def main() -> None:
    """Run and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rate", type=int, default=3000)
    options.add_argument("--sessions", type=int, default=100)
    options.add_argument("--seconds", type=float, default=20)
    options.add_argument("--poisson", action="store_true")
    chosen = options.parse_args()
    with redis_server() as url:
        settings = {"redis": url, "metrics_port": 0, "log_level": "error"}
        worker = subprocess.Popen(
            [sys.executable, "-m", "gesture_maze.worker", json.dumps(settings), "bench"]
        )
        try:
            client = redis.Redis.from_url(url)
            while len(client.keys("lease:*")) < PARTITIONS:
                time.sleep(0.01)
            latency_ms = run(url, chosen.rate, chosen.sessions, chosen.seconds, poisson=chosen.poisson)
        finally:
            worker.terminate()
            worker.wait(10)
    p50, p99, p999 = np.percentile(latency_ms, [50, 99, 99.9]).round(3).tolist()
    report = {"rate": chosen.rate, "sessions": chosen.sessions, "n": len(latency_ms)}
    print(
        json.dumps(
            report | {"p50_ms": p50, "p99_ms": p99, "p99_9_ms": p999, "max_ms": latency_ms.max().round(3)}
        )
    )


if __name__ == "__main__":
    main()
