"""What a proxy in front says of the browser, believed only with `--behind-proxy`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

PROTO: Final = "x-forwarded-proto"


def last_entry(values: Sequence[str]) -> str:
    """The entry that the proxy itself has written: the last; all before it are the client's word. Or ""."""
    return values[-1].rpartition(",")[2].strip() if values else ""


class ForwardedScheme:
    """ASGI middleware: a request that came to the proxy by https is one, for cookies and redirects."""

    def __init__(self, app: ASGIApp) -> None:
        self._app: Final = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and last_entry(_values(scope, PROTO)) == "https":
            scope = {**scope, "scheme": "https"}
        await self._app(scope, receive, send)


def _values(scope: Mapping[str, list[tuple[bytes, bytes]]], name: str) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name.encode()]
