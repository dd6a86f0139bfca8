"""Injected faults, and runs of a system, under every kind of detector. Reads and writes files."""

import tempfile
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from detector.bundle import InputSettings
from detector.inputs.paths import find
from detector.inputs.read import read
from detector.shard.reader import Bounds
from training.benchmark.data.description import Faults, Runs
from training.benchmark.data.events import Events
from training.benchmark.data.faults import faults_of
from training.benchmark.data.ordered import ordered
from training.benchmark.data.reading import matching
from training.benchmark.detectors.services import SECOND_US, Service, simple_services, tailrace
from training.benchmark.measures.notices import Log, fault_point, run_point
from training.benchmark.of_sessions import bundle_of, fitting_of
from training.benchmark.order import CELLS, Asked, Detector
from training.benchmark.table.results import OfFaults, OfRuns
from training.corpus import learn


class _Training:
    """The detectors of one seed."""

    def __init__(self, name: str, settings: InputSettings, asked: Asked, seed: int) -> None:
        self._name, self._settings, self._asked, self._seed = name, settings, asked, seed
        self.budgets: list[float | None] = [None, *asked.budgets]

    def services(self, detector: Detector, paths: list[str]) -> Iterable[Service]:
        """Those of one kind, trained on these files."""
        if detector == "simple":
            return simple_services(paths, self._settings)
        if detector in CELLS:
            cell = CELLS[detector]
            bundle = bundle_of(self._asked.out, self._name, self._seed, cell)
            return [tailrace(paths, self._settings, bundle, fitting_of(self._asked, cell, self._seed))]
        return []


class OfFaulty:
    """Services in which faults were injected."""

    def __init__(self, name: str, described: Faults, asked: Asked, seed: int) -> None:
        """Nothing is read before it is asked for."""
        self._described, self._data = described, asked.data
        self._folder = tempfile.TemporaryDirectory(prefix="tailrace-")
        self._training = _Training(name, described.input, asked, seed)

    def close(self) -> None:
        """Remove the files that were written in another order."""
        self._folder.cleanup()

    @cached_property
    def _normal(self) -> list[str]:
        return self._in_order(self._described.normal, "normal.log")

    @cached_property
    def _logs(self) -> list[str]:
        return self._in_order(self._described.logs, "faults.log")

    def _in_order(self, globs: Sequence[str], name: str) -> list[str]:
        paths = _files(matching(self._data, globs))
        if self._described.order_by is None:
            return paths
        return [ordered(paths, self._described.order_by, Path(self._folder.name) / name)]

    @cached_property
    def _log(self) -> Log:
        """When there are lines, by the product's own decoding."""
        learnt = learn(self._normal, self._described.input, Bounds(), lambda _what, _size: None)
        times_us = [line.time_us for line, _ in Events(learnt).of(self._logs) if line.time_us is not None]
        times = np.sort(np.array(times_us, np.float64)) / SECOND_US
        return Log(float(times[0]), float(times[-1]), times)

    def measure(self, detector: Detector) -> list[OfFaults]:
        """The results of all detectors of one kind, at the shipped budget and at those asked for."""
        return [self._measured(one) for one in self._training.services(detector, self._normal)]

    def _measured(self, service: Service) -> OfFaults:
        faults = faults_of(self._described.faults, self._data)
        told = [(budget, service.judge(self._logs, budget)) for budget in self._training.budgets]
        window_s = self._described.window_s
        return OfFaults(
            detector=service.detector,
            points=[fault_point(budget, faults, one.notices, self._log, window_s) for budget, one in told],
            train_s=service.trained.wall_s,
            train_cpu_s=service.trained.cpu_s,
            score_s=told[0][1].spent.wall_s,
            score_cpu_s=told[0][1].spent.cpu_s,
            lines=told[0][1].lines,
        )


class OfManyRuns:
    """Runs of a system, normal ones and faulty ones; one normal run is held out."""

    def __init__(self, name: str, described: Runs, asked: Asked, seed: int) -> None:
        """Choose the run that is held out."""
        normal = [path for path in matching(asked.data, described.normal) if path.is_dir()]
        held = normal[seed % len(normal)]
        self._train = _files([path for path in normal if path != held])
        faulty = [path for path in matching(asked.data, described.faulty) if path.is_dir()]
        runs = {str(path.relative_to(asked.data)): path for path in (held, *faulty)}
        self._faulty = {name for name, path in runs.items() if path != held}
        self._runs = {name: _files([path]) for name, path in runs.items()}
        self._training = _Training(name, described.input, asked, seed)

    def close(self) -> None:
        """Nothing was written but bundles, and they stay."""

    def measure(self, detector: Detector) -> list[OfRuns]:
        """The results of all detectors of one kind, at the shipped budget and at those asked for."""
        return [self._measured(one) for one in self._training.services(detector, self._train)]

    def _measured(self, service: Service) -> OfRuns:
        told = [
            (budget, {run: service.judge(files, budget) for run, files in self._runs.items()})
            for budget in self._training.budgets
        ]
        first, lines = told[0][1].values(), {run: _lines(files) for run, files in self._runs.items()}
        return OfRuns(
            detector=service.detector,
            points=[
                run_point(
                    budget,
                    {run: len(one.notices) for run, one in of_runs.items()},
                    lines,
                    self._faulty.__contains__,
                )
                for budget, of_runs in told
            ],
            train_s=service.trained.wall_s,
            train_cpu_s=service.trained.cpu_s,
            score_s=sum(one.spent.wall_s for one in first),
            score_cpu_s=sum(one.spent.cpu_s for one in first),
            lines=sum(lines.values()),
        )


def _lines(files: Sequence[str]) -> int:
    return sum(len(records) for path in files for records in read(path))


def _files(paths: Sequence[Path]) -> list[str]:
    """Files, and those in folders."""
    return find([str(path) for path in paths])
