"""How Kafka is reached, as the configuration says it: certificates, and a password that stays one."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from detector.cli import __main__ as command_line
from detector.config import load
from detector.config.options import KafkaAt
from detector.config.reference import effective
from detector.errors import BadSetup
from detector.inputs.kafka.connection import client_options, connection_at
from tests.servers.certificates import Certificates, make_certificates

PASSWORD = "correct-horse"  # noqa: S105  (of nobody)
LOGIN = """
[kafka]
brokers = ["kafka:9093"]
tls = true
sasl_mechanism = "SCRAM-SHA-512"
username = "tailrace"
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority, a certificate and its key."""
    return make_certificates(tmp_path_factory.mktemp("tls") / "made")


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    """A configuration that lacks the password."""
    path = tmp_path / "tailrace.toml"
    path.write_text(LOGIN)
    return path


def test_the_password_comes_from_a_file_or_the_environment(toml: Path, tmp_path: Path) -> None:
    """It reaches the clients, and neither the connection nor `check-config` shows it."""
    secret = tmp_path / "password"
    secret.write_text(f"{PASSWORD}\n")
    of_environment = load(toml, {"TAILRACE_KAFKA__PASSWORD": PASSWORD})
    toml.write_text(f'{LOGIN}password_file = "{secret}"\n')
    for settings in (of_environment, load(toml, {})):
        connection = connection_at(settings.kafka)
        options = client_options(connection)
        assert options["security_protocol"] == "SASL_SSL"
        assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("tailrace", PASSWORD)
        assert PASSWORD not in f"{settings} {connection!r} {effective(settings)}"
        assert 'password = "********"' in effective(settings)


def test_check_config_masks_the_password(
    toml: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where it lies in the file itself, and where something beside it is wrong."""
    monkeypatch.setattr(sys, "argv", ["tailrace", "check-config", "--config", str(toml)])
    for line, code in (("", 0), ("stall_timeout_s = 0\n", 2)):
        toml.write_text(f'{LOGIN}password = "{PASSWORD}"\n{line}')
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        assert ended.value.code == code
        shown = capsys.readouterr()
        assert ("tailrace" in shown.out) == (code == 0)
        assert PASSWORD not in shown.out + shown.err


def test_a_certificate_that_cannot_be_used_is_said_at_the_start(
    certificates: Certificates, tmp_path: Path
) -> None:
    """It would otherwise look like a broker that is away; a locked key asks nobody for its password."""
    none, other = tmp_path / "none.pem", tmp_path / "other.pem"
    other.write_text("this is no certificate\n")
    locked = tmp_path / "locked.key"
    lock = ["-aes256", "-passout", "pass:open", "-out", str(locked)]
    subprocess.run(["openssl", "pkey", "-in", str(certificates.key), *lock], check=True)  # noqa: S607
    whole: dict[str, Any] = {"cert_file": certificates.certificate, "key_file": certificates.key}
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("ca_file", {"ca_file": none}),
        ("ca_file", {"ca_file": other}),
        ("cert_file", whole | {"cert_file": none}),
        ("cert_file", {"cert_file": certificates.certificate}),
        ("key_file", whole | {"key_file": none}),
        ("key_file", whole | {"key_file": locked}),
    ]
    for name, files in wrong:
        with pytest.raises(BadSetup, match=rf"kafka\.{name}: .*: correct the path or the file"):
            connection_at(KafkaAt(brokers=("kafka:9093",), tls=True, **files))
    right = KafkaAt(brokers=("kafka:9093",), tls=True, ca_file=certificates.ca, **whole)
    assert client_options(connection_at(right))["security_protocol"] == "SSL"


def test_no_brokers_are_no_connection() -> None:
    """Whoever needs them says so."""
    with pytest.raises(BadSetup, match=r"set brokers of \[kafka\]"):
        connection_at(KafkaAt())
