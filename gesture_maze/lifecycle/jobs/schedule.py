"""RQ's cron for jobs of the closed list, for example a nightly training."""

from __future__ import annotations

from typing import Any, Final

import redis
from croniter import croniter
from rq.cron import CronJob, CronScheduler
from rq.job import Job

from gesture_maze.lifecycle.jobs.catalog import checked
from gesture_maze.lifecycle.jobs.closed import QUEUE, queue_on, submit
from gesture_maze.wire.errors import SettingsError

NIGHTLY: Final = "0 3 * * *"
"""Every night at three, by the local clock."""


class ClosedCronJob(CronJob):
    """A job of the closed list at set times. RQ's own class would enqueue a pickled function."""

    def enqueue(self, connection: redis.Redis) -> Job:
        """Submit the job once and return it."""
        return submit(queue_on(connection), self.func_name, self.kwargs)


def scheduler(connection: redis.Redis, at: str, name: str, arguments: dict[str, Any]) -> CronScheduler:
    """Return a scheduler that submits the job at the times of the cron expression `at`.

    Its `start` runs until a signal arrives. Run only one scheduler, because two would submit every job twice.

    Raises:
        SettingsError: `settings`: the expression or the job is wrong.
    """
    checked(name, arguments)
    if not croniter.is_valid(at):
        raise SettingsError("settings", f"--at must be a cron expression such as '{NIGHTLY}', got {at!r}")
    found = CronScheduler(connection)
    found.get_jobs().append(ClosedCronJob(QUEUE, func_name=name, kwargs=arguments, cron=at))
    return found
