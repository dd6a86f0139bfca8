"""An alert as people read it; a log line must not be able to draw on their screen."""

import asyncio
import io
import logging
from pathlib import Path

import msgspec
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from detector.cli.start import read_settings
from detector.notify.console import people, printable, show_alert
from detector.records import Alert, Attended, EvidenceLine, SecondReading, Silence, SlowHop
from detector.store.deliveries import Delivery
from tests.delivery import SAMPLE

EVIL = "\x1b[2J\x1b]8;;http://evil\x07click\x1b]8;;\x07 \r\n\u202egpj [bold red]x[/] :smile: \x9b31m"


def test_what_the_program_says_for_people_draws_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file's name, a library's words, an exception: each is on its own line, and a terminal obeys none."""
    config = tmp_path / "tailrace.toml"
    config.write_text('[log]\nformat = "text"\n')
    read_settings(config)
    structlog.get_logger().warning("cannot read", path="\x1b[2J\u202e", reason=EVIL)
    try:
        int(EVIL)
    except ValueError:
        logging.getLogger("library").exception("failed\r\n%s", EVIL)
    said = capsys.readouterr().err
    assert [one for one in said if not one.isprintable() and one != "\n"] == []
    assert "Traceback (most recent call last):\n" in said
    assert len([line for line in said.splitlines() if "failed" in line or "cannot read" in line]) == 2


def _shown(alert: Alert, *, terminal: bool = False) -> str:
    stdout = io.StringIO()
    show_alert(Console(file=stdout, force_terminal=terminal, highlight=False, width=80), alert)
    return stdout.getvalue()


def test_an_alert_shows_everything_a_person_needs() -> None:
    """What happened, where, when, how sure, what was expected, the lines around it, how to replay it."""
    assert _shown(SAMPLE).splitlines() == [
        " ERROR  nova-compute: stopped half-way",
        "  when      2026-11-21T10:00:00.000000Z   score 12.31, threshold 8.00, surprise 14.2 bits",
        "  template  Terminating instance <*>  a1b2c3  seen for the first time",
        "  expected   62.1%  Deleted instance files <*>",
        "             30.0%  Instance destroyed",
        "  lines       1200  Instance spawned",
        "            > 1300  Terminating instance i-17",
        "              1400  Claim successful",
        "  alert     5f2b8c0d1e4a7b93   revision 1, firing   bundle b-7d1f",
        "  replay    tailrace replay nova.log --bundle b",
        "",
    ]


@pytest.mark.parametrize(
    ("rule", "words"),
    [("sequence", "unusual sequence"), ("new-template", "new message"), ("silence", "went silent")],
)
def test_a_rule_is_said_in_words(rule: str, words: str) -> None:
    """Nobody has to look a rule's name up."""
    assert words in _shown(msgspec.structs.replace(SAMPLE, rule=rule))


def test_what_a_second_reader_pointed_at_is_marked() -> None:
    """Its words, the events by their number, and a star at each line; the event's own mark stays."""
    lines = [msgspec.structs.replace(line, weight=0.3) for line in SAMPLE.lines[:2]]
    reading = SecondReading(10.5, 2.25, [Attended(7, "a1", "Instance <*>", 0.3)])
    shown = _shown(msgspec.structs.replace(SAMPLE, reading=reading, lines=[*lines, SAMPLE.lines[2]]))
    assert shown.splitlines()[5:10] == [
        "  reread    score 10.50 before, z 2.25",
        "             30.0%  event 7  Instance <*>",
        "  lines     * 1200  Instance spawned",
        "            > 1300  Terminating instance i-17",
        "              1400  Claim successful",
    ]


def test_what_is_not_known_is_left_out() -> None:
    """A silence has no template, no surprise and perhaps no time."""
    alert = msgspec.structs.replace(
        SAMPLE, template=None, surprise_bits=None, opened_at=None, expected=[], lines=[]
    )
    text = _shown(alert)
    assert "no time stamp" in text
    for word in ("None", "surprise", "expected", "lines"):
        assert word not in text


def test_a_silence_says_how_long_it_was_and_what_is_usual() -> None:
    """While it lasts, after how long it was said; then how long it was."""
    silence = Silence(longest_gap_s=20.0, silent_after_s=90.0)
    alert = msgspec.structs.replace(SAMPLE, rule="silence", silence=silence)
    assert "silent    for more than 1 min 30 s; the longest gap before was 20 s" in _shown(alert)
    over = msgspec.structs.replace(alert, status="resolved", resolved_at="2026-11-21T10:07:00Z")
    assert "silent    for 7 min; the longest gap before was 20 s" in _shown(over)
    assert "silent" not in _shown(SAMPLE)


