"""TLS at the gateway: certificate, key and, if clients need a certificate, its authority."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gesture_maze.wire.errors import SettingsError

LEAST_VERSION: Final = ssl.TLSVersion.TLSv1_2
"""Older versions are broken, and browsers no longer support them."""
_CERTIFICATE: Final = "CERTIFICATE"
_KEY: Final = "PRIVATE KEY"
"""Labels in the BEGIN line of a PEM file; a key's may have a word before it."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Files in PEM form.

    Attributes:
        cert: the gateway's certificate, followed by the intermediate certificates.
        key: its private key, without a passphrase.
        client_ca: authorities; clients without a certificate signed by one of them are refused.
    """

    cert: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None

    @property
    def wanted(self) -> bool:
        """Whether any file is given."""
        return bool(self.cert or self.key or self.client_ca)

    def faults(self) -> list[str]:
        """Read the files and return what is wrong with them, one sentence per fault."""
        found = [*self._contradictions(), *self._unreadable()]
        if not found and self.cert is not None:
            try:
                self._loaded()
            except _UnusableError as error:
                found = [str(error)]
        return found

    def context(self) -> ssl.SSLContext | None:
        """Return the SSL context of the server, or None without TLS.

        Raises:
            SettingsError: `settings`, with all faults in one sentence.
        """
        faults = self.faults()
        if faults:
            raise SettingsError("settings", "; ".join(faults))
        return self._loaded() if self.wanted else None

    def _contradictions(self) -> Iterator[str]:
        if self.cert and not self.key:
            yield "--tls-cert needs --tls-key, the private key of the certificate"
        if self.key and not self.cert:
            yield "--tls-key needs --tls-cert, the certificate of the key"
        if self.client_ca and not (self.cert or self.key):
            yield "--tls-client-ca needs --tls-cert and --tls-key: client certificates are part of TLS"

    def _unreadable(self) -> Iterator[str]:
        for flag, path, kind in (
            ("--tls-cert", self.cert, _CERTIFICATE),
            ("--tls-key", self.key, _KEY),
            ("--tls-client-ca", self.client_ca, _CERTIFICATE),
        ):
            if path is None:
                continue
            try:
                text = path.read_text(encoding="ascii", errors="replace")
            except OSError as error:
                yield f"{flag} {path} cannot be read: {error.strerror}"
                continue
            if f"{kind}-----" not in text:
                yield f"{flag} {path} holds no {kind.lower()} in PEM form"

    def _loaded(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = LEAST_VERSION
        context.set_alpn_protocols(["http/1.1"])
        assert self.cert is not None
        try:
            context.load_cert_chain(self.cert, self.key, _no_passphrase)
        except ssl.SSLError as error:
            raise _UnusableError(f"--tls-cert {self.cert} and --tls-key {self.key} {_why(error)}") from None
        if self.client_ca is not None:
            try:
                context.load_verify_locations(self.client_ca)
            except ssl.SSLError as error:
                raise _UnusableError(f"--tls-client-ca {self.client_ca} {_why(error)}") from None
            context.verify_mode = ssl.CERT_REQUIRED
        return context


class _UnusableError(Exception):
    """OpenSSL cannot use a file."""


class _LockedError(ssl.SSLError):
    """The key has a passphrase; OpenSSL would ask for it at the terminal."""


def _no_passphrase() -> str:
    raise _LockedError


def _why(error: ssl.SSLError) -> str:
    if isinstance(error, _LockedError):
        return "cannot be used: the key has a passphrase, give one without"
    if error.reason == "KEY_VALUES_MISMATCH":
        return "do not belong together: the key is another certificate's"
    return f"cannot be used: {error.reason or 'PEM that OpenSSL does not understand'}"
