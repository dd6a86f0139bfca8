"""A status in a message makes an event of its own where training saw few values of it; a new one is new."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from detector.bundle import InputSettings
from detector.errors import BadSetup
from detector.records import FIRST_TEMPLATE, UNKNOWN
from detector.shard.reader import Bounds
from detector.stages.header.shape import shape_of
from detector.stages.parse import vocabulary
from detector.stages.parse.codes import Place, places_of
from detector.stages.parse.mask import LONGEST_PATTERN
from detector.stages.parse.parse import Parser
from detector.stages.parse.vocabulary import Codes, Vocabulary, of_texts
from tests.test_train_commands import rows, tailrace
from training.corpus import learn
from training.parse.codes import LEAST_SEEN, MOST_COMBINATIONS, MOST_VALUES, CodeCounter
from training.parse.templates import TemplateMiner

SEED = 7
ANSWERED = "answered <*> in <*>"


def mined(*messages: str) -> Vocabulary:
    """The templates of messages, without codes."""
    miner = TemplateMiner()
    miner.add(message.encode() for message in messages)
    return miner.vocabulary()


def codes_of(*messages: str) -> tuple[Codes, ...]:
    """The codes that training finds in messages."""
    counter = CodeCounter()
    counter.add(message.encode() for message in messages)
    return counter.codes(mined(*messages))


def repeated(*messages: str) -> list[str]:
    """Often enough for the values to be all there are."""
    return [messages[at % len(messages)] for at in range(LEAST_SEEN + len(messages))]


@pytest.mark.parametrize(
    ("message", "values"),
    [
        (b'"GET /a/b HTTP/1.1" 503 1234 "-"', {("HTTP", 0): b"503", ("HTTP", 1): b"1234"}),
        (b"worker exited with code 137.", {("code", 0): b"137"}),
        (
            b"status=5, rc:2 (0) [11]",
            {("status", 0): b"5", ("rc", 0): b"2", ("rc", 1): b"0", ("rc", 2): b"11"},
        ),
        (b"id=1 fd=2 age=3 idle=0 db=0", {}),
        (b"7 of 9", {("", 0): b"7", ("of", 0): b"9"}),
        (b"at 10:20:30 on 2026-01-02 from 10.0.0.1:80 v1.2 took 5ms #7 -3 50%", {}),
    ],
)
def test_numbers_that_stand_by_themselves_are_found(
    message: bytes, values: dict[tuple[str, int], bytes]
) -> None:
    """Parts of dates, addresses, versions and sizes are no codes."""
    found = {tuple(place): message[slice(*span)] for place, span in places_of(shape_of(message)).items()}
    assert found == values


def test_few_values_that_return_are_codes() -> None:
    """Sizes vary, the status does not."""
    draw = random.Random(SEED)
    lines = [f"answered {draw.choice([200, 304, 404])} in {draw.randrange(2000)}" for _ in range(LEAST_SEEN)]
    assert codes_of(*lines) == (Codes(0, (Place("answered", 0),), (("200", "304", "404"),)),)


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(repeated("answered 200")[: LEAST_SEEN - 1], id="too few to know"),
        pytest.param(repeated(*(f"answered {n * n}" for n in range(MOST_VALUES + 1))), id="too many"),
        pytest.param(repeated("answered 200", "answered 2000"), id="too long"),
        pytest.param([*repeated("answered 200"), "answered 503"], id="new ones still come"),
        pytest.param(repeated("answered 0", "answered 1", "answered 2"), id="an index"),
    ],
)
def test_other_numbers_are_values(lines: list[str]) -> None:
    """What varies without end would make every line a new event."""
    assert codes_of(*lines) == ()


def test_a_word_that_varies_is_no_place() -> None:
    """Only constant words say where a code stands."""
    users = [f"{''.join(random.Random(at).choices('abcdefgh', k=9))}" for at in range(40)]
    often = repeated(*(f"session of {users[0]} 1 ended" for _ in range(2)))
    assert codes_of(*often, *(f"session of {user} 1 ended" for user in users)) == ()


def test_combinations_are_bounded() -> None:
    """Of many codes those with few values are taken."""
    lines = repeated(*(f"a={(n % 3) ** 3} b={(n % 16) ** 2} c={n % 2}" for n in range(16 * 3)))
    [codes] = codes_of(*lines)
    assert codes.places == (Place("c", 0), Place("a", 0))
    assert len(list(codes.combinations())) <= MOST_COMBINATIONS


def test_long_lines_are_counted_too() -> None:
    """A status that only long lines had was seen as well."""
    [codes] = codes_of(*repeated("GET /a answered 200", f"GET /{'x' * 3000} answered 414"))
    assert codes.values == (("200", "414"),)


def test_names_of_unknown_codes_are_bounded() -> None:
    """They are kept in states, however long a word is."""
    word = "x" * 600
    [codes] = codes_of(*repeated(f"{word} 7"))
    parser = Parser(of_texts([f"{word} <*>"], codes=(codes,)))
    assert parser.match(f"{word} 8".encode()) == UNKNOWN
    assert len(parser.pattern(f"{word} 8".encode())) <= LONGEST_PATTERN


def coded() -> Parser:
    """A template whose status is a code, behind one that has none."""
    places, values = (Place("answered", 0),), (("200", "404"),)
    return Parser(of_texts(["ready after <*>", ANSWERED], codes=(Codes(1, places, values),)))


def test_each_code_is_an_event() -> None:
    """One that training never saw is unknown, under the name of its template and the code."""
    parser = coded()
    messages = [b"answered 200 in 5", b"answered 404 in 17", b"answered 503 in 5", b"ready after 7"]
    tokens = [FIRST_TEMPLATE + 2, FIRST_TEMPLATE + 3, UNKNOWN, FIRST_TEMPLATE]
    assert parser.match_all(messages) == tokens
    assert [parser.match(message) for message in messages] == tokens
    assert len(parser.vocabulary) == FIRST_TEMPLATE + 4
    assert parser.pattern(b"answered 503 in 99") == "answered <*> in <*> {answered=503}"
    assert parser.vocabulary.text(FIRST_TEMPLATE + 3) == "answered <*> in <*> {answered=404}"
    assert parser.parameters(b"answered 404 in 17", FIRST_TEMPLATE + 3) == ["404", "17"]


def test_a_code_keeps_the_id_of_its_template() -> None:
    """Templates are counted and compared by their ids."""
    found = coded().vocabulary
    assert found.template(FIRST_TEMPLATE + 2) == found.template(FIRST_TEMPLATE + 1)
    assert found.without_codes() == of_texts(["ready after <*>", ANSWERED])


def test_a_line_that_does_not_show_the_code_is_of_its_template() -> None:
    """A message may be cut."""
    assert coded().match(b"answered v1.2 in 5") == FIRST_TEMPLATE + 1


def test_codes_travel_as_json() -> None:
    """A bundle has them; what points nowhere is refused by its key."""
    sent = coded().vocabulary
    plain = json.loads(json.dumps(vocabulary.to_json(sent)))
    assert vocabulary.from_json(plain) == sent
    plain["codes"][0]["template"] = 2
    with pytest.raises(BadSetup, match=r"codes\[0\]"):
        vocabulary.from_json(plain)


def access_log(path: Path, status: Iterator[int]) -> Path:
    """Requests and what was answered, one a second."""
    draw, lines = random.Random(SEED), []
    for at, code in enumerate(status):
        verb, item = draw.choice(["GET", "POST"]), draw.randrange(10_000)
        stamp = f"{1 + at // 86_400:02}/Jan/2026:{at // 3600 % 24:02}:{at // 60 % 60:02}:{at % 60:02} +0000"
        lines.append(
            f'10.0.0.{item % 250} - - [{stamp}] "{verb} /item/{item} HTTP/1.1" {code} {item * 7} "-"'
        )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def usual(count: int, seed: int) -> list[int]:
    """Statuses of normal work: a few answers are 404, fewer 500."""
    return random.Random(seed).choices([200, 304, 404, 500], [900, 70, 28, 2], k=count)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Learnt from a normal access log."""
    folder = tmp_path_factory.mktemp("codes")
    log = access_log(folder / "train.log", iter(usual(8_000, SEED)))
    quick = ("--epochs", "2", "--hidden", "16", "--device", "cpu")
    tailrace("training", "fit", log, "--out", folder / "bundle", *quick)
    return folder / "bundle"


