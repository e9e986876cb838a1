"""Models in Redis: one suite on fakeredis, Valkey and Redis."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from gesture_maze.lifecycle.promotion import Gates, Passed, challenge, check, find, forced, promote, sources
from gesture_maze.models.bundle import MAX_ZIP_BYTES, ModelReason, bundled_path
from gesture_maze.models.gates import BASE_AFTER, BASE_BEFORE, GateReason
from gesture_maze.ops.acl import ROLES
from gesture_maze.wire import keys
from gesture_maze.wire.errors import ModelError, RedisRefused, SettingsError
from gesture_maze.wire.keys import WORKERS_INFO
from gesture_maze.worker.redis.broker import Broker
from gesture_maze.worker.redis.client import connect
from gesture_maze.worker.redis.registry import (
    INDEX_KEY,
    ROLES_KEY,
    WAKE_WORD,
    ModelRegistry,
    Roles,
    bundle_key,
    shadow_key,
)
from gesture_maze.worker.serving.champion import load
from tests.support.bundles import bundled, damaged, disturbed, sealed, with_threshold, wrong
from tests.support.roles import give
from tests.support.servers import Server

OLD, NEW = bundled(), disturbed(0.9)
GATES = Gates(max_us_per_frame=1000.0)
on_one_server = pytest.mark.parametrize("server", ["fakeredis"], indirect=True)
"""For the gates, which know no server; the other tests prove on each that what passed is stored."""


@pytest.fixture
def client(server: Server) -> Any:
    return server.client


@pytest.fixture
def registry(client: Any) -> ModelRegistry:
    return ModelRegistry(client)


def test_registry_of_an_empty_redis_has_no_roles_and_no_models(registry: ModelRegistry) -> None:
    assert registry.roles() == Roles()
    assert registry.versions() == {}
    assert registry.bundle("v-1") is None
    assert registry.shadow("a", "b") == {}


def test_promotion_of_a_bundle_is_stored_and_wakes_the_workers(client: Any, registry: ModelRegistry) -> None:
    listener = registry.listener(time.monotonic)
    registry.promote(NEW.version, NEW.to_zip())
    roles = registry.roles()
    assert (roles.champion, roles.previous, roles.challenger) == (NEW.version, None, None)
    seconds, _ = client.time()
    assert abs(roles.promoted_ms - seconds * 1000) < 5000
    assert registry.versions() == {NEW.version: roles.promoted_ms}
    data = registry.bundle(NEW.version)
    assert data is not None
    assert load(NEW.version, data).version == NEW.version
    assert listener.wait(1.0) == {WAKE_WORD}
    listener.close()


def test_rollback_swaps_champion_and_previous(registry: ModelRegistry) -> None:
    with pytest.raises(SettingsError, match="no previous model"):
        registry.rollback()
    for version in ("a-1", "b-2"):
        registry.promote(version, b"zip")
    assert registry.rollback() == ("a-1", "b-2")
    roles = registry.roles()
    assert (roles.champion, roles.previous) == ("a-1", "b-2")
    assert registry.rollback() == ("b-2", "a-1")


def test_rollback_to_a_missing_bundle_is_refused_and_keeps_the_champion(
    client: Any, registry: ModelRegistry
) -> None:
    for version in ("a-1", "b-2"):
        registry.promote(version, b"zip")
    client.delete(bundle_key("a-1"))
    with pytest.raises(SettingsError, match="a-1 is gone"):
        registry.rollback()
    assert registry.roles().champion == "b-2"


def test_promotion_of_the_champion_keeps_the_previous_model(registry: ModelRegistry) -> None:
    for version in ("a-1", "b-2", "b-2"):
        registry.promote(version, b"zip")
    assert registry.roles().previous == "a-1"


def test_promotion_of_an_unknown_version_is_refused_and_keeps_the_champion(registry: ModelRegistry) -> None:
    registry.promote("a-1", b"zip")
    with pytest.raises(SettingsError, match="no model b-2"):
        registry.promote("b-2", None)
    assert registry.roles().champion == "a-1"
    with pytest.raises(SettingsError, match="must be 1 to 64"):
        registry.promote("a:b", b"zip")


def test_old_bundles_without_a_role_are_deleted(client: Any, registry: ModelRegistry) -> None:
    registry.challenge("trial-0", b"zip", 0.1)
    for number in range(6):
        registry.promote(f"v-{number}", b"zip", keep=2)
    kept = set(registry.versions())
    assert kept == {"v-5", "v-4", "trial-0"}
    assert {key.decode() for key in client.keys("{maze}:model:*")} == {
        bundle_key(version) for version in kept
    }


def test_challenger_when_dismissed_or_promoted_is_unset(registry: ModelRegistry) -> None:
    registry.promote("a-1", b"zip")
    registry.challenge("b-2", b"zip", 0.25)
    roles = registry.roles()
    assert (roles.champion, roles.challenger, roles.share) == ("a-1", "b-2", 0.25)
    assert registry.dismiss() == "b-2"
    assert registry.roles().challenger is None
    registry.challenge("b-2", None, 0.5)
    registry.promote("b-2", None)
    assert (registry.roles().challenger, registry.roles().champion) == (None, "b-2")


def test_roles_with_malformed_values_are_ignored(client: Any, registry: ModelRegistry) -> None:
    rubbish = {"champion": b"\xff{}", "challenger": "x" * 65, "share": "nan", "promoted_ms": "soon"}
    client.hset(ROLES_KEY, mapping=rubbish)
    assert registry.roles() == Roles()
    client.delete(ROLES_KEY)
    client.set(ROLES_KEY, "not a hash")
    with pytest.raises(RedisRefused):
        registry.roles()


def test_bundle_beyond_the_size_limit_is_refused(client: Any, registry: ModelRegistry) -> None:
    client.set(bundle_key("big-1"), b"x" * (MAX_ZIP_BYTES + 1000))
    data = registry.bundle("big-1")
    assert data is not None
    assert len(data) == MAX_ZIP_BYTES + 1
    with pytest.raises(ModelError) as caught:
        load("big-1", data)
    assert caught.value.reason == ModelReason.TOO_LARGE


def test_shadow_counts_add_up_and_expire(client: Any, registry: ModelRegistry) -> None:
    for _ in range(2):
        registry.add_shadow("a-1", "b-2", {"frames": 3, "like>palm": 1})
    assert registry.shadow("a-1", "b-2") == {"frames": 6, "like>palm": 2}
    assert client.ttl(shadow_key("a-1", "b-2")) > 0


def test_promotion_out_of_memory_changes_nothing(real_server: Server) -> None:
    client = real_server.client
    registry = ModelRegistry(client)
    registry.promote(OLD.version, OLD.to_zip())
    client.config_set("maxmemory", "1mb")
    with pytest.raises(RedisRefused):
        registry.promote(NEW.version, NEW.to_zip())
    client.config_set("maxmemory", 0)
    assert registry.roles().champion == OLD.version
    assert list(registry.versions()) == [OLD.version]


def test_operator_role_can_promote_and_worker_role_cannot(real_server: Server) -> None:
    client = real_server.client
    assert real_server.url is not None
    users = {}
    for role in (one for one in ROLES if one.name in ("worker", "operator")):
        give(client, role, "secret")
        users[role.name] = connect(real_server.url.replace("://", f"://{role.name}:secret@"), role.name)
    worker, promoter = (ModelRegistry(users[name]) for name in ("worker", "operator"))
    listener = worker.listener(time.monotonic)
    for version in ("a-1", "b-2"):
        promoter.promote(version, b"zip", keep=1)
    promoter.keep("c-3", b"zip")
    promoter.challenge("c-3", None, 0.5)
    assert promoter.rollback() == ("a-1", "b-2")
    assert set(promoter.versions()) == {"a-1", "b-2", "c-3"}
    assert worker.roles().challenger == "c-3"
    assert worker.bundle("a-1") == b"zip"
    worker.add_shadow("a-1", "c-3", {"frames": 1})
    assert promoter.shadow("a-1", "c-3") == {"frames": 1}
    assert promoter.dismiss() == "c-3"
    with pytest.raises(RedisRefused, match="maze acl"):
        worker.promote("b-2", None)
    with pytest.raises(RedisRefused, match="maze acl"):
        worker.keep("b-2", b"zip")
    listener.close()
    for name, user in users.items():
        user.close()
        client.execute_command("ACL", "DELUSER", name)


def test_rollback_of_the_first_promotion_restores_the_bundled_model(client: Any) -> None:
    promote(client, check(NEW.to_zip(), client, GATES))
    registry = ModelRegistry(client)
    assert registry.rollback() == (OLD.version, NEW.version)
    assert load(OLD.version, registry.bundle(OLD.version)).version == OLD.version


def test_promotion_with_workers_on_another_model_has_no_previous_model(client: Any) -> None:
    info = '{"host": "h", "pid": 1, "port": 1, "model": "mlp-other", "version": "1"}'
    Broker(client, 4, 3000).roster("a", info)
    promote(client, check(NEW.to_zip(), client, GATES))
    assert ModelRegistry(client).roles().previous is None
    client.delete(keys.WORKERS, WORKERS_INFO, INDEX_KEY)


def test_bundle_by_path_or_version_is_found(client: Any, tmp_path: Any) -> None:
    places = sources(client)
    NEW.write(tmp_path / "folder")
    (tmp_path / "zip").write_bytes(NEW.to_zip())
    ModelRegistry(client).keep(NEW.version, NEW.to_zip())
    for name in (str(tmp_path / "folder"), str(tmp_path / "zip"), NEW.version):
        assert check(find(name, places), client, GATES).version == NEW.version
    with pytest.raises(ModelError, match="no model mlp-none") as caught:
        find("mlp-none", places)
    assert caught.value.reason == ModelReason.NOT_FOUND


@on_one_server
@pytest.mark.parametrize(
    ("data", "reason"),
    [(damaged(NEW), ModelReason.NOT_A_BUNDLE), (wrong().to_zip(), ModelReason.SELF_TEST)],
    ids=("damaged", "wrong"),
)
def test_broken_bundle_is_refused_unless_forced(client: Any, data: bytes, reason: str) -> None:
    with pytest.raises(ModelError) as caught:
        check(data, client, GATES)
    assert caught.value.reason == reason
    passed = forced(data, client, GATES)
    assert passed.fault is not None
    promote(client, passed)
    assert ModelRegistry(client).bundle(passed.version) == data


@on_one_server
def test_bundle_slower_than_the_speed_gate_is_refused(client: Any) -> None:
    with pytest.raises(ModelError, match="µs per frame") as caught:
        check(OLD.to_zip(), client, Gates(max_us_per_frame=0.001))
    assert caught.value.reason == GateReason.TOO_SLOW


@on_one_server
def test_bundle_below_the_accuracy_gate_is_refused(client: Any, tmp_path: Any) -> None:
    data = tmp_path / "hands.csv"
    data.write_text(golden_csv())
    assert check(NEW.to_zip(), client, Gates(data, max_us_per_frame=1000.0)).accuracy is not None
    with pytest.raises(ModelError, match="accuracy") as caught:
        check(disturbed(0.0).to_zip(), client, Gates(data, max_us_per_frame=1000.0))
    assert caught.value.reason == GateReason.LESS_ACCURATE
    unsure = with_threshold(1.0)
    with pytest.raises(ModelError, match="action precision none"):
        check(unsure.to_zip(), client, Gates(data, max_us_per_frame=1000.0))


@on_one_server
def test_taught_bundle_that_cost_its_base_accuracy_is_refused_unless_accepted(client: Any) -> None:
    before = OLD.manifest.evaluation["held_out"].model_dump()
    after = before | {"accuracy": before["accuracy"] - 0.004}
    costly = sealed(OLD.files, evaluation={BASE_BEFORE: before, BASE_AFTER: after}).to_zip()
    with pytest.raises(ModelError, match=r"cost its base 0\.40 points") as caught:
        check(costly, client, GATES)
    assert caught.value.reason == GateReason.LESS_ACCURATE
    assert check(costly, client, replace(GATES, max_fall=0.005)).fault is None


def test_champion_as_challenger_is_refused(client: Any) -> None:
    passed = Passed(NEW.version, NEW.to_zip())
    promote(client, passed)
    with pytest.raises(SettingsError, match="is the champion"):
        challenge(client, passed, 0.1)


def golden_csv() -> str:
    """Return a CSV of the bundled golden hands, labelled by the bundled model."""
    from gesture_maze.models.dataset import COORDINATES
    from gesture_maze.wire.gestures import GESTURES

    golden = OLD.golden
    lines = [",".join([*COORDINATES, "label"])]
    for hand, aspect, probabilities in zip(
        golden.landmarks, golden.aspect, golden.probabilities, strict=True
    ):
        flat = (hand[:, :2] * [aspect, 1.0]).ravel()
        lines.append(",".join([*map(str, flat.tolist()), GESTURES[int(probabilities.argmax())]]))
    return "\n".join(lines) + "\n"


@on_one_server
def test_bundled_model_by_path_is_found(client: Any) -> None:
    assert find(str(bundled_path()), sources(client))
