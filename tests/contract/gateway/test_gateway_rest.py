"""POST /predict, the pages and the operators' endpoints; every refused body."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import numpy as np
import pytest

from gesture_maze.gateway.poses import hands
from tests.support.gateway import Served
from tests.support.servers import Server, wait_until

ACTIONS = {
    "like": (16, "up"),
    "dislike": (2, "down"),
    "four": (3, "right"),
    "three": (14, "left"),
    "fist": (1, None),
}
POINTS: list[Any] = hands()["like"]
NAN = float("nan")
LOST = (0.0, 0.0, NAN)


# --- REST


def test_predict_of_a_body_without_its_content_type_names_the_header(gateway: Served) -> None:
    answer = gateway.http.post("/predict", content=b'{"landmarks": []}')
    assert (answer.status_code, answer.json()["reason"]) == (422, "bad_message")
    assert "Content-Type: application/json" in answer.json()["detail"]


@pytest.mark.parametrize("gesture", ACTIONS)
def test_predict_of_a_hand_matches_the_original_service(gateway: Served, gesture: str) -> None:
    answer = gateway.http.post("/predict", json={"landmarks": hands()[gesture], "aspect": 4 / 3})
    assert answer.status_code == 200
    found = answer.json()
    assert (found["predicted_class_index"], found["action"]) == ACTIONS[gesture]
    assert found["gesture"] == gesture
    assert found["confidence"] > 0.7


def test_predict_of_pixel_pairs_needs_no_aspect(gateway: Served) -> None:
    pixels = [[x * 640, y * 480] for x, y, _ in hands()["dislike"]]
    assert gateway.http.post("/predict", json={"landmarks": pixels}).json()["action"] == "down"


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (json.dumps({"landmarks": POINTS[:20]}), 422, "bad_landmarks"),
        (json.dumps({"landmarks": [*POINTS, [0, 0, 0]]}), 422, "bad_landmarks"),
        (json.dumps({"landmarks": []}), 422, "bad_landmarks"),
        (json.dumps({"landmarks": "hello"}), 422, "bad_landmarks"),
        (json.dumps({"landmarks": [["1", "2"]] * 21}), 422, "bad_landmarks"),
        (json.dumps({"landmarks": [[1]] * 21}), 422, "bad_landmarks"),
        (json.dumps({"landmarks": [[1, 2, 3, 4]] * 21}), 422, "bad_landmarks"),
        (json.dumps({"landmarks": [*POINTS[:20], LOST]}), 422, "not_finite"),
        (json.dumps({"landmarks": [[1e39, 0]] * 21}), 422, "not_finite"),
        (json.dumps({"landmarks": POINTS, "aspect": 0}), 422, "bad_aspect"),
        (json.dumps({"landmarks": POINTS, "aspect": "wide"}), 422, "bad_aspect"),
        (json.dumps({}), 422, "bad_landmarks"),
        ("[1, 2", 400, "bad_json"),
        ("[]", 422, "bad_message"),
        ("null", 422, "bad_message"),
        ("[" * 5000, 400, "bad_json"),
    ],
)
def test_predict_of_an_invalid_body_is_refused_with_a_reason(
    gateway: Served, body: str, status: int, reason: str
) -> None:
    before = gateway.refused(reason)
    answer = gateway.http.post("/predict", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert len(answer.json()["detail"]) > 10
    assert gateway.refused(reason) == before + 1


@pytest.mark.parametrize("length_declared", [True, False])
def test_predict_of_a_10_mb_body_is_refused(gateway: Served, length_declared: bool) -> None:
    body: Any = b"x" * 10_000_000 if length_declared else (b"x" * 100_000 for _ in range(100))
    before = gateway.refused("too_large")
    try:
        status = gateway.http.post("/predict", content=body).status_code
    except httpx.TransportError:
        status = 413  # the gateway closed the connection during the upload
    assert status == 413
    assert gateway.refused("too_large") == before + 1
    assert gateway.http.post("/predict", json={"landmarks": POINTS}).status_code == 200


def test_predict_without_a_worker_is_503_with_retry_after(lonely: tuple[Served, Server]) -> None:
    gateway, _ = lonely
    answer = gateway.http.post("/predict", json={"landmarks": POINTS})
    assert (answer.status_code, answer.json()["reason"]) == (503, "no_answer")
    assert int(answer.headers["retry-after"]) >= 1


def test_readyz_without_redis_is_503(lonely: tuple[Served, Server]) -> None:
    gateway, server = lonely
    server.client.shutdown(nosave=True)
    wait_until(lambda: gateway.http.get("/readyz").status_code == 503)
    assert gateway.http.get("/livez").status_code == 200
    answer = gateway.http.post("/predict", json={"landmarks": POINTS})
    assert (answer.status_code, answer.json()["reason"]) == (503, "unavailable")


def test_metrics_after_a_prediction_count_the_request(gateway: Served) -> None:
    welcome = gateway.http.get("/").json()
    assert welcome["actions"]["like"] == "up"
    gateway.http.post("/predict", json={"landmarks": POINTS})
    text = gateway.http.get("/metrics").text
    assert 'http_requests_total{handler="/predict",method="POST"' in text
    assert 'http_request_duration_seconds_count{handler="/predict"' in text
    assert "maze_gateway_reply_seconds_bucket" in text
    assert gateway.http.get("/docs").status_code == 200


def test_predict_at_30_fps_is_answered_within_100_ms(gateway: Served) -> None:
    waits_ms = []
    begin_s = time.monotonic()
    origin = {"Origin": "https://front.example"}
    for frame in range(60):
        time.sleep(max(begin_s + frame / 30 - time.monotonic(), 0))
        sent_s = time.monotonic()
        answer = gateway.http.post("/predict", json={"landmarks": POINTS}, headers=origin)
        waits_ms.append((time.monotonic() - sent_s) * 1000)
        assert answer.json()["action"] == "up"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert np.median(waits_ms) < 100, np.quantile(waits_ms, [0.5, 0.9, 1])


# --- pages


def test_pages_have_a_content_security_policy_and_the_game_a_cookie(gateway: Served) -> None:
    game = gateway.http.get("/game")
    policy = game.headers["content-security-policy"]
    assert "'wasm-unsafe-eval' 'unsafe-eval'" in policy
    assert "frame-ancestors 'none'" in policy
    cookie = game.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    watch = gateway.http.get("/watch").headers["content-security-policy"]
    assert "unsafe-eval" not in watch
    assert gateway.http.get("/static/js/game.js").headers["x-content-type-options"] == "nosniff"
    assert gateway.http.get("/static/../settings.py").status_code == 404


def test_demo_message_is_sent_to_watch_streams(gateway: Served, pool: Server) -> None:
    with gateway.http.stream("GET", "/watch/stream") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "retry: 1000"
        pool.client.publish("{maze}:demo", b'{"count": 3}')
        assert next(line for line in lines if line.startswith("data")) == 'data: {"count": 3}'
