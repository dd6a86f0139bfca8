"""Templates are mined from messages: values become wildcards, opposites never do."""

import random

import pytest
from drain3.drain import Drain, LogCluster

from detector.records import FIRST_TEMPLATE, UNKNOWN
from detector.stages.parse.parse import Parser
from detector.stages.parse.vocabulary import Vocabulary
from training.parse.merge import NEEDED, NEEDED_FIRST, merge
from training.parse.protected import PROTECTED, is_protected
from training.parse.templates import TemplateMiner

USERS = [
    "alice",
    "bruno",
    "carla",
    "dmitri",
    "elena",
    "farid",
    "greta",
    "hugo",
    "ines",
    "jonas",
    "kira",
    "lars",
]


def mine(*messages: str) -> list[str]:
    """The texts of the templates of some messages."""
    miner = TemplateMiner()
    miner.add(message.encode() for message in messages)
    return [template.text for template in miner.vocabulary().templates]


def test_numbers_and_addresses_are_values_at_first_sight() -> None:
    """A mask needs no evidence."""
    assert mine("port 1 at 10.0.0.1", "port 22 at 10.0.0.2") == ["port <*> at <*>"]


def test_enough_different_words_make_a_value() -> None:
    """Fewer words than the evidence asks for stay events of their own."""
    lines = [f"session closed for user {user}" for user in USERS]
    assert mine(*lines[: NEEDED[0]]) == ["session closed for user <*>"]
    assert mine(*lines[: NEEDED[0] - 1]) == lines[: NEEDED[0] - 1]


def test_the_first_word_needs_more_evidence() -> None:
    """The first word mostly says what happened."""
    lines = [f"{user} is here" for user in USERS]
    assert mine(*lines[: NEEDED_FIRST[0]]) == ["<*> is here"]
    assert len(mine(*lines[: NEEDED_FIRST[0] - 1])) == NEEDED_FIRST[0] - 1


def test_something_constant_always_remains() -> None:
    """A template of wildcards only would swallow whatever comes."""
    assert len(mine(*USERS, *(f"{one} {two}" for one in USERS for two in USERS))) > len(USERS)


@pytest.mark.parametrize(
    ("one", "other"),
    [("started", "stopped"), ("up", "down"), ("GET", "POST"), ("paused", "resumed"), ("succeeded", "failed")],
)
def test_opposites_never_merge(one: str, other: str) -> None:
    """However long the line and however many other words stand there."""
    words = " ".join(f"{user}" for user in USERS)
    lines = [f"{words} {words} machine has {word} now" for word in (one, other, "q", "r", "s", "t")]
    texts = mine(*lines)
    assert sum(f" {one} " in text for text in texts) == 1
    assert sum(f" {other} " in text for text in texts) == 1


def test_protected_words_are_known_with_their_punctuation() -> None:
    """`failed,` says what `failed` says."""
    assert is_protected("(Failed),")
    assert not is_protected("alice")
    assert all(word == word.lower() for word in PROTECTED)


def test_values_of_keys_need_a_whole_family() -> None:
    """`user=root` beside two other users is an event; beside many it is a value."""
    few = [f"authentication failure; uid=0 tty=ssh user={user}" for user in USERS[:3]]
    assert len(mine(*few)) == len(few)
    many = [f"authentication failure; uid=0 tty=ssh user={user}" for user in USERS]
    assert mine(*many) == ["authentication failure; uid= <*> tty= ssh user= <*>"]


def test_words_in_capitals_are_states() -> None:
    """Three states of a long line stay apart, three names do not."""
    long = "peer with a rather long line about the state it is in now"
    assert len(merge((*long.split(), state) for state in ("LOOKING", "LEADING", "FOLLOWING"))) == 3
    assert len(merge((*long.split(), name) for name in USERS[:3])) == 1


def test_two_values_at_once_are_found() -> None:
    """Positions that vary together are judged together."""
    lines = [f"copy of {one} given to {two} for safety" for one, two in zip(USERS, USERS[::-1], strict=True)]
    assert mine(*lines) == ["copy of <*> given to <*> for safety"]


