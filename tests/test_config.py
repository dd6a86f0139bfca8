"""The configuration: what wins over what, what is refused and how it is said."""

import tomllib
from pathlib import Path

import pytest

from detector.cli.check_config import check_config
from detector.cli.worker import worker
from detector.config import Settings, load
from detector.config.environment import put
from detector.config.reference import MASK, effective, page, rows
from detector.errors import BadSetup

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105  # the specification's own example
DOCS = Path(__file__).parent.parent / "docs" / "configuration.md"


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    """A place for one configuration file."""
    return tmp_path / "some.toml"


def _faults(file: Path, environment: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(BadSetup) as raised:
        load(file, environment or {})
    return str(raised.value).splitlines()


def test_without_a_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newcomer needs no configuration file at all."""
    monkeypatch.chdir(tmp_path)
    assert load(None, {"PATH": "/bin"}) == Settings()


def test_the_file_of_the_working_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`tailrace.toml` is taken where nobody names a file."""
    (tmp_path / "tailrace.toml").write_text("[batch]\nmax_lines = 7\n")
    monkeypatch.chdir(tmp_path)
    assert load(None, {}).batch.max_lines == 7


def test_the_environment_goes_before_the_file(toml: Path) -> None:
    """A container changes one option without a file of its own."""
    toml.write_text("[batch]\nmax_lines = 7\nmax_bytes = 8\n")
    settings = load(toml, {"TAILRACE_BATCH__MAX_LINES": "9", "TAILRACE_INPUT__PATHS": '["a", "b"]'})
    assert (settings.batch.max_lines, settings.batch.max_bytes) == (9, 8)
    assert settings.input.paths == ("a", "b")


def test_variables_of_kubernetes_are_left_alone(toml: Path) -> None:
    """A service of this name makes Kubernetes set variables with our prefix."""
    toml.write_text("")
    names = ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_80_TCP", "PORT_80_TCP_ADDR"]
    names += ["STATE_DB_SERVICE_HOST", "STATE_DB_PORT_5432_TCP_PROTO"]
    assert load(toml, {f"TAILRACE_{name}": "10.0.0.1" for name in names}) == Settings()


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("TAILRACE_ALERTS_BUDGET", "did you mean TAILRACE_ALERTS__BUDGET?"),
        ("TAILRACE_BUNDLE_PATH", "did you mean TAILRACE_BUNDLE__PATH?"),
        ("TAILRACE_WEBHOOK_SECRET", "did you mean TAILRACE_RECEIVERS__WEBHOOK__0__SECRET?"),
        ("TAILRACE_QQ", "a name is TAILRACE_SECTION__KEY; unset it"),
    ],
)
def test_a_variable_that_sets_nothing_is_refused(toml: Path, name: str, advice: str) -> None:
    """An underscore too few must not leave a budget as it was, in silence."""
    toml.write_text("")
    assert _faults(toml, {name: "3"}) == [f"variable {name}: sets nothing: {advice}"]


def test_every_fault_is_reported_at_once(toml: Path) -> None:
    """One look is enough to repair a file; each line names file or variable, key and what to do."""
    toml.write_text(
        '[input]\npaths = "a.log"\nsession = "maybe"\n[batch]\nmax_line = 3\n[alerts]\nbudget = -1\n'
    )
    assert _faults(toml, {"TAILRACE_BATCH__MAX_BYTES": "many"}) == [
        f'{toml}: input.paths: not a list: write ["one", "two"]',
        f"{toml}: input.session: neither true nor false: write one of them",
        "variable TAILRACE_BATCH__MAX_BYTES: batch.max_bytes: not a whole number: write digits only",
        f"{toml}: batch.max_line: unknown key: did you mean max_lines?",
        f"{toml}: alerts.budget: has to be greater than 0",
    ]


