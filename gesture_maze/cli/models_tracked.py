"""`maze models tracked`: the versions that MLflow keeps, with their figures and roles."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

from gesture_maze.cli.options import AsJson, TrackingUri
from gesture_maze.cli.printing import cell, print_json, print_line, print_table, text_table
from gesture_maze.lifecycle.training import DEFAULT_TRACKING

SHOWN: Final = ("accuracy", "macro_f1", "action_precision", "action_recall", "false_action_rate", "ece")


def models_tracked(
    tracking_uri: TrackingUri = DEFAULT_TRACKING,
    as_json: AsJson = False,
) -> None:
    """List the versions of the model in MLflow, newest first: figures of held-out hands, aliases, bundles.

    What is live is in Redis: 'maze models' shows it.

    Example: [bold]maze models tracked --tracking-uri sqlite:///mlflow.db[/bold]
    """
    from gesture_maze.lifecycle.tracking import Tracking

    versions = Tracking(tracking_uri).versions()
    if as_json:
        print_json([asdict(version) for version in versions])
        return
    if not versions:
        print_line("No versions: 'maze train' makes them.")
        return
    table = text_table(("version", "bundle", "aliases", "since", *SHOWN), whole=("version", "bundle"))
    for one in versions:
        since = datetime.fromtimestamp(one.created_ms / 1000, UTC).isoformat(sep=" ", timespec="minutes")
        figures = (f"{one.figures[name]:.4f}" if name in one.figures else "-" for name in SHOWN)
        cells = (one.number, one.model, ", ".join(one.aliases) or "-", since, *figures)
        table.add_row(*map(cell, cells))
    print_table(table)
