"""`maze teach` in a browser: record, look, train, and walk the maze by a gesture that no model knew."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from fastapi import FastAPI

from gesture_maze.embedded.server import EMBEDDED, redis_at
from gesture_maze.game.mazes import generate
from gesture_maze.gateway.pages import HANDS
from gesture_maze.gateway.server import configuration, listen
from gesture_maze.gateway.settings import Settings
from gesture_maze.models.bundle import BUNDLED
from gesture_maze.teach.classroom import Classroom
from gesture_maze.teach.kept import Kept
from gesture_maze.teach.server import front, write_topology
from gesture_maze.teach.stage import PoolStage
from tests.browser.conftest import CAMERA_FLAGS, launched, picture
from tests.browser.playing import state
from tests.browser.scripted import CAMERA, Tracker
from tests.support.data import camera_clip
from tests.support.servers import absent, wait_until
from tests.support.takes import frames, record

TOKEN = "a-token-of-the-tests"
SEED = 7


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Classroom:
    """Three takes of pinky, and one of a palm under its name."""
    folder = tmp_path_factory.mktemp("gestures")
    record(folder, ["pinky"]).add("pinky", frames("palm", 7), "simulated")
    return Classroom.open(folder, BUNDLED)


@pytest.fixture(scope="module")
def address(room: Classroom, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page, with a server and a pool of its own: the taught model answers there."""
    log = tmp_path_factory.mktemp("log") / "worker.log"
    with redis_at(EMBEDDED) as url, PoolStage(url, None, log) as stage:
        write_topology(url)
        settings = Settings.of(redis=url, port=0, requests_per_s=1000)
        app = cast("FastAPI", front(room, stage, settings, TOKEN))
        server = uvicorn.Server(configuration(settings, app))
        with listen(settings) as listener:
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
            thread.start()
            try:
                wait_until(lambda: server.started, 10)
                yield f"http://127.0.0.1:{listener.getsockname()[1]}/teach"
            finally:
                server.should_exit = True
                thread.join(10)


def opened(context: Any, address: str, query: str) -> Any:
    """Open the page by its printed address, then with options."""
    page = context.new_page()
    page.set_default_timeout(60_000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{address}?token={TOKEN}")
    page.goto(f"{address}?{query}")
    return page, faults


def recorded(page: Any, gesture: str) -> None:
    """Record a take and wait until it is kept."""
    page.fill("#label", gesture)
    page.check("#consent")
    page.click("#record")
    page.wait_for_function("() => document.getElementById('prompt').textContent.includes('is kept')")


def step(page: Any, name: str) -> None:
    """Go to a step and check it by axe-core."""
    # what the page's script does last: a click before it has run is lost
    page.wait_for_selector("button[data-input][aria-pressed=true]", state="attached")
    page.click(f"[data-step={name}]")
    found = Axe().run(page).response["violations"]
    assert [(one["id"], [node["html"][:100] for node in one["nodes"]]) for one in found] == []
    picture(page, f"teach-{name}")


def trained(page: Any) -> str:
    """Train and return the result in words."""
    page.click("#train")
    page.wait_for_selector("#progress:not([hidden])")
    page.wait_for_selector("#progress", state="hidden", timeout=120_000)  # minutes on a busy machine
    return str(page.inner_text("#result"))


def simulated_in_the_game(page: Any, address: str, way: str) -> None:
    """Open the game of the same gateway: it moves by the bundle's mapping, and draws and simulates pinky."""
    page.goto(address.replace("/teach", "/game"))
    page.wait_for_selector(f"#legend button[data-gesture=pinky][data-way={way}] canvas")
    page.focus(f"#legend button[data-way={way}]")
    page.keyboard.down("Enter")
    page.wait_for_function("() => /pinky/.test(document.getElementById('gesture').textContent)")
    picture(page, "teach-game")


def shipped_by_its_moves_and_only_when_accepted(page: Any, room: Classroom, way: str) -> None:
    """Check the moves; then let the model cost its base 0.41 points: the page says so, and asks."""
    step(page, "ship")
    assert f"pinky {way}" in page.inner_text("#moves")
    room.training.taught = replace(room.taught(), kept=Kept(6500, 0.0041, 0.01))
    page.reload()
    step(page, "ship")
    assert "0.41 points" in page.inner_text("#accept-box")
    assert page.inner_text("#command") == "accept the loss first"
    page.check("#accept")
    assert "--max-fall 1" in page.inner_text("#command")


@pytest.mark.timeout(400)
def test_own_gesture_is_recorded_trained_and_walks_the_maze(
    chromium: Any, room: Classroom, address: str
) -> None:
    context = chromium.new_context(viewport={"width": 1180, "height": 860}, service_workers="block")
    context.add_init_script(CAMERA)
    tracker = Tracker(context)
    tracker.mode = {"fault": None, "hands": [frames("pinky", 900)[15]["landmarks"]]}
    page, faults = opened(context, address, f"seed={SEED}")
    state(page, "playing")
    step(page, "record")
    recorded(page, "pinky")
    assert len(room.takes.all()) == 5
    step(page, "train")
    result = r"Your pinky looks like palm.*Your pinky is close to (\w+, )*palm"
    assert re.search(result, trained(page), re.DOTALL)
    step(page, "look")
    page.click("#takes li.doubtful button")
    page.wait_for_function("() => document.querySelectorAll('#takes li').length === 4")
    assert all(take.label == "pinky" for take in room.takes.all())
    step(page, "train")
    assert "looks like" not in trained(page)
    step(page, "ship")
    assert "maze promote" in page.inner_text("#command")
    step(page, "try")
    maze = generate(6, 5, SEED)
    way = maze.way_out[maze.start]
    others = iter(("like", "dislike", "four"))
    for one in ("up", "down", "left", "right"):
        page.select_option(f"#mapping select[data-way={one}]", "pinky" if one == way else next(others))
    page.click("#play")
    page.wait_for_function(
        "start => (document.getElementById('maze').dataset.cell ?? start) !== start", arg=str(maze.start)
    )
    assert page.inner_text("#seen").startswith("pinky")
    picture(page, "teach-try")
    shipped_by_its_moves_and_only_when_accepted(page, room, str(way))
    simulated_in_the_game(page, address, str(way))
    context.close()
    assert not faults


@pytest.mark.timeout(180)
def test_take_is_recorded_by_the_camera_and_the_real_tracker(
    playwright: Any, room: Classroom, address: str
) -> None:
    if not HANDS.joinpath("hands.js").exists():
        absent("the hand tracker", "is not here: make web")
    browser = launched(playwright, *CAMERA_FLAGS, f"--use-file-for-fake-video-capture={camera_clip()}")
    try:
        page, faults = opened(browser.new_context(service_workers="block"), address, "cpu&model=0&seconds=5")
        page.wait_for_selector('#state:is([data-state="playing"], [data-state="no-hand"])', timeout=90_000)
        recorded(page, "clip")
        take = room.takes.all()[-1]
        assert (take.label, take.source) == ("clip", "camera")
        assert len(take.points) >= 5
        assert abs(take.aspect[0] - 4 / 3) < 0.01
        assert not faults
    finally:
        browser.close()
        for take in room.takes.all():
            if take.label == "clip":
                room.takes.delete(take.id)
