"""`maze train`: labelled landmarks in, a model bundle out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gesture_maze.cli.options import AsJson, TrackingUri
from gesture_maze.cli.printing import print_json
from gesture_maze.cli.progress import progress
from gesture_maze.cli.reading import Actions, Aspect, Labels, Layout, Verdicts, show_found
from gesture_maze.lifecycle.training import DEFAULT_TRACKING

if TYPE_CHECKING:
    from gesture_maze.lifecycle.training import Trained
    from gesture_maze.models.train.comparison import Row
    from gesture_maze.models.train.search import Trial

Opt = typer.Option


def train(
    data: Annotated[
        list[Path],
        typer.Argument(metavar="DATA", help="Labelled hands: CSV, JSON or parquet, in any usual layout."),
    ],
    out: Annotated[Path, Opt(help="Folder for the bundle.")] = Path("bundle"),
    search: Annotated[bool, Opt("--search", help="Search kinds and parameters; ship the winner.")] = False,
    kinds: Annotated[str, Opt(help="Kinds that --search tries.")] = "network,svc,mlp,hgb,knn",
    compare: Annotated[bool, Opt("--compare", help="Also evaluate SVC, MLP, trees and neighbours.")] = False,
    seed: Annotated[int, Opt(min=0, help="The same seed gives the same bundle.")] = 0,
    folds: Annotated[int, Opt(min=2, max=20, help="Folds of the cross-validation; each user is in one.")] = 5,
    epochs: Annotated[int | None, Opt(min=1, help="Passes over the data. (default: the recipe's)")] = None,
    verdicts: Verdicts = None,
    layout: Layout = None,
    aspect: Aspect = None,
    labels: Labels = None,
    actions: Actions = None,
    tracking_uri: TrackingUri = DEFAULT_TRACKING,
    as_json: AsJson = False,
) -> None:
    """Train a classifier, judge it on hands of people it has not seen, and write its bundle.

    The bundle knows the gestures of the data, by the names in its column label. Rows without a user id are
    used for training and, if other rows have one, never for the evaluation. The default network is trained,
    or with --search the kind that wins: the best macro F1 (within 0.002 is equal), of these the fewest false
    actions (within 0.001), of these the fastest. With --compare, other kinds are judged on the same folds and
    timed; the bundle is still the default one. The scikit-learn pipeline is written beside the bundle, as
    OUT.joblib, for use in Python; no part of this program loads it.

    The threshold is the lowest from 0.80 on whose action precision is certain to be 0.985 (lower bound of 95
    %). With --verdicts it is chosen on adjudicated labels, and the model card has both figures. The actions
    of --actions become the bundle's: workers use them unless they are started with others.

    Example: [bold]maze train landmarks.csv.gz --out bundle --search[/bold]
    """
    from gesture_maze.lifecycle.training import TrainOptions
    from gesture_maze.lifecycle.training import train as run
    from gesture_maze.models.dataset import Reading

    wanted = tuple(kind.strip() for kind in kinds.split(",")) if search else ()
    reading = Reading(layout, aspect, labels)
    options = TrainOptions(data, out, wanted, seed, folds, epochs, tracking_uri, verdicts, reading, actions)
    trained = run(options, progress, _warn, show_found)
    rows: list[Row] = []
    if compare:
        from gesture_maze.models.train.candidates import candidates
        from gesture_maze.models.train.comparison import compare_all

        with progress("Comparing", folds * len(candidates(seed))) as tick:
            rows = compare_all(trained.data, trained.shipped, trained.settings, tick)
    if as_json:
        _write_json(trained, out, rows)
    else:
        _write_tables(trained, out, rows)


def _warn(message: str) -> None:
    sys.stderr.write(f"maze: warning: {message}\n")


def _write_json(trained: Trained, out: Path, rows: list[Row]) -> None:
    from gesture_maze.lifecycle.training import pipeline_path

    shipped, tracked = trained.shipped, trained.tracked
    manifest = shipped.bundle.manifest
    report = {
        **shipped.evaluation,
        "adjudicated": shipped.adjudicated,
        "gestures": list(manifest.labels),
        "warnings": trained.warnings,
        "bundle": str(out),
        "pipeline": str(pipeline_path(out)),
        "threshold": manifest.thresholds.act,
        "threshold_rule": shipped.calibrated.threshold.sentence(),
        "temperature": shipped.calibrated.temperature,
        "export_difference": shipped.export_difference,
        "evaluation": {name: figures.model_dump() for name, figures in manifest.evaluation.items()},
        "trials": [trial.as_dict() for trial in trained.trials],
        "comparison": [row.as_dict() for row in rows],
        "tracked": tracked and {"version": tracked.number, "run": tracked.run},
    }
    print_json(report)


def _write_tables(trained: Trained, out: Path, rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    from gesture_maze.cli.evaluate import evaluation_tables, percent

    console, shipped = Console(), trained.shipped
    for table in evaluation_tables(shipped.evaluation, shipped.adjudicated):
        console.print(table)
    views = Table("Held-out hands", "Accuracy", "Macro F1", "ECE", title="As shown, and altered")
    for name, figures in shipped.bundle.manifest.evaluation.items():
        views.add_row(name, percent(figures.accuracy), percent(figures.macro_f1), percent(figures.ece))
    console.print(views)
    if trained.trials:
        console.print(_trials_table(trained.trials))
    if rows:
        console.print(_comparison_table(rows))
    console.print(
        f"{shipped.calibrated.threshold.sentence()} Temperature {shipped.calibrated.temperature:.2f}; the "
        f"export differs by {shipped.export_difference:.1e} at most."
    )
    if trained.tracked is not None:
        console.print(f"Tracked as version {trained.tracked.number}, the challenger.")
    console.print(f"Model {shipped.bundle.version} is in {out}. Try it: maze evaluate DATA --model {out}")


def _trials_table(trials: list[Trial]) -> object:
    from rich.table import Table

    from gesture_maze.cli.evaluate import percent
    from gesture_maze.models.train.search import RULE

    table = Table(
        "Trial", "Accuracy", "Macro F1", "Action precision", "Action recall", "False actions", "ECE", "µs",
        title="Held-out hands by the same folds; the first one won", caption=f"The rule: {RULE}.",
    )  # fmt: skip
    for trial in trials:
        action = trial.evaluation["action"]
        shares = (
            trial.evaluation["accuracy"],
            trial.evaluation["macro_f1"],
            action["precision"],
            action["recall"],
            action["false_action_rate"],
            trial.calibrated.ece,
        )
        table.add_row(trial.name, *(percent(share) for share in shares), f"{trial.us_per_frame:.1f}")
    return table


def _comparison_table(rows: list[Row]) -> object:
    from rich.table import Table

    from gesture_maze.cli.evaluate import percent

    table = Table(
        "Model", "Accuracy", "Macro F1", "Action precision", "Action recall", "False actions",
        "µs at 256", "µs at 1", title="By the same folds; time per frame",
    )  # fmt: skip
    for row in rows:
        action = row.action
        shares = (
            row.accuracy,
            row.macro_f1,
            action["precision"],
            action["recall"],
            action["false_action_rate"],
        )
        times = (f"{row.us_at_256:.1f}", f"{row.us_at_1:.0f}")
        table.add_row(row.name, *(percent(share) for share in shares), *times)
    return table
