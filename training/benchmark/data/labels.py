"""Which sessions are anomalous, by the label file of a data set. Reads files."""

import csv
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from detector.errors import BadSetup
from detector.inputs.read import read
from training.benchmark.data.description import LabelHeadings, LabelPaths, Labels, LabelTable
from training.evaluate.evaluate import ANOMALOUS, NORMAL


def labels_of(labels: LabelTable | LabelHeadings, data: Path) -> dict[str, bool]:
    """Whether each named session is anomalous.

    Raises:
        BadSetup: a column is missing, or a label is none of the usual words and `normal` names none.
        Unreadable: the file cannot be read.
    """
    path = data / labels.file
    if isinstance(labels, LabelHeadings):
        return dict(_listed(path, labels))
    return dict(_rows(path, labels))


def by_path(labels: Labels, path: Path, data: Path) -> bool | None:
    """Whether the sessions of a file are anomalous, where paths say so."""
    if not isinstance(labels, LabelPaths):
        return None
    below = str(path.relative_to(data))
    return any(fnmatchcase(below, one) for one in labels.anomalous)


def text_lines(path: Path) -> Iterator[str]:
    """The lines of a text file, packed or not."""
    for records in read(str(path)):
        for record in records:
            yield record.value.decode("utf-8", "replace")


def _rows(path: Path, table: LabelTable) -> Iterator[tuple[str, bool]]:
    rows = csv.reader(text_lines(path), delimiter=table.separator)
    session, label = table.session, table.label
    if isinstance(session, str) or isinstance(label, str):
        names = next(rows, [])
        session, label = _column(path, names, session), _column(path, names, label)
    for number, row in enumerate(rows, 1):
        if len(row) <= max(session, label):
            continue
        word = row[label].strip()
        if table.normal:
            yield row[session].strip(), word not in table.normal
        elif word.lower() in ANOMALOUS or word.lower() in NORMAL:
            yield row[session].strip(), word.lower() in ANOMALOUS
        elif number > 1:  # the first may be the names of columns
            raise BadSetup(f"{path}:{number}: {word!r} is no label; name the normal ones in labels.normal")


def _column(path: Path, names: list[str], wanted: int | str) -> int:
    if isinstance(wanted, int):
        return wanted
    if wanted not in names:
        raise BadSetup(f"{path}: there is no column {wanted!r} in its first row: {', '.join(names)}")
    return names.index(wanted)


def _listed(path: Path, labels: LabelHeadings) -> Iterator[tuple[str, bool]]:
    heading, item = re.compile(labels.heading), re.compile(labels.item)
    anomalous: bool | None = None
    for line in text_lines(path):
        if found := heading.search(line):
            anomalous = found[1] not in labels.normal
        elif (found := item.search(line)) and anomalous is not None:
            yield found[1], anomalous
