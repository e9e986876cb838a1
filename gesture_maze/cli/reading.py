"""Options of commands that read landmark files; they override what a file says about itself."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from gesture_maze.readers.aspects import parse_aspect
from gesture_maze.wire.gestures import Action, parse_actions


def _parse_actions(text: str) -> dict[str, Action]:
    try:
        return parse_actions(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _parse_aspect(text: str) -> float:
    try:
        return parse_aspect(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Layout = Annotated[
    str | None,
    typer.Option(
        "--layout",
        metavar="NAME",
        help="Layout of the files, such as xyz, joints, keypoint, tidy. (default: found by the header)",
    ),
]
Aspect = Annotated[
    float | None,
    typer.Option(
        "--aspect",
        parser=_parse_aspect,
        metavar="RATIO",
        help="Image width / height of normalised coordinates: 640x480, 4:3 or 1.3333; 1 = one unit.",
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option("--labels", help="CSV that renames labels: lines label,gesture, or one name a line from 0."),
]

Actions = Annotated[
    Any,
    typer.Option(
        "--actions",
        parser=_parse_actions,
        metavar="NAME=VALUE,...",
        help="Which gesture gives which action. (default: the model's, usually like=up,dislike=down,...)",
    ),
]

Verdicts = Annotated[
    Path | None,
    typer.Option(
        "--verdicts",
        help="CSV of verdicts (row,label,verdict) on the labels of the data; figures with and without them.",
    ),
]


def show_found(lines: Iterable[str]) -> None:
    """Print on standard error what was found in the files, before it is used."""
    for line in lines:
        sys.stderr.write(f"maze: {line}\n")
    sys.stderr.flush()
