"""The broker that other tests rest on does what they take from it."""

from tests.servers import topics
from tests.servers.kafka import Broker

LINES = [b"line %d" % number for number in range(100)]


def test_records_come_back_as_they_were_written(kafka: Broker) -> None:
    """What one client writes another reads, in order."""
    topics.create(kafka.address, "come-back")
    topics.produce(kafka.address, "come-back", LINES)
    assert topics.consume(kafka.address, "come-back", len(LINES)) == LINES


def test_a_killed_broker_goes_on_with_its_data(kafka: Broker) -> None:
    """Kill -9 and a start lose nothing that was written."""
    topics.create(kafka.address, "killed")
    topics.produce(kafka.address, "killed", LINES)
    kafka.kill()
    kafka.start()
    assert topics.consume(kafka.address, "killed", len(LINES)) == LINES
    kafka.restart()
    assert topics.consume(kafka.address, "killed", len(LINES)) == LINES


def test_deleted_records_move_the_start_of_the_log(kafka: Broker) -> None:
    """After a deletion the log begins later and ends where it did."""
    topics.create(kafka.address, "deleted")
    topics.produce(kafka.address, "deleted", LINES)
    topics.delete_before(kafka.address, "deleted", 0, 40)
    assert topics.log_of(kafka.address, "deleted") == range(40, 100)
    assert topics.consume(kafka.address, "deleted", 60) == LINES[40:]
