"""What is shipped for containers, Kubernetes and systemd: valid, pinned, and in step with the program."""

import configparser
import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import kubernetes_validate
import pytest
import yaml

from detector.cli.__main__ import app
from detector.config import Settings, load
from detector.distributed.feed import feed_of
from tests.test_config import SECRET

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
GENERATED = "./demo-out/"  # by `make demo`


def compose() -> dict[str, Any]:
    """The services of docker-compose.yml."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return found


def manifests() -> list[dict[str, Any]]:
    """Every object that is applied to a cluster."""
    listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    return [one for name in listed for one in yaml.safe_load_all((KUBERNETES / name).read_text())]


def unit() -> dict[str, str]:
    """What the systemd unit says of its service."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read(DEPLOY / "systemd" / "tailrace-worker.service")
    return dict(parser["Service"])


def test_every_image_is_pinned_to_a_version() -> None:
    """What runs tomorrow is what ran today."""
    images = [service["image"] for service in compose().values() if "image" in service]
    images += [
        line.split()[1]
        for line in (DEPLOY / "Dockerfile").read_text().splitlines()
        if line.startswith("FROM ")
    ]
    stages = {"build", "base", "cuda", "cpu"}
    for image in images:
        name, _, tag = image.partition(":")
        assert name in stages or (tag and tag != "latest"), image


def test_what_compose_mounts_is_there() -> None:
    """A path that is not there would be made as an empty folder of root's."""
    for service in compose().values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./") and not source.startswith(GENERATED):
                assert (ROOT / source).is_file(), source


def test_what_prometheus_watches_is_counted() -> None:
    """An alert on a metric that is not there never fires; other tests hold docs/metrics.md to the program."""
    known = re.findall(r"`(tailrace_\w+)`", (ROOT / "docs" / "metrics.md").read_text())
    watched = re.findall(r"tailrace_\w+", (DEPLOY / "compose" / "rules.yml").read_text())
    assert watched
    assert {name.removesuffix("_bucket") for name in watched} <= set(known)


def test_what_compose_waits_for_is_there() -> None:
    """Every service that another depends on exists, and has a check where its health is waited for."""
    services = compose()
    for service in services.values():
        for name, wanted in service.get("depends_on", {}).items():
            assert wanted["condition"] != "service_healthy" or "healthcheck" in services[name]


def image(instruction: str) -> list[str]:
    """What follows each instruction of this name in the Dockerfile."""
    lines = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    return [line.removeprefix(f"{instruction} ") for line in lines if line.startswith(f"{instruction} ")]


def test_what_the_image_is_made_of_is_there() -> None:
    """And what asks whether the worker lives is in it."""
    copied = [line.split() for line in image("COPY")]
    assert [name for *names, _ in copied for name in names if not (ROOT / name).exists()] == []
    checks = [json.loads(line.partition("CMD ")[2]) for line in image("HEALTHCHECK")]
    assert len(checks) == 2
    assert {check[-1] for check in checks} <= {target for *_, target in copied}


def commands() -> list[list[str]]:
    """The words that every container and unit gives to the program."""
    found = [
        service["command"] for service in compose().values() if "build" in service and "command" in service
    ]
    found += [json.loads(line) for line in image("CMD")]
    for one in manifests():
        if one["kind"] == "Deployment":
            pod = one["spec"]["template"]["spec"]
            found += [container["args"] for container in (*pod["initContainers"], *pod["containers"])]
    found += [shlex.split(line)[1:] for name, line in unit().items() if name.startswith("execstart")]
    return [[str(word) for word in words] for words in found]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_is_one_of_the_program(words: list[str]) -> None:
    """With options that it has."""
    called, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    assert callable(called)
    assert str(bound.arguments["config"]) == "/etc/tailrace/tailrace.toml"


