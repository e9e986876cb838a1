"""Errors as HTTP clients receive them: a reason, a message and a status. Each is counted."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gesture_maze.gateway.messages import refusal_of
from gesture_maze.gateway.metrics import Metrics
from gesture_maze.gateway.refusals import GatewayError, Refusal

MAX_BODY_BYTES: Final = 16 * 1024
"""21 triples in full precision, indented, are 3 kB."""
RETRY_AFTER_S: Final = 1

STATUS: Final[dict[Refusal, int]] = {
    Refusal.BAD_JSON: 400,
    Refusal.TOO_LARGE: 413,
    Refusal.BAD_METHOD: 405,
    Refusal.TOO_MANY_REQUESTS: 429,
    Refusal.NO_ANSWER: 503,
    Refusal.BUSY: 503,
    Refusal.UNAVAILABLE: 503,
}
"""HTTP status of a refusal; 422 for all others."""
METHODS: Final = ("GET", "HEAD", "OPTIONS", "POST")
"""Other methods are refused before they become labels of a metric."""
_WAIT: Final = {"Retry-After": str(RETRY_AFTER_S)}
_HEADERS: Final = {405: {"Allow": ", ".join(METHODS)}, 429: _WAIT, 503: _WAIT}
MOST_DIGITS: Final = 9
"""Most digits of a Content-Length: Python refuses to parse thousands."""


class Problem(BaseModel):
    """Why there is no answer."""

    reason: Refusal = Field(description="a word from a closed list, the same as in the metrics")
    detail: str = Field(description="a sentence for a person")


def answer(error: GatewayError) -> JSONResponse:
    """Return the refusal as a response."""
    status = STATUS.get(error.refusal, 422)
    headers = _HEADERS.get(status)
    return JSONResponse({"reason": error.refusal, "detail": str(error)}, status, headers)


def install(app: FastAPI, metrics: Metrics) -> None:
    """Turn our errors, and errors in reading a request, into `Problem` responses."""

    def refused(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, GatewayError)
        metrics.refused(error.refusal)
        return answer(error)

    def unreadable(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return refused(request, _reading_fault(error))

    async def other(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 400:
            # FastAPI's answer to bodies that are not UTF-8, or nested too deeply
            return refused(request, GatewayError(Refusal.BAD_JSON, "the body cannot be read as JSON"))
        return await http_exception_handler(request, error)

    app.add_exception_handler(GatewayError, refused)
    app.add_exception_handler(HTTPException, other)
    app.add_exception_handler(RequestValidationError, unreadable)
    app.add_middleware(BodyLimit, metrics=metrics)


def _reading_fault(error: RequestValidationError) -> GatewayError:
    faults = error.errors()
    if faults[0]["type"] == "json_invalid":
        return GatewayError(Refusal.BAD_JSON, "the body is not JSON")
    if faults[0]["loc"] == ("body",):  # also text that is not read as JSON, because the header is missing
        words = "the body must be a JSON object, sent with Content-Type: application/json"
        return GatewayError(Refusal.BAD_MESSAGE, words)
    # ("body", "landmarks", 3, 0): the first part is of no use to a client
    return refusal_of(faults[0] | {"loc": faults[0]["loc"][1:]})


class BodyLimit:
    """ASGI middleware: refuses bodies over `MAX_BODY_BYTES`, by Content-Length and by their size."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app: Final = app
        self._metrics: Final = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not length.isdigit() or len(length) > MOST_DIGITS or int(length) > MAX_BODY_BYTES:
            await self._refuse(scope, receive, send)
            return
        read = 0

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MAX_BODY_BYTES:
                raise _TooLarge
            return message

        async def unless_too_large(message: Message) -> None:
            # code that reads the body may turn our error into an answer of its own
            if read <= MAX_BODY_BYTES:
                await send(message)

        with suppress(_TooLarge):
            await self._app(scope, limited, unless_too_large)
        if read > MAX_BODY_BYTES:
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._metrics.refused(Refusal.TOO_LARGE)
        error = GatewayError(Refusal.TOO_LARGE, f"the body has more than {MAX_BODY_BYTES} bytes")
        response = answer(error)
        # the rest of the body is not read, so the connection cannot be reused
        response.headers["Connection"] = "close"
        await response(scope, receive, send)


class _TooLarge(Exception):
    pass
