"""`GET /`, /docs, a path of a proxy in front, and the mapping of the pool."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gesture_maze.gateway.information import prefers_html
from gesture_maze.gateway.mapping import PoolMapping
from gesture_maze.wire.gestures import DEFAULT_ACTIONS, GESTURES
from gesture_maze.worker.logs import Log
from tests.support.gateway import Player, Served, serving
from tests.support.processes import Workers
from tests.support.servers import Server, running_valkey, wait_until

CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.fixture(scope="module")
def below(pool: Server) -> Iterator[Served]:
    """A gateway served below a path prefix."""
    assert pool.url is not None
    with serving(pool.url, root_path="/maze/") as found:
        yield found


@pytest.mark.parametrize(
    ("accept", "expected"),
    [(CHROME, True), ("*/*", False), ("", False), ("application/json", False),
     ("application/json, text/html", False), ("text/html", True)],
)  # fmt: skip
def test_accept_header_of_a_browser_prefers_html(accept: str, expected: bool) -> None:
    assert prefers_html(accept) is expected


def test_root_redirects_browsers_to_the_game_and_lists_endpoints_for_programs(gateway: Served) -> None:
    answer = gateway.http.get("/", headers={"Accept": CHROME})
    assert (answer.status_code, answer.headers["location"]) == (307, "game")
    page = httpx.get(f"http://{gateway.address}/", headers={"Accept": CHROME}, follow_redirects=True)
    assert (page.status_code, page.url.path) == (200, "/game")
    assert gateway.http.get("/").json()["endpoints"]["GET /game"]


def test_docs_page_loads_nothing_from_other_origins(gateway: Served) -> None:
    page = gateway.http.get("/docs")
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", page.text)
    for path in re.findall(r"(?:src|href)=\"([^\"]+)\"", page.text):
        assert gateway.http.get(f"/{path}").status_code == 200, path
    assert "http" not in page.headers["content-security-policy"]
    assert "url: 'openapi.json'" in page.text


@pytest.mark.parametrize("prefix", ["/maze", ""])
def test_gateway_below_a_path_answers_with_and_without_it(below: Served, prefix: str) -> None:
    for path in (
        "/game",
        "/livez",
        "/docs",
        "/openapi.json",
        "/static/icon.svg",
        "/docs/viewer/swagger-ui.css",
    ):
        assert below.http.get(f"{prefix}{path}").status_code == 200, path
    answer = below.http.get(f"{prefix}/", headers={"Accept": CHROME})
    assert answer.headers["location"] == "/maze/game"
    assert "Path=/maze;" in httpx.get(f"http://{below.address}{prefix}/game").headers["set-cookie"]
    assert below.http.get("/maze", headers={"Accept": CHROME}).headers["location"] == "/maze/game"
    assert below.http.get("/mazes/game").status_code == 404
    with Player(below.connected(f"{prefix}/play")) as player:
        player.hello()
        assert player.still_plays()


def test_gateway_below_a_path_names_it_in_its_interface(below: Served) -> None:
    assert below.http.get("/maze/openapi.json").json()["servers"] == [{"url": "/maze"}]


def test_metrics_of_a_gateway_below_a_path_have_handler_labels(below: Served) -> None:
    below.http.get("/maze/daily")
    found = set(re.findall(r'http_requests_total\{handler="([^"]*)"', below.http.get("/metrics").text))
    assert "/daily" in found
    assert not [handler for handler in found if handler.startswith("/maze")]


def mapping() -> PoolMapping:
    client: Any = None
    return PoolMapping(client, Log("human", "error"))


def info(actions: object) -> bytes:
    return json.dumps({"host": "h", "actions": actions}).encode()


def test_mapping_of_mixed_workers_is_that_of_the_majority() -> None:
    found = mapping()
    assert found.actions == DEFAULT_ACTIONS
    assert found.note({b"a": info({"peace": "up"}), b"b": info({"rock": "up"}), b"c": info({"rock": "up"})})
    assert found.actions == {"rock": "up"}
    assert not found.note({})
    assert found.actions == {"rock": "up"}


def test_drawings_are_those_of_a_worker_of_the_majority_and_checked() -> None:
    found, hand = mapping(), [[0.5, 0.25, 0.0]] * 21
    cases: list[tuple[object, bool]] = [
        ({"swipe": hand}, True), ({"swipe": hand[1:]}, False), ({"a b": hand}, False), ([hand], False),
        ({"swipe": [[1e9, 0, 0]] * 21}, False), ("swipe", False), (None, False),
    ]  # fmt: skip
    for drawings, kept in cases:
        raw = json.dumps({"actions": {"swipe": "up"}, "drawings": drawings}).encode()
        assert found.note({b"a": raw, b"b": raw, b"c": info({"rock": "up"})})
        assert ("swipe" in found.drawings) == kept, drawings


def test_gestures_of_mixed_workers_are_those_of_the_majority() -> None:
    found = mapping()
    assert found.gestures == GESTURES
    ours = json.dumps({"gestures": ["like", "swipe"], "actions": {"left:swipe": "left"}}).encode()
    assert found.note({b"a": info({"like": "up"}), b"b": ours})
    assert found.gestures == ("like", "swipe"), "a worker of an older version names none"
    hostile: list[object] = [None, [], [1], ["like up"], [f"g{n}" for n in range(65)], {"like": 1}, "like"]
    found.note({str(n).encode(): json.dumps({"gestures": one}).encode() for n, one in enumerate(hostile)})
    assert found.gestures == ("like", "swipe")


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        info(None),
        info([]),
        info({"a": "jump"}),
        info({"a": 1}),
        info("up"),
    ],
)
def test_mapping_malformed_is_ignored(hostile: bytes) -> None:
    found = mapping()
    assert not found.note({b"a": hostile})
    assert found.actions == DEFAULT_ACTIONS


def test_remapped_actions_reach_welcome_root_and_page(tmp_path_factory: pytest.TempPathFactory) -> None:
    actions = {"peace": "up", "rock": "down", "four": "right", "three": "left"}
    with running_valkey(tmp_path_factory.mktemp("remapped")) as server:
        assert server.url is not None
        with Workers(server.url, server.client) as workers:
            workers.start("remapped", actions=actions)
            with serving(server.url) as gateway:
                wait_until(lambda: gateway.http.get("/").json()["actions"] == actions, 10)
                with gateway.play() as player:
                    assert player.welcome["actions"] == actions
                assert set(actions) <= set(gateway.http.get("/game/hands.json").json())


def test_head_of_a_browser_at_the_root_redirects_to_the_game(gateway: Served) -> None:
    answer = httpx.head(f"http://{gateway.address}/", headers={"Accept": CHROME})
    assert answer.status_code == 307
