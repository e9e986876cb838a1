"""`maze capture` and `maze replay`, called in this process."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner, Result

from gesture_maze.cli.main import build


def maze(*words: Any, code: int = 0) -> Result:
    result = CliRunner().invoke(build(("capture", "replay")), [str(word) for word in words])
    assert result.exit_code == code, result.output + str(result.exception)
    return result


def facts(*words: Any, code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(maze(*words, "--json", code=code).stdout)
    return found
