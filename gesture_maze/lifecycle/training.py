"""A training from CSV to bundle, for the command and for the job: read, search, train, write, track."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gesture_maze.version import install_hint
from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.gestures import GESTURES, NO_GESTURE, Action

if TYPE_CHECKING:
    from gesture_maze.lifecycle.tracking import TrackedVersion
    from gesture_maze.models.dataset import Dataset, Reading
    from gesture_maze.models.hands import Hands
    from gesture_maze.models.train.fitting import Settings
    from gesture_maze.models.train.packaging import Shipped
    from gesture_maze.models.train.search import Trial
    from gesture_maze.models.train.trainer import Tick

Progress = Callable[[str, int], AbstractContextManager["Tick"]]
"""Title and number of steps -> a context manager that yields the function to call at each step."""

GOLDEN_PER_GESTURE: Final = 4
"""Simulated hands per gesture in `golden.json`: both hands of each, and two aspects."""
NOT_TRACKED: Final = "none"
"""`--tracking-uri` that turns tracking off."""
DEFAULT_TRACKING: Final = "sqlite:///mlflow.db"


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What to train, and on what.

    Attributes:
        data: CSV files.
        out: folder for the bundle; the pipeline goes beside it, as `<out>.joblib`.
        kinds: searched, with the winner shipped; empty trains the default network at once.
        seed: the same seed gives the same bundle on the same machine and libraries.
        folds: number of folds for the evaluation.
        epochs: None takes the recipe's.
        tracking_uri: MLflow's URI; `none` for no tracking.
        verdicts: CSV of verdicts on rows of the data, for the threshold and the card.
        reading: options that override what the files say about themselves, if any.
        actions: the mapping of the bundle, gesture name -> action; None for the published one.
    """

    data: Sequence[Path]
    out: Path
    kinds: Sequence[str] = ()
    seed: int = 0
    folds: int = 5
    epochs: int | None = None
    tracking_uri: str = DEFAULT_TRACKING
    verdicts: Path | None = None
    reading: Reading | None = None
    actions: dict[str, Action] | None = None

    def settings(self, data: Dataset) -> Settings:
        """Return the settings for `models.train.search`, including the verdicts on `data`."""
        from gesture_maze.models.labels import action_faults
        from gesture_maze.models.train.fitting import Settings
        from gesture_maze.models.train.trainer import Recipe
        from gesture_maze.models.verdicts import read_verdicts

        recipe = Recipe() if self.epochs is None else Recipe(epochs=self.epochs)
        verdicts = None if self.verdicts is None else read_verdicts(self.verdicts, data)
        if fault := action_faults(self.actions or {}, data.gestures, "the data"):
            raise SettingsError("settings", fault)
        return Settings(
            recipe=recipe, folds=self.folds, seed=self.seed, verdicts=verdicts, actions=self.actions
        )


@dataclass(frozen=True, slots=True)
class Trained:
    """The result of a training."""

    data: Dataset
    settings: Settings
    shipped: Shipped
    trials: list[Trial]
    """The winner first; empty if nothing was searched."""
    tracked: TrackedVersion | None
    warnings: list[str]
    """Faults of the data that did not prevent the training."""


def train(
    options: TrainOptions,
    progress: Progress,
    warn: Callable[[str], None] = lambda _: None,
    show: Callable[[Sequence[str]], None] = lambda _: None,
) -> Trained:
    """Train, evaluate on hands of people that were not trained on, write the bundle, and track it.

    Args:
        options: what to train.
        progress: shows progress.
        warn: called with each fault of the data that does not prevent the training, before it starts.
        show: called with what was found in the files, before it is used.

    Raises:
        SettingsError: `data`, or an unknown kind, or a tracking server that cannot be used.
        ModelError: `export_mismatch`.
    """
    import joblib
    from threadpoolctl import threadpool_limits

    from gesture_maze.models.dataset import read_dataset
    from gesture_maze.models.train.search import GRIDS

    unknown = sorted(set(options.kinds) - set(GRIDS))
    if unknown:
        raise SettingsError(
            "settings", f"unknown kind {', '.join(unknown)}: the kinds are {', '.join(GRIDS)}"
        )
    tracking = _tracking(options.tracking_uri)
    data, golden = read_dataset(options.data, options.reading), golden_hands(options.seed)
    show(data.report)
    settings = options.settings(data)
    warnings = data_warnings(data)
    for warning in warnings:
        warn(warning)
    # these matrices are small: with more threads they only wait for each other, ten times as long on a busy
    # machine
    with threadpool_limits(1, "blas"):
        shipped, trials = _shipped(options.kinds, data, settings, golden, progress)
    shipped.bundle.write(options.out)
    joblib.dump(shipped.fitted.pipeline, pipeline_path(options.out))
    tracked = None
    if tracking is not None:
        with progress("Tracking", 1):
            tracked = tracking.record(shipped, data, {"seed": options.seed, "folds": options.folds}, trials)
    return Trained(data, settings, shipped, trials, tracked, warnings)


def _shipped(
    kinds: Sequence[str], data: Dataset, settings: Settings, golden: Hands, progress: Progress
) -> tuple[Shipped, list[Trial]]:
    """Return the bundle of the winner of a search over `kinds`, or of the default network, and the trials."""
    from gesture_maze.models.train.search import search, ship, ship_network, ticks

    if not kinds:
        with progress("Training", settings.steps()) as tick:
            return ship_network(data, settings, golden, tick), []
    with progress("Searching", ticks(kinds, settings.folds)) as tick:
        trials = search(data, settings, kinds, tick)
    with progress("Training the winner", settings.steps()) as tick:
        return ship(trials[0], data, settings, golden, tick), trials


def data_warnings(data: Dataset) -> list[str]:
    """Return warnings about the data that affect how far a model trained on it can be trusted."""
    found = []
    if not (data.users != "").any():
        found.append(
            "the data has no user ids (column user_id): held-out rows show the same people as the rows "
            "trained on, so the figures are too good and say nothing about other people"
        )
    own = [name for name in data.gestures if name not in GESTURES]
    for name in own:
        near = get_close_matches(name, GESTURES, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        found.append(f"{name} is not a published gesture{hint}; it becomes a gesture of your own")
    if NO_GESTURE not in data.gestures:
        found.append(
            f"no row is labelled {NO_GESTURE}: every hand will be given a gesture, and false actions cannot "
            "be measured"
        )
    return found


def pipeline_path(out: Path) -> Path:
    """Return where the pipeline of the bundle in `out` is written: next to it and not in it, because it is a
    pickle."""
    return out.with_name(f"{out.name}.joblib")


def golden_hands(seed: int) -> Hands:
    """Return simulated hands, `GOLDEN_PER_GESTURE` of each gesture."""
    import numpy as np

    from gesture_maze.models.hands import Hands
    from gesture_maze.simulator.players import synthesize

    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(GESTURES)), GOLDEN_PER_GESTURE // 2)
    wide, tall = (synthesize(labels, rng, aspect=aspect) for aspect in (4 / 3, 9 / 16))
    return Hands(np.concatenate([wide.landmarks, tall.landmarks]), np.concatenate([wide.aspect, tall.aspect]))


def _tracking(uri: str) -> Any:
    """Return the tracking, opened before time is spent on training, or None if it is off."""
    if uri == NOT_TRACKED:
        return None
    if uri == DEFAULT_TRACKING and find_spec("mlflow") is None:
        # it was not requested explicitly, so training goes on without it
        sys.stderr.write(f"maze: not tracked: {install_hint('tracking')}\n")
        return None
    from gesture_maze.lifecycle.tracking import Tracking

    return Tracking(uri)
