"""Description files: what they may say, and what is said of those that cannot be read."""

import re
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from detector.errors import BadSetup
from tests.small_sets import SEQUENCES, describe
from training.benchmark.data.description import (
    FaultFile,
    Faults,
    Folds,
    LabelHeadings,
    LabelPaths,
    LabelTable,
    Named,
    Runs,
    Sequences,
    Sessions,
    Stream,
    built_in,
    chosen,
    read_description,
)
from training.benchmark.data.labels import labels_of
from training.benchmark.data.reading import sequences, sessions
from training.benchmark.data.splits import Splits
from training.benchmark.data.stream import divided

HADOOP = """
title = "Applications, a folder each"
kind = "sessions"
logs = ["hadoop/*/*.log"]
session = "folder"
stamp = '^\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d,\\d{3}'
labels = { by = "headings", file = "hadoop/labels.txt", normal = ["Normal"] }
split = { by = "share", share = 0.5 }
"""
ADFA = """
title = "Traces, a file each"
kind = "sequences"
row = "file"
train = ["adfa/Training/*.txt"]
normal = ["adfa/Validation/*.txt"]
anomalous = ["adfa/Attack/**/*.txt"]
split = { by = "given" }
"""
RAW = """
title = "Raw lines whose first column is the label"
kind = "stream"
logs = ["raw.log"]
normal = ["-"]
train = 0.5
"""


def test_the_built_in_sets_are_description_files_too() -> None:
    """They are read by the same code, and hold the sets that numbers are quoted of."""
    named = {one.name: one.description for one in built_in()}
    assert {"hdfs_sequences", "hdfs", "bgl", "trainticket", "lo2"} <= named.keys()
    described = named["hdfs_sequences"]
    assert isinstance(described, Sequences)
    assert described.split == Folds(5)
    assert described.population is not None
    assert described.population.prevalence == pytest.approx(0.02957, abs=1e-5)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (SEQUENCES.replace("folds = 2", "fold = 2"), "split"),
        (SEQUENCES.replace("folds = 2", "folds = 1"), "split.folds"),
        (SEQUENCES.replace('"folds"', '"fold"'), "split.by"),
        (SEQUENCES.replace('"sequences"', '"sequence"'), "kind"),
        (SEQUENCES.replace("anomalous = [", "anomalies = ["), "anomal"),
        (SEQUENCES + 'input = { session = "yes" }', "input"),
        (SEQUENCES + 'train = ["small/train.csv"]', "train"),
        ("kind = ", "no TOML"),
    ],
)
def test_a_bad_key_is_named_with_its_file(tmp_path: Path, text: str, key: str) -> None:
    """Nobody has to guess which of many files, or which line."""
    path = describe(tmp_path, "mine", text)
    with pytest.raises(BadSetup) as raised:
        read_description(path)
    assert str(path) in str(raised.value)
    assert key in str(raised.value)


def test_only_what_is_there_can_be_asked_for() -> None:
    """A typing error is no empty table."""
    with pytest.raises(BadSetup, match=r"--only hdsf.*hdfs_sequences"):
        chosen(built_in(), ["hdsf"])


