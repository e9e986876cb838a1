"""`maze simulate`: simulated players' frames for a pool that runs elsewhere, for load tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesture_maze.cli.options import DEFAULT_REDIS, AsJson, RedisUrl
from gesture_maze.cli.printing import print_json, print_line
from gesture_maze.wire.printable import amount

if TYPE_CHECKING:
    from gesture_maze.load.run import LoadReport

Opt = typer.Option


def simulate(
    redis: RedisUrl = DEFAULT_REDIS,
    players: Annotated[int, Opt(min=1, max=50_000, help="Simulated players.")] = 100,
    fps: Annotated[float, Opt(min=0.1, max=240, help="Frames per second of each camera.")] = 30,
    rate: Annotated[
        float | None, Opt(min=1, help="Frames per second of all players together; replaces --fps.")
    ] = None,
    seconds: Annotated[float, Opt(min=0.1, help="Duration in s.")] = 10,
    listen: Annotated[int, Opt(min=0, help="Number of players whose replies are received.")] = 200,
    ticks: Annotated[int, Opt(min=1, max=1000, help="Sends per camera interval.")] = 4,
    max_lag: Annotated[int, Opt(min=0, help="Refuse frames beyond this many waiting entries.")] = 10_000,
    seed: Annotated[int, Opt(help="Seed of the hands and gestures.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Send simulated players' frames; report what was accepted, refused and answered, and how fast.

    Frames go out in ticks, as a game server's do: one entry per partition. Latency is from just before a
    frame is sent until its reply is received. On a Redis with roles the user 'producer' is enough; the pool's
    own counts need 'watch', see maze acl.
    Exit codes: 0, or 1 if no reply was received.

    Example: [bold]maze simulate --players 100 --rate 3000 --seconds 10[/bold]
    """
    from gesture_maze.load.run import LoadOptions, run

    options = LoadOptions(
        redis=redis,
        players=players,
        fps=rate / players if rate else fps,
        seconds=seconds,
        listen=min(listen, players),
        ticks=ticks,
        max_lag=max_lag,
        seed=seed,
    )
    report = run(options)
    if as_json:
        print_json(report.as_dict())
    else:
        _show(report)
    if not report.replies and options.listen:
        raise typer.Exit(1)


def _show(report: LoadReport) -> None:
    def ms(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f} ms"

    def words(counts: dict[str, Any]) -> str:
        return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"

    print_line(
        f"accepted   {amount(report.accepted, 'frame')} in {report.seconds:.1f} s "
        f"({report.frames_per_s:,.0f}/s)"
    )
    print_line(f"refused    {words(report.refused)}")
    if report.unknown:
        print_line(f"unknown    {report.unknown:,}: the connection was lost")
    if report.outcomes is None:
        print_line("pool       this user has no right to read its counts, the user 'watch' has")
    else:
        print_line(f"pool       {words(report.outcomes)}")
    print_line(f"replies    {report.replies:,} for {amount(report.listened, 'player')}")
    quantiles = zip(("p50", "p99", "p99.9"), report.latency_ms, strict=True)
    print_line("latency    " + ", ".join(f"{name} {ms(value)}" for name, value in quantiles))
    if report.late_turns:
        print_line(
            f"late       {amount(report.late_turns, 'send')} began late: this process is the bottleneck"
        )
