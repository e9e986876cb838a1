"""YAML documents, parsed by libyaml: the loader in Python takes ten times as long."""

from __future__ import annotations

from typing import Any

import yaml


def read_yaml(text: str) -> Any:
    """Return the only document of a text."""
    return yaml.load(text, Loader=yaml.CSafeLoader)


def read_yaml_all(text: str) -> list[Any]:
    """Return all documents of a text."""
    return list(yaml.load_all(text, Loader=yaml.CSafeLoader))
