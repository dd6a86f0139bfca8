"""What a description file of a data set says, and reading it. Reads TOML files."""

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from detector.bundle import InputSettings
from detector.errors import BadSetup

Share = Annotated[float, Meta(gt=0, lt=1)]
Files = Annotated[list[str], Meta(min_length=1)]  # globs below the data folder


class Folds(Struct, frozen=True, forbid_unknown_fields=True, tag_field="by", tag="folds"):
    """Each seed holds another fold of the normal sessions out; after the last fold they are dealt anew."""

    folds: Annotated[int, Meta(ge=2)] = 5


class Drawn(Struct, frozen=True, forbid_unknown_fields=True, tag_field="by", tag="share"):
    """Each seed draws this share of the normal sessions to train on."""

    share: Share


class ByLines(Struct, frozen=True, forbid_unknown_fields=True, tag_field="by", tag="lines"):
    """Normal sessions whose last line is in the first share of the lines train."""

    share: Share = 0.5


class ByTime(Struct, frozen=True, forbid_unknown_fields=True, tag_field="by", tag="time"):
    """Normal sessions whose last line is in the first share of the span train; group 1 is the stamp."""

    stamp: str
    format: str  # as strptime reads it
    share: Share = 0.5


class Given(Struct, frozen=True, forbid_unknown_fields=True, tag_field="by", tag="given"):
    """The files named by `train` train, and nothing else."""


Split = Folds | Drawn | ByLines | ByTime | Given


class Population(Struct, frozen=True, forbid_unknown_fields=True):
    """How many sessions there are in truth: rates are quoted at this prevalence."""

    normal: Annotated[int, Meta(gt=0)]
    anomalous: Annotated[int, Meta(gt=0)]

    @property
    def prevalence(self) -> float:
        """Share of the anomalous."""
        return self.anomalous / (self.anomalous + self.normal)


class LabelTable(Struct, frozen=True, forbid_unknown_fields=True, tag_field="by", tag="table"):
    """A CSV file with a row for each session; columns by number from 0, or by the name in the first row."""

    file: str
    session: int | str = 0
    label: int | str = 1
    separator: str = ","
    normal: list[str] = []  # every other label is anomalous; if empty, the usual words count


class LabelHeadings(Struct, frozen=True, forbid_unknown_fields=True, tag_field="by", tag="headings"):
    """A text file that lists sessions below headings, a heading for each label."""

    file: str
    normal: Files  # headings; every other one is anomalous
    heading: str = r"^#+\s*(.+?)\s*:?\s*$"
    item: str = r"^[^#]*?([\w.\-]+)\s*$"


class LabelPaths(Struct, frozen=True, forbid_unknown_fields=True, tag_field="by", tag="paths"):
    """Files of anomalous sessions by their paths below the data folder, as globs; the others are normal."""

    anomalous: Files


Labels = LabelTable | LabelHeadings | LabelPaths


class Sequences(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="sequences"
):
    """Ready sequences of event ids: a row each, or a file each."""

    title: str
    normal: Files
    anomalous: Files
    train: list[str] = []  # with `split.by = "given"`
    row: Literal["id,events", "events", "file"] = "id,events"
    separator: str | None = None  # between events; else any white space
    split: Split = Folds()
    population: Population | None = None


class Sessions(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="sessions"
):
    """Raw lines of sessions that end, with a label for each session."""

    title: str
    logs: Files
    labels: Labels
    train: list[str] = []  # logs of normal sessions, with `split.by = "given"`
    session: Literal["line", "file", "folder"] = "line"  # what names it; line: as [input] says
    name: str | None = None  # expression that finds the session's name in the path
    stamp: str | None = None  # expression of a time that sorts as text, to merge the files of a folder
    input: InputSettings = InputSettings()
    split: Split = ByLines()
    population: Population | None = None


class Stream(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="stream"):
    """One long log in the order of time with a label in every line."""

    title: str
    logs: Files
    normal: Files  # labels of normal lines
    unknown: list[str] = []  # labels of lines that are neither normal nor anomalous
    separator: str | None = None  # between columns; else white space
    label: int = 0  # column
    event: int | None = None  # column of the event; else the line without its label
    train: Share = 0.3  # the first of the lines; what is left is judged, also in two halves
    window: Annotated[int, Meta(gt=0)] = 100  # lines that are judged as one, for precision and recall
    input: InputSettings = InputSettings()


class FaultFile(Struct, frozen=True, forbid_unknown_fields=True):
    """When what was broken: JSON files with an object for each fault, or CSV files with a row."""

    file: str  # a glob
    time: str  # key or column
    source: str
    type: str
    format: str | None = None  # as strptime reads it; else ISO 8601, or seconds since 1970
    shift_s: float = 0.0  # added to the times


class Faults(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="faults"):
    """Services in which faults were injected at known times."""

    title: str
    normal: Files
    logs: Files
    faults: FaultFile
    order_by: str | None = None  # field of JSON lines whose text sorts them by time, where the files do not
    window_s: Annotated[float, Meta(gt=0)] = 300.0  # after a fault begins: alerts in it are of the fault
    input: InputSettings = InputSettings()


class Runs(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="runs"):
    """Folders of logs, one for each run of a system; each seed holds another normal run out."""

    title: str
    normal: Files  # folders
    faulty: Files
    input: InputSettings = InputSettings()


Description = Sequences | Sessions | Stream | Faults | Runs


class Named(Struct, frozen=True):
    """A description and the name of its file, without the suffix."""

    name: str
    description: Description


def read_description(path: Path) -> Named:
    """Read one file.

    Raises:
        BadSetup: it cannot be read, is no TOML, or a key or value is wrong; names the file and the key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetup(f"{path} cannot be read: {error}") from error
    return _parsed(path.stem, str(path), text)


def built_in() -> list[Named]:
    """The descriptions of the public data sets that the project is measured on, by name."""
    folder = files("training.benchmark.data").joinpath("sets")
    found = sorted((one.name, one.read_text(encoding="utf-8")) for one in folder.iterdir())
    return [_parsed(name.removesuffix(".toml"), name, text) for name, text in found if name.endswith(".toml")]


def _parsed(name: str, file: str, text: str) -> Named:
    try:
        description = msgspec.convert(tomllib.loads(text), Description)
    except tomllib.TOMLDecodeError as error:
        raise BadSetup(f"{file} is no TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise BadSetup(f"{file}: {str(error).replace('$.', '')}; see docs/quality.md for the keys") from error
    if isinstance(description, Sequences | Sessions) and isinstance(description.split, Given) != bool(
        description.train
    ):
        raise BadSetup(f'{file}: train: name files with split.by = "given", and only then')
    return Named(name, description)


def chosen(named: Sequence[Named], only: Sequence[str]) -> list[Named]:
    """Those that are asked for by name.

    Raises:
        BadSetup: there is none of this name.
    """
    known = [one.name for one in named]
    for name in only:
        if name not in known:
            raise BadSetup(f"--only {name}: there is no such data set; there are {', '.join(known)}")
    return [one for one in named if not only or one.name in only]
