"""Whether a session that is quiet when the input ends is over, or was only cut off. Pure."""

from detector.bundle import Pauses


def pause_class(pause_us: int) -> int:
    """The class of a pause: 0 below a millisecond, then one for each doubling."""
    return (max(0, pause_us) // 1000).bit_length()


def goes_on(pauses: Pauses, token: int, pause_us: int) -> bool:
    """Whether most sessions of training that were quiet for so long after this template went on.

    The hazard of Kaplan and Meier 1958, read off the pauses of the same class or a longer one.
    """
    least = pause_class(pause_us)
    return _longer(pauses.went_on, token, least) > _longer(pauses.ended, token, least)


def _longer(counts: list[list[int]], token: int, least: int) -> int:
    return sum(counts[token][least:]) if token < len(counts) else 0
