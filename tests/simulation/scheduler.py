"""Simulated time: events in the order of their times, and actors that wait for them.

An actor is a greenlet, so that the worker's own code can be stopped at every answer of Redis and go on later,
in one thread. Nothing here reads a clock of the machine.
"""

from __future__ import annotations

import heapq
import itertools
import select
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet


class Ended(GreenletExit):
    """The world is over."""


@dataclass(eq=False)
class Process:
    """What actors and connections belong to.

    Attributes:
        name: for the trace.
        dead: killed: its events are dropped.
        frozen_until_s: stopped (SIGSTOP): its events wait until then.
        cut_until_s: cut off from the network until then.
    """

    name: str
    dead: bool = False
    frozen_until_s: float = 0.0
    cut_until_s: float = 0.0
    actors: list[greenlet] = field(default_factory=list)


class Scheduler:
    """Runs events in the order of time; `now_s` is the only clock of a world."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.events = 0
        self._hub = getcurrent()
        self._heap: list[tuple[float, int, Callable[[], Any], Process | None]] = []
        self._numbers = itertools.count()
        self._owner: dict[greenlet, Process] = {}
        self._ended = False

    def at(self, at_s: float, act: Callable[[], Any], process: Process | None = None) -> None:
        """Run `act` at a time, unless its process is dead by then."""
        heapq.heappush(self._heap, (max(at_s, self.now_s), next(self._numbers), act, process))

    def spawn(self, act: Callable[[], Any], process: Process) -> None:
        """Start an actor of a process."""
        actor = greenlet(act, self._hub)
        self._owner[actor] = process
        self.at(self.now_s, actor.switch, process)

    def sleep(self, seconds: float) -> None:
        """Let the current actor wait."""
        actor = getcurrent()
        self.at(self.now_s + seconds, actor.switch, self._owner[actor])
        self.suspend()

    def suspend(self) -> None:
        """Let the current actor wait until an event of another one switches to it, or for ever."""
        if self._ended:
            raise Ended
        self._hub.switch()

    def resume(self, actor: greenlet, delay_s: float) -> None:
        """Let a suspended actor go on."""
        self.at(self.now_s + delay_s, actor.switch, self._owner[actor])

    def run(self, until_s: float) -> None:
        """Run all events up to a time."""
        while self._heap and self._heap[0][0] <= until_s:
            at_s, _, act, process = heapq.heappop(self._heap)
            if process is not None:
                if process.dead:
                    continue
                if process.frozen_until_s > at_s:
                    self.at(process.frozen_until_s, act, process)
                    continue
            self.now_s = at_s
            self.events += 1
            act()
        self.now_s = until_s

    def end(self) -> None:
        """Unwind every actor; the world is of no use afterwards."""
        self._ended = True
        self._heap.clear()
        for actor in list(self._owner):
            if not actor.dead and actor is not getcurrent():
                actor.throw(Ended)
        self._owner.clear()


class Lock:
    """A lock that actors wait for in simulated time."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._released = Signal(scheduler)
        self._held = False

    def __enter__(self) -> None:
        while self._held:
            self._released.wait(1.0)
        self._held = True

    def __exit__(self, *_: object) -> None:
        self._held = False
        self._released.pulse()


class Signal:
    """What actors wait for with a time limit: an event of `threading`, in simulated time."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._set = False
        self._waiting: dict[greenlet, int] = {}
        self._numbers = itertools.count()

    def set(self) -> None:
        """Set the event and wake all that wait for it."""
        self._set = True
        self.pulse()

    def is_set(self) -> bool:
        return self._set

    def pulse(self) -> None:
        """Wake who waits, once."""
        waiting, self._waiting = self._waiting, {}
        for actor in waiting:
            self._scheduler.resume(actor, 0.0)

    def wait(self, timeout_s: float) -> bool:
        """Wait; False after `timeout_s`."""
        if self._set:
            return True
        actor, number = getcurrent(), next(self._numbers)
        self._waiting[actor] = number
        overdue = False

        def give_up() -> None:
            nonlocal overdue
            if self._waiting.get(actor) == number:
                del self._waiting[actor]
                overdue = True
                self._scheduler.resume(actor, 0.0)

        self._scheduler.at(self._scheduler.now_s + timeout_s, give_up)
        self._scheduler.suspend()
        return not overdue


def is_readable(descriptor: int) -> bool:
    """Return whether a real descriptor, such as that of a worker's `Wake`, can be read without waiting."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
