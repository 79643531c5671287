"""JSON from outside: whatever is wrong with it, also nesting without end, is a ValueError."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """Return what `text` holds. Raises ValueError when it is no JSON, no text, or nested deeper than can be read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
