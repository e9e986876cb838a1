"""The gateway put together: one FastAPI application and the tasks beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any, Final

from fastapi import FastAPI, Request, Response
from prometheus_fastapi_instrumentator import Instrumentator
from pydantic import BaseModel, Field
from starlette.middleware.cors import CORSMiddleware

from gesture_maze.gateway import pages, poses, predict, problems, scoreboard, tasks, watch
from gesture_maze.gateway.fan import Fan, open_redis
from gesture_maze.gateway.guard import Guard
from gesture_maze.gateway.health import Pulse
from gesture_maze.gateway.limits import Doorkeeper, Rates
from gesture_maze.gateway.logs import Sampled
from gesture_maze.gateway.metrics import Metrics
from gesture_maze.gateway.outbox import Outbox
from gesture_maze.gateway.probe import Probe
from gesture_maze.gateway.races import Races
from gesture_maze.gateway.refusals import Refusal
from gesture_maze.gateway.releases import Releases
from gesture_maze.gateway.room import Room
from gesture_maze.gateway.saved import SavedGames
from gesture_maze.gateway.sessions import Sessions
from gesture_maze.gateway.settings import Settings
from gesture_maze.gateway.tokens import Tokens
from gesture_maze.producer import AsyncFrameProducer
from gesture_maze.version import __version__
from gesture_maze.wire.gestures import DEFAULT_ACTIONS, GESTURES, Action
from gesture_maze.worker.logs import Log

SWEEP_S: Final = 30.0
OPENINGS_S: Final = 10.0
"""Time in which an address may open as many sockets as it may have at the same time."""
OPENINGS_AT_ONCE: Final = 4
"""As many times more at once: a class that reloads its pages."""
STARTS_PER_S: Final = 5.0
"""Mazes that an address may begin per second: making a large one takes some ms."""
MORE_CONNECTIONS: Final = 2000
"""HTTP connections of all addresses, beyond one for each socket."""


class Welcome(BaseModel):
    """What this service is, and where to go on."""

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


def build(settings: Settings, log: Log | None = None) -> FastAPI:
    """Return the application. It connects to Redis when it is started.

    Args:
        settings: checked settings.
        log: for events; by default one as the settings ask for.

    Raises:
        SettingsError: the Redis URL cannot be understood.
    """
    metrics = Metrics()
    log = log or Log(settings.log_format, settings.log_level)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with _started(app, settings, metrics, log) as room:
            yield {"room": room}

    app = FastAPI(
        title="gesture-maze gateway",
        version=__version__,
        description="Hand landmarks in, maze moves out.",
        lifespan=lifespan,
    )
    app.state.registry, app.state.pulse = metrics.registry, Pulse()
    for part in (predict, scoreboard, poses, watch):
        app.include_router(part.router)
    _add_information(app, settings)
    pages.install(app)
    problems.install(app, metrics)
    # the original front end is a page from elsewhere; no cookie or token is of any use to it here
    app.add_middleware(
        CORSMiddleware, allow_origins=["*"], allow_methods=["GET", "POST"], allow_headers=["*"]
    )
    instrumentator = Instrumentator(
        registry=metrics.registry,
        excluded_handlers=["/metrics", "/watch/stream"],
        should_ignore_untemplated=True,
    )
    instrumentator.instrument(app)
    if settings.metrics_port is None:
        instrumentator.expose(app, include_in_schema=False)
    rates = Rates(settings.requests_per_s, 10 * settings.requests_per_s)
    app.add_middleware(Guard, metrics=metrics, rates=rates, behind_proxy=settings.behind_proxy)
    return app


@asynccontextmanager
async def _started(app: FastAPI, settings: Settings, metrics: Metrics, log: Log) -> AsyncIterator[Room]:
    """Hold the connections and tasks while the application runs. Redis need not be reachable yet."""
    async with AsyncExitStack() as stack:
        producer = await stack.enter_async_context(AsyncFrameProducer(settings.redis, name="maze-gateway"))
        fan = Fan(settings.redis, producer.connect, log)
        shown = watch.Watch(settings.redis, settings.watchers_per_address, log)
        client = open_redis(settings.redis)
        races = Races(client, open_redis(settings.redis), log)

        def replace(why: str) -> None:
            for one in (fan, shown, races):
                one.reconnect(why)

        probe = Probe(client, replace, log)
        for close in (fan.close, shown.close, races.close, client.aclose):
            stack.push_async_callback(close)
        outbox = Outbox(producer, metrics, settings.tick_ms, Sampled(log), probe.hurry)
        room = Room(
            settings=settings,
            metrics=metrics,
            tokens=Tokens(settings.secret, settings.token_ttl_s),
            doorkeeper=Doorkeeper(settings.sessions_per_address, settings.max_sessions),
            openings=Rates(
                settings.sessions_per_address / OPENINGS_S, OPENINGS_AT_ONCE * settings.sessions_per_address
            ),
            starts=Rates(STARTS_PER_S, settings.sessions_per_address),
            connections=Doorkeeper(
                settings.connections_per_address,
                settings.max_sessions + MORE_CONNECTIONS,
                Refusal.TOO_MANY_REQUESTS,
            ),
            sessions=Sessions(settings.fps, settings.keep_s, metrics),
            outbox=outbox,
            fan=fan,
            releases=Releases(settings.release_ms),
            scoreboard=scoreboard.Scoreboard(client),
            saved=SavedGames(client, settings.keep_s, log),
            races=races,
            tasks=set(),
        )
        app.state.room, app.state.probe = room, probe
        app.state.predictor = predict.Predictor(
            outbox, fan, settings.lanes, settings.predict_per_address, settings.predict_timeout_ms
        )
        app.state.scoreboard, app.state.watch = room.scoreboard, shown
        works: dict[str, Callable[[], Awaitable[None]]] = {
            "outbox": outbox.run,
            "fan": fan.run,
            "probe": probe.run,
            "releases": room.releases.run,
            "watch": shown.run,
            "sweep": lambda: _sweep(room.sessions),
            "saved": room.saved.run,
            "races": races.run,
            "pulse": app.state.pulse.run,
        }
        tasks.start(stack, works, log, metrics)
        yield room


async def _sweep(sessions: Sessions) -> None:
    while True:
        await asyncio.sleep(SWEEP_S)
        sessions.sweep()


def _add_information(app: FastAPI, settings: Settings) -> None:
    shown = Welcome()
    if settings.metrics_port is not None:
        del shown.endpoints["GET /metrics"]

    @app.get("/")
    async def welcome() -> Welcome:
        """What this service is, and where to go on."""
        return shown

    @app.get("/livez")
    async def livez() -> Health:
        """Whether the process answers at all."""
        return Health(ready=readiness(app)[0], detail="alive")

    @app.get("/readyz", responses={503: {"model": Health}})
    async def readyz(_request: Request, response: Response) -> Health:
        """Whether frames can go out and replies come back."""
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
        return False, {"detail": "the subscription to replies is not in place"}
    return True, {"detail": "ready"}
