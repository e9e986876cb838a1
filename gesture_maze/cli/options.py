"""Options that several commands share, so that they mean and say the same everywhere."""

from __future__ import annotations

from typing import Annotated, Final

import typer

CONTEXT: Final = {"auto_envvar_prefix": "MAZE", "help_option_names": ["-h", "--help"]}
"""Given to each command by itself, so that `--redis` reads MAZE_REDIS whatever the command is."""

DEFAULT_REDIS: Final = "redis://127.0.0.1:6379/0"

RedisUrl = Annotated[
    str,
    typer.Option(
        "--redis",
        metavar="URL",
        help="Where the frames are: redis://, rediss://, unix:// or redis+sentinel://.",
    ),
]
RedisOrEmbedded = Annotated[
    str,
    typer.Option(
        "--redis",
        metavar="URL",
        help="Where the frames are, or 'embedded': start the bundled server on a free port.",
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", envvar="MAZE_JSON", help="Print one JSON object instead of words.")
]
