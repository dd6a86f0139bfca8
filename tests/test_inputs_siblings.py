"""The rotations of a log are one log: which names belong together, in which order, and that watch agrees."""

import gzip
import os
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest

from detector.bundle import InputSettings
from detector.inputs.read import read_feed
from detector.inputs.siblings import Feed, feeds_of
from detector.shard.reader import Bounds
from tests.small_bundle import small_bundle
from tests.test_corpus import corpus_of
from tests.test_watch import to_end
from tests.watching import core_of, lines_of, opened, outcome_of, replayed
from training.corpus import learn


def stamped(path: Path, day: int, count: int = 3) -> None:
    """A log of one day in January."""
    content = "".join(
        f"2026-01-{day:02} 10:{at // 60:02}:{at % 60:02} INFO {path.name} {at}\n" for at in range(count)
    )
    packed = gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode()
    path.write_bytes(packed)


def named(folder: Path, names: str) -> list[Feed]:
    """Feeds of files with these names, each a day newer than the one before."""
    for day, name in enumerate(names.split(), 1):
        stamped(folder / name, day)
    feeds = feeds_of(str(folder / name) for name in names.split())
    return [
        Feed(os.path.relpath(feed.origin, folder), tuple(Path(path).name for path in feed.files))
        for feed in feeds
    ]


@pytest.mark.parametrize(
    "names",
    [
        "app.log.11 app.log.10 app.log.2.gz app.log.1 app.log",
        "app.log.old app.log",
        "app.log-20251231.gz app.log-20260101.gz app.log-20260102 app.log",
        "app.log-20251231-1.gz app.log-20251231-2.gz app.log",
        "app.log.2025-12-31 app.log.2026-01-01_06 app.log.2026-01-01_18 app.log",
        "app.log-1767225600 app.log-1767312000 app.log",
        "app-2025-12-31.log.gz app-2026-01-01.1.log.gz app-2026-01-01.2.log.gz app.log",
        "app.log.1 app.log.2 app.log.3 app.log",  # some writers number upwards
        "syslog.2.gz syslog.1 syslog",
    ],
)
def test_rotations_are_one_log_from_the_oldest_to_the_live_file(tmp_path: Path, names: str) -> None:
    """Numbers, dates and packing as logrotate, log4j, logback and Python write them."""
    assert named(tmp_path, names) == [Feed(names.rsplit(maxsplit=1)[-1], tuple(names.split()))]


def test_rotations_without_the_live_file_are_named_by_it(tmp_path: Path) -> None:
    """A glob such as app.log.* leaves the live file out."""
    assert named(tmp_path, "app.log.2 app.log.1") == [Feed("app.log", ("app.log.2", "app.log.1"))]


@pytest.mark.parametrize(
    "names",
    [
        "app-1.log app-2.log",  # instances
        "node.1 node.2",
        "app.log other.log.1",
        "app.log app.log.gz",
        "report-2026-01-01.log report-2026-01-02.log",  # each day has a live file of its own
        "app.log app.log.1 app.log.2",  # the live file would be older than its rotations
        "app.log.2",
        "10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4",  # addresses
        "192.168.1.20 192.168.1.7",
        "v1.3 v1.2 v1",  # versions, also where something has the name without the last number
        "1.2 1.1 1",
        "db.v1.3 db.v1.2",
        "kafka.server.2 kafka.server.1 kafka.server.0",
        "web.example.org.2 web.example.org.1",
        "app.log.1 app.log.2",  # of two files one direction always fits
        "app.log-20260101-2 app.log-20260101-1",
    ],
)
def test_what_is_no_rotation_stays_a_log_of_its_own(tmp_path: Path, names: str) -> None:
    """Where names speak of nothing, or the time stamps speak against them, nothing is joined."""
    assert named(tmp_path, names) == [Feed(name, (name,)) for name in sorted(names.split())]


