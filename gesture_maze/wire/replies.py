"""Replies: what a worker publishes on a session's channel, one JSON object per answered frame."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from gesture_maze.wire.gestures import HANDS, Action, Hand, LabelSet, Move

MOVES: Final[tuple[Move | None, ...]] = (None, "up", "down", "left", "right", "stop")
"""Move codes of the hot path: a move's position is its code. Actions use codes 0 to 4."""

CONFIDENCE_STEPS: Final = 1000
"""Confidence crosses the wire with three decimals."""


class Reply(BaseModel):
    """A worker's answer to one frame.

    Attributes:
        v: version of the wire.
        session, seq, t: echoed from the frame.
        gesture, label: what was seen, by the name and the number that the model's bundle gives it; None
            if there is no hand.
        confidence: probability of the gesture, 0 to 1, three decimals.
        hand: which hand the frame was marked as; None if there is no hand, or if the worker is too old to
            send this key.
        action: what this frame alone says; None for gestures without one and below the threshold.
        move: what the game should do now, after the decision policy; `stop` once when a gesture ends.
        model: version of the model that gave the answer.
        synthetic: True for a `stop` that no worker sent: the receiving side adds it if replies cease while a
            move is held. `seq` and `t` are those of the last reply. Never true on the wire.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    v: Literal[1]
    session: str
    seq: int
    t: int
    gesture: str | None
    label: int | None
    confidence: float
    hand: Hand | None = None
    action: Action | None
    move: Move | None
    model: str
    synthetic: bool = False

    def released(self) -> Reply:
        """Return the synthetic `stop` that ends a move still held after this reply."""
        nothing = {"gesture": None, "label": None, "confidence": 0.0, "hand": None, "action": None}
        return self.model_copy(update={**nothing, "move": "stop", "synthetic": True})


def _json(word: str | None) -> str:
    return "null" if word is None else f'"{word}"'


class ReplyWriter:
    """Writes replies of one model: all that does not change is made once (0.4 µs a reply).

    What was seen is a code: the label of a right hand, the label + n + 1 of a left hand, where n is the
    number of gestures; label n stands for no hand.

    Args:
        labels: the model's gestures.
        model: the model's version, `[A-Za-z0-9._-]+`.

    Attributes:
        gestures: beginning of what was seen, by code.
        confidences: by thousandths.
        tails: the rest of the reply, by code, action and move.
    """

    def __init__(self, labels: LabelSet, model: str) -> None:
        heads = [
            f',"gesture":"{name}","label":{number},"confidence":'
            for name, number in zip(labels.names, labels.numbers, strict=True)
        ]
        heads.append(',"gesture":null,"label":null,"confidence":')
        self.gestures: Final = heads * len(HANDS)
        self.confidences: Final = [f"{step / CONFIDENCE_STEPS:.3f}" for step in range(CONFIDENCE_STEPS + 1)]
        empty = _tails(None, model)
        self.tails: Final = [
            tails for hand in HANDS for tails in (*[_tails(hand, model)] * len(labels), empty)
        ]

    def write(
        self, head: str, seq: int, captured_ms: int, seen: int, confidence: int, action: int, move: int
    ) -> str:
        """Return one reply as JSON text.

        Args:
            head: `reply_head(session)`, kept by the caller per session.
            seq: echoed.
            captured_ms: echoed as `t`.
            seen: code of gesture and hand, see above.
            confidence: in thousandths, 0..1000.
            action: code 0..4.
            move: code 0..5.
        """
        return (
            f'{head}{seq},"t":{captured_ms}{self.gestures[seen]}{self.confidences[confidence]}'
            f"{self.tails[seen][action][move]}"
        )


def _tails(hand: Hand | None, model: str) -> list[list[str]]:
    """Return the end of each reply about one hand, by action and move."""
    return [
        [
            f',"hand":{_json(hand)},"action":{_json(action)},"move":{_json(move)},"model":"{model}"}}'
            for move in MOVES
        ]
        for action in MOVES
    ]


def reply_head(session: str) -> str:
    """Return the beginning of every reply to `session`."""
    return f'{{"v":1,"session":"{session}","seq":'
