"""What commands print on standard output."""

from __future__ import annotations

import json
import sys
from typing import Any


def print_json(value: Any) -> None:
    """One JSON object, for programs on one line, for a person at a terminal over several."""
    indent = 2 if sys.stdout.isatty() else None
    print_line(json.dumps(value, indent=indent))


def print_line(line: str) -> None:
    """One line, at once: whoever reads a pipe should not wait for a buffer."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
