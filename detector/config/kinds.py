"""Kinds of values an option can have, each with the check that only it needs. No I/O."""

import base64
import binascii
import re
from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, SecretStr

SECRET_PREFIX = "whsec_"  # noqa: S105  # the prefix of every secret, not one of them
REDIS_PORT = 6379
PORTS = range(1, 65_536)
SECRET_BYTES = range(24, 65)  # https://www.standardwebhooks.com


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression ({error}): correct it") from error
    return text


def _zone(name: str) -> str:
    if name == "UTC":  # known without the system's time-zone files
        return name
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError("not a time zone: write a name such as UTC or Europe/Vienna") from error
    return name


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        known = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # also of a port that is no number
        known = False
    if not known:
        raise ValueError("not a web address: write https://HOST/PATH")
    if parts.username or parts.password:
        raise ValueError("a password in an address ends up in logs: sign requests with a secret instead")
    return text


def redis_addresses(url: str) -> list[tuple[str, int]]:
    """Host and port of each node that an address names; ValueError where it is none."""
    hosts = [urlsplit(f"//{host}") for host in urlsplit(url).netloc.rpartition("@")[2].split(",")]
    return [(host.hostname or "", REDIS_PORT if host.port is None else host.port) for host in hosts]


def _redis_url(text: str) -> str:
    parts = urlsplit(text)
    try:
        known = parts.scheme in {"redis", "rediss"} and all(map(all, redis_addresses(text)))
    except ValueError:
        known = False
    if not known or parts.query or not re.fullmatch(r"/?|/\d+", parts.path):
        raise ValueError("not an address of Redis: write redis://HOST:PORT, or rediss:// for TLS")
    if parts.password:
        raise ValueError("a password in an address ends up in logs: put it into password_file")
    return text


def _start(text: str) -> str:
    if text in {"start", "end", "earliest", "latest"}:
        return text
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ValueError("not end, start, or a time with its zone: write one like 2026-11-21T09:00:00Z")
    return text


def _broker(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not host or not colon or not port.isdecimal() or int(port) not in PORTS or "://" in text:
        raise ValueError("not a broker: write HOST:PORT")
    return text


def _listen(text: str) -> str:
    host, colon, port = text.rpartition(":")
    known = re.fullmatch(r"\[[0-9a-fA-F:.%]+\]|[^\s:/\[\]]+", host)
    if not colon or not known or not re.fullmatch(r"\d{1,5}", port) or int(port) not in {0, *PORTS}:
        raise ValueError("not an address to listen on: write HOST:PORT, such as 127.0.0.1:9464 or [::1]:9464")
    return text


def _secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not text.startswith(SECRET_PREFIX) or len(key) not in SECRET_BYTES:
        raise ValueError("not a signing secret: write whsec_ and then 24 to 64 bytes in base64")
    return secret


Pattern = Annotated[str, AfterValidator(_pattern)]
Zone = Annotated[str, AfterValidator(_zone)]
Url = Annotated[str, AfterValidator(_url)]
Start = Annotated[str, AfterValidator(_start)]
Broker = Annotated[str, AfterValidator(_broker)]
Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$", max_length=249)]  # what Kafka allows
Group = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$", max_length=200)]
RedisUrl = Annotated[str, AfterValidator(_redis_url)]
Listen = Annotated[str, AfterValidator(_listen)]
Password = Annotated[SecretStr, Field(min_length=1)]
Prefix = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=63)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=63)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
LetterBytes = Annotated[int, Field(ge=1, le=900_000)]  # with key and headers below Kafka's usual 1 MiB
