"""`--help` as a newcomer reads it: quick, at 80 columns, with an example and nothing of Python in it."""

import io
import subprocess
import sys

import pytest
from cyclopts import App
from rich.console import Console

from detector.cli.__main__ import OF_TRAINING
from detector.cli.__main__ import app as tailrace
from detector.cli.run import run
from training.cli.__main__ import app as train

COMMANDS = [
    *((tailrace, words) for words in ("watch", "replay", "parse", "check-config", "purge")),
    *((tailrace, words) for words in ("alerts list", "alerts show", "alerts resend", "bundle verify")),
    *((tailrace, words) for words in ("shards", "shards reset", "shards confirm")),
    *((tailrace, words) for words in ("topics show", "topics create", "worker")),
    *((tailrace, words) for words in ("dead-letters list", "dead-letters resubmit")),
    *((train, words) for words in ("fit", "inspect", "evaluate", "parse", "export", "benchmark")),
]


def _shown(app: App, words: str) -> str:
    file = io.StringIO()
    app.help_print(words.split(), console=Console(file=file, width=80))
    return file.getvalue()


@pytest.mark.parametrize(("app", "words"), COMMANDS, ids=lambda one: one if isinstance(one, str) else "")
def test_every_command_shows_an_example_and_what_each_word_is(app: App, words: str) -> None:
    """No default is written as Python writes it, and no usage line speaks of [ARGS]."""
    text = _shown(app, words)
    assert f"Example: {app.name[0]} {words}" in text
    for python in ("default: ()", "default: False", "default: None", "[ARGS]"):
        assert python not in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_list_of_commands_begins_with_what_comes_first() -> None:
    """A newcomer fits, then watches."""
    assert _shown(train, "").index("fit") < _shown(train, "").index("inspect")
    text = _shown(tailrace, "")
    places = [text.index(f"│ {name} ") for name in ("watch", "replay", "alerts", "parse", "bundle")]
    assert places == sorted(places)
    assert "tailrace-train fit" in text


def test_commands_of_training_are_pointed_to(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever looks for one here, also for its help, is told which program has it."""
    for name in {one for one in train if not one.startswith("-")} - set(tailrace):
        for words in ([name, "app.log"], [name, "--help"]):
            assert run(tailrace, words, OF_TRAINING) == 2
            told = f"tailrace: {name} is a command of tailrace-train: `tailrace-train {name} --help`"
            assert capsys.readouterr().err.startswith(told)


def test_help_waits_for_nothing_heavy() -> None:
    """It answers at once because what a command needs is imported when it runs."""
    code = (
        "import sys\nfrom detector.cli.__main__ import app\n"
        "for words in ([], ['watch'], ['replay'], ['alerts', 'list'], ['bundle', 'verify'], ['purge'],\n"
        "              ['shards'], ['topics', 'show']):\n"
        "    app([*words, '--help'], result_action='return_value')\n"
        "slow = {'numpy', 'onnxruntime', 'pydantic', 'aiohttp', 'asyncio', 'structlog', 'redis',\n"
        "        'prometheus_client'}\n"
        "heavy = slow & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
