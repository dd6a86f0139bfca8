"""`tailrace bundle`: look at what training wrote. Reads the bundle's files."""

import sys
from pathlib import Path

from cyclopts import App

app = App(name="bundle", help="Look at what training wrote.")


@app.command(name="verify")
def verify(bundle: Path, /) -> None:
    """Verify every file of a bundle as `watch` does before it uses it, and say what it is.

    Example: tailrace bundle verify bundle

    Raises:
        BadSetup: a file is missing, altered, of another version or cannot be used.
    """
    from detector.embedded.core import Rules, build  # noqa: PLC0415  # heavy: --help need not wait

    core = build(bundle, {}, Rules(), [])
    manifest = core.bundle.manifest
    session, hidden = core.policy.session, core.bundle.step.hidden_size
    budget = f"{core.policy.budget:g} false alerts {'per 10,000 sessions' if session else 'a day'}"
    rows = [
        ("bundle", core.bundle.id),
        ("made", manifest.created),
        ("judges", f"{'sessions' if session else 'long-lived sources'}, at {budget}"),
        ("model", f"{manifest.model.get('cell', 'unknown')}, {hidden} numbers a source"),
        ("templates", str(len(core.parser.vocabulary.templates))),
        *((name, f"SHA-256 {digest} verified") for name, digest in sorted(manifest.files.items())),
    ]
    sys.stdout.writelines(f"{label:<18}{text}\n" for label, text in rows)
