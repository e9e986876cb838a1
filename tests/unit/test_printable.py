"""Escaping of values before they are shown."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesture_maze.cli.printing import cell, print_error, print_line, print_table, text_table
from gesture_maze.wire.printable import finite, printable

EVIL = "\x1b]0;title\x07\x1b[2J\r\n\u202ename\x9b31m"


@given(st.text())
def test_printable_of_any_text_is_printable(text: str) -> None:
    assert printable(text).isprintable()


def test_printable_of_plain_text_is_unchanged() -> None:
    assert printable("Ünïcode ● 手 [red]") == "Ünïcode ● 手 [red]"


def test_printable_of_control_characters_uses_python_escapes() -> None:
    assert printable("\x1b[2J\n\u202e") == "\\x1b[2J\\n\\u202e"


def test_output_with_terminal_commands_is_escaped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_line(EVIL)
    print_error(EVIL)
    table = text_table(("name",))
    table.add_row(cell(EVIL))
    print_table(table)
    out, err = capsys.readouterr()
    assert out.replace("\n", "").isprintable()
    assert err.replace("\n", "").isprintable()
    assert out.count("\\x1b]0;title") == 2


def test_finite_of_nested_nan_and_infinity_replaces_with_none() -> None:
    value = {"a": math.nan, "b": [1.5, {"c": (math.inf, -math.inf)}], 3: "text", "d": None, "e": 7}
    assert finite(value) == {"a": None, "b": [1.5, {"c": [None, None]}], "3": "text", "d": None, "e": 7}
    json.dumps(finite(value), allow_nan=False)
