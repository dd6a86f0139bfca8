"""Compare the parser with stock Drain3: grouping accuracy and lines per second, on one core.

`python -m benchmarks.parse --data FOLDER` prints one JSON object a line: each system of
FOLDER/loghub_2k, the whole files hdfs/ and linux/ where they are there, then the means. Ours reads
raw lines; stock reads what it is said to read, with the masks of the example configuration that
Drain3 documents (`stock`) and without any (`bare`).
"""

import argparse
import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean, harmonic_mean
from time import perf_counter
from typing import Any, Final

from drain3 import TemplateMiner as StockMiner
from drain3.masking import MaskingInstruction
from drain3.template_miner_config import TemplateMinerConfig

from detector.stages.header.header import Headers
from detector.stages.header.timestamp import Clock
from detector.stages.parse.parse import LineParser, Parser
from detector.stages.parse.vocabulary import Vocabulary
from training.parse.headers import learn_headers
from training.parse.templates import TemplateMiner

UNSEEN: Final = 1000  # the last lines of a system, timed after learning from the others
ROUNDS: Final = 7
LEARNT_FROM: Final = 20_000  # lines of a whole file
STOCK_LINES: Final = 10_000  # of a whole file, enough to time stock
# examples/drain3.ini of Drain3: a pattern between edges, and what masks it.
STOCK_MASKS: Final = (
    (r"(([0-9a-f]{2,}:){3,}([0-9a-f]{2,}))", "ID"),
    (r"(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})", "IP"),
    (r"([0-9a-f]{6,} ?){3,}", "SEQ"),
    (r"([0-9A-F]{4} ?){4,}", "SEQ"),
    (r"(0x[a-f0-9A-F]+)", "HEX"),
    (r"([\-\+]?\d+)", "NUM"),
)
STOCK_EDGES: Final = (r"((?<=[^A-Za-z0-9])|^)", r"((?=[^A-Za-z0-9])|$)")


