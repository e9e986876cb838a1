"""The containers' own command lines, in what the Dockerfile lays out, on Redis as compose configures it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.servers import free_port, wait_until
from tests.system.composed import COMPOSE, Here, lay_out, services, size_mb
from tests.system.observed import binary

ADMIN = "user admin on >the-tests-own-password ~* &* +@all\n"
LARGEST_WORKER_MB = 230
CERTIFICATES = {
    "tls_ca": "ca.pem",
    "tls_server_cert": "server.pem",
    "tls_server_key": "server.key",
    "tls_client_cert": "client.pem",
    "tls_client_key": "client.key",
}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `opt/maze` as in the worker's image."""
    folder = tmp_path_factory.mktemp("image")
    lay_out(folder, "worker")
    return folder


@dataclass
class Composed:
    """A started system.

    Attributes:
        here: how its command lines were changed.
        running: by service.
        admin: a client that may do everything.
    """

    here: Here
    services: dict[str, Any]
    running: dict[str, subprocess.Popen[bytes]]
    admin: Any

    def healthy(self, name: str) -> bool:
        one = self.services[name]
        check = self.here.health(one)
        return (
            subprocess.run(check, env=self.here.environment(one), capture_output=True, timeout=10).returncode
            == 0
        )


@pytest.fixture(scope="module", params=[(), ("compose.tls.yaml",)], ids=["plain", "tls"])
def composed(request: pytest.FixtureRequest, image: Path) -> Iterator[Composed]:
    """Redis, a worker, the watch and the players of compose.yaml, with and without TLS."""
    found = services("compose.demo.yaml", *request.param)
    here = Here(image, {port: free_port() for port in ("6379", "9100", "9109")})
    tls = bool(request.param)
    _secrets(image / "run/secrets", here, tls=tls)
    _configuration(image, here)
    with ExitStack() as stack:
        admin = stack.enter_context(_admin(image, here, tls=tls))
        running: dict[str, subprocess.Popen[bytes]] = {}
        ready = {"redis": lambda: _answers(admin), "worker": lambda: admin.zcard("maze:workers") == 1}
        for name in ("redis", "worker", "watch", "players"):
            command = here.command(found[name])
            if name == "players":
                command = [word if word != "3600" else "3" for word in command] + ["--json"]
            with (image / f"{name}.out").open("wb") as out, (image / f"{name}.err").open("wb") as err:
                process = subprocess.Popen(
                    command, env=here.environment(found[name]), stdout=out, stderr=err, cwd="/"
                )
            stack.callback(_end, process)
            running[name] = process
            wait_until(ready.get(name, lambda: True), 20)
        yield Composed(here, found, running, admin)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _admin(image: Path, here: Here, *, tls: bool) -> Any:
    secrets = image / "run/secrets"
    certificates: dict[str, Any] = {}
    if tls:
        names = {"ssl_ca_certs": "tls_ca", "ssl_certfile": "tls_client_cert", "ssl_keyfile": "tls_client_key"}
        certificates = {word: str(secrets / name) for word, name in names.items()} | {"ssl": True}
    return redis.Redis(
        port=here.ports["6379"], username="admin", password="the-tests-own-password", **certificates
    )


def _answers(admin: Any) -> bool:
    try:
        return bool(admin.ping())
    except redis.ConnectionError:
        return False


def _secrets(folder: Path, here: Here, *, tls: bool) -> None:
    """What the comments at the heads of the compose files say to do."""
    folder.mkdir(parents=True, exist_ok=True)
    url = "redis://redis:6379/0"
    if tls:
        script = [str(COMPOSE / "tls/certificates.sh"), str(folder), "redis", "localhost", "127.0.0.1"]
        subprocess.run(script, check=True, timeout=30)
        for name, file in CERTIFICATES.items():
            (folder / name).write_bytes((folder / file).read_bytes())
        url = (COMPOSE / "tls/url").read_text().strip()
    url = url.replace("//redis:6379", f"//127.0.0.1:{here.ports['6379']}").replace(
        "/run/secrets", str(folder)
    )
    done = subprocess.run(
        [sys.executable, "-m", "maze", "acl", "--passwords", str(folder), "--create", "--url", url],
        capture_output=True, text=True, check=True, timeout=20,
    )  # fmt: skip
    (folder / "users_acl").write_text(done.stdout + ADMIN)
    for role in ("worker", "watch"):
        (folder / f"{role}_url").write_text((folder / f"{role}.url").read_text())


def _configuration(image: Path, here: Here) -> None:
    text = (COMPOSE / "redis.conf").read_text()
    data = image / f"data-{here.ports['6379']}"
    data.mkdir()
    text = text.replace("/run/secrets", str(image / "run/secrets")).replace("dir /data", f"dir {data}")
    (image / "redis.conf").write_text(text.replace("port 6379", f"port {here.ports['6379']}"))
    binary("redis-server")


def test_the_layers_of_a_worker_are_small(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole, wheel = size_mb(image / "opt/maze"), size_mb(image / "dist")
    packages = sorted(one.name for one in (image / "opt/maze/lib/python3.11/site-packages").iterdir())
    assert not {"sklearn", "scipy", "mlflow", "joblib", "onnx", "pip", "rq"} & set(packages)
    with capsys.disabled():
        sys.stdout.write(f" worker: {whole:.0f} MB of packages, our wheel {wheel:.2f} MB ")
    assert whole < LARGEST_WORKER_MB
    assert wheel < 20  # most of it is the hand tracker that the gateway hands to browsers


def test_every_service_is_healthy_by_its_own_check(composed: Composed) -> None:
    for name in ("redis", "worker", "watch"):
        wait_until(lambda name=name: composed.healthy(name), 15)


def test_the_players_are_answered(composed: Composed) -> None:
    assert composed.running["players"].wait(30) == 0, (composed.here.folder / "players.err").read_text()
    report = json.loads((composed.here.folder / "players.out").read_text())
    assert report["heard"] > 0.95 * report["accepted"] > 100


def test_nobody_is_scraped_by_a_wrong_name(composed: Composed) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{composed.here.ports['9109']}/metrics", timeout=5) as page:
        text = page.read().decode()
    assert "maze_pool_sum_holds 1.0" in text
    assert "maze_heartbeats_answered_total" in text


def test_nobody_was_refused_anything_by_redis(composed: Composed) -> None:
    refused = [
        (entry["username"], entry["object"], entry["reason"])
        for entry in composed.admin.acl_log()
        # redis-py offers its name to every server, and does not mind a refusal
        if entry["object"] not in ("client|setinfo", b"client|setinfo")
    ]
    assert refused == []


def test_a_worker_drains_and_leaves(composed: Composed) -> None:
    worker = composed.running["worker"]
    worker.terminate()
    assert worker.wait(10) == 0
    assert composed.admin.zcard("maze:workers") == 0


def test_a_stranger_does_not_come_in(composed: Composed) -> None:
    tls = "--tls-port" in composed.services["redis"]["command"]
    ca = str(composed.here.folder / "run/secrets/tls_ca")
    options: dict[str, Any] = {"ssl": True, "ssl_ca_certs": ca} if tls else {}
    stranger = redis.Redis(port=composed.here.ports["6379"], retry=Retry(NoBackoff(), 0), **options)
    # without a certificate the connection breaks; without a password it is of no use
    with stranger, pytest.raises(redis.ConnectionError if tls else redis.AuthenticationError):
        stranger.ping()
