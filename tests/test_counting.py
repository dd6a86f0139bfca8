"""What is counted: from commits and deliveries alone, in few series, and each of them explained."""

import re
from collections import Counter
from collections.abc import Iterable
from math import isnan
from pathlib import Path

import msgspec
import pytest

from detector.distributed.letters import CRASHED
from detector.embedded.replay import Replay
from detector.embedded.watch import SHARD, Bounds, Watch
from detector.inputs.follow import Follower
from detector.metrics.committed import Committed
from detector.metrics.metrics import Metrics
from detector.metrics.rates import RECENT_EVENTS, Expected, Share
from detector.metrics.reasons import OTHER, REASONS, reason_of
from detector.notify.lane import Habits
from detector.pipeline import Advance, Batch
from detector.records import Record, Reject
from detector.shard.core import Core
from detector.stages.decode.decode import Decoder
from detector.stages.decode.memory import DecodeMemory
from detector.stages.decode.rows import lines_of_rows
from detector.stages.decode.settings import DecodeSettings
from detector.stages.header.header import Headers
from detector.store.sqlite import Store
from tests.delivery import Clock, StateFile, revision, webhook
from tests.receiver import Script, serving
from tests.scraping import samples
from tests.small_bundle import small_bundle
from tests.watching import START_S, core_of, lines_of, records_of

DOCS = Path(__file__).parent.parent / "docs" / "metrics.md"
FORBIDDEN = re.compile("source|template|alert|id|host|session|origin|path")
AGE_S = 30.0  # of the newest line, where the clock stands


@pytest.fixture(params=[False, True], ids=["streams", "sessions"])
def core(request: pytest.FixtureRequest, tmp_path: Path) -> Core:
    """A core for long-lived sources, and one for sessions, with a log of 2,000 lines."""
    log = tmp_path / "app.log"
    log.write_bytes(b"".join(lines_of(11, 2_000)))
    small_bundle(tmp_path / "bundle", session=request.param)
    return core_of(tmp_path / "bundle", log)


def value(metrics: Metrics, name: str, **labels: str) -> float:
    """One sample as it is served."""
    return samples(metrics.page())[f"tailrace_{name}", tuple(sorted(labels.items()))]


def total(metrics: Metrics, name: str) -> float:
    """The sum over all labels."""
    return sum(value for (found, _), value in samples(metrics.page()).items() if found == f"tailrace_{name}")


def watched(core: Core, log: Path, metrics: Metrics) -> Iterable[tuple[Watch, Store]]:
    """Watch a log in small steps, and after each look at what is counted."""
    metrics.uses(core.bundle.id, core.policy.budget, session=core.policy.session)
    store = Store(log.parent / "state.db")
    follower = Follower([str(log)], None, start="start")
    watch = Watch(core, store, follower, None, Bounds(max_lines=90), metrics.committed)
    while not watch.step(final=True).at_end:
        yield watch, store
    watch.work.pass_time(watch.work.clock_us)
    yield watch, store
    store.close()


def test_after_every_commit_the_numbers_are_those_of_the_store(core: Core, tmp_path: Path) -> None:
    """Records, alerts by rule and severity, and sources: at each step what has been written by then."""
    metrics, log = Metrics(lambda: START_S), tmp_path / "app.log"
    for watch, store in watched(core, log, metrics):
        assert value(metrics, "records_total", result="decoded") == watch.counts.lines
        assert value(metrics, "commits_total") == watch.counts.commits
        assert value(metrics, "sources") == len(store.all_states(SHARD))
        assert total(metrics, "alerts_total") == watch.counts.alerts
    assert watch.counts.alerts > 10
    assert value(metrics, "score_duration_seconds_count") == watch.counts.commits
    assert value(metrics, "commit_duration_seconds_sum") > 0
    assert value(metrics, "bundle_info", version=core.bundle.id) == 1


def test_alerts_and_expectation_are_those_of_a_replay(core: Core, tmp_path: Path) -> None:
    """The same log counts alike: alerts by rule and severity, events, and false alerts to be expected."""
    metrics, log = Metrics(lambda: START_S), tmp_path / "app.log"
    for _ in watched(core, log, metrics):
        pass
    run = Replay(core, keep_open=True)
    records = records_of(log, log.read_bytes())
    revisions = [r for step in run.steps({str(log): [records]}) for r in step.done.revisions]
    opened = [msgspec.json.decode(r.payload) for r in revisions if r.revision == 1]
    for (rule, severity), count in Counter((one["rule"], one["severity"]) for one in opened).items():
        assert value(metrics, "alerts_total", rule=rule, severity=severity) == count
    summary = run.summary()
    assert total(metrics, "alerts_total") == summary.alerts
    assert value(metrics, "events_total") == summary.events
    assert value(metrics, "expected_alerts_total") == pytest.approx(summary.expected_alerts, abs=1e-3)
    ratio = summary.alerts / max(1.0, summary.expected_alerts or 0.0)
    assert value(metrics, "alert_budget_ratio") == pytest.approx(ratio, rel=1e-3)
    assert value(metrics, "alert_budget") == core.policy.budget


