"""Replies: what a worker publishes on a session's channel, one JSON object per answered frame."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from gesture_maze.wire.gestures import Action, Move

MOVES: Final[tuple[Move | None, ...]] = (None, "up", "down", "left", "right", "stop")
"""Move codes of the hot path: a move's position is its code. Actions use codes 0 to 4."""

CONFIDENCE_STEPS: Final = 1000
"""Confidence crosses the wire with three decimals."""


class Reply(BaseModel):
    """A worker's answer to one frame.

    Attributes:
        v: version of the wire.
        session, seq, t: echoed from the frame.
        gesture, label: what was seen; None where there is no hand.
        confidence: probability of the gesture, 0 to 1, three decimals.
        action: what this frame alone says; None for gestures without one and below the threshold.
        move: what the game should do now, after the decision policy; `stop` once when a gesture ends.
        model: version of the model that gave the answer.
        synthetic: True for a `stop` that no worker sent: the receiving side adds it where replies cease while
            a move is held. `seq` and `t` are those of the last reply. Never true on the wire.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    v: Literal[1]
    session: str
    seq: int
    t: int
    gesture: str | None
    label: int | None
    confidence: float
    action: Action | None
    move: Move | None
    model: str
    synthetic: bool = False

    def released(self) -> Reply:
        """Return the `stop` that ends the move held when this reply was the last."""
        nothing = {"gesture": None, "label": None, "confidence": 0.0, "action": None}
        return self.model_copy(update={**nothing, "move": "stop", "synthetic": True})


def _json(word: str | None) -> str:
    return "null" if word is None else f'"{word}"'


class ReplyWriter:
    """Writes replies of one model: all that does not change is made once (0.4 µs a reply).

    Args:
        gestures: names in label order; what comes after the last one means no hand.
        model: the model's version, `[A-Za-z0-9._-]+`.
    """

    def __init__(self, gestures: tuple[str, ...], model: str) -> None:
        self.gestures: Final = [
            f',"gesture":"{name}","label":{label},"confidence":' for label, name in enumerate(gestures)
        ]
        self.gestures.append(',"gesture":null,"label":null,"confidence":')
        self.confidences: Final = [f"{step / CONFIDENCE_STEPS:.3f}" for step in range(CONFIDENCE_STEPS + 1)]
        self.tails: Final = [
            [f',"action":{_json(action)},"move":{_json(move)},"model":"{model}"}}' for move in MOVES]
            for action in MOVES
        ]

    def write(
        self, head: str, seq: int, captured_ms: int, label: int, confidence: int, action: int, move: int
    ) -> str:
        """Return one reply as JSON text.

        Args:
            head: `reply_head(session)`, kept by the caller per session.
            seq: echoed.
            captured_ms: echoed as `t`.
            label: 0..n-1, or n for no hand.
            confidence: in thousandths, 0..1000.
            action: code 0..4.
            move: code 0..5.
        """
        return (
            f'{head}{seq},"t":{captured_ms}{self.gestures[label]}{self.confidences[confidence]}'
            f"{self.tails[action][move]}"
        )


def reply_head(session: str) -> str:
    """Return the beginning of every reply to `session`."""
    return f'{{"v":1,"session":"{session}","seq":'
