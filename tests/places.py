"""What the tests of commands on Kafka and Redis share: a configuration, and what the commands say."""

import json
import subprocess
from collections.abc import Mapping
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
from jsonschema import Draft202012Validator

from detector.config.options import RedisAt
from detector.distributed.packs import Position
from detector.store.contract import Commit
from detector.store.redis.connect import nodes_at, store_at
from detector.store.redis.written import written
from tests.servers.kafka import Broker
from tests.servers.redis import Server
from tests.watching import COMMAND

CONFIG = """
[input]
{more}
[kafka]
brokers = ["{broker}"]
topics = ["{topic}"]
group = "{topic}"
routed_topic = "{topic}-routed"
session_timeout_s = 6
{kafka_more}
[redis]
url = "{redis}"
key_prefix = "{topic}"
"""


class Place:
    """A configuration whose group and keys are named after its topic."""

    def __init__(
        self,
        folder: Path,
        kafka: Broker,
        redis: Server,
        topic: str,
        more: str = "keyed = true",
        kafka_more: str = "",
    ) -> None:
        """Write it."""
        self.at = RedisAt(url=redis.url, key_prefix=topic)
        self.config = folder / "tailrace.toml"
        self.config.write_text(
            CONFIG.format(
                more=more, kafka_more=kafka_more, broker=kafka.address, topic=topic, redis=redis.url
            ),
            encoding="utf-8",
        )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command."""
        command = [*COMMAND, *words, "--config", str(self.config)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def shards(self) -> dict[str, Any]:
        """What `tailrace shards` says, by shard."""
        return {one["shard"]: one for one in self.said("shards", "shard")}

    def said(self, words: str, schema: str) -> list[Any]:
        """What a command says in JSON, held to its schema."""
        done = self.run(*words.split(), "--format", "json")
        assert done.returncode == 0, done.stderr
        validator = Draft202012Validator(
            json.loads(files("detector").joinpath(f"schemas/{schema}.json").read_text())
        )
        found = [json.loads(line) for line in done.stdout.splitlines()]
        for one in found:
            validator.validate(one)
        return found

    def commit(self, fences: Mapping[str, int]) -> None:
        """Let shards have come so far."""
        with closing(store_at(self.at)) as store:
            for shard, fence in fences.items():
                found = msgspec.json.encode(Position(fence))
                store.commit(Commit(shard, 0, "b1", found, b"", {"web": b"1"}, {}, [], []))

    def kept(self) -> set[str]:
        """The shards of which there is anything in Redis."""
        with closing(nodes_at(self.at)) as nodes:
            return {one.shard for one in written(nodes, self.at.key_prefix)}
