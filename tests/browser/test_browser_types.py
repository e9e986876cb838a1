"""TypeScript checks the types in the comments of the page's modules, without a build."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.servers import absent

TYPESCRIPT = "typescript@5.9.3"
PAGE = Path(__file__).parents[2] / "gesture_maze" / "page" / "jsconfig.json"


@pytest.mark.timeout(120)
def test_page_modules_pass_the_type_checker() -> None:
    if shutil.which("npm") is None:
        absent("npm")
    command = ["npm", "exec", "--yes", f"--package={TYPESCRIPT}", "--", "tsc", "-p", str(PAGE)]
    found = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env=os.environ | {"npm_config_loglevel": "error"},
    )
    assert not found.returncode, found.stdout + found.stderr
