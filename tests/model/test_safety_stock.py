"""How much is kept back: shares, speeds, and which rule is asked."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiktok_erp.model.safety_stock import (
    KeptBack,
    SafetyRule,
    SalesView,
    Speed,
    busiest_stretch,
    kept_back_of,
    plan_safety_stock,
)

sales = st.lists(st.tuples(st.integers(0, 900), st.integers(1, 3)), max_size=40).map(sorted)


def kept(rules: tuple[SafetyRule, ...], sku: str, free: int, **values: object) -> KeptBack:
    view = SalesView(**values)  # type: ignore[arg-type]
    return kept_back_of(rules, sku, free, view, channel="tiktok", warehouse="main")


def steady(per_minute: int, minutes: int = 30) -> list[tuple[int, int]]:
    return [(second * 60 // per_minute, 1) for second in range(per_minute * minutes)]


def test_a_share_is_rounded_down_so_that_the_last_unit_can_be_sold() -> None:
    rules = (SafetyRule("*", percent=Decimal(20)),)
    assert [kept(rules, "ANY", free).quantity for free in (0, 1, 4, 5, 9, 10, 100)] == [0, 0, 0, 1, 1, 2, 20]


def test_a_share_with_decimals_is_exact() -> None:
    assert SafetyRule("*", percent=Decimal("12.5")).kept_back(80) == 10
    assert SafetyRule("*", percent=Decimal("0.1")).kept_back(999) == 0
    assert SafetyRule("*", percent=Decimal("0.1")).kept_back(1000) == 1


def test_the_first_rule_that_fits_decides_and_none_keeps_nothing() -> None:
    rules = (SafetyRule("MUG-*", units=5), SafetyRule("MUG-RED", percent=Decimal(50)))
    assert kept(rules, "MUG-RED", 100).quantity == 5
    assert kept(rules, "SHIRT", 100).quantity == 0


@given(st.integers(-50, 100_000), st.decimals(0, 100, places=2))
def test_a_share_is_never_negative_nor_more_than_there_is(on_hand: int, percent: Decimal) -> None:
    assert 0 <= SafetyRule("*", percent=percent).kept_back(on_hand) <= max(0, on_hand)


@pytest.mark.parametrize(
    ("per_minute", "blind_s", "factor", "pieces"), [(40, 120, 1, 80), (40, 60, 2, 80), (1, 60, 1, 1)]
)
def test_auto_keeps_what_sells_in_the_blind_time(per_minute: int, blind_s: int, factor: int, pieces: int) -> None:
    rule = SafetyRule("*", is_auto=True, factor=Decimal(factor))
    assert kept((rule,), "HOT", 1000, sales={"HOT": steady(per_minute)}, blind_s=blind_s).quantity == pieces


def test_auto_falls_back_to_its_share_while_too_little_was_sold() -> None:
    rule = SafetyRule("*", is_auto=True, otherwise=Decimal(10))
    few = {"HOT": [(0, 1), (1, 1)]}
    assert (kept((rule,), "HOT", 100, sales=few).quantity, kept((rule,), "HOT", 100, sales=few).kind) == (
        10,
        "auto_percent",
    )
    assert kept((rule,), "HOT", 100, sales={"HOT": [(second, 1) for second in range(5)]}).kind == "auto"


def test_bounds_hold_whatever_the_rule_gives() -> None:
    rule = SafetyRule("*", percent=Decimal(20), at_least=3, at_most=8)
    assert [kept((rule,), "A", free).quantity for free in (0, 20, 30, 100)] == [3, 4, 6, 8]


def test_a_rule_may_be_about_a_channel_a_warehouse_or_a_stream() -> None:
    live = SafetyRule("*", units=9, live=True)
    east = SafetyRule("*", units=7, warehouse="east")
    other = SafetyRule("*", units=8, channel="shopify")
    rest = SafetyRule("*", units=1)
    rules = (live, east, other, rest)
    assert kept(rules, "A", 100).quantity == 1
    assert kept(rules, "A", 100, live_globs=("A*",)).quantity == 9
    assert kept(rules, "A", 100, live_skus=frozenset({"A"})).quantity == 9
    assert kept(rules, "B", 100, live_globs=("A*",)).quantity == 1
    view = SalesView()
    assert kept_back_of(rules, "A", 100, view, channel="tiktok", warehouse="east").quantity == 7
    assert kept_back_of(rules, "A", 100, view, channel="shopify", warehouse="main").quantity == 8


@given(sales, st.integers(1, 300))
def test_the_busiest_stretch_is_the_best_of_all_that_end_at_a_sale(sold: list[tuple[int, int]], window: int) -> None:
    by_hand = max((sum(n for t, n in sold if at - window < t <= at) for at, _n in sold), default=0)
    assert busiest_stretch(sold, window) == Speed(sum(n for _t, n in sold), by_hand, window)


@given(
    st.lists(
        st.tuples(st.sampled_from("AB"), st.sampled_from(["east", "main"]), st.integers(0, 50)),
        unique_by=lambda x: x[:2],
    )
)
def test_auto_keeps_its_pieces_once_over_all_warehouses(stock: list[tuple[str, str, int]]) -> None:
    view = SalesView(sales={"A": steady(5)}, blind_s=60)
    planned = plan_safety_stock((SafetyRule("*", is_auto=True, factor=Decimal(1)),), stock, view)
    total = sum(free for sku, _place, free in stock if sku == "A")
    pieces = sum(entry.kept.quantity for entry in planned if entry.sku == "A" and entry.channel is None)
    if total:
        assert 5 <= pieces <= 5 + len(stock)


def test_a_channel_that_keeps_more_is_told_apart() -> None:
    rules = (SafetyRule("*", units=30, channel="tiktok"), SafetyRule("*", units=5))
    planned = plan_safety_stock(rules, [("A", "main", 100)], SalesView(channels=("shopify", "tiktok")))
    assert [(entry.channel, entry.kept.quantity) for entry in planned] == [(None, 5), ("tiktok", 30)]
    (only,) = plan_safety_stock(rules, [("A", "main", 100)], SalesView(channels=("tiktok",)))
    assert (only.channel, only.kept.quantity) == (None, 30)
