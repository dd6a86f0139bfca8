"""Messages match the frozen templates that fit them, and no memory changes which."""

import json
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.errors import BadSetup
from detector.records import FIRST_TEMPLATE, UNKNOWN
from detector.stages.header.header import Column, Header, Headers
from detector.stages.header.shape import REMEMBERED, shape_of
from detector.stages.parse import vocabulary
from detector.stages.parse.mask import LONGEST_PATTERN
from detector.stages.parse.parse import LineParser, Parser
from detector.stages.parse.vocabulary import Vocabulary, of_texts

TEXTS = [
    "session opened for user <*> by (uid= <*>",
    "session opened for user root by (uid= <*>",
    "connection from <*> port <*>",
    "connection from <*> port http",
    "<*> jobs are waiting",
    "delete blk_<*>",
    "Shutting down",
    "",
]
TOKENS = {text: FIRST_TEMPLATE + at for at, text in enumerate(TEXTS)}
HEADERS = Headers((Header((Column("time", "iso", chosen=True), Column("level"))),))
MESSAGES = [
    b"session opened for user news by (uid=9",
    b"session opened for user root by (uid=0",
    b"connection from 10.0.0.7 port 4711",
    b"connection from 10.0.0.7 port http",
    b"connection lost",
    b"42 jobs are waiting",
    b"delete blk_1 blk_-2 blk_3",
    b"Shutting down",
    b"",
]


def parser() -> Parser:
    """A parser with empty memories."""
    return Parser(of_texts(TEXTS))


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (b"Shutting down", "Shutting down"),
        (b"Shutting   down ", "Shutting down"),
        (b"42 jobs are waiting", "<*> jobs are waiting"),
        (b"connection from 10.0.0.7 port 4711", "connection from <*> port <*>"),
        (b"connection from somewhere port 4711", "connection from <*> port <*>"),
        (b"delete blk_1 blk_-2 blk_3", "delete blk_<*>"),
        (b"", ""),
    ],
)
def test_a_message_matches_its_template(message: bytes, text: str) -> None:
    """A wildcard stands for any one token, and lists for one value."""
    assert parser().match(message) == TOKENS[text]


@pytest.mark.parametrize(
    "message", [b"Shutting up", b"Shutting", b"Shutting down now", b"jobs are waiting", b"\0\xff"]
)
def test_what_fits_no_template_is_unknown(message: bytes) -> None:
    """Nothing is guessed."""
    assert parser().match(message) == UNKNOWN


def test_the_template_with_the_fewest_wildcards_wins() -> None:
    """A more exact template was learnt for a reason, whatever the order."""
    for texts in (TEXTS, TEXTS[::-1]):
        found = Parser(of_texts(texts))
        for text in TEXTS[:4]:
            message = text.replace("<*>", "7").encode()
            assert texts[found.match(message) - FIRST_TEMPLATE] == text


def test_a_dead_end_is_left_again() -> None:
    """The exact branch may fail later, where the wildcard's would have fitted."""
    found = Parser(of_texts(["a b <*> d", "a <*> c e"]))
    assert found.match(b"a b c e") == FIRST_TEMPLATE + 1


def test_batches_and_lines_say_what_single_messages_say() -> None:
    """One matcher behind three doors."""
    expected = [parser().match(message) for message in MESSAGES]
    assert parser().match_all(MESSAGES) == expected
    lines = [b"2015-07-29 17:41:44 INFO " + message for message in MESSAGES]
    parsed = LineParser(HEADERS, parser()).parse_all(lines)
    assert [token for token, _ in parsed] == expected
    assert [line[cut.message :] for line, (_, cut) in zip(lines, parsed, strict=True)] == MESSAGES


WORDS = [
    "session",
    "connection",
    "from",
    "port",
    "http",
    "root",
    "blk_1",
    "blk_23",
    "10.0.0.1",
    "7",
    "user",
    "(uid=0",
    "x" * 3000,
]


@given(
    messages=st.lists(
        st.one_of(
            st.sampled_from(MESSAGES),
            st.lists(st.sampled_from(WORDS), max_size=6).map(lambda words: " ".join(words).encode()),
            st.binary(max_size=60),
        ),
        max_size=30,
    ),
    cleared=st.sets(st.integers(0, 30)),
)
def test_memories_change_no_token(messages: list[bytes], cleared: set[int]) -> None:
    """Warm, cleared in the middle or without a memory: the same tokens and cuts."""
    warm = parser()
    lines = LineParser(HEADERS, parser())
    for at, message in enumerate([*messages, *messages]):
        if at in cleared:
            warm._shapes.clear()
            warm._masked.clear()
            warm._masks.clear()
            lines._lines.clear()
        expected = parser().match_shape(shape_of(message))
        assert warm.match(message) == expected
        line = b"2015-07-29 17:41:44 INFO " + message
        token, cut = lines.parse(line)
        assert cut == HEADERS.split(line)
        assert token == parser().match(line[cut.message :])


