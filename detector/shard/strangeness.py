"""Notice that a log is not the one that was learnt: none of its headers, or none of its templates. No I/O."""

from collections.abc import Sequence

from detector.records import UNKNOWN, Line
from detector.stages.header.header import NOTHING, Headers

MOST_LINES = 1_000  # looked at
LEAST_LINES = 20  # of fewer nothing is said
LEAST_SHARE = 0.01  # of the lines matches a template

_ADVICE = "give the bundle that was trained on this log, or train one with `tailrace-train fit`"


class Strangeness:
    """What the first lines have of what was learnt."""

    def __init__(self, headers: Headers) -> None:
        """Nothing was looked at yet."""
        self._headers = headers
        self._headed = not headers.headers  # a line had a header, or was dated by its envelope
        self._lines = self._events = self._matched = 0
        self._text = self._unknown = b""  # of the first line, and of the first that matches nothing

    def look_at(self, lines: Sequence[Line], tokens: Sequence[int]) -> None:
        """Look at the first lines of all."""
        room = MOST_LINES - self._lines
        for line, token in zip(lines[:room], tokens[:room], strict=True):
            self._text = self._text or line.text
            # Where every line had a header in training, one without is taken for a continuation.
            dated = line.time_us is not None and not line.continuation
            self._headed = self._headed or dated or self._headers.split(line.text) is not NOTHING
            self._lines += 1
            self._events += not line.continuation
            self._matched += token != UNKNOWN
            if token == UNKNOWN and not line.continuation:
                self._unknown = self._unknown or line.text

    def sentence(self, *, whole: bool) -> str:
        """What is wrong, where something is; of a part of the lines only when enough were looked at."""
        if not whole and self._lines < MOST_LINES:
            return ""
        if self._lines >= LEAST_LINES and not self._headed:
            return (
                f"none of the first {self._lines} lines begins with a header that the bundle knows, "
                f"such as {_shown(self._text)}: {_ADVICE}"
            )
        if self._events >= LEAST_LINES and self._matched < LEAST_SHARE * self._events:
            return (
                f"{self._matched or 'none'} of the first {self._events} messages matches a template of the "
                f"bundle, such as {_shown(self._unknown)}: {_ADVICE}"
            )
        return ""


def _shown(text: bytes) -> str:
    return repr(text.decode("utf-8", "replace"))
