"""What commands read from the environment: deployment settings only, under the names in `docs/operations.md`.

An option that is read from the environment has a variable `MAZE_NAME`; `MAZE_NAME_FILE` names a file that
holds the value instead, which is how an address with a password in it should be given: variables are shown by
`docker inspect` and inherited by child processes. A flag wins over the variable, the variable over the file.
Options that belong to one run (`--out`, `--all`, `--json`) have no variable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from gesture_maze.wire.errors import SettingsError

PREFIX: Final = "MAZE_"
_SERVICE_LINK: Final = re.compile(r"(tcp|udp|sctp)://")


def variable(name: str) -> str:
    """Return the variable of an option, by the name of its parameter."""
    return PREFIX + name.upper()


def apply_environment(command: Any, environment: Mapping[str, str]) -> None:
    """Make the options of a command, and of its commands, read files and ignore service links.

    Kubernetes sets `MAZE_PORT=tcp://10.0.0.1:8000` in every pod beside a service called `maze`: that is not
    a setting, and an option whose variable holds such a link is treated as if the variable were not set.
    """
    for option in command.params:
        name = option.envvar
        if not isinstance(name, str):
            continue
        value = environment.get(name)
        if value is not None and _SERVICE_LINK.match(value):
            option.envvar = value = None
        path = environment.get(f"{name}_FILE")
        if path and value is None:
            option.default = partial(content, Path(path), f"{name}_FILE")
    for inner in getattr(command, "commands", {}).values():
        apply_environment(inner, environment)


def content(path: Path, named_by: str) -> str:
    """Return the text of a file without the white space around it.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError("settings", f"{named_by}: cannot read {path}: {why}") from None
