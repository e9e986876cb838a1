"""The roles of Redis users: the table of their rights, and the ACL file made from it.

Rules are those of Redis 7.0 (selectors in parentheses grant a command only together with their own keys) and
are understood by Valkey. Lua adds no rights: every command in a script is checked against its caller. But
EVALSHA itself asks for read and write on each of its keys in one place, so that roles that run the pool's
scripts have keys there on which they hold no command that writes. HELLO, AUTH, QUIT and RESET need no rule.
No role has PSUBSCRIBE (it receives every reply), KEYS, SCAN, FLUSHALL, CONFIG SET or another's password.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

from gesture_maze.wire import keys
from gesture_maze.wire.errors import SettingsError

FRAMES: Final = f"~{keys.pattern(keys.frames_key)}"
READ_FRAMES: Final = f"%R{FRAMES}"
WRITE_FRAMES: Final = f"%W{FRAMES}"
LEASES: Final = f"~{keys.pattern(keys.lease_key)}"
OWNERSHIP: Final = f"{LEASES} ~{keys.pattern(keys.epoch_key)}"
SUSPECTS: Final = f"~{keys.pattern(keys.suspect_key)}"
OUTCOMES: Final = f"~{keys.pattern(keys.outcomes_key)}"
DEAD: Final = f"~{keys.pattern(keys.dead_key)}"
COUNTS: Final = f"{OUTCOMES} {DEAD}"
WORKERS: Final = f"~{keys.WORKERS}"
WORKERS_INFO: Final = f"~{keys.WORKERS_INFO}"
TOPOLOGY: Final = f"~{keys.TOPOLOGY}"
ROSTER: Final = f"{WORKERS} {WORKERS_INFO} {TOPOLOGY}"
BUNDLES: Final = f"~{keys.bundle_key('*')}"
SHADOWS: Final = f"~{keys.shadow_key('*', '')}".removesuffix(":")
MODELS: Final = f"~{keys.MODEL} ~{keys.MODELS} {BUNDLES} {SHADOWS}"
READ_MODELS: Final = f"%R~{keys.MODEL} %R{BUNDLES}"
REPLIES: Final = f"&{keys.actions_channel(0, '').partition('0')[0]}*"
"""Channels of replies. Not `actions:*`, which would also allow a subscription to that whole pattern."""
WAKE: Final = f"&{keys.WAKE_CHANNEL}"
RACES: Final = f"&{keys.RACES}"
DEMO: Final = f"~{keys.DEMO}"

_CLUSTER: Final = "+cluster|slots +asking"
"""Rights to read the slot table, and to redirect a command while its slot moves."""
_ANYBODY: Final = f"+ping +client|setname +client|id +select {_CLUSTER}"
_LISTEN: Final = "+subscribe +unsubscribe +ssubscribe +sunsubscribe"
"""Rights to subscribe to channels, on a cluster to sharded ones."""
_SEND: Final = (
    f"(+xadd {WRITE_FRAMES}) (+xinfo|groups +xlen {READ_FRAMES}) (+hsetnx %W{TOPOLOGY}) "
    f"(+hmget %R{TOPOLOGY} %R{OUTCOMES})"
)
_LOOK: Final = (
    "+evalsha +script|load +script|exists +xinfo|stream +xinfo|groups +xlen +xrange "
    "+get +pttl +exists +hgetall +hmget +zrange +time"
)


@dataclass(frozen=True, slots=True)
class Role:
    """One user of Redis.

    Attributes:
        name: name of the user.
        who: a sentence for people.
        rules: ACL rules after the password, in Redis's own words.
    """

    name: str
    who: str
    rules: str


ROLES: Final = (
    Role(
        "producer",
        "game servers: add frames, receive the replies to sessions they name",
        f"{REPLIES} {_ANYBODY} +multi +exec {_LISTEN} {_SEND}",
    ),
    Role(
        "gateway",
        "the gateway: a producer that keeps scores, games and races, and shows the demo",
        f"{REPLIES} &{keys.GATEWAY_CHANNEL} &{keys.DEMO} {RACES} {_ANYBODY} +multi +exec "
        f"{_LISTEN} {_SEND} (+publish {RACES}) (+get %R{DEMO}) "
        f"(+hgetall %R{WORKERS_INFO}) "
        f"(+zadd +zremrangebyrank +zrank +zrange +zrem +expire +unlink ~{keys.scores_key('*')}) "
        f"(+get +set ~{keys.game_key('*')}) (+hset +hincrby +hgetall +expire ~{keys.race_key('*')})",
    ),
    Role(
        "worker",
        "workers and their supervisor: own partitions, read frames, publish replies, move the cursor; "
        "cannot add a frame",
        f"{FRAMES} {OWNERSHIP} {SUSPECTS} {COUNTS} {ROSTER} {REPLIES} {WAKE} {_ANYBODY} +client|unblock "
        "+multi +exec +evalsha +script|load +script|exists +time +get +mget +exists +hget +hmget +zrange "
        "+zrangebyscore +xread +xrange +xinfo|stream +xinfo|groups +type +pttl +info +publish +spublish "
        f"(+xgroup|create +xgroup|setid +xtrim {WRITE_FRAMES}) "
        f"(+set +pexpire {OWNERSHIP}) (+del {LEASES} {SUSPECTS}) "
        f"(+hset +hdel +hincrby +hgetall {SUSPECTS}) "
        f"(+hset {OUTCOMES}) (+xadd %W{DEAD}) "
        f"(+zadd +zrem +zremrangebyscore {WORKERS}) (+hset +hdel {WORKERS_INFO}) "
        f"(+hset +hsetnx {TOPOLOGY}) (+subscribe +unsubscribe {WAKE}) "
        f"(+hmget +getrange {READ_MODELS}) (+hincrby +expire {SHADOWS})",
    ),
    Role(
        "operator",
        "people and `maze status, top, doctor, dead, models, promote, rollback, capture`",
        f"{FRAMES} {OWNERSHIP} {COUNTS} {ROSTER} {MODELS} {REPLIES} {WAKE} {_ANYBODY} {_LOOK} "
        "+multi +exec +getrange +strlen +hget +zrevrange +xread +xrevrange "
        f"{_LISTEN} +info +config|get +acl|whoami +acl|dryrun +slowlog|get +latency|latest "
        f"(+xadd {WRITE_FRAMES}) (+xdel {DEAD}) "
        f"(+set +del +hset +hdel +zadd +zrem {MODELS}) (+publish {WAKE})",
    ),
    Role(
        "watch",
        "`maze watch` and `maze simulate`: read the pool's status, and send synthetic sessions",
        f"{FRAMES} {OWNERSHIP} {COUNTS} {ROSTER} {REPLIES} {_ANYBODY} {_LOOK} +multi +exec {_LISTEN} {_SEND}",
    ),
    Role(
        "exporter",
        "redis_exporter and KEDA: figures of the server and of the streams, no frame's content but "
        "the newest ids",
        f"{READ_FRAMES} %R{DEAD} {_ANYBODY} +info +xlen +type +xinfo|stream +xinfo|groups "
        "+xinfo|consumers +slowlog|len +slowlog|get +latency|latest +latency|histogram +cluster|info",
    ),
    Role(
        "replica",
        "replicas of a cluster, as masteruser in its configuration; not used otherwise",
        "+ping +psync +replconf",
    ),
    Role(
        "jobs",
        "RQ's workers and who submits jobs; on a database, or better a server, of their own",
        f"~rq:* &rq:* {_ANYBODY} +client|list +client|info +info +multi +exec +watch +unwatch +discard "
        "+evalsha +script|load +script|exists +eval +get +set +del +exists +expire +expireat +ttl "
        "+persist +incr +rename +type +hget +hmget +hgetall +hset +hsetnx +hdel +hexists "
        "+hincrby +hincrbyfloat +sadd +srem +smembers +sismember +scard +lpush +rpush +lpop +rpop +blpop "
        "+brpop +llen +lrange +lrem +lpos +lmove +blmove +rpoplpush +brpoplpush +zadd +zrem +zrange "
        "+zrangebyscore +zrevrangebyscore +zrevrange +zcard +zcount +zscore +zremrangebyscore +zpopmin "
        "+xadd +xtrim +xrevrange +xrange +publish +subscribe +unsubscribe",
    ),
)
"""In the order in which `maze acl` prints them."""

SHORTEST_PASSWORD: Final = 16
"""Hashes are not salted: a short password could be guessed from the file."""


def acl_file(passwords: Mapping[str, str]) -> str:
    """Return the file that `aclfile` in redis.conf names: hashes, never passwords.

    Args:
        passwords: by role; each role must have one of at least 16 characters.

    Raises:
        SettingsError: `settings`, with every role whose password is missing or too short.
    """
    weak = [role.name for role in ROLES if len(passwords.get(role.name, "")) < SHORTEST_PASSWORD]
    if weak:
        message = f"passwords must have {SHORTEST_PASSWORD} characters or more; see {', '.join(weak)}"
        raise SettingsError("settings", message)
    # an ACL file cannot contain comments
    lines = ["user default off resetpass resetkeys resetchannels -@all"]
    return "\n".join([*lines, *(acl_line(role, passwords[role.name]) for role in ROLES)]) + "\n"


def acl_line(role: Role, password: str) -> str:
    """Return the line of one user."""
    digest = hashlib.sha256(password.encode()).hexdigest()
    return f"user {role.name} on sanitize-payload #{digest} resetkeys resetchannels -@all {role.rules}"


def kept_passwords(folder: Path, *, create: bool) -> dict[str, str]:
    """Return the roles' passwords from `folder/<role>.password`, without the line's end.

    Args:
        folder: where they are.
        create: create those that are missing, from 32 random bytes; the folder is then accessible to its
            owner only.

    Raises:
        SettingsError: `settings`, if one is missing and `create` is not set.
        OSError: the folder cannot be read or written.
    """
    if create:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    found = {}
    for role in ROLES:
        path = folder / f"{role.name}.password"
        if create and not path.exists():
            # without a newline, which a Kubernetes Secret would pass on as part of the password
            _write_secret(path, secrets.token_urlsafe(32))
        if not path.exists():
            raise SettingsError("settings", f"{path} is missing: --create creates it")
        found[role.name] = path.read_text().rstrip("\r\n")
    return found


def write_urls(folder: Path, url: str, passwords: Mapping[str, str]) -> None:
    """Write `folder/<role>.url`: the address of Redis with the role's name and password in it.

    None is written for `jobs` on a cluster, where RQ does not work: jobs need a Redis of their own.

    `MAZE_REDIS_FILE` may name such a file, in a container a mounted secret. `exporter.json` is the same for
    redis_exporter's -redis.password-file, and `replica.conf` for the configuration of a replica.

    Raises:
        SettingsError: `settings`, if `url` is not a Redis URL or already has a user.
    """
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.partition("+")
    if (
        scheme not in ("redis", "rediss")
        or kind not in ("", "cluster")
        or not parts.hostname
        or "@" in parts.netloc
    ):
        raise SettingsError(
            "settings",
            f"--url {_shown(url)} must be redis[s]://host:port/database, or "
            "redis[s]+cluster://host:port,host:port, without a user",
        )
    for role, password in passwords.items():
        if role == "jobs" and kind == "cluster":
            continue
        address = f"{role}:{quote(password, safe='')}@{parts.netloc}"
        _write_secret(folder / f"{role}.url", urlunsplit(parts._replace(netloc=address)) + "\n")
    login = passwords["replica"].replace("\\", "\\\\").replace('"', '\\"')
    _write_secret(folder / "replica.conf", f'masteruser replica\nmasterauth "{login}"\n')
    # older exporters look for the address alone, newer ones for the user's name in it too
    known = {
        f"{scheme}://{user}{host}": passwords["exporter"]
        for host in parts.netloc.split(",")
        for user in ("", "exporter@")
    }
    _write_secret(folder / "exporter.json", json.dumps(known) + "\n")


def _write_secret(path: Path, text: str) -> None:
    """Write a file that all users can read, because a container that mounts it runs as another user.

    The folder keeps other users out.
    """
    path.touch(mode=0o644)
    path.write_text(text)


def _shown(url: str) -> str:
    return re.sub(r"(?<=://)[^/]*@", "***@", url)
