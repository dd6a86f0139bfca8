"""Signs a message after Standard Webhooks. No I/O.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable

from detector.errors import BadSetup

_PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64  # bytes of a key


def parse_secret(secret: str) -> bytes:
    """Decode `whsec_` and base64 of 24 to 64 bytes to the key; BadSetup, without the secret, if it is not."""
    encoded = secret.removeprefix(_PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        key = None
    if key is None or encoded == secret:
        raise BadSetup("a webhook secret must be whsec_ followed by base64")
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise BadSetup(f"a webhook secret must hold {_SHORTEST} to {_LONGEST} bytes, not {len(key)}")
    return key


def sign(keys: Iterable[bytes], webhook_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """Give the headers; one signature per key, for receivers that know the old or the new one."""
    content = f"{webhook_id}.{timestamp_s}.".encode() + body
    digests = (hmac.new(key, content, hashlib.sha256).digest() for key in keys)
    signature = " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)
    headers = {"webhook-id": webhook_id, "webhook-timestamp": str(timestamp_s)}
    return headers | {"webhook-signature": signature} if signature else headers