def test_an_unknown_variable_is_refused(toml: Path) -> None:
    """A misspelt override must not be ignored in silence."""
    toml.write_text("")
    assert _faults(toml, {"TAILRACE_LOGS__LEVEL": "debug"}) == [
        "variable TAILRACE_LOGS__LEVEL: logs: unknown key: did you mean log?"
    ]


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ('source_regex = "("', "not a regular expression"),
        ('timezone = "Mars/Base"', "not a time zone: write a name such as UTC or Europe/Vienna"),
        ('envelope = "xml"', "not among the choices: write 'auto', 'text', 'json', 'syslog' or 'otlp_proto'"),
        ("poll_s = inf", "not a finite number"),
        ("max_line_bytes = 1.5", "not a whole number"),
    ],
)
def test_a_fault_says_what_to_do(toml: Path, line: str, advice: str) -> None:
    """The words are about the file, not about Python."""
    toml.write_text(f"[input]\n{line}\n")
    (fault,) = _faults(toml)
    assert f"{toml}: input.{line.split(maxsplit=1)[0]}: {advice}" in fault


def test_a_file_that_is_missing_or_no_toml_is_named(toml: Path) -> None:
    """A named file has to be there; a slip in it is shown with its line."""
    assert "cannot be read (No such file or directory)" in _faults(toml)[0]
    toml.write_text("[input]\npaths = [\n")
    assert "not TOML" in _faults(toml)[0]


def test_a_secret_comes_from_file_or_environment(toml: Path, tmp_path: Path) -> None:
    """Secrets need not lie in the configuration itself."""
    (tmp_path / "key").write_text(f"{SECRET}\n")
    receiver = '[[receivers.webhook]]\nname = "ops"\nurl = "https://example.org/hook"\n'
    toml.write_text(f'{receiver}secret_file = "{tmp_path / "key"}"\nsecrets = ["{SECRET}"]\n')
    assert load(toml, {}).receivers.webhook[0].signing_secrets == (SECRET, SECRET)
    toml.write_text(receiver)
    variables = {"TAILRACE_RECEIVERS__WEBHOOK__0__SECRET": SECRET}
    assert load(toml, variables).receivers.webhook[0].signing_secrets == (SECRET,)


def test_faults_of_a_secret_never_show_it(toml: Path, tmp_path: Path) -> None:
    """What is printed about a bad secret may end up in a ticket."""
    toml.write_text(
        '[[receivers.webhook]]\nname = "a"\nurl = "ftp://x"\nsecret = "hunter2"\n'
        f'[[receivers.webhook]]\nname = "b"\nurl = "https://x"\nsecret_file = "{tmp_path / "none"}"\n'
    )
    faults = _faults(toml)
    assert ["secret_file: cannot be read" in faults[0], "1.secret_file" in faults[0]] == [True, True]
    advice = "not a signing secret: write whsec_ and then 24 to 64 bytes in base64"
    assert faults[1:] == [
        f"{toml}: receivers.webhook.0.url: not a web address: write https://HOST/PATH",
        f"{toml}: receivers.webhook.0.secret: {advice}",
    ]


def test_what_is_wrong_in_one_way_hides_nothing_else(toml: Path, tmp_path: Path) -> None:
    """Faults of single keys, contradictions between them and what a start would refuse are one list."""
    none, log = tmp_path / "none", tmp_path / "app.log"
    toml.write_text(
        f"""
        [input]
        paths = ["{log}"]
        start = "2026-11-21T09:00:00Z"
        [state]
        path = "{tmp_path}"
        [bundle]
        path = "{none}"
        [kafka]
        sasl_mechanism = "PLAIN"
        password_file = "{none}"
        key_file = "{none}"
        session_timeout_s = 0
        [redis]
        url = "rediss://db"
        ca_file = "{none}"
        cert_file = "{none}"
        [[receivers.webhook]]
        name = "a"
        url = "https://me:hunter2@x"
        secret_file = "{none}"
        [[receivers.webhook]]
        name = "b"
        url = "https://x"
        ca_file = "{none}"
        [[receivers.jsonl]]
        name = "a"
        path = "{none / "alerts.jsonl"}"
        [[receivers.jsonl]]
        name = "c"
        path = "{log}"
        [[receivers.kafka]]
        name = "d"
        topic = "alerts"
        """
    )
    expected = [
        "receivers.webhook.0.secret_file: cannot be read",
        "kafka.password_file: cannot be read",
        "kafka.session_timeout_s: has to be greater than 0",
        "receivers.webhook.0.url: a password in an address",
        "kafka: PLAIN sends the password as it is",
        "kafka: certificates need tls",
        "kafka: a key_file needs the certificate",
        "receivers: a names two receivers",
        f"state file {tmp_path}: this is a folder",
        f"{log} is written by this command and is among its inputs",
        f"file of the receiver a {none}/alerts.jsonl: there is no folder",
        "receivers.kafka: no brokers are named",
        "receiver b: ca_file: not usable",
        f"{none} is no bundle",
        "input.start is 2026-11-21T09:00:00Z: a file cannot be begun at a time",
    ]
    _assert_all_are_said(toml, expected)
    of_worker = toml.read_text().replace("[kafka]", '[kafka]\ntopics = ["logs"]\nbrokers = ["kafka"]')
    toml.write_text(of_worker.replace(f'[bundle]\n        path = "{none}"', ""))
    gone = ("input.start is", f"{none} is no bundle", "receivers.kafka: no brokers")
    more = [
        "kafka.brokers.0: not a broker",
        "no bundle is named",
        "redis.ca_file: not",
        "redis.cert_file: not",
    ]
    _assert_all_are_said(toml, [*(one for one in expected if not one.startswith(gone)), *more])


