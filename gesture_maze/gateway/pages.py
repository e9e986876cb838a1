"""The pages: static files, served with headers that let a browser do what they need and nothing else.

All addresses in them are relative, so that the game works below any path of a proxy.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gesture_maze.gateway.audience import audience
from gesture_maze.gateway.room import Room
from gesture_maze.gateway.upgrade import BROWSER_COOKIE

FOLDER: Final = Path(__file__).parents[1] / "page"
HANDS: Final = FOLDER / "vendor" / "hands"
"""Where `make web` puts the hand tracker."""
HANDS_CDN_ORIGIN: Final = "https://cdn.jsdelivr.net"
HANDS_CDN: Final = f"{HANDS_CDN_ORIGIN}/npm/@mediapipe/hands@0.4.1675469240/"

TRACKER_WORKER: Final = "/static/js/tracker-worker.js"

_COMMON: Final = (
    "default-src 'none'; style-src 'self'; font-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "manifest-src 'self'"
)
PAGE_POLICY: Final = f"{_COMMON}; script-src 'self'; connect-src 'self'"


def game_policy(cdn: str) -> str:
    """Return the game's policy: the hand tracker is WebAssembly and creates functions from text."""
    sources = f"'self' {cdn}".strip()
    return (
        f"{_COMMON}; script-src {sources} 'wasm-unsafe-eval' 'unsafe-eval'; connect-src {sources}; "
        "worker-src 'self' blob:"
    )


DOCS_POLICY: Final = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"
)
"""FastAPI's page starts its viewer by a script in the page."""
API_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"

router = APIRouter(include_in_schema=False)


def hands_at() -> str:
    """Return where the page finds the hand tracker: here after `make web`, else on its CDN."""
    return "static/vendor/hands/" if (HANDS / "hands.js").exists() else HANDS_CDN


@router.get("/game")
async def game(request: Request) -> HTMLResponse:
    """Return the game's page."""
    response = _page("game.html")
    response.headers["Content-Security-Policy"] = _policy_of_game()
    if BROWSER_COOKIE not in request.cookies:
        secure = request.url.scheme == "https"
        response.set_cookie(
            BROWSER_COOKIE,
            secrets.token_hex(16),
            httponly=True,
            samesite="strict",
            secure=secure,
            path=request.scope["root_path"] or "/",
        )
    return response


@router.get("/watch")
async def watch() -> HTMLResponse:
    """Return the page with the mazes of `maze demo` and of this gateway's players."""
    response = _page("watch.html")
    response.headers["Content-Security-Policy"] = PAGE_POLICY
    return response


@router.get("/watch/players")
async def players(request: Request) -> dict[str, Any]:
    """Return the players of this gateway and their mazes."""
    room: Room = request.app.state.room
    return audience(room.sessions)


@router.get("/manifest.webmanifest")
async def manifest() -> FileResponse:
    """Return what a browser needs to install the game."""
    return FileResponse(FOLDER / "manifest.webmanifest", media_type="application/manifest+json")


@router.get("/sw.js")
async def service_worker() -> FileResponse:
    """Return the service worker, next to the page because it may control only paths below its own."""
    headers = {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-cache"}
    return FileResponse(FOLDER / "sw.js", media_type="text/javascript", headers=headers)


@router.get("/favicon.ico")
async def favicon() -> FileResponse:
    """Return the icon."""
    return FileResponse(FOLDER / "icon.svg", media_type="image/svg+xml")


def _policy_of_game() -> str:
    return game_policy(HANDS_CDN_ORIGIN if hands_at() == HANDS_CDN else "")


def _page(name: str) -> HTMLResponse:
    return HTMLResponse((FOLDER / name).read_text().replace("{{hands}}", hands_at()))


def install(app: FastAPI) -> None:
    """Serve the pages and their files."""
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=FOLDER), name="static")
    app.add_middleware(SafeHeaders)


class SafeHeaders:
    """ASGI middleware: adds security headers to every response, and a policy if the page has not set its
    own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app: Final = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        policy = DOCS_POLICY if scope["path"].endswith("/docs") else API_POLICY
        if scope["path"].endswith(TRACKER_WORKER):
            policy = _policy_of_game()  # a worker has the policy of its own file

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", policy)
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Referrer-Policy", "no-referrer")
                headers.setdefault("Permissions-Policy", "camera=(self), microphone=(), geolocation=()")
                if "/static/" in scope["path"]:
                    # revalidated at each request (304), so that a new version of the page is used at once
                    headers["Cache-Control"] = "no-cache"
            await send(message)

        await self._app(scope, receive, with_headers)
