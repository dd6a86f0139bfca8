"""Certificates for the servers of the tests, made anew for each run. Runs openssl."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificates:
    """An authority, and what it has signed for 127.0.0.1."""

    ca: Path
    certificate: Path
    key: Path


def make_certificates(folder: Path) -> Certificates:
    """Make an authority and a certificate of it."""
    folder.mkdir()
    made = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    ca_key, request = folder / "ca.key", folder / "server.csr"
    extension = folder / "san.cnf"
    extension.write_text("subjectAltName=IP:127.0.0.1\n")
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    _openssl("req", "-x509", *new_key, "-keyout", ca_key, "-out", made.ca, "-subj", "/CN=authority")
    _openssl("req", *new_key, "-keyout", made.key, "-out", request, "-subj", "/CN=server")
    signing: list[str | Path] = ["-CA", made.ca, "-CAkey", ca_key, "-CAcreateserial", "-extfile", extension]
    _openssl("x509", "-req", "-in", request, "-out", made.certificate, *signing)
    return made


def _openssl(*arguments: str | Path) -> None:
    command = ["openssl", *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
