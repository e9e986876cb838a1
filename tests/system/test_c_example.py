"""examples/c, written from docs/wire.md alone: its bytes, and its frames on a real pool."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.children import child
from tests.support.example_pool import ROOT, environment, run, running_pool
from tests.support.servers import Server, absent

pytestmark = pytest.mark.slow

EXAMPLE = ROOT / "examples" / "c"
VECTORS = ROOT / "tests" / "vectors"
HEADER = Path("/usr/include/hiredis/hiredis.h")


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_pool(tmp_path_factory.mktemp("pool")) as found:
        yield found


def built(folder: Path, target: str) -> Path:
    for tool in ("make", "cc"):
        if shutil.which(tool) is None:
            absent(tool)
    shutil.copytree(EXAMPLE, folder / "c", ignore=shutil.ignore_patterns("game_server", "vectors"))
    shutil.copy(ROOT / "examples" / "hands.json", folder)
    run("make", target, cwd=folder / "c")
    return folder / "c"


@pytest.fixture(scope="module")
def game(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not HEADER.exists():
        absent("libhiredis-dev")
    return built(tmp_path_factory.mktemp("example"), "game_server")


def address(pool: Server) -> list[str]:
    parts = urlsplit(pool.url or "")
    return [str(parts.hostname), str(parts.port)]


def line_of(frame: dict[str, Any], compact: bool) -> str:
    hand = frame["landmarks"]
    flags = bool(hand) | 2 * (frame.get("hand") == "left") | 4 * frame.get("mirrored", False)
    points = [value for point in hand for value in [*point, 0.0][:3]] or [0.0] * 63
    numbers = [frame["seq"], frame["t"], frame["aspect"], int(flags), int(compact), *points]
    return " ".join(map(str, [frame["session"], *numbers])) + "\n"


def test_c_encoder_bytes_match_the_vectors(tmp_path: Path) -> None:
    folder = built(tmp_path, "vectors")
    cases = json.loads((VECTORS / "frames.json").read_text())["cases"]
    text = "".join(
        "".join(line_of(frame, compact) for frame in case["frames"]) + "\n"
        for case in cases
        for compact in (False, True)
    )
    lines = run("./vectors", cwd=folder, text=text).splitlines()
    for at, case in enumerate(cases):
        packed = case["packed"]
        full, compact = (line.split(" ")[1:] for line in lines[2 * at : 2 * at + 2])
        assert full == ["l", packed["s"], packed["m"], packed["l"]], case["name"]
        if case["compact"] is None:
            assert compact == full, case["name"]
        else:
            assert compact == ["c", packed["s"], packed["m"], case["compact"]], case["name"]


def test_c_partitions_match_the_vectors(tmp_path: Path) -> None:
    folder = built(tmp_path, "vectors")
    cases = json.loads((VECTORS / "partitions.json").read_text())["cases"]
    frame = {"seq": 1, "t": 1, "aspect": 1.0, "landmarks": []}
    text = "".join(line_of({**frame, "session": case["session"]}, False) + "\n" for case in cases)
    found = [int(line.split()[0]) for line in run("./vectors", cwd=folder, text=text).splitlines()]
    assert found == [case["partition"]["16"] for case in cases]


@pytest.mark.parametrize("compact", [False, True])
def test_c_client_run_twice_in_a_row_is_answered(pool: Server, game: Path, compact: bool) -> None:
    if compact:
        pool.client.hset("{maze}:topology", "compact", 1)
    try:
        for _ in range(2):
            out = run("./game_server", *address(pool), "30", cwd=game)
            assert "60 of 60 frames answered" in out
            assert out.count("move up") >= 2
            assert out.count("move right") >= 2
    finally:
        pool.client.hdel("{maze}:topology", "compact")


def test_c_client_replaces_cut_connections(pool: Server, game: Path) -> None:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with child("./game_server", *address(pool), "90", cwd=game, env=environment(), **pipes) as client:
        time.sleep(1)
        pool.client.client_kill_filter(_type="pubsub", skipme=True)
        pool.client.client_kill_filter(_type="normal", skipme=True)
        out, _ = client.communicate(timeout=30)
    before, after = out.split("subscription lost, connecting again", 1)
    assert "move up" in before
    assert "c-1 #" in after
    assert "c-2 #" in after
