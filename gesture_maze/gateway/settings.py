"""The gateway's settings, all faults found at once and before anything is started."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gesture_maze.gateway.tls import TlsFiles
from gesture_maze.wire.errors import SettingsError

_Positive = Annotated[int, Field(gt=0)]
LEAST_SECRET_CHARACTERS = 16


class Settings(BaseModel):
    """What a gateway needs to know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    redis: str = "redis://127.0.0.1:6379/0"
    """Where the frames are."""
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    """0 picks a free one and says it."""
    tls_cert: Path | None = None
    """Serve https and wss with this certificate; see `gateway.tls.TlsFiles`."""
    tls_key: Path | None = None
    """Its private key."""
    tls_client_ca: Path | None = None
    """Let in only who shows a certificate that one of these authorities has signed."""
    metrics_host: str = "127.0.0.1"
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    """Serve /metrics, /livez and /readyz there, without TLS, and /metrics only there. 0 picks one."""
    tick_ms: _Positive = 10
    """Frames of all sockets go out once a tick. Longer is later; shorter costs more entries."""
    fps: _Positive = 30
    """Most frames per second of a session."""
    predict_timeout_ms: _Positive = 1000
    """POST /predict gives up after so long. Longer than the workers' `deadline_ms` is of no use."""
    lanes: Annotated[int, Field(gt=0, le=4096)] = 128
    """Requests to /predict that may wait for an answer at the same time."""
    sessions_per_address: _Positive = 64
    """Sockets of one address; a school behind one address needs many."""
    max_sessions: _Positive = 2000
    """Sockets in all."""
    hello_s: Annotated[float, Field(gt=0)] = 5.0
    """A socket must introduce itself within so many seconds."""
    keep_s: _Positive = 600
    """A session without a socket, and the maze in it, is kept for so long."""
    token_ttl_s: _Positive = 3600
    """A token resumes its session for so long; each hello gives a new one."""
    secret: Annotated[str, Field(min_length=LEAST_SECRET_CHARACTERS, repr=False)] = Field(
        default_factory=lambda: secrets.token_hex(32)
    )
    """Signs the tokens. A random one forgets all sessions at a restart."""
    origins: tuple[str, ...] = ()
    """Further origins whose pages may open a socket, `https://example.org`; the gateway's own always may."""
    behind_proxy: bool = False
    """Take the client's address from the last entry of X-Forwarded-For, https from X-Forwarded-Proto."""
    log_format: Literal["human", "json"] = "human"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def tls(self) -> TlsFiles:
        """The files of TLS."""
        return TlsFiles(self.tls_cert, self.tls_key, self.tls_client_ca)

    @classmethod
    def of(cls, **values: Any) -> Settings:
        """Settings from keyword values; None means "the default".

        Raises:
            SettingsError: one sentence that names every fault.
        """
        given = {name: value for name, value in values.items() if value is not None}
        faults = TlsFiles(*map(given.get, ("tls_cert", "tls_key", "tls_client_ca"))).faults()
        try:
            settings = cls(**given)
        except ValidationError as error:
            faults = [
                f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
                for fault in error.errors(include_url=False, include_input=False)
            ] + faults
        if faults:
            raise SettingsError("settings", "; ".join(faults))
        return settings


def secret_of(file: Path | None) -> str | None:
    """The secret in a file, without the white space around it; None without a file.

    Raises:
        SettingsError: it cannot be read.
    """
    if file is None:
        return None
    try:
        return file.read_text().strip()
    except OSError as error:
        raise SettingsError("settings", f"--secret-file: {error}") from None
