"""Assembles the gateway: one FastAPI application and its background tasks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI
from prometheus_fastapi_instrumentator import Instrumentator
from starlette.middleware.cors import CORSMiddleware

from gesture_maze.gateway import information, pages, poses, predict, problems, scoreboard, tasks, watch
from gesture_maze.gateway.fan import Fan, open_redis
from gesture_maze.gateway.guard import Guard
from gesture_maze.gateway.health import Pulse
from gesture_maze.gateway.limits import ConcurrencyLimit, Rates
from gesture_maze.gateway.logs import Outages, Sampled
from gesture_maze.gateway.mapping import PoolMapping
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
from gesture_maze.gateway.turns import REFUSALS_PER_S
from gesture_maze.producer import AsyncFrameProducer
from gesture_maze.version import __version__
from gesture_maze.worker.logs import Log

SWEEP_S: Final = 30.0
OPENINGS_S: Final = 10.0
"""Time in which an address may open as many sockets as it may have at the same time."""
OPENINGS_AT_ONCE: Final = 4
"""Factor by which a burst may exceed that, for example when a school class reloads its pages."""
STARTS_PER_S: Final = 5.0
"""Mazes that an address may begin per second: generating a large one takes several ms."""
MORE_CONNECTIONS: Final = 2000
"""HTTP connections of all addresses, beyond one for each socket."""


def build(settings: Settings, log: Log | None = None) -> FastAPI:
    """Return the application. It connects to Redis when it is started.

    Args:
        settings: checked settings.
        log: for events; by default a new one, as set in the settings.

    Raises:
        SettingsError: the Redis URL is invalid.
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
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # the redirect would name the Host that the client claims
    )
    app.state.registry, app.state.pulse = metrics.registry, Pulse()
    for part in (predict, scoreboard, poses, watch):
        app.include_router(part.router)
    information.install(app, settings)
    pages.install(app)
    problems.install(app, metrics)
    _add_middleware(app, settings, metrics)
    return app


def _add_middleware(app: FastAPI, settings: Settings, metrics: Metrics) -> None:
    """Add the middleware that every request passes; the one added last is the outermost."""
    # pages of other origins may call /predict, which needs neither cookie nor token
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
    predictions = Rates(settings.requests_per_s, settings.predict_per_address)
    app.add_middleware(Guard, metrics=metrics, rates=rates, predictions=predictions, settings=settings)


@asynccontextmanager
async def _started(app: FastAPI, settings: Settings, metrics: Metrics, log: Log) -> AsyncIterator[Room]:
    """Keep connections and tasks open while the application runs. Redis need not be reachable yet."""
    async with AsyncExitStack() as stack:
        producer = await stack.enter_async_context(AsyncFrameProducer(settings.redis, name="maze-gateway"))
        outages = Outages(log)
        fan = Fan(settings.redis, producer.connect, log, outages)
        shown = watch.Watch(settings.redis, settings.watchers_per_address, outages)
        client = open_redis(settings.redis)
        races = Races(client, open_redis(settings.redis), outages)

        def replace(why: str) -> None:
            for one in (fan, shown, races):
                one.reconnect(why)

        probe = Probe(client, replace, outages)
        for close in (fan.close, shown.close, races.close, client.aclose):
            stack.push_async_callback(close)
        outbox = Outbox(producer, metrics, settings.tick_ms, Sampled(log), probe.hurry, fan.reply_to)
        room = Room(
            settings=settings,
            metrics=metrics,
            tokens=Tokens(settings.secret, settings.token_ttl_s),
            **_limits(settings),
            sessions=Sessions(settings.fps, settings.keep_s, metrics),
            outbox=outbox,
            fan=fan,
            releases=Releases(settings.release_ms),
            scoreboard=scoreboard.Scoreboard(client),
            saved=SavedGames(client, settings.keep_s, log),
            races=races,
            mapping=PoolMapping(client, log),
            tasks=set(),
        )
        _install(app, room, probe, shown)
        tasks.start(stack, _works(app, room), log, metrics)
        yield room


def _limits(settings: Settings) -> dict[str, Any]:
    """Return the limits that all sockets and connections share, by their names in `Room`."""
    players, most = settings.sessions_per_address, settings.max_sessions
    busy = Refusal.TOO_MANY_REQUESTS
    return {
        "concurrency": ConcurrencyLimit(players, most),
        "openings": Rates(players / OPENINGS_S, OPENINGS_AT_ONCE * players),
        "starts": Rates(STARTS_PER_S, players),
        "connections": ConcurrencyLimit(settings.connections_per_address, most + MORE_CONNECTIONS, busy),
        "refusals": Rates(REFUSALS_PER_S, REFUSALS_PER_S),
    }


def _install(app: FastAPI, room: Room, probe: Probe, shown: watch.Watch) -> None:
    """Put what the routes use into the application's state."""
    settings = room.settings
    app.state.room, app.state.probe, app.state.watch = room, probe, shown
    app.state.scoreboard = room.scoreboard
    app.state.predictor = predict.Predictor(
        room.outbox, room.fan, settings.lanes, settings.predict_per_address, settings.predict_timeout_ms
    )


def _works(app: FastAPI, room: Room) -> dict[str, Callable[[], Awaitable[None]]]:
    """Return the background tasks by name."""
    return {
        "outbox": room.outbox.run,
        "fan": room.fan.run,
        "probe": app.state.probe.run,
        "releases": room.releases.run,
        "watch": app.state.watch.run,
        "mapping": room.mapping.run,
        "sweep": lambda: _sweep(room.sessions),
        "saved": room.saved.run,
        "races": room.races.run,
        "pulse": app.state.pulse.run,
    }


async def _sweep(sessions: Sessions) -> None:
    while True:
        await asyncio.sleep(SWEEP_S)
        sessions.sweep()
