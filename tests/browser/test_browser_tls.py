"""The page over https in a real browser, with and without a client certificate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Visit
from tests.support.certificates import client_context, make_certificates
from tests.support.gateway import serving
from tests.support.processes import Workers
from tests.support.servers import Server


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("ours"), "redis")


@pytest.mark.parametrize("closed", [False, True])
def test_page_over_tls_plays(
    visit: Visit, redis_server: Server, workers: Workers, ours: Path, closed: bool
) -> None:
    files = {"tls_cert": ours / "gateway.pem", "tls_key": ours / "gateway.key"}
    shown: dict[str, Any] = {}
    if closed:
        files["tls_client_ca"] = ours / "ca.pem"
    with serving(str(redis_server.url), client_context(ours, ours), **files) as gateway:
        origin = f"https://localhost:{gateway.address.rpartition(':')[2]}"
        if closed:
            mine = {"origin": origin, "certPath": ours / "client.pem", "keyPath": ours / "client.key"}
            shown["client_certificates"] = [mine]
        page = visit(
            "/game?seed=7&size=small", origin.partition("//")[2], "https", ignore_https_errors=True, **shown
        )
        page.wait_for_selector('#state[data-state="playing"]')
        page.wait_for_function("/ms/.test(document.getElementById('p50').textContent)")
        assert page.evaluate("isSecureContext")
        cookies = page.context.cookies()
        assert [(one["secure"], one["httpOnly"], one["sameSite"]) for one in cookies] == [
            (True, True, "Strict")
        ]
        page.context.close()  # before the server stops, so that the TLS connections close cleanly
