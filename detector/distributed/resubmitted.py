"""Records that people send again: each is judged by itself, and leaves no trace in any state. No I/O.

When such a record comes, its source has long gone on: to advance the source's state by it would put it where
it never was. So it meets a state that knows nothing, and that is thrown away. What can be said of it without
its neighbours is said: that it cannot be read, or that its message is a new one. Whether it came in order
nobody can tell any more.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from detector.distributed import routed
from detector.distributed.letters import AGAIN, TRIED, header, identity_in
from detector.inputs.kafka.feed import KafkaRecord, Shard
from detector.inputs.kafka.producing import Message
from detector.pipeline import advance, forget
from detector.records import Alert, DeadLetter, Record, Reject, Revision
from detector.shard.core import Core
from detector.shard.intake import Intake
from detector.stages.judge.alerts import NEW_TEMPLATE

# Also what no longer holds: that the router was ended by it, and that its log had more when it was routed.
DROPPED = (AGAIN, TRIED, routed.CRASH, routed.MORE)


class Judged(NamedTuple):
    """What was found of records that were sent again."""

    revisions: list[Revision]
    rejects: list[Reject]


def message(letter: DeadLetter) -> Message:
    """The record as it was, to the partition where it was read, saying that it comes again."""
    kept = [one for one in letter.headers if one[0] not in DROPPED]
    ours = [(AGAIN, letter.identity.encode()), (TRIED, str(letter.attempts).encode())]
    return Message(letter.topic, letter.key, letter.value, (*kept, *ours), letter.partition)


def apart(records: Sequence[KafkaRecord]) -> tuple[list[KafkaRecord], list[KafkaRecord]]:
    """The records that come for the first time, and those that were sent again."""
    first: list[KafkaRecord] = []
    again: list[KafkaRecord] = []
    for record in records:
        (again if record.headers and header(record, AGAIN) is not None else first).append(record)
    return first, again


def judge(core: Core, shard: Shard, records: Iterable[KafkaRecord], routed_topic: str) -> Judged:
    """Judge each by itself."""
    found = Judged([], [])
    for record in records:
        intake = Intake(core.new_reader(), core.parser)
        batch = intake.of_feed(str(shard), [_record(shard, record, routed_topic)])
        done = advance({}, batch, core.bundle, core.policy, core.explain)
        left = {source: state for source, state in done.states.items() if state is not None}
        over = forget(left, batch.clock_us)  # nothing will come to resolve its alerts
        found.revisions.extend(filter(None, map(_apart, [*done.revisions, *over.revisions])))
        found.rejects.extend(intake.rejects)
    return found


def _record(shard: Shard, record: KafkaRecord, routed_topic: str) -> Record:
    """The record as the core reads it, found where it was at first."""
    is_routed = shard.topic == routed_topic
    read = routed.read(shard, record).record if is_routed else routed.record_of(shard.topic, record)
    return msgspec.structs.replace(read, place=identity_in(record, AGAIN))


def _apart(revision: Revision) -> Revision | None:
    """An alert of a new message, under an id that no alert of the living source has; others tell of order."""
    alert = msgspec.json.decode(revision.payload, type=Alert)
    if alert.rule != NEW_TEMPLATE:
        return None
    alert_id = hashlib.sha256(f"resubmitted\0{revision.alert_id}".encode()).hexdigest()[:16]
    payload = msgspec.json.encode(msgspec.structs.replace(alert, alert_id=alert_id))
    return Revision(alert_id, revision.revision, payload)
