"""TLS of the gateway: real certificates, with and without client certificates."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.sync.client import connect

from gesture_maze.embedded.ports import free_port
from gesture_maze.gateway.poses import hands
from tests.support.certificates import client_context, make_certificates
from tests.support.children import maze
from tests.support.gateway import Served, serving
from tests.support.servers import Server, wait_until

HAND = {"landmarks": hands()["like"], "aspect": 4 / 3}
REFUSED = (httpx.TransportError, ConnectionClosed, InvalidMessage, OSError, EOFError)
"""Errors of a refused client: the connection closes, with or without a TLS alert."""


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of the gateway's authority."""
    return make_certificates(tmp_path_factory.mktemp("ours"), "redis", "--", "localhost", "127.0.0.1")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of another authority."""
    return make_certificates(tmp_path_factory.mktemp("theirs"), "redis")


def files(folder: Path) -> dict[str, Path]:
    return {"tls_cert": folder / "gateway.pem", "tls_key": folder / "gateway.key"}


@pytest.fixture(scope="module")
def public(pool: Server, ours: Path) -> Iterator[Served]:
    """A gateway that serves TLS and requires no client certificate."""
    with serving(str(pool.url), client_context(ours), predict_timeout_ms=5000, **files(ours)) as found:
        yield found


@pytest.fixture(scope="module")
def closed(pool: Server, ours: Path) -> Iterator[Served]:
    """A gateway that requires client certificates and has a separate port for metrics."""
    changed = {**files(ours), "tls_client_ca": ours / "ca.pem", "metrics_port": 0}
    with serving(str(pool.url), client_context(ours, ours), predict_timeout_ms=5000, **changed) as found:
        yield found


@pytest.mark.parametrize("kind", ["public", "closed"])
def test_gateway_over_tls_plays_and_predicts(kind: str, request: pytest.FixtureRequest) -> None:
    gateway: Served = request.getfixturevalue(kind)
    assert gateway.http.post("/predict", json=HAND).json()["action"] == "up"
    with gateway.play(name="Ann") as ann:
        reply = ann.reply_to(ann.show("four"))
        assert (reply["gesture"], reply["action"]) == ("four", "right")
        ann.send_message({"type": "start", "size": "small", "seed": 7})
        assert ann.receive_type("maze")["cell"] == 0
        token = ann.welcome["token"]
    with gateway.play(token=token) as again:
        assert again.welcome["session"] == ann.welcome["session"]


def test_cookie_over_tls_is_secure(public: Served) -> None:
    cookie = public.http.get("/game").headers["set-cookie"].lower()
    assert {"secure", "httponly", "samesite=strict"} <= {word.strip() for word in cookie.split(";")}


def test_socket_with_an_http_origin_is_refused(public: Served) -> None:
    with pytest.raises(InvalidStatus) as refused:
        public.socket(Origin=f"http://{public.address}")
    assert refused.value.response.status_code == 403
    with public.socket(Origin=f"https://{public.address}") as player:
        assert player.hello()["type"] == "welcome"


def test_request_without_tls_is_refused(public: Served) -> None:
    with pytest.raises(REFUSED):
        httpx.get(f"http://{public.address}/livez")
    with pytest.raises(REFUSED):
        connect(f"ws://{public.address}/play").__enter__()
    assert public.http.get("/livez").status_code == 200


def test_client_without_the_authority_rejects_the_certificate(public: Served, theirs: Path) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"https://{public.address}/livez", verify=client_context(theirs))


@pytest.mark.parametrize("shown", [None, "theirs"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_client_without_a_certificate_of_the_authority_is_refused(
    closed: Served, ours: Path, theirs: Path, shown: str | None, version: ssl.TLSVersion
) -> None:
    context = client_context(ours, theirs if shown else None)
    context.minimum_version = context.maximum_version = version
    with pytest.raises(REFUSED):
        httpx.get(f"https://{closed.address}/livez", verify=context)
    with pytest.raises(REFUSED):
        connect(f"wss://{closed.address}/play", ssl=context).__enter__()
    assert closed.http.get("/livez").status_code == 200


def test_metrics_port_with_client_certificates_serves_operators(closed: Served) -> None:
    assert closed.metrics is not None
    for path in ("/livez", "/readyz"):
        answer = httpx.get(f"{closed.metrics}{path}")
        assert (answer.status_code, answer.json()["ok"]) == (200, True)
    page = httpx.get(f"{closed.metrics}/metrics").text
    assert "maze_gateway_sockets" in page
    assert "http_requests_total" in page
    assert closed.http.get("/metrics").status_code == 404
    assert "GET /metrics" not in closed.http.get("/").json()["endpoints"]


@pytest.mark.parametrize(("behind", "secure"), [(True, True), (False, False)])
def test_forwarded_proto_is_trusted_only_behind_a_proxy(pool: Server, behind: bool, secure: bool) -> None:
    headers = {"X-Forwarded-Proto": "https"}
    with serving(str(pool.url), behind_proxy=behind) as gateway:
        cookie = gateway.http.get("/game", headers=headers).headers["set-cookie"]
        assert ("secure" in cookie.lower()) == secure
        if behind:
            with pytest.raises(InvalidStatus):
                gateway.socket(Origin=f"http://{gateway.address}", **headers)
        with gateway.socket(Origin=f"https://{gateway.address}", **headers) as player:
            assert player.hello()["type"] == "welcome"


def command(redis: str, **environment: str) -> AbstractContextManager[subprocess.Popen[str]]:
    return maze("gateway", "--redis", redis, env={**os.environ, **environment}, stderr=subprocess.PIPE)


def test_command_with_tls_from_the_environment_serves_and_exits_with_0(pool: Server, ours: Path) -> None:
    port = free_port()
    with command(
        str(pool.url), MAZE_PORT=str(port), MAZE_TLS_CERT=str(ours / "gateway.pem"),
        MAZE_TLS_KEY=str(ours / "gateway.key"), MAZE_TLS_CLIENT_CA=str(ours / "ca.pem"),
    ) as process:  # fmt: skip
        context = client_context(ours, ours)

        def ready() -> bool:
            try:
                return httpx.get(f"https://localhost:{port}/readyz", verify=context).status_code == 200
            except httpx.TransportError:
                return False

        wait_until(ready, 20)
        with pytest.raises(REFUSED):
            httpx.get(f"https://localhost:{port}/readyz", verify=client_context(ours))
        process.send_signal(signal.SIGTERM)
        _, output = process.communicate(timeout=30)
    assert process.returncode == 0, output
    assert f"game=https://127.0.0.1:{port}/game" in output
    assert " INFO    started " in output
    assert "Traceback" not in output


def test_command_without_redis_is_alive_and_not_ready() -> None:
    port = free_port()
    with command(f"redis://127.0.0.1:{free_port()}/0", MAZE_PORT=str(port)) as process:

        def alive() -> bool:
            try:
                return httpx.get(f"http://127.0.0.1:{port}/livez").status_code == 200
            except httpx.TransportError:
                return False

        wait_until(alive, 20)
        assert httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 503
        process.send_signal(signal.SIGTERM)
        _, output = process.communicate(timeout=30)
    assert process.returncode == 0
    assert output.count("WARNING") + output.count('"warning"') == 1
    assert "redis_disconnected" in output
    assert "Traceback" not in output
