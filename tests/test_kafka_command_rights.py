"""The rights that docs/kafka.md gives for each command are enough, and none of them is superfluous."""

import json
import re
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from detector.cli import shards, topics
from detector.config.options import RedisAt
from detector.distributed.packs import Position
from detector.errors import BadSetup
from detector.inputs.kafka.asking import begin_anew, cluster
from detector.inputs.kafka.connection import Connection
from detector.inputs.kafka.feed import Shard
from detector.store.contract import Commit
from detector.store.redis.connect import store_at
from tests.kafka_rights import COMMANDS, LINES, names_of, operator, password_of
from tests.servers.kafka_guarded import Guarded, Right
from tests.servers.topics import produce
from tests.stores import shared_redis

CONFIG = """
[input]
start = "earliest"
[kafka]
brokers = [{broker}]
topics = ["logs"]
group = {group}
routed_topic = "{names}-routed"
dead_letter_topic = "{names}-dead-letters"
scores_topic = "{names}-scores"
tls = true
ca_file = {ca}
sasl_mechanism = "SCRAM-SHA-512"
username = {user}
password = {password}
[redis]
url = {redis}
key_prefix = "ops"
"""


def done_by(user: str, command: str, guarded: Guarded, folder: Path) -> None:
    """Run a command as this user."""
    config, names, redis = folder / f"{user}.toml", names_of(user), shared_redis()
    texts = {
        "broker": guarded.doors["LOGIN"], "ca": str(guarded.certificates.ca), "user": user,
        "password": password_of(user), "redis": redis.url, "group": names,
    }  # fmt: skip
    quoted = {name: json.dumps(text) for name, text in texts.items()}
    config.write_text(CONFIG.format(**quoted, names=names))
    match command:
        case "shards":
            begun(guarded, RedisAt(url=redis.url, key_prefix="ops"))
            shards.show(output="json", config=config)
        case "shards confirm":
            shards.confirm(config=config)
        case "shards reset":
            shards.reset("logs-0", yes=True, config=config)
        case "topics show":
            topics.show(output="json", config=config)
        case "topics create":
            topics.create(config=config)


def begun(guarded: Guarded, at: RedisAt) -> None:
    """Let nothing have been read that lies in the topics, so that retention may take it."""
    begin_anew(Connection(brokers=(guarded.broker.address,)), "ops-router", Shard("logs", 0), "earliest")
    with closing(store_at(at)) as store:
        fence = store.fence("ops-routed-0")
        position, number = msgspec.json.encode(Position(-1)), 0 if fence is None else fence.number
        store.commit(Commit("ops-routed-0", number, "b1", position, b"", {}, {}, [], []))


def outcome(
    user: str, command: str, guarded: Guarded, folder: Path, capsys: pytest.CaptureFixture[str]
) -> tuple[str, str]:
    """What a command says, and what it says to be missing; without the names of the user's own topics."""
    refused = ""
    try:
        done_by(user, command, guarded, folder)
    except BadSetup as error:
        refused = str(error)
    said = "".join(capsys.readouterr())
    if command == "topics create":
        made = [f"{names_of(user)}-{use}" for use in ("routed", "dead-letters", "scores")]
        said = str(cluster(Connection(brokers=(guarded.broker.address,)), made))
    said = re.sub(r'"headroom_s":604[0-9.]+', '"headroom_s":"a week"', said)
    return said.replace(names_of(user), "NAMES"), refused


@pytest.fixture(scope="module")
def broker(kafka_guarded: Guarded) -> Guarded:
    """A broker with lines to be routed, and lines that were."""
    produce(kafka_guarded.broker.address, "ops-routed", LINES)
    return kafka_guarded


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("shards", '"headroom_s":"a week"'),
        ("shards confirm", "NAMES-routed\t1 partition"),
        ("shards reset", "its lines are routed from offset 0 on"),
        ("topics show", '"name":"NAMES-scores","kind":"topic","use":"scores","exists":true,"faults":[]'),
        ("topics create", "'retention.ms': '604800000'"),
    ],
)
def test_the_documented_rights_of_a_command_are_enough(
    broker: Guarded, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, shown: str
) -> None:
    """It does all that it is for."""
    said, refused = outcome(operator(command), command, broker, tmp_path, capsys)
    assert refused == ""
    assert shown in said
    if command == "shards":
        assert said.count(shown) == 2
    assert "allow DESCRIBE_CONFIGS" not in said


@pytest.mark.parametrize(
    ("command", "right"),
    [(command, right) for command, rights in COMMANDS.items() for right in rights],
    ids=lambda one: one if isinstance(one, str) else "-".join(one[:3]),
)
def test_without_one_of_its_rights_a_command_does_less(
    broker: Guarded, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, right: Right
) -> None:
    """None is superfluous; where it does nothing, the sentence says who lacks which."""
    user = operator(command, right)
    whole, _ = outcome(operator(command), command, broker, tmp_path, capsys)
    said, refused = outcome(user, command, broker, tmp_path, capsys)
    if "may not" in refused:
        name = right.name.replace("tailrace", names_of(user))
        assert f"user {user} may not {right.operation} {right.resource} {name}: " in refused
    else:
        assert said != whole
