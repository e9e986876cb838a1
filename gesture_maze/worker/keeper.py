"""The lease keeper: heartbeats, renews, takes and gives partitions, in a thread with its own connection.

`step(now_s)` is one pass, with the time passed in. The keeper decides what should be ours; the main loop,
which alone touches partitions, makes it so: whenever `revision` has changed it compares `held()` with what it
has, opens what is new, closes what is gone, and drains what is in `to_give()` before it is released. A state
that is compared survives a lost connection half-way; a queue of events would not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

from gesture_maze.wire.errors import ConnectionLost, Refused, SettingsError
from gesture_maze.worker.redis.broker import Broker
from gesture_maze.worker.logs import Log
from gesture_maze.worker.records import Grant, Roster, Standing
from gesture_maze.worker.shares import plan

RENEW_SHARE: Final = 0.25
"""Renew after this share of the time to live: three renewals may fail before a lease runs out."""
SELF_FENCE_SHARE: Final = 0.7
"""Stop using a lease after this share of its time to live without a good renewal; the rest is for clocks."""
STALL_S: Final = 10.0
"""A main loop that gave no sign of life for so long loses its leases to somebody who works."""
SURVEY_S: Final = 1.0


class Keeper:
    """Keeps the leases of one worker.

    Args:
        broker: Redis.
        worker: our id.
        info: JSON shown to operators beside our id; may be replaced while we live.
        wake: called when there is something for the main loop.
        log: where events go.
    """

    def __init__(self, broker: Broker, worker: str, info: str, wake: Callable[[], None], log: Log) -> None:
        self._broker: Final = broker
        self._worker: Final = worker
        self.info = info
        self._wake: Final = wake
        self._log: Final = log
        self._interval_s: Final = broker.lease_ttl_ms / 1000 * RENEW_SHARE
        self._usable_s: Final = broker.lease_ttl_ms / 1000 * SELF_FENCE_SHARE
        self._lock: Final = threading.Lock()
        self._stepping: Final = threading.Lock()
        self._grants: Final[dict[int, Grant]] = {}
        self._usable_until_s: Final[dict[int, float]] = {}
        self._giving: Final[set[int]] = set()
        self._next_survey_s = 0.0
        self.revision = 0
        """Rises with every change of `held()` or `to_give()`."""
        self.leaving = False
        """We drain: take nothing any more, and let the others know."""
        self.online = False
        """The last step reached Redis."""
        self.loop_alive_s = float("inf")
        """When the main loop last gave a sign of life, on the clock that `step` is given."""
        self.clock_offset_ms: float | None = None
        """The server's clock minus ours (`now_s` in ms); None before the first answer."""
        self.standings: list[Standing] = []
        """Where our partitions stand, at most a second ago."""
        self.fault: SettingsError | None = None
        """Set when the pool must not go on: another topology."""

    def step(self, now_s: float) -> None:
        """One pass: renew, say that we live, take and give. `now_s` is monotonic, read just before.

        Raises:
            ConnectionLost: nothing was changed; try again.
            SettingsError: another topology is in force.
        """
        with self._stepping:
            self._step(now_s)

    def _step(self, now_s: float) -> None:
        self._renew(now_s)
        roster = self._broker.roster(self._worker, "" if self.leaving else self.info)
        self.clock_offset_ms = roster.server_ms - now_s * 1000
        if self.leaving:
            return
        todo = plan(self._worker, roster.workers, self._owners(roster))
        with self._lock:
            if set(todo.give) != self._giving:
                self._giving.clear()
                self._giving.update(todo.give)
                self._changed()
        for partition in todo.take:
            self.acquire(partition, now_s)
        if now_s >= self._next_survey_s:
            self._next_survey_s = now_s + SURVEY_S
            self.standings = self._broker.survey(list(self.held()))

    def acquire(self, partition: int, now_s: float, cursor: bytes = b"0-0") -> None:
        """Take a partition, or take it again under a new epoch; if another has it, it is not held any more.

        Args:
            partition: which one.
            now_s: monotonic, read just before.
            cursor: where to begin if Redis has lost the group.
        """
        grant = None
        try:
            grant = self._broker.acquire(self._worker, partition, cursor)
        except Refused as error:
            # one that cannot be had (its key was put to another use, say) keeps nobody from the others
            self._log.warning("partition_refused", partition=partition, error=str(error))
        with self._lock:
            self._grants.pop(partition, None)
            if grant is not None:
                self._grants[partition] = grant
                self._usable_until_s[partition] = now_s + self._usable_s
            self._changed()

    def held(self) -> dict[int, Grant]:
        """What is ours as far as we know."""
        with self._lock:
            return dict(self._grants)

    def to_give(self) -> set[int]:
        """What is ours and should be drained and released."""
        with self._lock:
            return self._giving & self._grants.keys()

    def release(self, partitions: Iterable[int]) -> None:
        """Let go of partitions whose work is committed."""
        with self._lock:
            tokens = {
                number: self._grants.pop(number).token for number in partitions if number in self._grants
            }
            self._giving.difference_update(tokens)
        self._broker.release(tokens)

    def forget(self, partition: int) -> None:
        """Stop renewing a lease that we do not trust any more; it may be taken again."""
        with self._lock:
            self._grants.pop(partition, None)

    def usable(self, partition: int, now_s: float) -> bool:
        """Whether our own clock still allows us to use the partition."""
        return now_s < self._usable_until_s.get(partition, 0.0)

    def run(self, stop: threading.Event, clock: Callable[[], float]) -> None:
        """Step until `stop`: every quarter of the time to live, and at once when somebody wakes us."""
        listener = None
        while not stop.is_set():
            try:
                joins = listener is None
                if listener is None:
                    listener = self._broker.wake_listener()
                self.step(clock())
                self.online = True
                if joins:
                    # after the step: the others make room for who is on the roster
                    self._broker.wake()
                self._wait(listener)
            except ConnectionLost as error:
                self.online = False
                self._log.warning("lease_keeper_offline", error=str(error))
                listener = None
                stop.wait(self._interval_s)
            except SettingsError as error:
                self.fault = error
                self._wake()
                return

    def _wait(self, listener: Any) -> None:
        try:
            if listener.get_message(timeout=self._interval_s) is not None:
                # many may be woken for one cause: take them all before looking again
                while listener.get_message(timeout=0.002) is not None:
                    pass
        except Exception as error:
            raise ConnectionLost("connection", f"Redis: {error}") from error

    def _renew(self, now_s: float) -> None:
        if now_s - self.loop_alive_s > STALL_S:
            return  # hung: a worker that does not work must not keep others from it
        tokens = {partition: grant.token for partition, grant in self.held().items()}
        lost = self._broker.renew(tokens)
        with self._lock:
            for partition, token in tokens.items():
                grant = self._grants.get(partition)
                if grant is None or grant.token != token:
                    continue  # taken anew or released in between
                if partition in lost:
                    del self._grants[partition]
                    self._changed()
                else:
                    self._usable_until_s[partition] = now_s + self._usable_s

    def _owners(self, roster: Roster) -> list[str | None]:
        """Owners by partition; one that bears our name but that we do not use counts as free."""
        owners = [lease and lease.rpartition(":")[0] for lease in roster.leases]
        with self._lock:
            return [
                None if owner == self._worker and number not in self._grants else owner
                for number, owner in enumerate(owners)
            ]

    def _changed(self) -> None:
        self.revision += 1
        self._wake()
