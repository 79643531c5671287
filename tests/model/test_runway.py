"""How long stock lasts."""

from __future__ import annotations

from decimal import Decimal

from tiktok_erp.model.runway import plan_runway, speed_now

NOW = 100_000


def test_the_speed_is_that_of_the_last_ten_minutes_or_the_mean_if_higher() -> None:
    recent = [(NOW - 60 * minute, 4) for minute in range(10, 0, -1)]
    assert speed_now(recent[1:], now_s=NOW, look_back_s=3600) == Decimal("3.6")
    assert speed_now([(NOW - 3000, 60)], now_s=NOW, look_back_s=3600) == 1
    assert speed_now([(NOW - 4000, 60)], now_s=NOW, look_back_s=3600) == 0


def test_what_is_short_comes_first_then_what_is_sold_out_first() -> None:
    stock = {"A": (10, 0, 10), "B": (10, 0, 5), "C": (10, 10, 0), "D": (99, 0, 99)}
    sales = {"A": [(NOW - 30, 10)], "B": [(NOW - 30, 10)], "C": [(NOW - 30, 10)]}
    planned = plan_runway(stock, sales, {"A": (2, 2), "B": (3, 1)}, now_s=NOW, look_back_s=3600)
    assert [(entry.sku, entry.minutes_left) for entry in planned] == [("B", 5), ("C", 0), ("A", 10), ("D", None)]
    first = planned[0]
    assert (first.kept_back, first.short, first.by_intent, first.per_minute) == (5, 3, 1, Decimal("1.00"))
    assert first.missing_within(60) == 60 - 5 + 2
    assert planned[3].missing_within(60) == 0
