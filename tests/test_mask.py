"""Masks hide what varies within a token, keep what does not, and look at shapes only."""

import random
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.stages.header.shape import shape_of
from detector.stages.parse.mask import (
    LONGEST_TOKEN,
    MOST_TOKENS,
    REMEMBERED_TOKENS,
    MaskMemory,
    mask_token,
    settle,
)


def masked(message: str) -> str:
    """The masked text of a message."""
    return settle(b" ".join(map(mask_token, shape_of(message.encode()).split()))).decode()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("plain words, stay!", "plain words, stay!"),
        ("port 4711 size -12 ratio 0.93", "port <*> size <*> ratio <*>"),
        ("from 10.251.73.220:50010 to /10.251.73.220:50010", "from <*> to <*>"),
        ("blk_-5572208 blk_38865049", "blk_<*>"),
        ("node-246 core.2308 en0", "node-<*> core.<*> en<*>"),
        ("at 0x00004ed8, and 5f3a9bc1", "at <*>, and <*>"),
        ("req-38101a0b-2096-447d-96ea-a692162415ae", "req-<*>"),
        ("[63a0d960-70b6-44c6-b606-491478a5cadf]", "[<*>]"),
        ("fe80::21e:aff:fe5e and 00:1B:44:11:3A:B7", "<*> and <*>"),
        ("https://example.com/a?b=c, done", "<*>, done"),
        ("open /var/run/x.pid, then C:\\Windows\\x.dll", "open <*>, then <*>"),
        ("lib/modules/extra/y.ko read/write", "<*> read/write"),
        ("mail to someone@example.org.", "mail to <*>."),
        ("resolving ns.marry.com and mail.example.de", "resolving <*> and <*>"),
        ("org.apache.hadoop.util and java.io.IOException", "org.apache.hadoop.util and java.io.IOException"),
        ("uid=0 user=root ruser= a==b", "uid= <*> user= root ruser= a==b"),
        ("lock=23,flags=0x1,tag=none", "lock= <*>, flags= <*>, tag= none"),
        ("CPU0....done", "CPU<*> .... done"),
        ("from host () at", "from host (<*>) at"),
        ("took 10ms of 5 s, read 16384K of 3.7 KB", "took <*> of <*>, read <*> of <*>"),
        ("on Sat Jul  9 11:35:59 2005", "on <*>"),
        ("took 2005-07-04 days", "took <*> days"),
        ("targets 10.0.0.1:5, 10.0.0.2:5, 10.0.0.3:5", "targets <*>"),
        ("()", "(<*>)"),
        ("", ""),
    ],
)
def test_what_varies_is_hidden(message: str, expected: str) -> None:
    """The usual values in the usual places."""
    assert masked(message) == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("request abDx9_kQ-3fLm2 done", "request <*> done"),
        ("VA_liiDnT6ekGEgSQYnk2w ERROR", "<*> ERROR"),
        ("sess_-KGAX7PDTtaN4iINR47eXA, id=SKGAX7PDTtaN4iINR47eXA", "sess_<*>, id= <*>"),
        ("[dQw4w9WgXcQ-9aZ1bY]", "[<*>]"),
        ("CamelCaseWordsOfJava2 snake_case_words_0", "CamelCaseWordsOfJava<*> snake_case_words_<*>"),
        ("XMLHttpRequest2Started IPv6AddressOfMTU1500", "XMLHttpRequest<*>Started IPv<*>AddressOfMTU<*>"),
        ("HTTP2ServerStarted1 Worker-12-Stopped3", "HTTP<*>ServerStarted<*> Worker-<*>-Stopped<*>"),
        ("X509V3_EXT_print OBJ_X9_62_c2pnb163v1", "X<*>V<*>_EXT_print OBJ_X<*>_<*>_<*>"),
        ("SOME_CONSTANT_2_NAME some-name-2-here", "SOME_CONSTANT_<*>_NAME some-name-<*>-here"),
    ],
)
def test_identifiers_drawn_at_random_are_hidden_and_names_are_not(message: str, expected: str) -> None:
    """Capitals, small letters and digits that take turns are no words."""
    assert masked(message) == expected


def test_nearly_all_random_identifiers_are_hidden() -> None:
    """Of 22 characters of base64url, a few hold no digit or a whole word by chance."""
    rng = random.Random(3)
    letters = string.ascii_letters + string.digits + "-_"
    hidden = sum(masked("".join(rng.choices(letters, k=22))) == "<*>" for _ in range(2000))
    assert hidden > 0.9 * 2000


def test_a_list_of_any_length_is_one_pattern() -> None:
    """How many blocks a line names does not make it another event."""
    lists = {masked("delete " + " ".join(f"blk_{at}" for at in range(count))) for count in (1, 2, 50)}
    assert lists == {"delete blk_<*>"}


def test_long_tokens_and_long_messages_are_data() -> None:
    """What is too long to be a template is one wildcard."""
    assert masked("dump " + "Ab/" * LONGEST_TOKEN) == "dump <*>"
    words = [f"{chr(97 + at % 26)}x" for at in range(MOST_TOKENS + 40)]
    assert masked(" ".join(words)).split() == [*words[:MOST_TOKENS], "<*>"]


def test_control_characters_part_words() -> None:
    """NULs, tabs and escapes are blanks; what is not UTF-8 is shown as such."""
    assert masked("a\tb\0c") == "a b c"
    assert settle(mask_token(b"\xff\xfe")).decode() == "\ufffd\ufffd"


@given(message=st.binary(max_size=300))
def test_any_bytes_can_be_masked(message: bytes) -> None:
    """The result is UTF-8 of as many words as blanks say, and says the same with a memory."""
    tokens = shape_of(message).split()
    text = b" ".join(map(mask_token, tokens))
    assert not re.search(r"\s\s|[^\S ]", text.decode())
    memory = MaskMemory()
    for _ in range(2):
        assert b" ".join(memory[token] for token in tokens) == text


@given(digits=st.text(alphabet="abcdef01", min_size=32, max_size=32), mark=st.sampled_from(["", "[", "(id="]))
def test_hex_identifiers_are_masked_whatever_their_letters(digits: str, mark: str) -> None:
    """An identifier may happen to have letters only; a memory must not tell it from others."""
    memory = MaskMemory()
    for identifier in ("0" * 32, digits, "a" * 32):
        token = shape_of(f"{mark}{identifier}]".encode())
        assert memory[token] == mask_token(token)
        assert memory[token].endswith(b"<*>]")


@given(message=st.text(alphabet=st.sampled_from("ab09=./:,-_ @()[]"), max_size=80), shift=st.integers(1, 9))
def test_digits_do_not_matter(message: str, shift: int) -> None:
    """Lines of one shape have one masked text: the memory of shapes rests on it."""
    other = "".join(str((int(letter) + shift) % 10) if letter.isdigit() else letter for letter in message)
    assert masked(message) == masked(other)


def test_a_full_memory_starts_anew() -> None:
    """More tokens than are remembered are masked all the same."""
    memory = MaskMemory()
    for at in range(REMEMBERED_TOKENS + 10):
        word = b"w" + bytes(97 + int(digit) for digit in str(at))
        assert memory[word] == word
    assert len(memory) <= REMEMBERED_TOKENS
