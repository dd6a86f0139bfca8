"""`tailrace bundle`: look at what training wrote. Reads the bundle's files."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from detector.words import counted, duration

app = App(name="bundle", sort_key=6, help="Check a bundle, the directory that tailrace-train fit wrote.")


@app.command(name="verify")
def verify(
    bundle: Annotated[Path, Parameter(name="DIR", help="Bundle that tailrace-train fit wrote.")], /
) -> None:
    """Check every file of a bundle, as every command does before it uses one, and say what it holds.

    Example: tailrace bundle verify bundle

    Raises:
        BadSetup: a file is missing, altered, of another version or cannot be used.
    """
    from detector.shard.core import Rules, build  # noqa: PLC0415  # heavy: --help need not wait

    core = build(bundle, {}, Rules(), [])
    manifest = core.bundle.manifest
    session, hidden = core.policy.session, core.bundle.step.hidden_size
    per = "per 10,000 sessions" if session else "a day"
    budget = f"at most {counted(core.policy.budget, 'false alert')} {per}"
    idle_s = manifest.input.idle_timeout_s if session else None
    rows = [
        ("bundle", core.bundle.id),
        ("made", manifest.created),
        ("judges", f"{'sessions' if session else 'long-lived sources'}, for {budget}"),
        *([] if idle_s is None else [("sessions end", f"after {duration(idle_s)} without a line")]),
        ("model", f"{manifest.model.get('cell', 'unknown')}, {hidden} numbers a source"),
        ("templates", str(len(core.parser.vocabulary.templates))),
        *((name, f"SHA-256 {digest} verified") for name, digest in sorted(manifest.files.items())),
    ]
    sys.stdout.writelines(f"{label:<18}{text}\n" for label, text in rows)
