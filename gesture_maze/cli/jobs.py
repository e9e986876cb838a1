"""`maze jobs`: training, evaluation, promotion, replay and redrive in the background."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gesture_maze.cli.environment import variable
from gesture_maze.cli.options import CONTEXT, DEFAULT_REDIS, AsJson, JobsRedis, RedisUrl, TrackingUri
from gesture_maze.cli.printing import print_json, print_line
from gesture_maze.lifecycle.training import DEFAULT_TRACKING
from gesture_maze.wire.errors import SettingsError

if TYPE_CHECKING:
    from rq.job import Job

    from gesture_maze.lifecycle.jobs.closed import ClosedQueue

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    context_settings=CONTEXT,
    help="""Work in the background: train, evaluate, promote, rollback, replay, redrive.

Example: [bold]maze jobs submit train '{"data": ["landmarks.csv.gz"], "out": "nightly"}'[/bold]""",
)

DEFAULT_JOBS_REDIS: Final = "redis://127.0.0.1:6379/1"
JobName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the job: train, evaluate, ...")]
JobArguments = Annotated[str, typer.Argument(metavar="JSON", help="Its arguments, as a JSON object.")]
JobId = Annotated[str, typer.Argument(metavar="ID", help="Id of the job, from 'maze jobs list'.")]
LISTED: Final = 100
OTHER_SCHEMES: Final = ("redis+cluster://", "rediss+cluster://", "embedded")
"""Schemes of addresses that are never a jobs' database."""
LOST_S: Final = 120
"""Time without a heartbeat after which a worker is not alive: two heartbeats, see
`lifecycle.jobs.closed.SIGN_S`."""


@app.command(context_settings=CONTEXT)
def worker(
    redis: RedisUrl = DEFAULT_REDIS,
    jobs_redis: JobsRedis = DEFAULT_JOBS_REDIS,
    folder: Annotated[
        Path, typer.Option(envvar=variable("folder"), help="Folder that contains all paths of jobs.")
    ] = Path(),
    tracking_uri: TrackingUri = DEFAULT_TRACKING,
    burst: Annotated[bool, typer.Option("--burst", help="Exit when no job is left.")] = False,
) -> None:
    """Run jobs, one at a time, until SIGTERM or Ctrl-C. The current job is finished first.

    Only jobs of the closed list run. Any other payload fails, and nothing is imported for it.

    Example: [bold]maze jobs worker --folder /srv/maze --jobs-redis redis://127.0.0.1:6379/1[/bold]
    """
    from gesture_maze.lifecycle.jobs.catalog import Context
    from gesture_maze.lifecycle.jobs.closed import ClosedWorker, connection_to

    check_apart(redis, jobs_redis)
    if not folder.is_dir():
        raise SettingsError("settings", f"--folder must be an existing folder, got {folder}")
    os.chdir(folder)  # so that relative paths (such as a tracking database) mean the same in every job
    with _errors():
        jobs = ClosedWorker(connection_to(jobs_redis), Context(Path.cwd(), redis, tracking_uri))
        jobs.work(burst=burst)
    if not burst and not jobs.asked_to_stop:
        sys.stderr.write("maze: the jobs worker ended because of an error, see the log above\n")
        raise typer.Exit(1)


@app.command(context_settings=CONTEXT)
def submit(
    name: JobName,
    arguments: JobArguments = "{}",
    jobs_redis: JobsRedis = DEFAULT_JOBS_REDIS,
    as_json: AsJson = False,
) -> None:
    """Submit a job: train, evaluate, promote, rollback, replay or redrive.

    Example: [bold]maze jobs submit evaluate '{"data": "landmarks.csv.gz", "report": "report.html"}'[/bold]
    """
    from gesture_maze.lifecycle.jobs.closed import submit as put

    with _queue(jobs_redis) as queue:
        job = put(queue, name, _object(arguments))
    if as_json:
        print_json({"id": job.id, "name": name})
    else:
        print_line(f"{job.id} is queued. Show it with: maze jobs show {job.id}")


