"""What is remembered of the traces in one log between batches, and its codec. Bounded whatever comes."""

import msgspec

from detector.bundle import HopTimes
from detector.errors import BadSetup
from detector.stages.judge.state import OpenAlert

CODEC_VERSION = 3

MAX_WAITING = 4_096  # lines of the last second
MAX_TRACES = 1_024  # the one that is quiet for longest is forgotten
MAX_TIMES = 4_096  # pairs of messages, on two sources and on any
MAX_SOURCES = 1_024
TEXT_BYTES = 160  # of a line, while it waits for those before it and then for the next of its trace


class Waiting(msgspec.Struct, array_like=True, gc=False, order=True):
    """A line that names a trace, while one that was written before it may still come; ordered by time."""

    time_us: int
    offset: int
    sub: int
    trace: str
    source: str
    token: int
    level: str
    position: str
    text: bytes


class Last(msgspec.Struct, array_like=True, gc=False):
    """The newest line of a trace."""

    source: str
    token: int
    time_us: int
    position: str
    text: bytes
    lines: int = 1  # of the trace so far


class Slowness(msgspec.Struct, array_like=True, gc=False):
    """How slow the hops from and to a source were of late."""

    nats: float = 0.0  # leaky sum of what was unlikely
    at_us: int | None = None  # when it was that
    usual: float = 0.0  # slow mean of what is added to it
    hops: int = 0
    since_us: int | None = None  # it has been slow since then, so that it teaches nothing; None: it is not


class HopState(msgspec.Struct, array_like=True):
    """The traces of one log."""

    log: str
    now_us: int = 0  # the newest time that was judged
    waiting: list[Waiting] = []  # the oldest first
    traces: dict[str, Last] = {}
    times: dict[int, HopTimes] = {}  # those that training knew are here once they have changed
    sources: dict[str, Slowness] = {}
    alerts: dict[str, OpenAlert] = {}  # by source
    first: str = ""  # the source that was named first
    several: bool = False  # another was too; until then nothing else is remembered


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[int, str, HopState])


def encode(state: HopState, bundle_id: str) -> bytes:
    """Bytes of a state, naming the codec and the bundle that it belongs to."""
    return _encoder.encode((CODEC_VERSION, bundle_id, state))


def decode(data: bytes, bundle_id: str) -> HopState:
    """The state in `data`; of another bundle's only the alerts, because its tokens mean nothing here.

    Raises:
        BadSetup: it was written by another codec.
    """
    try:
        version, owner, state = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise BadSetup(
            f"what is stored of traces cannot be read ({error}); start with a new state file"
        ) from error
    if version != CODEC_VERSION:
        raise BadSetup(
            f"what is stored of traces has codec {version}, not {CODEC_VERSION}; start with a new state file"
        )
    return (
        state
        if owner == bundle_id
        else HopState(state.log, state.now_us, alerts=state.alerts, first=state.first, several=state.several)
    )
