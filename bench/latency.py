"""The latency from XADD to the subscriber at a given rate.

`python bench/latency.py [--rate 3000] [--sessions 100] [--seconds 20] [--poisson]`

One worker process, single-frame entries at an even rate or with random gaps, every session's channel
subscribed. A frame's latency is the time from just before its XADD is written to the socket until its reply
is read. Sending and reading share one thread, so that the figures include no lock of this program; commands
are encoded beforehand, so that it takes little of the cores that server and worker need. Prints one JSON
object.
"""

from __future__ import annotations

import argparse
import gc
import json
import select
import socket
import subprocess
import sys
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any

import hiredis
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
    encode: Any = hiredis.pack_command  # its stub forbids what redis-py passes to it
    commands = [encode(command(stream, frame)) for stream, _, frame in todo]
    client = redis.Redis.from_url(url, socket_timeout=10, protocol=2)  # plain messages, no push types
    sender, listener = client.connection_pool.get_connection(), client.connection_pool.get_connection()
    channels = {
        keys.actions_channel(keys.partition_of(session, PARTITIONS), session) for _, session, _ in todo
    }
    listener.send_command("SUBSCRIBE", *channels)
    for _ in channels:
        listener.read_response()
    assert sender._sock
    assert listener._sock
    gc.collect()
    gc.disable()  # a pause of this program would count as latency
    dues_s = dues(len(todo), rate, poisson=poisson)
    latency_s = _exchange(sender._sock, listener._sock, commands, dues_s)
    gc.enable()
    return latency_s[int(WARM_UP_S * rate) :] * 1000


def _exchange(
    sender: socket.socket, listener: socket.socket, commands: list[bytes], dues_s: list[float]
) -> np.ndarray:
    """Send each command when it is due and return the time to its reply in s, (n,) float64."""
    count = len(commands)
    sent_s, got_s = np.zeros(count), np.zeros(count)
    added, replies = hiredis.Reader(), hiredis.Reader()
    begin_s = time.perf_counter() + 0.1
    row = answered = 0
    while answered < count:
        now_s = time.perf_counter()
        end = bisect_right(dues_s, now_s - begin_s, row)
        if end > row:
            sent_s[row:end] = now_s
            sender.sendall(b"".join(commands[row:end]))
            row = end
        if now_s > begin_s + dues_s[-1] + 10:
            raise SystemExit(f"{count - answered} of {count} frames were not answered")
        wait_s = max(begin_s + dues_s[row] - time.perf_counter(), 0) if row < count else 0.1
        ready, _, _ = select.select([listener, sender], [], [], wait_s)
        if listener in ready:
            rows = [_seq(message[2]) for message in _received(listener, replies)]
            got_s[rows] = time.perf_counter()
            answered += len(rows)
        if sender in ready:
            for answer in _received(sender, added):
                if isinstance(answer, Exception):
                    raise answer
    return got_s - sent_s


def _received(one: socket.socket, reader: hiredis.Reader) -> Iterator[Any]:
    """Yield the answers or messages that have arrived."""
    data = one.recv(1 << 18)
    if not data:
        raise SystemExit("Redis closed the connection")
    reader.feed(data)
    while (answer := reader.gets()) is not False:
        yield answer


def _seq(message: bytes) -> int:
    return int(message.split(b'"seq":', 1)[1].split(b",", 1)[0])


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
