"""Limits on what one anonymous client can do to the gateway and to other clients."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest
from starlette.responses import Response
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gesture_maze.game.mazes import generate, solve
from gesture_maze.gateway import connection
from gesture_maze.gateway.poses import hands
from tests.support.gateway import Player, Served, serving
from tests.support.servers import Server, wait_until

HAND = {"landmarks": hands()["like"]}


@pytest.fixture(scope="module")
def strict(pool: Server) -> Iterator[Served]:
    """A gateway with low limits behind a proxy, so that a test can act as many clients."""
    assert pool.url is not None
    with serving(
        pool.url, behind_proxy=True, requests_per_s=5, predict_per_address=2, watchers_per_address=2,
        sessions_per_address=8, predict_timeout_ms=5000,
    ) as found:  # fmt: skip
        yield found


@pytest.fixture
def short(pool: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A gateway without a proxy, whose time limits are short."""
    assert pool.url is not None
    monkeypatch.setattr(connection, "REQUEST_S", 0.5)
    monkeypatch.setattr(connection, "WRITE_S", 0.5)
    with serving(pool.url, connections_per_address=20) as found:
        yield found


def opened(gateway: Served) -> socket.socket:
    host, port = gateway.address.split(":")
    return socket.create_connection((host, int(port)), timeout=5)


def received(one: socket.socket) -> bytes:
    """Return all bytes up to the end of the connection."""
    found = b""
    with suppress(ConnectionError):
        while part := one.recv(1 << 16):
            found += part
    return found


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


# --- connections


@pytest.mark.parametrize("line", [b"h: " + b"v" * 200 + b"\r\n", b"h: " + b"v" * 1_000_000])
def test_endless_headers_close_the_connection(gateway: Served, line: bytes, bystander: Player) -> None:
    before, memory = gateway.refused("too_large"), resident_mb()
    with opened(gateway) as one:
        one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        with suppress(ConnectionError):
            for _ in range(100_000_000 // len(line)):
                one.sendall(line)
        received(one)
    assert gateway.refused("too_large") == before + 1
    assert resident_mb() - memory < 30
    assert bystander.still_plays()


@pytest.mark.parametrize(
    "begin",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
    ],
)
def test_incomplete_request_past_the_time_limit_is_closed(short: Served, begin: bytes) -> None:
    with opened(short) as one:
        one.sendall(begin)
        assert received(one) == b""
    assert short.refused("too_slow") == 1


def test_idle_connection_after_a_response_stays_open(short: Served) -> None:
    with opened(short) as one:
        for _ in range(3):
            one.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            while not answer.endswith(b"}"):  # head and body may arrive separately
                answer += one.recv(1 << 16)
            assert b"200 OK" in answer
            time.sleep(0.7)
    assert short.refused("too_slow") == 0


def test_unread_response_past_the_time_limit_is_closed(short: Served) -> None:
    short.app.add_route("/big", lambda _request: Response(b"x" * 20_000_000))
    with opened(short) as one:
        one.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: short.refused("too_slow") == 1, 5)
        assert len(received(one)) < 20_000_000

    def read_whole() -> bool:
        with suppress(httpx.RemoteProtocolError):  # this client was stopped for longer than the limit
            return len(short.http.get("/big").content) == 20_000_000
        return False

    wait_until(read_whole, 20)


def test_pipelined_requests_are_bounded(gateway: Served, bystander: Player) -> None:
    memory = resident_mb()
    with opened(gateway) as one:
        with suppress(ConnectionError):
            one.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 5000)
        assert received(one).count(b"HTTP/1.1 200") <= 20
    assert resident_mb() - memory < 30
    assert bystander.still_plays()


def test_connections_of_an_address_are_limited(short: Served) -> None:
    many = [opened(short) for _ in range(30)]
    try:
        wait_until(lambda: short.refused("too_many_requests") >= 10)
    finally:
        for one in many:
            one.close()
    wait_until(lambda: short.http.get("/livez").status_code == 200)


# --- requests


def from_address(gateway: Served, address: str) -> httpx.Client:
    return httpx.Client(
        base_url=f"http://{gateway.address}", headers={"X-Forwarded-For": f"1.2.3.4, {address}"}, timeout=10
    )


def until_refused(client: httpx.Client, most: int = 400) -> httpx.Response | None:
    """Ask until a request is refused; a slow machine needs more of them, because the limit is a rate."""
    answers = (client.get("/livez") for _ in range(most))
    return next((one for one in answers if one.status_code == 429), None)


def test_requests_beyond_the_limit_of_one_address_are_refused(strict: Served) -> None:
    with from_address(strict, "10.0.0.1:555") as greedy, from_address(strict, "10.0.0.2") as other:
        refused = until_refused(greedy)
        assert refused is not None
        assert refused.json()["reason"] == "too_many_requests"
        assert refused.headers["Retry-After"] == "1"
        assert other.get("/livez").status_code == 200


def test_ipv6_addresses_of_one_network_share_a_limit(strict: Served) -> None:
    with from_address(strict, "[2001:db8::1]:80") as one, from_address(strict, "2001:db8::2") as neighbour:
        assert until_refused(one) is not None
        assert until_refused(neighbour, 10) is not None
    with from_address(strict, "2001:db8:0:1::1") as other:
        assert other.get("/livez").status_code == 200


