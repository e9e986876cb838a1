"""RQ restricted to a closed list: a worker that looks names up in `lifecycle.jobs.catalog` and imports
nothing for a payload.

By default RQ unpickles payloads. With its JSON serializer it still imports any dotted name in a payload (the
job's function, a callback or a class), and posts to any webhook address in it. A client that can write to its
Redis could run code in its workers. Here a job is a name of the closed list and JSON arguments. Everything
else in a payload is refused before the job begins, and nothing is imported.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Mapping
from typing import Any, ClassVar, Final, NoReturn

import redis
from rq import Queue, Worker
from rq.exceptions import NoSuchJobError, StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import now

from gesture_maze.lifecycle.jobs.catalog import Context, checked
from gesture_maze.producer.address import is_cluster, is_sentinel, open_client
from gesture_maze.wire.errors import SettingsError

QUEUE: Final = "maze-jobs"
PROGRESS_S: Final = 1.0
"""Least time between two progress updates, because an epoch can take milliseconds."""
TIMEOUT_S: Final = 6 * 3600
"""Longest time of a job. A search over a large table takes hours, but a hanging job must not block its
worker."""
SIGN_S: Final = 60
"""A worker without a job sends a heartbeat every 45 s (RQ takes 15 s off), one with a job every 30 s."""
MAX_FIELD_BYTES: Final = 1024 * 1024
"""Most bytes of one field of a job, compressed or not. Valid jobs take hundreds."""
UNASKED: Final = frozenset(
    {
        "retries_left", "number_of_retries", "retry_intervals", "repeats_left", "repeat_intervals",
        "enqueue_at_front", "dependency_id", "dependency_ids", "allow_dependency_failures", "group_id",
        "rate_limit_key", "rate_limit_concurrency",
    }
)  # fmt: skip
"""Fields that make RQ repeat a job, wait for other jobs, or enqueue others. They are dropped."""
RESULT_S: Final = 30 * 24 * 3600
"""How long results and failures are kept: a month."""


class ClosedJob(Job):
    """A job of the closed list."""

    context: ClassVar[Context | None] = None
    """Set in a worker; None elsewhere, where jobs are only submitted and listed."""

    @property
    def func(self) -> Any:
        """The function that RQ calls for a job, regardless of the payload."""
        return self._checked_run

    def _checked_run(self, *args: Any, **kwargs: Any) -> Any:
        """Check the payload, run the job and return its result.

        Raises:
            SettingsError: `settings`, if the payload is not a job of the list.
        """
        if args or self.instance is not None or self._names_callbacks():
            raise SettingsError("settings", "a job has a name and named arguments, nothing else")
        arguments = checked(self.func_name, kwargs)
        if self.context is None:
            raise SettingsError("settings", "jobs run in 'maze jobs worker' only")
        return arguments.run(self.context, self._note)

    def restore(self, raw_data: Any) -> Any:
        """Read the job from Redis, without the fields in `UNASKED`.

        Raises:
            NoSuchJobError: it is not a valid job. RQ then takes the next one; any other exception would end
            the
                worker.
        """
        fields = {key: value for key, value in raw_data.items() if _text(key) not in UNASKED}
        try:
            _check_size(fields)
            super().restore(fields)
        except Exception as error:  # noqa: BLE001 - a crafted job may fail in any way
            logging.getLogger(__name__).warning("job_rejected id=%r error=%r", self.id, error)
            raise NoSuchJobError(f"job {self.id!r} cannot be read: {error!r}") from None
        self.webhooks = []

    # RQ imports callbacks by name, so they are disabled.

    @property
    def success_callback(self) -> None:
        """Return None: callbacks in a payload are ignored."""
        return

    @property
    def failure_callback(self) -> None:
        """Return None: callbacks in a payload are ignored."""
        return

    @property
    def stopped_callback(self) -> None:
        """Return None: callbacks in a payload are ignored."""
        return

    def _names_callbacks(self) -> bool:
        names = (self._success_callback_name, self._failure_callback_name, self._stopped_callback_name)
        return any(isinstance(name, str) for name in names)

    def _note(self, title: str, done: int, total: int) -> None:
        """Store the progress of the job, at most once per `PROGRESS_S`, and at the beginning and end."""
        now_s = time.monotonic()
        last_s: float = getattr(self, "_noted_s", float("-inf"))
        if now_s - last_s >= PROGRESS_S or done in (0, total):
            self._noted_s = now_s
            self.meta["progress"] = {"title": title, "done": done, "total": total}
            self.save_meta()  # type: ignore[no-untyped-call]


def _text(key: object) -> str:
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)


def _check_size(fields: Mapping[Any, Any]) -> None:
    """Check the size of a payload before RQ decompresses it.

    Raises:
        ValueError: it is above `MAX_FIELD_BYTES`.
    """
    packed = next((value for key, value in fields.items() if _text(key) == "data"), b"")
    if any(len(value) > MAX_FIELD_BYTES for value in fields.values() if isinstance(value, bytes)):
        raise ValueError(f"a field is over {MAX_FIELD_BYTES} bytes")
    try:
        unpacker = zlib.decompressobj()
        unpacker.decompress(packed, MAX_FIELD_BYTES)
    except zlib.error:
        return  # not compressed: RQ reads it as it is
    if unpacker.unconsumed_tail:
        raise ValueError(f"the payload unpacks to over {MAX_FIELD_BYTES} bytes")


class ClosedQueue(Queue):
    """A queue whose jobs are all of the closed list."""

    job_class = ClosedJob


class ClosedWorker(Worker):
    """Runs jobs of the closed list, one at a time, each in a forked process."""

    asked_to_stop: bool = False
    """Whether a signal ended the worker. Otherwise an error did, which RQ has logged."""

    job_class = ClosedJob
    queue_class = ClosedQueue

    def __init__(self, connection: redis.Redis, context: Context) -> None:
        """Take jobs from the queue on `connection`, with the settings in `context`."""
        forbid_imports()
        ClosedJob.context = context
        super().__init__(
            [queue_on(connection)],
            connection=connection,
            serializer=JSONSerializer,
            default_result_ttl=RESULT_S,
            worker_ttl=SIGN_S,
            log_job_description=False,  # it contains the arguments, which are untrusted
        )

    def handle_warm_shutdown_request(self) -> None:
        """Record that a signal ended the worker."""
        self.asked_to_stop = True
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run a job. If RQ cannot handle it, the job fails and the worker continues."""
        try:
            super().execute_job(job, queue)
        except (redis.RedisError, StopRequested):
            raise
        except Exception as error:
            self.log.exception("job_failed id=%r", job.id)
            self.handle_job_failure(job, queue, exc_string=f"{type(error).__name__}: {error}")


