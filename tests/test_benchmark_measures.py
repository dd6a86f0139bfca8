"""What the benchmark's measures are, on data small enough to count by hand."""

import numpy as np
import pytest

from detector.bundle import InputSettings
from detector.stages.header.header import Headers
from detector.stages.parse.codes import Place
from detector.stages.parse.vocabulary import Codes, of_texts
from training.benchmark.cost import NOTHING
from training.benchmark.data import disturb
from training.benchmark.data.description import ByLines, ByTime, Drawn, Folds
from training.benchmark.data.labelled import Material
from training.benchmark.data.split import chosen, halves
from training.benchmark.detectors.simple_sessions import SIMPLE, UNION, simple
from training.benchmark.detectors.simple_stream import openings
from training.benchmark.measures.incidents import Said, incidents, parts
from training.benchmark.measures.sessions import Alerted, Scored, Truth, best, measured
from training.benchmark.measures.windows import flagged_windows, of_windows
from training.corpus import Learnt
from training.evaluate.baselines import Tokens
from training.evaluate.edit import edit_distance

SCORES = np.array([0.0, 1.0, 5.0, 4.0, 6.0])  # three normals, two anomalies


def scored(threshold: float, alerted: list[float] | None = None) -> Scored:
    """A detector that gave `SCORES`, and alerts after so many lines."""
    after = None if alerted is None else np.array(alerted)
    return Scored(
        "one",
        SCORES,
        lambda _: threshold,
        NOTHING,
        NOTHING,
        None if after is None else lambda _: Alerted(np.isfinite(after), after),
    )


def truth(prevalence: float | None = None) -> Truth:
    """Two of five sessions are anomalous; they have 10 lines each, over half a day."""
    return Truth(np.array([False, False, False, True, True]), np.full(5, 10), 0.5, prevalence)


def test_rates_at_a_budget() -> None:
    """At 4 both anomalies are found and one of three normals is, which is two false alerts a day."""
    [point] = measured(scored(4.0), truth(), [5.0]).points
    assert (point.recall, point.precision, point.f1) == pytest.approx((1.0, 2 / 3, 0.8))
    assert point.matthews == pytest.approx(2 / 3)
    assert point.false_positives == 1
    assert point.per_10000.rate == pytest.approx(10_000 / 3)
    assert point.per_10000.low < 10_000 / 3 < point.per_10000.high
    assert point.per_million_lines.rate == pytest.approx(1_000_000 / 30)
    assert point.per_day is not None
    assert point.per_day.rate == pytest.approx(2.0)
    assert point.lines_to_detection == (10.0, 10.0)


def test_measures_are_those_of_the_population() -> None:
    """The same rates where one session in a hundred is anomalous."""
    found = measured(scored(4.0), truth(0.01), [5.0])
    assert found.points[0].precision == pytest.approx(0.01 / (0.01 + 0.99 / 3))
    assert found.best_f1 == pytest.approx(2 / 3)
    assert found.best_threshold == 6.0
    assert found.prevalence == 0.01


def test_alerts_before_the_end_count_and_say_how_early_they_came() -> None:
    """One normal session alerted on a single event, and one anomaly after four lines."""
    [point] = measured(scored(6.0, [np.inf, 2.0, np.inf, 4.0, 10.0]), truth(), [5.0]).points
    assert (point.false_positives, point.false_alerted) == (0, 1)
    assert [point.f1, point.f1_alerts] == pytest.approx([2 / 3, 0.8])
    assert point.lines_to_detection == pytest.approx((7.0, 9.4))


def test_the_best_threshold_is_one_of_the_scores() -> None:
    """Equal scores stand or fall together."""
    assert best(np.array([1.0, 2.0]), np.array([2.0, 2.0]), None) == pytest.approx((0.8, 2.0))


def test_incidents_are_runs_merged_over_short_gaps() -> None:
    """A gap of fifty belongs to the incident, one of more does not."""
    marks = np.zeros(400, bool)
    marks[[10, 11, 61, 200]] = True
    assert incidents(marks) == [(10, 61), (200, 200)]


def test_an_incident_is_found_only_by_a_new_flag_near_its_start() -> None:
    """Of four the first is flagged in time, the second too late, the third before it began, the last not."""
    marks = np.zeros(20_000, bool)
    marks[[1_000, 5_000, 9_000, 15_000]] = True
    marks[5_000:5_040] = True
    flags = np.array([1_020, 5_021, 8_999])
    [whole, first, second] = parts(marks, Said(flags, np.array([1_020, 5_021, 8_999, 12_500])))
    assert (whole.incidents, whole.found) == (4, 0.25)
    assert (first.found, second.found) == pytest.approx((1 / 3, 0.0))
    assert whole.alerts == 4
    assert whole.outside.rate == pytest.approx(3e6 / (20_000 - 43))  # 5,021 is inside
    clear = 20_000 - 11_001 - 4_001  # up to 11,000 and from 13,000 to 17,000 an incident is within 2,000
    assert whole.clear_false.rate == pytest.approx(1e6 / clear)
    assert whole.busy == pytest.approx((21 - 1 + 1 + 21 - 1) / (20_000 - 43), abs=1e-3)
    assert whole.lines_to_detection == (20.0, 20.0)


def test_an_alert_of_flags_is_over_after_many_quiet_lines() -> None:
    """The same number of lines as for the product's own alerts."""
    assert openings(np.array([5, 1_000, 3_000, 5_001])).tolist() == [5, 5_001]


