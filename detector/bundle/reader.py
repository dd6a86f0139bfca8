"""The second reader of a bundle, where it has one: what turns its verdict into a score. No I/O."""

from collections.abc import Iterator

import msgspec

from detector.bundle.calibration import Tail, is_tail
from detector.bundle.graphs import ReaderModel

READ_EVENTS = 128  # the last events of a session, which are kept to be read again; two bytes each
MOST_TOKENS = 1 << 16  # that two bytes tell apart


class ReaderCalibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a closed session is read again, and how its verdict compares with those on normal ones."""

    bar: float  # score of a closed session from which on it is read again
    verdict: Tail  # on the normal sessions held out of training that reach the bar


class Reader(msgspec.Struct, frozen=True):
    """The second reader, ready to read."""

    model: ReaderModel
    calibration: ReaderCalibration


def faults_of_reader(calibration: ReaderCalibration, size: int) -> Iterator[str]:
    """What reading could not work with; `size` is the vocabulary's."""
    if not is_tail(calibration.verdict):
        yield "verdict is no tail"
    if size > MOST_TOKENS:
        yield f"a second reader knows at most {MOST_TOKENS} tokens, not {size}"
