"""The closed list of jobs: their names, their arguments, and what they do.

A payload holds a name from this list and arguments that are checked here, nothing else: no code, no path
outside the jobs' folder, no address of another server. Those are settings of the worker that runs the job.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from gesture_maze.lifecycle.training import NOT_TRACKED
from gesture_maze.readers.aspects import parse_aspect
from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.gestures import Action

if TYPE_CHECKING:
    from gesture_maze.lifecycle.training import TrainOptions

MODEL_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$"
"""A version, or a bundle in the folder. It cannot begin with a dash, so it is never mistaken for an
option."""


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not path or path.startswith(("/", "-")) or ".." in parts or "\0" in path:
        raise ValueError("must be a path inside the jobs' folder")
    return path


Inside = Annotated[str, Field(max_length=300), AfterValidator(_inside)]
"""A path relative to the jobs' folder and inside it. Links in that folder are followed."""

Layout = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")]
"""Name of a layout of landmark files, see `readers`."""

Aspect = Annotated[float, BeforeValidator(lambda given: parse_aspect(str(given)))]
"""Image width / height of normalised coordinates: a number, or text as `--aspect` takes it."""

Report = Callable[[str, int, int], None]
"""Called with a description of the work, the steps done and the total steps."""


@dataclass(frozen=True, slots=True)
class Context:
    """The settings that a job gets from its worker.

    Attributes:
        folder: all paths are inside it.
        redis: where the frames are.
        tracking_uri: of MLflow; `none` for no tracking.
    """

    folder: Path
    redis: str
    tracking_uri: str


class Arguments(BaseModel):
    """The arguments of a job. Unknown arguments are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: ClassVar[str]

    def run(self, context: Context, report: Report) -> Any:
        """Run the job and return its result as JSON values."""
        raise NotImplementedError


class Train(Arguments):
    """The job form of `maze train`."""

    name: ClassVar[str] = "train"
    data: Annotated[list[Inside], Field(min_length=1)]
    out: Inside
    search: bool = False
    kinds: list[str] = ["network", "svc", "mlp", "hgb", "knn"]
    seed: Annotated[int, Field(ge=0)] = 0
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    epochs: Annotated[int, Field(ge=1)] | None = None
    layout: Layout | None = None
    aspect: Aspect | None = None
    labels: Inside | None = None
    verdicts: Inside | None = None
    actions: Annotated[dict[str, Action], Field(min_length=1, max_length=64)] | None = None

    def run(self, context: Context, report: Report) -> Any:
        """Train and return the figures of the held-out hands."""
        from gesture_maze.lifecycle.training import train

        found: list[str] = []

        @contextmanager
        def progress(title: str, steps: int) -> Iterator[Callable[[], None]]:
            done = 0

            def tick() -> None:
                nonlocal done
                done += 1
                report(title, done, steps)

            report(title, 0, steps)
            yield tick

        trained = train(self._options(context), progress, show=found.extend)
        return {
            **trained.shipped.evaluation,
            "bundle": self.out,
            "found": found,
            "tracked": trained.tracked and trained.tracked.number,
        }

    def _options(self, context: Context) -> TrainOptions:
        from gesture_maze.lifecycle.training import TrainOptions
        from gesture_maze.models.dataset import Reading

        labels, verdicts = (
            None if path is None else context.folder / path for path in (self.labels, self.verdicts)
        )
        return TrainOptions(
            data=[context.folder / path for path in self.data],
            out=context.folder / self.out,
            kinds=self.kinds if self.search else (),
            seed=self.seed,
            folds=self.folds,
            epochs=self.epochs,
            tracking_uri=context.tracking_uri,
            verdicts=verdicts,
            reading=Reading(self.layout, self.aspect, labels),
            actions=self.actions,
        )


class _Command(Arguments):
    """A job that runs a `maze` command in its own process. Its `--json` output is the result."""

    needs_redis: ClassVar[bool] = True
    """Whether the command gets the address of the pool's Redis, with which a replay would go to the live
    pool."""

    def words(self) -> list[str]:
        """Return the words after `maze`."""
        raise NotImplementedError

    def run(self, context: Context, report: Report) -> Any:
        """Run the command in the jobs' folder.

        Raises:
            SettingsError: `settings`, with the command's own message, if it failed.
        """
        report(self.name, 0, 1)
        done = subprocess.run(  # noqa: S603 - our own module, and words that were checked
            [sys.executable, "-m", "gesture_maze", *self.words(), "--json"],
            cwd=context.folder, env=self._environment(context),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
            raise SettingsError("settings", f"maze {self.name}: {last} (exit code {done.returncode})")
        report(self.name, 1, 1)
        return json.loads(done.stdout)

    def _environment(self, context: Context) -> dict[str, str]:
        """Return the environment without `MAZE_*` settings, so that only its arguments control a job."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MAZE_")}
        if not self.needs_redis:
            return kept
        tracking_uri = context.tracking_uri if find_spec("mlflow") else NOT_TRACKED
        return {**kept, "MAZE_REDIS": context.redis, "MAZE_TRACKING_URI": tracking_uri}


