"""The lease keeper: heartbeats, renews, acquires and hands over partitions, in a thread with its own
connection.

`step(now_s)` is one pass, with the time passed in. The keeper decides which partitions this worker should
own. Only the main loop opens and closes them: whenever `revision` has changed, it compares `held()` with its
partitions, opens new ones, closes lost ones, and drains those in `to_release()` before it releases them.
Comparing states is safe if a connection is lost half-way; a queue of events would not be.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterable
from typing import Final

from gesture_maze.wire.errors import ConnectionLost, MazeError, NodeLost, RedisRefused, SettingsError
from gesture_maze.worker.logs import Log
from gesture_maze.worker.records import Grant, Roster, Standing
from gesture_maze.worker.redis.broker import Broker
from gesture_maze.worker.redis.client import leave_wrong_server
from gesture_maze.worker.redis.listener import WakeListener
from gesture_maze.worker.shares import plan

RENEW_SHARE: Final = 0.25
"""Renew after this share of the time to live: three renewals may fail before a lease runs out."""
SELF_FENCE_SHARE: Final = 0.7
"""Stop using a lease after this share of its time to live without a renewal; the rest is a margin for clock
drift."""
STALL_S: Final = 10.0
"""A main loop without progress for this long loses its leases, so that another worker can take over."""
SURVEY_S: Final = 1.0
RETRY_S: Final = 1.0
"""Pause after Redis refused a command, or after an unexpected error."""
AWAY_S: Final = 0.1
"""Pause between passes while a node of a cluster is away: its replica may take over at any time."""


class Keeper:
    """Keeps the leases of one worker.

    Args:
        broker: Redis.
        worker: our id.
        info: JSON shown to operators beside our id.
        wake: called when the main loop has something to do.
        log: where events go.
        clock: monotonic seconds, for the server's time.

    Attributes:
        revision: rises with every change of `held()` or `to_release()`.
    """

    def __init__(
        self,
        broker: Broker,
        worker: str,
        info: str,
        wake: Callable[[], None],
        log: Log,
        clock: Callable[[], float],
    ) -> None:
        self._clock: Final = clock
        self._broker: Final = broker
        self._worker: Final = worker
        self._info = info
        self._wake: Final = wake
        self._log: Final = log
        self._interval_s: Final = broker.lease_ttl_ms / 1000 * RENEW_SHARE
        self._usable_s: Final = broker.lease_ttl_ms / 1000 * SELF_FENCE_SHARE
        self._lock: Final = threading.Lock()
        self._stepping: Final = threading.Lock()
        self._grants: Final[dict[int, Grant]] = {}
        self._usable_until_s: Final[dict[int, float]] = {}
        self._giving: Final[set[int]] = set()
        self._abandoned: Final[dict[int, str]] = {}
        self._standings: list[Standing] = []
        self._missing: set[int] = set()
        self._next_survey_s = 0.0
        self._leaving = False
        self._unfinished = False
        """Whether the last step has left partitions to be acquired."""
        self._progress_s = float("inf")
        self._stepped_s = float("-inf")
        self._clock_offset_ms: float | None = None
        self._ageless = False
        self._fault: MazeError | None = None
        self._away: Final[set[int]] = set()
        """Partitions of a cluster that no node serves for us now."""
        self.revision = 0

    def step(self, now_s: float) -> None:
        """Run one pass: renew, heartbeat, acquire and hand over. `now_s` is monotonic, read just before.

        Raises:
            ConnectionLost: nothing was changed; try again.
            RedisRefused: Redis answered with an error.
            SettingsError: another topology is in force.
        """
        with self._stepping:
            if now_s - self._stepped_s > self._usable_s:
                # this thread did not run either: the process was stopped, or Redis was unavailable
                self._progress_s = max(self._progress_s, now_s)
            self._unfinished = False
            if self._is_stalled(now_s):
                self._abandon()
            else:
                self._renew(now_s)
                self._share(now_s)
            self._stepped_s = now_s

    def _share(self, now_s: float) -> None:
        asked_s = begin_s = self._clock()
        roster = self._broker.roster(self._worker, "" if self._leaving else self._info)
        # half-way between question and answer, and not before: a slow server must not make frames look old
        self._clock_offset_ms = roster.server_ms - (asked_s + self._clock()) * 500
        if self._leaving:
            return
        todo = plan(self._worker, roster.workers, self._owners(roster))
        with self._lock:
            if set(todo.give) != self._giving:
                self._giving.clear()
                self._giving.update(todo.give)
                self._changed()
        for partition in todo.take:
            # a step that took longer than this would let the leases run out that it has acquired first
            took_s = self._clock() - begin_s
            if took_s > self._interval_s:
                self._unfinished = True
                break
            self.acquire(partition, now_s + took_s)
        if now_s >= self._next_survey_s:
            self._next_survey_s = now_s + SURVEY_S
            self._cut_long_leases(roster)
            held = self.held()
            self._standings = self._broker.survey(sorted(held))
            self._missing = held.keys() - {standing.partition for standing in self._standings}

    def acquire(self, partition: int, now_s: float, cursor: bytes = b"0-0") -> None:
        """Acquire a partition, or acquire it again under a new epoch.

        If another worker holds the lease, the partition is no longer held by this one.

        Args:
            partition: which one.
            now_s: monotonic, read just before.
            cursor: where to begin if Redis has lost the group.
        """
        grant = None
        try:
            grant = self._broker.acquire(self._worker, partition, cursor)
        except NodeLost as error:
            if partition not in self._away:
                self._log.warning("partition_unavailable", partition=partition, error=str(error))
            self._away.add(partition)
        except RedisRefused as error:
            if error.momentary:
                raise
            # one unavailable partition (for example a key of the wrong type) must not block the rest
            self._log.warning("partition_refused", partition=partition, error=str(error))
        else:
            self._away.discard(partition)
        with self._lock:
            self._grants.pop(partition, None)
            if grant is not None:
                self._grants[partition] = grant
                self._usable_until_s[partition] = now_s + self._usable_s
            self._changed()

    def lose(self, partition: int, token: str) -> None:
        """Stop holding a partition whose node was lost; it is acquired again soon."""
        self.forget(partition, token)
        self._away.add(partition)

    def held(self) -> dict[int, Grant]:
        """Return the grants this worker holds, to its knowledge, by partition."""
        with self._lock:
            return dict(self._grants)

    def to_release(self) -> set[int]:
        """Return the partitions that are ours and should be drained and released."""
        with self._lock:
            return self._giving & self._grants.keys()

    def release(self, partitions: Iterable[int]) -> None:
        """Release partitions whose work is committed."""
        with self._lock:
            tokens = {
                number: self._grants.pop(number).token for number in partitions if number in self._grants
            }
            self._giving.difference_update(tokens)
        self._broker.release(tokens)

    def forget(self, partition: int, token: str) -> None:
        """Stop renewing a lease that can no longer be trusted; it may be acquired again."""
        with self._lock:
            grant = self._grants.get(partition)
            if grant is not None and grant.token == token:
                del self._grants[partition]

    def is_usable(self, partition: int, now_s: float) -> bool:
        """Return whether our own clock still allows us to use the partition."""
        return now_s < self._usable_until_s.get(partition, 0.0)

    def progressed(self, now_s: float) -> None:
        """Record that the main loop completed a pass with Redis, or rebuilt sessions from a page of entries.

        Waiting for Redis does not count as progress.
        """
        self._progress_s = now_s

    def leave(self, now_s: float) -> None:
        """Leave the roster and stop acquiring partitions. Leases are renewed until they are released."""
        self._leaving = True
        self.step(now_s)

    def describe(self, info: str) -> None:
        """Replace the JSON shown to operators."""
        self._info = info

    def server_ms(self, now_s: float) -> int | None:
        """Return the server's time by our monotonic clock, or None before the first answer and in a
        replay."""
        offset_ms = self._clock_offset_ms
        return None if offset_ms is None or self._ageless else round(now_s * 1000 + offset_ms)

    def stop_time(self) -> None:
        """Report no server time from now on. Used by replays, in which no frame ages."""
        self._ageless = True

    def take_standings(self) -> list[Standing]:
        """Return the standings from the last survey, and clear them."""
        standings, self._standings = self._standings, []
        return standings

    def take_missing(self) -> set[int]:
        """Return our partitions that had no stream or no group in the last survey, and clear them."""
        missing, self._missing = self._missing, set()
        return missing

    def raise_fault(self) -> None:
        """Raise the error that ends this worker, if there is one.

        Raises:
            SettingsError: another topology was in force at the first contact.
            RedisRefused: a right or the login was missing then.
        """
        if self._fault is not None:
            raise self._fault

    def silent_s(self, now_s: float) -> float:
        """Return the seconds since the main loop last made progress, or 0 before its first pass."""
        return max(now_s - self._progress_s, 0.0)

    def is_ready(self, now_s: float) -> bool:
        """Return whether leases were renewed recently and the main loop makes progress."""
        return not self._leaving and now_s - self._stepped_s < self._usable_s and not self._is_stalled(now_s)

    def run(self, stop: threading.Event, clock: Callable[[], float]) -> None:
        """Run passes until `stop` is set: every quarter of the lease TTL, and at once on a wake message."""
        listener: WakeListener | None = None
        while not stop.is_set():
            try:
                joins = listener is None
                if listener is None:
                    listener = WakeListener(self._broker.client, clock)
                self.step(clock())
                if joins:
                    # after the step: the others hand partitions to workers that are on the roster
                    self._broker.wake()
                listener.wait(self._pause_s())
            except Exception as error:  # noqa: BLE001 - the worker cannot own partitions without this thread
                if self._ends_on(error):
                    return
                if listener is not None:
                    listener.close()
                    listener = None
                stop.wait(self._interval_s if isinstance(error, ConnectionLost) else RETRY_S)

    def _pause_s(self) -> float:
        """Return the longest time until the next pass."""
        if self._unfinished:
            return 0.0
        return min(self._interval_s, AWAY_S) if self._away else self._interval_s

    def _ends_on(self, error: Exception) -> bool:
        """Log an error and return whether it must end this worker."""
        terminal = isinstance(error, SettingsError) or (
            isinstance(error, RedisRefused) and not error.momentary
        )
        if terminal and isinstance(error, MazeError) and self._stepped_s == float("-inf"):
            # before the first successful step this is a wrong setting; later it is a temporary fault
            self._fault = error
            self._wake()
            return True
        if isinstance(error, MazeError):
            leave_wrong_server(self._broker.client, error)
            self._log.warning("keeper_disconnected", error=str(error))
        else:
            self._log.error("keeper_failed", error=repr(error), traceback=traceback.format_exc())
        return False

    def _is_stalled(self, now_s: float) -> bool:
        return now_s - self._progress_s > STALL_S

    def _abandon(self) -> None:
        """Release all leases, so that a worker without progress does not block its partitions."""
        with self._lock:
            dropped = {number: grant.token for number, grant in self._grants.items()}
            if dropped:
                self._abandoned.update(dropped)
                self._grants.clear()
                self._giving.clear()
                self._changed()
        if dropped:
            self._log.error("leases_abandoned", partitions=sorted(dropped), stalled_s=STALL_S)
        # they are not used from here on; Redis learns it now, or in a later step if the connection is lost
        self._broker.roster(self._worker, "")
        if self._abandoned:
            self._broker.abandon(self._abandoned)
            self._abandoned.clear()

    def _renew(self, now_s: float) -> None:
        tokens = {partition: grant.token for partition, grant in self.held().items()}
        renewed = self._broker.renew(tokens)
        with self._lock:
            for partition, token in tokens.items():
                grant = self._grants.get(partition)
                if grant is None or grant.token != token:
                    continue  # acquired again or released in between
                if renewed.get(partition):
                    self._usable_until_s[partition] = now_s + self._usable_s
                elif partition in renewed:  # a missing answer means that its node is away: our clock decides
                    del self._grants[partition]
                    self._changed()

    def _owners(self, roster: Roster) -> list[str | None]:
        """Return the owner of each partition. A lease in our name that we do not hold counts as free."""
        owners = [lease and lease.rpartition(":")[0] for lease in roster.leases]
        with self._lock:
            return [
                None if owner == self._worker and number not in self._grants else owner
                for number, owner in enumerate(owners)
            ]

    def _cut_long_leases(self, roster: Roster) -> None:
        """Free leases that last longer than twice the time to live and that no live worker holds.

        A clock that was set back, and a restart of Redis after that, make leases last for hours. A lease in
        our name that we do not hold comes from a command that arrived late; the others leave it to us.
        """
        gone: dict[str, list[int]] = {}
        held = self.held()
        for number, lease in enumerate(roster.leases):
            owner = lease and lease.rpartition(":")[0]
            if owner and (owner not in roster.workers or (owner == self._worker and number not in held)):
                gone.setdefault(owner, []).append(number)
        for owner, partitions in gone.items():
            freed = self._broker.free(owner, partitions, 2 * self._broker.lease_ttl_ms)
            if freed:
                self._log.warning("long_leases_freed", worker=owner, partitions=freed)

    def _changed(self) -> None:
        self.revision += 1
        self._wake()
