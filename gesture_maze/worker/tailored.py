"""A session's own settings, in the units of the decide stage."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gesture_maze.wire.replies import CONFIDENCE_STEPS
from gesture_maze.wire.session_settings import SessionSettings
from gesture_maze.worker.policy import Policy
from gesture_maze.worker.serving.serving import Serving, action_codes


class Tailored:
    """Replaces the worker's `Policy` and `Serving` for a session that has its own settings.

    Args:
        settings: of the session.

    Attributes:
        settings: of the session.
        policy: the decision policy.
        threshold: least confidence of an `action`, in thousandths.
        action_codes: as `Serving.action_codes`.
    """

    __slots__ = ("_serving", "action_codes", "policy", "settings", "threshold")

    def __init__(self, settings: SessionSettings) -> None:
        self.settings: Final = settings
        self._serving: Serving | None = None

    def fit(self, serving: Serving, policy: Policy) -> None:
        """Follow the model that judged the frame and the worker's policy. Free except after a swap."""
        if self._serving is serving:
            return
        settings, self._serving = self.settings, serving
        names = ("settle_evidence", "first_repeat_ms", "repeat_ms")
        own = {name: value for name in names if (value := getattr(settings, name)) is not None}
        self.policy = Policy(replace(policy.rules, **own)) if own else policy
        self.threshold = serving.threshold
        if settings.threshold is not None:
            self.threshold = round(settings.threshold * CONFIDENCE_STEPS)
        self.action_codes = serving.action_codes
        if settings.actions is not None:
            self.action_codes = action_codes(serving.labels, settings.actions)
