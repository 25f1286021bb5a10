"""The signature on what a payment processor tells: HMAC-SHA256 over instant and body, as Stripe makes it.

The header is ``t=<seconds>,v1=<hexadecimal>`` and may hold several signatures, while a secret is being changed. One
that is older or newer than five minutes is refused: somebody may have kept it to send it again.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime

from apportion.errors import RefusalCode, refuse

TOLERANCE = 300
HEADER = "stripe-signature"


def sign(secret: str, body: bytes, seconds: int) -> str:
    """The header for a body that is told at this Unix time."""
    digest = hmac.new(secret.encode(), b"%d.%b" % (seconds, body), hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


def check(secret: str, body: bytes, header: str, now: str) -> None:
    """That a body is told by whoever has the secret, and now.

    Raises:
        Refused: BAD_INPUT.
    """
    pairs = [part.strip().partition("=") for part in header.split(",")]
    at = next((value for name, _, value in pairs if name == "t"), "")
    if not secret or not (at.isascii() and at.isdecimal() and len(at) < 12):
        raise _forged("is missing, or this node has no secret for it.")
    made = hmac.new(secret.encode(), b"%b.%b" % (at.encode(), body), hashlib.sha256).hexdigest()
    given = [value for name, _, value in pairs if name == "v1"]
    if not any(hmac.compare_digest(made.encode(), one.encode("utf-8", "replace")) for one in given):
        raise _forged("is not the processor's.")
    if abs(datetime.fromisoformat(now).timestamp() - int(at)) > TOLERANCE:
        raise _forged("is not of now.")


def _forged(why: str) -> Exception:
    return refuse(RefusalCode.BAD_INPUT, why, field="Stripe-Signature", fix="Sign it with the secret of this endpoint.")