def committed(shard: str, clock_us: int, first_us: int | None = None, **more: object) -> Committed:
    """A commit that moved a shard's clock and did nothing else."""
    nothing = Advance({}, {}, [], [], [], 0, 0)
    batch = Batch([], [], [], clock_us)
    if first_us is not None:
        [line] = (
            Decoder(DecodeSettings(), Headers())
            .decode([Record("a", b"x", 0, 1, first_us)], DecodeMemory())
            .lines
        )
        batch = Batch([line], [2], [0], clock_us)
    fields = {"records": 0, "batch": batch, "done": nothing, "rejects": [], "sources": 0, "score_s": 0.0}
    return Committed(shard=shard, clock_us=clock_us, **(fields | {"commit_s": 0.0} | more))  # type: ignore[arg-type]


def test_shards_share_the_budget_of_their_stream() -> None:
    """Two partitions that cover one day each are one day of the stream, however far apart they are read."""
    day_us = 86_400_000_000
    expected = Expected(3.0, session=False)
    told = [("a", 100 * day_us, 100 * day_us), ("b", 7 * day_us, 7 * day_us)]
    assert [expected.of(committed(*one)) for one in told] == [0.0, 0.0]
    assert expected.of(committed("a", 101 * day_us)) == 1.5
    assert expected.of(committed("b", 8 * day_us)) == 1.5
    assert expected.of(committed("b", 6 * day_us)) == 0.0  # set back: no day is counted twice
    assert expected.of(committed("b", 8 * day_us)) == 0.0
    expected.forget("a")
    assert expected.of(committed("b", 9 * day_us)) == 3.0


def test_nothing_is_expected_of_lines_without_times() -> None:
    """A stream without a clock covers no days."""
    assert Expected(3.0, session=False).of(committed("a", 0)) == 0.0


def test_a_shard_that_is_somebody_else_s_counts_no_more() -> None:
    """Its sources are counted by who has it now."""
    metrics = Metrics(lambda: START_S)
    metrics.uses("b", 1.0, session=False)
    metrics.committed(committed("a", 1, sources=3))
    metrics.committed(committed("b", 1, sources=4))
    metrics.committed(committed("a", 2, sources=2))
    assert value(metrics, "sources") == 6
    metrics.dropped("a")
    assert value(metrics, "sources") == 4


def test_the_age_of_a_batch_is_that_of_its_first_line() -> None:
    """One dated in the future is not younger than now."""
    metrics = Metrics(lambda: START_S)
    for age_s in (0.3, 4.0, -5.0):
        at_us = round((START_S - age_s) * 1e6)
        metrics.committed(committed("a", at_us, first_us=at_us))
    metrics.committed(committed("a", 1))  # without a line there is nothing to tell
    assert value(metrics, "event_lag_seconds_count") == 3
    assert value(metrics, "event_lag_seconds_sum") == pytest.approx(4.3)
    assert value(metrics, "event_lag_seconds_bucket", le="0.5") == 2


