"""The Alertmanager example: amtool accepts it, and its webhook receives firing and resolved alerts."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.bare_machine import program_path
from tests.support.observed import ROOT, binary, fetch, program
from tests.support.servers import free_port, wait_until

EXAMPLE = ROOT / "compose/prometheus/alertmanager.yml"


@pytest.fixture
def webhook() -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """The port of a webhook receiver, and the bodies posted to it."""
    posted: list[dict[str, Any]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], posted
    server.shutdown()
    server.server_close()


def test_example_is_accepted_by_amtool() -> None:
    done = subprocess.run(
        [binary("amtool"), "check-config", str(EXAMPLE)], capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 0, done.stderr


def test_webhook_receives_a_firing_and_a_resolved_alert(
    webhook: tuple[int, list[dict[str, Any]]], tmp_path: Path
) -> None:
    to, posted = webhook
    text = EXAMPLE.read_text().replace("127.0.0.1:9095", f"127.0.0.1:{to}")
    (tmp_path / "alertmanager.yml").write_text(text.replace("5s", "1s").replace("5m", "1s"))
    address = f"127.0.0.1:{free_port()}"

    def ready() -> bool:
        try:
            return bool(fetch(f"http://{address}/api/v2/status"))
        except OSError:
            return False

    def add(*more: str) -> None:
        alert = ["alertname=MazeNoReplies", "severity=critical", "--annotation=runbook_url=http://here/user"]
        words = [binary("amtool"), f"--alertmanager.url=http://{address}", "alert", "add", *alert, *more]
        subprocess.run(words, check=True, timeout=20, capture_output=True)

    with program(
        tmp_path, "alertmanager", program_path("alertmanager"), "--config.file=alertmanager.yml",
        f"--web.listen-address={address}", "--cluster.listen-address=", f"--storage.path={tmp_path}/data",
    ):  # fmt: skip
        wait_until(ready, 20)
        add()
        wait_until(lambda: [one["status"] for one in posted] == ["firing"], 20)
        add("--end=2020-01-01T00:00:00Z", "--start=2019-01-01T00:00:00Z")
        wait_until(lambda: posted[-1]["status"] == "resolved", 20)
    assert posted[0]["receiver"] == "operators"
    assert posted[0]["alerts"][0]["annotations"]["runbook_url"] == "http://here/user"
