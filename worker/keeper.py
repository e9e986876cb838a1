"""The lease keeper: heartbeats, renews, takes and gives partitions, in a thread with its own connection.

`step(now_s)` is one pass, with the time passed in. What it finds is left as changes for the main loop, which
alone touches partitions: it opens what was taken, closes what was lost, and drains what is to be given before
the keeper lets go of it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from wire.errors import ConnectionLost, SettingsError
from worker.broker import Broker
from worker.logs import Log
from worker.records import Grant, Roster, Standing
from worker.shares import plan

RENEW_SHARE: Final = 0.25
"""Renew after this share of the time to live: three renewals may fail before a lease runs out."""
SELF_FENCE_SHARE: Final = 0.7
"""Stop using a lease after this share of its time to live without a good renewal; the rest is for clocks."""
STALL_S: Final = 10.0
"""A main loop that gave no sign of life for so long loses its leases to somebody who works."""
SURVEY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Change:
    """Something about a partition that the main loop has to act on."""

    kind: Literal["taken", "lost", "give"]
    partition: int
    grant: Grant | None = None


class Keeper:
    """Keeps the leases of one worker.

    Args:
        broker: Redis.
        worker: our id.
        info: JSON shown to operators beside our id.
        wake: called when there is something for the main loop.
    """

    def __init__(self, broker: Broker, worker: str, info: str, wake: Callable[[], None]) -> None:
        self._broker: Final = broker
        self._worker: Final = worker
        self._info: Final = info
        self._wake: Final = wake
        self._interval_s: Final = broker.lease_ttl_ms / 1000 * RENEW_SHARE
        self._usable_s: Final = broker.lease_ttl_ms / 1000 * SELF_FENCE_SHARE
        self._lock: Final = threading.Lock()
        self._stepping: Final = threading.Lock()
        self._tokens: Final[dict[int, str]] = {}
        self._usable_until_s: Final[dict[int, float]] = {}
        self._giving: Final[set[int]] = set()
        self._changes: Final[deque[Change]] = deque()
        self._next_survey_s = 0.0
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
        roster = self._broker.roster(self._worker, "" if self.leaving else self._info)
        self.clock_offset_ms = roster.server_ms - now_s * 1000
        if self.leaving:
            return
        todo = plan(self._worker, roster.workers, self._owners(roster))
        for partition in todo.give:
            if partition not in self._giving:
                self._giving.add(partition)
                self._tell(Change("give", partition))
        for partition in todo.take:
            grant = self.acquire(partition, now_s)
            if grant is not None:
                self._tell(Change("taken", partition, grant))
        if now_s >= self._next_survey_s:
            self._next_survey_s = now_s + SURVEY_S
            self.standings = self._broker.survey(list(self._tokens))

    def acquire(self, partition: int, now_s: float, cursor: bytes = b"0-0") -> Grant | None:
        """Take a partition now, or take it again under a new epoch; None where another holds it."""
        grant = self._broker.acquire(self._worker, partition, cursor)
        with self._lock:
            if grant is None:
                self._tokens.pop(partition, None)
            else:
                self._tokens[partition] = grant.token
                self._usable_until_s[partition] = now_s + self._usable_s
        return grant

    def release(self, partitions: list[int]) -> None:
        """Let go of partitions whose work is committed."""
        with self._lock:
            tokens = {number: self._tokens.pop(number) for number in partitions if number in self._tokens}
            self._giving.difference_update(partitions)
        self._broker.release(tokens)

    def forget(self, partition: int) -> None:
        """Stop renewing a lease that we do not trust any more; it may be taken again."""
        with self._lock:
            self._tokens.pop(partition, None)
            self._giving.discard(partition)

    def usable(self, partition: int, now_s: float) -> bool:
        """Whether our own clock still allows us to use the partition."""
        return now_s < self._usable_until_s.get(partition, 0.0)

    def changes(self) -> list[Change]:
        """What happened since the last call, oldest first."""
        found = []
        while self._changes:
            found.append(self._changes.popleft())
        return found

    def run(self, stop: threading.Event, clock: Callable[[], float], log: Log) -> None:
        """Step until `stop`: every quarter of the time to live, and at once when somebody wakes us."""
        listener = None
        while not stop.is_set():
            try:
                if listener is None:
                    listener = self._broker.wake_listener()
                    self._broker.wake()
                self.step(clock())
                self.online = True
                self._wait(listener)
            except ConnectionLost as error:
                self.online = False
                log.warning("lease_keeper_offline", error=str(error))
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
        with self._lock:
            tokens = dict(self._tokens)
        lost = self._broker.renew(tokens)
        with self._lock:
            for partition, token in tokens.items():
                if self._tokens.get(partition) != token:
                    continue  # taken anew or released in between
                if partition in lost:
                    del self._tokens[partition]
                    self._giving.discard(partition)
                else:
                    self._usable_until_s[partition] = now_s + self._usable_s
        for partition in lost:
            self._tell(Change("lost", partition))

    def _owners(self, roster: Roster) -> list[str | None]:
        """Owners by partition; one that bears our name but that we do not use counts as free."""
        owners = [lease and lease.rpartition(":")[0] for lease in roster.leases]
        with self._lock:
            return [
                None if owner == self._worker and number not in self._tokens else owner
                for number, owner in enumerate(owners)
            ]

    def _tell(self, change: Change) -> None:
        self._changes.append(change)
        self._wake()
