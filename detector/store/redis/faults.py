"""What an error of Redis means to the caller. No I/O.

Texts name the server and never what was sent to it: a command may carry a password.
"""

from redis import exceptions

from detector.errors import BadSetup, TailraceError, Unavailable

REPLICA = "is a read-only replica: name the primary in redis.url"
# Redis refuses before it does anything, and may do it later.
_NOT_NOW = {
    "LOADING": "is still loading its data",
    "MASTERDOWN": "is a replica that has lost its primary",
    "CLUSTERDOWN": "belongs to a cluster that is down",
    "TRYAGAIN": "is moving the slot to another node",
    "ASK": "is moving the slot to another node",
    "READONLY": REPLICA,
    "OOM": "is out of memory: raise maxmemory",
    "MISCONF": "cannot write its snapshot to disk, and refuses writes until it can",
    "NOREPLICAS": "has fewer replicas than min-replicas-to-write",
    "BUSY": "is busy with somebody's script",
}
_NOT_ALLOWED = {
    "NOAUTH": "wants a password: set redis.password_file",
    "WRONGPASS": "refuses the user or the password: correct redis.url or redis.password_file",
    "NOPERM": "does not allow the user what the store needs: docs/redis.md has the ACL rule",
}


def code(error: exceptions.RedisError) -> str:
    """The word that Redis begins its errors with; empty where the error is the client's own."""
    known = getattr(error, "status_code", None)
    if known:
        return str(known)
    first = str(error).split(" ", 1)[0]
    return first if isinstance(error, exceptions.ResponseError) and first.isupper() else ""


def is_reply(error: exceptions.RedisError) -> bool:
    """Whether the server has answered, so that nothing is in doubt."""
    return isinstance(error, exceptions.ResponseError) or bool(code(error))


def meaning(server: str, error: exceptions.RedisError) -> TailraceError | None:
    """What to raise in its place; None where it is a surprise."""
    word = code(error)
    if word in _NOT_NOW:
        return Unavailable(f"redis at {server} {_NOT_NOW[word]}")
    if word in _NOT_ALLOWED:
        return BadSetup(f"redis at {server} {_NOT_ALLOWED[word]}")
    if isinstance(error, exceptions.AuthenticationError):
        return BadSetup(f"redis at {server} {_NOT_ALLOWED['WRONGPASS']}")
    if isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError):
        return Unavailable(f"redis at {server} cannot be reached: {error}")
    return None
