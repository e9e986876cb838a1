"""Hand and maze share one view on each kind of screen; axe-core finds no violation."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.conftest import Visit, picture
from tests.browser.playing import another_maze, maze_of, open_settings, ready, state, walk, walk_by_keys

SCREENS: dict[str, dict[str, Any]] = {
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "color_scheme": "dark"},
    "phone-on-its-side": {
        "viewport": {"width": 844, "height": 390},
        "has_touch": True,
        "color_scheme": "dark",
    },
    "small-phone": {"viewport": {"width": 360, "height": 740}, "has_touch": True},
    "laptop": {"viewport": {"width": 1366, "height": 640}},
    "wide": {"viewport": {"width": 1920, "height": 1080}},
}
SIZES = {"small": (6, 5), "medium": (9, 7), "large": (14, 10)}


def check_result(page: Any, screen: str) -> None:
    """Check where the result of a walk stands, and that the next maze is in view."""
    longest = "123 moves, 12 over the shortest, in 123.4 s. Your best by simulated hand so far. "
    longest += "Place 12 among all medium mazes."
    page.evaluate("text => document.getElementById('done-text').textContent = text", longest)
    maze, done = (page.locator(one).bounding_box() for one in ("#maze", "#done"))
    apart = done["y"] >= maze["y"] + maze["height"] or done["x"] >= maze["x"] + maze["width"]
    assert apart, "the celebration does not cover the way"
    assert done["y"] + done["height"] <= page.viewport_size["height"], "and needs no scrolling"
    if screen in ("phone", "small-phone", "laptop"):  # a phone on its side has no room left
        legend = page.locator("#legend").bounding_box()
        beside = done["x"] >= legend["x"] + legend["width"]
        assert beside or done["y"] >= legend["y"] + legend["height"], "the result does not cover the gestures"
    picture(page, f"{screen}-done")
    before = page.get_attribute("#maze", "data-seed")
    page.evaluate("scrollTo(0, 1000)")
    page.click("#next")
    another_maze(page, before)
    assert page.evaluate("scrollY") == 0, "the next maze is in view"


@pytest.mark.parametrize("screen", SCREENS)
def test_maze_and_hand_share_one_view(visit: Visit, screen: str) -> None:
    options = SCREENS[screen]
    page = visit("/game?seed=7&size=small", **options)
    ready(page)
    wide, high = options["viewport"]["width"], options["viewport"]["height"]
    for size in SIZES:
        before = page.get_attribute("#maze", "data-seed")
        page.evaluate("size => document.querySelector(`[data-size=${size}]`).click()", size)
        page.wait_for_function(
            "size => document.querySelector(`[data-size=${size}]`).ariaPressed === 'true'", arg=size
        )
        another_maze(page, before)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), size
        maze = page.locator("#maze").bounding_box()
        assert maze["y"] + maze["height"] <= high, size
        assert maze["width"] >= 0.4 * min(wide, high), size
        parts = [".view", *(f'#legend button[data-way="{way}"]' for way in ("up", "down", "left", "right"))]
        for part in parts:
            box = page.locator(part).bounding_box()
            assert box["y"] + box["height"] <= high, f"{part} with a {size} maze"
            assert box["x"] + box["width"] <= wide
            assert min(box["width"], box["height"]) >= 44, "large enough for a thumb"
        if screen == "laptop":
            meters = page.locator(".meters").bounding_box()
            assert meters["y"] + meters["height"] <= high, "moves and time are in view"
    assert page.locator("#setup").is_hidden(), "the settings are folded away"
    before = page.get_attribute("#maze", "data-seed")
    page.evaluate("document.querySelector('[data-size=small]').click()")
    another_maze(page, before)
    shown = maze_of(page, SIZES["small"])
    walk(page, shown, 2)
    picture(page, screen)
    walk_by_keys(page, shown)
    page.wait_for_selector("#done:not([hidden])")
    check_result(page, screen)


def violations(page: Any) -> list[str]:
    """Return the violations that axe-core finds, with their elements."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {[node['html'][:120] for node in one['nodes']]}" for one in found]


@pytest.mark.parametrize(("screen", "scheme"), [("phone", "dark"), ("laptop", "light")])
def test_axe_core_finds_nothing_in_any_state_of_the_game(visit: Visit, screen: str, scheme: str) -> None:
    page = visit("/game?seed=7&size=small", **SCREENS[screen] | {"color_scheme": scheme})
    ready(page)
    open_settings(page)
    page.evaluate("document.getElementById('budget').open = true")
    page.wait_for_selector("#stages li")
    assert violations(page) == []
    page.keyboard.down("e")
    page.wait_for_selector("#menu:not([hidden])")
    page.keyboard.up("e")
    whole = "(menu => menu.scrollHeight <= menu.clientHeight)(document.getElementById('menu'))"
    assert page.evaluate(whole), "all entries are in view"
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.wait_for_selector("#menu", state="hidden")
    page.click("#race")
    page.wait_for_selector("#naming[open]")
    assert violations(page) == []
    page.click("#naming-yes")
    page.wait_for_selector("#race-box:not([hidden])")
    assert violations(page) == []
    before = page.get_attribute("#maze", "data-seed")
    page.click("#race-leave")
    another_maze(page, before)
    walk_by_keys(page, maze_of(page, SIZES["small"]))
    page.wait_for_selector("#done:not([hidden])")
    assert violations(page) == []
    page.click('[data-input="camera"]')
    state(page, "no-camera")
    assert violations(page) == []


def test_axe_core_finds_nothing_in_the_watch_page(visit: Visit) -> None:
    player = visit("/game?seed=7&size=small")
    ready(player)
    page = visit("/watch")
    page.wait_for_selector("#players .tile")
    assert violations(page) == []
