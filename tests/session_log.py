"""A small log of sessions for tests: jobs that open, do some steps and close, a few of them broken."""

import sys
from pathlib import Path

import numpy as np

SEED = 7
SOURCE = r"job=(\w+)"
OPTIONS = ("--session", "--source-regex", SOURCE)
QUICK = ("--epochs", "3", "--hidden", "16", "--device", "cpu")
_STEPS = (
    "read {n} rows from table orders",
    "checked {n} rows against the schema",
    "wrote {n} rows to part {m}",
)
_START, _END = "opened by worker {m}", "closed after {n} ms"


def job(rng: np.random.Generator) -> list[str]:
    """The messages of a normal job."""
    rounds = int(rng.integers(2, 5))
    body = [step.format(n=rng.integers(1000), m=rng.integers(9)) for _ in range(rounds) for step in _STEPS]
    start, end = (text.format(n=rng.integers(900), m=rng.integers(9)) for text in (_START, _END))
    return [start, *body, end]


def broken(messages: list[str], kind: str) -> list[str]:
    """A job that never closes, or that writes far too often."""
    if kind == "no end":
        return messages[:-1][: 1 + 3 * ((len(messages) - 2) // 3) - 1]
    return [*messages[:-1], *[messages[-2]] * 9, messages[-1]]


def write_log(path: Path, *, jobs: int, broken_every: int = 0, seed: int = SEED) -> dict[str, bool]:
    """Write interleaved jobs; says of each by name whether it is broken."""
    sys.stdout.write(f"seed {seed}\n")
    rng = np.random.default_rng(seed)
    truth: dict[str, bool] = {}
    lines: list[tuple[float, str]] = []
    for number in range(jobs):
        name, messages = f"j{seed}x{number}", job(rng)
        truth[name] = bool(broken_every) and number % broken_every == broken_every - 1
        if truth[name]:
            messages = broken(messages, "no end" if number % 2 else "repeats")
        times = 3.0 * number + np.cumsum(rng.uniform(0.2, 1.5, len(messages)))
        lines += [(at, f"INFO job={name} {text}") for at, text in zip(times.tolist(), messages, strict=True)]
    lines.sort()
    path.write_text("".join(f"{_stamp(at)} {text}\n" for at, text in lines), encoding="utf-8")
    return truth


def _stamp(seconds: float) -> str:
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    minutes, second = divmod(whole, 60)
    hour, minute = divmod(minutes, 60)
    return f"2026-03-{1 + hour // 24:02d} {hour % 24:02d}:{minute:02d}:{second:02d},{milliseconds:03d}"
