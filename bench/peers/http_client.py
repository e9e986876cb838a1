"""A client that asks an HTTP server over many connections, in one thread that does little per request."""

from __future__ import annotations

import gc
import selectors
import socket
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence

import numpy as np

CONNECTIONS = 32
GIVE_UP_S = 60.0
_BUFFER = 1 << 16


def requests(path: str, bodies: Sequence[bytes]) -> list[bytes]:
    """Return a POST of each body, encoded."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\n"
    return [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]


def exchange(port: int, encoded: Sequence[bytes], dues_s: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Send each request when it is due, or as soon as a connection is free.

    Args:
        port: of the server.
        encoded: the requests.
        dues_s: when each is due, in s from the beginning, rising.

    Returns:
        When this program was about to send each of them, free connection or not, and when its response had
        arrived: two arrays (n,) float64 of `time.perf_counter()` in s.

    Raises:
        SystemExit: a response is an error, none arrives for long, or the server closes a connection.
    """
    sockets = [socket.create_connection(("127.0.0.1", port), timeout=GIVE_UP_S) for _ in range(CONNECTIONS)]
    gc.disable()  # a pause of this program would count as latency
    try:
        return _exchange(sockets, encoded, dues_s)
    finally:
        gc.enable()
        for one in sockets:
            one.close()


def _exchange(
    sockets: Sequence[socket.socket], encoded: Sequence[bytes], dues_s: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    count = len(encoded)
    due_at_s, got_s = np.zeros(count), np.zeros(count)
    selector = selectors.DefaultSelector()
    for one in sockets:
        selector.register(one, selectors.EVENT_READ)
    # in turn, because a server closes a connection that is idle for seconds
    free, waiting = deque(sockets), deque[int]()
    asked: dict[socket.socket, int] = {}
    parts: dict[socket.socket, bytes] = {}
    begin_s = time.perf_counter() + 0.1
    row = answered = 0
    while answered < count:
        now_s = time.perf_counter()
        end = bisect_right(dues_s, now_s - begin_s, row)
        due_at_s[row:end] = now_s
        waiting.extend(range(row, end))
        row = end
        while free and waiting:
            one, asking = free.popleft(), waiting.popleft()
            asked[one], parts[one] = asking, b""
            one.sendall(encoded[asking])
        idle_s = max(begin_s + dues_s[row] - time.perf_counter(), 0) if row < count else GIVE_UP_S
        ready = selector.select(idle_s)
        if not ready and row == count:
            raise SystemExit(f"no response for {GIVE_UP_S:.0f} s, {count - answered} are missing")
        for key, _ in ready:
            one = key.fileobj  # type: ignore[assignment]  # what was registered
            data = one.recv(_BUFFER)
            if not data:
                raise SystemExit("the server closed a connection")
            parts[one] += data
            if _is_whole(parts[one]):
                got_s[asked[one]] = time.perf_counter()
                answered += 1
                free.append(one)
    return due_at_s, got_s


def _is_whole(response: bytes) -> bool:
    """Return whether a response has arrived as a whole."""
    head, end, body = response.partition(b"\r\n\r\n")
    if not response.startswith(b"HTTP/1.1 200"[: len(response)]):
        raise SystemExit(f"the server answered {response[:200]!r}")
    if not end:
        return False
    length = head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]
    return len(body) >= int(length)
