"""Faults of the camera and its tracker: each has its own state and can be recovered from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gesture_maze.gateway.poses import hands
from tests.browser.conftest import DEFAULTS, launched
from tests.browser.playing import ready, state
from tests.browser.scripted import CAMERA, Tracker, frames_of, moved_by
from tests.support.gateway import Served
from tests.support.servers import wait_until

Open = Callable[..., tuple[Any, Tracker]]


@pytest.fixture
def filmed(chromium: Any, gateway: Served) -> Iterator[Open]:
    """Open the page with a scripted camera and tracker."""
    contexts = []
    faults: list[str] = []

    def open_page(query: str = "input=camera", script: str = "", **options: Any) -> tuple[Any, Tracker]:
        context = chromium.new_context(**DEFAULTS | options)
        contexts.append(context)
        tracker = Tracker(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.add_init_script(CAMERA + script)
        page.goto(f"http://{gateway.address}/game?seed=7&size=small&{query}")
        return page, tracker

    yield open_page
    for context in contexts:
        context.close()
    assert not faults


def test_keyboard_chosen_while_the_prompt_is_open_leaves_the_camera_off(filmed: Open) -> None:
    page, _ = filmed(script="fake.wait = new Promise((resolve) => (fake.answer = resolve));")
    state(page, "camera")
    page.click('[data-input="keyboard"]')
    page.evaluate("fake.answer()")
    page.wait_for_function("fake.stopped === 1")
    state(page, "playing")
    assert page.evaluate("document.getElementById('video').srcObject === null")


@pytest.mark.parametrize(
    ("fault", "wanted"),
    [
        ("NotAllowedError", "no-camera"),
        ("NotFoundError", "no-camera"),
        ("NotReadableError", "camera-busy"),
        ("AbortError", "camera-busy"),
    ],
)
def test_camera_refused_shows_a_state_and_can_be_retried(filmed: Open, fault: str, wanted: str) -> None:
    page, _ = filmed(script=f"fake.fault = '{fault}';")
    state(page, wanted)
    page.evaluate("fake.fault = null")
    page.click("#state-act")
    ready(page)


def test_camera_on_an_insecure_address_shows_the_reason(playwright: Any, gateway: Served) -> None:
    browser = launched(playwright, "--host-resolver-rules=MAP maze.lan 127.0.0.1")
    page = browser.new_page(**DEFAULTS)
    page.goto(f"http://maze.lan:{gateway.address.rpartition(':')[2]}/game?input=camera")
    state(page, "camera-insecure")
    assert "only over https or on localhost" in page.inner_text("#state")
    page.click("#state-act")
    ready(page)
    browser.close()


def test_camera_unplugged_resumes_when_plugged_in(filmed: Open) -> None:
    page, _ = filmed()
    ready(page)
    page.evaluate("fake.fault = 'NotFoundError'; fake.unplug()")
    state(page, "camera-unplugged")
    page.evaluate("fake.fault = null; navigator.mediaDevices.dispatchEvent(new Event('devicechange'))")
    ready(page)


def test_camera_permission_withdrawn_resumes_when_granted(filmed: Open) -> None:
    script = """
    fake.permission = Object.assign(new EventTarget(), { state: "granted" });
    navigator.permissions.query = async () => fake.permission;
    fake.permit = (state) => {
      fake.permission.state = state;
      fake.permission.dispatchEvent(new Event("change"));
    };
    """
    page, _ = filmed(script=script)
    ready(page)
    page.evaluate("fake.permit('denied')")
    state(page, "no-camera")
    assert "not allowed" in page.inner_text("#state")
    page.evaluate("fake.permit('granted')")
    ready(page)


def test_camera_without_pictures_is_detected_and_resumes(filmed: Open) -> None:
    page, _ = filmed()
    ready(page)
    page.evaluate("fake.frozen = true")
    state(page, "camera-stalled")
    page.evaluate("fake.frozen = false")
    ready(page)


def test_camera_rotated_changes_the_aspect_of_the_frames(filmed: Open) -> None:
    page, _ = filmed(query="input=keyboard")
    frames = frames_of(page)
    page.reload()  # the reload lets the test observe the socket from its start
    page.click('[data-input="camera"]')
    ready(page)
    wait_until(lambda: frames and abs(frames[-1]["aspect"] - 4 / 3) < 0.01)
    page.evaluate("fake.turn()")
    page.wait_for_function("document.getElementById('video').videoHeight === 640")
    wait_until(lambda: page.evaluate("1") and abs(frames[-1]["aspect"] - 3 / 4) < 0.01)
    page.wait_for_function("document.getElementById('hand').height > 640")


def test_tab_hidden_sends_nothing_and_resumes_when_shown(filmed: Open) -> None:
    page, _ = filmed()
    ready(page)
    hide = """hidden => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    state(page, "paused")
    tracked = "Number(document.getElementById('used').textContent.split(' ')[0])"
    page.wait_for_timeout(300)
    before = page.evaluate(tracked)
    page.wait_for_timeout(600)
    assert page.evaluate(tracked) == before
    page.evaluate(hide, False)
    state(page, "playing")
    page.wait_for_function(f"{tracked} > {before}")


