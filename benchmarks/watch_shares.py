"""Where the time of a watch goes: the same loop in this process, with clocks around its stages.

The clocks cost time of their own, so these are shares, not speeds.
`python -m benchmarks.watch_shares TEXT BUNDLE STATE` prints them as JSON.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from detector.embedded.watch import Bounds, Watch
from detector.inputs.follow import Follower
from detector.pipeline import step
from detector.shard.core import Rules, build
from detector.shard.reader import Reader
from detector.shard.stored import StoredStates
from detector.stages.parse.parse import Parser
from detector.store.sqlite import Store

STAGES: list[tuple[str, Any, str]] = [
    ("read", Follower, "poll"),
    ("decode", Reader, "read"),
    ("parse", Parser, "match_all"),
    ("score", step, "score_stretches"),
    ("judge", step, "judge"),
    ("judge", step, "_settle"),
    ("states", StoredStates, "load"),
    ("states", StoredStates, "keep"),
    ("commit", Store, "commit"),
]


def shares(text: Path, bundle: Path, state: Path) -> dict[str, float]:
    """The share of each stage in the time of one run over a text; `rest` is all else (cutting, counting)."""
    for left in state.parent.glob(state.name + "*"):
        left.unlink()
    spent: dict[str, float] = dict.fromkeys([name for name, _, _ in STAGES], 0.0)
    core = build(bundle, {}, Rules(), [str(text)])
    with ExitStack() as stack:
        store = stack.enter_context(closing(Store(state)))
        for name, owner, attribute in STAGES:
            stack.enter_context(timed(spent, name, owner, attribute))
        watch = Watch(core, store, Follower([str(text)]), None, Bounds())
        began_s = perf_counter()
        while not watch.step(final=True).at_end:
            pass
        whole_s = perf_counter() - began_s
    spent["rest"] = whole_s - sum(spent.values())
    return {name: round(seconds / whole_s, 3) for name, seconds in spent.items()}


@contextmanager
def timed(
    spent: dict[str, float],
    name: str,
    owner: Any,
    attribute: str,
    clock: Callable[[], float] = perf_counter,
) -> Iterator[None]:
    """Count the time that a function takes for a stage."""
    function: Callable[..., Any] = getattr(owner, attribute)

    def around(*arguments: Any, **options: Any) -> Any:
        began_s = clock()
        try:
            return function(*arguments, **options)
        finally:
            spent[name] += clock() - began_s

    setattr(owner, attribute, around)
    try:
        yield
    finally:
        setattr(owner, attribute, function)


if __name__ == "__main__":
    print(json.dumps(shares(*map(Path, sys.argv[1:]))))
