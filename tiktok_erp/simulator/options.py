"""What a simulated shop can be told: the options, their limits, and how a list of faults is read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from tiktok_erp.simulator.faults import parse_faults

MODES = ("us-local", "packages-first")
CARRIERS = ("tiktok", "seller", "mixed")
SELLER_TYPES = ("LOCAL", "CROSS_BORDER")
UNKNOWN_IDS = ("omit", "fail")
# What a seller can grant (reference, section 1.5).
SCOPES = (
    "seller.authorization.info",
    "seller.order.info",
    "seller.order.ext_ref.read",
    "seller.order.ext_ref.write",
    "seller.fulfillment.basic",
    "seller.fulfillment.package.write",
    "seller.logistics",
    "seller.product.basic",
    "seller.product.write",
    "seller.return_refund.basic",
    "seller.finance.info",
    "seller.affiliate_collaboration.read",
)
ALL_SCOPES = "all"
MAX_SHOPS = 100


def parse_scopes(text: str) -> tuple[str, ...]:
    """Read `SCOPE,SCOPE,...`, or `all`; raise ValueError for an empty list and for scopes that do not exist."""
    named = tuple(dict.fromkeys(filter(None, (piece.strip() for piece in text.split(",")))))
    if named == (ALL_SCOPES,):
        return SCOPES
    unknown = [name for name in named if name not in SCOPES]
    if unknown or not named:
        wrong = f"unknown scope {unknown[0]!r}" if unknown else "scopes must not be empty"
        raise ValueError(f"{wrong}; known scopes: {ALL_SCOPES}, {', '.join(SCOPES)}")
    return named


@dataclass(frozen=True)
class SimulatorOptions:
    """One simulated shop. Bad values raise ValueError with a text that names the option.

    `rate_limit` is requests a second and endpoint (0: no limit). `time_scale` divides the shop's own waits (arrivals,
    payment, hold, documents); every timestamp on the wire stays wall-clock, and so do published deadlines.
    `shops` are opened by one token: the first has the orders, the others are empty. `scopes` is a comma list or `all`.
    With `own_usps` it takes numbers of USPS labels that it did not sell, as TikTok did before 2026.
    A shop with another `shop_code` passes for a real one: what is asked before money is spent is asked there too.
    """

    port: int = 0
    ready_file: Path | None = None
    orders: int = 300
    minutes: float = 0
    seed: int = 1
    latency_ms: int = 0
    rate_limit: float = 50
    hold_seconds: float = 3600
    time_scale: float = 1
    mode: str = "us-local"
    carrier: str = "mixed"
    faults: str = ""
    state: Path | None = None
    token_life_s: float = 7 * 86400
    zero_quantity_refused: bool = False
    label_allocation: bool = True
    document_seconds: float = 2.0
    scan_after_s: float = 20 * 3600
    seller_type: str = "LOCAL"
    unknown_ids: str = "omit"
    sandbox_quota: int = 0
    shops: int = 1
    scopes: str = ALL_SCOPES
    shop_code: str = "SIMULATED"
    own_usps: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must be between 0 and 65535, not {self.port}")
        if not 1 <= self.shops <= MAX_SHOPS:
            raise ValueError(f"shops must be between 1 and {MAX_SHOPS}, not {self.shops}")
        if self.orders < 0:
            raise ValueError(f"orders must not be negative, got {self.orders}")
        not_negative = {
            "minutes": self.minutes,
            "latency_ms": self.latency_ms,
            "rate_limit": self.rate_limit,
            "hold_seconds": self.hold_seconds,
            "document_seconds": self.document_seconds,
            "scan_after_s": self.scan_after_s,
            "sandbox_quota": self.sandbox_quota,
        }
        for name, value in not_negative.items():
            if not math.isfinite(value) or value < 0:
                raise ValueError(f"{name} must be a number that is not negative, got {value}")
        for name, value in {"time_scale": self.time_scale, "token_life_s": self.token_life_s}.items():
            if not math.isfinite(value) or value <= 0:
                raise ValueError(f"{name} must be above 0, got {value}")
        choices = {
            "mode": (self.mode, MODES),
            "carrier": (self.carrier, CARRIERS),
            "seller_type": (self.seller_type, SELLER_TYPES),
            "unknown_ids": (self.unknown_ids, UNKNOWN_IDS),
        }
        for name, (word, allowed) in choices.items():
            if word not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {word!r}")
        parse_faults(self.faults)
        parse_scopes(self.scopes)

    def wait_s(self, seconds: float) -> float:
        """Return how long the shop really waits for something that takes `seconds` in a real shop."""
        return seconds / self.time_scale