@pytest.mark.parametrize("place", ["worker", "page"])
def test_tracker_that_fails_on_pictures_is_restarted_and_then_stopped(filmed: Open, place: str) -> None:
    page, tracker = filmed(query=f"input=camera&tracker={place}")
    ready(page)
    assert ("page's thread" in page.text_content("#used")) == (place == "page")
    tracker.mode = {"fault": "reject", "hands": []}
    state(page, "tracker-broken", 20_000)
    assert tracker.loads >= 3
    tracker.show("rest")
    page.click("#state-act")
    ready(page)


@pytest.mark.parametrize("place", ["worker", "page"])
def test_tracker_that_loses_its_graphics_context_is_restarted(filmed: Open, place: str) -> None:
    page, tracker = filmed(query=f"input=camera&tracker={place}")
    ready(page)
    loads = tracker.loads
    tracker.mode = {"fault": "lost", "hands": []}
    wait_until(lambda: page.evaluate("1") and tracker.loads > loads)
    tracker.show("rest")
    ready(page)


def test_tracker_that_cannot_be_loaded_can_be_retried(filmed: Open) -> None:
    page, tracker = filmed(query="input=keyboard")
    state(page, "playing")
    tracker.missing = True
    page.click('[data-input="camera"]')
    state(page, "tracker-failed")
    tracker.missing = False
    page.click("#state-act")
    ready(page)


def test_browser_without_frame_callbacks_plays(filmed: Open) -> None:
    page, _ = filmed(script="delete HTMLVideoElement.prototype.requestVideoFrameCallback;")
    ready(page)


def test_play_refused_waits_for_a_tap(filmed: Open) -> None:
    page, _ = filmed(script="fake.play = 'NotAllowedError';")
    state(page, "camera-tap")
    page.evaluate("fake.play = null")
    page.click("#state-act")
    ready(page)


def test_tracker_with_two_hands_follows_one(filmed: Open) -> None:
    page, tracker = filmed(query="input=keyboard")
    frames = frames_of(page)
    page.reload()
    mine, other = (moved_by(hands()["rest"], x, scale=0.4) for x in (-0.3, 0.3))
    tracker.mode = {"fault": None, "hands": [mine]}
    page.click('[data-input="camera"]')
    ready(page)
    tracker.mode = {"fault": None, "hands": [other, mine]}
    state(page, "two-hands")
    # the tracker loses the player's hand for a moment and finds the other one
    seen = len(frames)
    tracker.mode = {"fault": None, "hands": [other]}
    page.wait_for_timeout(350)
    tracker.mode = {"fault": None, "hands": [mine]}
    page.wait_for_timeout(350)
    wait_until(lambda: page.evaluate("1") and len(frames) > seen + 4)
    assert {round(one["x"], 3) for one in frames if one["hand"]} == {round(mine[0][0], 3)}
    # a player who left is replaced after a while
    tracker.mode = {"fault": None, "hands": [other]}
    wait_until(lambda: page.evaluate("1") and abs(frames[-1]["x"] - other[0][0]) < 0.001)
