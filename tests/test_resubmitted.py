"""Records that are sent again are judged by themselves: they change no state, and are told of."""

import signal
import sys
from contextlib import closing
from pathlib import Path

import pytest

from detector.cli.__main__ import app
from detector.cli.run import run
from detector.config.options import RedisAt
from detector.distributed import resubmitted, routed
from detector.distributed.letters import Keeping, dead_letter
from detector.distributed.partitions import Partitions
from detector.inputs.kafka.feed import Begin, KafkaRecord, PartitionBatch, Shard
from detector.store.contract import Commit
from detector.store.redis.connect import nodes_at, store_at
from detector.store.redis.letters import Letters
from tests.places import Place
from tests.servers import topics
from tests.servers.kafka import Broker
from tests.servers.redis import Server
from tests.small_bundle import TEMPLATES, log_line
from tests.watching import DEADLINE_S, START_S, core_of, lines_of, until
from tests.workers import Revisions, come_to, configured, have_come_to, last_lines, replayed, working

SEED = 61
SHARD = Shard("logs", 0)
PLACE = "logs/0/20"  # of the record that is sent again


def new_message(size: int = 0) -> bytes:
    """A line of a source that lives, with a message that no template fits, as old as the first line."""
    return log_line(START_S, "web-a", TEMPLATES, 3).rstrip(b"\n") + b" x" * size


def told_of_again(revisions: Revisions, expected: Revisions) -> None:
    """Beside the expected alerts there is one, of the new message; it was over at once."""
    more = {name: alert for name, alert in revisions.items() if name not in expected}
    assert {name: alert for name, alert in revisions.items() if name in expected} == expected
    assert {revision: (one["status"], one["rule"]) for (_, revision), one in more.items()} == {
        1: ("firing", "new-template"),
        2: ("resolved", "new-template"),
    }
    assert len({alert_id for alert_id, _ in more}) == 1


@pytest.mark.parametrize("size", [7, 100])
def test_a_record_that_is_sent_again_changes_no_state(
    redis: Server, bundle_of_kind: Path, session: bool, tmp_path: Path, size: int
) -> None:
    """Wherever it comes among the lines: states and alerts are those of a replay without it, and one more."""
    sys.stdout.write(f"seed {SEED}\n")
    log, lines = tmp_path / "app.log", [line.rstrip(b"\n") for line in lines_of(SEED, 80)]
    log.write_bytes(b"".join(line + b"\n" for line in lines))
    core = core_of(bundle_of_kind, log)
    letter = dead_letter(SHARD, KafkaRecord(20, 0, None, new_message(), ()), "why", Keeping())
    sent = resubmitted.message(letter)
    records = [KafkaRecord(n, 0, None, line, ()) for n, line in enumerate(lines)]
    again = [KafkaRecord(n, 0, sent.key, sent.value, sent.headers) for n in (40, 61)]  # twice makes no odds
    records = [*records[:40], again[0], *records[40:60], again[1], *records[60:]]
    records = [KafkaRecord(n, one.time_ms, one.key, one.value, one.headers) for n, one in enumerate(records)]
    at = RedisAt(url=redis.url, key_prefix=f"again-{size}-{'sessions' if session else 'streams'}")
    with closing(store_at(at)) as store:
        work = Partitions(core, store, [], cache_sources=9)
        assert work.fence(SHARD) is None
        work.begin(SHARD, Begin(-1, None))
        for first in range(0, len(records), size):
            some = records[first : first + size]
            work.process(PartitionBatch(SHARD, first - 1, some[-1].offset, some, at_end=False))
        assert work.works[SHARD].counts.lines == len(lines)
    (states, revisions), expected = come_to(at, core), replayed(core, log)
    assert states == expected[0]
    told_of_again(revisions, expected[1])


def test_one_that_still_cannot_be_read_is_put_aside_again(
    redis: Server, bundle_of_kind: Path, session: bool, tmp_path: Path
) -> None:
    """Under the place where it first was, and with one attempt more."""
    core = core_of(bundle_of_kind, tmp_path / "app.log")
    at = RedisAt(url=redis.url, key_prefix=f"still-{session}".lower())
    letter = dead_letter(SHARD, KafkaRecord(20, 0, b"k", b'{"half', (("trace", b"7"),)), "why", Keeping())
    with closing(store_at(at)) as store, closing(nodes_at(at)) as nodes:
        work, letters = Partitions(core, store, [], cache_sources=9), Letters(nodes, at.key_prefix)
        work.fence(SHARD)
        work.begin(SHARD, Begin(-1, None))
        for offset in range(2):
            sent = resubmitted.message(letter)
            record = KafkaRecord(offset, 0, sent.key, sent.value, sent.headers)
            work.process(PartitionBatch(SHARD, offset - 1, offset, [record], at_end=True))
            [(number, letter)] = letters.kept(str(SHARD))
            letters.remove(str(SHARD), [number])
        assert (letter.identity, letter.attempts, letter.key, letter.value) == (PLACE, 3, b"k", b'{"half')
        assert [name for name, _ in letter.headers] == ["trace", "tailrace-resubmitted", "tailrace-attempts"]