def test_the_order_of_templates_is_that_of_their_first_lines() -> None:
    """The same stream gives the same tokens."""
    lines = ["one thing", "port 1", *(f"hello dear {user}" for user in USERS), "last thing"]
    assert mine(*lines) == mine(*lines) == ["one thing", "port <*>", "hello dear <*>", "last thing"]


def corpus(count: int = 400) -> list[bytes]:
    """Made-up messages with values, words and rare events."""
    pick = random.Random(11)
    forms = [
        "session opened for user {u} by (uid={n})",
        "connection from {n}.{n}.{n}.{n} port {n}",
        "{u} accepted {n} blocks of {u} for /tmp/{u}",
        "queue {u} is {w}",
        "retry {n} of {w} job{n}",
        "shutting {w}",
    ]
    words = ["down", "up", "slow", "fast", "empty"]
    messages = []
    for _ in range(count):
        text = pick.choice(forms)
        for mark, values in (
            ("{u}", USERS),
            ("{w}", words),
            ("{n}", [str(pick.randrange(999)) for _ in range(9)]),
        ):
            while mark in text:
                text = text.replace(mark, pick.choice(values), 1)
        messages.append(text.encode())
    return messages


def frozen_drain(vocabulary: Vocabulary) -> Drain:
    """Drain3 with exactly these templates: what its full search finds is the reference."""
    drain = Drain()
    for at, template in enumerate(vocabulary.templates, FIRST_TEMPLATE):
        cluster = LogCluster(list(template.tokens), at)
        drain.id_to_cluster[at] = cluster
        drain.add_seq_to_prefix_tree(drain.root_node, cluster)
    return drain


def test_matching_finds_what_a_full_search_of_drain3_finds() -> None:
    """Drain's tree may miss a template that fits; the frozen match may not, nor find more."""
    messages = corpus()
    miner = TemplateMiner()
    miner.add(messages[:200])
    vocabulary = miner.vocabulary()
    parser, drain = Parser(vocabulary), frozen_drain(vocabulary)
    pick = random.Random(5)
    pool = [word for message in messages for word in message.split()]
    changed = [
        b" ".join([pick.choice(pool) if pick.random() < 0.2 else word for word in m.split()])
        for m in messages
    ]
    for message in [*messages, *changed]:
        cluster = drain.match(parser.masked(message).decode(), full_search_strategy="always")
        assert (parser.match(message) == UNKNOWN) == (cluster is None), message


def test_every_message_learnt_from_is_known() -> None:
    """Mining drops nothing within its bound."""
    messages = corpus()
    miner = TemplateMiner()
    for message in messages:
        miner.add([message])
    assert miner.dropped == 0
    assert UNKNOWN not in Parser(miner.vocabulary()).match_all(messages)


def test_patterns_are_bounded() -> None:
    """Noise without end fills no memory; what merges makes room, what does not is counted."""
    miner = TemplateMiner(most_patterns=50)
    pick = random.Random(2)
    letters = "bcdfghklmnpqrstvwxz"
    noise = ["".join(pick.choices(letters, k=8)) for _ in range(400)]
    miner.add(f"hello dear {word}".encode() for word in noise)
    miner.add(f"{one} {two}".encode() for one, two in zip(noise, noise[::-1], strict=True))
    texts = [template.text for template in miner.vocabulary().templates]
    assert "hello dear <*>" in texts
    assert len(texts) <= 2 * 50
    assert miner.dropped > 0


def test_garbage_is_mined() -> None:
    """Bytes that are no text, empty and endless messages are learnt as others are."""
    pick = random.Random(1)
    messages = [pick.randbytes(pick.randrange(60)) for _ in range(200)] + [
        b"",
        b"\0",
        b"a " * 100_000,
        b"\xe3\x80\x80",
    ]
    miner = TemplateMiner()
    miner.add(messages)
    assert UNKNOWN not in Parser(miner.vocabulary()).match_all(messages)


def test_nothing_is_unpickled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drain3 imports jsonpickle, which executes what it loads: neither learning nor matching uses it."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("jsonpickle was used")

    monkeypatch.setattr("jsonpickle.decode", refuse)
    monkeypatch.setattr("jsonpickle.loads", refuse)
    miner = TemplateMiner()
    miner.add(corpus(100))
    assert UNKNOWN not in Parser(miner.vocabulary()).match_all(corpus(100))
