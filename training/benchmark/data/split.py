"""Choose by a seed what is trained on and what is judged. Pure."""

import numpy as np

from training.benchmark.data.description import ByLines, ByTime, Drawn, Folds, Given, Split
from training.benchmark.data.labelled import Halves, Mask, Material


def halves(material: Material, split: Split, seed: int) -> Halves:
    """Normal sessions to train on, and everything else to judge."""
    train = chosen(material, split, seed)
    if isinstance(split, Given):
        return Halves(material.only(train & ~material.anomalous), material.only(~material.to_train))
    return Halves(material.only(train), material.only(~train))


def chosen(material: Material, split: Split, seed: int) -> Mask:
    """The sessions [N] to train on."""
    normal = np.flatnonzero(~material.anomalous)
    trains = np.zeros(len(material.names), bool)
    match split:
        case Given():
            return material.to_train.copy()
        case Folds(folds=folds):
            dealt, held = divmod(seed, folds)
            fold = np.random.default_rng(dealt).permutation(len(normal)) % folds
            trains[normal[fold != held]] = True
        case Drawn(share=share):
            many = max(1, round(share * len(normal)))
            trains[np.random.default_rng(seed).permutation(normal)[:many]] = True
        case ByLines(share=share):
            limit = share * (len(material.owner) - 1)
            trains[normal] = material.last_lines()[normal] <= limit
        case ByTime(share=share):
            if material.seconds is None:
                raise TypeError("a split by time needs times")
            begin, end = material.seconds.min(), material.seconds.max()
            ended = material.seconds[material.last_lines()]
            trains[normal] = ended[normal] <= begin + share * (end - begin)
    return trains


def varies(split: Split) -> bool:
    """Whether another seed splits otherwise."""
    return isinstance(split, Folds | Drawn)
