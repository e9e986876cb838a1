"""Actions of a player on the page: wait for a state, hold a gesture, walk to the exit."""

from __future__ import annotations

from typing import Any

from gesture_maze.game.mazes import Maze, generate

ARROWS = {"up": "ArrowUp", "down": "ArrowDown", "left": "ArrowLeft", "right": "ArrowRight"}
LETTERS = {"up": "w", "down": "s", "left": "a", "right": "d"}


def state(page: Any, wanted: str, timeout_ms: int = 30_000) -> None:
    """Wait until the page shows this state."""
    page.wait_for_selector(f'#state[data-state="{wanted}"]', timeout=timeout_ms)


def cell(page: Any) -> int:
    """Return the cell of the token."""
    return int(page.get_attribute("#maze", "data-cell"))


def still(page: Any, expression: str) -> Any:
    """Wait until this expression has had one value for 0.7 s, and return it.

    A gesture that was held may repeat once more.
    """
    while True:
        before = page.evaluate(expression)
        page.wait_for_timeout(700)
        if page.evaluate(expression) == before:
            return before


def at_rest(page: Any) -> int:
    """Wait until the token stands still, and return its cell."""
    return int(still(page, "document.getElementById('maze').dataset.cell"))


def maze_of(page: Any, size: tuple[int, int]) -> Maze:
    """Return the maze that the page shows, of this width and height in cells."""
    return generate(*size, int(page.get_attribute("#maze", "data-seed")))


def another_maze(page: Any, before: str) -> None:
    """Wait until the page shows another maze than that of this seed."""
    page.wait_for_function("seed => document.getElementById('maze').dataset.seed !== seed", arg=before)


def ready(page: Any) -> None:
    """Wait until there is a maze and frames are answered."""
    page.wait_for_selector("#maze[data-cell]")
    state(page, "playing")
    page.wait_for_function("/ms/.test(document.getElementById('p50').textContent)")


def hold(page: Any, way: str) -> None:
    """Press a gesture button and keep it pressed."""
    page.mouse.up()
    box = page.locator(f'#legend button[data-way="{way}"]').bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()


def moved(page: Any, before: int) -> None:
    """Wait until the token is no longer on this cell."""
    page.wait_for_function(
        "before => document.getElementById('maze').dataset.cell != before", arg=str(before)
    )


def walk(page: Any, maze: Maze, steps: int = 1000) -> None:
    """Pose the hand along the path to the exit for a number of moves, or up to the exit."""
    held = ""
    for _ in range(steps):
        at = cell(page)
        wanted = maze.way_out[at]
        if wanted is None:
            break
        if wanted != held:
            hold(page, wanted)
            held = wanted
        moved(page, at)
    page.mouse.up()


def walk_by_keys(page: Any, maze: Maze, steps: int = 1000) -> None:
    """Walk to the exit by arrow keys."""
    for _ in range(steps):
        at = cell(page)
        wanted = maze.way_out[at]
        if wanted is None:
            break
        page.keyboard.press(ARROWS[wanted])
        moved(page, at)


def open_settings(page: Any) -> None:
    """Open the settings."""
    page.click("#fold")
    page.wait_for_selector("#setup:not([hidden])")
