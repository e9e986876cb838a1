"""/metrics, /livez and /readyz of one worker process, served from a thread."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from gesture_maze.wire.errors import SettingsError

Check = Callable[[], tuple[bool, dict[str, Any]]]
"""Whether all is well, and what a person would want to know."""
Page = Callable[[], tuple[str, Iterable[bytes]]]
"""Content type and body."""


_POLL_S: Final = 0.05
"""How soon `close` is noticed."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are not worth a log line."""


class HealthServer:
    """Serves until `close`.

    Args:
        registry: what /metrics shows.
        live: whether the process works at all (else: restart it).
        ready: whether it does its share (else: do not count on it yet).
        host, port: where to listen; port 0 picks a free one.
        pages: path -> what else is shown.

    Raises:
        SettingsError: the port is taken.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        live: Check,
        ready: Check,
        host: str,
        port: int,
        pages: Mapping[str, Page] | None = None,
    ) -> None:
        self._metrics: Final = make_wsgi_app(registry)
        self._pages: Final = pages or {}
        self._checks: Final = {"/livez": live, "/readyz": ready}
        try:
            self._server = make_server(host, port, self._answer, _Server, _Quiet)
        except OSError as error:
            message = (
                f"metrics cannot listen on {host}:{port}: {error.strerror}; choose another --metrics-port"
            )
            raise SettingsError("settings", message) from None
        serve = self._server.serve_forever
        threading.Thread(target=serve, args=(_POLL_S,), name="health", daemon=True).start()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_port)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        if path == "/metrics":
            shown: Iterable[bytes] = self._metrics(environ, start_response)
            return shown
        if path in self._pages:
            content_type, body = self._pages[path]()
            start_response("200 OK", [("Content-Type", content_type)])
            return body
        check = self._checks.get(path)
        if check is None:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"try /metrics, /livez or /readyz\n"]
        good, facts = check()
        start_response(
            "200 OK" if good else "503 Service Unavailable", [("Content-Type", "application/json")]
        )
        return [json.dumps({"ok": good, **facts}).encode() + b"\n"]
