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


@dataclass(frozen=True)
class SimulatorOptions:
    """One simulated shop. Bad values raise ValueError with a text that names the option.

    `rate_limit` is requests a second and endpoint (0: no limit). `time_scale` divides the shop's own waits (arrivals,
    payment, hold, documents); every timestamp on the wire stays wall-clock, and so do published deadlines.
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

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must be between 0 and 65535, not {self.port}")
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

    def wait_s(self, seconds: float) -> float:
        """Return how long the shop really waits for something that takes `seconds` in a real shop."""
        return seconds / self.time_scale
