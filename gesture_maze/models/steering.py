"""Changes the mapping of a finished bundle: which gesture gives which action."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from gesture_maze.models.bundle import CARD, MANIFEST, Bundle, ModelReason, verify_files
from gesture_maze.models.labels import action_faults
from gesture_maze.models.manifest import model_digest
from gesture_maze.wire.errors import ModelError
from gesture_maze.wire.gestures import Action

_CARD_LINE: Final = re.compile(r"^- \*\*Actions\*\*: .*?\n(?=- \*\*)", re.DOTALL | re.MULTILINE)


def with_actions(bundle: Bundle, actions: Mapping[str, Action]) -> Bundle:
    """Return the bundle with another mapping, under a new version that depends on it.

    Args:
        bundle: any bundle.
        actions: gesture, or `left:` or `right:` and a gesture -> action.

    Raises:
        ModelError: `labels`: a gesture is not one of the model.
    """
    if fault := action_faults(actions, bundle.manifest.labels):
        raise ModelError(ModelReason.LABELS, fault)
    draft = bundle.manifest.model_copy(update={"actions": dict(actions)})
    version = f"{bundle.version.partition('-')[0]}-{model_digest(draft)}"
    card = _CARD_LINE.sub(
        actions_line(actions), bundle.card.replace(bundle.version, version), count=1
    ).encode()
    manifest = draft.model_copy(
        update={
            "model_version": version,
            "files": {**draft.files, CARD: hashlib.sha256(card).hexdigest()},
        }
    )
    text = manifest.model_dump_json(indent=2).encode() + b"\n"
    return verify_files({**bundle.files, MANIFEST: text, CARD: card})


def actions_line(actions: Mapping[str, Action]) -> str:
    """Return the line of a model card about the mapping."""
    words = ", ".join(f"{key} -> {action}" for key, action in actions.items())
    return f"- **Actions**: {words or 'none of its gestures has one by default'}.\n"
