"""Options of commands that read landmark files: what overrides the description in a file."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from gesture_maze.readers.aspects import parse_aspect

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
        parser=parse_aspect,
        metavar="RATIO",
        help="Image width / height of normalised coordinates: 640x480, 4:3 or 1.3333; 1 = one unit.",
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option("--labels", help="CSV that renames labels: lines label,gesture, or one name a line from 0."),
]


def show_found(lines: Iterable[str]) -> None:
    """Print on standard error what was found in the files, before it is used."""
    for line in lines:
        sys.stderr.write(f"maze: {line}\n")
    sys.stderr.flush()
