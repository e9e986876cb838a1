"""`maze evaluate`: the figures of a model on labelled landmarks."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesture_maze.cli.options import AsJson
from gesture_maze.cli.printing import print_json
from gesture_maze.cli.progress import progress
from gesture_maze.cli.reading import Actions, Aspect, Labels, Layout, Verdicts, show_found
from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.gestures import Action
from gesture_maze.wire.printable import amount

if TYPE_CHECKING:
    from rich.table import Table

    from gesture_maze.models.dataset import Dataset
    from gesture_maze.models.evaluation import Evaluation
    from gesture_maze.models.report.page import Subject

Opt = typer.Option


def evaluate(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Labelled hands: CSV, JSON or parquet.")],
    model: Annotated[Path | None, Opt(help="Model bundle, folder or zip. (default: the bundled one)")] = None,
    report: Annotated[Path | None, Opt(help="HTML page to write, with all figures and drawn hands.")] = None,
    against: Annotated[
        Path | None, Opt(help="Compare with this bundle, hand by hand, with a significance test.")
    ] = None,
    verdicts: Verdicts = None,
    layout: Layout = None,
    aspect: Aspect = None,
    labels: Labels = None,
    actions: Actions = None,
    as_json: AsJson = False,
) -> None:
    """Judge a model on labelled hands: per gesture, and as maze actions.

    The usual layout has columns x1,y1[,z1] to x21,y21[,z21] and label, in isotropic units (such as pixels) of
    any origin and scale. Others are found by their header or keys; normalised coordinates need --aspect. A
    model that uses z needs it in the data. Gestures are matched by name. Hands that the model was trained on
    say nothing about other people's; the model card has the figures for held-out ones.

    In the JSON, a gesture without rows has n = 0 and figures of 0.

    With --against, the JSON has one more key, "against", and the tables one more line; with --verdicts the
    key "adjudicated": the figures after the verdicts are applied.

    Example: [bold]maze evaluate landmarks.csv.gz --report report.html --json[/bold]
    """
    from gesture_maze.models.bundle import bundled_path
    from gesture_maze.models.dataset import Reading, read_dataset
    from gesture_maze.models.report.page import report_html
    from gesture_maze.models.verdicts import read_verdicts

    hands = read_dataset([data], Reading(layout, aspect, labels))
    show_found(hands.report)
    with progress("Evaluating"):
        judgements = None if verdicts is None else read_verdicts(verdicts, hands)
        subjects = _subjects(hands, [path for path in (model or bundled_path(), against) if path is not None])
        mapping = _mapping(actions, subjects[0])
        if report is not None:
            report.write_text(report_html(hands, *subjects, actions=mapping), encoding="utf-8")
            show_found([f"wrote {report}"])
        compared = _compared(mapping, *subjects) if against is not None else None
    judged = subjects[0].judged.evaluation(mapping)
    cleaned = None if judgements is None else subjects[0].judged.adjudicated(judgements).evaluation(mapping)
    if not as_json:
        _show(judged, cleaned, compared)
        return
    more: dict[str, Any] = {} if compared is None else {"against": compared}
    if cleaned is not None and judgements is not None:
        more["adjudicated"] = {**cleaned, **judgements.summary()}
    print_json({**judged, **more})


def _subjects(hands: Dataset, paths: list[Path]) -> list[Subject]:
    """Return the models at `paths`, judged, and warn of gestures that they do not know."""
    from gesture_maze.models.bundle import load_bundle
    from gesture_maze.models.judged import judge, unknown_gestures
    from gesture_maze.models.report.page import Subject

    bundles = [load_bundle(path) for path in paths]
    names = {name for bundle in bundles for name in bundle.manifest.labels}
    subjects = [Subject(judge(bundle, hands, names), bundle.manifest) for bundle in bundles]
    for subject in subjects:
        _warn_unknown(subject, unknown_gestures(subject.manifest.labels, hands))
    return subjects


def _warn_unknown(subject: Subject, unknown: dict[str, int]) -> None:
    if unknown:
        rows = ", ".join(f"{name} ({amount(n, 'row')})" for name, n in unknown.items())
        sys.stderr.write(
            f"maze: warning: model {subject.judged.model} does not know {rows}; these rows count as missed\n"
        )


def _mapping(actions: dict[str, Action] | None, subject: Subject) -> Mapping[str, Action]:
    """Return the mapping for the evaluation: the given one, or else the model's for either hand.

    Rows do not say which hand they are.
    """
    if actions is None:
        return {key: action for key, action in subject.judged.actions.items() if ":" not in key}
    for key in actions:
        if ":" in key:
            raise SettingsError(
                "settings", f"--actions: {key} needs the hand of each row, which the data does not have"
            )
    return actions


def _compared(actions: Mapping[str, Action], first: Subject, second: Subject) -> dict[str, Any]:
    """Return the second model's figures and how the first compares with it."""
    from gesture_maze.models.judged import compare

    paired = compare(first.judged, second.judged)
    return {**second.judged.evaluation(actions), "paired": asdict(paired)}


def _show(judged: Evaluation, adjudicated: Evaluation | None, compared: dict[str, Any] | None) -> None:
    from rich.console import Console

    from gesture_maze.models.verdicts import BIAS

    console = Console()
    for table in evaluation_tables(judged, adjudicated):
        console.print(table)
    if adjudicated is not None:
        console.print(BIAS)
    if compared is None:
        return
    paired = compared["paired"]
    console.print(
        f"Against {compared['model']} ({percent(compared['accuracy'])}): {paired['only_first']} hands only "
        f"this model gets right, {paired['only_second']} only the other; McNemar's exact test: "
        f"p = {paired['p_value']:.3g}."
    )


def evaluation_tables(judged: Evaluation, adjudicated: Evaluation | None = None) -> list[Table]:
    """Return the tables for people: one for all rows, on given and adjudicated labels, and one by gesture."""
    from rich.table import Table

    total = Table(
        "Labels", "Rows", "Accuracy", "Macro F1", "Action precision", "Action recall", "False actions",
        title=f"Model {judged['model']}",
    )  # fmt: skip
    for labels, found in (("as given", judged), ("adjudicated", adjudicated)):
        if found is None:
            continue
        action = found["action"]
        shares = (
            found["accuracy"],
            found["macro_f1"],
            action["precision"],
            action["recall"],
            action["false_action_rate"],
        )
        total.add_row(labels, str(found["rows"]), *(percent(share) for share in shares))
    gestures = Table("Gesture", "Hands", "Precision", "Recall", "F1", title="By gesture")
    for name, one in judged["per_class"].items():
        if one["n"]:
            gestures.add_row(
                name, str(one["n"]), *(percent(one[key]) for key in ("precision", "recall", "f1"))
            )
    return [total, gestures]


def percent(share: float | None) -> str:
    """Return a share, 0 to 1, in per cent, or a dash if there was nothing to divide by."""
    return "-" if share is None else f"{100 * share:.2f} %"