@pytest.mark.parametrize(
    ("fault", "rules"),
    [
        pytest.param([], [], id="normal"),
        pytest.param([503], ["new-template"], id="never seen"),
        pytest.param([500] * 25, ["sequence"], id="rare ones in a row"),
    ],
)
def test_statuses_that_are_not_as_usual_alert(
    bundle: Path, tmp_path: Path, fault: list[int], rules: list[str]
) -> None:
    """A status says what kind of line it is; one that was never seen, or too many of a rare one, alerts."""
    status = usual(3_000, SEED + 1)
    log = access_log(tmp_path / "access.log", iter(status[:2_000] + fault + status[2_000:]))
    done = tailrace("detector", "replay", log, "--bundle", bundle, "--format", "json")
    opened = [row for row in rows(done.stdout)[:-1] if row["revision"] == 1]
    assert [row["rule"] for row in opened] == rules
    if fault:
        assert f"{{HTTP={fault[0]}}}" in opened[0]["template"]["text"]


def test_printed_templates_have_no_codes(bundle: Path, tmp_path: Path) -> None:
    """`parse` shows the code among the parameters, and a new one is no unknown line."""
    log = access_log(tmp_path / "access.log", iter([200, 503]))
    done = tailrace("detector", "parse", log, "--bundle", bundle)
    [text] = {row["template"].partition(" ")[2] for row in rows(done.stdout)}
    assert "{" not in text
    learnt = learn([str(log)], InputSettings(), Bounds(), lambda _what, _size: None)
    assert learnt.vocabulary.codes == ()
