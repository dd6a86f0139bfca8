"""A commit as the arguments of its script. No I/O."""

import hashlib
from array import array
from collections.abc import Sequence

import msgspec

from detector.store.contract import Commit
from detector.store.outbox import status_of
from detector.store.redis.pack import pack


class Bounds(msgspec.Struct, frozen=True):
    """How much stays of what nobody waits for, per shard."""

    kept_revisions: int
    kept_rejects: int
    kept_reject_bytes: int


def arguments(
    commit: Commit, before: str, receivers: Sequence[str], bounds: Bounds
) -> tuple[str, list[bytes]]:
    """The commit's id and the arguments of `commit.lua`; `before` is the id of the commit it is based on.

    The id is a digest of all that the commit writes: where it is stored, exactly this was written.
    """
    parts = _parts(commit)
    counts = [len(part) for part in parts]
    values = [value for part in parts for value in part]
    written = (commit.based_on, before, commit.bundle, commit.fence, commit.memory)
    commit_id = _digest(pack((*written, counts)), values)
    header = (
        commit.based_on,
        before,
        commit_id,
        commit.bundle,
        commit.fence,
        commit.memory,
        bounds.kept_revisions,
        bounds.kept_rejects,
        bounds.kept_reject_bytes,
        receivers,
        counts,
    )
    return commit_id, [pack(header), *values]


def _parts(commit: Commit) -> list[list[bytes]]:
    """In the order of the script."""
    states: list[bytes] = []
    gone: list[bytes] = []
    due: list[bytes] = []
    not_due: list[bytes] = []
    for source, state in commit.states.items():
        name = source.encode()
        at = commit.due_us.get(source)
        if state is None:
            gone.append(name)
        else:
            states += (name, state)
        if state is None or at is None:
            not_due.append(name)
        else:
            due += (b"%d" % at, name)
    rejects = [msgspec.msgpack.encode(one) for one in commit.rejects]
    revisions = [
        pack((one.alert_id, one.revision, status_of(one.payload), one.payload)) for one in commit.revisions
    ]
    return [states, gone, due, not_due, rejects, revisions]


def _digest(header: bytes, values: Sequence[bytes]) -> str:
    # With their lengths, so that no two lists of values are alike when they are joined.
    lengths = array("Q", map(len, values)).tobytes()
    digest = hashlib.blake2b(header, digest_size=16)
    digest.update(lengths)
    digest.update(b"".join(values))
    return digest.hexdigest()
