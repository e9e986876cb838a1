"""RQ, closed: a worker that looks names up in `lifecycle.jobs.catalog` and imports nothing for a payload.

RQ by itself unpickles payloads; with its JSON serializer it still imports whatever dotted name a payload
gives, as the job's function, as a callback or as the class of either, and posts to whatever address it names
as a webhook. Whoever can write to its Redis could run code in its workers. Here a job is a name of the closed
list and JSON arguments; everything else in a payload is refused before the job begins, and nothing is
imported.
"""

from __future__ import annotations

import time
from typing import Any, ClassVar, Final, NoReturn

import redis
from rq import Queue, Worker
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import now

from gesture_maze.lifecycle.jobs.catalog import Context, checked
from gesture_maze.wire.errors import SettingsError

QUEUE: Final = "maze-jobs"
PROGRESS_S: Final = 1.0
"""Least time between two notes of progress: an epoch can take milliseconds."""
TIMEOUT_S: Final = 6 * 3600
"""A search over a large table takes hours; a job that hangs should not hold its worker for ever."""
SIGN_S: Final = 60
"""A worker without a job gives a sign of life every 45 s (RQ takes 15 s off), one at a job every 30 s."""
RESULT_S: Final = 30 * 24 * 3600
"""Results and failures can be looked at for a month."""


class ClosedJob(Job):
    """A job of the closed list."""

    context: ClassVar[Context | None] = None
    """Set in a worker; None elsewhere: who submits and lists jobs cannot do them."""

    @property
    def func(self) -> Any:
        """RQ's hook for what a job calls; here never a function of the payload's choice."""
        return self._checked_run

    def _checked_run(self, *args: Any, **kwargs: Any) -> Any:
        """Check the payload and do the job.

        Raises:
            SettingsError: the payload asks for anything but a job of the list.
        """
        if args or self.instance is not None or self._names_callbacks():
            raise SettingsError("settings", "a job has a name and named arguments, nothing else")
        arguments = checked(self.func_name, kwargs)
        if self.context is None:
            raise SettingsError("settings", "jobs are done by 'maze jobs worker' only")
        return arguments.run(self.context, self._note)

    def restore(self, raw_data: Any) -> Any:
        """Read the job from Redis, without what RQ would do for it unasked."""
        super().restore(raw_data)
        self.webhooks = []

    # RQ imports these by name; a worker of the closed list has none to call.

    @property
    def success_callback(self) -> None:
        """None, whatever the payload names."""
        return

    @property
    def failure_callback(self) -> None:
        """None, whatever the payload names."""
        return

    @property
    def stopped_callback(self) -> None:
        """None, whatever the payload names."""
        return

    def _names_callbacks(self) -> bool:
        names = (self._success_callback_name, self._failure_callback_name, self._stopped_callback_name)
        return any(isinstance(name, str) for name in names)

    def _note(self, title: str, done: int, total: int) -> None:
        """Write down how far the job is, at most once per `PROGRESS_S` but for the ends."""
        now_s = time.monotonic()
        last_s: float = getattr(self, "_noted_s", float("-inf"))
        if now_s - last_s >= PROGRESS_S or done in (0, total):
            self._noted_s = now_s
            self.meta["progress"] = {"title": title, "done": done, "total": total}
            self.save_meta()  # type: ignore[no-untyped-call]


class ClosedQueue(Queue):
    """A queue whose jobs are of the closed list, wherever RQ makes one by itself."""

    job_class = ClosedJob


class ClosedWorker(Worker):
    """Does jobs of the closed list, one at a time, each in a forked process."""

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
            log_job_description=False,  # it repeats the arguments, which strangers may have written
        )


def silent_s(connection: redis.Redis, host: str) -> float | None:
    """Seconds since a worker of this host gave the last sign of life, by our clock; None without a worker."""
    workers = Worker.all(connection, ClosedJob, ClosedQueue, serializer=JSONSerializer)
    signs = [one.last_heartbeat for one in workers if one.hostname == host and one.last_heartbeat]
    return (now() - max(signs)).total_seconds() if signs else None


def forbid_imports() -> None:
    """Take away RQ's own way from a name to code, for the rest of this process.

    `ClosedJob` never goes there. This is for what a later RQ may add: a hole that fails instead of opening.
    """
    import rq.job
    import rq.queue

    for module in (rq.job, rq.queue):
        vars(module)["import_attribute"] = _refuse


def _refuse(name: str) -> NoReturn:
    raise SettingsError("settings", f"nothing is imported for a job: {name!r}")


def connection_to(url: str) -> redis.Redis:
    """A client for RQ; it sets the time-outs of its blocking reads itself.

    Raises:
        SettingsError: `settings`: the URL is none.
    """
    try:
        return redis.Redis.from_url(url)
    except ValueError as error:
        raise SettingsError("settings", f"--jobs-redis: {error}") from None


def queue_on(connection: redis.Redis) -> ClosedQueue:
    """The one queue of jobs."""
    return ClosedQueue(
        QUEUE,
        connection=connection,
        job_class=ClosedJob,
        serializer=JSONSerializer,
        default_timeout=TIMEOUT_S,
    )


def submit(queue: Queue, name: str, arguments: dict[str, Any]) -> Job:
    """Check a job and put it on the queue.

    Raises:
        SettingsError: `settings`: there is no such job, or it may not be told this.
    """
    checked(name, arguments)
    return queue.enqueue_call(
        name, kwargs=arguments, result_ttl=RESULT_S, failure_ttl=RESULT_S, timeout=TIMEOUT_S,
        description=name,
    )  # fmt: skip
