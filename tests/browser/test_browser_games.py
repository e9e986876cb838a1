"""Races, the daily maze, the personal best and its ghost, and play by gestures alone."""

from __future__ import annotations

from typing import Any

import pytest

from gesture_maze.game.mazes import generate, solve
from tests.browser.conftest import Visit, picture
from tests.browser.playing import cell, hold, maze_of, open_settings, ready, state, still, walk, walk_by_keys
from tests.support.gateway import Served
from tests.support.servers import Server, wait_until

SMALL = (6, 5)


def in_view(page: Any, selector: str) -> bool:
    """Return whether an element is inside the window."""
    box = page.locator(selector).bounding_box()
    return bool(box["y"] >= 0 and box["y"] + box["height"] <= page.viewport_size["height"])


def race_maze(page: Any, gateway: Served) -> Any:
    """Return the maze of the race that this page is in."""
    name = page.evaluate("new URL(location.href).searchParams.get('race')")
    found = gateway.app.state.room.sessions.present()
    return next(one.game.maze for one in found if one.game is not None and one.game.race == name)


def meet(ann: Any, ben: Any) -> None:
    """Ann begins a race, and Ben joins it by its link."""
    ann.click("#race")
    ann.fill("#racer-name", "Ann")
    ann.keyboard.press("Enter")
    ann.wait_for_selector("#race-box:not([hidden])")
    ann.click("#state-act")
    assert in_view(ann, "#race-link"), "a phone shows the link, too"
    ben.goto(ann.input_value("#race-link"))
    ben.wait_for_selector("#naming[open]")
    assert ben.inner_text("#naming-title") == "Race with Ann"
    ben.fill("#racer-name", "Bne")
    ben.click("#naming-yes")
    ann.wait_for_selector("#racers li:nth-child(2)")
    assert "Bne" in ann.inner_text("#racers")
    state(ben, "race")
    open_settings(ben)
    ben.fill("#name", "Ben")
    ben.keyboard.press("Tab")
    ann.wait_for_function("document.getElementById('racers').textContent.includes('Ben')")
    assert ann.locator("#racers li").count() == 2, "another name is not another player"
    ben.click("#fold")


@pytest.mark.timeout(180)
def test_race_of_two_players_shows_each_the_other(visit: Visit, gateway: Served) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "color_scheme": "dark"}
    ann, ben = visit("/game?size=small", **phone), visit("/game?size=small")
    ready(ann)
    meet(ann, ben)
    assert in_view(ben, "#state-act")
    ben.click("#state-act")
    for page in (ann, ben):
        state(page, "countdown")
    for page in (ann, ben):
        state(page, "playing")
    maze = race_maze(ann, gateway)
    walk(ann, maze, 3)
    ben.wait_for_function("/Ann[3-9] moves/.test(document.getElementById('racers').textContent)")
    ben.wait_for_function(
        "document.getElementById('state-text').textContent === 'You are 2 of 2. Ann leads.'"
    )
    picture(ben, "race")
    before = cell(ben)
    ben.reload()
    ready(ben)
    assert cell(ben) == before
    ben.wait_for_function("document.getElementById('racers').textContent.includes('Ann')")
    assert ben.locator("#naming").is_hidden(), "a reload returns to the race without a question"
    walk_by_keys(ann, maze, len(solve(maze, cell(ann))) - 2)  # and the last steps by gestures
    walk(ann, maze)
    ann.wait_for_selector("#done:not([hidden])")
    picture(ann, "race-phone")
    ben.wait_for_function("document.getElementById('racers').textContent.includes('1. in')")
    walk_by_keys(ben, maze)
    ben.wait_for_function("document.getElementById('racers').textContent.includes('2. in')")
    ann.wait_for_selector("#race-go:not([hidden])")
    ann.click("#race-leave")
    ann.wait_for_function("!location.href.includes('race=')")
    assert ann.locator("#race-box").is_hidden()


@pytest.mark.parametrize("race", ["unknown1", "x"])
def test_unknown_race_shows_its_state_and_starts_a_maze(visit: Visit, race: str) -> None:
    page = visit(f"/game?race={race}&size=small")
    state(page, "no-race")
    assert "no such race" in page.inner_text("#state-text")
    page.wait_for_function("!location.href.includes('race=')")
    page.wait_for_selector("#maze[data-cell]")
    walk_by_keys(page, maze_of(page, SMALL), 1)
    state(page, "playing")


def test_held_palm_opens_the_menu_and_chooses(visit: Visit) -> None:
    page = visit("/game?seed=7&size=small")
    ready(page)
    page.keyboard.down("e")
    page.wait_for_selector("#menu:not([hidden])")
    state(page, "menu")
    page.wait_for_timeout(1500)
    assert page.locator("#menu").is_visible(), "the palm that opened it does not choose"
    page.keyboard.up("e")
    chosen = "document.querySelector('#menu [aria-current]').textContent"
    # down to `A medium maze`; each hold moves at least once, repeats come later
    while (before := still(page, chosen)) != "A medium maze":
        page.keyboard.down("s")
        page.wait_for_function(f"before => {chosen} !== before", arg=before)
        page.keyboard.up("s")
        page.wait_for_function("document.getElementById('gesture').textContent === 'at rest'")
    assert cell(page) == 0, "moves choose and do not walk"
    page.keyboard.down("e")
    page.wait_for_function("document.querySelector('[data-size=medium]').ariaPressed === 'true'")
    page.keyboard.up("e")
    assert page.locator("#menu").is_hidden()


