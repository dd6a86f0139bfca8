"""The core: lines and their sources' states in, new states and what is to be said out. Pure.

No clock, no socket, no file, no environment; the same lines give the same outcome however they
are cut into batches. Time enters as the lines' own and as the shard's clock beside each line.
"""

from detector.pipeline.advance import advance, forget
from detector.pipeline.batch import Advance, Batch, sources_of

__all__ = ["Advance", "Batch", "advance", "forget", "sources_of"]