def main() -> None:
    """Print every comparison and then the means."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True, help="folder that holds loghub_2k")
    folder = arguments.parse_args().data
    systems = [_compare_system(path) for path in sorted((folder / "loghub_2k").glob("*_2k.log"))]
    files = [
        _compare_file(path)
        for path in sorted(folder.glob("*/*.log.gz"))
        if path.parent.name in {"hdfs", "linux"}
    ]
    print(json.dumps(_summary(systems, files)))


def _compare_system(path: Path) -> dict[str, Any]:
    raw = path.read_bytes().splitlines()
    with Path(f"{path}_structured.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    truth, contents = [row["EventId"] for row in rows], [row["Content"] for row in rows]
    headers, parser = _learn(raw)
    ours = [token for token, _ in LineParser(headers, parser).parse_all(raw)]
    decoded = [line.decode("utf-8", "replace") for line in raw]
    result = {
        "system": path.name.removesuffix("_2k.log"),
        "accuracy": _grouping_accuracy(ours, truth),
        "stock_accuracy_raw": _grouping_accuracy(_stock_groups(decoded, masked=True), truth),
        "stock_accuracy_message": _grouping_accuracy(_stock_groups(contents, masked=True), truth),
        "bare_accuracy_raw": _grouping_accuracy(_stock_groups(decoded, masked=False), truth),
        "bare_accuracy_message": _grouping_accuracy(_stock_groups(contents, masked=False), truth),
        "cut_into_message": fmean(
            len(_message(headers, line).strip()) < len(content.strip().encode())
            for line, content in zip(raw, contents, strict=True)
        ),
    } | _speeds(raw[:-UNSEEN], raw[-UNSEEN:], contents[:-UNSEEN], contents[-UNSEEN:])
    print(json.dumps(result))
    return result


def _compare_file(path: Path) -> dict[str, Any]:
    with gzip.open(path) as file:
        raw = file.read().splitlines()
    headers, _ = _learn(raw[:LEARNT_FROM])
    messages = [
        _message(headers, line).decode("utf-8", "replace") for line in raw[: LEARNT_FROM + STOCK_LINES]
    ]
    start = min(LEARNT_FROM, len(raw) // 2)
    speeds = _speeds(raw[:start], raw, messages[:start], messages[start : start + STOCK_LINES])
    result = {"file": path.name, "lines": len(raw)} | speeds
    print(json.dumps(result))
    return result


def _speeds(
    known: list[bytes], unseen: list[bytes], stock_known: list[str], stock_unseen: list[str]
) -> dict[str, Any]:
    """Lines per second with every memory empty at the start: raw bytes in, token out."""
    headers, parser = _learn(known)
    stock, bare = _stock(stock_known, masked=True), _stock(stock_known, masked=False)
    rounds: list[tuple[float, ...]] = []
    for _ in range(ROUNDS if len(unseen) <= UNSEEN else 2):
        cold, timed = (LineParser(headers, Parser(parser.vocabulary)) for _ in range(2))
        rounds.append(
            (
                _rate(unseen, cold.parse_all),
                _rate(unseen, partial(_with_time, timed, Clock())),
                _rate(stock_unseen, partial(_match_all, stock)),
                _rate(stock_unseen, partial(_match_all, bare)),
            )
        )
    ours, ours_timed, theirs, theirs_bare = map(max, zip(*rounds, strict=True))
    return {
        "lines_per_s": round(ours),
        "lines_per_s_with_time": round(ours_timed),
        "stock_lines_per_s": round(theirs),
        "bare_lines_per_s": round(theirs_bare),
        "ratio": round(ours / theirs, 2),
        "ratio_with_time": round(ours_timed / theirs, 2),
        "ratio_bare": round(ours / theirs_bare, 2),
    }


def _match_all(stock: StockMiner, lines: list[str]) -> None:
    for line in lines:
        stock.match(line)


def _with_time(parser: LineParser, clock: Clock, lines: list[bytes]) -> None:
    time_us = None
    for line, (_, cut) in zip(lines, parser.parse_all(lines), strict=True):
        if cut.kind:
            start, end = cut.time
            time_us = clock.read(cut.kind, line[start:end], time_us)


def _rate(lines: Sequence[Any], work: Callable[[Any], object]) -> float:
    begin = perf_counter()
    work(lines)
    return len(lines) / (perf_counter() - begin)


def _learn(raw: list[bytes]) -> tuple[Headers, Parser]:
    headers = learn_headers(raw)
    miner = TemplateMiner()
    miner.add(_message(headers, line) for line in raw)
    vocabulary: Vocabulary = miner.vocabulary()
    return headers, Parser(vocabulary)


def _message(headers: Headers, line: bytes) -> bytes:
    return line[headers.split(line).message :]


def _stock(lines: Iterable[str], *, masked: bool) -> StockMiner:
    config = TemplateMinerConfig()
    if masked:
        before, behind = STOCK_EDGES
        config.masking_instructions = [
            MaskingInstruction(before + mask + behind, name) for mask, name in STOCK_MASKS
        ]
    miner = StockMiner(config=config)
    for line in lines:
        miner.add_log_message(line)
    return miner


def _stock_groups(lines: list[str], *, masked: bool) -> list[int]:
    miner = _stock(lines, masked=masked)
    found = (miner.match(line) for line in lines)
    return [0 if cluster is None else cluster.cluster_id for cluster in found]


def _grouping_accuracy(predicted: Sequence[Hashable], truth: Sequence[Hashable]) -> float:
    """Share of lines whose predicted group holds exactly the lines of their true group (loghub)."""
    right = set(_members(truth))
    return sum(len(group) for group in _members(predicted) if group in right) / len(truth)


def _members(groups: Sequence[Hashable]) -> list[tuple[int, ...]]:
    members: defaultdict[Hashable, list[int]] = defaultdict(list)
    for at, group in enumerate(groups):
        members[group].append(at)
    return [tuple(group) for group in members.values()]


def _summary(systems: list[dict[str, Any]], files: list[dict[str, Any]]) -> dict[str, Any]:
    means = [name for name in systems[0] if "accuracy" in name or name == "cut_into_message"]
    rates = [name for name in systems[0] if "lines_per_s" in name or "ratio" in name]
    return (
        {"summary": "mean, harmonic for speeds", "systems": len(systems)}
        | {name: round(fmean(system[name] for system in systems), 4) for name in means}
        | {name: round(harmonic_mean([system[name] for system in systems]), 2) for name in rates}
        | {"worst_ratio": min(system["ratio"] for system in systems)}
        | {"worst_margin": round(min(s["accuracy"] - s["stock_accuracy_message"] for s in systems), 4)}
        | {f"ratio {file['file']}": file["ratio"] for file in files}
    )


if __name__ == "__main__":
    main()