@pytest.mark.parametrize("live", ["kafka.server", "web.example.org", "access_log", "node", "db.v1"])
def test_a_number_is_a_rotation_where_the_live_file_is_there(tmp_path: Path, live: str) -> None:
    """Whatever its name is, and whether it is given or not."""
    assert named(tmp_path, f"{live}.2 {live}.1 {live}") == [Feed(live, (f"{live}.2", f"{live}.1", live))]
    assert named(tmp_path, f"{live}.2 {live}.1") == [Feed(live, (f"{live}.2", f"{live}.1"))]


@pytest.mark.parametrize("live", ["app.log", "catalina.out", "web.err", "notes.txt", "access_log", "e.jsonl"])
def test_a_number_is_a_rotation_where_the_live_name_is_a_logs(tmp_path: Path, live: str) -> None:
    """Without the live file."""
    assert named(tmp_path, f"{live}.2.gz {live}.1") == [Feed(live, (f"{live}.2.gz", f"{live}.1"))]


@pytest.mark.parametrize(
    ("older", "newer", "is_one"),
    [
        ("Jan  3 10:00:00", "Jan  5 10:00:00", True),
        ("Jan  5 10:00:00", "Jan  3 10:00:00", False),
        ("Dec 30 10:00:00", "Jan  3 10:00:00", True),  # over the new year
        ("Jan  3 10:00:00", "Dec 30 10:00:00", False),
        ("2025-12-30 10:00:00", "Jan  3 10:00:00", True),
        ("2026-01-03 10:00:00", "Dec 30 10:00:00", False),
        ("Jan  3 10:00:00", "2025-12-30 10:00:00", False),
        ("Jan  3 10:00:00", "no time at all", True),
        ("one", "two", True),
    ],
)
def test_two_numbered_files_are_joined_unless_their_stamps_say_otherwise(
    tmp_path: Path, older: str, newer: str, is_one: bool
) -> None:
    """A missing year is the closest one; beside the live file, the names count for more than such a stamp."""
    files = [tmp_path / "app.log.2", tmp_path / "app.log.1"]
    for path, stamp in zip(files, (older, newer), strict=True):
        path.write_text(f"{stamp} up\n")
    assert (len(feeds_of(map(str, files))) == 1) is is_one
    (tmp_path / "app.log.1").rename(tmp_path / "app.log")
    assert len(feeds_of([str(tmp_path / "app.log"), str(tmp_path / "app.log.2")])) == 1


@pytest.mark.parametrize(
    ("before_s", "is_one"), [(0, True), (59, True), (60, True), (61, False), (120, False)]
)
@pytest.mark.parametrize(
    "names", ["app.log.1 app.log", "app.log.2 app.log.1", "app.log-20260101 app.log-20260102 app.log"]
)
def test_a_rotation_may_begin_a_minute_before_the_one_before_it(
    tmp_path: Path, names: str, before_s: int, is_one: bool
) -> None:
    """Writers that share a file are not in step; by more than that they are different logs."""
    paths = [tmp_path / name for name in names.split()]
    begun = datetime(2026, 1, 1, 10, tzinfo=UTC)
    for number, path in enumerate(paths):
        days = timedelta(days=number - 1 if number else 0)
        at = begun + days - timedelta(seconds=before_s if number else 0)
        path.write_text(f"{at:%Y-%m-%d %H:%M:%S} INFO up\n")
    assert (len(feeds_of(map(str, paths))) == 1) is is_one


def test_two_archives_of_one_number_are_ordered_by_their_stamps(tmp_path: Path) -> None:
    """One is left behind by a log that is packed no longer."""
    stamped(tmp_path / "app.log.1.gz", 1)
    stamped(tmp_path / "app.log.1", 2)
    (feed,) = feeds_of([str(tmp_path / "app.log.1"), str(tmp_path / "app.log.1.gz")])
    assert [Path(path).name for path in feed.files] == ["app.log.1.gz", "app.log.1"]