def silent_s(connection: redis.Redis, host: str) -> float | None:
    """Return the seconds since the last heartbeat of a worker on `host`, or None without a worker."""
    workers = Worker.all(connection, ClosedJob, ClosedQueue, serializer=JSONSerializer)
    signs = [one.last_heartbeat for one in workers if one.hostname == host and one.last_heartbeat]
    return (now() - max(signs)).total_seconds() if signs else None


def forbid_imports() -> None:
    """Disable RQ's import of names, for the rest of this process.

    `ClosedJob` never uses it. This guards against later versions of RQ.
    """
    import rq.job
    import rq.queue

    for module in (rq.job, rq.queue):
        vars(module)["import_attribute"] = _refuse


def _refuse(name: str) -> NoReturn:
    raise SettingsError("settings", f"a job must not import anything, got {name!r}")


def connection_to(url: str) -> redis.Redis:
    """Return a client for RQ, which sets the timeouts of its blocking reads itself.

    Raises:
        SettingsError: `settings`, if the URL is invalid or names a cluster.
    """
    if is_cluster(url):
        message = (
            "--jobs-redis must be a single Redis, got a cluster: RQ uses keys of several slots at once. "
            "Give jobs their own Redis, such as redis://127.0.0.1:6380/0, and keep the cluster for --redis"
        )
        raise SettingsError("settings", message)
    if is_sentinel(url):
        return open_client(url, name="maze-jobs", timeout_s=SIGN_S)
    try:
        return redis.Redis.from_url(url)
    except ValueError as error:
        raise SettingsError("settings", f"--jobs-redis: {error}") from None


def queue_on(connection: redis.Redis) -> ClosedQueue:
    """Return the queue of jobs."""
    return ClosedQueue(
        QUEUE,
        connection=connection,
        job_class=ClosedJob,
        serializer=JSONSerializer,
        default_timeout=TIMEOUT_S,
    )


def submit(queue: Queue, name: str, arguments: dict[str, Any]) -> Job:
    """Check a job, enqueue it and return it.

    Raises:
        SettingsError: `settings`: there is no such job, or its arguments are not allowed.
    """
    checked(name, arguments)
    return queue.enqueue_call(
        name, kwargs=arguments, result_ttl=RESULT_S, failure_ttl=RESULT_S, timeout=TIMEOUT_S,
        description=name,
    )  # fmt: skip
