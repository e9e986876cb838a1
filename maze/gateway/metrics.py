"""The gateway's metrics, all declared here: one verb per event. Never a session in a label."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from maze.gateway.refusals import Refusal

REPLY_SECONDS: Final = (0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0)
TICK_FRAMES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Metrics:
    """Counts what the gateway does, in a registry of its own."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self._refused: Final = Counter(
            "maze_gateway_refused_total", "What clients did that was refused.", ["reason"], registry=registry
        )
        self._sockets: Final = Gauge("maze_gateway_sockets", "Open sockets.", registry=registry)
        self._sessions: Final = Gauge("maze_gateway_sessions", "Sessions kept.", registry=registry)
        self._frames: Final = Counter(
            "maze_gateway_frames_total",
            "Frames by what became of them: sent, superseded by a newer one, not accepted, of unknown fate.",
            ["outcome"],
            registry=registry,
        )
        self._replies: Final = Counter("maze_gateway_replies_total", "Replies handed on.", registry=registry)
        self._held: Final = Counter(
            "maze_gateway_replies_held_total", "Replies dropped for newer ones.", registry=registry
        )
        self._reply_s: Final = Histogram(
            "maze_gateway_reply_seconds",
            "From a frame's arrival to its reply on the way to the browser.",
            buckets=REPLY_SECONDS,
            registry=registry,
        )
        self._tick: Final = Histogram(
            "maze_gateway_tick_frames", "Frames per tick.", buckets=TICK_FRAMES, registry=registry
        )
        self._resumed: Final = Counter(
            "maze_gateway_resumed_total", "Sessions resumed by a token.", registry=registry
        )
        self._finished: Final = Counter(
            "maze_gateway_mazes_finished_total",
            "Mazes walked to the exit.",
            ["size", "input"],
            registry=registry,
        )
        self._away: Final = Counter(
            "maze_gateway_redis_errors_total", "Redis could not be reached.", registry=registry
        )
        for reason in Refusal:
            self._refused.labels(reason)
        for outcome in ("sent", "superseded", "refused", "unknown"):
            self._frames.labels(outcome)

    def refused(self, reason: Refusal) -> None:
        """Something was refused."""
        self._refused.labels(reason).inc()

    def sockets(self, count: int) -> None:
        """So many sockets are open."""
        self._sockets.set(count)

    def sessions(self, count: int) -> None:
        """So many sessions are kept."""
        self._sessions.set(count)

    def frames(self, outcome: str, count: int = 1) -> None:
        """This became of frames."""
        self._frames.labels(outcome).inc(count)

    def tick(self, frames: int) -> None:
        """A tick with frames goes out."""
        self._tick.observe(frames)

    def replied(self, seconds: float | None) -> None:
        """A reply was handed on, so long after its frame came (None: unknown)."""
        self._replies.inc()
        if seconds is not None:
            self._reply_s.observe(seconds)

    def reply_held(self) -> None:
        """A reply to a browser that does not keep up gave way to a newer one."""
        self._held.inc()

    def resumed(self) -> None:
        """A session was resumed."""
        self._resumed.inc()

    def finished(self, size: str, by: str) -> None:
        """A maze was walked to its exit."""
        self._finished.labels(size, by).inc()

    def redis_away(self) -> None:
        """Redis could not be reached."""
        self._away.inc()
