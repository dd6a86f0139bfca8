"""Records that cannot be judged are put aside, published with what was wrong, and can be listed."""

import json
import random
import sys
from contextlib import closing
from pathlib import Path

import pytest

from detector.cli.__main__ import app
from detector.cli.run import run
from detector.config.options import KafkaAt, RedisAt, Settings
from detector.distributed.letters import Keeping, addressed, dead_letter, message
from detector.distributed.publishing import Publisher
from detector.inputs.kafka.feed import KafkaRecord, Shard
from detector.records import DeadLetter, Reject
from detector.store.contract import Commit
from detector.store.redis.connect import nodes_at, store_at
from detector.store.redis.letters import Letters
from tests.redis_commits import SHARD, commit
from tests.servers import topics
from tests.servers.kafka import Broker
from tests.servers.redis import Server
from tests.stores import shared_redis
from tests.watching import DEADLINE_S, core_of, lines_of, until
from tests.workers import come_to, configured, have_come_to, last_lines, replayed, spread, working

SEED = 41
LONG = b"\x1b[31mred " + b"x" * 3000  # beyond max_line_bytes of these tests


def test_what_cannot_be_read_goes_to_the_dead_letter_topic_and_the_stream_goes_on(
    kafka: Broker,
    redis: Server,
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It arrives with key, value and headers, and what was wrong; states and alerts are as without it."""
    sys.stdout.write(f"seed {SEED}\n")
    topic, log = "dead-letters", tmp_path / "app.log"
    monkeypatch.setenv("TAILRACE_INPUT__MAX_LINE_BYTES", "2000")
    monkeypatch.setenv("TAILRACE_KAFKA__DEAD_LETTER_TOPIC", f"{topic}-dead")
    monkeypatch.setenv("TAILRACE_KAFKA__DEAD_LETTER_MAX_BYTES", "2500")
    lines = [line.rstrip(b"\n") for line in lines_of(SEED, 300)] + last_lines(session=False)
    log.write_bytes(b"".join(line + b"\n" for line in lines))
    topics.create(kafka.address, topic, partitions=4)
    topics.create(kafka.address, f"{topic}-dead")
    ends = {f"{topic}-{partition}": 0 for partition in range(4)}
    for partition in range(4):
        topics.write(
            kafka.address,
            topic,
            [(b"web", LONG, [("trace", b"7"), ("x-error", b"old")])],
            partition=partition,
        )
    for partition, count in spread(kafka.address, topic, lines, session=False).items():
        ends[f"{topic}-{partition}"] += count
    at, core = RedisAt(url=redis.url, key_prefix=topic), core_of(bundle, log)
    config = configured(
        tmp_path / "tailrace.toml", bundle=bundle, broker=kafka.address, topic=topic, redis=redis.url
    )
    with working(config, tmp_path / "errors") as process:
        until(lambda: have_come_to(at, ends) or process.poll() is not None)
        until(lambda: len(topics.log_of(kafka.address, f"{topic}-dead")) == 4)
    assert come_to(at, core) == replayed(core, log)
    for record in topics.records(kafka.address, f"{topic}-dead"):
        assert (record.key, record.value) == (b"web", LONG[:2500])
        headers = dict(record.headers)
        assert headers.pop("x-partition") in {b"0", b"1", b"2", b"3"}
        assert headers == {
            "trace": b"7",
            "x-error-class": b"BadRecord",
            "x-error": b"line of 3004 bytes exceeds max_line_bytes (2000)",
            "x-topic": topic.encode(),
            "x-offset": b"0",
            "x-attempts": b"1",
            "x-cut": b"2500 of 3009 bytes",
        }
    capsys.readouterr()
    assert run(app, ["dead-letters", "list", "--config", str(config)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 4
    assert f"{topic}/0/0  BadRecord: line of 3004 bytes exceeds" in shown[0]
    assert "\\x1b[31mred" in shown[0]
    assert "\x1b" not in shown[0]
    assert run(app, ["dead-letters", "list", "--format", "json", "--config", str(config)]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (first["id"], first["bytes"], first["kept_bytes"]) == (f"{topic}/0/0", 3009, 2500)


@pytest.mark.parametrize("output", ["text", "json"])
def test_a_list_of_no_dead_letters_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    """On standard error: there is no data."""
    config = tmp_path / "tailrace.toml"
    config.write_text(f'[redis]\nurl = "{shared_redis().url}"\nkey_prefix = "no-letters"\n')
    assert run(app, ["dead-letters", "list", "--format", output, "--config", str(config)]) == 0
    assert capsys.readouterr() == ("", "no dead letters\n")


def letter(number: int, size: int = 10) -> DeadLetter:
    """A dead letter whose value has a size."""
    record = KafkaRecord(number, 0, None, b"v" * size, ())
    return dead_letter(Shard("logs", 0), record, "why", Keeping())


def test_dead_letters_are_bounded_in_number_and_bytes_and_what_is_dropped_is_counted() -> None:
    """The newest stay; a single one that is larger than the bound goes too."""
    server = shared_redis()
    server("FLUSHALL")
    at = RedisAt(url=server.url, kept_rejects=5, kept_reject_bytes=3000)
    with closing(store_at(at)) as store, closing(nodes_at(at)) as nodes:
        letters = Letters(nodes, at.key_prefix)
        store.commit(commit(0, rejects=[letter(number) for number in range(9)]))
        assert [one.offset for _, one in letters.kept(SHARD)] == [4, 5, 6, 7, 8]
        assert letters.dropped(SHARD) == 4
        store.commit(commit(1, rejects=[letter(9, 2000)]))
        kept = [one.offset for _, one in letters.kept(SHARD)]
        assert kept[-1] == 9
        assert letters.dropped(SHARD) == 10 - len(kept)
        store.commit(commit(2, rejects=[letter(10, 4000)]))
        assert letters.kept(SHARD) == []
        assert letters.dropped(SHARD) == 11
        store.commit(commit(3, rejects=[letter(11)]))
        assert [one.offset for _, one in letters.kept(SHARD)] == [11]


def test_dead_letters_wait_until_they_are_published_and_stay_listed() -> None:
    """What was noted as published is not given again, whatever was taken out or dropped between."""
    server = shared_redis()
    server("FLUSHALL")
    at = RedisAt(url=server.url, kept_rejects=6)
    with closing(store_at(at)) as store, closing(nodes_at(at)) as nodes:
        letters = Letters(nodes, at.key_prefix)
        assert letters.unpublished(SHARD, most_bytes=1) == []
        store.commit(commit(0, rejects=[letter(number) for number in range(4)]))
        [(first, one)] = letters.unpublished(SHARD, most_bytes=1)
        assert one == letter(0)
        assert len(letters.unpublished(SHARD, most_bytes=10_000)) == 4
        letters.published(SHARD, first)
        assert letters.remove(SHARD, [first + 1, first + 1, 99]) == 1
        letters.published(SHARD, 0)
        assert [one.offset for _, one in letters.unpublished(SHARD, most_bytes=10_000)] == [2, 3]
        assert [one.offset for _, one in letters.kept(SHARD)] == [0, 2, 3]
        store.commit(commit(1, rejects=[letter(number) for number in range(4, 9)]))
        assert [one.offset for _, one in letters.unpublished(SHARD, most_bytes=10_000)] == [3, 4, 5, 6, 7, 8]


def test_a_record_with_several_faults_is_one_dead_letter() -> None:
    """Logs of a batch are put aside one by one; the record is sent on whole, and once."""
    records = [KafkaRecord(offset, 0, b"k", b"value", ()) for offset in (4, 5, 6)]
    rejects = [Reject("logs", 5, f"log {sub} of the batch: no", b"") for sub in range(3)]
    [one] = addressed(Shard("logs", 2), rejects, records, Keeping())
    assert (one.identity, one.reason) == ("logs/2/5", "log 0 of the batch: no (and 2 more)")


def test_a_routed_record_names_its_origin_and_nobody_else_can() -> None:
    """The router's headers are not handed on; in another topic anybody could have written them."""
    headers = (("trace", b"7"), ("tailrace-origin", b"app/3/12:1"), ("tailrace-key", b"own"))
    record = KafkaRecord(99, 0, b"source", b"value", headers)
    keeping = Keeping(routed_topic="routed")
    sent = message(dead_letter(Shard("routed", 0), record, "why", keeping), "dead")
    said = dict(sent.headers)
    assert sent.key == b"own"
    assert (said["x-topic"], said["x-partition"], said["x-offset"]) == (b"app", b"3", b"12:1")
    assert set(said) == {
        "trace",
        "x-error-class",
        "x-error",
        "x-topic",
        "x-partition",
        "x-offset",
        "x-attempts",
    }
    sent = message(dead_letter(Shard("app", 0), record, "why", keeping), "dead")
    assert dict(sent.headers)["x-offset"] == b"99"
    forged = KafkaRecord(99, 0, b"k", b"v", (("tailrace-origin", b"a/b/c\x1b"),))
    assert dead_letter(Shard("routed", 0), forged, "why", keeping).identity == "routed/0/99"


def test_a_dead_letter_fits_any_topic() -> None:
    """Key, headers, value and reason are each bounded, and what was cut says so."""
    big = KafkaRecord(1, 0, b"k" * 10_000, b"v" * 5_000_000, tuple((f"h{n}", b"h" * 1000) for n in range(99)))
    sent = message(dead_letter(Shard("logs", 0), big, "e" * 9_999, Keeping(max_bytes=900_000)), "dead")
    size = len(sent.key or b"") + len(sent.value) + sum(len(n) + len(c) for n, c in sent.headers)
    assert size < 950_000
    assert dict(sent.headers)["x-cut"] == b"900000 of 5000000 bytes"


def test_a_dead_letter_that_fits_nowhere_keeps_no_other_partition_waiting(
    kafka: Broker, redis: Server
) -> None:
    """It waits for the topic to take more, and only what is behind it in its partition waits with it."""
    topic = "fits-nowhere"
    topics.create(kafka.address, topic, max_message_bytes="1000")
    at = RedisAt(url=redis.url, key_prefix=topic)
    noise = random.Random(SEED).randbytes(3000)
    big = dead_letter(Shard("logs", 0), KafkaRecord(1, 0, None, b"v", (("trace", noise),)), "why", Keeping())
    with closing(store_at(at)) as store:
        for shard, one in (("logs-0", big), ("logs-1", letter(7)), ("logs-2", letter(8))):
            store.commit(Commit(shard, 0, "b1", b"{}", b"", {}, {}, [], [one]))
    settings = Settings(redis=at, kafka=KafkaAt(brokers=(kafka.address,)))
    publisher = Publisher(settings, topic, lambda: ["logs-0", "logs-1", "logs-2"])
    publisher.start()
    until(lambda: len(topics.log_of(kafka.address, topic)) == 2)
    publisher.wake()
    publisher.stop(DEADLINE_S)
    found = [dict(one.headers)["x-offset"] for one in topics.records(kafka.address, topic)]
    assert found == [b"7", b"8"]


def test_what_ends_the_publishing_is_raised_where_it_is_woken(redis: Server) -> None:
    """A fault of ours ends the worker, instead of leaving dead letters to wait for ever."""

    def shards() -> list[str]:
        raise ValueError("a fault")

    settings = Settings(redis=RedisAt(url=redis.url), kafka=KafkaAt(brokers=("127.0.0.1:1",)))
    publisher = Publisher(settings, "dead", shards)
    publisher.start()

    def is_told() -> bool:
        try:
            publisher.wake()
        except ValueError:
            return True
        return False

    until(is_told)
    with pytest.raises(ValueError, match="a fault"):
        publisher.stop(DEADLINE_S)
