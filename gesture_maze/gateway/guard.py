"""The first check of every HTTP request: its origin, rate, size and method."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gesture_maze.gateway.forwarded import FOR, PROTO, address_of, encrypted, last_entry, network_of
from gesture_maze.gateway.limits import Rates
from gesture_maze.gateway.metrics import Metrics
from gesture_maze.gateway.problems import METHODS, answer
from gesture_maze.gateway.refusals import GatewayError, Refusal
from gesture_maze.gateway.settings import Settings
from gesture_maze.gateway.turns import Holds, Turns

PREDICT: Final = "/predict"
HEAD_BYTES: Final = 8 * 1024
"""Every this many bytes of headers count as one more request: browsers send one or two kB."""


class Guard:
    """ASGI middleware, outermost: limits the requests of an address and answers HEAD as GET without a body.

    Args:
        app: the application behind it.
        metrics: counts what is refused.
        rates: requests of each network.
        predictions: requests to /predict of each network: one costs as much as many pages.
        settings: whether a proxy is trusted, and the path below which it serves the gateway.
    """

    def __init__(
        self, app: ASGIApp, metrics: Metrics, rates: Rates, predictions: Rates, settings: Settings
    ) -> None:
        self._app: Final = app
        self._metrics: Final = metrics
        self._rates: Final = rates
        self._predictions: Final = predictions
        self._turns: Final = Turns()
        self._holds: Final = Holds()
        self._behind_proxy: Final = settings.behind_proxy
        self._root: Final = settings.root_path.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = self._seen(scope)
        network, predicts = client_network(scope), self._predicts(scope)
        try:
            self._check(scope, network, predicts)
            await self._turns.take(network)
            if predicts:
                # before its body is read; `Predictor` counts it once it is
                scope["app"].state.predictor.concurrency.check(network)
        except GatewayError as error:
            self._metrics.refused(error.refusal)
            if error.refusal is not Refusal.BUSY:  # which is not this client's fault
                await self._holds.hold(network, time.monotonic())
            await answer(error)(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            await self._head({**scope, "method": "GET"}, receive, send)
        else:
            await self._app(scope, receive, send)

    def _seen(self, scope: Scope) -> Scope:
        """Return the scope with the client's address, the scheme and the path as the client sees them."""
        address = (scope["client"] or ("unknown", 0))[0]
        scheme = scope["scheme"]
        if self._behind_proxy:
            address = last_entry(_values(scope, FOR)) or address
            scheme = "https" if encrypted(_values(scope, PROTO)) else scheme
        path = scope["path"]
        if self._root and path != self._root and not path.startswith(f"{self._root}/"):
            path = self._root + path  # the proxy has stripped it
        if path == self._root:
            path = f"{path}/"
        where = {"path": path, "root_path": self._root}
        return {**scope, **where, "client": (address_of(address), 0), "scheme": scheme}

    def _check(self, scope: Scope, network: str, predicts: bool) -> None:
        if scope["method"] not in METHODS:
            raise GatewayError(Refusal.BAD_METHOD, f"use one of {', '.join(METHODS)}")
        now_s = time.monotonic()
        weight = 1 + sum(len(name) + len(value) for name, value in scope["headers"]) // HEAD_BYTES
        allowed = self._rates.take(network, now_s, weight)
        if allowed and predicts:
            allowed = self._predictions.take(network, now_s)
        if not allowed:
            raise GatewayError(
                Refusal.TOO_MANY_REQUESTS, "too many requests from your network: try again soon"
            )

    def _predicts(self, scope: Scope) -> bool:
        return scope["method"] == "POST" and str(scope["path"]).removeprefix(self._root) == PREDICT

    async def _head(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = asyncio.Event()

        async def only_start(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b""})
                started.set()

        # ended when its headers are sent: the body of /watch/stream never ends
        work = asyncio.ensure_future(self._app(scope, receive, only_start))
        wait = asyncio.ensure_future(started.wait())
        try:
            await asyncio.wait({work, wait}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            wait.cancel()
            if started.is_set():
                work.cancel()
            await asyncio.gather(work, wait, return_exceptions=True)


def client_network(scope: Mapping[str, tuple[str, int]]) -> str:
    """Return the network of a request that passed the guard."""
    return network_of(scope["client"][0])


def _values(scope: Mapping[str, list[tuple[bytes, bytes]]], name: str) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name.encode()]
