"""Options that several commands share, so that they have one meaning and one help text."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from gesture_maze.cli.environment import variable

CONTEXT: Final = {"help_option_names": ["-h", "--help"]}

DEFAULT_REDIS: Final = "redis://127.0.0.1:6379/0"

RedisUrl = Annotated[
    str,
    typer.Option(
        "--redis",
        envvar=variable("redis"),
        metavar="URL",
        help="Where the frames are: redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
JobsRedis = Annotated[
    str,
    typer.Option(
        "--jobs-redis",
        envvar=variable("jobs_redis"),
        metavar="URL",
        help="Where the jobs are: another database, or better another server, than the frames.",
    ),
]
TrackingUri = Annotated[
    str,
    typer.Option(
        "--tracking-uri",
        envvar=variable("tracking_uri"),
        help="MLflow server or database; 'none' keeps no record.",
    ),
]
OptionalTrackingUri = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri",
        envvar=variable("tracking_uri"),
        help="MLflow server or database: versions are looked up there too, and the alias moves with them.",
    ),
]
