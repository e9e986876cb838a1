"""The main loop of a worker.

Reads and commits are in flight while the worker computes: the next read is requested before a large batch
is processed, or just before the commit of a small one is sent, and a commit's result is collected while
there is nothing to read, or when the next one is ready to be sent. Whenever the state of a partition may be
wrong (a lost connection, a fenced commit, an expired lease), it is discarded and rebuilt from Redis under a
new epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gesture_maze.worker.batch import Batch
from gesture_maze.worker.commits import Commits
from gesture_maze.worker.intake import Intake, Owned
from gesture_maze.worker.keeper import Keeper
from gesture_maze.worker.ownership import Ownership
from gesture_maze.worker.partition import Partition
from gesture_maze.worker.path import FramePath
from gesture_maze.worker.quarantine import Quarantine
from gesture_maze.worker.report import Reporter
from gesture_maze.worker.retention import Retention


class Loop:
    """One worker's pass over its partitions. All its methods belong to one thread.

    Args:
        partitions: the owned partitions by number.
        keeper: the leases, and the server's time.
        ownership, intake, path, commits, reporter, quarantine, retention: the parts of a pass.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        partitions: dict[int, Partition],
        *,
        keeper: Keeper,
        ownership: Ownership,
        intake: Intake,
        path: FramePath,
        commits: Commits,
        reporter: Reporter,
        quarantine: Quarantine,
        retention: Retention,
        clock: Callable[[], float],
    ) -> None:
        self.partitions: Final = partitions
        self._keeper: Final = keeper
        self._ownership: Final = ownership
        self._intake: Final = intake
        self._path: Final = path
        self._commits: Final = commits
        self._reporter: Final = reporter
        self._quarantine: Final = quarantine
        self._retention: Final = retention
        self._clock: Final = clock

    def step(self) -> int:
        """Run one pass and return the number of frames processed. Waits for frames for at most one read.

        Raises:
            ConnectionLost, RedisRefused: call `reconnect` before the next step.
            SettingsError: this worker must stop.
        """
        self._ownership.follow(self._commits.settle)
        batch, suspect = self._begin()
        self._path.decode(batch)
        self._path.admit(batch)
        self._path.classify(batch)
        self._path.decide(batch)
        self._reporter.prepare(batch)
        if not suspect:
            self._intake.ask()
        committed = self._commits.send(batch, self._reporter.report)
        if committed:
            self._intake.learn(batch)
        self._retention.sweep()
        return batch.counted + self._quarantine.work(suspect)

    def _begin(self) -> tuple[Batch, Owned]:
        """Read, and return a batch of the frames of partitions without suspects, and what was read of those
        with suspects. Only the batch refers to its entries, so that decoding frees them."""
        owned, suspect = self._quarantine.separate(self._intake.read())
        self._keeper.progressed(self._clock())
        if not suspect:
            self._intake.read_ahead(owned)
        return self._path.begin(owned, self._server_ms()), suspect

    def settle(self) -> None:
        """Collect the results of the commits sent last, and report what was done.

        Raises:
            ConnectionLost, RedisRefused: call `reconnect` before the next step.
        """
        self._commits.settle()

    def drain(self) -> None:
        """Settle what was sent and release every partition; what was read ahead is left to the next owner.

        Raises:
            ConnectionLost, RedisRefused: what was not committed is read again by the next owner.
        """
        self._keeper.leave(self._clock())  # off the roster before the partitions come free
        self._commits.settle()
        self._intake.close()
        self._ownership.release(set(self.partitions))

    def reconnect(self) -> None:
        """Drop the connections and acquire every partition again, after an error."""
        self._intake.close()
        self._commits.close()
        self._ownership.reacquire()

    def close(self) -> None:
        """Drop the connections."""
        self._intake.close()
        self._commits.close()

    def _server_ms(self) -> int | None:
        """Return the server's time by our monotonic clock, so that setting our wall clock does not age
        frames."""
        return self._keeper.server_ms(self._clock())
