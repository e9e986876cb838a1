"""Hand and maze share one view on each kind of screen; axe-core finds no violation."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from gesture_maze.game.mazes import generate
from tests.browser.conftest import Visit, picture
from tests.browser.playing import open_settings, ready, state, walk, walk_by_keys

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


@pytest.mark.parametrize("screen", SCREENS)
def test_maze_and_hand_share_one_view(visit: Visit, screen: str) -> None:
    options = SCREENS[screen]
    page = visit("/game?seed=7&size=small", **options)
    ready(page)
    wide, high = options["viewport"]["width"], options["viewport"]["height"]
    for size in SIZES:
        page.evaluate("size => document.querySelector(`[data-size=${size}]`).click()", size)
        page.wait_for_function(
            "size => document.querySelector(`[data-size=${size}]`).ariaPressed === 'true'", arg=size
        )
        page.wait_for_timeout(100)
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
    assert page.locator("#setup").is_hidden(), "the settings are folded away"
    page.evaluate("document.querySelector('[data-size=small]').click()")
    walk(page, generate(*SIZES["small"], 7), 2)
    picture(page, screen)
    walk_by_keys(page, generate(*SIZES["small"], 7))
    page.wait_for_selector("#done:not([hidden])")
    maze, done = (page.locator(one).bounding_box() for one in ("#maze", "#done"))
    apart = done["y"] >= maze["y"] + maze["height"] or done["x"] >= maze["x"] + maze["width"]
    assert apart, "the celebration does not cover the way"
    if options.get("has_touch"):
        assert done["y"] + done["height"] <= high, "and needs no scrolling"
    picture(page, f"{screen}-done")


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
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.wait_for_selector("#menu", state="hidden")
    page.click("#race")
    page.wait_for_selector("#race-box:not([hidden])")
    assert violations(page) == []
    page.click("#race-leave")
    walk_by_keys(page, generate(*SIZES["small"], 7))
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
