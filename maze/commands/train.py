"""`maze train`: labelled landmarks in, a model bundle out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from maze.options import AsJson

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.build import Built
    from models.comparison import Row
    from models.training import Tick

GOLDEN_PER_GESTURE: Final = 4
"""Simulated hands per gesture in `golden.json`: both hands of each, and two aspects."""

Opt = typer.Option


def train(
    data: Annotated[list[Path], typer.Argument(help="CSV or CSV.gz: x1,y1[,z1],...,label[,user_id].")],
    out: Annotated[Path, Opt(help="Folder for the bundle.")] = Path("bundle"),
    compare: Annotated[bool, Opt("--compare", help="Also judge SVC, MLP, trees and neighbours.")] = False,
    seed: Annotated[int, Opt(min=0, help="The same seed gives the same bundle.")] = 0,
    folds: Annotated[int, Opt(min=2, max=20, help="Folds to judge by; no user is in two.")] = 5,
    epochs: Annotated[int | None, Opt(min=1, help="Passes over the data. (default: the recipe's)")] = None,
    as_json: AsJson = False,
) -> None:
    """Train the default classifier, judge it on hands of people it has not seen, and write its bundle.

    Rows without a user id are trained on and, where others have one, never judged by. With --compare, other
    kinds of classifier are judged by the same folds and timed; the bundle is the default one all the same.

    Example: [bold]maze train landmarks.csv.gz --out bundle --compare[/bold]
    """
    from models.build import Settings, build_bundle
    from models.comparison import compare_all
    from models.dataset import read_dataset
    from models.training import Recipe

    hands = read_dataset(data)
    recipe = Recipe() if epochs is None else Recipe(epochs=epochs)
    settings = Settings(recipe=recipe, folds=folds, seed=seed)
    with progress("Training", settings.steps()) as tick:
        built = build_bundle(hands, settings, *_golden_hands(seed), tick)
    built.bundle.write(out)
    rows: list[Row] = []
    if compare:
        from models.candidates import candidates

        with progress("Comparing", folds * len(candidates(seed))) as tick:
            rows = compare_all(hands, built, settings, tick)
    if as_json:
        _write_json(built, out, rows)
    else:
        _write_tables(built, out, rows)


def _golden_hands(seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return simulated landmarks (n, 21, 3) and aspects (n,): `GOLDEN_PER_GESTURE` of each gesture."""
    import numpy as np

    from producer.simulator import synthesize
    from wire.gestures import GESTURES

    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(GESTURES)), GOLDEN_PER_GESTURE // 2)
    wide, tall = (synthesize(labels, rng, aspect=aspect) for aspect in (4 / 3, 9 / 16))
    return np.concatenate([wide.landmarks, tall.landmarks]), np.concatenate([wide.aspect, tall.aspect])


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


def _write_json(built: Built, out: Path, rows: list[Row]) -> None:
    manifest = built.bundle.manifest
    report = {
        **built.evaluation,
        "bundle": str(out),
        "threshold": manifest.thresholds.act,
        "temperature": built.temperature,
        "export_difference": built.export_difference,
        "evaluation": {name: figures.model_dump() for name, figures in manifest.evaluation.items()},
        "comparison": [row.as_dict() for row in rows],
    }
    sys.stdout.write(json.dumps(report) + "\n")


def _write_tables(built: Built, out: Path, rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    from maze.commands.evaluate import evaluation_tables, percent

    console = Console()
    for table in evaluation_tables(built.evaluation):
        console.print(table)
    views = Table("Held-out hands", "Accuracy", "Macro F1", "ECE", title="As shown, and altered")
    for name, figures in built.bundle.manifest.evaluation.items():
        views.add_row(name, percent(figures.accuracy), percent(figures.macro_f1), percent(figures.ece))
    console.print(views)
    if rows:
        console.print(_comparison_table(rows))
    console.print(
        f"Threshold {built.bundle.manifest.thresholds.act:.2f}, temperature {built.temperature:.2f}."
    )
    console.print(f"Model {built.bundle.version} is in {out}. Try it: maze evaluate DATA --model {out}")


def _comparison_table(rows: list[Row]) -> object:
    from rich.table import Table

    from maze.commands.evaluate import percent

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
