"""`maze rollback`: back to the previous model, or an end to a challenge."""

from __future__ import annotations

from typing import Annotated

import typer

from gesture_maze.cli.options import DEFAULT_REDIS, AsJson, OptionalTrackingUri, RedisUrl
from gesture_maze.cli.printing import print_json, print_line


def rollback(
    redis: RedisUrl = DEFAULT_REDIS,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Remove the challenger instead; the champion stays.")
    ] = False,
    tracking_uri: OptionalTrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Swap champion and previous model; a second call swaps them back. Workers follow within a second.

    Exit codes: 0 done, 2 there is none to go back to.

    Example: [bold]maze rollback[/bold]
    """
    from gesture_maze.lifecycle.tracked import appoint
    from gesture_maze.worker.redis.attach import attached
    from gesture_maze.worker.redis.registry import ModelRegistry

    with attached(redis) as client:
        registry = ModelRegistry(client)
        if shadow:
            dismissed = registry.dismiss()
            if as_json:
                print_json({"dismissed": dismissed})
            else:
                print_line(
                    f"{dismissed} is no longer the challenger." if dismissed else "No challenger is set."
                )
            return
        champion, previous = registry.rollback()
    appoint(tracking_uri, champion, "champion")
    if as_json:
        print_json({"champion": champion, "previous": previous})
    else:
        print_line(f"{champion} is the champion again; {previous} was.")
