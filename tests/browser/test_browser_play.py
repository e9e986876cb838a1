"""Play in a real browser: simulated hand, keyboard, phone, and faults."""

from __future__ import annotations

import re
import signal

from gesture_maze.game.mazes import generate, solve
from tests.browser.conftest import Line, Visit, picture
from tests.browser.playing import at_rest, cell, maze_of, open_settings, ready, state, walk, walk_by_keys
from tests.support.gateway import Served
from tests.support.processes import Workers
from tests.support.servers import Server, wait_until

SMALL = (6, 5)


def test_simulated_hand_at_exit_enters_the_scoreboard(
    visit: Visit, gateway: Served, redis_server: Server
) -> None:
    redis_server.client.delete("{maze}:scores:small")
    page = visit("/game?seed=7&size=small")
    ready(page)
    open_settings(page)
    page.fill("#name", "Ada")
    page.keyboard.press("Tab")
    page.click("#fold")
    page.wait_for_function("sessionStorage.getItem('maze.token')")
    ready(page)
    maze = generate(*SMALL, 7)
    walk(page, maze, 3)
    picture(page, "game")
    walk(page, maze)
    page.wait_for_selector("#done:not([hidden])")
    words = r"\d+ moves, .*shortest.*, in \d+\.\d s\. Your best so far\. Place 1 among all small mazes\."
    assert re.fullmatch(words, page.inner_text("#done-text"))
    # a timer shows the numbers
    page.wait_for_function("document.querySelector('#best').innerText.endsWith(' s')")
    field, done = (page.locator(f"#{one}").bounding_box() for one in ("maze", "done"))
    assert done["x"] >= field["x"] + field["width"], "the celebration does not cover the way"
    page.wait_for_selector("#scores li.mine")
    assert page.inner_text("#scores .who") == "Ada"
    places = gateway.http.get("/scores/small").json()
    assert (places[0]["name"], places[0]["input"]) == ("Ada", "simulated")
    assert places[0]["moves"] >= len(solve(maze))
    picture(page, "done")
    page.keyboard.press("Enter")
    page.wait_for_function("document.getElementById('maze').dataset.cell === '0'")
    assert page.locator("#done").is_hidden()


def test_game_without_a_worker_shows_it_and_resumes(visit: Visit, workers: Workers) -> None:
    page = visit("/game?seed=7&size=small")
    ready(page)
    maze = generate(*SMALL, 7)
    walk(page, maze, 2)
    before = at_rest(page)
    (name, process), *_ = workers.by_name.items()
    process.send_signal(signal.SIGKILL)
    workers.by_name.pop(name)
    process.communicate()
    state(page, "no-worker")
    picture(page, "no-worker")
    assert "No worker" in page.inner_text("#state")
    assert (page.inner_text("#gesture"), page.text_content("#confidence")) == ("not read", "")
    workers.start("browser-worker-2")
    state(page, "playing")
    assert cell(page) == before
    walk(page, maze, 2)
    assert cell(page) != before


def test_connection_lost_is_restored_with_the_maze(visit: Visit, line: Line, gateway: Served) -> None:
    page = visit("/game?seed=7&size=small", line.address)
    ready(page)
    maze = generate(*SMALL, 7)
    walk(page, maze, 2)
    before = at_rest(page)
    resumed = gateway.count("maze_gateway_resumed_total")
    line.cut()
    state(page, "reconnecting")
    state(page, "playing")
    assert gateway.count("maze_gateway_resumed_total") == resumed + 1
    assert cell(page) == before
    walk(page, maze, 1)
    after = at_rest(page)
    page.reload()
    ready(page)
    assert cell(page) == after, "a reloaded page continues where it was"


def test_players_in_two_browsers_are_independent(visit: Visit) -> None:
    ann, ben = visit("/game?seed=7&size=small"), visit("/game?seed=8&size=small")
    ready(ann)
    ready(ben)
    walk(ann, generate(*SMALL, 7), 2)
    assert cell(ann) != 0
    assert cell(ben) == 0
    walk(ben, generate(*SMALL, 8), 2)
    assert cell(ben) != 0


def test_second_window_takes_over_and_first_can_take_back(visit: Visit) -> None:
    first = visit("/game?seed=7&size=small")
    ready(first)
    token = first.evaluate("sessionStorage.getItem('maze.token')")
    second = first.context.new_page()
    second.add_init_script(f"sessionStorage.setItem('maze.token', {token!r})")
    second.goto(first.url)
    ready(second)
    state(first, "refused")
    assert "another window" in first.inner_text("#state")
    first.click("#state-act")
    ready(first)
    state(second, "refused")


