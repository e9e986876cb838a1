"""`maze evaluate`: what a model is worth on labelled landmarks."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maze.options import AsJson

if TYPE_CHECKING:
    from rich.table import Table

    from models.evaluation import Evaluation

Opt = typer.Option


def evaluate(
    data: Annotated[Path, typer.Argument(help="CSV or CSV.gz: x1,y1[,z1],...,x21,y21[,z21],label.")],
    model: Annotated[
        Path | None, Opt(help="Folder or zip of a model bundle. (default: the bundled one)")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say how well a model does on labelled hands: per gesture, and as maze actions.

    The coordinates are in isotropic units (pixels, say) of any origin and scale. Hands that the model was
    trained on say nothing about other people's; the model card has the figures for held-out ones.

    Example: [bold]maze evaluate landmarks.csv.gz --json[/bold]
    """
    from models.bundle import bundled_path, load_bundle
    from models.classifier import Classifier
    from models.dataset import read_dataset
    from models.evaluation import evaluate as judge

    classifier = Classifier.from_bundle(load_bundle(model or bundled_path()))
    hands = read_dataset([data])
    judged = judge(
        hands.labels,
        classifier.probabilities(hands.landmarks, hands.aspect),
        threshold=classifier.manifest.thresholds.act,
        model=classifier.version,
    )
    if as_json:
        sys.stdout.write(json.dumps(judged) + "\n")
        return
    from rich.console import Console

    console = Console()
    for table in evaluation_tables(judged):
        console.print(table)


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
