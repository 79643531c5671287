"""Named faults and their seeded dice. Each fault rolls a generator of its own, so that one never shifts another."""

from __future__ import annotations

import hashlib
import random
import threading
from collections import Counter

FAULTS: dict[str, str] = {
    "purchase_answer_lost": "a label is really bought, then the connection closes without an answer",
    "shipment_answer_lost": "an order is really marked as shipped, then the connection closes without an answer",
    "inventory_answer_lost": "stock is really set, then the connection closes without an answer",
    "connection_dropped": "the connection closes before anything was done",
    "internal_error": "code 36009003 once for a request; the same request then succeeds",
    "html_ok": "an HTML page with HTTP 200 instead of the answer, after the work was done",
    "html_502": "HTTP 502 with an HTML page, nothing was done",
    "unavailable": "HTTP 503 without a body, nothing was done",
    "throttle_burst": "the endpoint answers 429 for its next five calls, Retry-After in changing forms",
    "truncated_json": "the JSON answer stops in the middle, after the work was done",
    "slow_answer": "the answer takes 5 seconds (divided by the time scale), after the work was done",
    "stalled_answer": "the answer takes 10 seconds (divided by the time scale), after the work was done",
    "duplicate_rows": "a row of an order page comes again, on the next page where there is one",
    "shuffled_rows": "the rows of an order page come out of order",
    "update_time_outside": "an order moves during the search: its update_time lies outside the window asked for",
    "page_shift": "an order search pages by offset from here on, and an order of this page moves right after the answer",
    "arrivals_between_pages": "between two pages of an order search somebody orders and pays, or an unpaid order is paid",
    "out_of_order_pages": "two pages of an order search change places: the rows of the next one come first",
    "token_revoked": "the access token in use is revoked; a refresh helps",
    "document_not_ready": "the document of a package answers 11034037 three times more",
    "document_expired": "the document URL answers 403",
    "pdf_truncated": "the label file stops in the middle",
    "pdf_html": "an HTML page with HTTP 200 instead of the label file",
    "label_pending": "a bought label stays RTSING for 10 seconds (divided by the time scale)",
    "seller_sku_missing": "a SKU has no seller_sku, in orders and products alike (one throw per SKU)",
    "cancelled_after_list": "one of the orders that a list or detail shows as shippable is cancelled right after",
    "cancel_request_after_list": "the buyer of one of the orders shown as shippable asks to cancel right after",
    "cancelled_at_purchase": "the order is cancelled in the instant before it is shipped: 21011041",
    "address_refused": "the carrier refuses the address of an order: 11021012 (one throw per order)",
    "inventory_partial": "one SKU of a stock update fails beside code 0",
    "unknown_fields": "orders, lines and data carry fields that no document names (one throw per order)",
    "unknown_status": "an order and its lines are in a status that no document names (one throw per order)",
    "unknown_enum": "order_type and other words of an order are new (one throw per order)",
    "clock_skew": "the gateway's clock is 400 s ahead, in its Date header and in all its times (one throw at the start)",
    "clock_4min_ahead": "as clock_skew, 240 s ahead: within the window of timestamps",
    "clock_4min_behind": "as clock_skew, 240 s behind: a client's right timestamp lies in the future",
    "giant_combine_group": "22 orders of one buyer share an auto_combine_group_id (one throw at the start)",
}


# Seconds by which the gateway's clock is ahead of the machine's; the first fault that strikes wins.
CLOCK_FAULTS: dict[str, int] = {"clock_skew": 400, "clock_4min_ahead": 240, "clock_4min_behind": -240}
# Seconds that an answer takes longer.
DELAY_FAULTS: dict[str, float] = {"slow_answer": 5.0, "stalled_answer": 10.0}


def parse_faults(text: str) -> dict[str, float]:
    """Read `NAME:PROBABILITY,...`; raise ValueError for unknown names and probabilities outside 0..1."""
    chosen: dict[str, float] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, colon, number = (piece.strip() for piece in part.partition(":"))
        if name not in FAULTS:
            raise ValueError(f"unknown fault {name!r}; known faults: {', '.join(FAULTS)}")
        try:
            probability = float(number)
        except ValueError:
            raise ValueError(f"fault {name!r} needs a probability, as in {name}:0.05") from None
        if not colon or not 0 <= probability <= 1:
            raise ValueError(f"the probability of fault {name!r} must be between 0 and 1, not {number}")
        if name in chosen:
            raise ValueError(f"fault {name!r} is given twice")
        chosen[name] = probability
    return chosen


class Dice:
    """Roll for faults. Thread-safe; `hits` counts what was injected."""

    def __init__(self, text: str, seed: int) -> None:
        self.probabilities = parse_faults(text)
        self.hits: Counter[str] = Counter()
        self._seed = seed
        self._lock = threading.Lock()
        self._generators = {name: random.Random(f"{seed}/{name}") for name in self.probabilities}

    def roll(self, name: str) -> bool:
        """Return whether fault `name` strikes this time."""
        if name not in self.probabilities:
            return False
        with self._lock:
            struck = self._generators[name].random() < self.probabilities[name]
            self.hits[name] += struck
        return struck

    def clock_skew_s(self) -> int:
        """Throw for the clock faults; return by how many seconds the gateway's clock is ahead."""
        return next((seconds for name, seconds in CLOCK_FAULTS.items() if self.roll(name)), 0)

    def delay_s(self) -> float:
        """Throw for the delays; return how many seconds longer this answer takes, before the time scale."""
        return sum(seconds for name, seconds in DELAY_FAULTS.items() if self.roll(name))

    def marks(self, name: str, entity_id: str) -> bool:
        """Return whether fault `name` sticks to this entity: the same answer every time."""
        probability = self.probabilities.get(name, 0.0)
        if probability <= 0:
            return False
        digest = hashlib.sha256(f"{self._seed}/{name}/{entity_id}".encode()).digest()
        return int.from_bytes(digest[:7], "big") / 2**56 < probability

    def choose(self, name: str, count: int) -> int:
        """Return a number below `count`, drawn from the generator of fault `name`."""
        with self._lock:
            return self._generators[name].randrange(count)
