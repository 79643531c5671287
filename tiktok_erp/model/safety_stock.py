"""How much of a SKU is kept back from sale: fixed, a share, or as much as is sold while nobody looks. Pure, no clock."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import ROUND_CEILING, Decimal

from tiktok_erp.model.condition import glob_pattern

_A_SHARE = Decimal(100)


@dataclass(frozen=True, slots=True)
class Live:
    """The section `live`: how sales are measured, and when a stream counts as running."""

    look_back: timedelta = timedelta(minutes=60)
    quiet_after: timedelta = timedelta(minutes=15)  # a room without an order for so long is over
    platform_delay: timedelta = timedelta(seconds=30)  # until an order shows, and until a quantity holds
    enough_units: int = 5  # fewer sold in `look_back` say nothing about the speed


@dataclass(frozen=True, slots=True)
class Speed:
    """What was sold of a SKU: `units` in all of the time looked at, `busiest` of them within one stretch of `window_s`."""

    units: int
    busiest: int
    window_s: int

    @property
    def per_minute(self) -> Decimal:
        """The pieces a minute in the busiest stretch."""
        return (Decimal(self.busiest) * 60 / self.window_s).quantize(Decimal("0.1"))


@dataclass(frozen=True, slots=True)
class SafetyRule:
    """Keep back `percent` of what is free, or `units` pieces, or `is_auto`: what is sold in the blind time, x `factor`.

    The rule is about every SKU that fits the glob `sku`, and where they are given about one channel, one warehouse, SKUs
    that are (True) or are not (False) in a live stream. `at_least` and `at_most` bound what it gives.
    """

    sku: str
    percent: Decimal | None = None
    units: int = 0
    is_auto: bool = False
    factor: Decimal = Decimal(2)
    otherwise: Decimal = Decimal(20)  # the share that `is_auto` keeps while too little was sold
    at_least: int = 0
    at_most: int | None = None
    channel: str | None = None
    warehouse: str | None = None
    live: bool | None = None
    fits: Callable[[str], object] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fits", glob_pattern([self.sku]).fullmatch)

    def covers(self, sku: str, *, channel: str | None = None, warehouse: str | None = None, live: bool = False) -> bool:
        """Tell whether the rule is about this SKU there and then."""
        return bool(
            self.fits(sku)
            and self.channel in (None, channel)
            and self.warehouse in (None, warehouse)
            and self.live in (None, live)
        )

    def kept_back(self, free: int, speed: Speed | None = None, enough_units: int = 0) -> int:
        """Return the pieces kept back of `free` (on hand, not reserved); a share is rounded down: the last unit can be sold.

        Of what is free, not of all that is on hand: when reserved pieces leave, nothing changes for what can be sold.
        """
        return self.explain(free, speed, enough_units).quantity

    def explain(self, free: int, speed: Speed | None = None, enough_units: int = 0) -> KeptBack:
        """Return what is kept back of `free`, and the figures behind it."""
        share, kind = self.percent, "percent"
        if self.is_auto and speed is not None and speed.units >= max(1, enough_units):
            wanted = int((speed.busiest * self.factor).to_integral_value(ROUND_CEILING))
            return self._bounded(max(1, wanted), "auto", speed)
        if self.is_auto:
            share, kind = self.otherwise, "auto_percent"
        if share is None:
            return self._bounded(self.units, "units", None)
        return self._bounded(int(max(0, free) * share // _A_SHARE), kind, None)

    def _bounded(self, quantity: int, kind: str, speed: Speed | None) -> KeptBack:
        bounded = max(self.at_least, quantity)
        if self.at_most is not None:
            bounded = min(self.at_most, bounded)
        return KeptBack(bounded, kind, self, speed, bounded != quantity)


@dataclass(frozen=True, slots=True)
class KeptBack:
    """How much is kept back and why: `kind` is units, percent, auto, auto_percent (too little sold) or none (no rule)."""

    quantity: int
    kind: str
    rule: SafetyRule | None
    speed: Speed | None
    is_bounded: bool = False

    def basis(self) -> dict[str, object]:
        """Return the figures as they are stored beside the quantity."""
        if self.rule is None:
            return {"kind": self.kind}
        found: dict[str, object] = {"kind": self.kind, "sku": self.rule.sku}
        for name in ("channel", "warehouse", "live"):
            if getattr(self.rule, name) is not None:
                found[name] = getattr(self.rule, name)
        if self.kind in ("percent", "auto_percent"):
            share = self.rule.percent if self.kind == "percent" else self.rule.otherwise
            found["percent"] = str(share)
        if self.kind == "auto" and self.speed is not None:
            found |= {
                "per_minute": str(self.speed.per_minute),
                "blind_s": self.speed.window_s,
                "factor": str(self.rule.factor),
            }
        if self.is_bounded:
            found |= {"at_least": self.rule.at_least, "at_most": self.rule.at_most}
        return found


NOTHING_KEPT = KeptBack(0, "none", None, None)


@dataclass(frozen=True, slots=True)
class SalesView:
    """What the rules may ask of the moment. `sales` holds (second, pieces) per SKU, in order of time."""

    channels: tuple[str, ...] = ()
    live_globs: tuple[str, ...] = ()
    live_skus: frozenset[str] = frozenset()
    sales: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)
    blind_s: int = 120
    enough_units: int = 5

    def is_live(self, sku: str) -> bool:
        """Tell whether the SKU is in a stream now, by a session that was started, or by where or how fast it is sold."""
        if sku in self.live_skus:
            return True
        return any(_glob(glob).fullmatch(sku) is not None for glob in self.live_globs)

    def speed(self, sku: str) -> Speed | None:
        """Return how fast the SKU sells, None when nothing was sold."""
        sales = self.sales.get(sku)
        return busiest_stretch(sales, self.blind_s) if sales else None


def _glob(glob: str) -> re.Pattern[str]:
    return glob_pattern([glob])


def busiest_stretch(sales: Sequence[tuple[int, int]], window_s: int) -> Speed:
    """Return the most pieces sold within any stretch of `window_s` seconds; `sales` is (second, pieces) in order of time.

    The busiest stretch and not the mean: a stream's next two minutes are like its worst two, and once nothing is offered any
    more nothing is sold, though people still want it.
    """
    times = [second for second, pieces in sales]
    sums = [0]
    for _second, pieces in sales:
        sums.append(sums[-1] + pieces)
    busiest = 0
    for index, second in enumerate(times):
        first = bisect_left(times, second - window_s + 1, 0, index + 1)
        busiest = max(busiest, sums[index + 1] - sums[first])
    return Speed(sums[-1], busiest, window_s)


def fast_sellers(sales: Mapping[str, Sequence[tuple[int, int]]], window_s: int, enough_units: int) -> frozenset[str]:
    """Return the SKUs of which at least `enough_units` pieces were sold within some `window_s` seconds, as in a stream.

    `sales` is (second, pieces) per SKU, in order of time. A stream is noticed so on channels that do not say where an order
    was placed; and silence after it does not end it, since what is held back at nothing cannot be sold.
    """
    least = max(1, enough_units)
    return frozenset(sku for sku, sold in sales.items() if busiest_stretch(sold, window_s).busiest >= least)


def kept_back_of(
    rules: Sequence[SafetyRule], sku: str, free: int, view: SalesView, *, channel: str | None, warehouse: str | None
) -> KeptBack:
    """Return what the first rule that covers the SKU keeps back of `free`; without one nothing is kept."""
    live = view.is_live(sku)
    for rule in rules:
        if rule.covers(sku, channel=channel, warehouse=warehouse, live=live):
            return rule.explain(free, view.speed(sku) if rule.is_auto else None, view.enough_units)
    return NOTHING_KEPT


@dataclass(frozen=True, slots=True)
class SafetyDecision:
    """What is kept back of one SKU in one warehouse; `channel` None: from everything that is offered."""

    channel: str | None
    sku: str
    warehouse: str
    kept: KeptBack


def plan_safety_stock(
    rules: Sequence[SafetyRule], stock: Sequence[tuple[str, str, int]], view: SalesView
) -> tuple[SafetyDecision, ...]:
    """Decide for every (SKU, warehouse, free pieces). What the channels have in common comes first, channels that keep more after.

    A speed is one of the SKU, wherever its pieces lie: `auto` shares its pieces over the warehouses by what is free there.
    """
    totals: dict[str, int] = {}
    for sku, _warehouse, free in stock:
        totals[sku] = totals.get(sku, 0) + max(0, free)
    decisions = []
    for sku, warehouse, free in stock:
        kept = {
            channel: _shared(
                kept_back_of(rules, sku, free, view, channel=channel, warehouse=warehouse), free, totals[sku]
            )
            for channel in (view.channels or (None,))
        }
        common = min(kept.values(), key=lambda entry: entry.quantity)
        decisions.append(SafetyDecision(None, sku, warehouse, common))
        decisions += [
            SafetyDecision(channel, sku, warehouse, entry)
            for channel, entry in kept.items()
            if channel is not None and entry.quantity > common.quantity
        ]
    return tuple(decisions)


def _shared(kept: KeptBack, free: int, total: int) -> KeptBack:
    if kept.kind != "auto" or total <= 0 or free >= total:
        return kept
    return KeptBack(-(-kept.quantity * max(0, free) // total), kept.kind, kept.rule, kept.speed, kept.is_bounded)