def _assert_all_are_said(toml: Path, expected: list[str]) -> None:
    with pytest.raises(BadSetup) as raised:
        check_config(config=toml)
    said = str(raised.value).splitlines()
    assert [one for one in expected if not any(one in line for line in said)] == []
    assert len(said) == len(expected), said
    assert "hunter2" not in str(raised.value)


def test_a_worker_says_at_once_what_it_lacks(toml: Path, tmp_path: Path) -> None:
    """Before it reads the bundle, or connects to anything; a file needs its folder there too."""
    toml.write_text(f'[[receivers.jsonl]]\nname = "a"\npath = "{tmp_path}/none/a.jsonl"\n')
    with pytest.raises(BadSetup) as raised:
        worker(config=toml)
    said = [line.split(":")[0] for line in str(raised.value).splitlines()]
    file = f"file of the receiver a {tmp_path}/none/a.jsonl"
    missing = [f"{key} is not set" for key in ("kafka.brokers", "kafka.topics", "redis.url")]
    assert said == [file, "no bundle is named", *missing]


def test_a_topic_that_would_be_read_with_what_is_written_to_it_is_refused(toml: Path) -> None:
    """Each line, dead letter, score and alert would be another line."""
    toml.write_text(
        """
        [kafka]
        brokers = ["kafka:9092"]
        topics = ["logs", "tailrace-routed"]
        dead_letter_topic = "tailrace-routed"
        scores_topic = "logs"
        [redis]
        url = "redis://db"
        [[receivers.kafka]]
        name = "bus"
        topic = "logs"
        """
    )
    loops = [
        "kafka.routed_topic tailrace-routed is among kafka.topics",
        "kafka.dead_letter_topic tailrace-routed is read by this worker",
        "kafka.scores_topic logs is read by this worker",
        "topic of the receiver bus, logs is read by this worker",
    ]
    _assert_all_are_said(toml, ["no bundle is named", *loops])
    toml.write_text(toml.read_text().replace("[kafka]", "[input]\nkeyed = true\n[kafka]"))
    with pytest.raises(BadSetup) as raised:  # then nothing is routed
        worker(config=toml)
    assert [line for line in str(raised.value).splitlines() if "routed_topic" in line] == []
    assert "kafka.dead_letter_topic tailrace-routed is read" in str(raised.value)


@pytest.mark.parametrize(
    ("wrong", "lines"),
    [
        ("input = 3", 1),
        ('[[receivers.webhook]]\nname = "a"\nurl = "https://x:y"', 1),
        ("[receivers]\nwebhook = 3", 1),
        ("[[receivers.jsonl]]", 2),
        ("[receivers]\njsonl = [3]", 1),
        ("[receivers]\nhook = 3", 1),
        ('[[receivers.kafka]]\nname = "a"\ntopic = "b c"\nmore = 1\n[logs]\nlevel = 1', 4),
        ('[kafka]\ntopics = ["a"]\nbrokers = 3\n[redis]\nurl = "x"', 3),
    ],
)
def test_whatever_is_wrong_the_rest_is_still_looked_at(toml: Path, wrong: str, lines: int) -> None:
    """What has to be set aside is no fault of its own: nothing is said twice, or of what was set aside."""
    toml.write_text(wrong)
    with pytest.raises(BadSetup) as raised:
        check_config(config=toml)
    assert len(str(raised.value).splitlines()) == lines, str(raised.value)