@app.command("list", context_settings=CONTEXT)
def list_jobs(jobs_redis: JobsRedis = DEFAULT_JOBS_REDIS, as_json: AsJson = False) -> None:
    """List jobs, newest first: queued, started, finished, failed and cancelled ones.

    Example: [bold]maze jobs list --json[/bold]
    """
    with _queue(jobs_redis) as queue:
        found = [as_dict(job) for job in _jobs(queue)]
    if as_json:
        print_json(found)
        return
    if not found:
        print_line("No jobs.")
    for one in found:
        words = f"{one['id']}  {one['status'] or '?':10} {one['name']:10} {_percent(one['progress'])}"
        print_line(_printable(words))


@app.command(context_settings=CONTEXT)
def show(job: JobId, jobs_redis: JobsRedis = DEFAULT_JOBS_REDIS, as_json: AsJson = False) -> None:
    """Show one job: arguments, progress, result or error.

    Example: [bold]maze jobs show 1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed[/bold]
    """
    with _queue(jobs_redis) as queue:
        facts = as_dict(_fetched(queue, job), whole=True)
    if as_json:
        print_json(facts)
        return
    for key, value in facts.items():
        print_line(_printable(f"{key:10} {value if isinstance(value, str) else json.dumps(value)}"))


@app.command(context_settings=CONTEXT)
def cancel(job: JobId, jobs_redis: JobsRedis = DEFAULT_JOBS_REDIS, as_json: AsJson = False) -> None:
    """Remove a job from the queue, or stop it if it runs. Files that it has written are kept.

    Example: [bold]maze jobs cancel 1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed[/bold]
    """
    from rq.command import send_stop_job_command
    from rq.exceptions import InvalidJobOperation

    with _queue(jobs_redis) as queue:
        found = _fetched(queue, job)
        running = found.is_started
        try:
            if running:
                send_stop_job_command(queue.connection, found.id, queue.serializer)
            else:
                found.cancel()
        except InvalidJobOperation as error:
            raise SettingsError("settings", f"job {job} cannot be cancelled: {error}") from None
    if as_json:
        print_json({"id": job, "was_running": running})
    else:
        print_line(f"{job} {'is being stopped' if running else 'is cancelled'}.")


@app.command(context_settings=CONTEXT)
def alive(jobs_redis: JobsRedis = DEFAULT_JOBS_REDIS, as_json: AsJson = False) -> None:
    """Check that a jobs worker on this machine, or in this container, is alive. Exit codes: 0 yes, 1 no.

    Example: [bold]maze jobs alive --jobs-redis redis://127.0.0.1:6379/1[/bold]
    """
    from gesture_maze.lifecycle.jobs.closed import silent_s

    with _queue(jobs_redis) as queue:
        silent = silent_s(queue.connection, gethostname())
    lives = silent is not None and silent < LOST_S
    if as_json:
        print_json({"alive": lives, "silent_s": silent})
    elif silent is None:
        print_line("No jobs worker is known on this machine.")
    else:
        print_line(f"The last heartbeat of a jobs worker was {silent:.0f} s ago.")
    raise typer.Exit(0 if lives else 1)


@app.command(context_settings=CONTEXT)
def cron(
    name: JobName,
    arguments: JobArguments = "{}",
    at: Annotated[str, typer.Option(help="Minute, hour, day, month, weekday.")] = "0 3 * * *",
    jobs_redis: JobsRedis = DEFAULT_JOBS_REDIS,
) -> None:
    """Submit a job at set times, by RQ's cron, until SIGTERM or Ctrl-C. Run only one of these.

    Example: [bold]maze jobs cron train '{"data": ["all.csv.gz"], "out": "nightly"}' --at "0 3 * * *"[/bold]
    """
    from gesture_maze.lifecycle.jobs.schedule import scheduler

    with _queue(jobs_redis) as queue:
        scheduler(queue.connection, at, name, _object(arguments)).start()  # type: ignore[no-untyped-call]


