"""What a daemon shows over HTTP: three paths, also while it works, and nothing else."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from threading import Event, Thread

import pytest

from detector.config.load import load
from detector.errors import BadSetup
from detector.web.health import Health
from detector.web.server import METRICS_TYPE, Limits, serving
from tests.scraping import ask

PAGE = b"tailrace_commits_total 3.0\n"


class Clock:
    """Seconds that pass when somebody says so."""

    def __init__(self) -> None:
        """Begin at an odd number, as monotonic clocks do."""
        self.now_s = 1234.5

    def __call__(self) -> float:
        """The time."""
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    """Of a daemon that needs two things."""
    return Health(("bundle", "store"), stall_s=60.0, clock=clock)


@pytest.fixture
def port(health: Health) -> Iterator[int]:
    """Where a server for it listens."""
    with serving("127.0.0.1:0", health, lambda: PAGE) as port:
        yield port


def answer(port: int, path: str) -> tuple[int, object]:
    """A status and what its one line says."""
    status, body = ask(port, path)
    assert body.count(b"\n") == 1
    return status, json.loads(body)


def test_a_loop_that_does_not_go_round_is_not_live(port: int, health: Health, clock: Clock) -> None:
    """The answer comes from another thread, and says for how long."""
    clock.now_s += 60.0
    assert answer(port, "/livez") == (200, {"status": "live"})
    clock.now_s += 1.0
    reason = "the loop has not gone round for 61 s"
    assert answer(port, "/livez") == (503, {"status": "stuck", "reason": reason})
    health.tick()
    assert answer(port, "/livez")[0] == 200


def test_a_loop_that_goes_round_without_progress_is_not_live(health: Health, clock: Clock) -> None:
    """More waits and nothing was done; what has nothing to do, or gets on with it, is no fault."""
    for second in range(100):
        clock.now_s += 1.0
        health.tick()
        health.progress("idle", 7, behind=False)
        health.progress("busy", second, behind=True)
        health.progress("stuck", 7, behind=second != 9)  # was at its end once, since when it is counted anew
        assert bool(health.stuck()) == (second > 10 + 60)
    assert health.stuck() == "stuck: more waits, and nothing was done for 89 s"
    health.forget("stuck")
    assert health.stuck() == ""


def test_what_is_missing_is_named_until_it_is_there(port: int, health: Health) -> None:
    """Each condition with its reason; one that is lost again is named again."""
    missing = {"bundle": "not yet", "store": "not yet"}
    assert answer(port, "/readyz") == (503, {"status": "not ready", "missing": missing})
    health.ready("bundle", True)
    health.ready("store", False, "cannot be reached")
    missing = {"store": "cannot be reached"}
    assert answer(port, "/readyz") == (503, {"status": "not ready", "missing": missing})
    health.ready("store", True)
    assert answer(port, "/readyz") == (200, {"status": "ready"})
    assert answer(port, "/livez")[0] == 200


def test_metrics_are_served_in_the_format_that_they_are_in(port: int) -> None:
    """Prometheus goes by the content type."""
    connection = HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/metrics")
    response = connection.getresponse()
    assert (response.status, response.getheader("Content-Type")) == (200, METRICS_TYPE)
    assert response.read() == PAGE
    connection.close()


@pytest.mark.parametrize("path", ["/", "/metrics/", "/livez/..", "/debug", "//metrics", "/%6detrics/x"])
def test_there_is_no_other_path(port: int, path: str) -> None:
    """What is not there is 404."""
    assert ask(port, path)[0] == 404


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_there_is_no_other_method(port: int, path: str, method: str) -> None:
    """Nothing can be changed from outside."""
    assert ask(port, path, method)[0] == 405


def test_clients_that_say_nothing_or_nonsense_hold_up_nobody(
    port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """Half a request stays open while others are answered; no log line is written about any."""
    half = socket.create_connection(("127.0.0.1", port))
    half.sendall(b"GET /livez HTTP/1.1\r\nHost: ")
    nonsense = socket.create_connection(("127.0.0.1", port))
    nonsense.sendall(b"\x16\x03\x01 this is TLS\r\n\r\n")
    assert nonsense.recv(100).startswith(b"HTTP/1.0 400")
    assert ask(port, "/livez")[0] == 200
    nonsense.close()
    half.close()
    assert capfd.readouterr().err == ""


def test_silent_clients_are_cut_off_and_never_many(health: Health) -> None:
    """Those beyond the bound are closed at once, and in the end there is room for who asks something."""
    limits = Limits(connections=5, connection_s=0.3)
    with serving("127.0.0.1:0", health, lambda: PAGE, limits) as port, ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(9)]
        for one in silent:
            one.settimeout(30.0)
        assert [one.recv(1) for one in silent] == [b""] * 9
        assert ask(port, "/livez")[0] == 200


def test_a_connection_ends_with_its_answer(port: int) -> None:
    """Nobody keeps one for later: a probe that comes back finds room."""
    with socket.create_connection(("127.0.0.1", port), timeout=30.0) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
        said = b"".join(iter(lambda: client.recv(4096), b""))
    assert said.count(b"HTTP/1.1 200") == 1
    assert b"Connection: close" in said


def test_it_answers_while_the_process_is_busy(port: int) -> None:
    """A loop in pure Python holds the interpreter whenever it can; probes still get their answer."""
    done = Event()

    def work() -> None:
        while not done.is_set():
            sum(range(10_000))

    thread = Thread(target=work)
    thread.start()
    try:
        assert [ask(port, "/livez")[0] for _ in range(20)] == [200] * 20
    finally:
        done.set()
        thread.join()


def test_the_port_is_free_again_afterwards(health: Health) -> None:
    """A restart on the same port works at once; a second server beside the first is refused by its key."""
    with serving("127.0.0.1:0", health, lambda: PAGE) as port:
        assert ask(port, "/livez")[0] == 200
        with (
            pytest.raises(BadSetup, match=f"^web.listen: cannot listen on 127.0.0.1:{port}.*in use"),
            serving(f"127.0.0.1:{port}", health, lambda: PAGE),
        ):
            pytest.fail("two servers on one port")
    with serving(f"127.0.0.1:{port}", health, lambda: PAGE) as again:
        assert again == port


@pytest.mark.parametrize("listen", ["203.0.113.7:9464", "no-such-host.invalid:9464"])
def test_an_address_that_is_not_ours_is_refused_by_its_key(health: Health, listen: str) -> None:
    """The sentence names the key and the address."""
    with (
        pytest.raises(BadSetup, match=f"^web.listen: cannot listen on {listen}"),
        serving(listen, health, lambda: PAGE),
    ):
        pytest.fail("listens on somebody else's address")


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "0.0.0.0:9464", "[::1]:65535", "localhost:80"])
def test_addresses_to_listen_on(listen: str) -> None:
    """Host and port, as everybody writes them."""
    assert load(None, {"TAILRACE_WEB__LISTEN": listen}).web.listen == listen


@pytest.mark.parametrize(
    "listen", ["9464", ":9464", "127.0.0.1", "host:65536", "host:http", "::1:80", "http://x:80", "a b:80", ""]
)
def test_what_is_no_address_to_listen_on_is_refused(listen: str) -> None:
    """Where nobody says which interface, none is guessed."""
    with pytest.raises(BadSetup, match=r"web\.listen: not an address to listen on: write HOST:PORT"):
        load(None, {"TAILRACE_WEB__LISTEN": listen})
