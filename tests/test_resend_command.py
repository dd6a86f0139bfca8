"""`tailrace alerts resend`: what a receiver did not take goes to it after all."""

from pathlib import Path

import pytest

from detector.cli.alerts import app
from detector.errors import BadSetup, Unreadable
from detector.store.outbox import Enrolment
from tests.delivery import Clock, StateFile, revision, webhook
from tests.outboxes import RedisOutbox
from tests.receiver import Script, serving
from tests.stores import PREFIX, shared_redis


def run(*words: str | Path) -> None:
    """Run the command in this process."""
    app(["resend", *map(str, words)], exit_on_error=False, result_action="return_value")


def test_what_was_given_up_reaches_a_receiver_that_is_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the state file; what it has taken is not sent twice."""
    script, path, clock = Script([204, 500]), tmp_path / "state.db", Clock()
    with serving(script):
        state = StateFile(path, [webhook(script, delays_s=(0.0,))])
        for name in ("a", "b", "c"):
            state.append(revision(name, 1))
            state.deliverer(clock).drain()
        assert state.states() == {"delivered": 1, "dead": 2}
        capsys.readouterr()  # the log of that
        run("ops", "--state", path)
        assert capsys.readouterr().out == "ops\t2 revisions waiting again\n"
        script.answers[:] = [204]
        state.deliverer(clock).drain()
    assert state.states() == {"delivered": 3}
    assert script.ids[:3] == ["a.1", "b.1", "c.1"]
    assert sorted(script.ids[3:]) == ["b.1", "c.1"]  # both were due: side by side


def test_what_was_given_up_waits_again_in_every_shard_of_redis(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whichever worker has the shard."""
    outbox, config = RedisOutbox(tmp_path), tmp_path / "tailrace.toml"
    config.write_text(f'[redis]\nurl = "{shared_redis().url}"\nkey_prefix = "{PREFIX}"\n')
    outbox.enrol(Enrolment("ops", "there"))
    outbox.append(revision("a", 1), revision("b", 1))
    outbox.deliveries.dead("ops", outbox.seq(2), "down")
    run("ops", "--config", config)
    assert capsys.readouterr().out == "ops\t1 revision waiting again\n"
    assert outbox.deliveries.counts() == {("ops", "pending"): 2}
    outbox.close()


def test_a_receiver_that_nothing_is_kept_for_is_named(tmp_path: Path) -> None:
    """With those that there is something for."""
    path = tmp_path / "state.db"
    StateFile(path, [webhook(Script(port=1))]).append(revision("a", 1))
    with pytest.raises(BadSetup, match="named 'opps', only for: ops"):
        run("opps", "--state", path)


def test_a_file_that_is_no_state_file_is_refused(tmp_path: Path) -> None:
    """And left as it is."""
    with pytest.raises(Unreadable, match="there is no state file here"):
        run("ops", "--state", tmp_path / "none.db")
    (tmp_path / "notes.txt").write_text("not a database, not at all")
    with pytest.raises(Unreadable, match="not readable as a state file"):
        run("ops", "--state", tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "not a database, not at all"


def test_somewhere_has_to_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No state file, and no Redis."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadSetup, match="name the state file with --state FILE"):
        run("ops")
