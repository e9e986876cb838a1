"""Promises about load (rows 12 and 13 of the promises), in simulated time with a model of known cost."""

from __future__ import annotations

import json

import numpy as np

from gesture_maze.worker.settings import Settings
from tests.simulation.faults import fields_of
from tests.simulation.workers import simulated_keepers
from tests.simulation.world import World
from tests.support.pool import sessions_of

TICK_S = 1 / 30
WARM_UP_S = 2.0
PLAY_S = 4.0
BATCH_FRAMES = 32
DEADLINE_MS = 1000
FRAME_COST_S = 0.005
"""For a capacity of 200 frames a second."""


class LoadedWorld(World):
    """One worker with one partition, whose model takes a fixed time per frame.

    Args:
        frame_cost_s: that time.
        sessions: how many play.
    """

    def __init__(self, frame_cost_s: float, sessions: int) -> None:
        super().__init__(0)
        self._frame_cost_s = frame_cost_s
        self.names = sessions_of(0, sessions, 1)
        self.sent_s: dict[tuple[str, int], float] = {}
        self.ages_s: dict[str, list[float]] = {name: [] for name in self.names}
        self._owed = dict.fromkeys(self.names, 0.0)

    def _settings(self) -> Settings:
        self.partitions = 1
        return Settings.of(
            partitions=1,
            deadline_ms=DEADLINE_MS,
            supersede_ms=500,
            batch_frames=BATCH_FRAMES,
            log_level="error",
        )

    def _begin(self) -> None:
        self.start_worker()
        self.workers[0].frame_cost_s = self._frame_cost_s

    def _deliver(self, channel: bytes, message: bytes) -> int:
        reply = json.loads(message)
        age_s = self.scheduler.now_s - self.sent_s[reply["session"], reply["seq"]]
        self.ages_s[reply["session"]].append(age_s)
        return 1

    def play(self, fps: dict[str, float]) -> dict[str, list[float]]:
        """Let sessions send at their rates, and return the ages of the replies by session."""
        with self.network.in_force(), simulated_keepers():
            try:
                self._begin()
                self.scheduler.run(WARM_UP_S)
                while self.scheduler.now_s < WARM_UP_S + PLAY_S:
                    for names in (self.names[1:], self.names[:1]):
                        self._tick(names, fps)
                        self.scheduler.run(self.scheduler.now_s + TICK_S / 2)
            finally:
                self.scheduler.end()
                self.network.observer = None
                for one in self.workers:
                    one.worker.wake.close()
        return self.ages_s

    def _tick(self, names: list[str], fps: dict[str, float]) -> None:
        frames = []
        for name in names:
            self._owed[name] += fps[name] * TICK_S
            while self._owed[name] >= 1.0:
                self._owed[name] -= 1.0
                frames.append(self.frame(name))
                self.sent_s[name, frames[-1].seq] = self.scheduler.now_s
        if frames:
            self.add(0, fields_of(frames))


def useful_answers(load: float) -> tuple[int, float]:
    """Return the number of replies, and the highest age of one in seconds, at a multiple of the capacity."""
    world = LoadedWorld(FRAME_COST_S, 40)
    fps = load / FRAME_COST_S / len(world.names)
    ages_s = [age_s for ages in world.play(dict.fromkeys(world.names, fps)).values() for age_s in ages]
    return len(ages_s), max(ages_s)


def test_answers_at_twice_and_four_times_the_capacity_stay_on_a_plateau() -> None:
    full, _ = useful_answers(0.9)
    for load in (2.0, 4.0):
        useful, oldest_s = useful_answers(load)
        assert useful >= 0.9 * full, f"{useful} useful answers at {load} times the capacity, {full} below it"
        assert oldest_s <= DEADLINE_MS / 1000 + 2 * BATCH_FRAMES * FRAME_COST_S


def others_p99_s(greedy_fps: float) -> float:
    """Return the p99 age of the replies to 39 sessions, in seconds, beside one that sends at `greedy_fps`."""
    world = LoadedWorld(0.000025, 40)
    rates = dict.fromkeys(world.names, 10.0) | {world.names[0]: greedy_fps}
    ages_s = world.play(rates)
    others = [age_s for name in world.names[1:] for age_s in ages_s[name]]
    assert len(others) > 1000
    return float(np.quantile(others, 0.99))


def test_session_at_300_frames_per_second_costs_others_a_fifth_of_p99_at_most() -> None:
    assert others_p99_s(300.0) <= 1.2 * others_p99_s(10.0)