def check_apart(frames: str, jobs: str) -> None:
    """Check that jobs and frames use different databases.

    Raises:
        SettingsError: `settings`, if they use the same one, or a URL is invalid.
    """
    from redis.connection import parse_url

    from gesture_maze.producer.address import Place, is_sentinel

    def place(url: str) -> tuple[Any, ...]:
        try:
            if is_sentinel(url):
                behind = Place.of(url)
                return (frozenset(behind.sentinels), behind.service, behind.redis.get("db", 0))
            if url.startswith(OTHER_SCHEMES):
                return (url,)
            parts: dict[str, Any] = dict(parse_url(url))
        except ValueError as error:
            raise SettingsError(
                "settings", f"--jobs-redis and --redis must be URLs of a Redis: {error}"
            ) from None
        host = {"localhost": "127.0.0.1"}.get(parts.get("host", ""), parts.get("host", "127.0.0.1"))
        return (host, parts.get("port", 6379), parts.get("path"), parts.get("db", 0))

    if place(frames) == place(jobs):
        message = "--jobs-redis must not be the frames' database: use another database (.../1) or server"
        raise SettingsError("settings", message)


def as_dict(job: Job, *, whole: bool = False) -> dict[str, Any]:
    """Return a job as `--json` prints it, with `whole` including its arguments, result and fault."""
    from rq.exceptions import DeserializationError

    try:
        name, arguments = str(job.func_name), job.kwargs
    except (DeserializationError, TypeError, ValueError, RecursionError):  # not written by us
        name, arguments = "?", {}
    facts: dict[str, Any] = {
        "id": job.id,
        "name": name,
        "status": str(job.get_status(refresh=False).value),
        "created": job.created_at.isoformat(timespec="seconds"),
        "progress": job.meta.get("progress") if isinstance(job.meta, dict) else None,
    }
    if whole:
        result = job.latest_result()
        fault = result.exc_string if result and result.exc_string else None
        facts |= {
            "arguments": arguments,
            "started": job.started_at and job.started_at.isoformat(timespec="seconds"),
            "ended": job.ended_at and job.ended_at.isoformat(timespec="seconds"),
            "result": result.return_value if result else None,
            "fault": fault and fault.strip().splitlines()[-1],
        }
    return facts


def _jobs(queue: ClosedQueue) -> list[Job]:
    from rq.exceptions import NoSuchJobError

    registries = (
        queue.started_job_registry,
        queue.finished_job_registry,
        queue.failed_job_registry,
        queue.canceled_job_registry,
    )
    ids = [*queue.get_job_ids(), *(one for registry in registries for one in registry.get_job_ids())]
    known = []
    for one in dict.fromkeys(ids):
        # one by one, so that a job that cannot be read does not hide the others
        with suppress(NoSuchJobError, ValueError):
            known.append(queue.job_class.fetch(one, connection=queue.connection, serializer=queue.serializer))
    return sorted(known, key=lambda job: job.created_at, reverse=True)[:LISTED]


def _fetched(queue: ClosedQueue, job: str) -> Job:
    from rq.exceptions import NoSuchJobError

    # marks a job as failed if the heartbeat of its worker has expired
    queue.started_job_registry.cleanup()
    try:
        return queue.job_class.fetch(job, connection=queue.connection, serializer=queue.serializer)
    except (NoSuchJobError, ValueError):
        raise SettingsError("settings", f"there is no job {job}: see 'maze jobs list'") from None


@contextmanager
def _queue(url: str) -> Iterator[ClosedQueue]:
    from gesture_maze.lifecycle.jobs.closed import connection_to, queue_on

    with _errors():
        connection = connection_to(url)
        try:
            yield queue_on(connection)
        finally:
            connection.close()


@contextmanager
def _errors() -> Iterator[None]:
    from gesture_maze.worker.redis.client import connection_errors

    with connection_errors():
        yield


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise SettingsError("settings", f"the arguments are not JSON: {error}") from None
    if not isinstance(found, dict):
        raise SettingsError("settings", 'the arguments must be a JSON object, for example {"shadow": true}')
    return found


def _percent(progress: Any) -> str:
    """Return the progress of a job as text, or "" if it has none or it is malformed."""
    try:
        return f"{progress['title']} {100 * int(progress['done']) // int(progress['total'])} %"
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return ""


def _printable(text: str) -> str:
    """Return text with control characters escaped, because jobs are untrusted."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
