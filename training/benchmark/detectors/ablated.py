"""Tailrace without one of its terms: the same fit, calibrated without it. Reads and writes files."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec

from detector import bundle as bundles
from detector.bundle import SessionCalibration, load
from training.benchmark.detectors.held_out import held_out
from training.benchmark.detectors.tailrace_sessions import Job, judged, trained
from training.benchmark.measures.sessions import Scored
from training.calibrate.calibrate import EndingParts, calibrate_sessions

# The tails of each term of a session's score.
TERMS = {
    "order": ("order",),
    "count density": ("density", "density_max"),
    "idf distance": ("distance",),
    "new pairs": ("pair",),
}


def ablated(job: Job) -> Iterator[Scored]:
    """What is left of the score without each of its terms, with a threshold of its own."""
    spent = trained(job)
    for term, tails in TERMS.items():
        bundle = _without(job, term, tails)
        yield judged(replace(job, bundle=bundle), spent, f"tailrace without {term}")


def _without(job: Job, term: str, tails: tuple[str, ...]) -> Path:
    """The bundle with another calibration, in a folder beside it."""
    whole = load(job.bundle)
    before = whole.calibration.session
    if before is None:
        raise TypeError("only sessions have terms")
    session = calibrate_sessions(
        held_out(job.bundle), _parts(before), job.fitting.contamination, without=tails
    )
    session = msgspec.structs.replace(session, pauses=before.pauses)
    calibration = msgspec.structs.replace(whole.calibration, session=session)
    files = {name: (job.bundle / name).read_bytes() for name in whole.manifest.files}
    out = job.bundle.with_name(f"{job.bundle.name}-without-{term.replace(' ', '-')}")
    bundles.write(out, whole.manifest, files | {"calibration.json": msgspec.json.encode(calibration)})
    return out


def _parts(session: SessionCalibration) -> EndingParts:
    return EndingParts(
        slots=session.slots,
        idf=session.idf,
        prototypes=session.prototypes,
        unknown_cost=session.unknown_cost,
        pairs=session.pairs,
        pair_cost=session.pair_cost,
    )
