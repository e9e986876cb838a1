"""POST /predict: one hand, one answer, through the stream and the pool."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Annotated, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from gesture_maze.gateway.fan import Answer, Fan
from gesture_maze.gateway.guard import PREDICT, client_network
from gesture_maze.gateway.limits import ConcurrencyLimit
from gesture_maze.gateway.messages import Aspect, Packed, Points, pack_points
from gesture_maze.gateway.outbox import Outbox
from gesture_maze.gateway.problems import Problem
from gesture_maze.gateway.refusals import GatewayError, Refusal
from gesture_maze.gateway.tokens import new_session
from gesture_maze.wire.frames import HAND
from gesture_maze.wire.gestures import Action
from gesture_maze.wire.session_settings import SessionSettings

EXAMPLE: Final[list[JsonValue]] = [[0.5 + 0.01 * (n % 5), 0.5 + 0.01 * (n // 5)] for n in range(21)]
"""Only an example for the API's page: 21 points."""


class Hand(BaseModel):
    """A hand: 21 landmarks in MediaPipe's order."""

    model_config = ConfigDict(strict=True, json_schema_extra={"examples": [{"landmarks": EXAMPLE}]})

    landmarks: Points = Field(description="21 pairs [x, y] or triples [x, y, z], in any unit; y grows down")
    aspect: Aspect = Field(1.0, description="image width / height, where x and y are in units of these")


class Prediction(BaseModel):
    """What the hand shows."""

    predicted_class_index: Annotated[int, Field(ge=0)]
    action: Action | None = Field(description="up, down, left or right; null for every other gesture")
    gesture: str
    confidence: Annotated[float, Field(ge=0, le=1)]
    model: str


class Lane:
    """A session of the gateway's own that serves one request at a time.

    One at a time, because frames of one session may supersede each other. Its seqs begin with the time, so
    that they rise over restarts, too.
    """

    def __init__(self) -> None:
        self.id: Final = f"rest-{new_session()}"
        self.settings: SessionSettings | None = None
        self._seq = time.time_ns() // 1_000_000
        self._answer: asyncio.Future[Answer] | None = None

    def ask(self, outbox: Outbox, landmarks: bytes, aspect: float) -> asyncio.Future[Answer]:
        """Send a hand, and return the future of its answer."""
        self._seq += 1
        now_ms = time.time_ns() // 1_000_000
        self._answer = asyncio.get_running_loop().create_future()
        outbox.put(self, Packed(self._seq, now_ms, aspect, HAND, landmarks))
        return self._answer

    def receive(self, _raw: bytes, answer: Answer) -> None:
        """Take a reply; one to an earlier request is ignored."""
        if self._answer is not None and not self._answer.done() and answer["seq"] == self._seq:
            self._answer.set_result(answer)

    def refuse(self, error: GatewayError) -> None:
        """See `gateway.outbox.Sender`."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


class Predictor:
    """Answers single hands.

    Args:
        outbox, fan: send the hand and receive its answer.
        lanes: most requests that wait at the same time.
        per_address: most of them per address, so that other addresses find a free lane.
        timeout_ms: longest wait of a request.

    Attributes:
        concurrency: counts the requests that wait.
    """

    def __init__(self, outbox: Outbox, fan: Fan, lanes: int, per_address: int, timeout_ms: int) -> None:
        self.concurrency: Final = ConcurrencyLimit(
            per_address, lanes, Refusal.TOO_MANY_REQUESTS, Refusal.BUSY
        )
        self._outbox: Final = outbox
        self._fan: Final = fan
        self._timeout_s: Final = timeout_ms / 1000
        self._unopened = lanes
        self._free: Final[deque[Lane]] = deque()

    async def predict(self, hand: Hand, network: str) -> Prediction:
        """Return what this hand shows.

        Raises:
            GatewayError: `no_answer`, `busy`, `too_many_requests` or `unavailable`.
        """
        self.concurrency.enter(network)
        try:
            return await self._predict(hand)
        finally:
            self.concurrency.leave(network)

    async def _predict(self, hand: Hand) -> Prediction:
        lane = await self._take()
        try:
            answer = lane.ask(self._outbox, pack_points(hand.landmarks), hand.aspect)
            found = await asyncio.wait_for(answer, self._timeout_s)
        except TimeoutError:
            message = f"no worker answered within {self._timeout_s:g} s"
            raise GatewayError(Refusal.NO_ANSWER, message) from None
        finally:
            self._free.append(lane)
        try:
            return Prediction.model_validate(found | {"predicted_class_index": found.get("label")})
        except ValidationError:
            raise GatewayError(Refusal.NO_ANSWER, "the pool's answer is malformed") from None

    async def _take(self) -> Lane:
        """Return the lane that has been free for longest: late replies to it are least likely."""
        if self._free:
            return self._free.popleft()
        if not self._unopened:
            raise GatewayError(Refusal.BUSY, "too many requests wait for an answer")
        self._unopened -= 1
        lane = Lane()
        try:
            await self._fan.listen(lane.id, lane.receive)
        except GatewayError:
            self._unopened += 1
            raise
        return lane


router = APIRouter()


@router.post(
    PREDICT,
    responses={
        400: {"model": Problem, "description": "Not JSON"},
        429: {"model": Problem, "description": "Too many requests from this address"},
        413: {"model": Problem, "description": "The body is too large"},
        422: {"model": Problem, "description": "Not a hand"},
        503: {"model": Problem, "description": "No answer in time: try again after Retry-After seconds"},
    },
)
async def predict(hand: Hand, request: Request) -> Prediction:
    """Return what a hand shows: its class, and its action in the maze or null."""
    predictor: Predictor = request.app.state.predictor
    return await predictor.predict(hand, client_network(request.scope))