@pytest.mark.parametrize("file", ["compose/tailrace.toml", "kubernetes/tailrace.toml"])
def test_every_configuration_is_whole(file: str, tmp_path: Path) -> None:
    """It names all that a worker needs, and serves its health at the port that is asked."""
    (tmp_path / "kafka-password").write_text("one")
    (tmp_path / "redis-password").write_text("another")
    (tmp_path / "webhook-secret").write_text(SECRET)
    settings = read(DEPLOY / file, tmp_path)
    assert feed_of(settings_without_certificates(settings)).topics == ("logs", "tailrace-routed")
    assert settings.web.listen == "0.0.0.0:9464"
    assert settings.bundle.path is not None
    assert settings.receivers.webhook or settings.receivers.jsonl


def read(file: Path, secrets: Path) -> Settings:
    """A configuration with the secrets of a test."""
    copy = secrets / "tailrace.toml"
    copy.write_text(file.read_text().replace("/etc/tailrace/secrets", str(secrets)))
    return load(copy, {})


def settings_without_certificates(settings: Settings) -> Settings:
    """The same without the files of a cluster."""
    kafka = replace(settings.kafka, ca_file=None, cert_file=None, key_file=None)
    return replace(settings, kafka=kafka)


@pytest.mark.parametrize("manifest", manifests(), ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_every_manifest_is_valid(manifest: dict[str, Any]) -> None:
    """As Kubernetes' own schemas have it; KEDA's objects are checked for what they refer to."""
    if manifest["apiVersion"].startswith("keda.sh/"):
        assert_scales(manifest)
    else:
        kubernetes_validate.validate(manifest, "1.33", strict=True)


def assert_scales(manifest: dict[str, Any]) -> None:
    """The scaler asks for the group and topic of the configuration, and its login is there."""
    names = {(one["kind"], one["metadata"]["name"]) for one in manifests()}
    if manifest["kind"] == "TriggerAuthentication":
        assert all(one["name"].startswith("tailrace") for one in manifest["spec"]["secretTargetRef"])
        return
    assert ("Deployment", manifest["spec"]["scaleTargetRef"]["name"]) in names
    triggers = manifest["spec"]["triggers"]
    assert [one["metadata"]["topic"] for one in triggers] == ["logs", Settings().kafka.routed_topic]
    for trigger in triggers:
        assert ("TriggerAuthentication", trigger["authenticationRef"]["name"]) in names
        assert trigger["metadata"]["consumerGroup"] == Settings().kafka.group


def test_the_service_is_started_again_unless_its_configuration_is_wrong() -> None:
    """The worker ends on every surprise and goes on from its fences; exit 2 needs somebody to look."""
    said = unit()
    assert (said["restart"], said["restartpreventexitstatus"]) == ("always", "2")


@pytest.mark.parametrize(
    ("target", "runtime"), [("cpu", "onnxruntime"), ("cuda", "onnxruntime-gpu[cuda,cudnn]>=1.20")]
)
def test_an_image_installs_one_runtime_and_no_torch(target: str, runtime: str) -> None:
    """Neither what trains nor, for CPUs, what needs CUDA."""
    command = [sys.executable, str(DEPLOY / "requirements.py"), target]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert [line for line in lines if line.startswith("onnxruntime")] == [runtime]
    assert not [line for line in lines if line.startswith(("torch", "drain3", "matplotlib"))]


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (None, 1)])
def test_a_container_asks_whether_its_worker_lives(status: int | None, code: int) -> None:
    """Alive on 200 alone; not on anything else, nor where nobody answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name is the library's
            self.send_response(status or 0 if self.path == "/livez" else 404)
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    command = [sys.executable, str(DEPLOY / "alive.py"), str(server.server_address[1])]
    if status is None:
        server.server_close()
        assert subprocess.run(command, check=False).returncode == code
        return
    thread = Thread(target=server.handle_request)
    thread.start()
    try:
        assert subprocess.run(command, check=False).returncode == code
    finally:
        thread.join()
        server.server_close()