def test_predict_flood_of_one_address_leaves_capacity_for_others(strict: Served) -> None:
    def ask(address: str) -> int:
        with from_address(strict, address) as client:
            return client.post("/predict", json=HAND).status_code

    with ThreadPoolExecutor(40) as threads:
        greedy = [threads.submit(ask, "10.1.0.1") for _ in range(30)]
        others = [threads.submit(ask, f"10.1.1.{number}") for number in range(8)]
        assert {one.result() for one in others} == {200}
        assert {one.result() for one in greedy} <= {200, 429}


def test_watch_streams_of_one_address_leave_capacity_for_others(strict: Served) -> None:
    with from_address(strict, "10.2.0.1") as greedy, from_address(strict, "10.2.0.2") as other:
        with greedy.stream("GET", "/watch/stream") as one, greedy.stream("GET", "/watch/stream") as two:
            begun = one.iter_raw(), two.iter_raw()
            assert [next(each) for each in begun] == [b"retry: 1000\n\n"] * 2
            assert greedy.get("/watch/stream").status_code == 429
            with other.stream("GET", "/watch/stream") as third:
                assert third.status_code == 200
        wait_until(lambda: len(strict.app.state.watch.concurrency) == 0)


@pytest.mark.parametrize("path", ["/", "/game", "/livez", "/static/icon.svg", "/watch/stream", "/nothing"])
def test_head_is_answered_as_get_without_a_body(gateway: Served, path: str) -> None:
    with opened(gateway) as one:
        one.sendall(f"HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        head, _, body = received(one).partition(b"\r\n\r\n")
    assert head.split()[1] in (b"200", b"307", b"404")
    assert (b" 404 " in head) == (path == "/nothing")
    assert body == b""


def test_unknown_methods_do_not_become_metric_labels(gateway: Served) -> None:
    for method in ("PROPFIND", "PURGE", "LOCK", "SOURCE", "DELETE"):
        answer = gateway.http.request(method, "/predict")
        assert answer.status_code == 405
        assert answer.json()["reason"] == "bad_method"
        assert "POST" in answer.headers["Allow"]
    page = gateway.http.get("/metrics").text
    assert "PURGE" not in page
    assert "DELETE" not in page


@pytest.mark.parametrize("length", ["9" * 18, "9" * 5000, "-1", "1e3", "x"])
def test_malformed_content_length_is_a_client_error(gateway: Served, length: str) -> None:
    with opened(gateway) as one:
        one.sendall(f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
        assert received(one).split()[1] in (b"400", b"413")


def test_redirect_with_a_foreign_host_does_not_repeat_it(gateway: Served) -> None:
    for path in ("/static", "/game/", "/docs/viewer"):
        answer = gateway.http.get(path, headers={"Host": "evil.example"})
        assert "evil" not in answer.headers.get("location", "")


# --- sockets


def from_place(gateway: Served, address: str) -> Player:
    return gateway.socket(**{"X-Forwarded-For": address})


def test_flood_of_starts_closes_the_socket(strict: Served) -> None:
    with from_place(strict, "10.3.0.1") as player:
        player.hello()
        with suppress(ConnectionClosed):
            for seed in range(500):
                player.send_message({"type": "start", "size": "large", "seed": seed})
        assert player.closed() == (4429, "flood")


def test_sockets_opened_in_a_row_are_limited(strict: Served) -> None:
    def open_and_leave() -> int:
        try:
            with from_place(strict, "10.4.0.1") as player:
                return 101 if player.hello()["type"] == "welcome" else 0
        except InvalidStatus as error:
            return error.response.status_code

    codes = [open_and_leave() for _ in range(45)]
    assert codes[:32] == [101] * 32
    assert set(codes) == {101, 429}
    with from_place(strict, "10.4.0.2") as other:
        assert other.hello()["type"] == "welcome"


def test_abandoned_sessions_are_bounded(gateway: Served) -> None:
    way = solve(generate(14, 10, 7))[0]
    for _ in range(30):
        with gateway.play() as player:
            player.send_message({"type": "start", "size": "large", "seed": 7})
            player.send_message({"type": "key", "move": way})
            player.receive_type("at")
    wait_until(lambda: gateway.count("maze_gateway_sockets") == 0)
    assert gateway.count("maze_gateway_sessions") <= 500


def test_walk_of_a_program_is_not_ranked(gateway: Served) -> None:
    ways = solve(generate(6, 5, 3))
    assert len(ways) <= 20
    with gateway.play(name="program") as player:
        player.send_message({"type": "start", "size": "small", "seed": 3})
        for way in ways:
            player.send_message({"type": "key", "move": way})
        assert player.receive_type("finished")["rank"] is None
    names = [one["name"] for one in gateway.http.get("/scores/small").json()]
    assert "program" not in names


def test_malformed_score_is_left_out(gateway: Served, pool: Server) -> None:
    pool.client.zadd("{maze}:scores:medium", {"not json": 0, json.dumps([1]): 1, b"\xff": 2})
    answer = gateway.http.get("/scores/medium")
    assert answer.status_code == 200
    pool.client.delete("{maze}:scores:medium")


def test_gateway_listens_on_ipv6(pool: Server) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    assert pool.url is not None
    with closing(socket.socket(socket.AF_INET6)) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 on this machine")
    with serving(pool.url, host="::1") as gateway:
        assert gateway.http.get("/livez").status_code == 200
        with gateway.play() as player:
            assert player.still_plays()
