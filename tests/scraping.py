"""Ask a server on the loopback as a probe and as Prometheus do."""

from http.client import HTTPConnection

from prometheus_client.parser import text_string_to_metric_families

Labels = tuple[tuple[str, str], ...]


def ask(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    """Status and body of one request."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30.0)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def samples(page: bytes) -> dict[tuple[str, Labels], float]:
    """Every sample of a page by its name and labels, as Prometheus' own reader understands it."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def scraped(port: int) -> dict[tuple[str, Labels], float]:
    """What `/metrics` says."""
    status, page = ask(port, "/metrics")
    assert status == 200
    return samples(page)
