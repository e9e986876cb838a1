"""Playing in a real browser: simulated hand, keyboard, phone, and all that goes wrong."""

from __future__ import annotations

import re
import signal
from typing import Any

from gesture_maze.game.mazes import Maze, generate, solve
from tests.browser.conftest import Line, Visit, picture
from tests.support.gateway import Served
from tests.support.processes import Workers
from tests.support.servers import Server, wait_until

SMALL = (6, 5)
ARROWS = {"up": "ArrowUp", "down": "ArrowDown", "left": "ArrowLeft", "right": "ArrowRight"}


def state(page: Any, wanted: str, timeout_ms: int = 10_000) -> None:
    """Wait until the page says that things stand so."""
    page.wait_for_selector(f'#state[data-state="{wanted}"]', timeout=timeout_ms)


def cell(page: Any) -> int:
    """Where the token stands."""
    return int(page.get_attribute("#maze", "data-cell"))


def ready(page: Any) -> None:
    """Wait until there is a maze and answers come."""
    page.wait_for_selector("#maze[data-cell]")
    state(page, "playing")
    page.wait_for_function("/ms/.test(document.getElementById('p50').textContent)")


def hold(page: Any, way: str) -> None:
    """Press a gesture button and keep it pressed."""
    page.mouse.up()
    box = page.locator(f'#legend button[data-way="{way}"]').bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()


def walk(page: Any, maze: Maze, steps: int = 1000) -> None:
    """Pose the hand for the way out until the token has moved so often, or is there."""
    held = ""
    for _ in range(steps):
        at = cell(page)
        wanted = maze.way_out[at]
        if wanted is None:
            break
        if wanted != held:
            hold(page, wanted)
            held = wanted
        page.wait_for_function(
            "before => document.getElementById('maze').dataset.cell != before", arg=str(at)
        )
    page.mouse.up()


def test_a_maze_is_walked_to_its_end_by_the_simulated_hand(
    visit: Visit, gateway: Served, redis_server: Server
) -> None:
    redis_server.client.delete("maze:scores:small")
    page = visit("/game?seed=7&size=small")
    ready(page)
    page.fill("#name", "Ada")
    page.keyboard.press("Tab")
    page.wait_for_function("sessionStorage.getItem('maze.token')")
    ready(page)
    maze = generate(*SMALL, 7)
    walk(page, maze, 3)
    picture(page, "game")
    walk(page, maze)
    page.wait_for_selector("#done:not([hidden])")
    assert re.match(r"\d+ moves in \d+\.\d s\. Place 1 on the scoreboard\.", page.inner_text("#done-text"))
    page.wait_for_selector("#scores li.mine")
    assert page.inner_text("#scores .who") == "Ada"
    places = gateway.http.get("/scores/small").json()
    assert (places[0]["name"], places[0]["input"]) == ("Ada", "simulated")
    assert places[0]["moves"] >= len(solve(maze))
    picture(page, "done")
    page.keyboard.press("Enter")
    page.wait_for_function("document.getElementById('maze').dataset.cell === '0'")
    assert page.locator("#done").is_hidden()


def test_the_page_says_when_no_worker_is_there_and_the_game_resumes(visit: Visit, workers: Workers) -> None:
    page = visit("/game?seed=7&size=small")
    ready(page)
    maze = generate(*SMALL, 7)
    walk(page, maze, 2)
    before = cell(page)
    (name, process), *_ = workers.by_name.items()
    process.send_signal(signal.SIGKILL)
    workers.by_name.pop(name)
    process.communicate()
    state(page, "no-worker")
    picture(page, "no-worker")
    assert "No worker" in page.inner_text("#state")
    workers.start("browser-worker-2")
    state(page, "playing")
    assert cell(page) == before
    walk(page, maze, 2)
    assert cell(page) != before


def test_a_broken_line_is_mended_and_the_maze_kept(visit: Visit, line: Line, gateway: Served) -> None:
    page = visit("/game?seed=7&size=small", line.address)
    ready(page)
    maze = generate(*SMALL, 7)
    walk(page, maze, 2)
    before = cell(page)
    resumed = gateway.count("maze_gateway_resumed_total")
    line.cut()
    state(page, "reconnecting")
    state(page, "playing")
    assert gateway.count("maze_gateway_resumed_total") == resumed + 1
    assert cell(page) == before
    walk(page, maze, 1)
    after = cell(page)
    page.reload()
    ready(page)
    assert cell(page) == after, "a reloaded page goes on where it was"


