"""Real certificates, created by the script for operators."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

from tests.support.servers import absent

SCRIPT = Path(__file__).parents[2] / "compose/tls/certificates.sh"


def make_certificates(folder: Path, *names: str) -> Path:
    """Run the script with these names, which writes the certificates, and return the folder."""
    try:
        subprocess.run([str(SCRIPT), str(folder), *names], check=True, timeout=30)
    except (FileNotFoundError, subprocess.CalledProcessError):
        absent("openssl")
    return folder


def client_context(authority: Path, shown: Path | None = None) -> ssl.SSLContext:
    """Return a context that trusts one folder's authority and shows another's client certificate."""
    context = ssl.create_default_context(cafile=authority / "ca.pem")
    if shown is not None:
        context.load_cert_chain(shown / "client.pem", shown / "client.key")
    return context