def test_a_slow_step_says_how_long_it_took_and_what_is_usual() -> None:
    """And between which sources, of which request."""
    hop = SlowHop(sender="orders", receiver="pricing", trace="4bf9", took_s=1.25, usual_s=0.0061)
    text = _shown(msgspec.structs.replace(SAMPLE, rule="slow", hop=hop))
    assert "became slow" in text
    assert "orders to pricing: 1.25 s, usually 0.0061 s   trace 4bf9" in text


def test_only_a_terminal_gets_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file or a pipe gets plain text."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" not in _shown(SAMPLE)
    assert "\x1b[" in _shown(SAMPLE, terminal=True)


def test_log_text_cannot_command_the_terminal() -> None:
    """Escapes, line breaks, text direction and markup arrive as the characters they are made of."""
    alert = msgspec.structs.replace(
        SAMPLE,
        source=EVIL,
        rule=EVIL,
        severity=EVIL,
        lines=[EvidenceLine("1", EVIL, "event")],
        replay=EVIL,
        alert_id=EVIL,
    )
    text = _shown(alert)
    assert not {"\x1b", "\x07", "\r", "\u202e", "\x9b"} & set(text)
    assert len(text.splitlines()) == len(_shown(SAMPLE).splitlines()) - 2
    assert "[bold red]x[/] :smile:" in text
    assert "\\x1b[2J" in text


@settings(deadline=None)
@given(st.text())
def test_printable_text_is_printable(text: str) -> None:
    """Nothing that `str.isprintable` would not print comes through, and what is printable stays."""
    shown = printable(text)
    assert all(character.isprintable() or character.isspace() for character in shown)
    if text.isprintable():
        assert shown == text


def _news(*revisions: Alert) -> list[str]:
    """What a stream of revisions prints, line by line."""
    stdout = io.StringIO()
    send = people(stdout)

    async def send_all() -> None:
        for one in revisions:
            await send(Delivery(1, one.alert_id, one.revision, msgspec.json.encode(one), 0))

    asyncio.run(send_all())
    return stdout.getvalue().splitlines()


ERROR, OVER = (f" {word}  nova-compute: stopped half-way" for word in ("ERROR", "RESOLVED"))
FIRST = msgspec.structs.replace(SAMPLE, lines=SAMPLE.lines[:2])
RESOLVED = msgspec.structs.replace(
    SAMPLE, revision=4, status="resolved", resolved_at="2026-11-21T10:05:30.500000Z"
)


def test_a_later_revision_is_one_line_that_says_what_it_adds() -> None:
    """The stream of alerts does not repeat itself: lines that came after, a higher score, the end."""
    second = msgspec.structs.replace(SAMPLE, revision=2)
    third = msgspec.structs.replace(SAMPLE, revision=3, score=20.5)
    whole = len(_news(FIRST))
    assert whole > 8
    assert _news(FIRST, second, third, RESOLVED)[whole:] == [
        f"{ERROR}, 1 more line   alert 5f2b8c0d1e4a7b93",
        f"{ERROR}, score now 20.50   alert 5f2b8c0d1e4a7b93",
        f"{OVER}, after 5 min 30 s, score now 12.31   alert 5f2b8c0d1e4a7b93",
    ]


def test_a_later_revision_can_be_the_first_that_is_seen() -> None:
    """After a restart nothing is known of what was printed; an alert without times has no length."""
    timeless = msgspec.structs.replace(RESOLVED, opened_at=None, resolved_at=None, lines=[])
    assert _news(msgspec.structs.replace(SAMPLE, revision=2)) == [
        f"{ERROR}, 1 more line   alert 5f2b8c0d1e4a7b93"
    ]
    assert _news(timeless) == [f"{OVER}   alert 5f2b8c0d1e4a7b93"]


def test_an_alert_that_only_goes_on_says_so() -> None:
    """A revision that adds neither lines nor score has been flagged tenfold."""
    again = msgspec.structs.replace(FIRST, revision=2, score=FIRST.score + 0.0001)
    assert _news(FIRST, again)[-1] == f"{ERROR}, goes on   alert 5f2b8c0d1e4a7b93"
