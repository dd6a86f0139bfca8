"""What one receiver gets, and what its answers lead to; against a real server on the loopback."""

import json
from email.utils import formatdate
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from detector.errors import BadSetup
from detector.notify.answer import Outcome, judge, next_attempt_s
from detector.notify.body import MAX_BODY_BYTES, encode_body
from detector.notify.guard import is_public
from detector.notify.receivers import WEBHOOK_SCHEDULE, WebhookReceiver, check
from detector.records import EvidenceLine, TemplateEvidence
from tests.delivery import SAMPLE, Clock, StateFile, revision, webhook
from tests.receiver import GARBAGE, SECRET, SLOW, Script, free_port, serving
from tests.servers.certificates import Certificates, make_certificates


def test_a_delivery_verifies_with_the_specifications_own_library(tmp_path: Path) -> None:
    """The signature covers id, time and body; the body carries the alert as it was committed."""
    with serving(Script()) as server:
        state = StateFile(tmp_path / "state.db", [webhook(server)])
        state.append(revision("a", 1))
        state.deliverer().drain()
    (request,) = server.requests
    message = request.verify()
    assert message["type"] == "log.anomaly.firing"
    assert message["timestamp"] == SAMPLE.opened_at
    assert message["data"] == json.loads(revision("a", 1).payload)
    assert request.webhook_id == "a.1"
    assert request.headers["content-type"] == "application/json"
    assert state.states() == {"delivered": 1}


