"""The second reader: its graph, what is kept for it, what it does to scores and alerts, what it learns."""

import hashlib
import sys
from itertools import cycle as over
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.bundle import READ_EVENTS, Bundle, ReaderModel, Tail, load
from detector.errors import BadSetup
from detector.records import END, UNKNOWN, Alert
from detector.stages.reading import tokens_of, with_tokens
from detector.stages.score.again import ORDINARY_Z, second_score
from tests.core_shell import (
    CUTS,
    EVENTS,
    Event,
    decoded,
    run_whole,
    steady,
    whole_and_cut,
)
from tests.small_bundle import SECOND, policy, small_bundle
from training.export.reader import export_reader
from training.model.corrupted import KINDS, corrupted, known_sessions
from training.model.reader import ReaderNetwork, build_reader, fit_reader, newest, read

SEED = 11
VOCABULARY = 9


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle for sessions without a second reader."""
    return small_bundle(tmp_path_factory.mktemp("plain"), session=True)


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same with one, of random weights, that reads every session."""
    return small_bundle(tmp_path_factory.mktemp("reading"), session=True, reader=True)


def rounds(count: int) -> list[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Normal sessions: `2 (3 4 5)+ 6`."""
    sys.stdout.write(f"seed {SEED}\n")
    many = np.random.default_rng(SEED).integers(1, 5, count).tolist()
    return [np.array([2, *[3, 4, 5] * times, 6], np.int64) for times in many]


@pytest.fixture(scope="module")
def learnt() -> ReaderNetwork:
    """A reader that has read normal sessions."""
    return fit_reader(rounds(120), VOCABULARY, SEED, steps=250)


def test_torch_equals_onnx() -> None:
    """Verdict and attention of sessions of any length, for weights that nothing was learnt into."""
    network = build_reader(VOCABULARY, SEED)
    graph, rng = ReaderModel(export_reader(network)), np.random.default_rng(SEED)
    for length in (1, 2, 3, 17, 64, READ_EVENTS + 1):
        tokens = rng.integers(0, VOCABULARY, length)
        verdict, attention = graph.run(tokens)
        wanted, pointed = read(network, tokens)
        assert verdict == pytest.approx(wanted, abs=1e-5)
        assert attention == pytest.approx(pointed.numpy(), abs=1e-5)
        assert float(attention.sum()) == pytest.approx(1.0, abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(events=EVENTS, cuts=CUTS, origins=st.integers(1, 3))
def test_any_cut_into_batches_gives_the_same_second_scores(
    reading: Bundle, events: list[Event], cuts: list[int], origins: int
) -> None:
    """States to the bit, alerts with what was pointed at, and closed sessions do not depend on batches."""
    rules = policy(reading, threshold=0.5)
    rules = msgspec.structs.replace(rules, remember_us=10**6 * SECOND)
    whole, cut = whole_and_cut(reading, rules, events, cuts, origins)
    assert cut.summary() == whole.summary()


@given(parts=st.lists(st.lists(st.integers(0, 60_000), max_size=90), max_size=8))
def test_the_newest_tokens_are_kept_however_they_come(parts: list[list[int]]) -> None:
    """Two bytes each, and never more than so many."""
    packed = b""
    for part in parts:
        packed = with_tokens(packed, part)
    everything = [token for part in parts for token in part]
    assert tokens_of(packed) == everything[-READ_EVENTS:]


def test_only_a_bundle_with_a_reader_keeps_tokens_and_never_more_than_a_bound(
    plain: Bundle, reading: Bundle
) -> None:
    """A session of thousands of events takes a few hundred bytes more; without a reader not one."""
    events = steady(3000, lambda i: i % 7 + 2)
    sizes = {}
    for bundle in (plain, reading):
        shard = run_whole(bundle, policy(bundle, threshold=1e9, event_threshold=1e9), events)
        sizes[bundle.id] = len(shard.states["s0"])
    assert sizes[reading.id] - sizes[plain.id] <= 2 * READ_EVENTS + 2
    shard = run_whole(plain, policy(plain, threshold=1e9, event_threshold=1e9), events[:5])
    other = run_whole(reading, policy(reading, threshold=1e9, event_threshold=1e9), events[:5])
    assert len(other.states["s0"]) == len(shard.states["s0"]) + 2 * 5


def test_an_alert_of_a_read_session_names_and_marks_what_was_pointed_at(
    plain: Bundle, reading: Bundle
) -> None:
    """Events by their number, weights on the lines that are still there; nothing of it without a reader."""
    events = steady(6, lambda i: i + 2)
    [opened] = ended(reading, events)
    assert opened.reading is not None
    assert opened.score == pytest.approx(second_score(opened.reading.first_score, opened.reading.z), abs=2e-4)
    weights = {one.event: one.weight for one in opened.reading.attended}
    assert weights
    assert max(weights) <= len(events) + 1
    marked = {line.position: line.weight for line in opened.lines if line.weight}
    shown = {line.position for line in opened.lines}
    assert marked == {str(at - 1): weight for at, weight in weights.items() if str(at - 1) in shown}
    assert marked
    [without] = ended(plain, events)
    assert without.reading is None
    assert without.score == opened.reading.first_score
    assert b"weight" not in msgspec.json.encode(without)


def ended(bundle: Bundle, events: list[Event]) -> list[Alert]:
    """The alerts of sessions that end after these events, at a threshold that all reach."""
    shard = run_whole(bundle, policy(bundle, threshold=0.0, event_threshold=1e9), events)
    shard.settle(1_700_000_000 * SECOND + (len(events) + 33) * SECOND)
    return decoded(shard.revisions)


@given(first=st.floats(0, 50), verdict=st.floats(-8, 8))
def test_an_ordinary_verdict_takes_little_and_a_strange_one_adds(first: float, verdict: float) -> None:
    """No more than the documented part, never below 0, and more the stranger the verdict."""
    tail = Tail(start=0.0, scale=0.5, share=0.1, quantiles=[-4.0, 0.0])
    score = second_score(first, tail.z(verdict))
    assert max(0.0, first - ORDINARY_Z) <= score
    assert score <= second_score(first, tail.z(verdict + 1.0))
    assert (score > first) == (tail.z(verdict) > ORDINARY_Z) or score == pytest.approx(first)


def test_a_copy_is_never_a_normal_session_and_says_where_it_is_wrong() -> None:
    """Of every kind; what is marked lies within the copy, and the end stays the end."""
    sessions = rounds(200)
    known, rng = known_sessions(sessions), np.random.default_rng(SEED)
    made = [corrupted(session, VOCABULARY, rng, known) for session in sessions for _ in range(3)]
    found = [copy for copy in made if copy is not None]
    assert {copy.kind for copy in found} == set(KINDS)
    for copy in found:
        assert copy.tokens[:-1].tobytes() not in known
        assert copy.tokens[-1] == END
        assert len(copy.wrong) == len(copy.tokens)
        assert 1 <= copy.wrong.sum() <= 2
    assert corrupted(np.array([2]), VOCABULARY, rng) is None
    assert any(UNKNOWN in copy.tokens for copy in found)


def test_a_reader_tells_sessions_in_the_wrong_order_and_points_there(learnt: ReaderNetwork) -> None:
    """Each step is there; two have changed places."""
    graph = ReaderModel(export_reader(learnt))
    normal = [graph.run(np.append(session, END))[0] for session in rounds(40)]
    for session, at in zip(rounds(40), over([1, 2, 3])):
        wrong = np.append(session, END)
        wrong[[at, at + 1]] = wrong[[at + 1, at]]
        verdict, attention = graph.run(wrong)
        assert verdict > max(normal)
        assert abs(int(attention.argmax()) - at) <= 2


def test_the_same_seed_gives_the_same_graph() -> None:
    """To the byte; another seed gives another."""
    graphs = [export_reader(fit_reader(rounds(60), VOCABULARY, seed, steps=4)) for seed in (SEED, SEED, 1)]
    assert graphs[0] == graphs[1]
    assert graphs[0] != graphs[2]


def test_a_reader_learns_from_what_serving_still_has() -> None:
    """The newest events and the end."""
    tokens = np.arange(500)
    assert newest(tokens).tolist() == tokens[-READ_EVENTS - 1 :].tolist()
    assert newest(tokens[:3]).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("reader.onnx", None, r"the manifest lists no reader\.onnx"),
        ("reader.json", None, r"the manifest lists no reader\.json"),
        ("reader.onnx", b"no graph", r"reader\.onnx cannot be run"),
        ("reader.json", b'{"bar":1}', r"reader\.json is damaged"),
    ],
)
def test_half_a_reader_is_refused(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    """Both files or neither, and both whole, though the digests are right."""
    small_bundle(tmp_path, session=True, reader=True)
    manifest = msgspec.json.decode((tmp_path / "manifest.json").read_bytes())
    if content is None:
        del manifest["files"][name]
    else:
        (tmp_path / name).write_bytes(content)
        manifest["files"][name] = hashlib.sha256(content).hexdigest()
    (tmp_path / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    with pytest.raises(BadSetup, match=said):
        load(tmp_path)
