"""A training from CSV to bundle, for the command and for the job: read, search, train, write, track."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gesture_maze.wire.errors import SettingsError

if TYPE_CHECKING:
    from gesture_maze.lifecycle.tracking import TrackedVersion
    from gesture_maze.models.dataset import Dataset
    from gesture_maze.models.train.build import Settings
    from gesture_maze.models.train.search import Golden, Shipped, Trial
    from gesture_maze.models.train.training import Tick

Progress = Callable[[str, int], AbstractContextManager["Tick"]]
"""Title and number of steps -> a context that gives what is called at each step."""

GOLDEN_PER_GESTURE: Final = 4
"""Simulated hands per gesture in `golden.json`: both hands of each, and two aspects."""
NOT_TRACKED: Final = "none"
"""`--tracking-uri` that turns tracking off."""
DEFAULT_TRACKING: Final = "sqlite:///mlflow.db"


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What is to be trained, and on what.

    Attributes:
        data: CSV files.
        out: folder for the bundle; the pipeline goes beside it, as `<out>.joblib`.
        kinds: searched, with the winner shipped; empty trains the default network at once.
        seed: the same seed gives the same bundle on the same machine and libraries.
        folds: to judge by.
        epochs: None takes the recipe's.
        tracking_uri: of MLflow; `none` for no tracking.
    """

    data: Sequence[Path]
    out: Path
    kinds: Sequence[str] = ()
    seed: int = 0
    folds: int = 5
    epochs: int | None = None
    tracking_uri: str = DEFAULT_TRACKING

    def settings(self) -> Settings:
        """Return them as `models.train.build` takes them."""
        from gesture_maze.models.train.build import Settings
        from gesture_maze.models.train.training import Recipe

        recipe = Recipe() if self.epochs is None else Recipe(epochs=self.epochs)
        return Settings(recipe=recipe, folds=self.folds, seed=self.seed)


@dataclass(frozen=True, slots=True)
class Trained:
    """What came out."""

    data: Dataset
    shipped: Shipped
    trials: list[Trial]
    """The winner first; empty if nothing was searched."""
    tracked: TrackedVersion | None


def train(options: TrainOptions, progress: Progress) -> Trained:
    """Train, judge on hands of people that were not trained on, write the bundle, and track it.

    Raises:
        SettingsError: `data`, or an unknown kind, or a tracking server that cannot be used.
        ModelError: `export_mismatch`.
    """
    import joblib
    from threadpoolctl import threadpool_limits

    from gesture_maze.models.dataset import read_dataset
    from gesture_maze.models.train.search import GRIDS, search, ship, ship_network, ticks

    unknown = sorted(set(options.kinds) - set(GRIDS))
    if unknown:
        raise SettingsError("settings", f"no such kind: {', '.join(unknown)}; those are: {', '.join(GRIDS)}")
    tracking = _tracking(options.tracking_uri)
    data, settings, golden = read_dataset(options.data), options.settings(), golden_hands(options.seed)
    trials: list[Trial] = []
    # more threads only wait for each other, these matrices are small; on a busy machine ten times as long
    if options.kinds:
        with threadpool_limits(1, "blas"), progress("Searching", ticks(options.kinds, options.folds)) as tick:
            trials = search(data, settings, options.kinds, tick)
    with threadpool_limits(1, "blas"), progress("Training", settings.steps()) as tick:
        if trials:
            shipped = ship(trials[0], data, settings, golden, tick)
        else:
            shipped = ship_network(data, settings, golden, tick)
    shipped.bundle.write(options.out)
    joblib.dump(shipped.pipeline, pipeline_path(options.out))
    tracked = None
    if tracking is not None:
        tracked = tracking.record(shipped, data, {"seed": options.seed, "folds": options.folds}, trials)
    return Trained(data, shipped, trials, tracked)


def pipeline_path(out: Path) -> Path:
    """Where the pipeline of the bundle in `out` is kept: beside it, for no bundle holds a pickle."""
    return out.with_name(f"{out.name}.joblib")


def golden_hands(seed: int) -> Golden:
    """Return simulated hands, `GOLDEN_PER_GESTURE` of each gesture."""
    import numpy as np

    from gesture_maze.models.train.search import Golden
    from gesture_maze.simulator.players import synthesize
    from gesture_maze.wire.gestures import GESTURES

    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(GESTURES)), GOLDEN_PER_GESTURE // 2)
    wide, tall = (synthesize(labels, rng, aspect=aspect) for aspect in (4 / 3, 9 / 16))
    return Golden(
        np.concatenate([wide.landmarks, tall.landmarks]), np.concatenate([wide.aspect, tall.aspect])
    )


def _tracking(uri: str) -> Any:
    """Return the tracking, opened before hours are spent on training; None if there is none."""
    if uri == NOT_TRACKED:
        return None
    if uri == DEFAULT_TRACKING and find_spec("mlflow") is None:
        # nobody asked for it by name, so its absence is no reason not to train
        sys.stderr.write("maze: not tracked: pip install 'gesture-maze[tracking]'\n")
        return None
    from gesture_maze.lifecycle.tracking import Tracking

    return Tracking(uri)
