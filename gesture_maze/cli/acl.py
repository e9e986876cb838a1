"""`maze acl`: the roles' rules as Redis's ACL file, with hashed passwords."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gesture_maze.cli.options import AsJson
from gesture_maze.cli.printing import print_json

Opt = typer.Option


def acl(
    passwords: Annotated[Path, Opt(help="Folder of <role>.password files.")] = Path("secrets"),
    create: Annotated[bool, Opt("--create", help="Create missing passwords.")] = False,
    url: Annotated[
        str | None,
        Opt(
            help="Also write <role>.url files: this address with each role's name and password. Without "
            "jobs.url on a cluster: jobs need a Redis of their own."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the ACL file for Redis: a user per role, each with the least commands, keys and channels.

    Passwords stand in it as hashes only. Without --create nothing is written. With --json: roles, who they
    are for, and their rules. In redis.conf: aclfile /path/users.acl; after a change: ACL LOAD.

    Example: [bold]maze acl --create --url redis://redis:6379/0 > users.acl[/bold]
    """
    from gesture_maze.ops.acl import ROLES, acl_file, kept_passwords, write_urls

    if as_json:
        print_json([{"role": one.name, "who": one.who, "rules": one.rules} for one in ROLES])
        return
    found = kept_passwords(passwords, create=create)
    text = acl_file(found)
    if url is not None:
        write_urls(passwords, url, found)
    sys.stdout.write(text)