def test_the_order_in_which_files_are_named_does_not_matter(tmp_path: Path) -> None:
    """A folder, a glob or a list give the same logs."""
    names = ["app.log", "app.log.1", "app.log.2"]
    (expected,) = named(tmp_path, "app.log.2 app.log.1 app.log")
    for some in permutations(str(tmp_path / name) for name in names):
        (feed,) = feeds_of(some)
        assert [Path(path).name for path in feed.files] == list(expected.files)
    assert len(feeds_of((str(tmp_path / name) for name in names), joined=False)) == 3


def test_training_reads_rotations_as_one_source(tmp_path: Path) -> None:
    """One source in the order of time, and every event finds its line again in its file."""
    (tmp_path / "app.log.3.gz").write_bytes(gzip.compress(b""))
    for day, name in enumerate(["app.log.2.gz", "app.log.1", "app.log"], 1):
        stamped(tmp_path / name, day, count=300)
    paths = sorted(tmp_path.glob("app.log*"))
    corpus = corpus_of(tmp_path, *paths, settings=InputSettings())
    assert corpus.sources == [str(tmp_path / "app.log")]
    assert (corpus.grouped.events["time"][1:] > corpus.grouped.events["time"][:-1]).all()
    texts = [corpus.text_of(index) for index in (0, 299, 300, 899)]
    assert [text.split("INFO ")[1] for _, text in texts] == [
        "app.log.2.gz 0",
        "app.log.2.gz 299",
        "app.log.1 0",
        "app.log 299",
    ]
    assert texts[2][0] == "0"


def test_files_are_sources_of_their_own_where_that_is_asked_for(tmp_path: Path) -> None:
    """`--rotated separate` takes names for names."""
    for day, name in enumerate(["app.log.1", "app.log"], 1):
        stamped(tmp_path / name, day, count=300)
    corpus = corpus_of(
        tmp_path, tmp_path / "app.log", tmp_path / "app.log.1", settings=InputSettings(rotated="separate")
    )
    assert corpus.sources == [str(tmp_path / "app.log.1"), str(tmp_path / "app.log")]


def test_a_trace_that_rotation_cut_apart_stays_one_event(tmp_path: Path) -> None:
    """The first lines of a rotated file belong to the last line of the file before."""
    stamped(tmp_path / "app.log.1", 1, count=300)
    with (tmp_path / "app.log.1").open("a") as file:
        file.write("2026-01-01 11:00:00 ERROR failed\njava.io.IOException: no\n")
    (tmp_path / "app.log").write_text("\tat a.B.c(B.java:1)\n2026-01-02 11:00:00 INFO on\n")
    names = [str(tmp_path / "app.log"), str(tmp_path / "app.log.1")]
    learnt = learn(names, InputSettings(), Bounds(), lambda *_: None)
    assert not any(template.text.startswith("at ") for template in learnt.vocabulary.templates)


def test_a_watch_through_rotation_agrees_with_a_replay_of_what_it_left(tmp_path: Path) -> None:
    """A folder that was followed while it was rotated is replayed to the same states and alerts."""
    small_bundle(tmp_path / "bundle", session=False)
    folder, state = tmp_path / "logs", tmp_path / "state.db"
    folder.mkdir()
    log = folder / "app.log"
    core, lines = core_of(tmp_path / "bundle", folder, source_fields=[]), lines_of(5, 1200)
    with opened(core, state, [folder]) as watch:
        for part in range(3):
            if part:
                for number in range(part, 0, -1):
                    older = folder / ("app.log" if number == 1 else f"app.log.{number - 1}")
                    older.rename(folder / f"app.log.{number}")
            log.write_bytes(b"".join(lines[part * 400 : part * 400 + 400]))
            watch.step()
        to_end(watch)
    feeds = core.feeds(str(path) for path in folder.iterdir())
    assert [feed.origin for feed in feeds] == [str(log)]
    found = outcome_of(state)
    assert list(found.states) == [str(log)]
    assert len(found.alerts) > 0
    assert found == replayed(core, {feed.origin: read_feed(feed) for feed in feeds})
