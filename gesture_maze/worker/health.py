"""/metrics, /livez and /readyz of one process, served by threads of their own.

The port may be reachable by strangers, so a connection has a time limit, and if there are too many the oldest
one is closed in favour of the newest: idle connections can neither pile up nor block a scrape.
"""

from __future__ import annotations

import errno
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from gesture_maze.wire.errors import SettingsError

Check = Callable[[], tuple[bool, dict[str, Any]]]
"""Returns whether the check passes, and details for the response body."""
Page = Callable[[], tuple[str, Iterable[bytes]]]
"""Returns a content type and a body."""

POLL_S: Final = 1.0
"""Interval at which overdue connections are closed. Twenty checks a second cost an idle worker a fifth of its
CPU."""
STOP_RETRY_S: Final = 0.05
"""Interval at which `stop` connects again until the server has ended."""
READ_TIMEOUT_S: Final = 5.0
"""Longest silence within a request."""
MAX_CONNECTION_S: Final = 10.0
"""Longest life of a connection; a scrape takes milliseconds."""
MAX_CONNECTIONS: Final = 32
ACCEPT_BACK_OFF_S: Final = 0.1
"""Pause after a connection could not be accepted, for example because no file descriptor was free."""


class PortInUseError(SettingsError):
    """Another process listens on the port. The condition may be temporary."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 2 * MAX_CONNECTIONS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._open: Final[dict[socket.socket, float]] = {}
        """Open connections, oldest first, and when each was accepted, in monotonic seconds."""
        self._lock: Final = threading.Lock()
        super().__init__(*args, **kwargs)

    def server_bind(self) -> None:
        """Bind without asking DNS for our own name, which can take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection."""
        try:
            return super().get_request()
        except OSError:
            time.sleep(ACCEPT_BACK_OFF_S)  # the listening socket stays readable: do not spin on it
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread, and close the oldest one if there are too many."""
        with self._lock:
            self._open[request] = time.monotonic()
            surplus = list(self._open)[:-MAX_CONNECTIONS]
        self._cut_off(surplus)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection that was served."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def stop(self) -> None:
        """End `serve_forever` now, not only at its next check."""
        stopping = threading.Thread(target=self.shutdown, daemon=True)
        stopping.start()
        while stopping.is_alive():
            with suppress(OSError), socket.socket(self.address_family) as waker:
                waker.settimeout(STOP_RETRY_S)
                waker.connect(self.socket.getsockname())  # ends its wait
            stopping.join(STOP_RETRY_S)

    def service_actions(self) -> None:
        """Close overdue connections. The base class calls this every `POLL_S`."""
        oldest_s = time.monotonic() - MAX_CONNECTION_S
        with self._lock:
            overdue = [one for one, accepted_s in self._open.items() if accepted_s < oldest_s]
        self._cut_off(overdue)

    def _cut_off(self, connections: Iterable[socket.socket]) -> None:
        """Shut down connections. The thread that waits on each one then closes it."""
        for one in connections:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that disconnected. The standard library would print a traceback."""


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = READ_TIMEOUT_S

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: scrapes are not events."""


class HealthServer:
    """HTTP server for metrics and health checks, from its creation to `close`.

    Args:
        registry: what /metrics shows.
        live: check behind /livez; it fails if the process should be restarted.
        ready: check behind /readyz; it fails while the process cannot do its share of the work.
        host, port: where to listen; port 0 picks a free one.
        pages: path -> further page.
        flag: the option that sets the port, for the error.

    Raises:
        PortInUseError: another process listens on the port.
        SettingsError: the address cannot be used.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        live: Check,
        ready: Check,
        host: str,
        port: int,
        pages: Mapping[str, Page] | None = None,
        flag: str = "--metrics-port",
    ) -> None:
        self._metrics: Final = make_wsgi_app(registry)
        self._pages: Final = pages or {}
        self._checks: Final = {"/livez": live, "/readyz": ready}
        try:
            kind = _Server6 if ":" in host else _Server
            self._server = make_server(host, port, self._answer, kind, _Handler)
        except OSError as error:
            raise _cannot_listen(host, port, error, flag) from None
        serve = self._server.serve_forever
        threading.Thread(target=serve, args=(POLL_S,), name="health", daemon=True).start()

    @property
    def port(self) -> int:
        """The port that the server listens on."""
        return int(self._server.server_port)

    def close(self) -> None:
        """Stop listening, and return as soon as the server has ended."""
        self._server.stop()
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
            known = ", ".join(["/metrics", *self._checks, *self._pages])
            return [f"not found: try {known}\n".encode()]
        good, facts = check()
        start_response(
            "200 OK" if good else "503 Service Unavailable", [("Content-Type", "application/json")]
        )
        return [json.dumps({"ok": good, **facts}).encode() + b"\n"]


def _cannot_listen(host: str, port: int, error: OSError, flag: str) -> SettingsError:
    message = f"metrics cannot listen on {host}:{port}: {error.strerror}; {flag} 0 takes any free port"
    kind = PortInUseError if error.errno == errno.EADDRINUSE else SettingsError
    return kind("settings", message)
