"""A broker with logins, certificates and rights: what lets a worker in, and what keeps one out."""

import asyncio
import logging
import traceback
from pathlib import Path
from typing import Any

import msgspec
import pytest

from detector.errors import BadSetup
from detector.inputs.kafka.preflight import check
from tests.kafka_feeds import feed_of
from tests.kafka_logins import NO_LOGIN, NO_TLS, WRONG_PASSWORD, connection_to, feed_through
from tests.kafka_rights import password_of
from tests.servers.kafka import free_ports
from tests.servers.kafka_guarded import Guarded
from tests.servers.redis_guarded import PASSWORD as REDIS_PASSWORD
from tests.servers.redis_guarded import guarded as redis_guarded
from tests.small_bundle import small_bundle
from tests.watching import until
from tests.workers import configured, have_come_to, working


@pytest.mark.parametrize(
    ("door", "changes"),
    [
        ("LOGIN", {"sasl_mechanism": "PLAIN"}),
        ("LOGIN", {"sasl_mechanism": "SCRAM-SHA-256"}),
        ("OPEN", NO_TLS),
        ("TLS", NO_LOGIN),
        ("PLAIN", NO_TLS | NO_LOGIN),
    ],
)
def test_every_way_in_is_known(kafka_guarded: Guarded, door: str, changes: dict[str, Any]) -> None:
    """Each mechanism, with TLS and without."""
    asyncio.run(check(feed_through(connection_to(kafka_guarded, door, **changes))))


def test_a_certificate_is_a_login(kafka_guarded: Guarded) -> None:
    """Its subject is the user, whose rights are asked for."""
    made = kafka_guarded.certificates
    shown: dict[str, Any] = {"cert_file": made.certificate, "key_file": made.key}
    connection = connection_to(kafka_guarded, "MUTUAL", **NO_LOGIN, **shown)
    asyncio.run(check(feed_through(connection)))
    with pytest.raises(BadSetup, match=r"the user of kafka.cert_file may not READ group another"):
        asyncio.run(check(feed_of("", "logs", connection=connection, group="another")))


@pytest.mark.parametrize(
    ("door", "changes", "sentence"),
    [
        ("LOGIN", WRONG_PASSWORD, "user or the password is refused .* correct kafka.username and kafka.pass"),
        ("LOGIN", WRONG_PASSWORD | {"sasl_mechanism": "PLAIN"}, "the user or the password is refused"),
        ("LOGIN", {"username": "nobody"}, "the user or the password is refused"),
        ("LOGIN", {"ca_file": None}, "cannot be trusted .*: set kafka.ca_file"),
        ("LOGIN", NO_LOGIN, "it wants a login: set kafka.sasl_mechanism"),
        ("OPEN", NO_TLS | NO_LOGIN, "it wants a login: set kafka.sasl_mechanism"),
        ("OPEN", NO_TLS | {"sasl_mechanism": "SCRAM-SHA-256"}, "nobody can log in by SCRAM-SHA-256"),
        ("OPEN", {}, "it does not speak TLS at this port"),
        ("PLAIN", NO_TLS, "nobody logs in there: remove kafka.sasl_mechanism"),
        ("PLAIN", NO_LOGIN, "it does not speak TLS at this port"),
        ("TLS", {}, "nobody logs in there: remove kafka.sasl_mechanism"),
        ("TLS", NO_TLS | NO_LOGIN, "it speaks TLS at this port: set kafka.tls"),
        ("LOGIN", NO_TLS, "it speaks TLS at this port: set kafka.tls"),
        ("MUTUAL", NO_LOGIN, "it does not take our certificate .*: correct kafka.cert_file"),
    ],
)
def test_what_keeps_a_worker_out_is_said(
    kafka_guarded: Guarded, door: str, changes: dict[str, Any], sentence: str
) -> None:
    """With the key to correct; the client itself only says that it could not begin."""
    connection = connection_to(kafka_guarded, door, **changes)
    with pytest.raises(BadSetup, match=sentence) as refused:
        asyncio.run(check(feed_through(connection)))
    assert connection.names in str(refused.value)