def test_windows_of_a_stream() -> None:
    """A window is anomalous if any line is, and as strange as its strangest line."""
    marks = np.array([False, True, False, False, False, False, True])
    scores = np.array([0.0, 3.0, 1.0, 0.0, 2.0, 0.0, 5.0])
    assert of_windows(marks, scores, 2) == (1.0, 1.0)
    assert flagged_windows(marks, np.array([0, 2]), 2).precision == 0.5


def test_the_edit_distance_counts_changes() -> None:
    """Against 1 2 3 4: nothing, one replaced, one lost, all other."""
    normal: list[Tokens] = [np.array([1, 2, 3, 4]), np.array([1, 2, 3, 4, 4, 4, 4, 4])]
    rows: list[Tokens] = [
        np.array(row, np.int64) for row in ([1, 2, 3, 4], [1, 2, 9, 4], [1, 2, 4], [8, 8, 8, 8], [])
    ]
    assert edit_distance(normal)(rows).tolist() == pytest.approx([0.0, 0.25, 0.25, 1.0, 1.0])


def test_every_simple_detector_gives_a_score_to_each_session() -> None:
    """And the strangest of them flags what any of them flags plainly."""
    rng = np.random.default_rng(0)
    train: list[Tokens] = [np.array([1, *([2, 3] * int(rng.integers(1, 4))), 4]) for _ in range(60)]
    test: list[Tokens] = [train[0], np.array([1, 9, 9, 4])]
    found = {one.detector: one for one in simple(train, test, 0)}
    assert len(found) == len(SIMPLE) + 1
    assert all(one.scores[1] > one.scores[0] for name, one in found.items() if name != "length")
    assert found[UNION].scores[1] >= found[UNION].threshold(100.0) > found[UNION].scores[0]


def small() -> Material:
    """Four normal sessions and one anomalous one, a line each in turn, twice."""
    owner = np.array([0, 1, 2, 3, 4] * 2)
    lines = [f"{number}".encode() for number in range(10)]
    return Material(
        lines,
        owner,
        list("abcde"),
        np.array([False] * 4 + [True]),
        np.zeros(5, bool),
        np.array([0.0, 1, 2, 3, 4, 5, 6, 7, 8, 100]),
    )


def test_splits_choose_normal_sessions() -> None:
    """Folds are disjoint and cover all; by lines and by time the first to end train."""
    held = [~chosen(small(), Folds(2), seed) & ~small().anomalous for seed in range(2)]
    assert (held[0] ^ held[1]).tolist() == [True] * 4 + [False]
    assert chosen(small(), ByLines(0.67), 0).tolist() == [True, True, False, False, False]
    by_time = ByTime(stamp="(.)", format="%S", share=0.06)
    assert chosen(small(), by_time, 0).tolist() == [True, True, False, False, False]
    parted = halves(small(), Drawn(0.5), 1)
    assert (len(parted.train.names), len(parted.test.names)) == (2, 3)
    assert not parted.train.anomalous.any()


def test_disturbances_keep_sessions_and_labels() -> None:
    """Lines are doubled, lost or change places within their session, about a hundredth of them."""
    many = 20_000
    owner = np.arange(many) % 50
    lines = [b"%d" % number for number in range(many)]
    marks = np.zeros(50, bool)
    whole = Material(lines, owner, [str(n) for n in range(50)], marks, marks)
    rng = np.random.default_rng(0)
    assert many + 120 < len(disturb.doubled(whole, rng).lines) < many + 280
    assert many - 280 < len(disturb.lost(whole, rng).lines) < many - 120
    other = disturb.swapped(whole, rng)
    moved = sum(a != b for a, b in zip(lines, other.lines, strict=True))
    assert 240 < moved < 560
    assert all(int(line) % 50 == at for line, at in zip(other.lines, other.owner.tolist(), strict=True))


def test_a_contaminated_split_hides_anomalies_in_what_trains() -> None:
    """They are not judged as well."""
    marks = np.zeros(300, bool)
    marks[-20:] = True
    whole = Material([b"x"] * 300, np.arange(300), [str(n) for n in range(300)], marks, np.zeros(300, bool))
    split = Drawn(0.9)
    before = halves(whole, split, 0)
    trains = chosen(whole, split, 0)
    after = disturb.contaminated(before, whole, trains, np.random.default_rng(0))
    hidden = len(after.train.names) - len(before.train.names)
    assert hidden == round(len(before.train.names) / 99)
    assert not set(after.train.names) & set(after.test.names)
    assert len(after.train.names) + len(after.test.names) == 300


def test_another_wording_changes_templates_that_have_codes_too() -> None:
    """What the codes tell apart is of one wording."""
    learnt = Learnt(
        InputSettings(),
        Headers(()),
        of_texts(["answered <*> in <*>"], codes=(Codes(0, (Place("answered", 0),), (("200",),)),)),
    )
    lines = [b"answered 200 in 5", b"answered 404 in 5"]
    material = Material(lines, np.zeros(2, np.int64), ["a"], np.zeros(1, bool), np.zeros(1, bool))
    changed = disturb.reworded(material, learnt, np.random.default_rng(0)).lines
    assert changed == [b"answered-new 200 in 5", b"answered-new 404 in 5"]


def test_another_wording_is_another_event() -> None:
    """A tenth of the ids that training knows; the others stay."""
    known = [b"%d" % n for n in range(20)]
    material = Material(
        known, np.arange(20), [str(n) for n in range(20)], np.zeros(20, bool), np.zeros(20, bool)
    )
    changed = disturb.reworded_ids(material, known, np.random.default_rng(0)).lines
    assert sum(a != b for a, b in zip(known, changed, strict=True)) == 2
