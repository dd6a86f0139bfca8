"""Change a share of what is judged or trained on, to see how a detector bears it. Pure."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from detector.records import FIRST_TEMPLATE
from detector.stages.parse.parse import LineParser, Parser
from training.benchmark.data.labelled import Halves, Mask, Material, Numbers
from training.corpus import Learnt

SHARE = 0.01  # of the events, or of the sessions trained on
REWORDED = 0.1  # of the templates
WORD = re.compile(r"[A-Za-z]{3,}:?")

_Thing = TypeVar("_Thing")


def doubled(material: Material, rng: np.random.Generator) -> Material:
    """A share of the lines comes twice."""
    times = 1 + (rng.random(len(material.lines)) < SHARE)
    return _taken(material, np.repeat(np.arange(len(times)), times))


def lost(material: Material, rng: np.random.Generator) -> Material:
    """A share of the lines is missing."""
    return _taken(material, np.flatnonzero(rng.random(len(material.lines)) >= SHARE))


def swapped(material: Material, rng: np.random.Generator) -> Material:
    """A share of the lines changes places with the next one of its session."""
    order = np.arange(len(material.lines))
    by_session = np.argsort(material.owner, kind="stable")
    first, second = by_session[:-1], by_session[1:]
    pairs = (rng.random(len(first)) < SHARE) & (material.owner[first] == material.owner[second])
    at = np.flatnonzero(pairs)
    at = at[np.diff(at, prepend=-2) > 1]  # no line takes part in two
    order[first[at]], order[second[at]] = second[at], first[at]
    return _taken(material, order)


def _taken(material: Material, order: Numbers) -> Material:
    return replace(
        material,
        lines=[material.lines[i] for i in order.tolist()],
        owner=material.owner[order],
        seconds=None if material.seconds is None else material.seconds[order],
    )


def contaminated(halves: Halves, whole: Material, chosen: Mask, rng: np.random.Generator) -> Halves:
    """Some anomalous sessions of the test train as if they were normal, beside those `chosen` [N]."""
    anomalous = np.flatnonzero(whole.anomalous & ~chosen & ~whole.to_train)
    many = min(round(SHARE / (1 - SHARE) * len(halves.train.names)), len(anomalous) // 2)
    hidden = np.zeros(len(chosen), bool)
    hidden[rng.choice(anomalous, many, replace=False)] = True
    test = ~(chosen | hidden | whole.to_train)
    return Halves(whole.only(chosen | hidden), whole.only(test))


def reworded_ids(material: Material, known: Sequence[bytes], rng: np.random.Generator) -> Material:
    """A tenth of the known event ids is another one from here on."""
    changed = {event: event + b"~" for event in _tenth(sorted(set(known)), rng)}
    return replace(material, lines=[changed.get(line, line) for line in material.lines])


def reworded(material: Material, learnt: Learnt, rng: np.random.Generator) -> Material:
    """One word of a tenth of the known templates is another one from here on, as after an update."""
    parser = LineParser(learnt.headers, Parser(learnt.vocabulary.without_codes()))
    worded = [n for n, one in enumerate(learnt.vocabulary.templates) if _word(one.tokens)]
    changed = {FIRST_TEMPLATE + n for n in _tenth(worded, rng)}
    lines: list[bytes] = []
    for line in material.lines:
        token, cut = parser.parse(line)
        template = learnt.vocabulary.template(token) if token in changed else None
        word = b"" if template is None else _word(template.tokens).encode()
        message = line[cut.message :]
        lines.append(line[: cut.message] + (message.replace(word, word + b"-new", 1) if word else message))
    return replace(material, lines=lines)


def _word(tokens: Sequence[str]) -> str:
    """The first constant word of a template, empty without one."""
    return next((token for token in tokens if WORD.fullmatch(token)), "")


def _tenth(things: Sequence[_Thing], rng: np.random.Generator) -> list[_Thing]:
    many = max(1, round(REWORDED * len(things)))
    return [things[i] for i in rng.choice(len(things), min(many, len(things)), replace=False).tolist()]
