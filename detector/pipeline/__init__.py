"""The core: lines and their sources' states in, new states and what is to be said out. Pure.

No clock, no socket, no file, no environment; the same lines give the same outcome however they
are cut into batches. Time enters as the lines' own, as their origin's clock beside each, and as
the shard's clock behind a batch, by which the sources without a line are told of time.
"""

from detector.pipeline.batch import Advance, Batch, sources_of, without_falls
from detector.pipeline.step import advance, forget

__all__ = ["Advance", "Batch", "advance", "forget", "sources_of", "without_falls"]
