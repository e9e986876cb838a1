"""Replay: recorded frames through the loop, stages and scripts of a live worker, in one process.

No frame ages in a replay: there is no deadline and no superseding, no session is forgotten, and the policy
uses the frames' own clock. So the answers depend only on the frames, their order, the model and the settings,
and not on the speed, the batch sizes or the number of partitions.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import asdict, fields
from typing import Any, Final, Self

from gesture_maze.capture.pool import DECIDING
from gesture_maze.capture.reader import Block
from gesture_maze.models.classifier import Classifier
from gesture_maze.producer.plan import MAX_FRAMES_PER_ENTRY, Entry, Router, plan_arrays
from gesture_maze.replay.fake import Published, open_redis
from gesture_maze.wire import keys
from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.replies import reply_head
from gesture_maze.worker.assembly import assemble, load_classifier, serving_of
from gesture_maze.worker.metrics import Metrics
from gesture_maze.worker.records import OUTCOMES
from gesture_maze.worker.redis.streams import StreamReader
from gesture_maze.worker.rules import Rules
from gesture_maze.worker.settings import Settings

WORKER: Final = "replay"
NAMES: Final = ("partitions", "batch_frames", "model", *DECIDING)
"""Settings of a worker that a replay takes."""
RULES: Final = tuple(one.name for one in fields(Rules))
NEVER_MS: Final = 10**12
"""Lease TTL. Leases never expire, because there is no other worker and a debugger may stop this one."""
IDLE_STEPS: Final = 8
"""Steps in a row without a frame after which the replay fails. Single steps may have an empty read."""


def replay_settings(**changed: Any) -> Settings:
    """Return the settings of a replay: those of a worker, but no frame ages.

    Args:
        changed: `partitions`, `batch_frames`, `model`, `threshold`, `actions`, `policy`, or a single rule of
            the policy (`settle_evidence` ...); None selects the default.

    Raises:
        SettingsError: `settings`, with one message that names every fault.
    """
    unknown = [name for name in changed if name not in (*NAMES, *RULES)]
    if unknown:
        known = ", ".join(sorted((*NAMES, *RULES)))
        raise SettingsError("settings", f"{', '.join(unknown)}: unknown, expected one of {known}")
    rules = {name: value for name in RULES if (value := changed.pop(name, None)) is not None}
    if rules:
        policy = changed.get("policy") or {}
        changed["policy"] = {**(asdict(policy) if isinstance(policy, Rules) else policy), **rules}
    ageless = {"deadline_ms": 0, "supersede_ms": 0, "lease_ttl_ms": NEVER_MS, "block_ms": 1}
    # one partition by default, because each needs its own script run, the main cost in fakeredis
    return Settings.of(**{"partitions": 1, "log_level": "error", **changed, **ageless})


def unusual(settings: Settings) -> dict[str, Any]:
    """Return the threshold, actions and rules of the policy that are not the defaults of a worker."""
    usual = Settings()
    found = {
        name: getattr(settings, name)
        for name in ("threshold", "actions")
        if getattr(settings, name) != getattr(usual, name)
    }
    rules, usual_rules = asdict(settings.policy), asdict(usual.policy)
    return found | {name: value for name, value in rules.items() if value != usual_rules[name]}


class Replay:
    """A worker without process, network and clock. Use it in a `with` block.

    Args:
        settings: see `replay_settings`.
        classifier: the classifier; None loads the one named by the settings.
        entry_frames: most frames per stream entry.

    Raises:
        ModelError: the bundle is broken.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        classifier: Classifier | None = None,
        *,
        entry_frames: int = MAX_FRAMES_PER_ENTRY,
    ) -> None:
        self.settings: Final = settings or replay_settings()
        found = classifier or load_classifier(self.settings.model)
        metrics = Metrics()
        self._published: Final[Published] = []
        self.client: Final = open_redis(self._published)
        self.rejected: Final[Counter[str]] = Counter()
        """Rejected and buried frames by reason."""
        self._router: Final = Router(self.settings.partitions)
        self._entry_frames: Final = entry_frames
        self._ids: Final = itertools.count(1)
        self.model_version: Final = found.version
        self._worker: Final = assemble(
            self.settings,
            self.client,
            serving_of(self.settings, found, metrics),
            WORKER,
            clock=lambda: 0.0,
            metrics=metrics,
            reader=StreamReader(self.client, waits=False),
            on_rejected=lambda rejected: self.rejected.update(str(one.reason) for one in rejected),
        )
        # without the server's time no frame is stale or superseded and no session is forgotten
        self._worker.keeper.stop_time()
        self._worker.keeper.step(0.0)

    def run(self, block: Block) -> list[bytes | None]:
        """Process the frames and return their replies, with None for each frame that was not answered.

        A frame is not answered if its seq is not above the last one of its session, or if it is rejected.
        """
        if not len(block):
            return []
        rows = {key: row for row, key in reversed(list(enumerate(_keys(block))))}
        streams = self._add(block)
        self._work(len(block))
        for stream in streams:  # all entries are committed
            self.client.xtrim(stream, maxlen=0, approximate=False)
        replies: list[bytes | None] = [None] * len(block)
        for _, message in self._published:
            replies[rows[message[: message.index(b',"t":')]]] = message
        self._published.clear()
        return replies

    def outcomes(self) -> dict[str, int]:
        """Return the number of frames by outcome so far, as counted by the commits."""
        total: Counter[str] = Counter()
        for partition in range(self.settings.partitions):
            counts: Any = self.client.hgetall(keys.outcomes_key(partition))
            total.update({name.decode(): int(count) for name, count in counts.items()})
        return {name: total[name] for name in OUTCOMES}

    def close(self) -> None:
        """Drain and drop the connections."""
        self._worker.loop.drain()
        self._worker.close()
        self.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _add(self, block: Block) -> set[str]:
        """Add the frames to their streams, in entries like those of game servers."""
        streams = set()
        for begin in range(0, len(block), self._entry_frames):
            part = block.rows(begin, begin + self._entry_frames)
            for entry in plan_arrays(part.sessions, (part.meta, part.landmarks), self._router, part.settings):
                streams.add(self._add_entry(entry))
        return streams

    def _add_entry(self, entry: Entry) -> str:
        stream = keys.frames_key(entry.partition)
        sessions, meta, landmarks = entry.fields
        # an explicit id, so that the result does not depend on the server's time
        entry_id = f"{next(self._ids)}-0"
        fields: dict[Any, Any] = {"s": sessions, "m": meta, "l": landmarks}
        if entry.settings:
            fields[keys.SETTINGS] = entry.settings
        self.client.xadd(stream, fields, id=entry_id)
        return stream

    def _work(self, frames: int) -> None:
        idle = 0
        while frames > 0:
            done = self._worker.loop.step()
            frames -= done
            idle = 0 if done else idle + 1
            if idle > IDLE_STEPS:
                raise RuntimeError("the replayed worker does not read its streams")
        self._worker.loop.settle()  # the rejected frames of the last batch are reported


def _keys(block: Block) -> list[bytes]:
    """Return the beginning of the reply to each frame, which holds its session and seq."""
    heads = {session: reply_head(session) for session in set(block.sessions)}
    columns = zip(block.sessions, block.meta["seq"].tolist(), strict=True)
    return [f"{heads[session]}{seq}".encode() for session, seq in columns]
