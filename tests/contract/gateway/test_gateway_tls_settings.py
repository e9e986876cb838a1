"""The gateway's TLS settings, its liveness pulse and forwarded headers."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gesture_maze.cli.main import build
from gesture_maze.gateway.forwarded import last_entry
from gesture_maze.gateway.health import LOST_S, Pulse
from gesture_maze.gateway.settings import Settings
from gesture_maze.wire.errors import SettingsError
from tests.support.certificates import make_certificates


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of certificates and of files that are not certificates."""
    folder = make_certificates(tmp_path_factory.mktemp("made"), "redis")
    (folder / "none.pem").write_text("hello")
    (folder / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    lock = ["openssl", "pkey", "-in", "gateway.key", "-aes256", "-passout", "pass:x", "-out", "locked.key"]
    subprocess.run(lock, cwd=folder, check=True, timeout=20)
    return folder


@pytest.mark.parametrize(
    ("cert", "key", "client_ca", "sentences"),
    [
        ("gateway.pem", None, None, ["--tls-cert needs --tls-key"]),
        (None, "gateway.key", None, ["--tls-key needs --tls-cert"]),
        (None, None, "ca.pem", ["--tls-client-ca needs --tls-cert and --tls-key"]),
        ("gone.pem", "gone.key", "gone-too.pem", ["gone.pem cannot be", "gone.key cannot", "gone-too.pem"]),
        ("none.pem", "gateway.pem", None, ["none.pem holds no certificate", "gateway.pem holds no private"]),
        ("gateway.key", "gateway.key", "none.pem", ["gateway.key holds no cert", "none.pem holds no cert"]),
        ("gateway.pem", "client.key", None, ["do not belong together"]),
        ("gateway.pem", "locked.key", None, ["the key has a passphrase"]),
        ("broken.pem", "gateway.key", None, ["--tls-cert", "cannot be used"]),
        ("gateway.pem", "gateway.key", "broken.pem", ["--tls-client-ca", "cannot be used"]),
    ],
)
def test_settings_with_several_faults_report_all_of_them(
    made: Path, cert: str | None, key: str | None, client_ca: str | None, sentences: list[str]
) -> None:
    names = {"tls_cert": cert, "tls_key": key, "tls_client_ca": client_ca}
    with pytest.raises(SettingsError) as faults:
        Settings.of(fps=0, **{flag: made / name for flag, name in names.items() if name})
    text = str(faults.value)
    assert "fps" in text
    assert "\n" not in text
    assert [sentence for sentence in sentences if sentence not in text] == []


def test_settings_without_files_have_no_tls() -> None:
    assert Settings.of().tls.context() is None


@pytest.mark.parametrize("client_ca", [None, "ca.pem"])
def test_context_of_valid_files_has_the_configured_verification(made: Path, client_ca: str | None) -> None:
    settings = Settings.of(
        tls_cert=made / "gateway.pem",
        tls_key=made / "gateway.key",
        tls_client_ca=client_ca and made / client_ca,
    )
    context = settings.tls.context()
    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == (ssl.CERT_REQUIRED if client_ca else ssl.CERT_NONE)


def test_context_of_a_deleted_key_raises_a_settings_error(made: Path, tmp_path: Path) -> None:
    key = tmp_path / "gateway.key"
    key.write_bytes((made / "gateway.key").read_bytes())
    settings = Settings.of(tls_cert=made / "gateway.pem", tls_key=key)
    key.unlink()
    with pytest.raises(SettingsError, match="cannot be read"):
        settings.tls.context()


def test_command_with_invalid_settings_exits_with_2(made: Path) -> None:
    flags = ["--tls-cert", str(made / "gateway.pem"), "--tick-ms", "0"]
    done = CliRunner().invoke(build(("gateway", "status")), ["gateway", *flags])
    assert done.exit_code == 2
    assert "--tls-cert needs --tls-key" in done.output
    assert "--tick-ms: input should be greater than 0" in done.output


def test_pulse_without_a_recent_beat_is_not_live() -> None:
    now_s = 0.0
    pulse = Pulse(lambda: now_s)
    now_s = LOST_S - 1
    assert pulse.live()[0]
    now_s = LOST_S + 1
    assert pulse.live() == (False, {"silent_s": LOST_S + 1})
    pulse.beat()
    assert pulse.live()[0]


@pytest.mark.parametrize(
    ("values", "entry"), [([], ""), (["a"], "a"), (["a, b"], "b"), (["a", "b,c "], "c"), ([""], "")]
)
def test_forwarded_header_with_many_entries_yields_the_last_one(values: list[str], entry: str) -> None:
    assert last_entry(values) == entry