def test_two_players_do_not_move_each_other(visit: Visit) -> None:
    ann, ben = visit("/game?seed=7&size=small"), visit("/game?seed=8&size=small")
    ready(ann)
    ready(ben)
    walk(ann, generate(*SMALL, 7), 2)
    assert cell(ann) != 0
    assert cell(ben) == 0
    walk(ben, generate(*SMALL, 8), 2)
    assert cell(ben) != 0


def test_a_second_window_takes_the_game_over(visit: Visit) -> None:
    first = visit("/game?seed=7&size=small")
    ready(first)
    token = first.evaluate("sessionStorage.getItem('maze.token')")
    second = first.context.new_page()
    second.add_init_script(f"sessionStorage.setItem('maze.token', {token!r})")
    second.goto(first.url)
    ready(second)
    state(first, "refused")
    assert "another window" in first.inner_text("#state")


def test_by_keyboard_alone(visit: Visit) -> None:
    page = visit("/game?seed=9&size=small&input=keyboard", reduced_motion="reduce")
    page.wait_for_selector("#maze[data-cell]")
    state(page, "playing")
    for step in solve(generate(*SMALL, 9)):
        at = cell(page)
        page.keyboard.press(ARROWS[step])
        page.wait_for_function(
            "before => document.getElementById('maze').dataset.cell != before", arg=str(at)
        )
    page.wait_for_selector("#done:not([hidden])")
    assert page.evaluate("document.activeElement.id") == "next"
    page.keyboard.press("Enter")
    page.wait_for_function("document.getElementById('maze').dataset.cell === '0'")
    reached = set()
    for _ in range(16):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.dataset.input"))
        reached.add(page.evaluate("document.activeElement.dataset.way || ''"))
    assert reached >= {"name", "again", "camera", "simulated", "keyboard", "up", "down", "left", "right"}


def test_the_hand_is_posed_by_keys_too(visit: Visit) -> None:
    page = visit("/game?seed=7&size=small")
    ready(page)
    way = solve(generate(*SMALL, 7))[0]
    page.keyboard.down({"up": "w", "down": "s", "left": "a", "right": "d"}[way])
    page.wait_for_function("document.getElementById('maze').dataset.cell !== '0'")
    page.keyboard.up({"up": "w", "down": "s", "left": "a", "right": "d"}[way])
    page.wait_for_function("document.getElementById('gesture').textContent === 'at rest'")


def test_at_phone_width_in_the_dark(visit: Visit) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "color_scheme": "dark"}
    page = visit("/game?seed=7&size=small", **phone)
    ready(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for way in ("up", "down", "left", "right"):
        box = page.locator(f'#legend button[data-way="{way}"]').bounding_box()
        assert box["y"] + box["height"] <= 844, "maze and buttons fit one screen"
        assert min(box["width"], box["height"]) >= 44, "large enough for a thumb"
    walk(page, generate(*SMALL, 7), 2)
    picture(page, "phone")


def test_without_a_camera_one_is_told_what_else_to_do(visit: Visit) -> None:
    page = visit("/game?input=camera")
    state(page, "no-camera")
    assert "simulated hand" in page.inner_text("#state")
    page.click('[data-input="simulated"]')
    ready(page)


def test_the_demo_can_be_watched(visit: Visit, redis_server: Server) -> None:
    player = {"width": 2, "height": 2, "ways": "a699", "cell": 1, "trail": [0], "solved": 4, "wants": "down"}
    shown = {"elapsed_s": 3.2, "count": 2, "players": [player] * 2, "numbers": {"Frames/s": "30"}}
    page = visit("/watch")

    def arrived() -> bool:
        text = '{"workers": [{"pid": 7, "partitions": 16}], "events": ["hello"], ' + str(shown)[1:].replace(
            "'", '"'
        )
        redis_server.client.publish("maze:demo", text)
        return bool(page.locator(".tile").count() == 2)

    wait_until(arrived)
    assert "worker 7: 16 partitions" in page.inner_text("#workers")
    assert "4 solved" in page.inner_text(".tile")
