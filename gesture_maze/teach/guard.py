"""Restricts the program to its own page: other sites and other users of the machine are refused.

A page of any site can send requests to a port of this machine. So every request must name a loopback host
(a name that a site points at 127.0.0.1 is refused), must not come from another origin, and must carry the
cookie that the printed address sets. Programs of other users do not know that address.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
PAGE: Final = "/teach"
COOKIE: Final = "maze_teach_"
"""Start of the cookie's name; the port follows, because cookies are shared by all ports of a host."""


class OwnPageOnly:
    """ASGI middleware: refuses requests and sockets that do not come from the page of this program.

    Args:
        app: the application behind it.
        token: secret of this run; the page's address carries it once.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app: Final = app
        self._token: Final = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or socket."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        fault = self._fault(scope)
        if scope["type"] == "http" and not fault.startswith("origin"):
            given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
            if scope["path"] == PAGE and self._is_token(given):
                await self._welcome(scope)(scope, receive, send)
                return
        if not fault:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4403})
        elif scope["path"] == PAGE:
            words = "Open the address that maze teach printed: it contains a token.\n"
            await PlainTextResponse(words, 403)(scope, receive, send)
        else:
            await JSONResponse({"reason": "forbidden", "detail": fault}, 403)(scope, receive, send)

    def _welcome(self, scope: Scope) -> RedirectResponse:
        """Return a redirect to the page, which sets the cookie that opens it."""
        response = RedirectResponse(PAGE.lstrip("/"), 303)
        response.set_cookie(_cookie_name(scope), self._token, httponly=True, samesite="strict")
        response.headers["Cache-Control"] = "no-store"
        return response

    def _fault(self, scope: Scope) -> str:
        """Return why a request is refused; empty if it is not."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if urlsplit(f"//{host}").hostname not in LOOPBACK:
            return "origin: the host of the address must be 127.0.0.1 or localhost"
        if headers.get("origin", f"http://{host}") != f"http://{host}":
            return "origin: requests of pages of other sites are refused"
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and scope.get("method") != "GET":
            return "origin: requests of pages of other sites are refused"
        if not any(map(self._is_token, _cookies(headers.getlist("cookie"), _cookie_name(scope)))):
            return "token: open the address that maze teach printed"
        return ""

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token.encode())


def _cookie_name(scope: Scope) -> str:
    return f"{COOKIE}{(scope.get('server') or ('', 0))[1]}"


def _cookies(headers: Iterable[str], name: str) -> Iterable[str]:
    for header in headers:
        try:
            found = SimpleCookie(header).get(name)
        except CookieError:
            continue
        if found is not None:
            yield found.value
