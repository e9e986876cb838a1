"""Print what some extras of pyproject.toml need, one requirement per line, without the project itself.

    python compose/requirements.py worker gateway > requirements.txt

An image's layer of dependencies thus stays the same while only our own code changes.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

SELF = re.compile(r"gesture-maze\[([a-z,]+)\]")


def requirements(project: dict[str, object], extras: Iterable[str]) -> list[str]:
    """Return the requirements of the project and of these extras, sorted; extras of extras are resolved.

    Raises:
        KeyError: there is no such extra.
    """
    optional = project["optional-dependencies"]
    base = project["dependencies"]
    assert isinstance(optional, dict)
    assert isinstance(base, list)
    waiting, seen, found = list(extras), set[str](), set[str](base)
    while waiting:
        extra = waiting.pop()
        if extra in seen:
            continue
        seen.add(extra)
        for one in optional[extra]:
            own = SELF.fullmatch(one)
            if own:
                waiting += own[1].split(",")
            else:
                found.add(one)
    return sorted(found)


if __name__ == "__main__":
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    sys.stdout.write("\n".join(requirements(tomllib.loads(text)["project"], sys.argv[1:])) + "\n")
