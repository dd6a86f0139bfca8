"""Reference networks over sessions and streams; a fifth of what trains sets the threshold. Reads clocks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import nn

from detector.records import END, UNKNOWN
from detector.stages.judge.budget import DAY_EVENTS, PER_SESSIONS
from training.benchmark.cost import Spent, Stopwatch
from training.benchmark.detectors.reference.fitting import Measure, Scores, event_scores, fit
from training.benchmark.detectors.reference.networks import Attention, Convolution, Recurrent, Windowed
from training.benchmark.detectors.simple_stream import Flags
from training.benchmark.measures.sessions import Scored
from training.evaluate.baselines import Tokens, threshold
from training.model.devices import reproducible
from training.model.settings import Device

CALIBRATES = 5  # one of so many sessions


@dataclass(frozen=True, slots=True)
class Reference:
    """A network, and how an event's strangeness is measured."""

    name: str
    make: Callable[[int], nn.Module]
    measure: Measure


DEEPLOG = Reference("DeepLog-style window, top-k", Windowed, "rank")
REFERENCES = (
    Reference("gru alone, largest surprise", Recurrent, "surprise"),
    Reference("temporal convolution, largest surprise", Convolution, "surprise"),
    Reference("transformer, largest surprise", Attention, "surprise"),
)


def of_sessions(
    references: Sequence[Reference],
    train: Sequence[Tokens],
    test: Sequence[Tokens],
    vocabulary: int,
    *,
    seed: int,
    epochs: int,
    device: Device,
) -> Iterator[Scored]:
    """Each session's strangest event, its end included; the threshold from training sessions held out."""
    order = np.random.default_rng(seed).permutation(len(train))
    held, rest = order[::CALIBRATES], np.delete(order, np.s_[::CALIBRATES])
    for one in references:
        watch = Stopwatch()
        with reproducible(device, 1) as where:
            network = fit(
                one.make, _ended(train, rest.tolist()), vocabulary, seed=seed, epochs=epochs, device=where
            )
            held_out = _largest(event_scores(network, _ended(train, held.tolist()), one.measure, where))
            trained, watch = watch.spent(), Stopwatch()
            scores = _largest(event_scores(network, _ended(test, range(len(test))), one.measure, where))
        yield Scored(
            detector=one.name,
            scores=scores,
            threshold=_threshold_of(held_out),
            train=trained,
            score=watch.spent(),
        )


def _threshold_of(held_out: Scores) -> Callable[[float], float]:
    return lambda budget: threshold(held_out, min(budget / PER_SESSIONS, 1.0))


def _ended(sessions: Sequence[Tokens], chosen: Sequence[int]) -> list[Tokens]:
    return [np.append(sessions[int(i)], END) for i in chosen]


def _largest(scores: Sequence[Scores]) -> Scores:
    return np.array([one.max() for one in scores])


def of_stream(
    reference: Reference, train: Tokens, test: Tokens, *, seed: int, epochs: int, device: Device
) -> tuple[Flags, Spent]:
    """Each event's strangeness; as many are flagged as the budget allows alerts in the fifth held out."""
    vocabulary, watch = int(train.max()) + 1, Stopwatch()
    cut = len(train) - len(train) // CALIBRATES
    with reproducible(device, 1) as where:
        network = fit(reference.make, [train[:cut]], vocabulary, seed=seed, epochs=epochs, device=where)
        [held_out] = event_scores(network, [train[cut:]], reference.measure, where)
        known = np.where(test < vocabulary, test, UNKNOWN)
        [scores] = event_scores(network, [known], reference.measure, where)

    def flagged(budget: float) -> npt.NDArray[np.int64]:
        limit = threshold(held_out, min(budget / DAY_EVENTS, 1.0))
        return np.asarray(np.flatnonzero(scores >= limit), np.int64)

    return Flags(scores, flagged), watch.spent()
