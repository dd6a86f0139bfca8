"""Five folds over ready sequences of HDFS_v1: rates, and F1 at the whole population's prevalence.

`python -m benchmarks.sequences --data FOLDER` reads FOLDER/hdfs_sequences/train_normal.csv and
test_abnormal.csv, rows of `block,event event ...`: event ids of the public log HDFS_v1 (Zenodo record
"Loghub: HDFS_v1"), split into sequences by the ait-aecid anomaly detection log data sets. Each fold
fits on four fifths of the normals with the real command, takes the false-positive rate on the other
fifth and recall on all anomalies. Thresholds come from the training part alone. One JSON object a line.
"""

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.commands import replay, train
from detector.bundle import load
from detector.stages.judge.budget import score_threshold
from training.evaluate.baselines import Tokens
from training.evaluate.evaluate import OURS, Judged, baselines, result
from training.evaluate.metrics import Outcome, wilson

FOLDS = 5
BUDGETS = (2.0, 5.0, 10.0)  # false alerts per 10,000 sessions
NORMALS, ANOMALIES = 552_640, 16_838  # in the whole population (blocks with end)
PREVALENCE = ANOMALIES / (NORMALS + ANOMALIES)
SEED = 0


def main() -> None:
    """Print every fold and then the sums."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--data", type=Path, required=True, help="folder that holds hdfs_sequences")
    folder = arguments.parse_args().data / "hdfs_sequences"
    normal, anomalous = _rows(folder / "train_normal.csv"), folder / "test_abnormal.csv"
    fold = np.random.default_rng(SEED).permutation(len(normal)) % FOLDS
    found: list[tuple[float, Judged]] = []
    for held in range(FOLDS):
        with tempfile.TemporaryDirectory() as work:
            inside = [row for row, at in zip(normal, fold, strict=True) if at != held]
            outside = [row for row, at in zip(normal, fold, strict=True) if at == held]
            for budget, one in _fold(Path(work), inside, outside, anomalous):
                print(json.dumps({"fold": held, **_told(budget, [one])}), flush=True)
                found.append((budget, one))
    for budget, same in _grouped(found):
        print(json.dumps({"summary": "all folds", **_told(budget, same)}))


def _rows(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def _fold(
    work: Path, inside: list[str], outside: list[str], anomalous: Path
) -> Iterable[tuple[float, Judged]]:
    """Every detector at every budget."""
    fitted, held, bundle = work / "train.csv", work / "held.csv", work / "bundle"
    fitted.write_text("\n".join(inside) + "\n", encoding="utf-8")
    held.write_text("\n".join(outside) + "\n", encoding="utf-8")
    train("fit", fitted, "--sequence-rows", "--parser", "exact", "--session", "--out", bundle)
    normal = _values(replay([held], bundle, work / "normal.csv"))
    strange = _values(replay([anomalous], bundle, work / "anomalous.csv"))
    calibration = load(bundle).calibration
    sessions = [_tokens([inside, outside, _rows(anomalous)][part], inside) for part in range(3)]
    for budget in BUDGETS:
        yield budget, Judged(OURS, normal, strange, score_threshold(calibration, budget))
        for one in baselines(*sessions, budget=budget, seed=SEED):
            yield budget, one


def _values(scores: dict[str, float]) -> Any:
    return np.array(list(scores.values()), np.float64)


def _tokens(rows: Sequence[str], known: Sequence[str]) -> list[Tokens]:
    """Numbers in place of event ids; those not in `known` are 0."""
    words = {word for row in known for word in row.partition(",")[2].split()}
    number = {word: at for at, word in enumerate(sorted(words), 1)}
    return [np.array([number.get(w, 0) for w in row.partition(",")[2].split()], np.int64) for row in rows]


def _grouped(found: list[tuple[float, Judged]]) -> Iterable[tuple[float, list[Judged]]]:
    groups: defaultdict[tuple[float, str], list[Judged]] = defaultdict(list)
    for budget, one in found:
        groups[budget, one.detector].append(one)
    for (budget, _), same in groups.items():
        yield budget, same


def _told(budget: float, folds: list[Judged]) -> dict[str, Any]:
    """Rates over the folds and what they give at the population's prevalence."""
    results = [result(one, PREVALENCE) for one in folds]
    normals = sum(one.normal for one in results)
    false = sum(int((one.normal >= one.threshold).sum()) for one in folds)
    recall = fmean(one.recall for one in results)
    low, high = wilson(false, normals)
    rates = Outcome(recall, false / normals, 1 - recall, 1 - false / normals)
    return {
        "budget": budget,
        "detector": folds[0].detector,
        "f1": round(rates.at(PREVALENCE).f1, 4),
        "f1_folds": [round(one.f1_at_prevalence or 0.0, 4) for one in results],
        "recall": round(recall, 5),
        "false_positives": false,
        "normals": normals,
        "false_positive_rate": round(false / normals, 6),
        "false_positive_rate_95": [round(low, 6), round(high, 6)],
        "average_precision": round(fmean(one.average_precision for one in results), 4),
    }


if __name__ == "__main__":
    main()
