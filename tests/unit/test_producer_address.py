"""Redis URLs: parsing, and the errors for invalid ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from redis.asyncio.sentinel import SentinelConnectionPool as AsyncPool
from redis.sentinel import SentinelConnectionPool

from gesture_maze.producer.address import (
    Place,
    is_sentinel,
    open_async_client,
    open_client,
    tls_hint,
    without_password,
)
from gesture_maze.wire.errors import SettingsError

URL = "redis+sentinel://user:p%40ss@one:26380,two,[::1]:5/maze/3?sentinel_password=key&ssl_ca_certs=ca.pem"


def test_sentinel_url_is_parsed_into_its_parts() -> None:
    place = Place.of(URL)
    assert place.sentinels == [("one", 26380), ("two", 26379), ("::1", 5)]
    assert place.service == "maze"
    assert place.redis == {"username": "user", "password": "p@ss", "db": 3, "ssl_ca_certs": "ca.pem"}
    assert place.sentinel == {"password": "key", "ssl_ca_certs": "ca.pem"}


def test_sentinel_url_with_tls_enables_tls_for_redis_and_sentinels() -> None:
    place = Place.of("rediss+sentinel://one/maze")
    assert place.redis == {"db": 0, "ssl": True}
    assert place.sentinel == {"ssl": True}
    client: Any = open_client("rediss+sentinel://one/maze", name="n", timeout_s=1.0)
    assert "SSL" in client.connection_pool.connection_class.__name__


@pytest.mark.parametrize(
    ("open_one", "pool"), [(open_client, SentinelConnectionPool), (open_async_client, AsyncPool)]
)
def test_client_with_sentinel_url_uses_sentinel_pool(open_one: Any, pool: type[Any]) -> None:
    found = open_one(URL.partition("&ssl")[0], name="worker-1", timeout_s=2.0).connection_pool
    assert isinstance(found, pool)
    words = found.connection_kwargs
    assert (words["client_name"], words["socket_timeout"], words["db"]) == ("worker-1", 2.0, 3)
    assert words["retry"].get_retries() == 0, "the caller decides whether to retry"


@pytest.mark.parametrize("open_one", [open_client, open_async_client])
@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://x", r"begins with redis://, .*redis\+sentinel://, .*redis\+cluster://"),
        ("redis+sentinel://one:26379", "/service"),
        ("redis+sentinel:///maze", "/service"),
        ("redis+sentinel://one:port/maze", "port"),
        ("redis+sentinel://one,,two/maze", "not host:port"),
        ("redis+sentinel://u:secret@one/maze/0?socket_timeout=soon", "socket_timeout"),
    ],
)
def test_invalid_url_raises_settings_error_without_password(open_one: Any, url: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says) as error:
        open_one(url, name="n", timeout_s=1.0)
    assert "secret" not in str(error.value)


def test_sentinel_url_is_shown_without_passwords() -> None:
    assert without_password(URL) == (
        "redis+sentinel://user:***@one:26380,two,[::1]:5/maze/3?sentinel_password=***&ssl_ca_certs=ca.pem"
    )
    assert is_sentinel(URL)
    assert not is_sentinel("redis://one/0")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://:secret@host:6379/0", "redis://:***@host:6379/0"),
        ("rediss://user:sec:r@et@host/1", "rediss://user:***@host/1"),
        ("redis://user@host/1", "redis://user@host/1"),
        ("unix:///run/redis.sock?db=0&password=secret", "unix:///run/redis.sock?db=0&password=***"),
        ("redis://host:1/0?password=a&x=b", "redis://host:1/0?password=***&x=b"),
    ],
)
def test_url_with_password_is_shown_without_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_url_with_missing_certificate_files_names_them(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("x")
    url = (
        f"rediss://user:pw@host/0?ssl_ca_certs={tmp_path}/ca.pem&ssl_certfile=/no/c.pem&ssl_keyfile=/no/k.pem"
    )
    with pytest.raises(SettingsError) as caught:
        open_client(url, name="n", timeout_s=1.0)
    assert "ssl_certfile /no/c.pem: No such file" in str(caught.value)
    assert "ssl_keyfile /no/k.pem: No such file" in str(caught.value)
    assert "ssl_ca_certs" not in str(caught.value).partition("': ")[2]
    assert "pw" not in str(caught.value)


def test_tls_hint_names_other_scheme() -> None:
    assert "write redis://" in tls_hint("rediss://host/0")
    assert "write rediss://" in tls_hint("redis://host/0")


def test_malformed_url_raises_settings_error() -> None:
    with pytest.raises(SettingsError, match="Redis URL"):
        open_client("redis://[::1", name="n", timeout_s=1.0)
