"""A stream of labelled lines, and the files of it that the product reads. Reads and writes files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from detector.errors import BadSetup
from detector.inputs.read import read
from training.benchmark.data.description import Stream
from training.benchmark.data.reading import matching


@dataclass(frozen=True, slots=True)
class Labelled:
    """A part of a stream as a file, with what its lines [E] are."""

    path: Path
    anomalous: npt.NDArray[np.bool_]
    offsets: npt.NDArray[np.int64]  # of each line in the file

    def places(self, offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The numbers of the lines at these offsets."""
        return np.searchsorted(self.offsets, offsets, side="right") - 1


def divided(data: Path, described: Stream, folder: Path) -> tuple[Labelled, Labelled]:
    """What is trained on, with the incidents that it holds, and what is judged.

    Raises:
        BadSetup: a line has too few columns.
    """
    lines: list[bytes] = []
    anomalous: list[bool] = []
    for path in matching(data, described.logs):
        for records in read(str(path)):
            for record in records:
                line, label = _cut(record.value, described, path)
                lines.append(line)
                anomalous.append(label not in described.normal and label not in described.unknown)
    cut = int(described.train * len(lines))
    folder.mkdir(parents=True, exist_ok=True)
    return (
        _written(folder / "train.log", lines[:cut], anomalous[:cut]),
        _written(folder / "test.log", lines[cut:], anomalous[cut:]),
    )


def _cut(line: bytes, described: Stream, path: Path) -> tuple[bytes, str]:
    """The line as it is judged, and its label."""
    separator = None if described.separator is None else described.separator.encode()
    if described.event is None:
        columns = line.split(separator, described.label + 1)
        rest = [*columns[: described.label], *columns[described.label + 1 :]]
        event, needed = (separator or b" ").join(rest), described.label
    else:
        columns = line.split(separator)
        needed = max(described.label, described.event)
        event = columns[described.event] if needed < len(columns) else b""
    if needed >= len(columns):
        raise BadSetup(f"{path}: a line has {len(columns)} columns, too few for `label` and `event`")
    return event, columns[described.label].decode("utf-8", "replace")


def _written(path: Path, lines: list[bytes], anomalous: list[bool]) -> Labelled:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    sizes = np.array([len(line) + 1 for line in lines], np.int64)
    return Labelled(path, np.array(anomalous, bool), np.cumsum(sizes) - sizes)
