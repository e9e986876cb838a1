"""Redis addresses as users give them, and clients for them.

`redis://`, `rediss://` (TLS) and `unix://` are redis-py's own. Behind Sentinels it is
`redis+sentinel://[user:password@]host:26379,host:26379/service[/db]`, or `rediss+sentinel://`: each new
connection asks them where the primary of `service` is, so that a failover is followed as soon as they agree.
Options after `?` are redis-py's (such as `ssl_ca_certs`) and apply to Redis and to the Sentinels, except
`sentinel_username` and `sentinel_password`, which apply to the Sentinels only.

A cluster is `redis+cluster://[user:password@]host:6379[,host:6379]` or `rediss+cluster://`, with some of its
nodes: the others are found through them. Its clients are used like those of a single Redis.

No client made here retries by itself: the caller decides what to do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.backoff import NoBackoff
from redis.connection import SSLConnection, parse_url
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry
from redis.sentinel import Sentinel

from gesture_maze.producer.cluster.aio import AsyncClusterRedis
from gesture_maze.producer.cluster.client import ClusterRedis
from gesture_maze.producer.cluster.slots import Address
from gesture_maze.wire.errors import SettingsError

SENTINEL_SCHEMES: Final = ("redis+sentinel", "rediss+sentinel")
SCHEMES: Final = (
    "redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster",
)  # fmt: skip
SENTINEL_PORT: Final = 26379
CLUSTER_SCHEMES: Final = ("redis+cluster", "rediss+cluster")
REDIS_PORT: Final = 6379
TLS_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
"""URL options whose values are file names."""


def open_client(url: str, *, name: str, timeout_s: float, connect_timeout_s: float | None = None) -> Redis:
    """Return a client of the Redis at `url`. It connects on first use.

    Args:
        url: see above.
        name: name of its connections, as `CLIENT LIST` shows it.
        timeout_s: longest wait for an answer, s.
        connect_timeout_s: longest wait for a connection, s; None means `timeout_s`.

    Raises:
        SettingsError: `settings`, if the URL is invalid.
    """
    words = _words(name, timeout_s, connect_timeout_s) | {"retry": Retry(NoBackoff(), 0)}
    client: Redis = _opened(url, words, Redis, Sentinel, ClusterRedis)
    return client


def open_async_client(
    url: str, *, name: str, timeout_s: float, connect_timeout_s: float | None = None
) -> AsyncRedis:
    """Asyncio version of `open_client`."""
    words = _words(name, timeout_s, connect_timeout_s) | {"retry": AsyncRetry(NoBackoff(), 0)}
    client: AsyncRedis = _opened(url, words, AsyncRedis, AsyncSentinel, AsyncClusterRedis)
    return client


def _opened(url: str, words: dict[str, Any], redis: Any, sentinel: Any, cluster: Any) -> Any:
    """Return a client, blocking or not, built with the given classes for Redis, Sentinels and clusters."""
    if url.partition("://")[0] not in SCHEMES:
        known = ", ".join(f"{one}://" for one in SCHEMES)
        message = f"Redis URL {without_password(url)!r}: expected one that begins with {known}"
        raise SettingsError("settings", message)
    try:
        _check_files(url)
        if is_cluster(url):
            seeds, options = _cluster_parts(url)
            return cluster(seeds, words | options)
        if not is_sentinel(url):
            return redis.from_url(url, **words)
        place = Place.of(url)
    except ValueError as error:
        message = f"Redis URL {without_password(url)!r}: {error}"
        raise SettingsError("settings", message) from None
    asking = {"sentinel_kwargs": words | place.sentinel}
    return sentinel(place.sentinels, **asking, **words | place.redis).master_for(place.service)


def _check_files(url: str) -> None:
    """Check that the certificate files named in a URL can be read: redis-py does not report which is missing.

    Raises:
        SettingsError: `settings`, naming each file that cannot be read.
    """
    faults = []
    for name, path in parse_qsl(urlsplit(url).query):
        if name in TLS_FILES:
            try:
                with Path(path).open("rb"):
                    pass
            except OSError as error:
                faults.append(f"{name} {path}: {error.strerror}")
    if faults:
        raise SettingsError("settings", f"Redis URL {without_password(url)!r}: {'; '.join(faults)}")


def tls_hint(url: str) -> str:
    """Return what may be wrong with TLS if a connection to `url` was closed or timed out."""
    if url.startswith(("rediss://", "rediss+")):
        return "if that port has no TLS, write redis:// instead of rediss://"
    return "if that port expects TLS, write rediss:// instead of redis://"


def is_sentinel(url: str) -> bool:
    """Return whether an address names Sentinels, not Redis itself."""
    return url.partition("://")[0] in SENTINEL_SCHEMES


def is_cluster(url: str) -> bool:
    """Return whether an address names nodes of a cluster."""
    return url.partition("://")[0] in CLUSTER_SCHEMES


def _cluster_parts(url: str) -> tuple[list[Address], dict[str, Any]]:
    """Return the nodes that a URL names, and the keywords of a connection to a node.

    Raises:
        ValueError: it names no node, or a database: a cluster has only database 0.
    """
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    if not hosts:
        raise ValueError("expected redis+cluster://host:6379,host:6379")
    if parts.path.strip("/") not in ("", "0"):
        raise ValueError("a cluster has only database 0: leave it out")
    options = _connection_words(parts.scheme, login, 0, parts.query)
    return [Address(*_host(one, REDIS_PORT)) for one in hosts.split(",")], options


def _connection_words(scheme: str, login: str, db: str | int, query: str) -> dict[str, Any]:
    """Return keywords of a connection, as redis-py reads a plain address with the same login and options."""
    found = parse_url(f"{scheme.partition('+')[0]}://{login}@host/{db}?{query}")
    del found["host"]
    tls = {"ssl": True} if found.pop("connection_class", None) is SSLConnection else {}
    return dict(found) | tls


def without_password(url: str) -> str:
    """Return a Redis URL as it may be shown and logged: `redis://user:***@host:6379/0`."""
    url = re.sub(r"(?<=://)([^/?#@:]*):[^/?#]*@", r"\1:***@", url)
    return re.sub(r"(?<=password=)[^&#]*", "***", url)


@dataclass(frozen=True, slots=True)
class Place:
    """A Redis behind Sentinels.

    Attributes:
        sentinels: host and port of each.
        service: the name by which they know the primary.
        redis: keywords of a connection to Redis: user, password, db, TLS.
        sentinel: the same for a connection to a Sentinel.
    """

    sentinels: list[tuple[str, int]]
    service: str
    redis: dict[str, Any]
    sentinel: dict[str, Any]

    @classmethod
    def of(cls, url: str) -> Place:
        """Parse a URL.

        Raises:
            ValueError: it names no Sentinel or no service, or a part is malformed.
        """
        parts = urlsplit(url)
        login, _, hosts = parts.netloc.rpartition("@")
        service, _, db = parts.path.strip("/").partition("/")
        if not hosts or not service:
            raise ValueError("expected redis+sentinel://host:26379,host:26379/service")
        found = _connection_words(parts.scheme, login, db or 0, parts.query)
        own = {word: found.pop(f"sentinel_{word}", None) for word in ("username", "password")}
        options = {word: value for word, value in found.items() if word.startswith("ssl")}
        sentinel = options | {word: value for word, value in own.items() if value is not None}
        nodes = [_host(one, SENTINEL_PORT) for one in hosts.split(",")]
        return cls(nodes, service, found, sentinel)


def _host(text: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError(f"{text!r} is not host:port")
    return parts.hostname, parts.port or port


def _words(name: str, timeout_s: float, connect_timeout_s: float | None) -> dict[str, Any]:
    return {
        "client_name": name,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s if connect_timeout_s is None else connect_timeout_s,
        # notices from a managed service would silently change our timeouts
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
