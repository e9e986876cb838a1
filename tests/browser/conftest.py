"""A real browser with a real gateway, Redis and worker."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import Served, serving
from tests.support.processes import Workers
from tests.support.servers import Proxy, Server, absent, running_valkey

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
CAMERA_FLAGS = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
PICTURES = os.environ.get("MAZE_PICTURES")
"""A folder for screenshots of the tests, some of which the documentation uses."""


# module scope: Playwright runs an event loop in this thread, which would block the asyncio tests elsewhere
@pytest.fixture(scope="module")
def playwright() -> Iterator[Any]:
    """Playwright, without a browser."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        absent("playwright")
    with sync_playwright() as found:
        yield found


def launched(playwright: Any, *flags: str) -> Any:
    """Return a new browser; the build without windows starts in less than half the time."""
    binary = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if binary is None:
        absent("chromium")
    return playwright.chromium.launch(executable_path=binary, args=[*FLAGS, *flags])


@pytest.fixture(scope="module")
def chromium(playwright: Any) -> Iterator[Any]:
    """A browser without a camera."""
    browser = launched(playwright)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for the whole session."""
    with running_valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def workers(redis_server: Server) -> Iterator[Workers]:
    """The worker processes of the server; one is started."""
    assert redis_server.url is not None
    with Workers(redis_server.url, redis_server.client) as found:
        found.start("browser-worker")
        yield found


@pytest.fixture(scope="session")
def gateway(redis_server: Server, workers: Workers) -> Iterator[Served]:
    """A gateway on the server of the session."""
    assert redis_server.url is not None
    with serving(redis_server.url) as found:
        yield found


class Line(Proxy):
    """The connection between a browser and its gateway."""

    def cut(self) -> None:
        """Close all connections; new ones are accepted."""
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    @property
    def address(self) -> str:
        """The URL that the browser opens."""
        return self.url.removeprefix("redis://").partition("/")[0]


@pytest.fixture
def line(gateway: Served) -> Iterator[Line]:
    """A connection that a test can close."""
    found = Line(int(gateway.address.rpartition(":")[2]))
    yield found
    found.close()


Visit = Callable[..., Any]
DEFAULTS: dict[str, Any] = {"viewport": {"width": 1180, "height": 860}, "service_workers": "block"}
"""Options without the offline shell, whose cached answers could hide those of the gateway."""


@pytest.fixture
def visit(chromium: Any, gateway: Served) -> Iterator[Visit]:
    """Open a page of the gateway in its own browser context; an error on the page fails the test."""
    faults: list[str] = []
    contexts = []

    def open_page(path: str, address: str = gateway.address, scheme: str = "http", **options: Any) -> Any:
        context = chromium.new_context(**DEFAULTS | options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda one: faults.append(one.text) if "Content Security" in one.text else None)
        page.goto(f"{scheme}://{address}{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not faults


def picture(page: Any, name: str, **options: Any) -> None:
    """Save a screenshot if a folder for them is set."""
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", **options)
