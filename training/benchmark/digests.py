"""What a result depends on, as digests: a kept one counts while nothing of that has changed. Reads files."""

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType

import detector
import training

# What a bundle and its answers depend on; commands, shells, reports and stores do not change them.
_PRODUCT = (
    *((detector, part) for part in ("bundle", "pipeline", "shard", "stages", "inputs", "embedded")),
    *((training, part) for part in ("calibrate", "export", "model", "parse")),
    *((training, f"{part}.py") for part in ("corpus", "fold", "longlived", "make", "names", "reading")),
    *((training, f"{part}.py") for part in ("sessions", "spool", "unfinished")),
)
_MEASURING = ((training, "benchmark"), (training, "evaluate"))


@cache
def product_code() -> str:
    """A digest of the code that a bundle depends on."""
    return _digest_of(_PRODUCT)


@cache
def code() -> str:
    """A digest of the code that results depend on."""
    return _digest_of((*_PRODUCT, *_MEASURING))


def _digest_of(parts: Iterable[tuple[ModuleType, str]]) -> str:
    sources: list[Path] = []
    for package, part in parts:
        path = Path(package.__path__[0]) / part
        sources += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return files_digest(sources)


def files_digest(paths: Iterable[Path]) -> str:
    """A digest of the contents of files, in this order."""
    sha256 = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            sha256.update(hashlib.file_digest(file, "sha256").digest())
    return sha256.hexdigest()[:16]


def text_digest(text: str) -> str:
    """A digest of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
