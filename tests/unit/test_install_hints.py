"""Installation as documents and messages describe it works while no registry has the package."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from gesture_maze.version import __version__, install_hint

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
WHEEL = re.compile(r"dist/(gesture_maze-.+?-py3-none-any\.whl)(?:\[([a-z,]+)\])?")


def test_install_commands_name_the_wheel_and_extras_that_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    found = 0
    for text in (*(page.read_text() for page in PAGES), install_hint("worker", "game")):
        for wheel, named in WHEEL.findall(text):
            found += 1
            assert wheel == f"gesture_maze-{__version__}-py3-none-any.whl"
            assert set(filter(None, named.split(","))) <= set(extras)
    assert found > 5


def test_no_page_or_message_installs_the_package_by_name() -> None:
    for path in (*PAGES, *(ROOT / "gesture_maze").rglob("*.py")):
        assert not re.search(r"(pip|npm)\s+install\s+'?gesture-maze", path.read_text()), path
