"""The settings of the decision policy, see `worker.policy`.

They are a module of their own because `cli.declared` reads their help texts in its source, and the policy may
be compiled.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

_Positive = Annotated[int, Field(gt=0)]


@dataclass(frozen=True, slots=True)
class Rules:
    """The policy's settings. Times are in ms of the frames' own clock."""

    settle_evidence: _Positive = 1000
    """Evidence at which a gesture settles: 700 is eager, 1400 is calm."""
    leave: Annotated[float, Field(ge=0, le=1)] = 0.50
    """Least confidence, 0 to 1, at which a settled gesture is still held."""
    first_repeat_ms: _Positive = 400
    """Time from the first move of a gesture to its second."""
    repeat_ms: _Positive = 250
    """Time between the moves after that."""
    release_ms: _Positive = 250
    """Time without a held gesture after which it ends; at few frames per second it is longer."""
