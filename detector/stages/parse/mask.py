"""Mask the variable parts of a message, token by token. No I/O; everything here reads shapes.

A masked token may hold blanks: `uid=0` becomes `uid= <*>`, so that the value is a word of its own.
"""

import re
from typing import Final

WILD: Final = b"<*>"
LONGEST_TOKEN: Final = 160  # bytes; longer tokens are data
MOST_TOKENS: Final = 128  # of a message; what follows is data
LONGEST_PATTERN: Final = 300  # characters of a pattern as shown
REMEMBERED_TOKENS: Final = 100_000  # before the memory starts anew

_OPENING, _CLOSING = b"([{<\"'`", b")]}>\"'`,;:.!?"
# Words without anything that a mask could hold on to; most tokens of most logs.
_PLAIN = re.compile(rb"[^0*/\\@=.:\x80-\xff]*[.:]?[\"')\],;]*")
_HEX_FOLD = bytes.maketrans(b"abcdefABCDEF", b"0" * 12)
_MARKS = rb"[!-/:-@\[-`{-~]*"
_WHOLE_HEX = re.compile(_MARKS + rb"(0{8}-0{4}-0{4}-0{4}-0{12}|0{32}|0{40}|0{64})" + _MARKS)
_SHORTEST_HEX = 32  # bytes of what _WHOLE_HEX matches
_WHOLE = re.compile(
    rb"""[a-zA-Z][\w+.-]{0,20}://\S+            # URL
    |(?:~|\.{1,2})?/\S+                         # path
    |[A-Za-z]:\\\S+
    |[\w.$~-]+(?:/[\w.$~-]+){2,}/?
    |[\w$~-]+/[\w-]+\.[A-Za-z]\w{0,4}
    |(?=\S*0)(?:[0A-Fa-f]{0,4}:){2,7}[0A-Fa-f]{0,4}(?:%\w+)?  # IPv6
    |(?:[0A-Fa-f]{2}[:-]){5}[0A-Fa-f]{2}        # MAC
    |[\w.+=-]+@[\w-]+(?:\.[\w-]+)+              # mail
    # Names of hosts; packages of Java begin where these end.
    |(?!(?:com|org|net|edu|gov|java|javax|io)\.)(?:
        (?:[\w-]+\.)+(?:com|net|org|edu|gov|mil|info|biz|arpa)
        |(?=\S*0|\S*\.(?:de|uk|fr|nl|ru|cn|jp|kr|br|au|pl|tw|eu)\Z)(?:[\w-]+\.){2,}[a-z]{2}
    )(?::0+)?
    """,
    re.VERBOSE,
)
_INSIDE = re.compile(
    rb"""[0A-Fa-f]{8}-[0A-Fa-f]{4}-[0A-Fa-f]{4}-[0A-Fa-f]{4}-[0A-Fa-f]{12}
    |0[xX][0A-Fa-f]+
    |(?<![A-Za-z0])(?=[A-Fa-f]*0)[0A-Fa-f]{6,}(?![A-Za-z0])
    |(?<![A-Za-z0])[A-Za-z]*(?:0+[A-Za-z]+){2,}0*(?![A-Za-z0])
    |(?:(?<![A-Za-z0])[-+])?0+(?:[.:,]0+)*(?:[eE][-+]?0+)?(?:(?:[KMGTP]i?[Bb]?|[mun]?s|min|[bBhd])(?![A-Za-z0]))?
    """,
    re.VERBOSE,
)
# The frequent values: a number, an address, a hex number, a path; stars are a number nobody could read.
_NUMBER = re.compile(
    rb"(\*{2,}|0[xX][0A-Fa-f]+|/?-?0+(?:[.:]0+)*|(?=[A-Fa-f]*0)[0A-Fa-f]{6,}|/[^\s()\[\]{},;:\"'<>=]+[\w/])[,;)\].:]*"
)
# Identifiers in base64url, and others drawn from letters of both cases and digits.
SHORTEST_ID: Final = 12  # letters and digits
LONG_ID: Final = 18  # from here on one digit is enough
MOST_PART: Final = 2.4  # letters of a part on average: 1.8 in random ones, 5 in CamelCase
LONGEST_PART: Final = 6  # a longer one is a word
_RUN = re.compile(rb"[A-Za-z0_-]{%d,}" % SHORTEST_ID)
_PARTS = re.compile(rb"[A-Z]?[a-z]+|[A-Z]+|0+")
_BOTH_CASES = re.compile(rb"[a-z]0*[A-Z]")  # with neither - nor _ between
_WORD_BEFORE = re.compile(rb"[a-z]{3,}[_-]")
_CHAIN = re.compile(rb"<\*>(?:[-/:.,]<\*>)+")
_PAIRS = re.compile(rb"(?<=[,;&])(?=[A-Za-z]\w*=)|(?<=[\w\])]=)(?=[^=\s])")
_DOTS = re.compile(rb"\.{4,}")


