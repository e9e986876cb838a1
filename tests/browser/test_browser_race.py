"""The standing of a race in words, without a browser."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers import absent

MODULE = Path(__file__).parents[2] / "gesture_maze" / "page" / "js" / "race.js"
PROGRAM = """
import { endOf, standingOf } from %s;
const [maze, races] = JSON.parse(await new Response(process.stdin).text());
process.stdout.write(JSON.stringify(races.map((race) => [standingOf(race, maze), endOf(race)])));
"""
CORRIDOR = {"width": 4, "ways": "8cc4"}
"""Four cells in a row; the exit is the last."""


def racer(who: str, cell: int = 0, place: int | None = None, name: str = "player") -> dict[str, Any]:
    return {"who": who, "name": name, "cell": cell, "moves": cell, "time_ms": None, "place": place}


STANDINGS = {
    "start": ([racer("me"), racer("b")], "Be the first at the star."),
    "alone": ([racer("me", 2)], "Be the first at the star."),
    "leads": ([racer("me", 2), racer("b", 1)], "You are 1 of 2."),
    "shares": ([racer("me", 2), racer("b", 2), racer("c")], "You are 1 of 3, tied with another player."),
    "behind": ([racer("me"), racer("a", 2, name="Ann"), racer("c", 1)], "You are 3 of 3. Ann leads."),
    "same names": ([racer("me"), racer("b", 1)], "You are 2 of 2. player 2 leads."),
    "other is out": ([racer("me", 2), racer("a", 3, 1, "Ann")], "You are 2 of 2. Ann made it."),
    "out": ([racer("me", 3, 1), racer("b")], "You made it: 1 of 2. The others are on their way."),
}


ENDS = {
    "won": ([racer("me", 3, 1), racer("b", 3, 2)], "You won!"),
    "second": ([racer("me", 3, 2), racer("a", 3, 1, "Ann")], "You are 2 of 2. Ann won."),
    "winner is unknown": ([racer("me", 3, 2)], "The race is over."),
}


@pytest.fixture(scope="module")
def words() -> dict[str, list[str]]:
    """The two sentences for each of `STANDINGS` and `ENDS`: how the race stands, and how it has ended."""
    if shutil.which("node") is None:
        absent("node")
    asked = {**STANDINGS, **ENDS}
    races = [{"you": "me", "racers": racers} for racers, _ in asked.values()]
    found = subprocess.run(
        ["node", "--input-type=module", "-e", PROGRAM % json.dumps(MODULE.as_uri())],
        input=json.dumps([CORRIDOR, races]), capture_output=True, text=True, timeout=40, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    return dict(zip(asked, json.loads(found.stdout), strict=True))


@pytest.mark.parametrize("name", STANDINGS)
def test_standing_of_a_race_names_rank_and_leader(words: dict[str, list[str]], name: str) -> None:
    assert words[name][0] == STANDINGS[name][1]


@pytest.mark.parametrize("name", ENDS)
def test_end_of_a_race_names_rank_and_winner(words: dict[str, list[str]], name: str) -> None:
    assert words[name][1] == ENDS[name][1]
