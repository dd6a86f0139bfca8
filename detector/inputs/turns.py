"""Give every followed file its turn, so that none runs far ahead of the others. Reads files."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from detector.inputs.batch import Part
from detector.inputs.life import Life
from detector.inputs.tail import Room, read_on

SHARE_BYTES = 1 << 16  # the least that a file is given at its turn
SHARE_LINES = 256
OPEN_ARCHIVES = 8  # an open archive holds a descriptor and megabytes of window

Queue = list[Life]  # the contents of one origin, oldest first


@dataclass(frozen=True, slots=True)
class Turns:
    """What one round gave."""

    parts: list[Part]
    served: int  # origins that had their turn before the others; 0 where all had one
    unread: frozenset[str]  # origins of which there is more


def take_turns(lives: Iterable[Life], room: Room, *, first: int, final: bool) -> Turns:
    """Read each origin that has something, beginning with number `first`, until the room is used up."""
    queues = _by_origin(lives)
    due = _few_archives([queue for queue in queues if _is_due(queue, final=final)])
    parts: list[Part] = []
    served = 0
    lines, size = room.lines, room.bytes
    for queue in _from(due, first):
        if lines <= 0 or size <= 0:
            break
        share = Room(
            min(lines, max(SHARE_LINES, room.lines // len(due))),
            min(size, max(SHARE_BYTES, room.bytes // len(due))),
            room.line_bytes,
        )
        read = _read_origin(queue, share, final=final)
        lines -= sum(len(part.records) for part in read)
        size -= sum(_size_of(part) for part in read)
        parts += read
        served += 1
    unread = [queue for queue in queues if _is_due(queue, final=final) or _is_missed(queue)]
    origins = frozenset(queue[-1].mark.origin for queue in unread)
    return Turns(parts, served if served < len(due) else 0, origins)


def _read_origin(queue: Queue, room: Room, *, final: bool) -> list[Part]:
    """The oldest content first; the next one only when nothing more is to be had from it."""
    parts: list[Part] = []
    for life in queue:
        is_old = life is not queue[-1]
        if _blocks(life):
            break
        if life.is_due(is_old=is_old, final=final):
            records = read_on(life, room, is_old=is_old, final=final)
            if records:
                parts.append(Part(life.mark.origin, life.mark.generation, records))
                room = Room(room.lines - len(records), room.bytes - _size_of(parts[-1]), room.line_bytes)
            if life.is_due(is_old=is_old, final=final) or room.lines <= 0 or room.bytes <= 0:
                break
    return parts


def _blocks(life: Life) -> bool:
    """Whether it may still turn up: a listing may miss a file that is being renamed."""
    return bool(life.missing) and not life.is_gone


def _by_origin(lives: Iterable[Life]) -> list[Queue]:
    queues: dict[str, Queue] = {}
    for life in lives:
        queues.setdefault(life.mark.origin, []).append(life)
    return list(queues.values())


def _is_due(queue: Queue, *, final: bool) -> bool:
    return any(life.is_due(is_old=life is not queue[-1], final=final) for life in queue)


def _is_missed(queue: Queue) -> bool:
    return any(_blocks(life) for life in queue)


def _few_archives(due: list[Queue]) -> list[Queue]:
    """All but the archives beyond the oldest few: they hold one stretch of time after the other."""
    packed = [queue for queue in due if queue[-1].is_archive]
    later = sorted(packed, key=lambda queue: (queue[-1].mark.mtime_ns, queue[-1].mark.origin))[OPEN_ARCHIVES:]
    waiting = {id(queue) for queue in later}
    return [queue for queue in due if id(queue) not in waiting]


def _from(due: Sequence[Queue], first: int) -> Iterable[Queue]:
    start = first % len(due) if due else 0
    return [*due[start:], *due[:start]]


def _size_of(part: Part) -> int:
    return part.records[-1].end - part.records[0].offset