def mask_token(token: bytes) -> bytes:
    """The constant part of one token of a shape, `<*>` where it varies."""
    if len(token) >= _SHORTEST_HEX and (whole := _WHOLE_HEX.fullmatch(token.translate(_HEX_FOLD))):
        return token[: whole.start(1)] + WILD + token[whole.end(1) :]
    if token.isalpha() or _PLAIN.fullmatch(token):
        return b"(<*>)" if token == b"()" else token
    number = _NUMBER.fullmatch(token)
    if number is not None:
        return WILD + token[number.end(1) :]
    return WILD if len(token) > LONGEST_TOKEN else _mask_mixed(token)


def _mask_mixed(token: bytes) -> bytes:
    """Words and values in one token, in the punctuation around them."""
    if not token.isascii():
        token = _clean(token)
    if b"...." in token and token.strip(b"."):
        return b" ".join(mask_token(part) for part in _DOTS.sub(b" .... ", token).split())
    core = token.strip(_OPENING + _CLOSING)
    if not core:
        return token
    begin = token.index(core)
    return token[:begin] + _mask_core(core) + token[begin + len(core) :]


def _mask_core(core: bytes) -> bytes:
    if _WHOLE.fullmatch(core):
        return WILD
    if b"=" in core:
        parts = _PAIRS.sub(b" ", core).split()
        if len(parts) > 1:
            return b" ".join(map(mask_token, parts))
    if len(core) >= SHORTEST_ID and core != core.lower():
        core = _RUN.sub(_hide_id, core)
    return _CHAIN.sub(WILD, _INSIDE.sub(WILD, core))


def _hide_id(found: re.Match[bytes]) -> bytes:
    """What a run of letters, digits, `-` and `_` is where it was drawn at random; a word before it stays."""
    word = _WORD_BEFORE.match(found[0])
    start = word.end() if word else 0
    return found[0][:start] + WILD if _is_random(found[0][start:]) else found[0]


def _is_random(run: bytes) -> bool:
    """Whether capitals, small letters and digits take turns as in no name: VA_liiDnT0ekGEgSQYnk0w."""
    parts = _PARTS.findall(run)
    size = sum(map(len, parts))
    return (
        SHORTEST_ID <= size <= MOST_PART * len(parts)
        and run.count(b"0") >= (1 if size >= LONG_ID else 2)
        and _BOTH_CASES.search(run) is not None
        and max(map(len, parts)) <= LONGEST_PART
    )


def _clean(token: bytes) -> bytes:
    """Valid UTF-8 without blanks of other alphabets, so that patterns can be shown and split."""
    text = token.decode("utf-8", "replace")
    return "".join("_" if letter.isspace() else letter for letter in text).encode()


class MaskMemory(dict[bytes, bytes]):
    """Masked tokens by token, worked out when first asked for."""

    def __init__(self) -> None:
        """Start empty."""
        super().__init__()
        self._hex: dict[bytes, bytes] = {}

    def __missing__(self, token: bytes) -> bytes:
        """Mask a token that is not remembered."""
        # Identifiers of hex digits never repeat; their form with a-f as digits, which decides, does.
        if len(token) >= _SHORTEST_HEX and _WHOLE_HEX.fullmatch(folded := token.translate(_HEX_FOLD)):
            return _remembered(self._hex, folded, token)
        return _remembered(self, token, token)


def _remembered(memory: dict[bytes, bytes], key: bytes, token: bytes) -> bytes:
    masked = memory.get(key)
    if masked is None:
        masked = mask_token(token)
        if len(memory) >= REMEMBERED_TOKENS:
            memory.clear()
        if len(key) <= LONGEST_TOKEN:
            memory[key] = masked
    return masked


_DATE = re.compile(
    rb"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
    rb" <\*> <\*>(?: [A-Z]{3,4})?(?: <\*>)?"
)
_UNIT = re.compile(rb"(?<=<\*>) (?:[KMGTP]i?B|B|ms|us|ns|s|sec|secs|min|mins|h|hrs)(?![^\s,;:.)\]])")
_SEPARATORS: Final = b",;"


def settle(masked: bytes) -> bytes:
    """Fold what the neighbours explain: dates, units after numbers, lists; what is too long is cut."""
    if WILD not in masked and masked.count(b" ") < MOST_TOKENS:
        return masked
    masked = _UNIT.sub(b"", _DATE.sub(WILD, masked))
    kept: list[bytes] = []
    last = b""
    for token in masked.split():
        item = token.rstrip(_SEPARATORS)
        if item == last and WILD in item:
            kept[-1] = token
        else:
            kept.append(token)
        last = item
    if len(kept) > MOST_TOKENS:
        kept[MOST_TOKENS:] = [WILD]
    return b" ".join(kept)
