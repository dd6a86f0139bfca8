"""One data set of sessions under one seed and variant, as files and as tokens, when needed. Files."""

import tempfile
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from detector.bundle import InputSettings
from detector.shard.reader import Bounds
from training.benchmark.data import disturb
from training.benchmark.data.description import Named, Sequences, Sessions
from training.benchmark.data.labelled import Halves, Material
from training.benchmark.data.prepared import Prepared, input_of, write
from training.benchmark.data.split import chosen, halves
from training.benchmark.data.tokens import Tokenised, tokenised
from training.benchmark.measures.sessions import Truth
from training.benchmark.order import Variant
from training.corpus import learn


class Splits:
    """What all detectors of one run share."""

    def __init__(self, named: Named, whole: Material, seed: int, variant: Variant) -> None:
        """Nothing is read or written before it is asked for."""
        if not isinstance(named.description, Sequences | Sessions):
            raise TypeError("only sessions are split")
        self.name, self.described, self.seed, self.variant = named.name, named.description, seed, variant
        self._whole = whole
        self._rng = np.random.default_rng((seed, len(whole.names)))
        self._folder = tempfile.TemporaryDirectory(prefix="tailrace-")

    def close(self) -> None:
        """Remove the files that were written for the product to read."""
        self._folder.cleanup()

    @property
    def contamination(self) -> float:
        """Share of what is trained on that is declared to be abnormal."""
        return disturb.SHARE if self.variant == "contaminated" else 0.0

    @property
    def settings(self) -> InputSettings:
        """How the product reads the files."""
        return input_of(self.described)

    @cached_property
    def halves(self) -> Halves:
        """What is trained on and what is judged."""
        split = self.described.split
        if self.variant == "contaminated":
            trains = chosen(self._whole, split, self.seed)
            return disturb.contaminated(halves(self._whole, split, self.seed), self._whole, trains, self._rng)
        whole = halves(self._whole, split, self.seed)
        return replace(whole, test=self._disturbed(whole))

    def _disturbed(self, whole: Halves) -> Material:
        match self.variant:
            case "doubled":
                return disturb.doubled(whole.test, self._rng)
            case "lost":
                return disturb.lost(whole.test, self._rng)
            case "swapped":
                return disturb.swapped(whole.test, self._rng)
            case "reworded" if isinstance(self.described, Sequences):
                return disturb.reworded_ids(whole.test, whole.train.lines, self._rng)
            case "reworded":
                written = write(whole.train, self.described, Path(self._folder.name) / "taught")
                learnt = learn(written.paths, self.settings, Bounds(), lambda _what, _size: None)
                return disturb.reworded(whole.test, learnt, self._rng)
            case _:
                return whole.test

    @cached_property
    def train(self) -> Prepared:
        """What is trained on, as files."""
        return write(self.halves.train, self.described, Path(self._folder.name) / "train")

    @cached_property
    def test(self) -> Prepared:
        """What is judged, as files."""
        return write(self.halves.test, self.described, Path(self._folder.name) / "test")

    @cached_property
    def tokens(self) -> Tokenised:
        """Both as the product's own parser reads them."""
        return tokenised(self.train, self.test, self.settings, self.halves)

    @cached_property
    def truth(self) -> Truth:
        """What the sessions that are judged are."""
        population = self.described.population
        return Truth(
            self.halves.test.anomalous,
            np.array([len(one) for one in self.tokens.test], np.int64),
            self.tokens.days,
            None if population is None else population.prevalence,
        )