def test_a_record_that_ended_the_router_is_judged_when_it_is_sent_again(
    redis: Server, bundle_of_kind: Path, session: bool, tmp_path: Path
) -> None:
    """The fault is mended by then: its new message is told of, and it is not put aside again."""
    core, kept = core_of(bundle_of_kind, tmp_path / "app.log"), Keeping(routed_topic="routed")
    shard = Shard("routed", 0)
    at = RedisAt(url=redis.url, key_prefix=f"ended-router-{session}".lower())
    headers = routed.headers_of(SHARD, KafkaRecord(20, 0, b"own", b"", ()), more=True)
    record = KafkaRecord(0, 0, b"own", new_message(), (*headers, (routed.CRASH, b"")))
    with closing(store_at(at)) as store, closing(nodes_at(at)) as nodes:
        work, letters = (
            Partitions(core, store, [], cache_sources=9, keeping=kept),
            Letters(nodes, at.key_prefix),
        )
        work.fence(shard)
        work.begin(shard, Begin(-1, None))
        work.process(PartitionBatch(shard, -1, 0, [record], at_end=True))
        [(number, letter)] = letters.kept(str(shard))
        letters.remove(str(shard), [number])
        sent = resubmitted.message(letter)
        again = KafkaRecord(1, 0, sent.key, sent.value, sent.headers)
        work.process(PartitionBatch(shard, 0, 1, [again], at_end=True))
        assert letters.kept(str(shard)) == []
    assert (letter.error_class, letter.identity) == ("Crash", PLACE)
    told_of_again(come_to(at, core)[1], {})


def test_a_partition_that_is_gone_is_named(kafka: Broker, redis: Server, tmp_path: Path) -> None:
    """The topic was made anew with fewer: exit 2 and a sentence, and the dead letter stays."""
    topic = "gone"
    topics.create(kafka.address, topic, partitions=2)
    place = Place(tmp_path, kafka, redis, topic)
    letter = dead_letter(Shard(topic, 7), KafkaRecord(20, 0, None, b"line", ()), "why", Keeping())
    with closing(store_at(place.at)) as store:
        store.commit(Commit(f"{topic}-7", 0, "b1", b"{}", b"", {}, {}, [], [letter]))
    done = place.run("dead-letters", "resubmit", "--yes")
    assert done.returncode == 2
    assert f"there is no partition {topic}-7: topic {topic} has 2 partitions" in done.stderr
    assert f"{topic}/7/20" in place.run("dead-letters", "list").stdout


def test_the_command_sends_what_is_whole_and_the_worker_judges_it(
    kafka: Broker,
    redis: Server,
    bundle_of_kind: Path,
    session: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A longer line is allowed, and sent again: no state moves, and its new message is told of."""
    topic, log = f"resubmit-{'sessions' if session else 'streams'}", tmp_path / "app.log"
    lines = [line.rstrip(b"\n") for line in lines_of(SEED, 100)] + last_lines(session=session, partitions=1)
    log.write_bytes(b"".join(line + b"\n" for line in lines))
    topics.create(kafka.address, topic)
    topics.produce(kafka.address, topic, [*lines[:20], new_message(1500), new_message(4000), *lines[20:]])
    at, core = RedisAt(url=redis.url, key_prefix=topic), core_of(bundle_of_kind, log)
    config = configured(
        tmp_path / "tailrace.toml", bundle=bundle_of_kind, broker=kafka.address, topic=topic, redis=redis.url
    )

    def work_until(offset: int) -> None:
        with working(config, tmp_path / "errors") as process:
            until(lambda: have_come_to(at, {f"{topic}-0": offset}) or process.poll() is not None)
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE_S) == 0

    monkeypatch.setenv("TAILRACE_INPUT__MAX_LINE_BYTES", "2000")
    monkeypatch.setenv("TAILRACE_KAFKA__DEAD_LETTER_MAX_BYTES", "6000")
    work_until(len(lines) + 1)
    monkeypatch.delenv("TAILRACE_INPUT__MAX_LINE_BYTES")
    words = ["dead-letters", "resubmit", "--topic", topic, "--config", str(config)]
    assert run(app, [*words, f"{topic}/0/7"]) == 2
    assert run(app, words) == 0
    assert topics.log_of(kafka.address, topic) == range(len(lines) + 2)
    assert "1 record found; --yes sends them" in capsys.readouterr().err
    assert run(app, [*words, "--yes"]) == 0
    assert f"{topic}/0/21 is cut, and is left out\n1 record sent\n" in capsys.readouterr().err
    assert run(app, ["dead-letters", "list", "--config", str(config)]) == 0
    [left] = capsys.readouterr().out.splitlines()
    assert f"{topic}/0/21" in left
    work_until(len(lines) + 2)
    (states, revisions), expected = come_to(at, core), replayed(core, log)
    assert states == expected[0]
    told_of_again(revisions, expected[1])
