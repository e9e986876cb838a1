"""`maze evaluate`: what a model is worth on labelled landmarks."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesture_maze.cli.options import AsJson
from gesture_maze.cli.printing import print_json

if TYPE_CHECKING:
    from rich.table import Table

    from gesture_maze.models.evaluation import Evaluation
    from gesture_maze.models.report.page import Subject

Opt = typer.Option


def evaluate(
    data: Annotated[Path, typer.Argument(help="CSV or CSV.gz: x1,y1[,z1],...,x21,y21[,z21],label.")],
    model: Annotated[
        Path | None, Opt(help="Folder or zip of a model bundle. (default: the bundled one)")
    ] = None,
    report: Annotated[
        Path | None, Opt(help="Also write all of it, with drawn hands, as one HTML page.")
    ] = None,
    against: Annotated[
        Path | None, Opt(help="Compare with this bundle, hand by hand, with a significance test.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say how well a model does on labelled hands: per gesture, and as maze actions.

    The coordinates are in isotropic units (pixels, say) of any origin and scale. Hands that the model was
    trained on say nothing about other people's; the model card has the figures for held-out ones.

    With --against, the JSON has one more key, "against", and the tables one more line.

    Example: [bold]maze evaluate landmarks.csv.gz --report report.html --json[/bold]
    """
    from gesture_maze.models.bundle import bundled_path, load_bundle
    from gesture_maze.models.dataset import read_dataset
    from gesture_maze.models.judged import judge
    from gesture_maze.models.report.page import Subject, report_html

    hands = read_dataset([data])
    bundles = [load_bundle(path) for path in (model or bundled_path(), against) if path is not None]
    subjects = [Subject(judge(bundle, hands), bundle.manifest) for bundle in bundles]
    if report is not None:
        report.write_text(report_html(hands, *subjects), encoding="utf-8")
    judged = subjects[0].judged.evaluation()
    compared = _compared(*subjects) if against is not None else None
    if as_json:
        print_json({**judged, "against": compared} if compared is not None else judged)
        return
    _show(judged, compared)


def _compared(first: Subject, second: Subject) -> dict[str, Any]:
    """Return the second model's figures and how the first compares with it."""
    from gesture_maze.models.judged import compare

    paired = compare(first.judged, second.judged)
    return {**second.judged.evaluation(), "paired": asdict(paired)}


def _show(judged: Evaluation, compared: dict[str, Any] | None) -> None:
    from rich.console import Console

    console = Console()
    for table in evaluation_tables(judged):
        console.print(table)
    if compared is None:
        return
    paired = compared["paired"]
    console.print(
        f"Against {compared['model']} ({percent(compared['accuracy'])}): {paired['only_first']} hands only "
        f"this model gets right, {paired['only_second']} only the other; McNemar's exact test: "
        f"p = {paired['p_value']:.3g}."
    )


def evaluation_tables(judged: Evaluation) -> list[Table]:
    """Return the tables for people: one for all rows, one by gesture."""
    from rich.table import Table

    action = judged["action"]
    total = Table(
        "Rows", "Accuracy", "Macro F1", "Action precision", "Action recall", "False actions",
        title=f"Model {judged['model']}",
    )  # fmt: skip
    shares = (
        judged["accuracy"],
        judged["macro_f1"],
        action["precision"],
        action["recall"],
        action["false_action_rate"],
    )
    total.add_row(str(judged["rows"]), *(percent(share) for share in shares))
    gestures = Table("Gesture", "Hands", "Precision", "Recall", "F1", title="By gesture")
    for name, one in judged["per_class"].items():
        if one["n"]:
            gestures.add_row(
                name, str(one["n"]), *(percent(one[key]) for key in ("precision", "recall", "f1"))
            )
    return [total, gestures]


def percent(share: float | None) -> str:
    """Return a share, 0 to 1, as people read it; a dash where there was nothing to divide by."""
    return "-" if share is None else f"{100 * share:.2f} %"
