"""Clocks around the stages of a shell that runs in this process, to say where its time goes. No I/O."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from detector.pipeline import step
from detector.shard.reader import Reader
from detector.shard.stored import StoredStates
from detector.stages.parse.parse import Parser

Stage = tuple[str, Any, str]  # its name, and the owner and the name of a function that does it
COMMON: list[Stage] = [
    ("decode", Reader, "read"),
    ("parse", Parser, "match_all"),
    ("score", step, "score_stretches"),
    ("judge", step, "judge"),
    ("judge", step, "_settle"),
    ("states", StoredStates, "load"),
    ("states", StoredStates, "keep"),
]


@contextmanager
def clocked(stages: Iterable[Stage], clock: Callable[[], float]) -> Iterator[dict[str, float]]:
    """Count the seconds of each stage while this is entered, less those of the stages within it.

    All of them run in one thread.
    """
    spent: dict[str, float] = {}
    within = [0.0]  # seconds of the stages that the ones under way have called, the innermost last
    with ExitStack() as stack:
        for name, owner, attribute in stages:
            spent[name] = 0.0
            stack.enter_context(_timed(spent, within, name, owner, attribute, clock))
        yield spent


def shares_of(spent: dict[str, float], whole_s: float) -> dict[str, float]:
    """What each stage took of the whole, and the rest."""
    spent = {**spent, "rest": whole_s - sum(spent.values())}
    return {name: round(seconds / whole_s, 4) for name, seconds in spent.items()}


@contextmanager
def _timed(
    spent: dict[str, float],
    within: list[float],
    name: str,
    owner: Any,
    attribute: str,
    clock: Callable[[], float],
) -> Iterator[None]:
    function: Callable[..., Any] = getattr(owner, attribute)

    def around(*arguments: Any, **options: Any) -> Any:
        began_s = clock()
        within.append(0.0)
        try:
            return function(*arguments, **options)
        finally:
            took_s = clock() - began_s
            spent[name] += took_s - within.pop()
            within[-1] += took_s

    setattr(owner, attribute, around)
    try:
        yield
    finally:
        setattr(owner, attribute, function)
