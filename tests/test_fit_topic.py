"""`tailrace-train fit` on a topic of Kafka: what it holds is kept in files, by the keys of its records."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from detector.bundle import load
from detector.config import Settings
from detector.config.options import KafkaAt
from detector.errors import BadSetup
from tests.servers import topics
from tests.servers.kafka import Broker
from tests.session_log import OPTIONS, QUICK
from training.cli.topics_kept import topics_kept


def settings_of(kafka: Broker) -> Settings:
    """A configuration that names the broker alone."""
    return Settings(kafka=KafkaAt(brokers=(kafka.address,)))


def produce_keyed(address: str, topic: str, lines: list[tuple[bytes, bytes]]) -> None:
    """Write lines with their keys."""

    async def written() -> None:
        async with AIOKafkaProducer(bootstrap_servers=address) as producer:
            for key, value in lines:
                await producer.send_and_wait(topic, value, key=key, partition=0)

    asyncio.run(written())


def test_a_bundle_is_learnt_from_a_topic(kafka: Broker, jobs: Path, tmp_path: Path) -> None:
    """As it is from the file with the same lines."""
    log = jobs / "normal.log"
    topics.create(kafka.address, "to-learn", partitions=2)
    for partition, half in enumerate(halves(log.read_bytes().splitlines())):
        topics.produce(kafka.address, "to-learn", half, partition=partition)
    environment = os.environ | {"TAILRACE_KAFKA__BROKERS": json.dumps([kafka.address])}
    words = ["kafka://to-learn", *OPTIONS, *QUICK, "--out", str(tmp_path / "bundle")]
    command = [sys.executable, "-m", "training.cli.__main__", "fit", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    learnt, expected = load(tmp_path / "bundle"), load(jobs / "bundle")
    assert learnt.templates == expected.templates
    assert learnt.calibration == expected.calibration


def halves(lines: list[bytes]) -> list[list[bytes]]:
    """The lines of even and of odd jobs."""
    found: list[list[bytes]] = [[], []]
    for line in lines:
        digits = bytes(byte for byte in line.partition(b"job")[2][:8] if 48 <= byte <= 57)
        found[int(digits or b"0") % 2].append(line)
    return found


def test_each_key_is_a_file_that_is_gone_afterwards(kafka: Broker) -> None:
    """The key names the source where the line does not; files beside the topic stay as they are."""
    topics.create(kafka.address, "by-key")
    produce_keyed(kafka.address, "by-key", [(b"a", b"one"), (b"b", b"two"), (b"a", b"three\n")])
    with topics_kept(["kafka://by-key", "some.log"], settings_of(kafka)) as inputs:
        folder = Path(inputs[0])
        assert sorted(path.read_bytes() for path in folder.iterdir()) == [b"one\nthree\n", b"two\n"]
        assert inputs[1:] == ["some.log"]
    assert not folder.exists()


@pytest.mark.parametrize(("value", "said"), [(b"\x0a\x00\x01", "no lines of text"), (None, "nothing in it")])
def test_what_cannot_be_learnt_from_is_named(kafka: Broker, value: bytes | None, said: str) -> None:
    """A topic without records, or with records that are no text."""
    topic = f"no-{'text' if value else 'records'}"
    topics.create(kafka.address, topic)
    if value:
        topics.produce(kafka.address, topic, [value])
    with pytest.raises(BadSetup, match=said), topics_kept([f"kafka://{topic}"], settings_of(kafka)):
        pass
