"""The modules that `make dist COMPILED=1` compiles, see pyproject.toml. CI also tests them compiled."""

from __future__ import annotations

import tomllib
from dataclasses import is_dataclass

from gesture_maze.worker.settings import PoolSettings, Settings
from tests.support.observed import ROOT

HOOK = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
    "hooks"
]
MODULES = {path.strip("/").removesuffix(".py").replace("/", ".") for path in HOOK["mypyc"]["include"]}


def test_compiled_build_is_off_unless_asked_for() -> None:
    assert [one["enable-by-default"] for one in HOOK.values()] == [False, False]


def test_compiled_modules_exist() -> None:
    assert all((ROOT / path.strip("/")).is_file() for path in HOOK["mypyc"]["include"])


def test_library_of_the_compiled_modules_is_in_the_package() -> None:
    assert HOOK["mypyc"]["options"]["group_name"].startswith("gesture_maze.")


def test_settings_whose_help_is_read_from_their_source_are_not_compiled() -> None:
    nested = [type(field.default) for field in Settings.model_fields.values() if is_dataclass(field.default)]
    assert nested
    assert not MODULES & {kind.__module__ for kind in (Settings, PoolSettings, *nested)}
