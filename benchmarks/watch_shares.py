"""Where the time of a watch goes: the same loop in this process, with clocks around its stages.

The clocks cost time of their own, so these are shares, not speeds.
`python -m benchmarks.watch_shares TEXT BUNDLE STATE` prints them as JSON.
"""

import json
import sys
from contextlib import closing
from pathlib import Path
from time import perf_counter

from benchmarks.clocks import COMMON, clocked, shares_of
from detector.embedded.watch import Bounds, Watch
from detector.inputs.follow import Follower
from detector.shard.core import Rules, build
from detector.store.sqlite import Store

STAGES = [("read", Follower, "poll"), *COMMON, ("commit", Store, "commit")]


def shares(text: Path, bundle: Path, state: Path) -> dict[str, float]:
    """The share of each stage in the time of one run over a text; `rest` is all else (cutting, counting)."""
    for left in state.parent.glob(state.name + "*"):
        left.unlink()
    core = build(bundle, {}, Rules(), [str(text)])
    with closing(Store(state)) as store, clocked(STAGES, perf_counter) as spent:
        watch = Watch(core, store, Follower([str(text)]), None, Bounds())
        began_s = perf_counter()
        while not watch.step(final=True).at_end:
            pass
        whole_s = perf_counter() - began_s
    return shares_of(spent, whole_s)


if __name__ == "__main__":
    print(json.dumps(shares(*map(Path, sys.argv[1:]))))
