"""`python -m tests.benchmarks.stream`: a hot SKU sells out on two channels while each quantity is two minutes blind.

What the tool decides with is the tool's own: the speed, the safety stock, the shares of the two listings. Around it stands a
shop that nobody knows better than this: every second each channel may sell what it shows; an order shows 30 seconds late, a
fetch is a minute old when quantities are worked out, and a quantity holds 30 seconds after that. The stream has bursts, when
the host holds the piece up.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import tiktok_erp.config
from tiktok_erp.config.rules_file import load_rules
from tiktok_erp.model.safety_stock import Live, SafetyRule, SalesView, fast_sellers, plan_safety_stock
from tiktok_erp.stock.plan import ListingState, share_pools

PIECES = 1000
CHANNELS = ("shopify", "tiktok")
EVENINGS = 200
PLATFORM_S, AGE_S, PUSH_S, EVERY_S = 30, 60, 30, 60
BLIND_S = PLATFORM_S + AGE_S + PUSH_S
LOOK_BACK_S = 3600
STREAM_S = 5400
SHIPPED = Path(tiktok_erp.config.__file__).with_name("default_rules.yaml")

RULES = {
    "nothing kept back": (SafetyRule("*", units=0),),
    "5 pieces": (SafetyRule("*", units=5),),
    "20 % (flat)": (SafetyRule("*", percent=Decimal(20)),),
    "auto, factor 1": (SafetyRule("*", is_auto=True, factor=Decimal(1)),),
    "auto, factor 1.5": (SafetyRule("*", is_auto=True, factor=Decimal("1.5")),),
    "auto, factor 2 (the default)": (SafetyRule("*", is_auto=True),),
    "as shipped (auto in a stream, else 20 %)": load_rules(SHIPPED).safety_stock,
}


@dataclass(slots=True)
class Evening:
    """How one stream ended."""

    sold: int
    left: int

    @property
    def oversold(self) -> int:
        return max(0, self.sold - PIECES)


def demand(second: int, dice: random.Random, bursts: list[int]) -> float:
    """Return the buyers a second who want a piece, over both channels: 5 a minute, 20 in the stream, 60 in a burst."""
    del dice
    per_minute = 5.0 if second < 600 or second > STREAM_S - 600 else 20.0
    if any(start <= second < start + 180 for start in bursts):
        per_minute = 60.0
    return per_minute / 60


def play(rules: tuple[SafetyRule, ...], seed: int) -> Evening:
    """Play one evening. The same seed brings the same buyers, whatever the rules."""
    dice = random.Random(seed)
    bursts = sorted(dice.randrange(900, STREAM_S - 900) for _burst in range(6))
    shown = dict.fromkeys(CHANNELS, 0)
    landing: list[tuple[int, dict[str, int]]] = [(0, _wanted(rules, [], 0))]
    sales: list[int] = []
    for second in range(STREAM_S):
        while landing and landing[0][0] <= second:
            shown.update(landing.pop(0)[1])
        for channel in CHANNELS:
            rate = demand(second, dice, bursts) / len(CHANNELS)
            for _buyer in range(_poisson(dice, rate)):
                if shown[channel] > 0:
                    shown[channel] -= 1
                    sales.append(second)
        if second % EVERY_S == 0:
            known = [at for at in sales if at <= second - AGE_S - PLATFORM_S]
            landing.append((second + PUSH_S, _wanted(rules, known, second)))
    return Evening(len(sales), max(0, PIECES - len(sales)))


def _wanted(rules: tuple[SafetyRule, ...], known: list[int], now: int) -> dict[str, int]:
    free = PIECES - len(known)
    sales = {"HOT": [(at, 1) for at in known if at > now - LOOK_BACK_S]}
    live = Live()
    view = SalesView(
        channels=CHANNELS,
        live_skus=fast_sellers(sales, int(live.quiet_after.total_seconds()), live.enough_units),
        sales=sales,
        blind_s=BLIND_S,
    )
    kept = plan_safety_stock(rules, [("HOT", "main", max(0, free))], view)[0].kept.quantity
    offers = (("main", max(0, free - kept)),)
    listings = [ListingState("1", "1", "HOT", offers, 0, None, ("W1",), channel=channel) for channel in CHANNELS]
    shares = share_pools(listings, {}, {})
    return {channel: sum(shares[channel, "1"].values()) for channel in CHANNELS}


def _poisson(dice: random.Random, mean: float) -> int:
    limit, product, count = math.exp(-mean), dice.random(), 0
    while product > limit:
        product *= dice.random()
        count += 1
    return count


def table(evenings: int = EVENINGS) -> list[tuple[str, str, str, str, str]]:
    """Return a row per rule: evenings with oversold pieces, pieces oversold in all, in the worst one, left over on average."""
    rows = []
    for name, rules in RULES.items():
        played = [play(rules, seed) for seed in range(evenings)]
        over = [evening.oversold for evening in played]
        rows.append(
            (
                name,
                f"{sum(pieces > 0 for pieces in over)} of {evenings}",
                str(sum(over)),
                str(max(over)),
                f"{sum(evening.left for evening in played) / evenings:.0f}",
            )
        )
    return rows


def main() -> None:
    """Print the table of README.md."""
    header = (
        "safety stock",
        "evenings with oversold pieces",
        "oversold in all",
        "in the worst evening",
        "left at the end, mean",
    )
    for row in (header, ("---",) * len(header), *table()):
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
