"""Words that never become a wildcard: merging them would hide what a line says. No I/O."""

import re
from typing import Final

# Each line holds words that part one event from its opposite.
_TEXT: Final = """
    start starts started starting stop stops stopped stopping begin began end ended finish finished
    pause paused pausing unpaused resume resumed resuming suspend suspended
    up down on off open opened opening close closed closing opens closes
    enable enabled enabling disable disabled disabling active inactive activated deactivated
    succeed succeeded success successful successfully fail failed fails failure failures
    accept accepted reject rejected allow allowed deny denied grant granted revoked refused
    connect connected connecting disconnect disconnected disconnecting attach attached detach detached
    add added adding remove removed removing delete deleted deleting create created creating destroyed
    register registered unregister unregistered mount mounted unmount unmounted umount
    load loaded unload unloaded lock locked unlock unlocked acquire acquired release released
    send sent sending receive received receiving read write reading writing written
    login logout logged-in logged-out enter entering leave leaving left exit exited exiting
    true false yes no valid invalid ok error errors warning critical fatal
    available unavailable online offline alive dead healthy unhealthy ready busy idle running
    first last before after more less increased decreased increasing decreasing input output
    in out to from with without not
    get post put patch head options trace
    spawn spawned terminate terminated terminating terminates crash crashed killed
    recovered expired timeout timed-out lost found missing full empty high low
"""
PROTECTED: Final = frozenset(_TEXT.split())
_EDGES = re.compile(r"^\W+|\W+$")


def is_protected(word: str) -> bool:
    """Whether a word, without the punctuation around it, must stay as it is."""
    return _EDGES.sub("", word).lower() in PROTECTED


def signature(tokens: tuple[str, ...]) -> str:
    """The protected words of a pattern with their places, as one token."""
    return ",".join(f"{at}:{token.lower()}" for at, token in enumerate(tokens) if is_protected(token))
