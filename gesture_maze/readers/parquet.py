"""Parquet files as tables; needs pyarrow, the extra `parquet`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Final

from gesture_maze.readers.hands import data_error
from gesture_maze.readers.text import Table
from gesture_maze.version import install_hint

MAX_ROWS: Final = 20_000_000
"""Most rows read: a million hands."""


def read_parquet(path: Path) -> Table:
    """Return a parquet file as cells of text, with its column names as the first row.

    Raises:
        SettingsError: `data`: pyarrow is not installed, or the file cannot be read or is too long.
    """
    try:
        library: Any = import_module("pyarrow.parquet")
    except ModuleNotFoundError:
        raise data_error(f"{path}: parquet needs pyarrow: {install_hint('parquet')}") from None
    try:
        file = library.ParquetFile(path)
        if file.metadata.num_rows > MAX_ROWS:
            raise data_error(f"{path} has more than {MAX_ROWS:,} rows: split it")
        found = file.read()
    except (OSError, ValueError) as error:
        raise data_error(f"cannot read {path}: {error}") from None
    names = list(found.column_names)
    columns = [found.column(name).to_pylist() for name in names]
    rows = [["" if cell is None else str(cell).strip() for cell in row] for row in zip(*columns, strict=True)]
    if not rows:
        raise data_error(f"{path}: the file has no rows")
    return Table(path.name, [names, *rows], list(range(1, len(rows) + 2)), "", decimal_comma=False)