def test_a_certificate_for_another_name_is_refused(kafka_guarded: Guarded) -> None:
    """It was made out for 127.0.0.1, and whoever answers to another name is somebody else."""
    other = kafka_guarded.doors["LOGIN"].replace("127.0.0.1", "localhost")
    with pytest.raises(BadSetup, match=r"Hostname mismatch.*name the broker as the certificate does"):
        asyncio.run(check(feed_through(connection_to(kafka_guarded, brokers=(other,)))))


def test_one_broker_that_lets_us_in_is_enough(kafka_guarded: Guarded) -> None:
    """Of several, those that are away are told only where none is there."""
    away, there = f"127.0.0.1:{free_ports(1)[0]}", kafka_guarded.doors["LOGIN"]
    asyncio.run(check(feed_through(connection_to(kafka_guarded, brokers=(away, there)))))


def test_the_password_is_never_shown(
    kafka_guarded: Guarded, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not by what the client logs at debug either, which is every request, where it is sent as it is."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.NOTSET, "aiokafka.conn")  # as in a process that has just begun
    right = connection_to(kafka_guarded, sasl_mechanism="PLAIN")
    wrong = msgspec.structs.replace(right, **WRONG_PASSWORD)
    said = f"{right} {wrong!r} {feed_through(right)} {feed_through(wrong)!r}"
    asyncio.run(check(feed_through(right)))
    with pytest.raises(BadSetup) as refused:
        asyncio.run(check(feed_through(wrong)))
    assert "Authenticated as tailrace via PLAIN" in caplog.text
    said += caplog.text + str(capsys.readouterr()) + "".join(traceback.format_exception(refused.value))
    assert password_of("tailrace") not in said
    assert "wrong-horse" not in said


@pytest.mark.parametrize("is_right", [True, False], ids=["let in", "refused"])
def test_a_worker_works_and_shows_its_passwords_to_nobody(
    kafka_guarded: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_right: bool
) -> None:
    """With the documented rights on Kafka and Redis, both over TLS; or it is refused with exit 2."""
    small_bundle(tmp_path / "bundle", session=False)
    password = password_of("tailrace") if is_right else "wrong-horse"
    (tmp_path / "password").write_text(password)
    for variable in (
        "INPUT__KEYED=false",
        "KAFKA__TLS=true",
        f"KAFKA__CA_FILE={kafka_guarded.certificates.ca}",
        "KAFKA__SASL_MECHANISM=SCRAM-SHA-512",
        "KAFKA__USERNAME=tailrace",
        f"KAFKA__PASSWORD_FILE={tmp_path}/password",
        "KAFKA__GROUP=tailrace",
        "LOG__LEVEL=debug",
        f"REDIS__PASSWORD={REDIS_PASSWORD}",
        f"REDIS__CA_FILE={kafka_guarded.certificates.ca}",
        f"REDIS__CERT_FILE={kafka_guarded.certificates.certificate}",
        f"REDIS__KEY_FILE={kafka_guarded.certificates.key}",
        "REDIS__KEY_PREFIX=tailrace",
    ):
        monkeypatch.setenv("TAILRACE_" + variable.split("=")[0], variable.split("=")[1])
    config, errors = tmp_path / "tailrace.toml", tmp_path / "errors"
    broker, bundle = kafka_guarded.doors["LOGIN"], tmp_path / "bundle"
    with redis_guarded(tmp_path / "redis", kafka_guarded.certificates) as at:
        configured(config, bundle=bundle, broker=broker, topic="logs", redis=str(at.url))
        with working(config, errors) as process:
            shown = Path(f"/proc/{process.pid}/cmdline").read_text()
            until(lambda: have_come_to(at, {"tailrace-routed-0": 0}) or process.poll() is not None)
            process.terminate()
            assert process.wait() == (0 if is_right else 2)
    shown += errors.read_text()
    assert ("the user or the password is refused" in shown) == (not is_right)
    assert password not in shown
    assert REDIS_PASSWORD not in shown
