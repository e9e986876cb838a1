"""`maze worker`: one worker process, or a pool of them."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from gesture_maze.cli.options import DEFAULT_REDIS, RedisOrEmbedded

POLICY: Final = (
    "settle_ms", "enter", "leave", "first_repeat_ms", "repeat_ms", "release_ms", "bridge_frames",
)  # fmt: skip
"""Flags that are numbers of the decision policy (`worker.policy.Rules`); all others are `worker.settings`."""

Opt = typer.Option


def worker(
    redis: RedisOrEmbedded = DEFAULT_REDIS,
    processes: Annotated[int, Opt(min=1, help="Worker processes; one that dies is started again.")] = 1,
    supervise: Annotated[bool, Opt("--supervise", help="Watch over a single process too.")] = False,
    partitions: Annotated[int, Opt(help="Partition streams; a power of two up to 1024.")] = 16,
    model: Annotated[
        str | None, Opt(help="Folder or zip of a model bundle. (default: the bundled one)")
    ] = None,
    threshold: Annotated[
        float | None, Opt(help="Least confidence of an action. (default: the model's)")
    ] = None,
    actions: Annotated[str | None, Opt(help="Mapping, such as like=up,dislike=down,four=right.")] = None,
    settle_ms: Annotated[int, Opt(help="A gesture that leads for so long settles.")] = 120,
    enter: Annotated[float, Opt(help="Least confidence to settle.")] = 0.70,
    leave: Annotated[float, Opt(help="Least confidence to be held.")] = 0.50,
    first_repeat_ms: Annotated[int, Opt(help="A held gesture repeats first after so long.")] = 400,
    repeat_ms: Annotated[int, Opt(help="Then it repeats every so often.")] = 250,
    release_ms: Annotated[int, Opt(help="So long without it ends a gesture.")] = 250,
    bridge_frames: Annotated[int, Opt(help="So many bad or empty frames in a row are bridged.")] = 2,
    deadline_ms: Annotated[int, Opt(help="Shed older frames as stale; 0 = never.")] = 1000,
    supersede_ms: Annotated[int, Opt(help="Backlog from which only newest frames count; 0 = never.")] = 500,
    batch_frames: Annotated[int, Opt(help="Frames per batch to aim at.")] = 2048,
    lease_ttl_ms: Annotated[int, Opt(help="How long a dead worker's partitions wait.")] = 3000,
    retention_ms: Annotated[int, Opt(help="How long committed entries stay.")] = 60_000,
    rebuild_ms: Annotated[int, Opt(help="Past from which a new owner rebuilds its sessions.")] = 5000,
    block_ms: Annotated[int, Opt(help="Longest wait of one read.")] = 1000,
    drain_ms: Annotated[int, Opt(help="Longest drain after SIGTERM.")] = 5000,
    dead_letters: Annotated[int, Opt(help="Dead letters kept per partition.")] = 10_000,
    sharded: Annotated[bool, Opt("--sharded", help="Publish with SPUBLISH, for a cluster.")] = False,
    metrics_host: Annotated[str, Opt(help="Where /metrics, /livez and /readyz listen.")] = "127.0.0.1",
    metrics_port: Annotated[int, Opt(help="Process i takes port + i; 0 = any free one.")] = 9100,
    log_format: Annotated[str, Opt(help="human or json.")] = "human",
    log_level: Annotated[str, Opt(help="debug, info, warning or error.")] = "info",
    summary_s: Annotated[int, Opt(help="Seconds between summary lines.")] = 10,
) -> None:
    """Read frames, classify them and publish each session's moves, until SIGTERM or Ctrl-C; then drain.

    Workers that share a Redis share its partitions. A second signal leaves at once.
    Exit codes: 0 drained, 2 wrong settings or model.

    Example: [bold]maze worker --redis redis://127.0.0.1:6379/0 --processes 2[/bold]
    """
    run(locals())


def run(flags: dict[str, Any]) -> None:
    """Run what the flags of `maze worker` say.

    Raises:
        SettingsError, ModelError: nothing was started.
        typer.Exit: with the pool's exit code, where it is not 0.
    """
    from gesture_maze.embedded.server import redis_at

    processes, supervise = flags.pop("processes"), flags.pop("supervise")
    with redis_at(flags["redis"]) as url:
        settings = settings_of({**flags, "redis": url})
        if processes > 1 or supervise:
            _supervise(settings, processes)
        else:
            _work(settings)


def settings_of(flags: dict[str, Any]) -> Any:
    """Checked `worker.settings.Settings` from flags.

    Raises:
        SettingsError: one sentence that names every fault.
    """
    from gesture_maze.wire.errors import SettingsError
    from gesture_maze.worker.policy import Rules
    from gesture_maze.worker.settings import Settings

    values = {name: value for name, value in flags.items() if name not in POLICY}
    faults = []
    try:
        values["policy"] = Rules(**{name: flags[name] for name in POLICY})
    except SettingsError as error:
        faults.append(str(error))
    values["actions"] = _mapping(flags["actions"])
    try:
        settings = Settings.of(**values)
    except SettingsError as error:
        faults.append(str(error))
    if faults:
        raise SettingsError("settings", "; ".join(faults))
    return settings


def _mapping(text: str | None) -> dict[str, str] | None:
    """`like=up,dislike=down` as a dict; what is wrong with its words is found by the settings."""
    if text is None:
        return None
    pairs = [pair.partition("=") for pair in text.split(",") if pair]
    return {gesture.strip(): action.strip() for gesture, _, action in pairs}


def _work(settings: Any) -> None:
    from gesture_maze.worker.identity import worker_id
    from gesture_maze.worker.process import WorkerProcess

    WorkerProcess(settings, worker_id()).run()


def _supervise(settings: Any, processes: int) -> None:
    from gesture_maze.worker.logs import open_log
    from gesture_maze.worker.supervisor import Supervisor

    code = Supervisor(settings, processes, open_log(settings, worker="supervisor")).run()
    if code:
        raise typer.Exit(code)
