"""Signatures after Standard Webhooks, checked by the specification's own library."""

import base64
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from detector.errors import BadSetup
from detector.notify.signature import parse_secret, sign
from tests.receiver import SECRET

OLD = "whsec_" + base64.b64encode(b"o" * 64).decode()


@settings(max_examples=30, deadline=None)
@given(body=st.text(), secret=st.binary(min_size=24, max_size=64))
def test_every_body_verifies_under_every_secret(body: str, secret: bytes) -> None:
    """The library accepts what we sign, for any body and any key of a permitted length."""
    text = "whsec_" + base64.b64encode(secret).decode()
    headers = sign([parse_secret(text)], "id.1", int(time.time()), body.encode())
    Webhook(text).verify(body.encode(), headers, json_parse=False)


@pytest.mark.parametrize("known", [SECRET, OLD])
def test_while_secrets_rotate_either_one_verifies(known: str) -> None:
    """One signature per secret, separated by a space."""
    headers = sign([parse_secret(SECRET), parse_secret(OLD)], "id.1", int(time.time()), b"{}")
    assert len(headers["webhook-signature"].split(" ")) == 2
    Webhook(known).verify(b"{}", headers)


def test_a_changed_body_does_not_verify() -> None:
    """The signature is of this body alone."""
    headers = sign([parse_secret(SECRET)], "id.1", int(time.time()), b'{"a":1}')
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(b'{"a":2}', headers)


def test_the_specifications_example_is_reproduced() -> None:
    """The example of the reference implementations, byte for byte."""
    headers = sign(
        [parse_secret(SECRET)], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_without_a_secret_nothing_is_signed() -> None:
    """An empty signature would look like a broken one."""
    assert sign([], "id.1", 1, b"") == {"webhook-id": "id.1", "webhook-timestamp": "1"}


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_not base64!",
        "whsec_" + base64.b64encode(b"k" * 23).decode(),
        "whsec_" + base64.b64encode(b"k" * 65).decode(),
    ],
)
def test_a_secret_of_another_form_is_refused_without_being_shown(secret: str) -> None:
    """The error says what a secret looks like, not what this one is."""
    with pytest.raises(BadSetup) as raised:
        parse_secret(secret)
    assert secret.removeprefix("whsec_") not in str(raised.value) or not secret.removeprefix("whsec_")
    assert raised.value.__context__ is None