class Evaluate(_Command):
    """The job form of `maze evaluate`."""

    name: ClassVar[str] = "evaluate"
    needs_redis: ClassVar[bool] = False
    data: Inside
    model: Inside | None = None
    against: Inside | None = None
    report: Inside | None = None
    layout: Layout | None = None
    aspect: Aspect | None = None
    labels: Inside | None = None

    def words(self) -> list[str]:
        """Return the words after `maze`."""
        reading = _flags(layout=self.layout, aspect=self.aspect, labels=self.labels)
        models = _flags(model=self.model, against=self.against, report=self.report)
        return ["evaluate", self.data, *models, *reading]


class Promote(_Command):
    """The job form of `maze promote`, without its `--force`."""

    name: ClassVar[str] = "promote"
    model: Annotated[str, Field(pattern=MODEL_NAME), AfterValidator(_inside)]
    data: Inside | None = None
    shadow: bool = False
    share: Annotated[float, Field(ge=0, le=1)] | None = None
    layout: Layout | None = None
    aspect: Aspect | None = None
    labels: Inside | None = None

    def words(self) -> list[str]:
        """Return the words after `maze`."""
        reading = _flags(layout=self.layout, aspect=self.aspect, labels=self.labels)
        return [
            "promote", self.model, *_flags(data=self.data, shadow=self.shadow, share=self.share), *reading,
        ]  # fmt: skip


class Rollback(_Command):
    """The job form of `maze rollback`."""

    name: ClassVar[str] = "rollback"
    shadow: bool = False

    def words(self) -> list[str]:
        """Return the words after `maze`."""
        return ["rollback", *_flags(shadow=self.shadow)]


class Replay(_Command):
    """The job form of `maze replay`, against two models."""

    name: ClassVar[str] = "replay"
    needs_redis: ClassVar[bool] = False
    captures: Annotated[list[Inside], Field(min_length=1)]
    model: Inside | None = None
    against: Inside
    report: Inside | None = None

    def words(self) -> list[str]:
        """Return the words after `maze`."""
        flags = _flags(model=self.model, against=self.against, report=self.report)
        return ["replay", *self.captures, *flags]


class Redrive(_Command):
    """The job form of `maze dead redrive --all`."""

    name: ClassVar[str] = "redrive"
    reason: Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")] | None = None
    partition: Annotated[int, Field(ge=0, le=1023)] | None = None

    def words(self) -> list[str]:
        """Return the words after `maze`."""
        return ["dead", "redrive", "--all", *_flags(reason=self.reason, partition=self.partition)]


JOBS: Final[Mapping[str, type[Arguments]]] = {
    kind.name: kind for kind in (Train, Evaluate, Promote, Rollback, Replay, Redrive)
}
"""All jobs by name."""


def checked(name: object, arguments: object) -> Arguments:
    """Return the arguments of a job, checked.

    Raises:
        SettingsError: `settings`: there is no such job, or its arguments are not allowed.
    """
    kind = JOBS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise SettingsError("settings", f"there is no job {name!r}; the jobs are {', '.join(JOBS)}")
    try:
        return kind.model_validate(arguments)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}" for one in error.errors()]
        raise SettingsError("settings", f"job {name}: {'; '.join(faults)}") from None


def _flags(**values: str | float | bool | None) -> list[str]:
    """Return `--name=value` of those that are set, `--name` of those that are true."""
    words = []
    for name, value in values.items():
        if value is True:
            words.append(f"--{name}")
        elif value is not None and value is not False:
            words.append(f"--{name}={value}")
    return words
