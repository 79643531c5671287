"""What is to be done with a package, and by whom: nothing that must stay is sent, nothing is bought twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiktok_erp.handover.plan import (
    Mark,
    MarkedPackage,
    OrderFacts,
    PackageFacts,
    plan_mark,
    plan_people,
    plan_step,
    urgency,
)
from tiktok_erp.model.print_job import PrintItem, PrintLine

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def order(**values: Any) -> OrderFacts:
    whole: dict[str, Any] = {
        "order_id": "tiktok:576",
        "number": "576",
        "state": "open",
        "status": "AWAITING_SHIPMENT",
        "held_until": None,
        "asks_to_cancel": False,
        "shipping_type": "TIKTOK",
        "fulfillment_type": "FULFILLMENT_BY_SELLER",
        "uploaded_at": None,
        "is_moved": False,
    }
    return OrderFacts(**(whole | values))


def labelled(**values: Any) -> PackageFacts:
    whole: dict[str, Any] = {
        "orders": (order(),),
        "label_state": "bought",
        "label_source": "tiktok",
        "has_document": True,
    }
    return PackageFacts(**(whole | values))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (PackageFacts((order(),)), ("buy", "")),
        (PackageFacts((order(shipping_type="SELLER"),)), ("buy_elsewhere", "")),
        (PackageFacts((order(shipping_type=None),)), ("wait", "unknown_shipping_type")),
        (PackageFacts((order(state="held"),)), ("wait", "on_hold")),
        (PackageFacts((order(held_until=NOON + HOUR),)), ("wait", "on_hold")),
        (PackageFacts((order(asks_to_cancel=True),)), ("wait", "cancel_requested")),
        (PackageFacts((order(state="unknown"),)), ("wait", "unknown_status")),
        (PackageFacts((order(),), is_short=True), ("wait", "short")),
        (PackageFacts((order(),), is_held_by_seller=True), ("wait", "held_by_seller")),
        (PackageFacts((order(),), wait_until=NOON + HOUR), ("wait", "waiting")),
        (PackageFacts((order(),), wait_until=NOON), ("buy", "")),
        (PackageFacts((order(),), quarantine_cause="no_weight"), ("wait", "no_weight")),
        (PackageFacts((order(state="cancelled"),)), ("done", "")),
        (PackageFacts((order(state="closed"),)), ("done", "")),
        (PackageFacts((order(state="cancelled"), order())), ("buy", "")),
        (PackageFacts((order(), order(asks_to_cancel=True))), ("wait", "cancel_requested")),
        (PackageFacts((order(),), label_state="intent"), ("buy", "")),
        (PackageFacts((order(),), label_state="sent"), ("look", "")),
        (PackageFacts((order(),), label_state="unknown"), ("look", "")),
        (PackageFacts((order(state="cancelled"),), label_state="sent"), ("stop", "order_cancelled")),
        (labelled(), ("print", "")),
        (labelled(is_printed=True), ("pack", "")),
        (labelled(has_document=False), ("pack", "")),
        (labelled(label_source="channel", has_document=False), ("done", "")),
        (labelled(is_packed=True), ("done", "")),
        (labelled(is_moving=True), ("done", "")),
        (labelled(orders=(order(state="closed"),), is_printed=True), ("pack", "")),
        (labelled(orders=(order(), order(state="cancelled"))), ("stop", "order_cancelled")),
        (labelled(orders=(order(asks_to_cancel=True),)), ("stop", "cancel_requested")),
        (labelled(is_being_voided=True), ("stop", "label_voided")),
        (labelled(barcode="contradiction"), ("stop", "barcode_contradiction")),
        (labelled(quarantine_cause="other_tracking_number"), ("stop", "other_tracking_number")),
        (labelled(orders=(order(is_moved=True),)), ("stop", "address_changed")),
        (labelled(address_check="contradiction"), ("stop", "other_address")),
        (labelled(address_check="match"), ("print", "")),
    ],
    ids=str,
)
def test_what_is_to_be_done_follows_from_the_facts(facts: PackageFacts, expected: tuple[str, str]) -> None:
    assert plan_step(facts, NOON) == expected


@given(
    state=st.sampled_from(["unpaid", "held", "cancelled", "unknown"]),
    label=st.sampled_from([None, "intent", "bought"]),
    printed=st.booleans(),
)
def test_what_must_not_leave_is_never_on_a_list(state: str, label: str | None, printed: bool) -> None:
    facts = replace(labelled(is_printed=printed), orders=(order(state=state),), label_state=label)
    if label == "bought" and state in ("unpaid", "held"):
        return  # it was open when the label was bought
    assert plan_step(facts, NOON)[0] in ("wait", "stop", "done")


def item(number: int, *, hours: float | None = 5, sku: str = "MUG", pieces: int = 1) -> PrintItem:
    return PrintItem(
        package_id=f"P{number:06d}",
        order_ids=(f"tiktok:{number}",),
        channel_order_ids=(str(number),),
        ship_by=None if hours is None else NOON + timedelta(hours=hours),
        ship_by_estimated=False,
        carrier="usps",
        service_level="ground_advantage",
        tracking_number=None,
        lines=(PrintLine(sku, sku, "", pieces),),
    )


items = st.lists(
    st.tuples(
        st.integers(1, 500), st.sampled_from([None, 1.0, 5.0, 30.0]), st.sampled_from(["MUG", "CUP"]), st.integers(1, 4)
    ),
    max_size=80,
    unique_by=lambda row: row[0],
)


@given(rows=items, people=st.integers(1, 4))
def test_everything_is_on_exactly_one_list_in_order_of_deadline(rows: Any, people: int) -> None:
    packages = [item(number, hours=hours, sku=sku, pieces=pieces) for number, hours, sku, pieces in rows]
    shares = plan_people(packages, people, {})
    assert list(shares) == list(range(1, people + 1))
    assert sorted(entry.package_id for share in shares.values() for entry in share) == sorted(
        entry.package_id for entry in packages
    )
    for share in shares.values():
        known = [entry.ship_by for entry in share if entry.ship_by is not None]
        quarters = [int(ship_by.timestamp()) // (6 * 3600) for ship_by in known]
        assert quarters == sorted(quarters)
        assert all(entry.ship_by is None for entry in share[len(known) :])


@given(rows=items, people=st.integers(1, 4), more=st.integers(0, 20))
def test_a_later_kit_leaves_every_package_with_whom_it_was(rows: Any, people: int, more: int) -> None:
    packages = [item(number, hours=hours, sku=sku, pieces=pieces) for number, hours, sku, pieces in rows]
    first = plan_people(packages, people, {})
    before = {entry.package_id: person for person, share in first.items() for entry in share}
    later = plan_people([*packages[::2], *(item(1000 + number) for number in range(more))], people, before)
    for person, share in later.items():
        assert all(before.get(entry.package_id, person) == person for entry in share)


def test_the_most_urgent_work_is_shared() -> None:
    shares = plan_people([item(number, hours=1 + number % 2 * 40) for number in range(240)], 3, {})
    urgent = [sum(urgency(entry.ship_by, NOON) == "now" for entry in share) for share in shares.values()]
    assert max(urgent) - min(urgent) <= 20


def test_urgency_goes_by_the_time_that_is_left() -> None:
    words = [urgency(None if hours is None else NOON + hours * HOUR, NOON) for hours in (-1, 0, 3, 4, 23, 24, None)]
    assert words == ["late", "now", "now", "today", "today", "later", "unknown"]


def known(**values: Any) -> MarkedPackage:
    whole: dict[str, Any] = {
        "is_cancelled": False,
        "asks_to_cancel": False,
        "packed_before": False,
        "label_state": "bought",
        "has_document": True,
        "is_printed": False,
    }
    return MarkedPackage(**(whole | values))


@pytest.mark.parametrize(
    ("is_packed", "state", "expected"),
    [
        (True, known(), ("packed", "")),
        (True, known(packed_before=True), ("nothing", "already_packed")),
        (True, known(is_cancelled=True), ("failed", "packed_but_cancelled")),
        (True, known(asks_to_cancel=True), ("failed", "packed_but_cancel_requested")),
        (True, known(label_state="sent"), ("failed", "purchase_without_an_answer")),
        (True, known(label_state=None), ("failed", "packed_without_a_number")),
        (False, known(), ("printed", "")),
        (False, known(is_printed=True), ("nothing", "already_printed")),
        (False, known(label_state=None), ("nothing", "no_label")),
    ],
    ids=str,
)
def test_a_tick_counts_only_where_the_parcel_may_leave(is_packed: bool, state: MarkedPackage, expected: Any) -> None:
    assert plan_mark(Mark("P000001", is_packed, "tick", "list.xlsx"), state) == expected
