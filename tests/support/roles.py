"""The users of gesture_maze.ops.acl on a running server."""

from __future__ import annotations

from typing import Any

from gesture_maze.ops.acl import Role, acl_line


def give(admin: Any, role: Role, password: str) -> None:
    """Create the role's user as the ACL file does."""
    _, name, *rules = acl_line(role, password).split(" ")
    admin.execute_command("ACL SETUSER", name, *_with_selectors(rules))


def _with_selectors(rules: list[str]) -> list[str]:
    """Return the words of an ACL file line as arguments of ACL SETUSER; a selector is one argument."""
    found: list[str] = []
    for rule in rules:
        if found and found[-1].startswith("(") and not found[-1].endswith(")"):
            found[-1] += " " + rule
        else:
            found.append(rule)
    return found
