"""Notice that no line names a trace although the settings say where it is. No I/O."""

from detector.bundle import InputSettings
from detector.shard.reader import Read

SURE_LINES = 1_000  # without one, after which it is said that there are none


class Untraced:
    """What was looked for, and whether it was found."""

    def __init__(self, settings: InputSettings) -> None:
        """Nothing was looked at yet."""
        field, regex = settings.trace_field, settings.trace_regex
        ways = [f"--trace-field {field}"] if field else []
        ways += [f"--trace-regex {regex!r}"] if regex else []
        self._sought = " and ".join(ways)
        self._found = False
        self._lines = 0
        self._text = b""  # of the first

    def look_at(self, read: Read) -> None:
        """Look at lines until one names a trace."""
        if self._found or not self._sought:
            return
        lines = [line for line, _ in read.lines if not line.continuation]
        self._found = any(line.trace for line in lines)
        self._lines += len(lines)
        if lines and not self._text:
            self._text = lines[0].text

    def sentence(self, *, whole: bool) -> str:
        """What is wrong, where something is; of a part of the lines only when enough were looked at."""
        if self._found or not self._lines or (not whole and self._lines < SURE_LINES):
            return ""
        text = self._text.decode("utf-8", "replace")
        return (
            f"no trace in any of {self._lines} lines with {self._sought}, such as {text!r}: "
            "no request alerts as slow; check the name"
        )