def test_keyboard_alone_reaches_every_control(visit: Visit) -> None:
    page = visit("/game?seed=9&size=small&input=keyboard", reduced_motion="reduce")
    page.wait_for_selector("#maze[data-cell]")
    state(page, "playing")
    assert page.locator(".view").is_hidden(), "no hand is looked at, so none is shown"
    walk_by_keys(page, generate(*SMALL, 9))
    page.wait_for_selector("#done:not([hidden])")
    assert page.evaluate("document.activeElement.id") == "next"
    page.wait_for_function("/made it! Press Enter/.test(document.getElementById('state-text').textContent)")
    page.keyboard.press("Enter")
    page.wait_for_function("document.getElementById('maze').dataset.cell === '0'")
    assert page.get_attribute("#maze", "data-seed") != "9", "the address begins with a maze, once"
    assert "seed=" not in page.url
    reached = set()
    open_settings(page)
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
        reached.update(page.evaluate("Object.values(document.activeElement.dataset)"))
    buttons = {"again", "daily", "race", "fold", "name", "small", "medium", "large", "sound", "ghost"}
    assert reached >= buttons | {"camera", "simulated", "keyboard", "up", "down", "left", "right"}


def test_letter_key_held_poses_the_hand(visit: Visit) -> None:
    page = visit("/game?seed=7&size=small")
    ready(page)
    way = solve(generate(*SMALL, 7))[0]
    page.keyboard.down({"up": "w", "down": "s", "left": "a", "right": "d"}[way])
    page.wait_for_function("document.getElementById('maze').dataset.cell !== '0'")
    page.keyboard.up({"up": "w", "down": "s", "left": "a", "right": "d"}[way])
    page.wait_for_function("document.getElementById('gesture').textContent === 'at rest'")


def test_arrow_keys_after_size_click_keep_the_maze(visit: Visit) -> None:
    page = visit("/game?seed=7&size=small")
    ready(page)
    open_settings(page)
    page.click('[data-size="medium"]')
    page.wait_for_selector('[data-size="medium"][aria-pressed="true"]', state="attached")
    assert page.locator("#setup").is_hidden(), "the settings close, so that the maze is in view"
    maze = maze_of(page, (9, 7))
    walk_by_keys(page, maze, 3)
    page.wait_for_function("document.getElementById('moves').textContent === '3'")
    assert page.get_attribute('[data-size="medium"]', "aria-pressed") == "true"
    page.focus("#again")
    walk_by_keys(page, maze, 1)
    page.wait_for_function("document.getElementById('moves').textContent === '4'")
    page.focus("#scores-by")
    page.dispatch_event("#scores-by", "pointerdown")
    page.select_option("#scores-by", "keyboard")
    walk_by_keys(page, maze, 1)
    assert page.input_value("#scores-by") == "keyboard"


def test_keyboard_input_does_not_show_the_last_hand(visit: Visit) -> None:
    page = visit("/game?seed=7&size=small")
    ready(page)
    page.wait_for_function("document.getElementById('gesture').textContent === 'at rest'")
    page.click('[data-input="keyboard"]')
    page.wait_for_timeout(300)  # answers to frames in flight
    assert page.text_content("#gesture") == "no hand"
    drawn = "document.getElementById('hand').getContext('2d').getImageData(0, 0, 640, 480).data.some(Boolean)"
    assert not page.evaluate(drawn)


def test_camera_missing_offers_the_simulated_hand(visit: Visit) -> None:
    page = visit("/game?input=camera")
    state(page, "no-camera")
    assert "simulated hand" in page.inner_text("#state")
    page.click('[data-input="simulated"]')
    ready(page)


def test_watch_page_shows_the_demo(visit: Visit, redis_server: Server) -> None:
    player = {"width": 2, "height": 2, "ways": "a699", "cell": 1, "trail": [0], "solved": 4, "wants": "down"}
    shown = {"elapsed_s": 3.2, "count": 2, "players": [player] * 2, "numbers": {"Frames/s": "30"}}
    page = visit("/watch")

    def arrived() -> bool:
        text = '{"workers": [{"pid": 7, "partitions": 16}], "events": ["hello"], ' + str(shown)[1:].replace(
            "'", '"'
        )
        redis_server.client.publish("{maze}:demo", text)
        return bool(page.locator(".tile").count() == 2)

    wait_until(arrived)
    assert "worker 7: 16 partitions" in page.inner_text("#workers")
    assert "4 solved" in page.inner_text(".tile")
