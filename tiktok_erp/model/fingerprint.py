"""One short text for what a decision, a quote or a label was made for: equal means that nothing of it changed. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace

from tiktok_erp.model.shipment import Shipment

_LENGTH = 32  # hexadecimal digits: 128 bits, more than chance can meet


def fingerprint(facts: object) -> str:
    """Return the fingerprint of `facts`: plain data, mappings, lists and texts. Letter case and the order of keys do not count."""
    text = json.dumps(facts, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.casefold().encode()).hexdigest()[:_LENGTH]


def quote_fingerprint(shipment: Shipment) -> str:
    """Return the fingerprint of what a source is asked a price for. Insurance is bought with the label, not with the quote."""
    return fingerprint(asdict(replace(shipment, insurance=None)))