def test_an_answer_500_and_then_200_is_one_id_and_two_timestamps(tmp_path: Path) -> None:
    """A retry has the id and the body of the first attempt and a time stamp of its own."""
    clock = Clock()
    with serving(Script([500, 200])) as server:
        state = StateFile(tmp_path / "state.db", [webhook(server)])
        state.append(revision("a", 1))
        state.deliverer(clock).drain()
        assert state.states() == {"pending": 1}
        clock.now_s += 10
        state.deliverer(clock).drain()
    first, second = server.requests
    assert first.webhook_id == second.webhook_id
    assert first.body == second.body
    assert int(second.headers["webhook-timestamp"]) == int(first.headers["webhook-timestamp"]) + 10
    assert first.verify() == second.verify()
    assert state.states() == {"delivered": 1}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of an authority that no system knows."""
    return make_certificates(tmp_path_factory.mktemp("tls") / "made")


def test_a_server_with_a_certificate_of_our_own_authority_is_told(
    certificates: Certificates, tmp_path: Path
) -> None:
    """Over TLS, where `ca_file` names the authority."""
    with serving(Script(certificates=certificates)) as server:
        state = StateFile(tmp_path / "state.db", [webhook(server, ca_file=certificates.ca)])
        state.append(revision("a", 1))
        state.deliverer().drain()
    server.requests[0].verify()
    assert state.states() == {"delivered": 1}


def test_a_server_whose_certificate_is_not_trusted_is_told_nothing(
    certificates: Certificates, tmp_path: Path
) -> None:
    """One that says it is the receiver, and cannot show it: the alert waits, and the error says why."""
    with serving(Script(certificates=certificates)) as server:
        state = StateFile(tmp_path / "state.db", [webhook(server)])
        state.append(revision("a", 1))
        state.deliverer().drain()
    assert server.requests == []
    assert state.states() == {"pending": 1}
    assert "TLS certificate" in state.errors()[0]


def test_a_retry_waits_for_its_time(tmp_path: Path) -> None:
    """Nothing is sent between the attempts of the schedule."""
    clock = Clock()
    with serving(Script([500])) as server:
        state = StateFile(tmp_path / "state.db", [webhook(server)])
        state.append(revision("a", 1))
        state.deliverer(clock).drain()
        clock.now_s += 9.9
        state.deliverer(clock).drain()
        assert len(server.requests) == 1


def test_a_server_that_is_down_gets_the_alert_when_it_is_up(tmp_path: Path) -> None:
    """A refused connection is one failed attempt."""
    clock, script = Clock(), Script(port=free_port())
    state = StateFile(tmp_path / "state.db", [webhook(script)])
    state.append(revision("a", 1))
    state.deliverer(clock).drain()
    assert state.states() == {"pending": 1}
    assert "could not connect" in state.errors()[0]
    clock.now_s += 10
    with serving(script) as server:
        state.deliverer(clock).drain()
    assert server.ids == ["a.1"]
    server.requests[0].verify()


def test_a_slow_server_is_a_failed_attempt(tmp_path: Path) -> None:
    """What is not answered within the time-out is sent again, with the same id."""
    clock = Clock()
    with serving(Script([SLOW, 200])) as server:
        state = StateFile(tmp_path / "state.db", [webhook(server, timeout_s=0.5)])
        state.append(revision("a", 1))
        state.deliverer(clock).drain()
        assert state.errors() == ["no answer within 0.5 s"]
        clock.now_s += 10
        state.receivers = [webhook(server)]
        state.deliverer(clock).drain()
        assert server.ids == ["a.1", "a.1"]
    assert state.states() == {"delivered": 1}


def test_an_answer_410_disables_the_receiver_until_its_url_changes(tmp_path: Path) -> None:
    """Gone is remembered over restarts, said in the log, and ended by a new address."""
    path, clock = tmp_path / "state.db", Clock()
    with serving(Script([410])) as gone, serving(Script()) as server:
        state = StateFile(path, [webhook(gone)])
        state.append(revision("a", 1), revision("b", 1))
        with capture_logs() as logs:
            state.deliverer(clock).drain()
        assert [log["event"] for log in logs] == ["receiver disabled"]
        again = StateFile(path, [webhook(gone)])
        again.append(revision("c", 1))
        seen = len(gone.requests)
        again.deliverer(clock).drain()
        assert len(gone.requests) == seen
        assert again.states() == {"dead": 3}
        moved = StateFile(path, [webhook(server)])
        moved.append(revision("d", 1))
        moved.deliverer(clock).drain()
        assert server.ids == ["d.1"]


def test_a_disabled_receiver_can_be_enabled(tmp_path: Path) -> None:
    """The same address is used again when the configuration says so."""
    with serving(Script([410, 200])) as server:
        receiver = webhook(server)
        state = StateFile(tmp_path / "state.db", [receiver])
        state.append(revision("a", 1))
        state.deliverer().drain()
        enabled = WebhookReceiver(receiver.name, receiver.url, (SECRET,), allow_private=True, enable=True)
        again = StateFile(tmp_path / "state.db", [enabled])
        again.append(revision("b", 1))
        again.deliverer().drain()
        assert server.ids == ["a.1", "b.1"]


@pytest.mark.parametrize("status", [429, 502, 504])
def test_a_busy_server_is_left_alone(tmp_path: Path, status: int) -> None:
    """After 429, 502 and 504 nothing at all is sent until Retry-After has passed."""
    clock = Clock()
    with serving(Script([status, 200], answer_headers={"Retry-After": "60"})) as server:
        state = StateFile(tmp_path / "state.db", [webhook(server)])
        state.append(revision("a", 1))
        state.deliverer(clock).drain()
        state.append(revision("b", 1))
        clock.now_s += 59
        state.deliverer(clock).drain()
        assert server.ids == ["a.1"]
        clock.now_s += 2
        state.deliverer(clock).drain()
        assert sorted(server.ids) == ["a.1", "a.1", "b.1"]


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    """A redirect is a failed attempt; the other address never hears of the alert."""
    with serving(Script()) as other, serving(Script([307], answer_headers={"Location": other.url})) as server:
        state = StateFile(tmp_path / "state.db", [webhook(server)])
        state.append(revision("a", 1))
        state.deliverer().drain()
        assert other.requests == []
        assert state.errors() == ["answered 307"]


def test_garbage_is_a_failed_attempt_and_shows_no_address(tmp_path: Path) -> None:
    """Neither the stored error nor the log holds the address, which may hold a token."""
    with serving(Script([GARBAGE])) as server, capture_logs() as logs:
        state = StateFile(tmp_path / "state.db", [webhook(server)])
        state.append(revision("a", 1))
        state.deliverer().drain()
    assert state.errors() == ["did not answer in HTTP"]
    assert "token-in-path" not in str(logs)


def test_the_body_of_an_answer_is_not_read(tmp_path: Path) -> None:
    """An answer counts by its status, however much follows."""
    with serving(Script([200], answer_body=b"x" * 5_000_000)) as server:
        state = StateFile(tmp_path / "state.db", [webhook(server)])
        state.append(revision("a", 1))
        state.deliverer().drain()
    assert state.states() == {"delivered": 1}


def test_a_private_address_is_refused_unless_allowed(tmp_path: Path) -> None:
    """Neither a literal nor a name leads into our own network."""
    with serving(Script()) as server:
        literal = webhook(server, name="literal", allow_private=False)
        url = server.url.replace("127.0.0.1", "localhost")
        name = WebhookReceiver("name", url, (SECRET,))
        state = StateFile(tmp_path / "state.db", [literal, name])
        state.append(revision("a", 1))
        state.deliverer().drain()
        assert server.requests == []
    assert all("allow_private permits that" in error for error in state.errors())
    assert len(state.errors()) == 2


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),  # noqa: S104  # refused, not bound
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("93.184.215.14", True),
        ("2606:4700::1111", True),
        ("::ffff:93.184.215.14", True),
    ],
)
def test_public_addresses_are_told_from_private_ones(address: str, *, public: bool) -> None:
    """Addresses that stand for an IPv4 address are judged by it."""
    assert is_public(address) is public


def test_after_the_last_attempt_a_delivery_is_dead(tmp_path: Path) -> None:
    """The schedule ends, and it is said once."""
    clock = Clock()
    with serving(Script([500])) as server, capture_logs() as logs:
        state = StateFile(tmp_path / "state.db", [webhook(server)])
        state.append(revision("a", 1))
        for _ in range(5):
            state.deliverer(clock).drain()
            clock.now_s += 100
        assert len(server.requests) == 3
    assert state.states() == {"dead": 1}
    assert [log["event"] for log in logs].count("delivery given up") == 1


def test_a_large_alert_loses_its_farthest_lines_first() -> None:
    """The body stays below the bound, and the event's own line stays in it."""
    lines = [EvidenceLine(str(index), "\x01" * 300, "before") for index in range(8)]
    lines += [EvidenceLine("8", "the event", "event")]
    lines += [EvidenceLine(str(index), "\x01" * 300, "after") for index in range(9, 17)]
    payload = msgspec.json.encode(msgspec.structs.replace(SAMPLE, lines=lines))
    body = encode_body(payload)
    kept = [line["position"] for line in json.loads(body)["data"]["lines"]]
    assert len(body) <= MAX_BODY_BYTES
    assert kept == [str(position) for position in range(3, 14)]
    assert body == encode_body(payload)


