"""Model swaps under load: no frame is lost or answered twice, and every reply names its model."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from itertools import groupby
from typing import Any

import pytest

from gesture_maze.models.bundle import Bundle
from gesture_maze.worker.redis.registry import ROLES_KEY, ModelRegistry, bundle_key
from tests.support.bundles import bundled, damaged, disturbed
from tests.support.processes import Traffic, Workers, pool_outcomes
from tests.support.servers import Server, wait_until

pytestmark = pytest.mark.slow

OLD, NEW = bundled(), disturbed(0.9)


@pytest.fixture
def registry(server: Server) -> ModelRegistry:
    return ModelRegistry(server.client)


def get(server: Server, worker: str, path: str) -> str:
    info = json.loads(server.client.hget("{maze}:workers:info", worker))
    with urllib.request.urlopen(f"http://127.0.0.1:{info['port']}{path}") as page:
        return str(page.read().decode())


def model_of(server: Server, worker: str) -> str:
    return str(json.loads(get(server, worker, "/readyz"))["model"])


def series(server: Server, worker: str, name: str) -> dict[str, float]:
    lines = [line for line in get(server, worker, "/metrics").splitlines() if line.startswith(name)]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def uses(server: Server, version: str, *workers: str) -> Callable[[], bool]:
    return lambda: all(model_of(server, worker) == version for worker in workers)


def promote(registry: ModelRegistry, bundle: Bundle) -> None:
    registry.promote(bundle.version, bundle.to_zip())


def models_by_session(traffic: Traffic) -> dict[str, list[str]]:
    """Return the models that answered each session, in order."""
    replies: dict[str, list[Any]] = {}
    for reply in traffic.answered:
        replies.setdefault(reply.session, []).append(reply.model)
    return {session: [model for model, _ in groupby(models)] for session, models in replies.items()}


def check_nothing_lost(server: Server, traffic: Traffic) -> None:
    traffic.check_once_and_in_order()
    assert traffic.unanswered() == set(), f"of {len(traffic.accepted)}"
    assert pool_outcomes(server.client)["answered"] == len(traffic.accepted)


def test_swap_under_load_loses_no_frame_and_each_session_sees_it_once(
    server: Server, workers: Workers, registry: ModelRegistry
) -> None:
    workers.start("a")
    workers.start("b")
    with Traffic(server.url, rate=1500) as traffic:
        traffic.wait_for_answers()
        promote(registry, NEW)
        wait_until(uses(server, NEW.version, "a", "b"))
        traffic.wait_for_answers(500)
    check_nothing_lost(server, traffic)
    assert set(map(tuple, models_by_session(traffic).values())) == {(OLD.version, NEW.version)}
    assert series(server, "a", "maze_model_info") == {f'maze_model_info{{version="{NEW.version}"}}': 1.0}
    _, log = workers.stop("a")
    assert log.count("model_swapped") == 1
    assert f"old={OLD.version} new={NEW.version} load_ms=" in log


def test_swaps_back_and_forth_lose_no_frame(
    server: Server, workers: Workers, registry: ModelRegistry
) -> None:
    workers.start("a")
    promote(registry, OLD)
    with Traffic(server.url, rate=1500) as traffic:
        for bundle in (NEW, OLD) * 3:
            promote(registry, bundle)
            wait_until(uses(server, bundle.version, "a"))
            traffic.wait_for_answers()
        registry.rollback()
        wait_until(uses(server, NEW.version, "a"))
        traffic.wait_for_answers()
    check_nothing_lost(server, traffic)  # a swap longer than the deadline would lose frames
    expected = (OLD.version, NEW.version) * 4
    # a session that had no frame between two swaps would miss one; at 37 frames/s none has
    assert {models[-8:] for models in map(tuple, models_by_session(traffic).values())} == {expected}


def test_broken_bundle_in_redis_is_refused_by_every_worker(
    server: Server, workers: Workers, registry: ModelRegistry
) -> None:
    workers.start("a")
    workers.start("b")
    promote(registry, OLD)
    with Traffic(server.url) as traffic:
        traffic.wait_for_answers()
        server.client.set(bundle_key(NEW.version), damaged(NEW))
        server.client.hset(ROLES_KEY, "champion", NEW.version)  # without waking the workers
        name = 'maze_models_refused_total{reason="not_a_bundle"}'
        for worker in "ab":
            # a child process proves the bundle first
            wait_until(lambda worker=worker: series(server, worker, name)[name] == 1, 20)  # type: ignore[misc]
        traffic.wait_for_answers(1000)
        assert all(uses(server, OLD.version, worker)() for worker in "ab")
        promote(registry, NEW)  # a valid bundle again
        wait_until(uses(server, NEW.version, "a", "b"), 20)
        traffic.wait_for_answers()
    check_nothing_lost(server, traffic)
    assert {reply.model for reply in traffic.answered} == {OLD.version, NEW.version}
    _, log = workers.stop("a")
    assert log.count("model_refused") == 1
    assert "Traceback" not in log


def test_worker_started_later_uses_the_champion_for_its_first_frame(
    server: Server, workers: Workers, registry: ModelRegistry
) -> None:
    promote(registry, NEW)
    with Traffic(server.url) as traffic:
        workers.start("a")
        traffic.wait_for_answers()
        server.client.delete(ROLES_KEY, bundle_key(NEW.version))  # as a flush would
        workers.start("b")
        traffic.wait_for_answers()
    assert model_of(server, "a") == NEW.version, "it keeps what it has"
    assert model_of(server, "b") == OLD.version, "where Redis names none, the bundled one answers"
    first = next(iter(traffic.answered))
    assert first.model == NEW.version
    traffic.check_once_and_in_order()


def test_challenger_publishes_nothing_and_its_comparison_adds_up(
    server: Server, workers: Workers, registry: ModelRegistry
) -> None:
    blind = disturbed(0.0)
    workers.start("a")
    promote(registry, NEW)
    registry.challenge(blind.version, blind.to_zip(), 0.5)
    wait_until(uses(server, NEW.version, "a"), 20)

    def compared() -> float:
        return sum(series(server, "a", "maze_shadow_frames_total").values())

    with Traffic(server.url) as traffic:
        wait_until(compared, 20)  # a child process proves the challenger first
        compared_before, answered_before = compared(), len(traffic.answered)
        wait_until(lambda: compared() > compared_before + 3000, 20)
    check_nothing_lost(server, traffic)
    assert {reply.model for reply in traffic.answered} == {NEW.version}

    def written() -> bool:
        counted = series(server, "a", "maze_shadow_frames_total")
        fields = registry.shadow(NEW.version, blind.version)
        pairs = sum(n for name, n in fields.items() if ">" in name and not name.startswith("action:"))
        return bool(fields["frames"] == pairs == sum(counted.values()))

    wait_until(written)
    share = (compared() - compared_before) / (len(traffic.answered) - answered_before)
    assert 0.4 < share <= 0.52  # a tenth of a second of frames may wait when the first are counted
