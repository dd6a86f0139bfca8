"""Run the data sets, seeds, variants and kinds of detectors that are asked for; keep what comes. Files."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from typing import Protocol

import msgspec

from training.benchmark.data.description import Faults, LabelPaths, Named, Runs, Sequences, Sessions, Stream
from training.benchmark.data.labelled import Material
from training.benchmark.data.reading import missing, sequences, sessions
from training.benchmark.data.splits import Splits
from training.benchmark.digests import code, files_digest, text_digest
from training.benchmark.of_services import OfFaulty, OfManyRuns
from training.benchmark.of_sessions import OfSplits
from training.benchmark.of_stream import OfStreams
from training.benchmark.order import OF_VARIANTS, Asked, Detector, Variant
from training.benchmark.table.results import Kept, Result, keep, kept, path_of

Say = Callable[[str], None]
Key = tuple[int, Variant, Detector]


class Opened(Protocol):
    """A data set under one seed and variant, ready for every kind of detector."""

    def measure(self, detector: Detector) -> Sequence[Result]:
        """The results of all detectors of a kind; none where it does not fit the data."""

    def close(self) -> None:
        """Remove what was written meanwhile."""


def run(named: Sequence[Named], asked: Asked, say: Say) -> list[Kept]:
    """All results, those of earlier runs too; `say` is told of each run before it begins."""
    found: list[Kept] = []
    for one in named:
        if absent := missing(asked.data, needed(one)):
            say(f"{one.name}: left out: {asked.data} has no {', '.join(absent)}")
        else:
            found += _of_set(one, asked, say)
    return found


def needed(named: Named) -> list[str]:
    """The files and globs that a description names."""
    match named.description:
        case Sequences(train=train, normal=normal, anomalous=anomalous):
            return [*train, *normal, *anomalous]
        case Sessions(train=train, logs=logs, labels=labels):
            return [*train, *logs, *([] if isinstance(labels, LabelPaths) else [labels.file])]
        case Stream(logs=logs):
            return list(logs)
        case Faults(normal=normal, logs=logs, faults=faults):
            return [*normal, *logs, faults.file]
        case Runs(normal=normal, faulty=faulty):
            return [*normal, *faulty]


def _of_set(named: Named, asked: Asked, say: Say) -> Iterator[Kept]:
    material: Material | None = None
    for seed, variant, todo in _plan(named, asked):
        places = {one: path_of(asked.out, named.name, variant, seed, one) for one in todo}
        identities = {one: _identity(named, asked, seed, variant, one) for one in todo}
        before = {one: kept(places[one], identities[one]) for one in todo}
        yield from (one for one in before.values() if one is not None)
        new = [one for one in todo if before[one] is None]
        if not new:
            continue
        if material is None and isinstance(named.description, Sequences | Sessions):
            say(f"{named.name}: reading")
            material = _material(named, asked)
        with closing(_opened(named, material, asked, seed, variant)) as opened:
            for one in new:
                say(f"{named.name}: {variant}, seed {seed}, {one}")
                results = list(opened.measure(one))
                found = Kept(
                    identity=identities[one],
                    data_set=named.name,
                    variant=variant,
                    seed=seed,
                    results=results,
                )
                keep(places[one], found)
                yield found


def _plan(named: Named, asked: Asked) -> Iterable[tuple[int, Variant, list[Detector]]]:
    """Seed by seed, so that an interrupted benchmark has something of everything."""
    varied = isinstance(named.description, Sequences | Sessions)
    for seed in range(asked.seeds):
        for variant in asked.variants:
            if variant != "plain" and not varied:
                continue
            yield seed, variant, [one for one in asked.detectors if variant == "plain" or one in OF_VARIANTS]


def _material(named: Named, asked: Asked) -> Material:
    if isinstance(named.description, Sequences):
        return sequences(asked.data, named.description)
    if isinstance(named.description, Sessions):
        return sessions(asked.data, named.description)
    raise TypeError("only sessions are held in memory")


def _opened(named: Named, material: Material | None, asked: Asked, seed: int, variant: Variant) -> Opened:
    if material is not None:
        return OfSplits(Splits(named, material, seed, variant), asked)
    match named.description:
        case Stream() as described:
            return OfStreams(named, described, asked, seed)
        case Faults() as described:
            return OfFaulty(named.name, described, asked, seed)
        case Runs() as described:
            return OfManyRuns(named.name, described, asked, seed)
        case _:
            raise TypeError("sessions are held in memory")


def _identity(named: Named, asked: Asked, seed: int, variant: Variant, detector: Detector) -> str:
    """What the results depend on; where they ran and how many processes there were makes no difference."""
    how = asdict(asked)
    for name in ("data", "out", "seeds", "detectors", "variants", "processes"):
        del how[name]
    described = msgspec.json.encode(named.description).decode()
    paths = sorted({path for one in needed(named) for path in asked.data.glob(one)})
    inside = (sorted(path.rglob("*")) if path.is_dir() else [path] for path in paths)
    files = [file for those in inside for file in those if file.is_file()]
    data = [[str(path.relative_to(asked.data)) for path in paths], files_digest(files)]
    return text_digest(f"{code()} {described} {data} {sorted(how.items())} {seed} {variant} {detector}")
