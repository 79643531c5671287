"""How long stock lasts at the speed at which it sells, and what a seller can do about it. Pure, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

RECENT_S = 600  # a stream's speed is that of its last ten minutes
_A_MINUTE = 60
_SHOWN = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Runway:
    """One SKU: what can still be sold, how fast it sells, and the minutes until it is sold out (None: nothing is sold).

    `per_minute` is rounded to hundredths. `short` units were sold and hold no piece; `by_intent` of them were sold before there is stock.
    """

    sku: str
    on_hand: int
    reserved: int
    available: int
    kept_back: int
    short: int
    by_intent: int
    per_minute: Decimal
    minutes_left: int | None
    units_sold: int

    def missing_within(self, minutes: int) -> int:
        """Return how many pieces are lacking within so many minutes, those that are short already in."""
        wanted = int(self.per_minute * minutes) - self.available
        return max(0, wanted) + self.short - self.by_intent


def speed_now(sales: Sequence[tuple[int, int]], *, now_s: int, look_back_s: int) -> Decimal:
    """Return the pieces a minute, exactly: those of the last ten minutes, or the mean of all that was looked at where it is higher."""
    recent_s = min(RECENT_S, look_back_s)
    recent = sum(pieces for second, pieces in sales if second > now_s - recent_s)
    whole = sum(pieces for second, pieces in sales if second > now_s - look_back_s)
    speeds = (Decimal(recent) * _A_MINUTE / recent_s, Decimal(whole) * _A_MINUTE / look_back_s)
    return max(speeds)


def plan_runway(
    stock: Mapping[str, tuple[int, int, int]],
    sales: Mapping[str, Sequence[tuple[int, int]]],
    short: Mapping[str, tuple[int, int]],
    *,
    now_s: int,
    look_back_s: int,
) -> tuple[Runway, ...]:
    """Return every counted SKU, the one that is sold out first at the top.

    `stock` holds (on hand, reserved, available to sell) per SKU, `sales` (second, pieces) in order of time, `short` how many
    units lack a piece, and how many of them by intent.
    """
    found = []
    for sku, (on_hand, reserved, available) in stock.items():
        sold = sales.get(sku, ())
        speed = speed_now(sold, now_s=now_s, look_back_s=look_back_s)
        minutes = int(available / speed) if speed > 0 else None
        units, by_intent = short.get(sku, (0, 0))
        found.append(
            Runway(
                sku,
                on_hand,
                reserved,
                available,
                max(0, on_hand - reserved - available),
                units,
                by_intent,
                speed.quantize(_SHOWN),
                minutes,
                sum(pieces for second, pieces in sold),
            )
        )
    return tuple(
        sorted(
            found,
            key=lambda entry: (
                entry.short - entry.by_intent == 0,
                entry.minutes_left is None,
                entry.minutes_left or 0,
                entry.available,
                entry.sku,
            ),
        )
    )
