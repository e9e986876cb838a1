"""The page below a path, with or without a proxy that strips it, and the page without a network."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from gesture_maze.game.mazes import generate
from tests.browser.conftest import Line, Visit
from tests.browser.playing import ready, state, walk
from tests.support.gateway import Served, serving
from tests.support.processes import Workers
from tests.support.servers import Server


class Stripping(Line):
    """A proxy that serves a gateway below /maze and strips the prefix."""

    def _pass(self, chunk: bytes, sink: object) -> bool:
        return super()._pass(re.sub(rb"^(GET|POST|HEAD) /maze/", rb"\1 /", chunk), sink)  # type: ignore[arg-type]


@pytest.fixture(params=["kept", "stripped", "stripped and unknown"])
def below(
    request: pytest.FixtureRequest, redis_server: Server, workers: Workers, gateway: Served
) -> Iterator[str]:
    """The address of a gateway below /maze, configured with its path or not."""
    root = "" if request.param == "stripped and unknown" else "/maze"
    with serving(str(redis_server.url), root_path=root) as found:
        if request.param == "kept":
            yield found.address
            return
        proxy = Stripping(int(found.address.rpartition(":")[2]))
        yield proxy.address
        proxy.close()


def test_game_below_a_path_plays(visit: Visit, below: str) -> None:
    page = visit("/maze/game?seed=7&size=small", below)
    requests: list[str] = []
    page.on("request", lambda one: requests.append(one.url))
    page.on("websocket", lambda one: requests.append(one.url))
    page.reload()
    ready(page)
    walk(page, generate(6, 5, 7), 2)
    page.click("#daily")
    page.click("#race")
    page.click("#naming-yes")
    page.wait_for_function("/[/]maze[/]game[?]race=/.test(document.getElementById('race-link').value)")
    watch = visit("/maze/watch", below)
    watch.wait_for_selector("#players .tile")
    watch.click("text=Play yourself")
    watch.wait_for_selector("#maze[data-cell]")
    assert watch.url == f"http://{below}/maze/game"
    assert len(requests) > 20
    assert [one for one in requests if "/maze/" not in one] == []


def test_page_without_a_network_opens_and_waits(visit: Visit, gateway: Served) -> None:
    page = visit("/game?seed=7&size=small", service_workers="allow")
    ready(page)
    page.evaluate("navigator.serviceWorker.ready.then(() => 1)")
    page.reload()
    ready(page)
    page.context.set_offline(True)
    page.reload()
    state(page, "offline")
    page.context.set_offline(False)
    ready(page)


def test_offline_shell_contains_every_module_of_the_page(gateway: Served) -> None:
    from gesture_maze.gateway.pages import FOLDER

    worker = gateway.http.get("/sw.js").text
    modules = {one.stem for one in (FOLDER / "js").glob("*.js") if not one.stem.startswith("teach")}
    modules -= {"watch", "tracker-worker"}
    assert {name for name in modules if f'"{name}"' not in worker} == set()
    manifest = gateway.http.get("/manifest.webmanifest")
    assert manifest.headers["content-type"].startswith("application/manifest+json")
    for icon in manifest.json()["icons"]:
        assert gateway.http.get(f"/{icon['src']}").status_code == 200


def test_page_whose_gateway_is_not_ready_shows_the_reason(visit: Visit) -> None:
    page = visit("/livez")
    refused = '{"type": "refused", "reason": "unavailable", "detail": "no worker has started"}'

    def refuse(socket: object) -> None:
        socket.on_message(lambda _: (socket.send(refused), socket.close(code=4503)))  # type: ignore[attr-defined]

    page.route_web_socket("**/play", refuse)
    page.goto(page.url.replace("/livez", "/game"))
    page.wait_for_function("document.getElementById('state').textContent.includes('no worker has started')")
    assert page.get_attribute("#state", "data-state") == "connecting"
    page.unroute_all()
