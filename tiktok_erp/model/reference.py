"""What a parcel is called at a label source: the same by every database of the shop, whichever package it is there. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

_FORM = re.compile(r"te-([0-9a-f]{16})-\d+")
_PACKAGE = re.compile(r"P\d+")


def parcel_key(shop: str, order_ids: Iterable[str], unit_ids: Iterable[str] = ()) -> str:
    """Return what names a parcel of these orders; `unit_ids` where they leave in several parcels, as the channel has them."""
    words = [shop, *sorted(set(order_ids)), "", *sorted(set(unit_ids))]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]


def reference_of(key: str, attempt: int) -> str:
    """Return the reference of a parcel's label; `attempt` counts from 1, one more for each label that was given back."""
    return f"te-{key}-{attempt}"


def key_in(reference: str) -> str | None:
    """Return the key of the parcel that a reference names, None when it is none of ours."""
    match = _FORM.fullmatch(reference)
    return match[1] if match else None


def is_package_id(reference: str) -> bool:
    """Tell whether a reference has the older form, the package id of the database that bought."""
    return _PACKAGE.fullmatch(reference) is not None
