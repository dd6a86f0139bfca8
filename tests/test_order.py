"""Known messages out of order in a long-lived source: loops and missing steps alert, habits do not."""

import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from detector.stages.judge.order import MEMORY, MOST_BITS, add_surprise
from detector.stages.judge.state import Rarity
from detector.stages.judge.stream import WARM_EVENTS
from tests.small_bundle import stream_calibration
from tests.test_train_commands import rows, tailrace
from training.calibrate.order import (
    LEAST_BITS,
    LEAST_SLACK,
    MARGIN,
    calibrate_order,
    usual_surprise,
    within_episodes,
)
from training.calibrate.streams import BLOCK_EVENTS, Stream

SEED = 4
STREAM = stream_calibration()
USUAL = STREAM.order_mean + STREAM.order_slack
STEPS = (
    "request {n} received",
    "cache miss for key {n}",
    "query {n} sent to replica",
    "query {n} answered",
    "response {n} written",
)


def shares(bits: list[float]) -> list[float]:
    """The sum after each of some events with such surprise, as a share of the limit."""
    rarity = Rarity()
    return [add_surprise(rarity, one, STREAM) for one in bits]


def test_usual_surprise_adds_nothing() -> None:
    """Up to the mean and the slack, whatever the number of events."""
    assert max(shares([USUAL] * 1000)) == 0.0


def test_one_odd_event_adds_a_bounded_part() -> None:
    """The model's far tail is not believed."""
    assert shares([500.0]) == [pytest.approx((MOST_BITS - USUAL) / STREAM.order_bits)]


def test_the_sum_begins_anew_at_its_limit() -> None:
    """What lasts calls for the alert again and again, and ends with it."""
    found = shares([MOST_BITS] * 100 + [0.0] * 20)
    calls = [at for at, share in enumerate(found) if share >= 1.0]
    assert len(calls) > 2
    assert all(found[at + 1] < 0.5 for at in calls)
    assert found[-1] == 0.0


def test_what_lasts_becomes_a_habit() -> None:
    """The source's own mean follows, so that a new order calls for an alert no more."""
    found = shares([USUAL + 4.0] * int(5 * MEMORY))
    assert max(found[:100]) >= 1.0
    assert max(found[-int(MEMORY) :]) == 0.0


def test_incidents_in_training_do_not_move_what_is_usual() -> None:
    """A tenth of the blocks full of surprise changes nothing; without events there is a slack too."""
    sys.stdout.write(f"seed {SEED}\n")
    blocks = list(np.random.default_rng(SEED).exponential(0.5, (50, BLOCK_EVENTS)))
    usual = usual_surprise(blocks)
    blocks[:5] = [np.full(BLOCK_EVENTS, 30.0)] * 5
    assert usual_surprise(blocks) == pytest.approx(usual, abs=0.05)
    assert usual_surprise([]) == (0.0, LEAST_SLACK)


def test_the_limit_is_beyond_the_largest_sum_that_is_normal() -> None:
    """It follows held-out disorder but for the share declared abnormal, and is always several events."""
    bits = np.zeros(50 * BLOCK_EVENTS)
    assert calibrate_order([bits], STREAM, 0.0).order_bits == LEAST_BITS
    bits[1100:1200] = MOST_BITS
    largest = 100 * (MOST_BITS - LEAST_SLACK)
    assert 0.9 * MARGIN * largest < calibrate_order([bits], STREAM, 0.0).order_bits <= MARGIN * largest
    assert calibrate_order([bits], STREAM, 0.02).order_bits == LEAST_BITS


def test_only_everyday_messages_that_training_knew_are_added_up() -> None:
    """Not the first events, nor what was silent for a while, nor what the other half never showed."""
    tokens = np.array([2, 3] * WARM_EVENTS + [5] + [2, 4] * WARM_EVENTS)
    found = within_episodes(Stream("s", tokens, np.full(len(tokens), -1)), [0.0, 0.0, 9.0, 9.0, 0.0, 9.0])
    assert set(tokens[found].tolist()) == {2, 3}
    assert not found[:WARM_EVENTS].any()
    assert found[WARM_EVENTS : 2 * WARM_EVENTS].all()


def written(path: Path, count: int, *, broken: int = 0, step: int | None = None) -> list[str]:
    """A log of requests; in the last `broken` lines one step is missing, or without one all are shuffled."""
    rng = random.Random(count)
    steps = [text.format(n=rng.randrange(10_000)) for _ in range(count) for text in STEPS][:count]
    tail = [STEPS.index(text) for text in STEPS for _ in range(broken // len(STEPS))]
    rng.shuffle(tail)
    if step is not None:
        tail = [one for _ in range(broken) for one in range(len(STEPS)) if one != step][:broken]
    steps[count - len(tail) :] = [STEPS[one].format(n=rng.randrange(10_000)) for one in tail]
    at = datetime(2026, 5, 1, tzinfo=UTC)
    stamps = [
        (at + timedelta(seconds=0.2 * number)).strftime("%Y-%m-%d %H:%M:%S,%f")[:-3]
        for number in range(count)
    ]
    path.write_text(
        "".join(f"{stamp} INFO {text}\n" for stamp, text in zip(stamps, steps, strict=True)), encoding="utf-8"
    )
    return stamps


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that knows the order of the steps."""
    folder = tmp_path_factory.mktemp("order")
    written(folder / "app.log", 12_000)
    quick = ("--epochs", "3", "--hidden", "16", "--device", "cpu")
    tailrace("training", "fit", folder / "app.log", "--out", folder / "bundle", *quick)
    return folder / "bundle"


@pytest.mark.parametrize("step", [None, 3, 4])
def test_a_broken_order_is_one_alert_while_it_lasts(bundle: Path, tmp_path: Path, step: int | None) -> None:
    """It opens soon after the first line that is out of place, and not before."""
    stamps = written(tmp_path / "app.log", 4_000, broken=1_000, step=step)
    done = tailrace("detector", "replay", tmp_path / "app.log", "--bundle", bundle, "--format", "json")
    found = rows(done.stdout)
    opened = [row for row in found[:-1] if row["revision"] == 1]
    assert [row["rule"] for row in opened] == ["sequence"]
    begin, end = (stamps[at].replace(" ", "T").replace(",", ".") for at in (3_000, 3_300))
    assert begin <= opened[0]["opened_at"] < end


def test_the_usual_order_is_none(bundle: Path, tmp_path: Path) -> None:
    """Other requests of the same kind raise nothing."""
    written(tmp_path / "app.log", 4_001)
    done = tailrace("detector", "replay", tmp_path / "app.log", "--bundle", bundle, "--format", "json")
    assert rows(done.stdout)[-1]["alerts"] == 0
