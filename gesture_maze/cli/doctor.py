"""`maze doctor`: checks of Redis and the pool, and what to do about each fault."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from gesture_maze.cli.options import DEFAULT_REDIS, AsJson, RedisUrl
from gesture_maze.cli.printing import cell, print_json, print_table, text_table

STYLES: Final = {"ok": "green", "warning": "yellow", "error": "bold red"}


Mend = Annotated[
    bool,
    typer.Option(
        "--mend",
        help="First repair partitions whose ids are ahead of the clock, or whose stream was deleted.",
    ),
]


def doctor(redis: RedisUrl = DEFAULT_REDIS, as_json: AsJson = False, mend: Mend = False) -> None:
    """Check Redis and the pool: version, memory policy, persistence, access, clock, timeouts, metrics.

    Reads only, unless --mend is given. Each line is ok, warning or error, with what to do about it.
    Exit codes: 0 no error (there may be warnings), 1 an error, 2 no Redis.

    Example: [bold]maze doctor --redis redis://127.0.0.1:6379/0[/bold]
    """
    from dataclasses import asdict

    from gesture_maze.ops import mending
    from gesture_maze.ops.doctor import examine
    from gesture_maze.ops.doctor_facts import gather
    from gesture_maze.worker.redis.attach import attached
    from gesture_maze.worker.redis.status import StatusReader

    with attached(redis) as client:
        mended = mending.mend(client, len(StatusReader(client).read().partitions)) if mend else []
        findings = mended + examine(gather(client))
    if as_json:
        print_json([asdict(one) for one in findings])
    else:
        table = text_table(("status", "check", "message"), whole=("status", "check"))
        table.show_header = False
        for one in findings:
            table.add_row(cell(one.status, STYLES[one.status]), cell(one.check), cell(one.message))
        print_table(table)
    raise typer.Exit(int(any(one.status == "error" for one in findings)))
