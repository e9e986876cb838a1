"""`maze gateway`: the game server between browsers and Redis."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gesture_maze.cli.options import DEFAULT_REDIS, RedisOrEmbedded
from gesture_maze.embedded.server import redis_at

Opt = typer.Option


def gateway(
    redis: RedisOrEmbedded = DEFAULT_REDIS,
    host: Annotated[str, Opt(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, Opt(help="Where to listen; 0 = any free port.")] = 8000,
    tls_cert: Annotated[Path | None, Opt(help="Serve https and wss, with this certificate (PEM).")] = None,
    tls_key: Annotated[Path | None, Opt(help="Its private key (PEM, no passphrase).")] = None,
    tls_client_ca: Annotated[
        Path | None, Opt(help="Let in only who shows a certificate signed by one of these authorities (PEM).")
    ] = None,
    metrics_host: Annotated[str, Opt(help="Where --metrics-port listens.")] = "127.0.0.1",
    metrics_port: Annotated[
        int | None,
        Opt(help="A port of its own for /metrics, /livez and /readyz, without TLS; 0 = any free one."),
    ] = None,
    tick_ms: Annotated[int, Opt(help="Frames of all players go out once a tick.")] = 10,
    fps: Annotated[int, Opt(help="Most frames per second of a player.")] = 30,
    predict_timeout_ms: Annotated[int, Opt(help="POST /predict gives up after so long.")] = 1000,
    lanes: Annotated[int, Opt(help="Requests to /predict that may wait at the same time.")] = 128,
    sessions_per_address: Annotated[int, Opt(help="Sockets of one network address.")] = 64,
    max_sessions: Annotated[int, Opt(help="Sockets in all.")] = 2000,
    hello_s: Annotated[float, Opt(help="A socket must introduce itself within so long.")] = 5.0,
    keep_s: Annotated[int, Opt(help="The maze of an absent player is kept for so long.")] = 600,
    token_ttl_s: Annotated[int, Opt(help="A token resumes its session for so long.")] = 3600,
    secret_file: Annotated[
        Path | None, Opt(help="Holds the key that signs tokens. (default: MAZE_SECRET, or a random one)")
    ] = None,
    secret: Annotated[str | None, Opt(envvar="MAZE_SECRET", hidden=True)] = None,
    origins: Annotated[
        str | None, Opt(help="Further origins whose pages may open a socket, with commas between.")
    ] = None,
    behind_proxy: Annotated[bool, Opt("--behind-proxy", help="Believe X-Forwarded-For and -Proto.")] = False,
    log_format: Annotated[str, Opt(help="human, or json: one object per line.")] = "human",
    log_level: Annotated[str, Opt(help="debug, info, warning or error.")] = "info",
) -> None:
    """Serve the game: the page /game, its sockets, and POST /predict; until SIGTERM or Ctrl-C.

    It needs workers on the same Redis: see [bold]maze worker[/bold]. Exit codes: 0, 2 wrong settings.

    Example: [bold]maze gateway --redis redis://127.0.0.1:6379/0 --port 8000[/bold]
    """
    from gesture_maze.gateway.server import run
    from gesture_maze.gateway.settings import Settings, secret_of

    flags = {name: value for name, value in locals().items() if name in Settings.model_fields}
    flags["secret"] = secret_of(secret_file) or secret
    flags["origins"] = tuple(one.strip() for one in (origins or "").split(",") if one.strip())
    with redis_at(redis) as url:
        run(Settings.of(**flags | {"redis": url}))
