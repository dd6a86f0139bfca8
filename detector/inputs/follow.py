"""Follow files as they grow, through rotation, truncation and restart. Reads files; never waits."""

from collections.abc import Sequence
from typing import Literal

from detector.inputs.batch import Batch, Fence
from detector.inputs.lines import MAX_LINE_BYTES


class Follower:
    """The files that a watch reads, and how far it has read each of them."""

    def __init__(
        self,
        patterns: Sequence[str],
        fence: Fence | None = None,
        *,
        start: Literal["start", "end"] = "start",
        max_line_bytes: int = MAX_LINE_BYTES,
    ) -> None:
        """Go on from a fence, or begin at the start or end of the files that are there now."""
        raise NotImplementedError

    def poll(self, max_lines: int, max_bytes: int, *, final: bool = False, wait_s: float = 0.0) -> Batch:
        """What has come since the last poll; `final` delivers last lines that have no end yet.

        `wait_s` is how long to wait for standard input where there is nothing else to read.
        """
        raise NotImplementedError
