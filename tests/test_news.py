"""A message that its source never showed is news where that is rare, and none where new ones are routine."""

import random
import sys

import msgspec
import numpy as np
import pytest

from detector.bundle import Bundle, NewMessages
from detector.records import FIRST_TEMPLATE, UNKNOWN, Line
from detector.stages.judge.news import BURST_EVENTS, fewest, is_news, is_routine
from detector.stages.judge.policy import Event, Policy
from detector.stages.judge.rarity import EPISODE_GAP
from detector.stages.judge.state import MAX_PATTERNS, Rarity, SourceState, new_state
from detector.stages.judge.stream import flag_in_stream
from tests.small_bundle import policy, small_bundle
from training.calibrate.news import new_messages, new_templates
from training.calibrate.streams import Stream

DAY = 100_000  # events
SEED = 5


def trained(bursts: int, days: float) -> NewMessages:
    """What a newer half of so many days brought."""
    return NewMessages(bursts=bursts, events=round(days * DAY), day_events=DAY)


def news_of(numbers: list[int], trained_on: NewMessages, rarity: Rarity | None = None) -> list[bool]:
    """Whether new messages at these events of a source are news."""
    rarity = Rarity() if rarity is None else rarity
    return [is_news(rarity, number, trained_on, 1.0) for number in numbers]


@pytest.mark.parametrize("days", [0.001, 0.5, 30.0])
def test_what_nothing_has_shown_to_be_routine_is_news(days: float) -> None:
    """Also after a minute of training, and so is each message of the same burst."""
    assert all(news_of(list(range(10, BURST_EVENTS, 97)), trained(0, days)))


def test_rare_bursts_stay_news() -> None:
    """One in a week, for years, at a budget of one alert a day."""
    assert all(news_of([7 * DAY * week for week in range(1, 200)], trained(0, 3.0)))


@pytest.mark.parametrize("every", [BURST_EVENTS // 10, BURST_EVENTS, DAY // 10])
def test_a_steady_rate_of_new_messages_becomes_routine(every: int) -> None:
    """After a few bursts the source has shown it; from then on not one of them is news."""
    found = news_of(list(range(every, 40 * DAY, every)), trained(0, 3.0))
    first = found.index(False)
    assert every * first < 3 * DAY
    assert not any(found[first:])


def test_what_was_routine_is_news_again_after_a_long_time_without() -> None:
    """What was seen fades."""
    rarity, busy = Rarity(), list(range(DAY // 10, 5 * DAY, DAY // 10))
    assert not news_of(busy, trained(0, 3.0), rarity)[-1]
    assert not news_of([busy[-1] + DAY], trained(0, 3.0), rarity)[0]
    assert news_of([busy[-1] + 200 * DAY], trained(0, 3.0), rarity)[0]


def test_training_alone_can_show_that_they_are_routine() -> None:
    """Many bursts in a few days, or one in a minute; one in half a day is none too many."""
    assert is_routine(trained(20, 3.0), 1.0)
    assert is_routine(trained(1, 0.001), 1.0)
    assert not is_routine(trained(1, 0.5), 1.0)
    assert not is_routine(trained(20, 3.0), 100.0)
    assert not any(news_of([10, 5_000, 9_000], trained(20, 3.0)))


def test_the_fewest_that_explain_a_count_are_those_of_the_exact_limit() -> None:
    """Garwood's lower limits at 95 %, one-sided; none for none."""
    exact = {0: 0.0, 1: 0.0513, 2: 0.3554, 3: 0.8177, 5: 1.9701, 10: 5.4254, 40: 30.20}
    assert all(fewest(count) == pytest.approx(limit, abs=0.03) for count, limit in exact.items())


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """One for long-lived sources."""
    return small_bundle(tmp_path_factory.mktemp("bundle"), session=False)


def with_news(rules: Policy, news: NewMessages) -> Policy:
    """Rules of a bundle whose training brought so many."""
    stream = msgspec.structs.replace(rules.calibration.stream, news=news)  # type: ignore[type-var]
    return msgspec.structs.replace(
        rules, calibration=msgspec.structs.replace(rules.calibration, stream=stream)
    )


def take(state: SourceState, pattern: str, rules: Policy, token: int = FIRST_TEMPLATE) -> Event:
    """Judge an event that matches no template, or where the pattern is empty one that matches."""
    state.number += 1
    line = Line("a.log", state.number, -1, "s", None, "INFO", b"", b"", continuation=False)
    event = Event(line, UNKNOWN if pattern else token, 0, surprise=1.0, pattern=pattern)
    flag_in_stream(state, event, rules)
    return event


def test_a_source_knows_its_messages_again_however_many_they_are(bundle: Bundle) -> None:
    """Far more than alerts are remembered, round and round: each is news once."""
    state, rules = new_state(4, session=False), policy(bundle)
    patterns = [f"message {number}" for number in range(4 * MAX_PATTERNS)]
    first = [take(state, pattern, rules).news for pattern in patterns]
    again = [take(state, pattern, rules).news for _ in range(3) for pattern in patterns]
    assert all(first)
    assert not any(again)


def test_a_new_message_is_less_of_a_surprise_the_more_there_were(bundle: Bundle) -> None:
    """Where new messages are routine, one more adds less and less to the leaky sum: it flags nothing."""
    sys.stdout.write(f"seed {SEED}\n")
    draw, rules = random.Random(SEED), with_news(policy(bundle), trained(20, 3.0))
    state = new_state(4, session=False)
    scores = []
    for number in range(400):
        for _ in range(draw.randrange(60, 90)):
            take(state, "", rules)
        event = take(state, f"message {number}", rules)
        assert not event.news
        scores.append(event.score)
    assert max(scores[200:]) < max(scores[:3])


def stream(tokens: list[int]) -> Stream:
    """A source without times: ten thousand events are a day."""
    return Stream("s", np.array(tokens, np.int64), np.full(len(tokens), -1))


def test_everyday_messages_are_not_rare_because_a_source_begins(bundle: Bundle) -> None:
    """Each comes for the first time then; after a silence that was heard it is rare."""
    rules, state = policy(bundle), new_state(4, session=False)
    first = [take(state, "", rules, FIRST_TEMPLATE + number % 9).score for number in range(EPISODE_GAP)]
    assert max(first) == 0.0
    assert take(state, "", rules, FIRST_TEMPLATE + 9).score > 0.0


def test_training_counts_bursts_that_its_newer_half_brought() -> None:
    """Two messages together and one much later are two bursts; what two sources show is counted once."""
    old, quiet = [2, 3] * 6_000, [2, 3] * 2_500
    newer = [2, 4, 3, 5, *quiet, 6, *quiet, UNKNOWN]
    found = new_messages([stream(old)], [stream(newer), stream([4, 5, 6, 2])], 1.0)
    assert found == NewMessages(bursts=2, events=len(newer) + 4, day_events=10_000.0)
    assert new_templates([stream(old)], [stream(newer)]) == 3