def test_sessions_that_are_folders_with_labels_below_headings(tmp_path: Path) -> None:
    """The files of a folder are merged by their stamps, and a line without one stays where it is."""
    for name in ("application_1", "application_2", "application_3"):
        (tmp_path / "hadoop" / name).mkdir(parents=True)
    one = tmp_path / "hadoop" / "application_1"
    (one / "a.log").write_text("2026-01-01 00:00:01,000 a\n\tat x\n2026-01-01 00:00:03,000 c\n")
    (one / "b.log").write_text("2026-01-01 00:00:02,000 b\n")
    (tmp_path / "hadoop" / "application_2" / "a.log").write_text("2026-01-01 00:00:01,000 a\n")
    (tmp_path / "hadoop" / "application_3" / "a.log").write_text("2026-01-01 00:00:01,000 a\n")
    labels = "### Workload\n\n### Normal:\n+ application_1\n### Machine down:\n+ application_2\n"
    (tmp_path / "hadoop" / "labels.txt").write_text(labels)
    described = read_description(describe(tmp_path, "hadoop", HADOOP)).description
    assert isinstance(described, Sessions)
    assert isinstance(described.labels, LabelHeadings)
    assert labels_of(described.labels, tmp_path) == {"application_1": False, "application_2": True}
    material = sessions(tmp_path, described)
    assert dict(zip(material.names, material.anomalous.tolist(), strict=True)) == {
        "application_1": False,
        "application_2": True,
    }
    first = [line[-1:] for line, owner in zip(material.lines, material.owner, strict=True) if owner == 0]
    assert first == [b"a", b"x", b"b", b"c"]
    with closing(Splits(Named("hadoop", described), material, 0, "plain")) as splits:
        assert len(splits.halves.train.names) == 1
        assert [len(session) for session in (*splits.tokens.train, *splits.tokens.test)] == [3, 1]
        assert set(splits.test.session_of) == set(splits.test.paths)


def test_sequences_that_are_a_file_each(tmp_path: Path) -> None:
    """Three folders: to train on, normal, anomalous."""
    for place, text in (
        ("Training/t.txt", "6 6 63"),
        ("Validation/v.txt", "6 63"),
        ("Attack/Add/a.txt", "9"),
    ):
        (tmp_path / "adfa" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "adfa" / place).write_text(text)
    described = read_description(describe(tmp_path, "adfa", ADFA)).description
    assert isinstance(described, Sequences)
    material = sequences(tmp_path, described)
    assert material.to_train.tolist() == [True, False, False]
    assert material.anomalous.tolist() == [False, False, True]
    assert material.lines == [b"6", b"6", b"63", b"6", b"63", b"9"]


def test_raw_lines_with_a_column_of_labels(tmp_path: Path) -> None:
    """The label is cut off before anything is learnt; everything that is not normal is anomalous."""
    (tmp_path / "raw.log").write_text("- 1 a b\n- 2 c\nAPPREAD 3  d e\n- 4 f\n")
    described = read_description(describe(tmp_path, "raw", RAW)).description
    train, test = divided(tmp_path, described, tmp_path / "work")  # type: ignore[arg-type]
    assert train.path.read_bytes() == b"1 a b\n2 c\n"
    assert test.path.read_bytes() == b"3  d e\n4 f\n"
    assert test.anomalous.tolist() == [True, False]
    assert test.places(test.offsets).tolist() == [0, 1]


def test_a_table_of_labels_by_the_names_of_its_columns(tmp_path: Path) -> None:
    """Where `normal` names labels, every other one is anomalous; a missing column is named."""
    (tmp_path / "labels.csv").write_text("when;block;state\n1;a;fine\n2;b;broken\n")
    table = LabelTable(file="labels.csv", session="block", label="state", separator=";", normal=["fine"])
    assert labels_of(table, tmp_path) == {"a": False, "b": True}
    with pytest.raises(BadSetup, match=r"labels\.csv.*'stat'"):
        labels_of(LabelTable(file="labels.csv", label="stat", separator=";"), tmp_path)


def test_the_examples_of_the_page_can_be_read(tmp_path: Path) -> None:
    """And it names every key that a description can have."""
    page = (Path(__file__).parent.parent / "docs" / "quality.md").read_text(encoding="utf-8")
    examples = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    kinds = [read_description(describe(tmp_path, "example", text)).description for text in examples]
    assert [type(one) for one in kinds] == [Sequences, Sequences, Sessions, Sessions, Stream]
    for kind in (Sequences, Sessions, Stream, Faults, Runs, FaultFile, LabelTable, LabelHeadings, LabelPaths):
        for field in msgspec.structs.fields(kind):
            assert f"`{field.encode_name}`" in page or f"{field.encode_name} = " in page, (kind, field.name)
