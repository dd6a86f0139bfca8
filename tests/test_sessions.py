"""Sessions end to end: fit on normal jobs, find broken ones, go on after a kill."""

import csv
import json
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from detector.bundle import Manifest, load
from detector.records import FIRST_TEMPLATE
from detector.words import duration
from tests.fits import JOBS_COUNT
from tests.session_log import OPTIONS, QUICK, write_log
from training.beside import beside
from training.fold import Fold, train_fold
from training.model.run import Report
from training.model.settings import FitSettings
from training.sessions import MOST_SESSIONS, sample, unknown_cost

DEADLINE_S = 60.0


def command(program: str, *arguments: str | Path) -> list[str]:
    """A command line of the product."""
    return [sys.executable, "-m", f"{program}.cli.__main__", *map(str, arguments)]


def run(program: str, *arguments: str | Path) -> str:
    """Run a command that must succeed and give what it printed."""
    done = subprocess.run(command(program, *arguments), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_broken_sessions_are_found_and_normal_ones_are_not(jobs: Path, tmp_path: Path) -> None:
    """A missing end and a repeated step are anomalous; every normal session stays below the threshold."""
    truth = write_log(tmp_path / "new.log", jobs=60, broken_every=10, seed=8)
    run(
        "detector",
        "replay",
        tmp_path / "new.log",
        "--bundle",
        jobs / "bundle",
        "--scores",
        tmp_path / "scores.csv",
    )
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        said = {row["source"]: row["anomalous"] == "true" for row in csv.DictReader(file)}
    assert said == truth


def test_a_fit_says_what_it_read_and_keeps_how_it_read(jobs: Path) -> None:
    """The manifest counts sessions, and serving takes the options of the fit from it."""
    manifest: Manifest = load(jobs / "bundle").manifest
    assert manifest.data["sources"] == JOBS_COUNT
    assert manifest.input.session
    assert manifest.input.idle_timeout_s is not None
    assert [path.name for path in (jobs / "bundle" / "training").iterdir()] == ["model.pt"]


def test_a_fit_ends_with_what_was_asked_for_measured_and_learnt(jobs: Path) -> None:
    """The idle time-out is said in words with how to set it, also in the report and by `bundle verify`."""
    lines = (jobs / "said").read_text("utf-8").splitlines()
    said = {line[:11].strip(): line[11:] for line in lines}
    assert said["asked for"] == "at most 5 false alerts per 10,000 sessions (--budget)"
    assert said["measured"].endswith(" per 10,000 sessions on normal logs held out of training")
    assert " in serving, on logs like these (95 %)" in said["expect"]
    idle_s = load(jobs / "bundle").manifest.input.idle_timeout_s
    assert idle_s is not None
    words = f"after {duration(idle_s)} without a line, learnt from their longest pauses"
    assert said["sessions"] == f"end {words}; --idle-timeout SECONDS sets it"
    assert words in (jobs / "bundle" / "report.html").read_text("utf-8")
    assert f"after {duration(idle_s)} without a line" in run("detector", "bundle", "verify", jobs / "bundle")


def test_a_killed_fit_goes_on_to_the_same_bundle(jobs: Path, tmp_path: Path) -> None:
    """SIGKILL in the second fold, then --resume: every file of the bundle is the undisturbed one's."""
    out = tmp_path / "bundle"
    words = ("fit", jobs / "normal.log", *OPTIONS, *QUICK, "--out", out)
    process = subprocess.Popen(
        command("training", *words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _wait_for(out / "training" / "fold 2 of 4.pt", process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "manifest.json").exists()
    run("training", *words, "--resume")
    one, other = (json.loads((path / "manifest.json").read_bytes()) for path in (jobs / "bundle", out))
    assert one["files"] == other["files"]
    assert one | {"created": ""} == other | {"created": ""}


def test_a_fit_that_is_interrupted_says_how_to_go_on(jobs: Path, tmp_path: Path) -> None:
    """After Ctrl-C, once there is a checkpoint."""
    out = tmp_path / "bundle"
    words = command("training", "fit", jobs / "normal.log", *OPTIONS, *QUICK, "--out", out)
    # A shell that starts the tests in the background lets them, and their children, ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with subprocess.Popen(words, stderr=subprocess.PIPE) as process:
            _wait_for(out / "training" / "fold 1 of 4.pt", process)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate()
    finally:
        signal.signal(signal.SIGINT, before)
    assert process.returncode == 130, said.decode()[-3000:]
    told = f"interrupted; the same command with --resume goes on from the checkpoint in {out}"
    assert said.decode().splitlines()[-1] == told


def test_a_folder_of_another_program_is_left_alone(tmp_path: Path) -> None:
    """A manifest.json that is no bundle's is not written over; a bundle's is, by the next fit."""
    write_log(tmp_path / "few.log", jobs=10)
    out = tmp_path / "site"
    out.mkdir()
    words = command("training", "fit", tmp_path / "few.log", *OPTIONS, "--out", out)
    for content in ('{"name": "shop", "icons": []}', "no JSON"):
        (out / "manifest.json").write_text(content, encoding="utf-8")
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert f"{out / 'manifest.json'} is not of a bundle of tailrace" in done.stderr
        assert [one.name for one in out.iterdir()] == ["manifest.json"]
    done = subprocess.run([*words[:-1], out / "manifest.json"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"--out {out / 'manifest.json'}: this is a file; name a folder" in done.stderr


def test_too_little_to_train_on_is_said_with_the_name_of_the_input(tmp_path: Path) -> None:
    """Of many files the first is named."""
    write_log(tmp_path / "few.log", jobs=10)
    words = command("training", "fit", tmp_path / "few.log", "--out", tmp_path / "bundle")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert f"tailrace-train: {tmp_path / 'few.log'}: only " in done.stderr


def test_a_resume_without_a_checkpoint_says_that_it_starts_anew(tmp_path: Path) -> None:
    """Whoever names another folder by mistake learns of it before the hours of training."""
    write_log(tmp_path / "few.log", jobs=10)
    out = tmp_path / "bundle"
    words = command("training", "fit", tmp_path / "few.log", *OPTIONS, "--out", out, "--resume")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[0] == f"nothing to resume: no checkpoint in {out}; the fit starts anew"
    (out / "training").mkdir(parents=True)
    (out / "training" / "fold 1 of 4.pt").touch()
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "nothing to resume" not in done.stderr


def _wait_for(path: Path, process: "subprocess.Popen[bytes]") -> None:
    """Until a file is there; the process that writes it must be alive."""
    ends = time.monotonic() + DEADLINE_S
    while not path.exists():
        assert process.poll() is None, "the fit ended before it could be killed"
        assert time.monotonic() < ends, f"{path} was never written"
        try:
            process.wait(0.01)
        except subprocess.TimeoutExpired:
            continue


def test_too_few_sessions_are_refused(tmp_path: Path) -> None:
    """Ten sessions calibrate nothing; the message says how many there were and what to check."""
    write_log(tmp_path / "few.log", jobs=10)
    words = command("training", "fit", tmp_path / "few.log", *OPTIONS, "--out", tmp_path / "bundle")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "only 10 sessions" in done.stderr


def test_an_unknown_event_costs_less_where_new_events_are_common() -> None:
    """The cost is the logarithm of how often one fold holds what the others lack."""
    plain = [np.full(5, FIRST_TEMPLATE) for _ in range(8)]
    folds = [np.arange(k, 8, 4) for k in range(4)]
    odd = [*plain[:-1], np.array([FIRST_TEMPLATE, FIRST_TEMPLATE + 1])]
    (high, none), (low, one) = unknown_cost(plain, folds), unknown_cost(odd, folds)
    assert (none, one) == (0, 1)
    assert high > low > 0


def test_a_sample_of_very_many_sessions_keeps_their_order() -> None:
    """At most so many are drawn, the same ones for the same seed, in the order of time."""
    drawn = sample(MOST_SESSIONS + 1000, 1)
    assert len(drawn) == MOST_SESSIONS
    assert np.all(np.diff(drawn) > 0)
    assert np.array_equal(drawn, sample(MOST_SESSIONS + 1000, 1))


def test_fits_side_by_side_give_the_same_bits(tmp_path: Path) -> None:
    """What processes of their own leave in checkpoints is what this process fits, and they tell of it."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    told: list[str] = []

    def stage(name: str) -> Report:
        return lambda _: told.append(name)

    beside({name: small_fold(there, name, resume=False) for name in ("a", "b")}, 2, stage)
    assert set(told) == {"a", "b"}
    for name in ("a", "b"):
        left = {path.name for path in there.iterdir()}
        assert {f"{name}.pt", f"{name}.ending.pt"} <= left
        taken = small_fold(there, name, resume=True)(stage(name))
        fresh = small_fold(here, name, resume=False)(stage(name))
        assert (taken.step, taken.ending) == (fresh.step, fresh.ending)


def test_a_process_that_dies_leaves_the_work_to_whoever_needs_it(tmp_path: Path) -> None:
    """A job that cannot write its checkpoint ends, nothing waits for it, its error shows when run here."""
    job = small_fold(tmp_path / "missing", "a", resume=False)
    beside({"a": job}, 2, lambda _: lambda _: None)
    with pytest.raises(FileNotFoundError):
        job(lambda _: None)


def small_fold(folder: Path, name: str, *, resume: bool) -> partial[Fold]:
    """A fit of a few short sessions."""
    return partial(
        train_fold,
        sessions=[np.arange(FIRST_TEMPLATE, FIRST_TEMPLATE + 3 + n % 3) for n in range(60)],
        vocabulary=FIRST_TEMPLATE + 5,
        settings=FitSettings(hidden=8, embedding=4, epochs=2, device="cpu", seed=len(name)),
        unknown_cost=5.0,
        pair_cost=5.0,
        checkpoint=folder / f"{name}.pt",
        resume=resume,
    )
