"""When a subscription to the wake channel counts as lost."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from gesture_maze.wire.errors import ConnectionLost
from gesture_maze.worker.redis.listener import SILENCE_S, WakeListener

STEP_S = 0.75


class Silent:
    """A subscription on which nothing arrives, and the clock that its waits move."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.stopped_s = 0.0
        self.pings = 0

    def subscribe(self, _channel: str) -> None:
        """Subscribe without a server."""

    def ping(self) -> None:
        self.pings += 1

    def get_message(self, timeout: float) -> None:
        self.now_s += timeout + self.stopped_s
        self.stopped_s = 0.0


def listener() -> tuple[WakeListener, Silent]:
    """Return a listener and its silent subscription."""
    silent = Silent()
    client: Any = SimpleNamespace(pubsub=lambda **_: silent)
    return WakeListener(client, lambda: silent.now_s), silent


def _wait_on(found: WakeListener) -> None:
    for _ in range(100):
        found.wait(STEP_S)


def test_listener_of_a_silent_peer_loses_the_connection() -> None:
    found, silent = listener()
    begin_s = silent.now_s
    with pytest.raises(ConnectionLost, match="did not answer"):
        _wait_on(found)
    assert silent.pings > 0
    assert silent.now_s - begin_s < SILENCE_S + 2 * STEP_S


def test_listener_of_a_process_that_was_stopped_keeps_the_connection_and_sends_a_ping() -> None:
    found, silent = listener()
    silent.stopped_s = 2 * SILENCE_S
    found.wait(STEP_S)
    found.wait(STEP_S)
    assert silent.pings == 1
