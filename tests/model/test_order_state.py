"""What the channel's words mean: states, the hold hour, deadlines (TikTok reference, sections 5.1, 5.2, 5.3)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiktok_erp.model.facts import OrderFacts, UnitFacts
from tiktok_erp.model.order_state import (
    STILL_PROMISED,
    channel_deadline,
    delivered_at,
    estimated_deadline,
    held_until,
    is_packed_by_us,
    order_state,
    scanned_at,
    unit_state,
)
from tiktok_erp.model.rule import Deadlines

NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def facts(status: str = "AWAITING_SHIPMENT", **values: Any) -> OrderFacts:
    return OrderFacts(
        channel="tiktok", channel_order_id="576990123456789012", status=status, source="api", as_of=NOON, **values
    )


def unit(status: str, **values: Any) -> UnitFacts:
    return UnitFacts(channel_sku_id="1729592969712207013", status=status, **values)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("UNPAID", "unpaid"),
        ("ON_HOLD", "held"),
        ("AWAITING_SHIPMENT", "open"),
        ("PARTIALLY_SHIPPING", "open"),
        ("AWAITING_COLLECTION", "closed"),
        ("IN_TRANSIT", "closed"),
        ("DELIVERED", "closed"),
        ("COMPLETED", "closed"),
        ("CANCELLED", "cancelled"),
        ("CANCEL", "cancelled"),
    ],
)
def test_every_documented_order_status_has_a_state(status: str, state: str) -> None:
    assert order_state(status, []) == state


@given(st.text())
def test_a_word_that_is_in_no_table_is_unknown_and_never_open(word: str) -> None:
    documented = {"UNPAID", "ON_HOLD", "AWAITING_SHIPMENT", "PARTIALLY_SHIPPING", "AWAITING_COLLECTION", "IN_TRANSIT"}
    documented |= {"DELIVERED", "COMPLETED", "CANCELLED", "CANCEL", "TO_SHIP"}
    if word not in documented:
        assert order_state(word, ["open"]) == "unknown"
        assert unit_state(unit(word or "WORD"), "AWAITING_SHIPMENT") == "unknown"


@pytest.mark.parametrize("word", ["awaiting_shipment", "AWAITING_SHIPMENT ", "Awaiting Shipment", "111"])
def test_a_word_spelt_another_way_is_not_taken_for_the_known_one(word: str) -> None:
    assert order_state(word, ["open"]) == "unknown"


def test_an_unknown_order_is_still_promised_so_that_its_stock_stays_held() -> None:
    assert {"unpaid", "held", "open", "unknown"} == STILL_PROMISED


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["open", "shipped"], "open"),
        (["unknown", "shipped"], "open"),
        (["shipped", "shipped"], "closed"),
        (["shipped", "cancelled"], "closed"),
        (["cancelled", "cancelled"], "cancelled"),
        ([], "open"),
    ],
)
def test_an_open_order_follows_its_units_once_none_is_left(states: list[str], expected: str) -> None:
    assert order_state("PARTIALLY_SHIPPING", states) == expected


def test_a_closed_order_is_never_reopened_by_its_units() -> None:
    assert order_state("AWAITING_COLLECTION", ["open", "open"]) == "closed"


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("UNPAID", "open"),
        ("ON_HOLD", "open"),
        ("AWAITING_SHIPMENT", "open"),
        ("TO_SHIP", "open"),
        ("AWAITING_COLLECTION", "shipped"),
        ("IN_TRANSIT", "shipped"),
        ("DELIVERED", "shipped"),
        ("COMPLETED", "shipped"),
        ("CANCELLED", "cancelled"),
    ],
)
def test_every_documented_unit_status_has_a_state(word: str, state: str) -> None:
    assert unit_state(unit(word), "AWAITING_SHIPMENT") == state


def test_all_units_of_a_cancelled_order_are_cancelled_whatever_they_say() -> None:
    assert unit_state(unit("AWAITING_SHIPMENT"), "CANCELLED") == "cancelled"
    assert unit_state(unit("IN_TRANSIT"), "CANCEL") == "cancelled"


def test_a_unit_without_a_word_of_its_own_takes_the_orders() -> None:
    assert unit_state(unit(""), "IN_TRANSIT") == "shipped"


def test_a_unit_of_a_partly_shipped_order_without_own_word_has_left_if_it_has_a_package() -> None:
    assert unit_state(unit("PARTIALLY_SHIPPING"), "PARTIALLY_SHIPPING") == "open"
    assert unit_state(unit("PARTIALLY_SHIPPING", channel_package_id="11531"), "PARTIALLY_SHIPPING") == "shipped"


def test_a_paid_order_without_the_platforms_hold_is_held_for_an_hour_by_us() -> None:
    assert held_until(facts(paid_at=NOON, is_on_hold_order=False)) == NOON + HOUR


def test_an_order_whose_hold_nobody_told_of_is_held_by_us_too() -> None:
    assert held_until(facts(paid_at=NOON, is_on_hold_order=None)) == NOON + HOUR


def test_an_order_that_came_through_the_platforms_hold_goes_at_once() -> None:
    assert held_until(facts(paid_at=NOON, is_on_hold_order=True)) is None


def test_the_platforms_hold_ends_an_hour_after_payment() -> None:
    assert held_until(facts("ON_HOLD", paid_at=NOON, is_on_hold_order=True)) == NOON + HOUR


def test_a_pre_order_is_held_until_its_release() -> None:
    release = NOON + timedelta(days=20)
    assert held_until(facts("ON_HOLD", paid_at=NOON, release_at=release, is_presale=True)) == release


@pytest.mark.parametrize("status", ["UNPAID", "AWAITING_COLLECTION", "COMPLETED", "CANCELLED", "NEW_WORD"])
def test_what_cannot_be_shipped_anyway_has_no_hold_of_ours(status: str) -> None:
    assert held_until(facts(status, paid_at=NOON)) is None


def test_a_hold_whose_start_is_not_known_has_no_invented_end() -> None:
    assert held_until(facts("ON_HOLD")) is None
    assert held_until(facts(paid_at=None)) is None


@given(st.lists(st.one_of(st.none(), st.integers(0, 100)), min_size=4, max_size=4))
def test_the_deadline_is_the_earliest_that_the_channel_gave(hours: list[int | None]) -> None:
    times = [None if count is None else NOON + count * HOUR for count in hours]
    names = ("rts_sla_at", "tts_sla_at", "shipping_due_at", "cancel_sla_at")
    given_times = [moment for moment in times if moment is not None]
    order = facts(**dict(zip(names, times, strict=True)))
    assert channel_deadline(order) == (min(given_times) if given_times else None)


def test_without_a_deadline_of_the_channel_the_rules_estimate_one() -> None:
    deadlines = Deadlines(ship_within=24 * HOUR, presale_within=72 * HOUR)
    assert estimated_deadline(facts(paid_at=NOON), deadlines) == NOON + 24 * HOUR
    assert estimated_deadline(facts(paid_at=NOON, is_presale=True), deadlines) == NOON + 72 * HOUR
    release = NOON + timedelta(days=9)
    presale = facts(paid_at=NOON, is_presale=True, release_at=release)
    assert estimated_deadline(presale, deadlines) == release + 72 * HOUR


def test_no_deadline_is_invented_for_an_unpaid_order() -> None:
    assert estimated_deadline(facts("UNPAID", placed_at=NOON), Deadlines()) is None
    assert estimated_deadline(facts("UNPAID", placed_at=NOON, is_presale=True), Deadlines()) is None


def test_scanned_and_delivered_are_two_times() -> None:
    assert scanned_at(facts("AWAITING_COLLECTION", updated_at=NOON)) is None
    assert scanned_at(facts("IN_TRANSIT", updated_at=NOON - HOUR)) == NOON - HOUR
    assert scanned_at(facts("IN_TRANSIT", updated_at=NOON, collected_at=NOON - HOUR)) == NOON - HOUR
    assert delivered_at(facts("IN_TRANSIT", updated_at=NOON)) is None
    assert delivered_at(facts("DELIVERED", updated_at=NOON)) == NOON
    assert delivered_at(facts("DELIVERED")) == NOON  # nothing better than when it was read


def test_a_completed_order_may_have_been_refunded_before_it_arrived() -> None:
    assert delivered_at(facts("COMPLETED", updated_at=NOON)) is None
    assert delivered_at(replace(facts("COMPLETED"), delivered_at=NOON)) == NOON


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("FULFILLMENT_BY_TIKTOK", True),
        ("FULFILLMENT_BY_DILAYANI_TOKOPEDIA", True),
        ("FULFILLMENT_BY_SELLER", False),
        ("SOMETHING_NEW", False),
        ("", False),
        (None, False),
    ],
)
def test_only_the_channels_own_fulfilment_is_the_channels(word: str | None, expected: bool) -> None:
    assert is_packed_by_us(word, "SELLER") is not expected
