"""Write sessions as files that the product's commands read. Writes files."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from detector.bundle import InputSettings
from training.benchmark.data.description import Sequences, Sessions
from training.benchmark.data.labelled import Material


@dataclass(frozen=True, slots=True)
class Prepared:
    """Files to read, and which session each source of theirs is."""

    paths: list[str]
    session_of: Mapping[str, int]


def input_of(described: Sequences | Sessions) -> InputSettings:
    """How the product reads what is written here."""
    if isinstance(described, Sequences):
        return InputSettings(parser="exact", session=True, sequence_rows=True)
    rotated = described.input.rotated if described.session == "line" else "separate"  # a file is a session
    return msgspec.structs.replace(described.input, session=True, rotated=rotated)


def write(material: Material, described: Sequences | Sessions, folder: Path) -> Prepared:
    """One file of rows, one log of all lines, or one file a session, as the kind needs it."""
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(described, Sequences):
        path = folder / "sequences.csv"
        rows = (f"{n},".encode() + b" ".join(events) for n, events in enumerate(_by_session(material)))
        path.write_bytes(b"".join(row + b"\n" for row in rows))
        return Prepared([str(path)], {str(n): n for n in range(len(material.names))})
    if described.session == "line":
        path = folder / "lines.log"
        path.write_bytes(b"".join(line + b"\n" for line in material.lines))
        return Prepared([str(path)], {name: n for n, name in enumerate(material.names)})
    found: dict[str, int] = {}
    for number, lines in enumerate(_by_session(material)):
        path = folder / f"session-{number:07d}.txt"  # a number before the suffix would be of a rotation
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        found[str(path)] = number
    return Prepared(list(found), found)


def _by_session(material: Material) -> list[list[bytes]]:
    held: defaultdict[int, list[bytes]] = defaultdict(list)
    for line, number in zip(material.lines, np.asarray(material.owner).tolist(), strict=True):
        held[number].append(line)
    return [held[number] for number in range(len(material.names))]
