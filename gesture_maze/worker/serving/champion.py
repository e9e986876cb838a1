"""The model watch: a side thread that follows the roles in Redis, and loads, tests and offers models.

`step(now_s)` is one pass, with the time passed in. The watch only offers models: the main loop switches to a
new champion between two batches, and the observer to a new challenger. A faulty bundle is refused, counted
and logged once, and the current model stays in use. It also stays in use if Redis names no champion (because
none was ever promoted, or because Redis was flushed).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gesture_maze.models.bundle import ModelReason, load_zip
from gesture_maze.models.classifier import Classifier
from gesture_maze.models.proof import prove
from gesture_maze.wire.errors import MazeError, ModelError
from gesture_maze.worker.logs import Log
from gesture_maze.worker.metrics import Metrics
from gesture_maze.worker.redis.listener import WakeListener
from gesture_maze.worker.redis.registry import WAKE_WORD, ModelRegistry, Roles
from gesture_maze.worker.serving.serving import Recipe, Serving
from gesture_maze.worker.serving.shadow import Challenger

POLL_S: Final = 1.0
"""Interval at which roles are read. A promotion also wakes the watch."""
NOTICE_S: Final = 2.0
"""Time between the announcement of a model that uses z and its use, in which producers change to landmarks
with z: one heartbeat of the worker and one reading of the topology by each producer."""
MISSING_RETRY_S: Final = 10.0
RETRY_S: Final[dict[str, float]] = {ModelReason.NOT_FOUND: MISSING_RETRY_S, ModelReason.TOO_COSTLY: 600.0}
"""Delay before a refused bundle is loaded again without a new promotion: a missing bundle may still arrive,
and one that exceeded its limits may have been loaded on a busy machine."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A refused promotion. Promoting the same version again may deliver a repaired bundle."""

    appointed_ms: int
    reason: str
    retry_s: float


