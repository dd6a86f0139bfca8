"""A commit as the arguments of its script. No I/O.

Each chunk is one argument, so that Redis reads few of them, and none holds more values than Lua can unpack.
"""

import hashlib
from collections.abc import Iterator, Sequence

import msgspec

from detector.store.contract import Commit
from detector.store.outbox import status_of
from detector.store.redis.pack import Value, pack

MAX_CHUNK = 1_000  # values; even, as some chunks hold pairs


class Bounds(msgspec.Struct, frozen=True):
    """How much stays of what nobody waits for, per shard."""

    kept_revisions: int
    kept_rejects: int


def arguments(
    commit: Commit, before: str, receivers: Sequence[str], bounds: Bounds
) -> tuple[str, list[bytes]]:
    """The commit's id and the arguments of `commit.lua`; `before` is the id of the commit it is based on.

    The id is a digest of all that the commit writes: where it is stored, exactly this was written.
    """
    parts = [list(chunks) for chunks in _parts(commit)]
    counts = [len(chunks) for chunks in parts]
    chunks = [chunk for part in parts for chunk in part]
    written = (commit.based_on, before, commit.bundle, commit.fence, commit.memory)
    commit_id = _digest([pack((*written, counts)), *chunks])
    header = (
        commit.based_on,
        before,
        commit_id,
        commit.bundle,
        commit.fence,
        commit.memory,
        bounds.kept_revisions,
        bounds.kept_rejects,
        receivers,
        counts,
    )
    return commit_id, [pack(header), *chunks]


def _parts(commit: Commit) -> Iterator[Iterator[bytes]]:
    """In the order of the script."""
    kept = {source: state for source, state in commit.states.items() if state is not None}
    due = {source: at for source in kept if (at := commit.due_us.get(source)) is not None}
    yield _chunks([value for pair in kept.items() for value in pair])
    yield _chunks([source for source, state in commit.states.items() if state is None])
    yield _chunks([value for source, at in due.items() for value in (at, source)])
    yield _chunks([source for source in commit.states if source not in due])
    yield _chunks([pack((one.origin, one.offset, one.reason, one.value)) for one in commit.rejects])
    yield (
        pack((one.alert_id, one.revision, status_of(one.payload), one.payload)) for one in commit.revisions
    )


def _chunks(values: Sequence[Value]) -> Iterator[bytes]:
    for start in range(0, len(values), MAX_CHUNK):
        yield pack(values[start : start + MAX_CHUNK])


def _digest(parts: list[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
