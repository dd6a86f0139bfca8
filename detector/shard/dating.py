"""By when an origin's first line was written, so that stamps without a year get the right one. Reads files.

A file's last line is no later than the file's last change. Where a sample of the file shows that it would be,
the first line is a year older, or more. The decode stage is given one number and knows no file.
"""

from collections.abc import Iterable, Sequence
from itertools import chain, pairwise

import msgspec

from detector.bundle import InputSettings
from detector.errors import Unreadable
from detector.inputs.changed import changed_us
from detector.inputs.sample import sample
from detector.inputs.siblings import Feed, feeds_of
from detector.records import Record
from detector.shard.reader import Bounds, decode_settings, zone_of
from detector.stages.decode.decode import Decoder
from detector.stages.decode.memory import DecodeMemory
from detector.stages.header.header import Headers
from detector.stages.header.timestamp import DAY_US

ANY_S = 1e12  # every stamp is believed: a sample leaves out the lines that lead to it
MOST_YEARS = 30  # that a log spans
LONGEST_STEP_US = 184 * DAY_US  # from a line to the next, in the year that is closest to it
OTHER_YEARS_US = 800 * DAY_US  # so much earlier, a stamp without a year is another instant


class Dating:
    """The files of every origin, and what their dates say."""

    def __init__(self, settings: InputSettings, headers: Headers, bounds: Bounds) -> None:
        """Read samples as the lines themselves will be read."""
        self._joined = settings.rotated == "joined"
        self._rows = settings.sequence_rows
        loose = msgspec.structs.replace(
            decode_settings(settings, bounds), max_future_s=ANY_S, max_pause_s=ANY_S
        )
        self._decoder = Decoder(loose, headers, zone_of(settings))
        self._files: dict[str, tuple[str, ...]] = {}

    def feeds(self, paths: Iterable[str]) -> list[Feed]:
        """The logs that the files belong to; `latest_us` knows them from here on."""
        feeds = feeds_of(paths, joined=self._joined)
        self._files |= {feed.origin: feed.files for feed in feeds}
        return feeds

    def latest_us(self, origin: str, offset: int) -> int | None:
        """The latest time that the line at an offset of the origin's first file can have, if known."""
        files = self._files.get(origin, (origin,))
        latest_us = changed_us(files[0])
        if latest_us is None or self._rows:
            return latest_us
        try:
            return self._settled(files, offset, latest_us)
        except Unreadable:
            return latest_us  # whoever reads the file says so

    def _settled(self, files: Sequence[str], offset: int, latest_us: int) -> int:
        """The bound that leaves the last line of every file at or before the file's last change."""
        bound_us = latest_us
        for _ in range(MOST_YEARS):
            times = self._sampled(files, offset, bound_us)
            if _is_sound(files, times):
                return bound_us
            first_us = next(one for of_file in times for one in of_file)
            bound_us = first_us - DAY_US * 3 // 2  # a year earlier, with the day that decoding allows
        return latest_us

    def _sampled(self, files: Sequence[str], offset: int, bound_us: int) -> list[list[int]]:
        """The times of a sample of each file by this bound; none where the bound does not matter."""
        memory = DecodeMemory(latest_us=bound_us)
        times: list[list[int]] = []
        for number, path in enumerate(files):
            times.append([])
            for records in sample(path, 0 if number else offset):
                if not any(times) and self._says_all(records, bound_us):
                    return []
                found, memory = self._times(records, memory)
                times[-1] += found
        return times

    def _says_all(self, records: list[Record], latest_us: int) -> bool:
        """Whether the lines' times are the same whatever is known of the file's."""
        near, _ = self._times(records, DecodeMemory(latest_us=latest_us))
        far, _ = self._times(records, DecodeMemory(latest_us=latest_us - OTHER_YEARS_US))
        return bool(near) and near == far  # lines without any stamp say nothing

    def _times(self, records: Iterable[Record], memory: DecodeMemory) -> tuple[list[int], DecodeMemory]:
        decoded = self._decoder.decode(records, memory)
        return [line.time_us for line in decoded.lines if line.time_us is not None], decoded.memory


def _is_sound(files: Sequence[str], times: list[list[int]]) -> bool:
    """Whether these can be the times of the files' lines."""
    for path, of_file in zip(files, times, strict=False):
        changed = changed_us(path)
        if of_file and changed is not None and of_file[-1] > changed + DAY_US:
            return False
    # Only 29 February can be further from the line before it: not every year has one.
    return all(abs(after - before) <= LONGEST_STEP_US for before, after in pairwise(chain(*times)))
