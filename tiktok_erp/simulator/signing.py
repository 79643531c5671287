"""Check request signatures as section 2 of the TikTok reference describes them. Pure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

_NOT_SIGNED = frozenset({"sign", "access_token"})


def signature(secret: str, path: str, pairs: Sequence[tuple[str, str]], body: bytes) -> str:
    """Return the lowercase hex signature of one request; `pairs` are the decoded query pairs that count.

    `body` is what the content type lets count: empty for multipart uploads.
    """
    ordered = sorted((pair for pair in pairs if pair[0] not in _NOT_SIGNED), key=lambda pair: pair[0].encode())
    text = path + "".join(key + value for key, value in ordered)
    message = secret.encode() + text.encode() + body + secret.encode()
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def signature_holds(
    given: str, *, secret: str, path: str, pairs: Sequence[tuple[str, str]], content_type: str, body: bytes
) -> bool:
    """Return whether `given` signs this request.

    A repeated query key is undefined by the docs (section 2.1): both known readings are accepted, every pair in sent
    order and the first value of each key only.
    """
    multipart = content_type.strip().lower().startswith("multipart/form-data")
    signed_body = b"" if multipart else body
    first_values: dict[str, str] = {}
    for key, value in pairs:
        first_values.setdefault(key, value)
    readings = [list(pairs), list(first_values.items())]
    candidates = {signature(secret, path, reading, signed_body) for reading in readings}
    return any(hmac.compare_digest(given.encode(), candidate.encode()) for candidate in candidates)
