"""`maze doctor`: what may be wrong, and what to do."""

from __future__ import annotations

import typer

from gesture_maze.cli.options import DEFAULT_REDIS, AsJson, RedisUrl
from gesture_maze.cli.printing import print_json


def doctor(redis: RedisUrl = DEFAULT_REDIS, as_json: AsJson = False) -> None:
    """Check Redis and the pool: versions, memory policy, persistence, access, clocks, time-outs, metrics.

    Reads only. Exit codes: 0 nothing bad (warnings may be), 1 something is bad, 2 no Redis.

    Example: [bold]maze doctor --redis redis://127.0.0.1:6379/0[/bold]
    """
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from gesture_maze.ops.doctor import examine
    from gesture_maze.ops.doctor_facts import gather
    from gesture_maze.worker.redis.attach import attached

    with attached(redis) as client:
        findings = examine(gather(client))
    if as_json:
        print_json([asdict(one) for one in findings])
    else:
        table = Table.grid(padding=(0, 2))
        signs = {"good": "[green]good[/green]", "warning": "[yellow]look[/yellow]", "bad": "[red]bad[/red]"}
        for one in findings:
            table.add_row(signs[one.level], one.what, one.says)
        Console().print(table)
    raise typer.Exit(int(any(one.level == "bad" for one in findings)))
