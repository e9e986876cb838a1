"""`maze acl`: passwords, the ACL file, addresses."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gesture_maze.cli.main import build
from gesture_maze.ops.acl import ROLES

RUNNER = CliRunner(env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"})


def test_acl_run_twice_keeps_the_passwords_and_prints_hashes(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    words = ["acl", "--passwords", str(folder), "--url", "rediss://redis:6379/0?ssl_ca_certs=/ca"]
    assert RUNNER.invoke(build(), words).exit_code == 2
    first = RUNNER.invoke(build(), [*words, "--create"])
    assert RUNNER.invoke(build(), words).output == first.output
    assert first.output.count("\nuser ") == len(ROLES)
    password = (folder / "worker.password").read_text().strip()
    assert password not in first.output
    assert (
        folder / "worker.url"
    ).read_text().strip() == f"rediss://worker:{password}@redis:6379/0?ssl_ca_certs=/ca"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    known = json.loads((folder / "exporter.json").read_text())
    assert known.keys() == {"rediss://redis:6379", "rediss://exporter@redis:6379"}


def test_acl_on_a_cluster_writes_no_address_for_jobs(tmp_path: Path) -> None:
    words = ["acl", "--passwords", str(tmp_path), "--create", "--url", "redis+cluster://a:1,b:2"]
    assert RUNNER.invoke(build(), words).exit_code == 0
    written = {path.stem for path in tmp_path.glob("*.url")}
    assert written == {one.name for one in ROLES} - {"jobs"}
    assert (tmp_path / "worker.url").read_text().endswith("@a:1,b:2\n")


def test_acl_as_json_lists_the_roles() -> None:
    found = json.loads(RUNNER.invoke(build(), ["acl", "--json"]).output)
    assert {one["role"] for one in found} >= {"producer", "gateway", "worker", "operator", "exporter", "jobs"}


@pytest.mark.parametrize("url", ["http://redis", "redis://user@redis:6379", "redis:///0"])
def test_acl_with_an_unsuitable_address_is_refused(url: str, tmp_path: Path) -> None:
    words = ["acl", "--passwords", str(tmp_path), "--create", "--url", url]
    assert RUNNER.invoke(build(), words).exit_code == 2