def test_palm_shown_briefly_does_nothing(visit: Visit) -> None:
    page = visit("/game?seed=7&size=small")
    ready(page)
    for _ in range(4):  # shown briefly, repeatedly
        page.keyboard.down("e")
        page.wait_for_timeout(900)
        page.keyboard.up("e")
        page.wait_for_timeout(400)
    assert page.locator("#menu").is_hidden()


def test_palm_after_a_walk_starts_the_next_maze(visit: Visit) -> None:
    page = visit("/game?seed=7&size=small")
    ready(page)
    walk_by_keys(page, generate(*SMALL, 7))
    page.wait_for_selector("#done:not([hidden])")
    assert "Your best so far" in page.inner_text("#done-text")
    page.wait_for_function("/ s$/.test(document.getElementById('best').textContent)")
    page.keyboard.down("e")
    page.wait_for_function("document.getElementById('maze').dataset.cell === '0'")
    page.keyboard.up("e")


def test_daily_maze_is_the_same_for_two_players_and_has_a_scoreboard(
    visit: Visit, gateway: Served, redis_server: Server
) -> None:
    for key in redis_server.client.keys("{maze}:scores:*"):
        redis_server.client.delete(key)
    seed = gateway.http.get("/daily").json()["seed"]
    ann, ben = visit("/game?size=small&input=keyboard"), visit("/game?size=small&input=keyboard")
    for page in (ann, ben):
        page.wait_for_selector("#maze[data-cell]")
        with page.expect_response("**/daily"):
            page.click("#daily")
        page.wait_for_timeout(300)
    # at human speed: a walk at program speed is not ranked
    for _ in range(60):
        if generate(*SMALL, seed).way_out[cell(ann)] is None:
            break
        walk_by_keys(ann, generate(*SMALL, seed), 1)
        ann.wait_for_timeout(80)
    ann.wait_for_selector("#done:not([hidden])")
    ben.select_option("#scores-by", "maze")
    ben.wait_for_selector("#scores li:not(.empty)")
    assert "(+0), keyboard" in ben.inner_text("#scores")
    ben.select_option("#scores-by", "camera")
    ben.wait_for_selector("#scores li.empty")


def test_ghost_of_the_best_walk_accompanies_the_next_one(visit: Visit) -> None:
    page = visit("/game?seed=7&size=small&input=keyboard", reduced_motion="reduce")
    page.wait_for_selector("#maze[data-cell]")
    walk_by_keys(page, generate(*SMALL, 7))
    page.wait_for_selector("#done:not([hidden])")
    page.wait_for_function("document.getElementById('best').textContent.endsWith(' s')")
    page.reload()  # the address begins with the same maze again
    page.wait_for_function("document.getElementById('maze').dataset.cell === '0'")
    walk_by_keys(page, generate(*SMALL, 7), 1)
    # the ghost is at the exit soon: its ring is drawn around the star
    drawn = """() => {
      const canvas = document.getElementById("maze");
      const unit = canvas.width / 6;
      const [left, top] = [canvas.width - unit, canvas.height - unit];
      const { data } = canvas.getContext("2d").getImageData(left, top, unit, unit);
      const soft = getComputedStyle(document.documentElement).getPropertyValue("--soft").trim();
      const [r, g, b] = [1, 3, 5].map((at) => parseInt(soft.slice(at, at + 2), 16));
      for (let n = 0; n < data.length; n += 4) {
        if (data[n] === r && data[n + 1] === g && data[n + 2] === b && data[n + 3] === 255) return true;
      }
      return false;
    }"""
    page.wait_for_function(drawn)
    open_settings(page)
    page.click("#ghost")
    page.wait_for_function(f"!({drawn})()")


def test_sound_is_off_by_default_and_on_once_enabled(visit: Visit) -> None:
    page = visit("/game?seed=7&size=small&input=keyboard")
    page.evaluate("""() => {
      window.tones = 0;
      const start = OscillatorNode.prototype.start;
      OscillatorNode.prototype.start = function (...at) { tones++; return start.apply(this, at); };
    }""")
    page.wait_for_selector("#maze[data-cell]")
    walk_by_keys(page, generate(*SMALL, 7), 1)
    assert page.evaluate("tones") == 0
    open_settings(page)
    page.click("#sound")
    walk_by_keys(page, generate(*SMALL, 7), 2)
    assert page.evaluate("tones") >= 3
    page.reload()
    open_settings(page)
    assert page.is_checked("#sound"), "remembered"


def test_speed_panel_shows_the_latency_of_each_stage(visit: Visit) -> None:
    page = visit("/game?seed=7&size=small")
    ready(page)
    hold(page, "right")
    page.click("#budget summary", no_wait_after=True)
    page.wait_for_function("document.querySelectorAll('#stages li').length === 8")
    walk(page, generate(*SMALL, 7), 3)
    filled = """() => {
      const lines = [...document.querySelectorAll("#stages li")].map((line) => line.innerText);
      const of = (name) => lines.find((line) => line.startsWith(name)) ?? "";
      const names = ["Network", "Recognition", "Being sure", "Drawing", "Total"];
      return names.every((name) => /\\d ms/.test(of(name)));
    }"""
    page.wait_for_function(filled)
    picture(page, "speed")


def test_players_of_the_gateway_are_shown_on_the_watch_page(visit: Visit) -> None:
    watch = visit("/watch")
    watch.wait_for_selector("#how-title")
    assert "make demo" in watch.inner_text("main")
    page = visit("/game?seed=7&size=small&input=keyboard")
    page.wait_for_selector("#maze[data-cell]")
    walk_by_keys(page, generate(*SMALL, 7), 2)
    wait_until(lambda: "2 moves" in watch.text_content("#players"))
    picture(watch, "watch-players")
    page.context.close()
    wait_until(lambda: "2 moves" not in watch.text_content("#players"))
