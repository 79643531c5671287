"""Sign requests to the TikTok Shop API. Pure. Source: TikTok reference, section 2.1."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

_UNSIGNED = frozenset({"sign", "access_token"})


def sign(app_secret: str, path: str, query: Mapping[str, str], body: bytes = b"", content_type: str = "") -> str:
    """Return the `sign` value: lower-case hex of an HMAC-SHA256 over path, sorted query and the exact body bytes.

    `query` holds decoded values. A multipart body is left out; the test is a prefix test, since the header carries a
    boundary.
    """
    pairs = "".join(f"{key}{value}" for key, value in sorted(query.items()) if key not in _UNSIGNED)
    signed_body = b"" if content_type.lower().startswith("multipart/form-data") else body
    base = f"{app_secret}{path}{pairs}".encode() + signed_body + app_secret.encode()
    return hmac.new(app_secret.encode(), base, hashlib.sha256).hexdigest()
