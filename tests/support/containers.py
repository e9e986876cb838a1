"""Services of compose.yaml as local processes, set up as by an operator."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from gesture_maze.embedded.ports import free_port
from tests.support.certificates import make_certificates
from tests.support.composed import COMPOSE, Here
from tests.support.observed import binary
from tests.support.servers import wait_until

ADMIN = "user admin on >the-tests-own-password ~* &* +@all\n"
"""The ACL line of an administrator, which operators add as docs/operations.md describes."""


class Containers:
    """Starter of services, which stops them at the end.

    Args:
        here: their local command lines.
        tls: whether Redis has only a port with TLS.
    """

    def __init__(self, here: Here, *, tls: bool) -> None:
        self.here = here
        self.tls = tls
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        for name in here.ports:
            here.ports[name] = {port: free_port() for port in here.ports[name]}
        self._set_up()
        self.admin = self.client(username="admin", password="the-tests-own-password", certificate=True)

    def start(self, name: str, *more: str, instead: tuple[tuple[str, str], ...] = ()) -> None:
        """Start a service, optionally with some words of its command replaced."""
        self.here.mount(name)
        if name == "redis":
            binary("redis-server")
            text = (COMPOSE / "redis.conf").read_text()
            (self.here.folder / "run/redis/redis.conf").write_text(self.here.word(name, text))
        command = [dict(instead).get(word, word) for word in self.here.command(name)]
        place = self.here.word(name, self.here.config["services"][name].get("working_dir", "/"))
        with self.output(name, "out").open("wb") as out, self.output(name, "err").open("wb") as err:
            self.running[name] = subprocess.Popen(
                [*command, *more], env=self.here.environment(name), stdout=out, stderr=err, cwd=place,
                start_new_session=True,
            )  # fmt: skip
        if name == "redis":
            wait_until(self.answers, 20)

    def output(self, name: str, kind: str) -> Path:
        """Return the file of standard output (`out`) or standard error (`err`) of a service."""
        return self.here.folder / f"{name}.{kind}"

    def healthy(self, name: str) -> bool:
        """Return whether the service's own health check succeeds."""
        done = subprocess.run(
            self.here.health(name), env=self.here.environment(name), capture_output=True, timeout=20
        )
        return done.returncode == 0

    def inside(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command with the settings of a service, as `docker compose exec NAME maze ...` does."""
        maze = self.here.word(name, "/opt/maze/bin/maze")
        place = self.here.word(name, self.here.config["services"][name].get("working_dir", "/"))
        return subprocess.run(
            [maze, *words], env=self.here.environment(name), cwd=place, capture_output=True, text=True,
            timeout=50,
        )  # fmt: skip

    def client(self, *, certificate: bool, **options: Any) -> Any:
        """Return a client of the frames' Redis."""
        folder = self.here.folder / "secrets"
        if self.tls:
            options |= {"ssl": True, "ssl_ca_certs": str(folder / "ca.pem")}
        if self.tls and certificate:
            options |= {"ssl_certfile": str(folder / "client.pem"), "ssl_keyfile": str(folder / "client.key")}
        return redis.Redis(port=self.here.ports["redis"]["6379"], retry=Retry(NoBackoff(), 0), **options)

    def answers(self) -> bool:
        """Return whether Redis answers."""
        try:
            return bool(self.admin.ping())
        except redis.ConnectionError:
            return False

    def refused(self) -> list[tuple[str, str, str]]:
        """Return the ACL log of Redis: user, command or key, reason."""
        return [
            (entry["username"], entry["object"], entry["reason"])
            for entry in self.admin.acl_log()
            # redis-py sends its name to every server and ignores a refusal
            if entry["object"] not in ("client|setinfo", b"client|setinfo")
        ]

    def close(self) -> None:
        """Kill the remaining processes and their children."""
        for process in self.running.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.admin.close()

    def _set_up(self) -> None:
        """Run the commands in the headers of the compose files."""
        folder = self.here.folder / "secrets"
        url = "redis://redis:6379/0"
        if self.tls:
            make_certificates(folder, "redis", "localhost", "127.0.0.1", "--", "localhost", "127.0.0.1")
            url = (COMPOSE / "tls/url").read_text().strip()
        done = subprocess.run(
            [sys.executable, "-m", "gesture_maze", "acl", "--passwords", str(folder), "--create", "--url", url],  # noqa: E501
            capture_output=True, text=True, check=True, timeout=20,
        )  # fmt: skip
        (folder / "users.acl").write_text(done.stdout + ADMIN)
        (folder / "gateway.secret").write_text(secrets.token_hex(32) + "\n")