def test_the_share_of_unknown_lines_is_a_recent_one() -> None:
    """A million lines of the past do not hide that the log has changed."""
    share = Share()
    assert isnan(share.add(0, 0))
    for _ in range(1_000):
        assert share.add(0, 1_000) == 0.0
    for _ in range(RECENT_EVENTS // 1_000):
        now = share.add(1_000, 1_000)
    assert 0.6 < now < 1.0
    assert Share().add(1, 4) == 0.25


REJECTED: list[tuple[str, bytes, DecodeSettings]] = [
    ("half-json", b'{"message": "b', DecodeSettings(envelope="json")),
    ("invalid-json", b"{oh", DecodeSettings(envelope="json")),
    ("invalid-json", b'{"a":' * 100_000, DecodeSettings(envelope="json")),
    ("invalid-json", b'{"a": 1' + b"0" * 5_000 + b"}", DecodeSettings(envelope="json")),
    ("not-an-object", b"[1, 2]", DecodeSettings(envelope="json")),
    ("no-message", b"{}", DecodeSettings(envelope="json")),
    ("no-event-field", b'{"a": 1}', DecodeSettings(envelope="json", event_field="id")),
    ("invalid-otlp", b'{"resourceLogs": [{"scopeLogs": 1}]}', DecodeSettings()),
    ("invalid-otlp", b"plain", DecodeSettings(envelope="otlp_proto")),
    ("invalid-otlp", b"\x0a\x05", DecodeSettings(envelope="otlp_proto")),
    ("no-message", b'{"resourceLogs": [{"scopeLogs": [{"logRecords": [{}]}]}]}', DecodeSettings()),
    ("invalid-syslog", b"plain", DecodeSettings(envelope="syslog")),
    ("too-long", b"x" * 101, DecodeSettings(max_line_bytes=100)),
]


@pytest.mark.parametrize(("word", "raw", "settings"), REJECTED)
def test_every_reason_of_decoding_has_its_word(word: str, raw: bytes, settings: DecodeSettings) -> None:
    """Sizes and places are in the reject itself; `other` is for what nobody has thought of."""
    [reject] = Decoder(settings, Headers()).decode([Record("a", raw, 0, 1)], DecodeMemory()).rejects
    assert reason_of(reject.reason) == word


def test_a_row_without_an_id_has_its_word_and_each_word_is_met() -> None:
    """The list of words is the one that the tests above go through."""
    _, [reject] = lines_of_rows([Record("a", b"no comma", 0, 1)])
    assert reason_of(reject.reason) == "invalid-row"
    assert {word for word, _, _ in REJECTED} | {"invalid-row", "crash", OTHER} == set(REASONS)
    assert reason_of(CRASHED) == "crash"
    assert reason_of("something new") == OTHER


def test_a_record_whose_logs_are_put_aside_is_rejected_once() -> None:
    """Three of its logs are three dead letters."""
    metrics = Metrics(lambda: START_S)
    rejects = [Reject("a", 5, f"log {sub} of the batch: OTLP: x", b"") for sub in range(3)]
    metrics.committed(committed("a", 1, records=4, rejects=rejects))
    assert value(metrics, "records_total", result="rejected") == 1
    assert value(metrics, "records_total", result="decoded") == 3
    assert value(metrics, "dead_letters_total", reason="invalid-otlp") == 3


def test_deliveries_are_counted_by_what_became_of_them(tmp_path: Path) -> None:
    """Every attempt once; one that is given up counts beside its last attempt."""
    script, clock = Script([500, 429, 204, 410]), Clock()
    with serving(script):
        file, metrics = StateFile(tmp_path / "state.db", [webhook(script, delays_s=(0.0,))]), Metrics(clock)
        metrics.delivers_to(["ops"])
        for number in range(4):
            file.append(revision(f"alert-{number}", 1))
            file.deliverer(clock, habits=Habits(told=metrics.delivered)).drain()
            clock.now_s += 60.0  # longer than the pause that 429 asks for
    counted = {
        outcome: value(metrics, "deliveries_total", receiver="ops", outcome=outcome)
        for outcome in ("delivered", "failed", "slow-down", "gone", "given-up", "too-old")
    }
    assert counted == {"delivered": 1, "failed": 1, "slow-down": 1, "gone": 1, "given-up": 2, "too-old": 0}
    assert len(script.requests) == 4


def test_no_label_is_a_source_a_template_or_an_alert(core: Core, tmp_path: Path) -> None:
    """Series are few: after a log with sources and alerts there are as many as before."""
    metrics = Metrics(lambda: START_S)
    metrics.uses(core.bundle.id, 1.0, session=core.policy.session)
    before = set(samples(metrics.page()))
    for _ in watched(core, tmp_path / "app.log", metrics):
        pass
    assert set(samples(metrics.page())) == before
    names = {label for _, labels in before for label, _ in labels}
    assert names == {"result", "reason", "rule", "severity", "le", "version"}
    assert [name for name in names if FORBIDDEN.search(name)] == []


def test_names_are_as_prometheus_asks() -> None:
    """Counters end in _total, times in base units, and nothing else does."""
    for family in Metrics(lambda: START_S).registry.collect():
        if family.name.startswith("process_"):
            continue
        shown = f"{family.name}_total" if family.type == "counter" else family.name
        assert re.fullmatch(r"tailrace_[a-z_]+", shown)
        assert not re.search(r"_(ms|us|minutes|hours|kb|percent)\b", shown)
        assert shown.endswith("_seconds") == (family.type == "histogram")


def test_every_metric_is_documented() -> None:
    """Each with its labels and their values, in the order in which they are served; none that is gone."""
    text = DOCS.read_text(encoding="utf-8")
    documented = re.findall(r"^\| `(tailrace_\w+)` \| (\w+)", text, re.MULTILINE)
    metrics = Metrics(lambda: START_S)
    metrics.uses("b", 1.0, session=False)
    metrics.delivers_to(["ops"])
    metrics.kept("ops", waiting=3, dead=2)
    families = [one for one in metrics.registry.collect() if one.name.startswith("tailrace_")]
    shown = [(f"{one.name}_total" if one.type == "counter" else one.name, one.type) for one in families]
    assert sorted(documented) == sorted(shown)
    for family in families:
        [row] = re.findall(rf"^\| `{family.name}(?:_total)?` .*$", text, re.MULTILINE)
        labels = {pair for sample in family.samples for pair in sample.labels.items() if pair[0] != "le"}
        values = {value for name, value in labels if name not in {"version", "receiver"}}
        assert {name for name, _ in labels} | values <= set(re.findall(r"`([^`]+)`", row))
