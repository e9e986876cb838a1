"""Redis disconnects a subscriber that stops reading; the pool and other subscribers do not notice."""

from __future__ import annotations

import socket

from gesture_maze.wire import keys
from tests.support.pool import A, B, HandWorker, Subscriber, add, hand, joined, outcomes
from tests.support.servers import Server

FRAMES_PER_ENTRY = 500
ENTRIES = 24
LIMIT_BYTES = 256 * 1024


def test_subscriber_that_stops_reading_is_disconnected_alone(real_server: Server) -> None:
    client = real_server.client
    client.config_set("client-output-buffer-limit", f"pubsub {LIMIT_BYTES} 0 0")
    address = client.connection_pool.connection_kwargs
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect((address["host"], address["port"]))
    channel = keys.actions_channel(1, A)
    slow.sendall(f"SUBSCRIBE {channel}\r\n".encode())
    assert slow.recv(4096)
    other = Subscriber(client, B)
    worker = joined(client, deadline_ms=0, supersede_ms=0)
    most_bytes = seq = 0
    for _ in range(ENTRIES):
        frames = [hand(A, seq + number) for number in range(1, FRAMES_PER_ENTRY + 1)]
        seq += FRAMES_PER_ENTRY
        add(client, *frames)
        add(client, hand(B, seq))
        worker.work()
        buffers = [int(one["omem"]) for one in client.client_list(_type="pubsub")]
        most_bytes = max(most_bytes, *buffers)
    assert client.pubsub_numsub(channel)[0][1] == 0, "it was cut off"
    assert most_bytes <= LIMIT_BYTES + 20_000
    assert other.seqs(B) == list(range(FRAMES_PER_ENTRY, seq + 1, FRAMES_PER_ENTRY))
    assert outcomes(client, 1)["answered"] == ENTRIES * (FRAMES_PER_ENTRY + 1)
    slow.close()
    other.close()
    client.config_set("client-output-buffer-limit", "pubsub 32mb 8mb 60")
    HandWorker.close_all()
