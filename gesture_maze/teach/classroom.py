"""State of the page: takes, the running training, the newest model, and where it is used."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from gesture_maze.models.bundle import Bundle
from gesture_maze.models.labels import label_set
from gesture_maze.models.network import Network
from gesture_maze.models.steering import with_actions
from gesture_maze.teach.base import load_base
from gesture_maze.teach.course import Taught, teach
from gesture_maze.teach.takes import CONSENT, Take, Takes, teach_error
from gesture_maze.teach.variety import variety
from gesture_maze.wire.errors import MazeError
from gesture_maze.wire.gestures import NO_GESTURE, Action

SHOWN: Final = 6
"""Number of hands of a take that the page draws."""
BUNDLES: Final = "bundles"
"""Folder for bundles, in the folder of the takes."""


@dataclass(slots=True)
class Training:
    """A training: running, failed or done."""

    running: bool = False
    progress: float = 0.0
    fault: str = ""
    taught: Taught | None = None
    takes: frozenset[tuple[str, str]] = frozenset()
    """Id and label of the takes that were used."""

    def as_dict(self) -> dict[str, Any]:
        """Return the state for the page, which polls it."""
        result = None if self.taught is None else self.taught.as_dict()
        return {
            "running": self.running,
            "progress": round(self.progress, 3),
            "fault": self.fault,
            "result": result,
        }


class Classroom:
    """One folder of takes and one base. Safe to use from several threads.

    Args:
        folder: of the takes.
        base: the bundle to build on.
        network: its network.
    """

    def __init__(self, folder: Path, base: Bundle, network: Network) -> None:
        self.takes: Final = Takes(folder)
        self.base: Final = base
        self._network: Final = network
        self.training = Training()
        self._lock: Final = threading.Lock()

    @classmethod
    def open(cls, folder: Path, base: str, redis: str | None = None) -> Classroom:
        """Return the classroom of a folder, on a base as `teach.base.load_base` finds it.

        Raises:
            SettingsError: `teach`, if the folder cannot be created.
            ModelError: the bundle cannot be taught.
            ConnectionLost: the pool of the champion cannot be reached.
        """
        return cls(folder, *load_base(base, redis))

    def state(self) -> dict[str, Any]:
        """Return everything that the page shows."""
        takes = self.takes.all()
        taught = self.training.taught
        verdicts = {} if taught is None else taught.as_dict()["takes"]
        used = {(take.id, take.label) for take in takes}
        return {
            "folder": str(self.takes.folder.resolve()),
            "base": self.base.version,
            "known": list(self.base.manifest.labels),
            "gestures": list(label_set([*self.base.manifest.labels, *(take.label for take in takes)])),
            "no_gesture": NO_GESTURE,
            "consent": CONSENT,
            "takes": [summary(take, verdicts.get(take.id)) for take in takes],
            "training": self.training.as_dict(),
            "outdated": taught is not None and used != self.training.takes,
        }

    def start_training(self) -> None:
        """Train in the background; `training` holds the progress.

        Raises:
            SettingsError: `teach`: a training runs already, or there are no takes.
        """
        with self._lock:
            if self.training.running:
                raise teach_error("training is already running")
            takes = self.takes.all()
            if not takes:
                raise teach_error("there are no takes yet: record one first")
            used = frozenset((take.id, take.label) for take in takes)
            self.training = job = Training(running=True, takes=used)
            threading.Thread(target=self._train, args=(takes, job), daemon=True).start()

    def train(
        self,
        progress: Callable[[float], None] = lambda _: None,
        seed: int = 0,
        actions: Mapping[str, Action] | None = None,
    ) -> Taught:
        """Train in this thread, and write the bundle with the mapping, unless that is None.

        Raises:
            SettingsError: `teach`: there are no takes.
            ModelError: `labels`: the mapping names a gesture that the model does not know.
        """
        taught = teach(self.base, self._network, self.takes.all(), seed=seed, progress=progress)
        if actions is not None:
            taught = replace(taught, bundle=with_actions(taught.bundle, actions))
        taught.bundle.write(self.path_of(taught.bundle))
        return taught

    def _train(self, takes: list[Take], job: Training) -> None:
        def advance(done: float) -> None:
            job.progress = done

        try:
            taught = teach(self.base, self._network, takes, progress=advance)
            taught.bundle.write(self.path_of(taught.bundle))
            job.taught = taught
        except (MazeError, OSError) as error:
            job.fault = str(error)
        except Exception as error:
            job.fault = f"this is a bug: {type(error).__name__}: {error}"
            raise
        finally:
            job.running = False

    def steer(self, actions: Mapping[str, Action]) -> Taught:
        """Give the newest taught model a mapping, write its bundle, and return it.

        Args:
            actions: gesture -> action; empty keeps the current mapping.

        Raises:
            SettingsError: `teach`: nothing was trained yet.
            ModelError: `labels`: a gesture is not one of the model.
        """
        job, taught = self.training, self.taught()
        if actions and dict(taught.bundle.manifest.mapping) != dict(actions):
            taught = replace(taught, bundle=with_actions(taught.bundle, actions))
            taught.bundle.write(self.path_of(taught.bundle))
            job.taught = taught  # a training that has begun in the meantime has no result yet
        return taught

    def path_of(self, bundle: Bundle) -> Path:
        """Return the folder that a bundle is written to."""
        return self.takes.folder / BUNDLES / bundle.version

    def taught(self) -> Taught:
        """Return the newest taught model.

        Raises:
            SettingsError: `teach`: nothing was trained yet.
        """
        found = self.training.taught
        if found is None:
            raise teach_error("nothing is trained yet: press Train first")
        return found


def summary(take: Take, verdict: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the summary of a take that the page and `maze teach look` show."""
    at = np.linspace(0, len(take.points) - 1, min(SHOWN, len(take.points))).astype(int)
    return {
        "id": take.id,
        "label": take.label,
        "taken_at": take.taken_at,
        "source": take.source,
        "seconds": round(take.seconds, 1),
        "frames": take.frames,
        "hands": len(take.points),
        "variety": variety(take.points, take.left).as_dict(),
        "shown": np.round(take.landmarks[at], 4).tolist(),
        "verdict": verdict,
    }


def checked_actions(actions: Mapping[str, str], gestures: tuple[str, ...]) -> dict[str, Action]:
    """Return a mapping of gestures to moves.

    Raises:
        SettingsError: `teach`: a gesture is unknown, or a move is not one of the four directions.
    """
    ways: dict[str, Action] = {"up": "up", "down": "down", "left": "left", "right": "right"}
    for name, way in actions.items():
        if name not in gestures or name == NO_GESTURE:
            raise teach_error(f"{name[:40]!r} is not a gesture of the model")
        if way not in ways:
            raise teach_error(f"a move must be up, down, left or right, got {way[:40]!r}")
    return {name: ways[way] for name, way in actions.items()}
