"""Small data sets for tests of the benchmark, written from a seed: none of it is from elsewhere."""

import sys
from pathlib import Path

import numpy as np

from tests.session_log import SOURCE, write_log

SEED = 3
SEQUENCES = """
title = "Small sequences"
kind = "sequences"
normal = ["small/normal.csv"]
anomalous = ["small/anomalous.csv"]
split = { by = "folds", folds = 2 }
population = { normal = 990, anomalous = 10 }
"""
JOBS = f"""
title = "Small jobs"
kind = "sessions"
logs = ["jobs/*.log"]
input = {{ source_regex = '{SOURCE}' }}
labels = {{ by = "table", file = "jobs/labels.csv" }}
split = {{ by = "lines", share = 0.7 }}
"""
STREAM = """
title = "Small stream"
kind = "stream"
logs = ["stream/stream.tsv"]
separator = "\\t"
event = 0
label = 1
normal = ["-"]
unknown = ["?"]
train = 0.5
input = { parser = "exact" }
"""


def write_sequences(data: Path, *, normal: int = 130) -> None:
    """Normal sessions are `1 (2 3)+ 4`; anomalous ones lack the end or hold event 9."""
    sys.stdout.write(f"seed {SEED}\n")
    rng = np.random.default_rng(SEED)
    rounds = rng.integers(1, 4, normal)
    (data / "small").mkdir(parents=True)
    rows = [f"n{n},1 {'2 3 ' * many}4" for n, many in enumerate(rounds.tolist())]
    (data / "small" / "normal.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    strange = [f"a{n},1 2 3 {'9 4' if n % 2 else '2 2 2 3'}" for n in range(10)]
    (data / "small" / "anomalous.csv").write_text("\n".join(strange) + "\n", encoding="utf-8")


def write_jobs(data: Path) -> dict[str, bool]:
    """Interleaved jobs as raw lines, and a table of labels; says which are broken."""
    (data / "jobs").mkdir(parents=True)
    truth = write_log(data / "jobs" / "all.log", jobs=120, broken_every=12)
    rows = [f"{name},{'Anomaly' if bad else 'Normal'}" for name, bad in truth.items()]
    (data / "jobs" / "labels.csv").write_text("Job,Label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return truth


def write_stream(data: Path, *, lines: int = 4_000) -> None:
    """Ids that follow one another, with three bursts of new ones in the second half."""
    (data / "stream").mkdir(parents=True)
    rows = [f"e{n % 7}\t-" for n in range(lines)]
    rows[0] = "e0\t?"
    for number, at in enumerate((2_600, 3_100, 3_700)):
        rows[at : at + 5] = [f"bad{number}\tAPPREAD"] * 5
    (data / "stream" / "stream.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def describe(folder: Path, name: str, text: str) -> Path:
    """A description file."""
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path
