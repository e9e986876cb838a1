"""Connects MLflow's registered model with the models in Redis: finds bundles and sets roles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gesture_maze.lifecycle.training import NOT_TRACKED

if TYPE_CHECKING:
    from gesture_maze.lifecycle.promotion import Source
    from gesture_maze.lifecycle.tracking import TrackedVersion


def source(uri: str | None) -> list[Source]:
    """Return a source of MLflow's bundles, by number, alias or bundle version; none without a URI."""
    if uri in (None, NOT_TRACKED):
        return []

    def bundle(name: str) -> bytes | None:
        from gesture_maze.lifecycle.tracking import Tracking

        tracking = Tracking(uri)
        found = tracking.find(name)
        return None if found is None else tracking.bundle(found).to_zip()

    return [bundle]


def appoint(uri: str | None, model: str, alias: str) -> TrackedVersion | None:
    """Give an alias to the version of a bundle and return it, or None without such a version or URI."""
    if uri in (None, NOT_TRACKED):
        return None
    from gesture_maze.lifecycle.tracking import Tracking

    tracking = Tracking(uri)
    found = tracking.find(model)
    if found is not None:
        tracking.appoint(found, alias)
    return found
