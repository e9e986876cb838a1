"""What the gateway publishes about itself: `GET /`, its health, and the REST interface at /docs, without a
CDN."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field

from gesture_maze.gateway.room import Room
from gesture_maze.gateway.settings import Settings
from gesture_maze.version import __version__
from gesture_maze.wire.gestures import DEFAULT_ACTIONS, GESTURES, Action

VIEWER: Final = "docs/viewer"
"""Where the files of the viewer (Swagger UI) are, below the gateway's path."""


class Welcome(BaseModel):
    """What this service is, with links to its parts."""

    message: str = "Welcome to the gesture maze"
    version: str = __version__
    gestures: list[str] = list(GESTURES)
    actions: dict[str, Action] = DEFAULT_ACTIONS
    endpoints: dict[str, str] = {
        "POST /predict": "one hand, one answer",
        "GET /game": "play in the browser",
        "GET /watch": "watch the mazes of `maze demo`",
        "WS /play": "the game's own protocol",
        "GET /scores/{size}": "the fastest walks: small, medium or large, by input and seed",
        "GET /daily": "the maze of the day",
        "GET /metrics": "for Prometheus",
        "GET /livez, /readyz": "health",
        "GET /docs": "this interface, described",
    }


class Health(BaseModel):
    """Whether the service can do its work."""

    ready: Annotated[bool, Field(description="Redis is reached in both directions")]
    detail: str


def install(app: FastAPI, settings: Settings) -> None:
    """Add the routes."""
    app.mount(f"/{VIEWER}", StaticFiles(directory=_viewer()), name="viewer")
    endpoints = Welcome().endpoints
    if settings.metrics_port is not None:
        del endpoints["GET /metrics"]

    @app.get("/", responses={307: {"description": "To the game, for browsers"}})
    async def welcome(request: Request) -> Welcome:
        """Describe this service and link its parts. A browser is redirected to the game."""
        if prefers_html(request.headers.get("accept", "")):
            root = request.scope["root_path"]
            # without a known root the address is relative: a proxy may have cut off a path we do not know
            return RedirectResponse(f"{root}/game" if root else "game", 307, {"Vary": "Accept"})  # type: ignore[return-value]
        room: Room = app.state.room
        mapping = room.mapping
        return Welcome(gestures=list(mapping.gestures), actions=mapping.actions, endpoints=endpoints)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        """Show the REST interface."""
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=app.title,
            swagger_js_url=f"{VIEWER}/swagger-ui-bundle.js",
            swagger_css_url=f"{VIEWER}/swagger-ui.css",
            swagger_favicon_url="favicon.ico",
        )

    @app.get("/livez")
    async def livez() -> Health:
        """Answer, which shows that the process is live."""
        return Health(ready=readiness(app)[0], detail="alive")

    @app.get("/readyz", responses={503: {"model": Health}})
    async def readyz(_request: Request, response: Response) -> Health:
        """Return whether frames can be sent and replies received."""
        ready, facts = readiness(app)
        response.status_code = 200 if ready else 503
        return Health(ready=ready, detail=facts["detail"])


def readiness(app: FastAPI) -> tuple[bool, dict[str, Any]]:
    """See `worker.health.Check`."""
    room: Room | None = getattr(app.state, "room", None)
    if room is None:
        return False, {"detail": "starting"}
    if not app.state.probe.reachable:
        return False, {"detail": "Redis does not take frames"}
    if not room.fan.listening:
        return False, {"detail": f"the subscription to replies is not in place: {room.fan.fault}"}
    return True, {"detail": "ready"}


def prefers_html(accept: str) -> bool:
    """Return whether the client is a browser: it accepts text/html, named before any JSON. Programs send
    */* or nothing."""
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    if "text/html" not in kinds:
        return False
    return "application/json" not in kinds[: kinds.index("text/html")]


def _viewer() -> Path:
    return Path(str(files("fastapi_offline"))) / "static"
