"""The gateway's settings, all faults found at once and before anything is started."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gesture_maze.gateway.tls import TlsFiles
from gesture_maze.wire.errors import SettingsError
from gesture_maze.worker.faults import Fault, WrongSettingsError, faults_of

_Positive = Annotated[int, Field(gt=0)]
LEAST_SECRET_CHARACTERS = 16


class Settings(BaseModel):
    """Settings of a gateway."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    redis: str = "redis://127.0.0.1:6379/0"
    """Where the frames are."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    """Port to listen on; 0 picks a free one and logs it."""
    tls_cert: Path | None = None
    """Serve https and wss with this certificate (PEM)."""
    tls_key: Path | None = None
    """Private key of the certificate (PEM, without a passphrase)."""
    tls_client_ca: Path | None = None
    """Accept only clients with a certificate signed by one of these authorities (PEM)."""
    metrics_host: str = "127.0.0.1"
    """Address on which --metrics-port listens."""
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    """Separate port for /metrics, /livez and /readyz, without TLS; 0 picks a free one. Without it they are on
    the players' port."""
    tick_ms: _Positive = 10
    """Interval at which the frames of all sockets are sent. Longer adds latency, shorter adds entries."""
    fps: _Positive = 30
    """Most frames per second of a session."""
    predict_timeout_ms: _Positive = 1000
    """Time limit of POST /predict. More than the workers' --deadline-ms is of no use."""
    release_ms: _Positive = 250
    """The workers' --release-ms: a held move ends with a stop when replies cease for 100 ms more."""
    lanes: Annotated[int, Field(gt=0, le=4096)] = 128
    """Requests to /predict that may wait for an answer at the same time."""
    sessions_per_address: _Positive = 64
    """Sockets of one address; a school behind one address needs many. IPv6 is counted by /64."""
    connections_per_address: _Positive = 512
    """HTTP connections of one address at the same time; sockets that play are not among them."""
    requests_per_s: _Positive = 100
    """HTTP requests per second of one address; ten times as many at once."""
    predict_per_address: _Positive = 32
    """Requests to /predict of one address that may wait for an answer at the same time."""
    watchers_per_address: _Positive = 16
    """Pages of /watch that one address may have open."""
    max_sessions: _Positive = 2000
    """Sockets in total."""
    hello_s: Annotated[float, Field(gt=0)] = 5.0
    """Time limit for the first message of a socket, in seconds."""
    keep_s: _Positive = 600
    """How long the session of an absent player, and its maze, is kept, in seconds."""
    token_ttl_s: _Positive = 3600
    """How long a token can resume its session, in seconds."""
    secret: Annotated[str, Field(min_length=LEAST_SECRET_CHARACTERS, repr=False)] = Field(
        default_factory=lambda: secrets.token_hex(32)
    )
    """Key that signs the tokens. (default: a random one, so that a restart ends all sessions)"""
    origins: tuple[str, ...] = ()
    """Further origins whose pages may open a socket, such as https://example.org."""
    behind_proxy: bool = False
    """Trust the last entry of X-Forwarded-For and of X-Forwarded-Proto."""
    root_path: Annotated[str, Field(pattern=r"\A(/[A-Za-z0-9._~-]+)*/?\z")] = ""
    """Path below which a proxy serves the gateway, such as /maze; the proxy may cut it off or pass it on."""
    log_format: Literal["human", "json"] = "human"
    """Log lines for people, or one JSON object per line."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is logged."""

    @property
    def tls(self) -> TlsFiles:
        """The certificate and key files."""
        return TlsFiles(self.tls_cert, self.tls_key, self.tls_client_ca)

    @classmethod
    def of(cls, **values: Any) -> Settings:
        """Return settings from keyword values; None means "the default".

        Raises:
            WrongSettingsError: with every fault.
        """
        given = {name: value for name, value in values.items() if value is not None}
        files = TlsFiles(*map(given.get, ("tls_cert", "tls_key", "tls_client_ca")))
        found = [Fault((), (text,)) for text in files.faults()]
        try:
            settings = cls(**given)
        except ValidationError as error:
            found = faults_of(error) + found
        if found:
            raise WrongSettingsError(found)
        return settings


def secret_of(file: Path | None) -> str | None:
    """Return the secret in a file, without the white space around it, or None without a file.

    Raises:
        SettingsError: it cannot be read.
    """
    if file is None:
        return None
    try:
        return file.read_text().strip()
    except OSError as error:
        raise SettingsError("settings", f"--secret-file: {error}") from None
