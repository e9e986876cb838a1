"""The settings of the decision policy, see `worker.policy`.

They are a module of their own because `cli.declared` reads their help texts in its source, and the policy may
be compiled.
"""

from __future__ import annotations

from dataclasses import dataclass

from gesture_maze.wire.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Rules:
    """The policy's settings. Times are in ms of the frames' own clock."""

    settle_evidence: int = 1000
    """Evidence at which a gesture settles: 700 is eager, 1400 is calm."""
    leave: float = 0.50
    """Least confidence, 0 to 1, at which a settled gesture is still held."""
    first_repeat_ms: int = 400
    """Time from the first move of a gesture to its second."""
    repeat_ms: int = 250
    """Time between the moves after that."""
    release_ms: int = 250
    """Time without a held gesture after which it ends; at few frames per second it is longer."""

    def __post_init__(self) -> None:
        names = ("settle_evidence", "first_repeat_ms", "repeat_ms", "release_ms")
        faults = [
            f"{name} must be above 0, got {value}" for name in names if (value := getattr(self, name)) <= 0
        ]
        if not 0 <= self.leave <= 1:
            faults.append(f"leave must be from 0 to 1, got {self.leave}")
        if faults:
            raise SettingsError("settings", f"policy: {'; '.join(faults)}")