def test_an_alert_of_any_size_fits() -> None:
    """Long texts are cut where leaving out lines is not enough."""
    monster = msgspec.structs.replace(
        SAMPLE,
        source="\x02" * 9000,
        replay="\x02" * 9000,
        template=TemplateEvidence("t", "\x02" * 9000, ["\x02" * 9000] * 90, first_seen=False),
        lines=[EvidenceLine(str(index), "\x02" * 9000, "event") for index in range(50)],
        expected=SAMPLE.expected * 500,
    )
    assert len(encode_body(msgspec.json.encode(monster))) <= MAX_BODY_BYTES


def test_a_resolved_alert_says_so_with_the_time_of_the_event() -> None:
    """The type and the time stamp are the event's; the wall clock is not in the body."""
    message = json.loads(encode_body(revision("a", 2, "resolved").payload))
    assert message["type"] == "log.anomaly.resolved"
    assert message["timestamp"] == "2026-11-21T10:05:00.000000Z"


def test_retry_after_is_read_as_seconds_and_as_a_date() -> None:
    """What is neither is no reason to wait, and a pause has a bound."""
    date = formatdate(1_000_030, usegmt=True)
    assert judge(503, "7", now_s=0).retry_after_s == 7
    assert judge(429, date, now_s=1_000_000).retry_after_s == 30
    assert judge(429, "9" * 400, now_s=0).retry_after_s == 86_400
    assert judge(503, "soon", now_s=0).outcome is Outcome.FAILED


def test_the_schedule_is_the_specifications() -> None:
    """Ten attempts over three days, each up to a tenth later than its time."""
    delays = [next_attempt_s(WEBHOOK_SCHEDULE, n, now_s=0, random=lambda: 0.0) for n in range(1, 11)]
    assert delays == [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400, None]
    assert next_attempt_s(WEBHOOK_SCHEDULE, 1, now_s=0, random=lambda: 1.0) == pytest.approx(5.5)


def test_settings_that_cannot_work_are_named_without_the_secret() -> None:
    """Every fault is in the one error; neither it nor the receiver's text holds a secret."""
    secrets, nowhere = ("whsec_!!hush", "whsec_aHVzaA=="), Path("nowhere.pem")
    receiver = WebhookReceiver("ops", "ftp://host/token", secrets, ca_file=nowhere, timeout_s=0)
    with pytest.raises(BadSetup) as raised:
        check(receiver)
    text = str(raised.value) + repr(receiver)
    for part in ("ops", "url must be", "base64", "24 to 64 bytes", "ca_file: not usable", "timeout_s"):
        assert part in text
    assert "hush" not in text
    assert "token" not in text
