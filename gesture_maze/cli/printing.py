"""What commands print on standard output.

Session ids, field names and worker names come from other programs, and some of those are hostile: everything
is printed through `printable`, so that it can neither move the cursor nor set the terminal's title.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from gesture_maze.wire.printable import finite, printable

if TYPE_CHECKING:
    from rich.table import Column, Table
    from rich.text import Text

WIDEST: Final = 10_000
"""Characters that a line of a table may have in a pipe."""
FOLDED: Final = 6
GAP: Final = 2
"""Least width of a folded column, and the width of the gap between columns, in characters."""


def print_json(value: Any) -> None:
    """Print one JSON value: on one line for programs, indented at a terminal."""
    indent = 2 if sys.stdout.isatty() else None
    _write(json.dumps(finite(value), indent=indent, allow_nan=False))


def print_line(line: str) -> None:
    """Print one line of text, and flush it: the reader of a pipe should not wait for a buffer."""
    _write(printable(line))


def print_error(message: str) -> None:
    """Print one line on standard error, marked as ours."""
    sys.stderr.write(f"maze: {printable(message)}\n")


def text_table(columns: Iterable[str], *, whole: Iterable[str] = (), right: Iterable[str] = ()) -> Table:
    """Return an empty table in which no cell is ever cut.

    Args:
        columns: their titles.
        whole: columns whose cells stay on one line, because the next command needs them: ids and versions.
            The others are folded if the terminal is too narrow.
        right: columns that are aligned to the right.
    """
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for title in columns:
        side = "right" if title in right else "left"
        table.add_column(title, overflow="fold", no_wrap=title in whole, justify=side)  # type: ignore[arg-type]
    return table


def cell(value: object, style: str = "") -> Text:
    """Return a cell that shows `value` literally, without markup, or a dash for None."""
    from rich.text import Text

    return Text("-" if value is None else printable(str(value)), style)


def print_table(table: Table) -> None:
    """Print a table, folded to the width of the terminal; in a pipe as wide as it is."""
    from rich.console import Console

    console = Console()
    if console.is_terminal:
        # if not even these columns fit, the terminal wraps the lines
        width = max(console.width, sum(map(_least_width, table.columns)))
    else:
        width = max(Console(width=WIDEST).measure(table).maximum, 1)
    Console(width=width).print(table)


def _least_width(column: Column) -> int:
    from rich.text import Text

    widest = max((one.cell_len for one in column.cells if isinstance(one, Text)), default=0)
    return max(widest if column.no_wrap else FOLDED, len(str(column.header))) + GAP


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