def test_a_full_memory_starts_anew() -> None:
    """More shapes than are remembered are matched all the same, in bounded memory."""
    pick = random.Random(3)
    found = parser()
    for _ in range(REMEMBERED // 10):
        message = b"connection from %x port 1" % pick.getrandbits(64)
        assert found.match(message) in {TOKENS["connection from <*> port <*>"], UNKNOWN}
    assert len(found._shapes) <= REMEMBERED


@pytest.mark.parametrize(
    "piece", [b"connection ", b"<*> ", b"a=", b"....", b"/", b"0a", b"\0a", b"\xff", b"a.b:c@"]
)
def test_an_adversarial_message_costs_little(piece: bytes) -> None:
    """A megabyte of anything is unknown within milliseconds, and its pattern is short."""
    message = piece * (1_000_000 // len(piece))
    found = parser()
    begin = time.process_time()
    assert found.match(message) == UNKNOWN
    assert len(found.pattern(message)) <= LONGEST_PATTERN
    assert len(found.parameters(message, FIRST_TEMPLATE)) == TEXTS[0].count("<*>")
    assert time.process_time() - begin < 0.2


@pytest.mark.parametrize(
    ("message", "text", "expected"),
    [
        (b"session opened for user news by (uid=9", TEXTS[0], ["news", "9"]),
        (b"connection from 10.0.0.7 port 4711", TEXTS[2], ["10.0.0.7", "4711"]),
        (b"42 jobs are waiting", TEXTS[4], ["42"]),
        (b"delete blk_1 blk_-2", TEXTS[5], ["1 blk_-2"]),
        (b"Shutting down", TEXTS[6], []),
        (b"something else", TEXTS[2], ["", ""]),
    ],
)
def test_parameters_are_what_stands_for_the_wildcards(message: bytes, text: str, expected: list[str]) -> None:
    """One value for each `<*>` of the template's text."""
    assert parser().parameters(message, TOKENS[text]) == expected


def test_an_unknown_message_has_a_pattern_and_no_parameters() -> None:
    """Lines that differ in values only share one alert."""
    found = parser()
    assert found.pattern(b"disk 7 at /dev/sda1 lost") == found.pattern(b"disk 12 at /dev/sdb lost")
    assert found.parameters(b"disk 7 lost", UNKNOWN) == []


def test_an_exact_vocabulary_matches_whole_events() -> None:
    """With `--parser exact` the field is the token; nothing is masked."""
    found = Parser(of_texts(["E5", "E 22", "4"], exact=True))
    assert found.match_all([b"E5", b"E 22", b"4", b"5", b"E5 "]) == [2, 3, 4, UNKNOWN, UNKNOWN]
    lines = LineParser(HEADERS, found).parse_all(
        [b"2015-07-29 17:41:44 INFO 4", b"2015-07-29 17:41:44 INFO 5"]
    )
    assert [token for token, _ in lines] == [4, UNKNOWN]
    assert (found.match(b"E5"), found.pattern(b"E77"), found.parameters(b"E5", 2)) == (2, "E77", [])


def test_a_template_has_the_same_id_in_every_vocabulary() -> None:
    """The id is a hash of the text, so bundles can be compared."""
    alone, among = of_texts(["Shutting down"]), of_texts(TEXTS)
    assert among.template(TOKENS["Shutting down"]) == alone.template(FIRST_TEMPLATE)
    assert [template.id for template in alone.templates] == ["14363ae7ab8a"]


def test_vocabularies_travel_as_json() -> None:
    """Wildcards, order and exactness come back."""
    for sent in (of_texts(TEXTS), of_texts(["E 1", "E2"], exact=True), Vocabulary(())):
        assert vocabulary.from_json(json.loads(json.dumps(vocabulary.to_json(sent)))) == sent


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ([], "object"),
        ({"templates": []}, "exact"),
        ({"exact": False, "templates": [{"id": "x"}]}, "templates[0]"),
        ({"exact": False, "templates": [{"id": "x", "text": "a"}]}, "templates[0].id"),
        ({"exact": False, "templates": [], "extra": 1}, "extra"),
    ],
)
def test_bad_json_is_refused_by_key(data: object, named: str) -> None:
    """A damaged bundle says where."""
    with pytest.raises(BadSetup) as refused:
        vocabulary.from_json(data)
    assert named in str(refused.value)
