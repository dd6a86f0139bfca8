"""Appends alerts to a file or to standard output, one JSON object a line. File I/O."""

import asyncio
import os
from functools import partial
from pathlib import Path
from typing import TextIO

from detector.notify.answer import Answer, Outcome
from detector.notify.queue import Notification, Send
from detector.notify.receivers import STDOUT, JsonLinesReceiver


def json_lines(receiver: JsonLinesReceiver, stdout: TextIO) -> Send:
    """Give the function that writes one alert; a failure of standard output is raised."""
    write = partial(_print, stdout) if receiver.path == STDOUT else partial(_try_append, Path(receiver.path))

    async def send(notification: Notification) -> Answer:
        # In a thread: a full pipe or a slow disk must not hold up the other receivers.
        return await asyncio.to_thread(write, notification.payload)

    return send


def append_line(path: Path, line: bytes) -> None:
    """Append a line durably and whole, or not at all; OSError where that is not possible."""
    # Opened for each line, so that the file may be renamed or removed at any time.
    with path.open("a+b", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        data = _line_break(file.fileno(), end) + line + b"\n"
        written = file.write(data)
        if written != len(data):
            file.truncate(end)
            raise OSError(f"only {written} of {len(data)} bytes could be written")
        os.fsync(file.fileno())


def _line_break(file: int, end: int) -> bytes:
    """End a line that a crash or another program left open."""
    return b"\n" if end and os.pread(file, 1, end - 1) != b"\n" else b""


def _try_append(path: Path, line: bytes) -> Answer:
    try:
        append_line(path, line)
    except OSError as error:
        return Answer(Outcome.FAILED, f"could not write: {error}")
    return Answer(Outcome.DELIVERED)


def _print(stdout: TextIO, line: bytes) -> Answer:
    stdout.write(line.decode() + "\n")
    stdout.flush()
    return Answer(Outcome.DELIVERED)
