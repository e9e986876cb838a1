"""Rights of each role in Redis: every command and key, first as a dry run and then executed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis

from gesture_maze.ops.acl import ROLES, acl_file
from gesture_maze.wire.errors import SettingsError
from tests.support.roles import give
from tests.support.servers import Server

PASSWORD = "a password of the tests"
NAMES = [role.name for role in ROLES]
DENIED = (redis.exceptions.NoPermissionError,)

KEYS = {
    "frames": "frames:{3}", "lease": "lease:{3}", "epoch": "epoch:{3}", "suspect": "suspect:{3}",
    "outcomes": "outcomes:{3}", "dead": "dead:{3}", "workers": "{maze}:workers",
    "info": "{maze}:workers:info", "topology": "{maze}:topology", "model": "{maze}:model",
    "models": "{maze}:models", "bundle": "{maze}:model:v1", "shadow": "{maze}:shadow:a:b",
    "scores": "{maze}:scores:small", "demo": "{maze}:demo", "rq": "rq:queue:default",
    "game": "{maze}:game:a1", "race": "{maze}:race:b2", "else": "frames:3",
}  # fmt: skip
"""Kind -> an example key; the last one is granted to no role."""

COMMANDS = {
    "XADD": "XADD K * a b", "XDEL": "XDEL K 1-1", "XTRIM": "XTRIM K MAXLEN 0", "XLEN": "XLEN K",
    "XRANGE": "XRANGE K - + COUNT 1", "XREVRANGE": "XREVRANGE K + - COUNT 1", "XREAD": "XREAD STREAMS K 0",
    "XREADGROUP": "XREADGROUP GROUP maze me STREAMS K >", "XACK": "XACK K maze 1-1",
    "XAUTOCLAIM": "XAUTOCLAIM K maze me 0 0", "XPENDING": "XPENDING K maze", "XSETID": "XSETID K 9-9",
    "XINFO STREAM": "XINFO STREAM K", "XINFO GROUPS": "XINFO GROUPS K",
    "XGROUP CREATE": "XGROUP CREATE K g 0",
    "XGROUP SETID": "XGROUP SETID K maze 0", "XGROUP DESTROY": "XGROUP DESTROY K other",
    "GET": "GET K", "MGET": "MGET K", "GETRANGE": "GETRANGE K 0 1", "STRLEN": "STRLEN K", "SET": "SET K v",
    "GETSET": "GETSET K v", "INCR": "INCR K", "APPEND": "APPEND K v", "DEL": "DEL K", "UNLINK": "UNLINK K",
    "EXISTS": "EXISTS K", "EXPIRE": "EXPIRE K 100", "PEXPIRE": "PEXPIRE K 100000", "PERSIST": "PERSIST K",
    "PTTL": "PTTL K", "TYPE": "TYPE K", "RENAME": "RENAME K frames:{4}", "COPY": "COPY K frames:{4}",
    "DUMP": "DUMP K", "OBJECT ENCODING": "OBJECT ENCODING K", "SORT": "SORT K", "HGET": "HGET K f",
    "HMGET": "HMGET K f", "HGETALL": "HGETALL K", "HSET": "HSET K f v", "HSETNX": "HSETNX K f v",
    "HDEL": "HDEL K f", "HINCRBY": "HINCRBY K f 1", "ZADD": "ZADD K 1 m", "ZREM": "ZREM K m",
    "ZRANGE": "ZRANGE K 0 -1", "ZREVRANGE": "ZREVRANGE K 0 -1", "ZRANK": "ZRANK K m",
    "ZRANGEBYSCORE": "ZRANGEBYSCORE K 0 1", "ZREMRANGEBYSCORE": "ZREMRANGEBYSCORE K 0 1",
    "ZREMRANGEBYRANK": "ZREMRANGEBYRANK K 0 1", "LPUSH": "LPUSH K v", "LRANGE": "LRANGE K 0 -1",
    "RPOP": "RPOP K", "SADD": "SADD K m", "SMEMBERS": "SMEMBERS K", "EVAL": "EVAL x 1 K",
}  # fmt: skip

POOL = {"frames", "lease", "epoch", "outcomes", "dead", "workers", "info", "topology"}
MODEL = {"model", "models", "bundle", "shadow"}
SENDS = {
    "XADD": {"frames"}, "XINFO GROUPS": {"frames"}, "XLEN": {"frames"}, "HSETNX": {"topology"},
    "HMGET": {"topology", "outcomes"},
}  # fmt: skip
LOOKS = dict.fromkeys(
    ("XINFO STREAM", "XINFO GROUPS", "XLEN", "XRANGE", "GET", "PTTL", "EXISTS", "HGETALL", "HMGET", "ZRANGE"),
    POOL,
)
WORKS = POOL | {"suspect"}
READ_ONLY = {"frames", "dead"}
QUEUES = {"rq"}
ALLOWED: dict[str, dict[str, set[str]]] = {
    "producer": SENDS,
    "gateway": {
        **SENDS, "ZADD": {"scores"}, "ZREMRANGEBYRANK": {"scores"}, "ZRANK": {"scores"}, "ZRANGE": {"scores"},
        "ZREM": {"scores"}, "UNLINK": {"scores"}, "EXPIRE": {"scores", "race"}, "GET": {"demo", "game"},
        "SET": {"game"}, "HSET": {"race"}, "HINCRBY": {"race"}, "HGETALL": {"race", "info"},
    },
    "worker": {
        **dict.fromkeys(
            ("GET", "MGET", "EXISTS", "HGET", "ZRANGE", "ZRANGEBYSCORE", "XREAD", "XRANGE", "XINFO STREAM",
             "XINFO GROUPS", "TYPE", "PTTL"), WORKS,
        ),
        "HMGET": WORKS | {"model", "bundle"}, "GETRANGE": {"model", "bundle"},
        "XGROUP CREATE": {"frames"}, "XGROUP SETID": {"frames"}, "XTRIM": {"frames"}, "XADD": {"dead"},
        "SET": {"lease", "epoch"}, "PEXPIRE": {"lease", "epoch"}, "DEL": {"lease", "suspect"},
        "HSET": {"suspect", "outcomes", "info", "topology"}, "HDEL": {"suspect", "info"},
        "HGETALL": {"suspect"}, "HINCRBY": {"suspect", "shadow"}, "EXPIRE": {"shadow"},
        "HSETNX": {"topology"}, "ZADD": {"workers"}, "ZREM": {"workers"}, "ZREMRANGEBYSCORE": {"workers"},
    },
    "operator": {
        **{word: kinds | MODEL for word, kinds in LOOKS.items()},
        **dict.fromkeys(("GETRANGE", "STRLEN", "HGET", "ZREVRANGE", "XREAD", "XREVRANGE"), POOL | MODEL),
        "XADD": {"frames"}, "XDEL": {"dead"},
        **dict.fromkeys(("SET", "DEL", "HSET", "HDEL", "ZADD", "ZREM"), MODEL),
    },
    "watch": {**LOOKS, "XADD": {"frames"}, "HSETNX": {"topology"}},
    "exporter": dict.fromkeys(("XLEN", "TYPE", "XINFO STREAM", "XINFO GROUPS"), READ_ONLY),
    "replica": {},
    "jobs": dict.fromkeys(
        ("GET", "SET", "DEL", "EXISTS", "EXPIRE", "PERSIST", "INCR", "TYPE", "HGET", "HMGET", "HGETALL",
         "HSET", "HSETNX", "HDEL", "HINCRBY", "ZADD", "ZREM", "ZRANGE", "ZREVRANGE", "ZRANGEBYSCORE",
         "ZREMRANGEBYSCORE", "LPUSH", "LRANGE", "RPOP", "SADD", "SMEMBERS", "XADD", "XTRIM", "XRANGE",
         "XREVRANGE", "EVAL"), QUEUES,
    ),
}  # fmt: skip
"""What each role may do, stated independently of ops.acl. Everything else must be refused."""

DANGEROUS = (
    "FLUSHALL", "FLUSHDB", "KEYS *", "SCAN 0", "RANDOMKEY", "DBSIZE", "SHUTDOWN", "DEBUG SLEEP 0", "MONITOR",
    "SAVE", "BGSAVE", "BGREWRITEAOF", "SWAPDB 0 1", "REPLICAOF NO ONE", "FAILOVER", "SYNC", "CONFIG SET a b",
    "CONFIG REWRITE", "CONFIG RESETSTAT", "ACL LIST", "ACL GETUSER default", "ACL SETUSER x on",
    "ACL DELUSER x", "ACL LOAD", "ACL LOG", "CLIENT KILL ID 0", "CLIENT NO-EVICT on", "CLIENT PAUSE 0",
    "MODULE LIST", "SCRIPT FLUSH", "SCRIPT KILL", "FUNCTION FLUSH", "FUNCTION LOAD x", "FCALL x 0",
    "PUBSUB CHANNELS", "PSUBSCRIBE actions:*", "CLUSTER RESET", "SLOWLOG RESET", "LATENCY RESET",
    "MEMORY PURGE", "MIGRATE h 1 k 0 1",
)  # fmt: skip
"""Commands that no role may run."""

CHANNEL_COMMANDS = ("SUBSCRIBE", "PUBLISH", "SPUBLISH", "SSUBSCRIBE")


def listens(*kinds: str) -> dict[str, set[str]]:
    """Return the right to subscribe to channels, plain and sharded."""
    return {"SUBSCRIBE": set(kinds), "SSUBSCRIBE": set(kinds)}


CHANNELS = {
    "replies": "actions:{3}:p1", "pattern": "actions:*", "wake": "{maze}:wake", "demo": "{maze}:demo",
    "gateway": "{maze}:gateway", "races": "{maze}:races", "rq": "rq:pubsub:command",
    "events": "__keyspace@0__:x",
}  # fmt: skip
ALLOWED_CHANNELS: dict[str, dict[str, set[str]]] = {
    "producer": listens("replies"),
    "gateway": {**listens("replies", "demo", "gateway", "races"), "PUBLISH": {"races"}},
    "worker": {"SUBSCRIBE": {"wake"}, "PUBLISH": {"replies", "wake"}, "SPUBLISH": {"replies", "wake"}},
    "operator": {**listens("replies", "wake"), "PUBLISH": {"wake"}},
    "watch": listens("replies"),
    "exporter": {},
    "replica": {},
    "jobs": {"SUBSCRIBE": {"rq"}, "PUBLISH": {"rq"}},
}


@dataclass
class Guarded:
    """A server with the roles: `admin` may run every command; `users` maps roles to clients."""

    admin: Any
    users: dict[str, Any]

    def may(self, role: str, *words: str) -> bool:
        """Return whether the server would allow the command, without running it."""
        return bool(self.admin.execute_command("ACL DRYRUN", role, *words) in (b"OK", "OK"))


@pytest.fixture
def guarded(real_server: Server) -> Iterator[Guarded]:
    """A real server with a user per role; the default user stays enabled for the tests."""
    admin = real_server.client
    for role in ROLES:
        give(admin, role, PASSWORD)
    address = admin.connection_pool.connection_kwargs
    users = {
        name: redis.Redis(host=address["host"], port=address["port"], username=name, password=PASSWORD)
        for name in NAMES
    }
    yield Guarded(admin, users)
    for client in users.values():
        client.close()
    admin.execute_command("ACL DELUSER", *NAMES)


def expected(role: str, word: str, kind: str) -> bool:
    return kind in ALLOWED[role].get(word, set())


def test_role_with_each_command_and_key_has_only_the_expected_rights(
    guarded: Guarded, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = [(role, word, kind) for role in NAMES for word in COMMANDS for kind in KEYS]
    with guarded.admin.pipeline(transaction=False) as pipe:
        for role, word, kind in cells:
            pipe.execute_command("ACL DRYRUN", role, *_words(word, kind))
        answers = pipe.execute()
    allowed = [cell for cell, answer in zip(cells, answers, strict=True) if answer in (b"OK", "OK")]
    assert allowed == [cell for cell in cells if expected(*cell)]
    with capsys.disabled():
        sys.stdout.write(f" {len(cells):,} cells, {len(allowed)} allowed ")


@pytest.mark.parametrize("role", NAMES)
def test_command_of_a_role_without_the_right_is_refused_by_the_server(guarded: Guarded, role: str) -> None:
    cells = [(word, kind) for word in COMMANDS for kind in KEYS]
    with guarded.users[role].pipeline(transaction=False) as pipe:
        for word, kind in cells:
            pipe.execute_command(*_words(word, kind))
        answers = pipe.execute(raise_on_error=False)
    refused = [cell for cell, answer in zip(cells, answers, strict=True) if isinstance(answer, DENIED)]
    assert refused == [cell for cell in cells if not expected(role, *cell)]


def _words(word: str, kind: str) -> list[str]:
    return [KEYS[kind] if part == "K" else part for part in COMMANDS[word].split(" ")]


@pytest.mark.parametrize("role", NAMES)
def test_dangerous_command_of_any_role_is_refused(guarded: Guarded, role: str) -> None:
    allowed = [words for words in DANGEROUS if guarded.may(role, *words.split(" "))]
    assert allowed == []


@pytest.mark.parametrize("role", NAMES)
def test_role_with_each_channel_has_only_the_expected_rights(guarded: Guarded, role: str) -> None:
    for word in CHANNEL_COMMANDS:
        for kind, channel in CHANNELS.items():
            words = [word, channel] + ["x"] * word.endswith("PUBLISH")
            assert guarded.may(role, *words) == (kind in ALLOWED_CHANNELS[role].get(word, set())), words


def test_script_without_the_right_to_write_a_key_is_refused(guarded: Guarded) -> None:
    worker = guarded.users["worker"]
    sha = worker.script_load("return redis.call('XADD', KEYS[1], '*', 'a', 'b')")
    with pytest.raises(redis.ResponseError, match=r"(?i)permission|ACL failure|can't access"):
        worker.evalsha(sha, 1, "frames:{3}")
    assert worker.evalsha(sha, 1, "dead:{3}")


def test_wrong_password_is_refused(guarded: Guarded) -> None:
    address = guarded.admin.connection_pool.connection_kwargs
    with (
        redis.Redis(
            host=address["host"], port=address["port"], username="worker", password="guess"
        ) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_passwords_missing_or_short_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"producer, .*jobs"):
        acl_file(dict.fromkeys(NAMES, "short"))


def test_acl_file_contains_hashes_and_no_passwords() -> None:
    text = acl_file(dict.fromkeys(NAMES, PASSWORD))
    assert PASSWORD not in text
    assert text.startswith("user default off ")
    assert text.count("\nuser ") == len(ROLES)
