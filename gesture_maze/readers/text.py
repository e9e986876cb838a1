"""Files as text, and text as a table: byte order marks, delimiters, decimal commas, line ends."""

from __future__ import annotations

import codecs
import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gesture_maze.readers.hands import data_error
from gesture_maze.readers.unpack import DAMAGE, check_blank_lines, open_unpacked

MAX_BYTES: Final = 1 << 30
"""Largest file read, unpacked."""
DELIMITERS: Final = (";", "\t", "|", ",")
"""In the order in which they are tried: a comma may also be a decimal point."""
SAMPLE_LINES: Final = 20
MIN_COLUMNS: Final = 4
"""Fewest columns of a table of landmarks: frame, landmark, x, y."""
_PICKLE: Final = b"\x80"
"""First byte of a pickle of Python 3; no UTF-8 text begins with it."""
_BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file, unpacked by its suffix.

    Raises:
        SettingsError: `data`: it cannot be read, is damaged, or is larger than `MAX_BYTES`.
    """
    try:
        with open_unpacked(path, "data") as file:
            data = file.read(MAX_BYTES + 1)
    except DAMAGE as error:
        reason = getattr(error, "strerror", None) or error
        raise data_error(f"cannot read {path}: {reason}") from None
    if len(data) > MAX_BYTES:
        raise data_error(f"{path} is larger than {MAX_BYTES >> 20} MiB unpacked: split it")
    return data


def is_whole(text: str) -> bool:
    """Return whether a text is a non-negative integer in plain digits: `isdigit` accepts `²` as well."""
    return text.isascii() and text.isdigit() and len(text) < 16


def decoded(name: str, data: bytes) -> str:
    """Return the text of UTF-8, or of UTF-16 with a byte order mark, without the mark.

    Raises:
        SettingsError: `data`, if it is neither, or a pickle, or has more blank lines than a table has.
    """
    if data.startswith(_PICKLE):
        raise data_error(f"{name}: a pickle, which can run code and is not read: save it as CSV or JSON")
    encoding = next((found for mark, found in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise data_error(f"{name}: not UTF-8 at byte {error.start}: save it as UTF-8") from None
    blank = sum(_line_ends(found[0]) - 1 for found in _BLANK_LINES.finditer(text))
    try:
        check_blank_lines(blank, _line_ends(text))
    except OSError as error:
        raise data_error(f"cannot read {name}: {error}") from None
    return text


_BLANK_LINES: Final = re.compile(r"[\r\n]\s*[\r\n]")
"""The end of a line and the blank lines after it; also the two characters of one line end of Windows."""


def _line_ends(text: str) -> int:
    return max(text.count("\n"), text.count("\r"))


_STATED: Final = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)
"""First line in which a table for Excel states its delimiter."""


@dataclass(frozen=True, slots=True)
class Table:
    """A delimited text as cells.

    Attributes:
        name: of the file, for errors.
        rows: cells without surrounding blanks; empty lines are left out.
        lines: line number of each row, from 1.
        delimiter: between cells.
        decimal_comma: whether numbers are written `0,5`.
    """

    name: str
    rows: list[list[str]]
    lines: list[int]
    delimiter: str
    decimal_comma: bool

    def number(self, row: int, column: int) -> float:
        """Return one cell as a number.

        Raises:
            ValueError: it is not a number.
        """
        return self.as_number(self.rows[row][column])

    def as_number(self, cell: str) -> float:
        """Return a cell's text as a number.

        Raises:
            ValueError: it is not a number.
        """
        return float(cell.replace(",", ".")) if self.decimal_comma else float(cell)


def read_table(name: str, text: str) -> Table:
    """Split a delimited text into cells.

    Raises:
        SettingsError: `data`: it is empty, is not a table, or a quote is not closed.
    """
    stated = _STATED.match(text)
    text = text[stated.end() :] if stated else text
    delimiter, skipped = (stated[1], 1) if stated else (_delimiter(text), 0)
    rows: list[list[str]] = []
    lines: list[int] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            row = [cell.strip() for cell in cells]
            if any(row):
                rows.append(row)
                lines.append(reader.line_num + skipped)
    except csv.Error as error:
        raise data_error(f"{name}: row {reader.line_num + skipped}: {error}") from None
    if not rows:
        raise data_error(f"{name}: the file is empty")
    return Table(name, rows, lines, delimiter, delimiter != "," and _has_decimal_commas(rows))


def _delimiter(text: str) -> str:
    """Return the first delimiter that splits all sampled lines into the same number of columns.

    `csv.Sniffer` mistakes the decimal comma of `0,5;0,25` for the delimiter, so the order decides here.
    """
    sample = [line for line in text[: 1 << 18].splitlines()[:SAMPLE_LINES] if line.strip()]
    for delimiter in DELIMITERS:
        try:
            counts = [len(row) for row in csv.reader(sample, delimiter=delimiter)]
        except csv.Error:
            continue
        if counts and min(counts) >= MIN_COLUMNS and max(counts) == min(counts):
            return delimiter
    return max(DELIMITERS, key=lambda one: sample[0].count(one)) if sample else ","


def _has_decimal_commas(rows: list[list[str]]) -> bool:
    for row in rows[:SAMPLE_LINES]:
        for cell in row:
            left, comma, right = cell.partition(",")
            if comma and left.lstrip("+-").isdigit() and right[:1].isdigit():
                return True
    return False
