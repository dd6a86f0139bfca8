"""What a broker needs before its first start: jars, a formatted folder, a class archive. Runs Maven and Java.

`python -m tests.servers.kafka_jars` makes it; scripts/prepare-tests calls that. Everything lies in
`.venv/kafka`, and a second call finds it there; with KAFKA=VERSION, that version in `.venv/kafka-VERSION`.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.servers.kafka import ARCHIVE, CLASSPATH, FORMATTED, HOME, VERSION, Broker, format_data

POM = Path(__file__).with_name("kafka.xml")


def wanted_pom() -> str:
    """What Maven is to resolve."""
    text = POM.read_text()
    if not VERSION:
        return text
    return re.sub(r"(<artifactId>kafka_2.13</artifactId>\s*<version>)[^<]+", rf"\g<1>{VERSION}", text)


def resolve_jars() -> None:
    """Let Maven fetch the jars into its own cache, and note where they lie."""
    pom = HOME / "kafka.xml"
    pom.write_text(wanted_pom())
    command = ["mvn", "-q", "-B", "-f", str(pom), "dependency:build-classpath"]
    found = HOME / "classpath.new"
    subprocess.run([*command, f"-Dmdep.outputFile={found}"], check=True)
    found.rename(CLASSPATH)


def format_folder() -> None:
    """Write what a log folder holds before the first start."""
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder))
        format_data(broker)
        shutil.rmtree(FORMATTED, ignore_errors=True)
        shutil.copytree(broker.data, FORMATTED)


def archive_classes() -> None:
    """Run a broker once so that later ones find their classes parsed: two seconds in place of five."""
    with tempfile.TemporaryDirectory() as folder:
        new = Path(folder) / "classes.jsa"
        broker = Broker(Path(folder), [f"-XX:ArchiveClassesAtExit={new}", "-Xlog:cds=off", "-Xlog:cds*=off"])
        broker.start()
        broker.stop()
        shutil.move(new, ARCHIVE)


def prepare() -> None:
    """Make what is not there, or belongs to other versions."""
    HOME.mkdir(exist_ok=True)
    java = subprocess.run(["java", "-version"], check=True, capture_output=True, text=True).stderr  # noqa: S607
    wanted, made = wanted_pom() + java, HOME / "made"
    if made.exists() and made.read_text() == wanted and _has_jars():
        return
    sys.stderr.write("preparing the Kafka broker that the tests start, once\n")
    made.unlink(missing_ok=True)
    ARCHIVE.unlink(missing_ok=True)
    resolve_jars()
    format_folder()
    archive_classes()
    made.write_text(wanted)


def _has_jars() -> bool:
    return all(Path(jar).exists() for jar in CLASSPATH.read_text().split(":"))


if __name__ == "__main__":
    prepare()