def test_two_receivers_of_one_name_are_refused(toml: Path) -> None:
    """The outbox knows receivers by name."""
    toml.write_text(
        '[[receivers.webhook]]\nname = "a"\nurl = "https://x"\n[[receivers.jsonl]]\nname = "a"\npath = "y"\n'
    )
    assert _faults(toml) == [f"{toml}: receivers: a names two receivers: give each its own name"]


def test_what_is_printed_can_be_read_again(toml: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The effective configuration is a configuration file, and shows no secret."""
    toml.write_text(
        '[input]\npaths = ["a \\"b\\"\\t.log"]\ntimezone = "UTC"\n[alerts]\nbudget = 2\n'
        '[[receivers.jsonl]]\nname = "j"\npath = "alerts.jsonl"\n'
    )
    check_config(config=toml)
    printed = capsys.readouterr().out
    settings = load(toml, {})
    toml.write_text(printed)
    assert load(toml, {}) == settings
    assert "# idle_timeout_s: the bundle's" in printed


def test_printed_secrets_are_masked(toml: Path) -> None:
    """Neither the secret nor those that it replaces are shown."""
    toml.write_text(
        f'[[receivers.webhook]]\nname = "w"\nurl = "https://x"\nsecret = "{SECRET}"\nsecrets = ["{SECRET}"]\n'
    )
    printed = effective(load(toml, {}))
    assert SECRET not in printed
    (webhook,) = tomllib.loads(printed)["receivers"]["webhook"]
    assert (webhook["secret"], webhook["secrets"]) == (MASK, [MASK])


def test_every_option_is_documented() -> None:
    """Each has a meaning, and a unit where it is a number; `make docs` has been run."""
    assert [row.key for row in rows() if not row.meaning.endswith(".")] == []
    assert [row.key for row in rows() if "number" in row.kind and not row.unit] == []
    assert DOCS.read_text(encoding="utf-8") == page(), "run `make docs`"


def test_variables_name_the_keys_they_set() -> None:
    """The name shown for a key is the one that is read."""
    names = [row.variable for row in rows()]
    assert "TAILRACE_INPUT__IDLE_TIMEOUT_S" in names
    assert "TAILRACE_RECEIVERS__WEBHOOK__0__SECRET" in names
    assert len(names) == len(set(names))


def test_a_number_past_the_end_of_a_list_adds_to_it() -> None:
    """A receiver can be added by variables alone."""
    assert put({"a": [{"b": 1}]}, ("a", 5, "c"), 2) == {"a": [{"b": 1}, {"c": 2}]}
    assert put({}, ("a", 0, "c"), 2) == {"a": [{"c": 2}]}


@pytest.mark.parametrize(
    ("section", "advice"),
    [
        ('sasl_mechanism = "SCRAM-SHA-512"\nusername = "me"', "set both"),
        ('username = "me"', "set sasl_mechanism"),
        ('sasl_mechanism = "PLAIN"\nusername = "me"\npassword = "none"', "set tls"),
        ('ca_file = "ca.pem"', "need tls"),
        ('tls = true\nkey_file = "key.pem"', "set cert_file"),
        ('brokers = ["kafka"]', "write HOST:PORT"),
        ('topics = ["with space"]', "kafka.topics.0"),
    ],
)
def test_a_login_to_kafka_is_whole(toml: Path, section: str, advice: str) -> None:
    """What would fail at the broker, or tell everybody the password, is said at the start."""
    toml.write_text(f"[kafka]\n{section}\n")
    (fault,) = _faults(toml)
    assert advice in fault


@pytest.mark.parametrize("start", ["latest", "earliest", "2026-11-21T09:00:00Z"])
def test_the_worker_begins_where_it_is_told(toml: Path, start: str) -> None:
    """At the end, at the start, or at a time with its zone."""
    toml.write_text(f'[input]\nstart = "{start}"\n')
    assert load(toml, {}).input.start == start
    toml.write_text('[input]\nstart = "2026-11-21"\n')
    (fault,) = _faults(toml)
    assert "time with its zone" in fault