class ModelWatch:
    """Follows the roles in Redis for one worker.

    Args:
        registry: models in Redis.
        recipe: makes a `Serving` from a loaded bundle.
        in_use: version of the model that answers now.
        offer: called with each new champion, ready to answer.
        challenge: called with each new challenger, or None when there is no longer one.
        announce: called with whether the champion or the challenger uses z, before it is offered.
        metrics: counts refused models.
        log: where events go.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        recipe: Recipe,
        *,
        in_use: str,
        offer: Callable[[Serving], None],
        challenge: Callable[[Challenger | None], None],
        announce: Callable[[bool], None] = lambda _needs_z: None,
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._registry: Final = registry
        self._recipe: Final = recipe
        self._offer: Final = offer
        self._challenge: Final = challenge
        self._announce: Final = announce
        self._announced = False
        self._needs_z = {"champion": False, "challenger": False}
        self._stepped = False
        self._due: tuple[Classifier, float] | None = None
        """A new champion that uses z, and when it is offered."""
        self._metrics: Final = metrics
        self._log: Final = log
        self._champion = in_use
        self._challenger: tuple[str, float, int] | None = None
        """Version, share and start (server's ms) of the current challenge."""
        self._refused: dict[str, _Refusal] = {}
        self._trouble = ""

    @property
    def complete(self) -> bool:
        """Whether the roles were read and no model that they named was refused."""
        return self._stepped and not self._refused

    def step(self, now_s: float) -> None:
        """Run one pass: read the roles and load new models. `now_s` is monotonic.

        Raises:
            ConnectionLost: nothing was changed; try again.
        """
        roles = self._registry.roles()
        self._follow_champion(roles, now_s)
        self._follow_challenger(roles, now_s)
        self._trouble, self._stepped = "", True

    def run(self, stop: threading.Event, clock: Callable[[], float]) -> None:
        """Run passes until `stop` is set: every `POLL_S`, and at once after a promotion."""
        listener: WakeListener | None = None
        while not stop.is_set():
            try:
                if listener is None:
                    listener = self._registry.listener(clock)
                self.step(clock())
                self._wait(listener, clock)
            except MazeError as error:
                self._registry.leave_wrong_server(error)
                self.offline(error)
                if listener is not None:
                    listener.close()
                    listener = None
                stop.wait(POLL_S)

    def offline(self, error: MazeError) -> None:
        """Log that the roles cannot be read. The same error is logged once."""
        if str(error) != self._trouble:
            self._trouble = str(error)
            self._log.warning("model_watch_disconnected", error=self._trouble)

    def _wait(self, listener: WakeListener, clock: Callable[[], float]) -> None:
        end_s = clock() + POLL_S
        while (left_s := end_s - clock()) > 0:
            if WAKE_WORD in listener.wait(left_s):  # most wakes are about partitions
                return

    def _follow_champion(self, roles: Roles, now_s: float) -> None:
        version = roles.champion
        if version is None or version == self._champion:
            if self._due is not None:  # withdrawn before it was offered
                self._due = None
                self._note_z("champion", needs_z=False)
            return
        begin_s = time.perf_counter()
        classifier = self._announced_champion(version, roles.promoted_ms, now_s)
        if classifier is not None:
            self._champion, self._due = version, None
            self._offer(self._recipe.serving(classifier, load_ms=(time.perf_counter() - begin_s) * 1000))
            self._note_z("champion", needs_z=classifier.needs_depth)

    def _announced_champion(self, version: str, appointed_ms: int, now_s: float) -> Classifier | None:
        """Return the model once it may be offered: one that uses z is announced `NOTICE_S` before.

        The first model of a worker is offered at once, because the worker answers no frame before it.
        """
        if self._due is not None and self._due[0].version == version:
            return self._due[0] if now_s >= self._due[1] else None
        classifier = self._load(version, appointed_ms, now_s)
        if classifier is None or not classifier.needs_depth or self._announced or not self._stepped:
            return classifier
        self._note_z("champion", needs_z=True)
        self._due = (classifier, now_s + NOTICE_S)
        return None

    def _note_z(self, role: str, *, needs_z: bool) -> None:
        """Note whether the model of a role uses z, and announce a change."""
        self._needs_z[role] = needs_z
        announced = any(self._needs_z.values())
        if announced != self._announced:
            self._announced = announced
            self._announce(announced)

    def _follow_challenger(self, roles: Roles, now_s: float) -> None:
        wanted = None
        if roles.challenger is not None and roles.share > 0 and roles.challenger != self._champion:
            wanted = (roles.challenger, roles.share, roles.challenged_ms)
        if wanted == self._challenger:
            return
        classifier = None if wanted is None else self._load(wanted[0], wanted[2], now_s)
        if wanted is None or classifier is None:
            self._challenger = None
            self._challenge(None)
            self._note_z("challenger", needs_z=False)
        else:
            self._challenger = wanted
            needs_z, least = classifier.needs_depth, self._recipe.least(classifier)
            self._note_z("challenger", needs_z=needs_z)
            self._challenge(
                Challenger.of(
                    classifier,
                    least,
                    wanted[1],
                    classifier.label_set,
                    needs_z=needs_z,
                    actions=self._recipe.mapping(classifier),
                )
            )

    def _load(self, version: str, appointed_ms: int, now_s: float) -> Classifier | None:
        """Return the model, verified on its golden hands, or None if it is or was refused."""
        before = self._refused.get(version)
        if before is not None and before.appointed_ms == appointed_ms and now_s < before.retry_s:
            return None
        try:
            classifier = load(version, self._registry.bundle(version))
        except ModelError as error:
            retry_s = now_s + RETRY_S.get(error.reason, float("inf"))
            self._refused[version] = _Refusal(appointed_ms, error.reason, retry_s)
            if before is None or (before.appointed_ms, before.reason) != (appointed_ms, error.reason):
                self._metrics.model_refused(error.reason)
                self._log.error(
                    "model_refused", model=version, reason=error.reason, error=str(error), kept=self._champion
                )
            return None
        self._refused.pop(version, None)
        return classifier


def load(version: str, data: bytes | None) -> Classifier:
    """Return a model from its bundle in Redis, verified on its golden hands.

    It is first loaded in a child process with limits, see `models.proof`, because a bundle may contain a
    graph that never terminates.

    Raises:
        ModelError: with a `ModelReason`, if the bundle is missing or faulty.
    """
    if data is None:
        raise ModelError(ModelReason.NOT_FOUND, f"the bundle of {version} is not in Redis")
    try:
        prove(data)
        classifier = Classifier.from_bundle(load_zip(data))
    except ModelError:
        raise
    except Exception as error:  # a crafted bundle must never end the watch
        message = f"the bundle of {version} cannot be loaded: {error!r}"
        raise ModelError(ModelReason.NOT_A_BUNDLE, message) from error
    if classifier.version != version:
        message = f"Redis names {version}, but the bundle kept under that name is {classifier.version}"
        raise ModelError(ModelReason.VERSION_MISMATCH, message)
    return classifier
