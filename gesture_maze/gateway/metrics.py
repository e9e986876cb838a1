"""The gateway's metrics, all declared here, with one method per event. No label contains a session."""

from __future__ import annotations

from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gesture_maze.gateway.refusals import Refusal

REPLY_SECONDS: Final = (0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0)
TICK_FRAMES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Metrics:
    """Counts what the gateway does, in a registry of its own."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        about: dict[str, Any] = {"registry": registry, "namespace": "maze_gateway"}
        self._refused: Final = Counter("refused", "What clients did that was refused.", ["reason"], **about)
        self._sockets: Final = Gauge("sockets", "Open sockets.", **about)
        self._sessions: Final = Gauge("sessions", "Sessions kept.", **about)
        self._frames: Final = Counter(
            "frames",
            "Frames: sent, superseded by a newer one, refused by the pool, or of unknown fate.",
            ["outcome"],
            **about,
        )
        self._replies: Final = Counter("replies", "Replies passed on to browsers.", **about)
        self._held: Final = Counter("replies_held", "Replies dropped for newer ones.", **about)
        text = "From a frame's arrival to its reply on the way to the browser."
        self._reply_s: Final = Histogram("reply_seconds", text, buckets=REPLY_SECONDS, **about)
        self._tick: Final = Histogram("tick_frames", "Frames per tick.", buckets=TICK_FRAMES, **about)
        self._resumed: Final = Counter("resumed", "Sessions resumed by a token.", **about)
        self._finished: Final = Counter(
            "mazes_finished", "Mazes walked to the exit.", ["size", "input"], **about
        )
        self._away: Final = Counter(
            "redis_errors", "Sends that Redis did not take, or not all of them.", **about
        )
        self._failures: Final = Counter(
            "failures", "Faults of the gateway itself: see its log.", ["where"], **about
        )
        for reason in Refusal:
            self._refused.labels(reason)
        for outcome in ("sent", "superseded", "refused", "unknown"):
            self._frames.labels(outcome)

    def refused(self, reason: Refusal) -> None:
        """Count a refusal."""
        self._refused.labels(reason).inc()

    def sockets(self, count: int) -> None:
        """Set the number of open sockets."""
        self._sockets.set(count)

    def sessions(self, count: int) -> None:
        """Set the number of sessions kept."""
        self._sessions.set(count)

    def frames(self, outcome: str, count: int = 1) -> None:
        """Count frames by outcome."""
        self._frames.labels(outcome).inc(count)

    def tick(self, frames: int) -> None:
        """Observe the frames of a tick."""
        self._tick.observe(frames)

    def replied(self, seconds: float | None) -> None:
        """Count a reply passed on, `seconds` after its frame came (None: unknown)."""
        self._replies.inc()
        if seconds is not None:
            self._reply_s.observe(seconds)

    def reply_held(self) -> None:
        """Count a reply dropped for a newer one, because the browser does not keep up."""
        self._held.inc()

    def resumed(self) -> None:
        """Count a resumed session."""
        self._resumed.inc()

    def finished(self, size: str, by: str) -> None:
        """Count a maze walked to its exit."""
        self._finished.labels(size, by).inc()

    def failed(self, where: str) -> None:
        """Count a fault of the gateway itself; `where` is from a closed list."""
        self._failures.labels(where).inc()

    def redis_away(self) -> None:
        """Count a send that Redis did not take, or not all of it."""
        self._away.inc()
