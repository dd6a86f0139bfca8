"""Reading a corpus: templates and events, several files by time, and bounds on what is kept."""

from pathlib import Path

import pytest

from detector.bundle import InputSettings
from detector.errors import BadSetup
from detector.records import FIRST_TEMPLATE
from detector.shard.reader import Bounds
from tests.session_log import SOURCE, write_log
from training import corpus as corpora
from training.corpus import Corpus, gather, learn

SESSIONS = InputSettings(session=True, source_regex=SOURCE)


def silent(_what: str, _size: int) -> None:
    """Nobody watches."""


def corpus_of(folder: Path, *paths: Path, settings: InputSettings = SESSIONS, whole: bool = False) -> Corpus:
    """What these files hold."""
    names = [str(path) for path in paths]
    learnt = learn(names, settings, Bounds(), silent)
    (folder / "spool").mkdir()
    return gather(names, learnt, Bounds(), folder / "spool", silent, whole=whole)


def test_every_line_becomes_an_event_of_its_session(tmp_path: Path) -> None:
    """Five templates, every job a source, and each begins with the template of its opening."""
    truth = write_log(tmp_path / "a.log", jobs=40)
    corpus = corpus_of(tmp_path, tmp_path / "a.log")
    lines = (tmp_path / "a.log").read_text().splitlines()
    assert corpus.lines == corpus.events == len(corpus.grouped.events) == len(lines)
    assert set(corpus.sources) == set(truth)
    assert corpus.sources_seen == 40
    assert len(corpus.learnt.vocabulary.templates) == 5
    first = {int(corpus.grouped.of(n)["token"][0]) for n in range(40)}
    last = {int(corpus.grouped.of(n)["token"][-1]) for n in range(40)}
    assert len(first) == len(last) == 1
    assert corpus.counts[FIRST_TEMPLATE:].sum() == corpus.events


def test_an_event_finds_its_line_again(tmp_path: Path) -> None:
    """Position and text of an event come from the file."""
    write_log(tmp_path / "a.log", jobs=5)
    corpus = corpus_of(tmp_path, tmp_path / "a.log")
    position, text = corpus.text_of(0)
    content = (tmp_path / "a.log").read_bytes()
    assert content[int(position) :].startswith(text.encode())
    assert corpus.sources[0] in text


def test_files_are_read_in_the_order_of_their_times(tmp_path: Path) -> None:
    """A session whose lines lie alternately in two files is whole and in order."""
    write_log(tmp_path / "whole.log", jobs=20)
    lines = (tmp_path / "whole.log").read_text().splitlines(keepends=True)
    (tmp_path / "a.log").write_text("".join(lines[::2]))
    (tmp_path / "b.log").write_text("".join(lines[1::2]))
    corpus = corpus_of(tmp_path, tmp_path / "a.log", tmp_path / "b.log")
    assert all(
        (corpus.grouped.of(n)["time"][1:] >= corpus.grouped.of(n)["time"][:-1]).all() for n in range(20)
    )
    assert corpus.events == len(lines)


def test_of_very_many_sessions_a_part_is_kept_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept sessions lose no event, all are counted, and `whole` keeps every one."""
    monkeypatch.setattr(corpora, "MOST_SESSIONS", 20)
    write_log(tmp_path / "a.log", jobs=100)
    (tmp_path / "whole").mkdir()
    part = corpus_of(tmp_path, tmp_path / "a.log")
    full = corpus_of(tmp_path / "whole", tmp_path / "a.log", whole=True)
    assert len(part.sources) <= 20 < len(full.sources) == 100 == part.sources_seen
    assert part.events == full.events
    sizes = {name: len(full.grouped.of(n)) for n, name in enumerate(full.sources)}
    assert all(len(part.grouped.of(n)) == sizes[name] for n, name in enumerate(part.sources))


def test_of_long_lived_sources_the_newest_events_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound drops the oldest lines, and sources that have no newer ones."""
    monkeypatch.setattr(corpora, "NEWEST_EVENTS", 50)
    write_log(tmp_path / "a.log", jobs=60)
    corpus = corpus_of(tmp_path, tmp_path / "a.log", settings=InputSettings(source_regex=SOURCE))
    assert len(corpus.grouped.events) == 50 < corpus.events
    assert all(len(corpus.grouped.of(n)) for n in range(len(corpus.sources)))


def test_lines_that_name_no_session_are_counted(tmp_path: Path) -> None:
    """They are left out of the events."""
    write_log(tmp_path / "a.log", jobs=5)
    with (tmp_path / "a.log").open("a") as file:
        file.write("2026-03-01 09:00:00,000 INFO nothing named here\n")
    corpus = corpus_of(tmp_path, tmp_path / "a.log")
    assert (corpus.dropped, corpus.lines - corpus.events) == (1, 1)


def test_nothing_to_read_is_refused(tmp_path: Path) -> None:
    """An empty file teaches nothing; the message names it."""
    (tmp_path / "empty.log").write_text("")
    with pytest.raises(BadSetup, match=r"empty\.log.*no lines"):
        learn([str(tmp_path / "empty.log")], SESSIONS, Bounds(), silent)


def test_exact_events_must_be_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Free text is no event id: the message names the option that helps."""
    monkeypatch.setattr(corpora, "MOST_EXACT", 3)
    (tmp_path / "a.csv").write_text("s,a b c d\n")
    with pytest.raises(BadSetup, match="--event-field"):
        learn([str(tmp_path / "a.csv")], InputSettings(parser="exact", sequence_rows=True), Bounds(), silent)
