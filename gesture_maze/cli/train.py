"""`maze train`: labelled landmarks in, a model bundle out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gesture_maze.cli.options import AsJson, TrackingUri
from gesture_maze.cli.printing import print_json
from gesture_maze.lifecycle.training import DEFAULT_TRACKING

if TYPE_CHECKING:
    from gesture_maze.lifecycle.training import Trained
    from gesture_maze.models.train.comparison import Row
    from gesture_maze.models.train.search import Trial
    from gesture_maze.models.train.training import Tick

Opt = typer.Option


def train(
    data: Annotated[list[Path], typer.Argument(help="CSV or CSV.gz: x1,y1[,z1],...,label[,user_id].")],
    out: Annotated[Path, Opt(help="Folder for the bundle.")] = Path("bundle"),
    search: Annotated[bool, Opt("--search", help="Search kinds and parameters; ship the winner.")] = False,
    kinds: Annotated[str, Opt(help="Those that --search tries.")] = "network,svc,mlp,hgb,knn",
    compare: Annotated[bool, Opt("--compare", help="Also judge SVC, MLP, trees and neighbours.")] = False,
    seed: Annotated[int, Opt(min=0, help="The same seed gives the same bundle.")] = 0,
    folds: Annotated[int, Opt(min=2, max=20, help="Folds to judge by; no user is in two.")] = 5,
    epochs: Annotated[int | None, Opt(min=1, help="Passes over the data. (default: the recipe's)")] = None,
    tracking_uri: TrackingUri = DEFAULT_TRACKING,
    as_json: AsJson = False,
) -> None:
    """Train a classifier, judge it on hands of people it has not seen, and write its bundle.

    Rows without a user id are trained on and, where others have one, never judged by. The default network is
    trained, or with --search whatever wins: the best macro F1 (within 0.002 is equal), of these the fewest
    false actions (within 0.001), of these the fastest. With --compare, other kinds are judged by the same
    folds and timed; the bundle is the default one all the same. The scikit-learn pipeline is written beside
    the bundle, as OUT.joblib, for people: nothing of ours ever loads it.

    Example: [bold]maze train landmarks.csv.gz --out bundle --search[/bold]
    """
    from gesture_maze.lifecycle.training import TrainOptions
    from gesture_maze.lifecycle.training import train as run

    wanted = tuple(kind.strip() for kind in kinds.split(",")) if search else ()
    options = TrainOptions(data, out, wanted, seed, folds, epochs, tracking_uri)
    trained = run(options, progress)
    rows: list[Row] = []
    if compare:
        from gesture_maze.models.train.candidates import candidates
        from gesture_maze.models.train.comparison import compare_all

        with progress("Comparing", folds * len(candidates(seed))) as tick:
            rows = compare_all(trained.data, trained.shipped, options.settings(), tick)
    if as_json:
        _write_json(trained, out, rows)
    else:
        _write_tables(trained, out, rows)


@contextmanager
def progress(title: str, steps: int) -> Iterator[Tick]:
    """Show a bar on standard error while the body runs, if a person watches; yield what moves it on."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=steps)
        yield lambda: progress.advance(task)


def _write_json(trained: Trained, out: Path, rows: list[Row]) -> None:
    from gesture_maze.lifecycle.training import pipeline_path

    shipped, tracked = trained.shipped, trained.tracked
    manifest = shipped.bundle.manifest
    report = {
        **shipped.evaluation,
        "bundle": str(out),
        "pipeline": str(pipeline_path(out)),
        "threshold": manifest.thresholds.act,
        "temperature": shipped.temperature,
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
    for table in evaluation_tables(shipped.evaluation):
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
        f"Threshold {shipped.bundle.manifest.thresholds.act:.2f}, temperature {shipped.temperature:.2f}; "
        f"the export differs by {shipped.export_difference:.1e} at most."
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
            trial.ece,
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
