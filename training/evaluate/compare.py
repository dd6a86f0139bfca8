"""Judge labelled logs with a bundle and with the simple detectors. Reads files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from detector.errors import BadSetup
from detector.shard.core import Core
from training.evaluate.evaluate import (
    OURS,
    Result,
    baselines,
    judged,
    read_labels,
    replayed,
    result,
    token_sessions,
)


@dataclass(frozen=True, slots=True)
class Compared:
    """Results, ours first, and how sources and labels met."""

    results: list[Result]
    sources: int
    labelled: int  # sources with a label; the others are left out
    unseen: int  # labels without a source


def compare(
    core: Core, paths: Sequence[str], labels: Path, train: Sequence[str], prevalence: float | None
) -> Compared:
    """Replay files, match what closed with labels, and do the same with detectors fitted on `train`.

    Raises:
        BadSetup: labels cannot be read or fit no source, or there is nothing to fit on.
    """
    known = read_labels(labels)
    if train and not core.policy.session:
        raise BadSetup(
            "--train: the simple detectors judge sessions, and this bundle is for long-lived sources"
        )
    scores = replayed(core, paths)
    labelled = sum(source in known for source in scores)
    if not labelled:
        example = next(iter(scores), None)
        raise BadSetup(f"{labels}: no label names a source that was read, such as {example!r}")
    rows = [result(judged(scores, known, OURS, core.policy.threshold), prevalence)]
    if train:
        rows += _simple(core, paths, train, known, prevalence)
    return Compared(rows, len(scores), labelled, len(known) - labelled)


def _simple(
    core: Core, paths: Sequence[str], train: Sequence[str], labels: Mapping[str, bool], at: float | None
) -> list[Result]:
    fitted = list(token_sessions(core, train).values())
    if not fitted:
        raise BadSetup(f"{', '.join(train)}: no session to fit the simple detectors on")
    tested = token_sessions(core, paths)
    normal, anomalous = (
        [tokens for source, tokens in tested.items() if labels.get(source) is kind] for kind in (False, True)
    )
    budget = core.policy.budget
    return [result(one, at) for one in baselines(fitted, normal, anomalous, budget=budget)]
