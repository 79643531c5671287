"""Deciding on a real database: who gets a carrier, who waits, whose case opens once, and whose decision is taken back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tiktok_erp.allocation.run import AllocateCount, Asked, Offers, allocate
from tiktok_erp.config.rules_file import load_rules_text
from tiktok_erp.errors import ChannelDown, StoreRefused
from tiktok_erp.model.moment import to_text
from tiktok_erp.model.money import Money
from tiktok_erp.model.outcome import Outcome
from tiktok_erp.model.rule import Rules
from tiktok_erp.model.shipment import Quote
from tiktok_erp.store.database import Store, open_store, utc_now
from tiktok_erp.store.overrides import hold_order, override

AT = "2026-11-18T12:00:00Z"
ZIP_CODES = {"NY": "10001", "CA": "90210"}
SHIPPED_POLICY = Rules()
BY_WEIGHT = load_rules_text(
    "carriers:\n"
    "  - name: light\n    when: {weight_g: {up_to: 450}}\n    use: {carrier: usps, service_level: ground_advantage}\n"
    "  - name: heavy\n    when: {weight_g: {over: 450}}\n    use: {carrier: ups, service_level: ground}\n"
)
ONLY_CALIFORNIA = load_rules_text(
    "carriers:\n  - name: California\n    when: {state: [CA]}\n    use: {carrier: ups, service_level: ground}\n"
)


class Told:
    """A report that keeps everything."""

    wants_fields = True

    def __init__(self) -> None:
        self.items: list[Outcome] = []
        self.warnings: list[str] = []

    def item(self, outcome: Outcome) -> None:
        self.items.append(outcome)

    def say(self, text: str) -> None:
        return None

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def progress(self, what: str, done: int, total: int | None) -> None:
        return None


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("empty") / "shop.db"
    with open_store(path, create=True):
        pass
    return path.read_bytes()


@pytest.fixture
def store(tmp_path: Path, empty_database: bytes) -> Iterator[Store]:
    path = tmp_path / "shop.db"
    path.write_bytes(empty_database)
    with open_store(path) as opened:
        opened.execute("PRAGMA synchronous = OFF")  # no test here cuts the power
        yield opened


def insert(store: Store, table: str, **values: Any) -> None:
    store.execute(
        f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})", tuple(values.values())
    )


def add(
    store: Store,
    number: int = 1,
    *,
    units: Sequence[str] = ("MUG",),
    total: int | None = 1500,
    state: str | None = "NY",
    ship_by: str | None = None,
    street: str | None = None,
    **order: Any,
) -> str:
    """Write an order with its package and return the package id."""
    order_id, package_id = f"tiktok:{number}", f"P{number:06d}"
    whole = {
        "order_id": order_id,
        "channel": "tiktok",
        "channel_order_id": str(number),
        "status": "AWAITING_SHIPMENT",
        "base_state": "open",
        "is_open": 1,
        "shipping_type": "TIKTOK",
        "fulfillment_type": "FULFILLMENT_BY_SELLER",
        "currency": "USD" if total is not None else None,
        "total_minor": total,
        "ship_by": ship_by,
        "source": "api",
        "as_of": AT,
        "first_seen_at": AT,
        "synced_at": AT,
    }
    insert(store, "orders", **(whole | order))
    if state is not None:
        insert(
            store,
            "recipients",
            order_id=order_id,
            name="Ada Example",
            phone="2125550100",
            street1=street or f"{number} Birch Way",
            city="Anytown",
            state=state,
            zip=ZIP_CODES.get(state),
            country="US",
            is_masked=0,
        )
    insert(store, "packages", package_id=package_id, channel="tiktok", planned_at=AT)
    insert(store, "package_orders", package_id=package_id, order_id=order_id)
    for index, sku in enumerate(units):
        insert(
            store,
            "units",
            unit_id=f"u{number}-{index}",
            order_id=order_id,
            position=index,
            sku=sku,
            channel_sku_id=sku,
            status="AWAITING_SHIPMENT",
            state="open",
            package_id=package_id,
        )
    return package_id


def run(store: Store, told: Told, rules: Rules = SHIPPED_POLICY, **options: Any) -> AllocateCount:
    return allocate(store, rules, told, **({"only": None, "run_id": None, "dry_run": False} | options))


def decisions(store: Store) -> dict[str, tuple[Any, ...]]:
    rows = store.query("SELECT * FROM v_packages WHERE allocated_at IS NOT NULL")
    return {row["package_id"]: (row["carrier"], row["service_level"], row["because"]) for row in rows}


def cases(store: Store) -> dict[str, str]:
    return {row["package_id"]: row["cause"] for row in store.query("SELECT * FROM v_quarantine")}


def dump(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    names = [row[0] for row in store.query("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {name: [tuple(row) for row in store.query(f"SELECT * FROM {name}")] for name in names}


def test_every_open_package_gets_what_the_first_rule_says(store: Store, told: Told) -> None:
    add(store, 1, total=999)
    add(store, 2, total=1000, state="CA")
    add(store, 3, total=3000)
    add(store, 4, total=1500)
    assert run(store, told).allocated == 4
    assert decisions(store) == {
        "P000001": ("usps", "ground_advantage", "small orders by post"),
        "P000002": ("ups", "ground", "California by UPS"),
        "P000003": ("usps", "priority_mail", "from 30 dollars by Priority Mail"),
        "P000004": ("usps", "ground_advantage", "everything else"),
    }
    assert {outcome.result for outcome in told.items} == {"done"}
    assert all(outcome.fields["carrier"] for outcome in told.items)


def test_deciding_again_changes_nothing(store: Store, told: Told) -> None:
    add(store, 1)
    add(store, 2, total=None)
    run(store, told)
    before = dump(store)
    again = run(store, told)
    assert dump(store) == before
    assert (again.allocated, again.failed, again.failed_before) == (0, 0, 1)


def test_a_dry_run_writes_nothing_and_tells_the_decisions(store: Store, told: Told) -> None:
    add(store, 1)
    add(store, 2, total=None)
    before = dump(store)
    result = run(store, told, dry_run=True)
    assert dump(store) == before
    assert (result.allocated, result.failed) == (1, 1)
    planned = [outcome for outcome in told.items if outcome.result == "planned"]
    assert [(outcome.fields["carrier"], outcome.fields["because"]) for outcome in planned] == [
        ("usps", "everything else")
    ]


@pytest.mark.parametrize(
    "values",
    [
        {"base_state": "held"},
        {"base_state": "unpaid"},
        {"base_state": "unknown"},
        {"base_state": "closed", "is_open": 0},
        {"base_state": "cancelled", "is_open": 0},
        {"held_until": "2099-01-01T00:00:00Z"},
    ],
    ids=str,
)
def test_nothing_is_decided_for_an_order_that_may_not_go(store: Store, told: Told, values: dict[str, Any]) -> None:
    add(store, 1, **values)
    run(store, told)
    assert (decisions(store), cases(store), told.items) == ({}, {}, [])


def test_a_hold_that_is_over_holds_nothing(store: Store, told: Told) -> None:
    add(store, 1, held_until="2020-01-01T00:00:00Z")
    assert run(store, told).allocated == 1


@pytest.mark.parametrize(
    ("label", "decided"), [("intent", 1), ("sent", 0), ("unknown", 0), ("bought", 0), ("voided", 1)]
)
def test_a_package_whose_label_is_under_way_is_not_decided_again(
    store: Store, told: Told, label: str, decided: int
) -> None:
    package_id = add(store, 1)
    insert(store, "labels", package_id=package_id, state=label, source="tiktok", intent_at=AT, sent_at=AT, bought_at=AT)
    assert run(store, told).allocated == decided


def test_a_package_that_is_short_of_stock_waits(store: Store, told: Told) -> None:
    add(store, 1, units=("MUG", "CUP"))
    insert(store, "reservations", unit_id="u1-1", sku="CUP", warehouse="main", state="short", held_at=AT)
    assert (run(store, told).short, decisions(store), cases(store)) == (1, {}, {})
    store.execute("UPDATE units SET state = 'cancelled' WHERE unit_id = 'u1-1'")
    assert run(store, told).allocated == 1


def test_a_sku_that_was_never_counted_holds_nothing_back(store: Store, told: Told) -> None:
    add(store, 1, units=("NEW",))
    assert run(store, told).allocated == 1


def test_only_the_named_packages_are_decided(store: Store, told: Told) -> None:
    add(store, 1)
    add(store, 2)
    run(store, told, only=["P000002"])
    assert list(decisions(store)) == ["P000002"]


# What is not known


def test_a_package_without_a_rule_opens_one_case_with_a_next_step(store: Store, told: Told) -> None:
    add(store, 1)
    result = run(store, told, ONLY_CALIFORNIA)
    assert (result.failed, result.failed_before, cases(store)) == (1, 0, {"P000001": "no_rule"})
    (outcome,) = told.items
    assert (outcome.result, outcome.cause, outcome.is_new) == ("failed", "no_rule", True)
    assert outcome.next_step
    assert "Birch" not in f"{outcome.text} {outcome.fields}"
    assert store.scalar("SELECT order_id FROM v_quarantine") == "tiktok:1"
    again = run(store, told, ONLY_CALIFORNIA)
    assert (again.failed, again.failed_before) == (0, 1)
    assert told.items[-1].is_new is False
    assert store.scalar("SELECT count(*) FROM quarantine") == 1


def test_a_case_closes_once_the_package_can_go(store: Store, told: Told) -> None:
    package_id = add(store, 1)
    run(store, told, ONLY_CALIFORNIA)
    insert(
        store, "quarantine", package_id=package_id, cause="other_tracking_number", detail="d", next_step="n", since=AT
    )
    run(store, told)
    assert cases(store) == {"P000001": "other_tracking_number"}  # a case of another stage stays


def test_one_bad_package_stops_no_other(store: Store, told: Told) -> None:
    add(store, 1, total=None)
    add(store, 2)
    result = run(store, told)
    assert (result.allocated, result.failed, cases(store)) == (1, 1, {"P000001": "unknown_order_total"})


def test_an_own_label_needs_an_address(store: Store, told: Told) -> None:
    add(store, 1, state=None, shipping_type="SELLER")
    add(store, 2, state=None, shipping_type="TIKTOK", total=500)
    run(store, told)
    assert (cases(store), list(decisions(store))) == ({"P000001": "no_address"}, ["P000002"])


# Weights


def weigh(store: Store, **weights: int | None) -> None:
    for sku, weight_g in weights.items():
        insert(store, "skus", sku=sku, weight_g=weight_g)


def test_the_weight_is_the_sum_of_the_units(store: Store, told: Told) -> None:
    weigh(store, MUG=200, CUP=251)
    add(store, 1, units=("MUG", "MUG"))
    add(store, 2, units=("MUG", "CUP"))
    run(store, told, BY_WEIGHT)
    assert {name: decision[2] for name, decision in decisions(store).items()} == {
        "P000001": "light",
        "P000002": "heavy",
    }
    assert [row[0] for row in store.query("SELECT weight_g FROM packages ORDER BY package_id")] == [400, 451]


def test_a_weight_of_which_a_part_is_missing_is_unknown(store: Store, told: Told) -> None:
    weigh(store, MUG=200, CUP=None)
    add(store, 1, units=("MUG", "CUP"))
    add(store, 2, units=("MUG", "TEA"))
    run(store, told, BY_WEIGHT)
    assert cases(store) == {"P000001": "unknown_weight", "P000002": "unknown_weight"}


def test_the_channels_own_weight_of_an_order_helps_out(store: Store, told: Told) -> None:
    add(store, 1, weight_g=500)
    run(store, told, BY_WEIGHT)
    assert decisions(store)["P000001"][2] == "heavy"


def test_a_cancelled_unit_weighs_nothing(store: Store, told: Told) -> None:
    weigh(store, MUG=300)
    add(store, 1, units=("MUG", "MUG"))
    store.execute("UPDATE units SET state = 'cancelled' WHERE unit_id = 'u1-1'")
    run(store, told, BY_WEIGHT)
    assert decisions(store)["P000001"][2] == "light"


# Combined packages


def combine(store: Store, number: int, into: str) -> None:
    """Put the order `number` into the package `into`, as combining does."""
    store.execute("DELETE FROM package_orders WHERE order_id = ?", (f"tiktok:{number}",))
    insert(store, "package_orders", package_id=into, order_id=f"tiktok:{number}")
    store.execute("UPDATE units SET package_id = ? WHERE order_id = ?", (into, f"tiktok:{number}"))
    store.execute(
        "UPDATE packages SET cancelled_at = ?, merged_into = ? WHERE package_id = ?", (AT, into, f"P{number:06d}")
    )


def test_a_combined_package_counts_the_sum_of_its_orders(store: Store, told: Told) -> None:
    add(store, 1, total=1500, street="400 Birch Way")
    add(store, 2, total=1500, street="400 Birch Way")
    combine(store, 2, "P000001")
    run(store, told)
    assert decisions(store) == {"P000001": ("usps", "priority_mail", "from 30 dollars by Priority Mail")}


def test_one_order_of_unknown_amount_makes_the_sum_unknown(store: Store, told: Told) -> None:
    add(store, 1, total=1500, street="400 Birch Way")
    add(store, 2, total=None, currency="USD", street="400 Birch Way")
    combine(store, 2, "P000001")
    run(store, told)
    assert cases(store) == {"P000001": "unknown_order_total"}


def test_orders_in_two_currencies_do_not_share_a_package(store: Store, told: Told) -> None:
    add(store, 1, total=1500, street="400 Birch Way")
    add(store, 2, total=1500, currency="EUR", street="400 Birch Way")
    combine(store, 2, "P000001")
    run(store, told)
    assert (list(decisions(store)), cases(store)) == (["P000001"], {"P000003": "unknown_order_total"})


def test_an_order_that_may_not_go_leaves_the_package_and_the_others_go(store: Store, told: Told) -> None:
    add(store, 1)
    add(store, 2, base_state="held")
    combine(store, 2, "P000001")
    run(store, told)
    assert list(decisions(store)) == ["P000001"]
    assert store.query("SELECT package_id FROM package_orders WHERE order_id = 'tiktok:2'")[0][0] == "P000003"


# Changed addresses and labels that the channel does not take


def test_a_decision_is_taken_back_when_the_address_changes(store: Store, told: Told) -> None:
    add(store, 1)
    run(store, told)
    store.execute("UPDATE orders SET address_changed_at = '2099-01-01T00:00:00Z'")
    store.execute("UPDATE recipients SET state = 'CA'")
    assert run(store, told).allocated == 1
    assert decisions(store)["P000001"][:2] == ("ups", "ground")
    assert any("address" in warning for warning in told.warnings)


def test_a_label_that_was_bought_keeps_its_decision(store: Store, told: Told) -> None:
    package_id = add(store, 1)
    run(store, told)
    insert(store, "labels", package_id=package_id, state="bought", source="tiktok", intent_at=AT, bought_at=AT)
    store.execute("UPDATE orders SET address_changed_at = '2099-01-01T00:00:00Z'")
    assert run(store, told).allocated == 0
    assert "P000001" in decisions(store)


def test_a_decision_for_a_carrier_that_is_no_longer_taken_is_made_anew(store: Store, told: Told) -> None:
    package_id = add(store, 1, total=500, state="NY", shipping_type="SELLER")
    run(store, told)
    store.execute(
        "UPDATE packages SET carrier = 'usps', service_level = 'ground_advantage' WHERE package_id = ?", (package_id,)
    )
    assert run(store, told).allocated == 1
    assert decisions(store)[package_id][:2] == ("ups", "ground")


def test_the_most_urgent_package_is_decided_first(store: Store, told: Told) -> None:
    add(store, 1)
    add(store, 2, ship_by="2026-11-21T00:00:00Z")
    add(store, 3, ship_by="2026-11-20T00:00:00Z")
    run(store, told)
    assert [outcome.ids["package_id"] for outcome in told.items] == ["P000003", "P000002", "P000001"]


# Orders that leave together


SAME = {"street": "9 Elm Row", "buyer_id": "b1"}


def hours_ago(hours: float) -> str:
    return to_text(utc_now() - timedelta(hours=hours))


def in_hours(hours: float) -> str:
    return hours_ago(-hours)


def events(store: Store) -> list[tuple[str, str, str]]:
    return [tuple(row) for row in store.query("SELECT order_id, kind, detail FROM order_events ORDER BY event_id")]


def test_orders_of_one_buyer_leave_in_the_earliest_package(store: Store, told: Told) -> None:
    for number in (1, 2, 3):
        add(store, number, total=1200, **SAME)
    result = run(store, told)
    assert (result.allocated, result.absorbed) == (1, 2)
    assert decisions(store) == {"P000001": ("usps", "priority_mail", "from 30 dollars by Priority Mail")}
    rows = store.query("SELECT package_id, merged_into, state FROM v_packages WHERE merged_into IS NOT NULL ORDER BY 1")
    assert [tuple(row) for row in rows] == [("P000002", "P000001", "cancelled"), ("P000003", "P000001", "cancelled")]
    assert {row[0] for row in store.query("SELECT DISTINCT package_id FROM units")} == {"P000001"}
    assert [event[1:] for event in events(store)] == [("combined", "P000001")] * 2
    assert [item.fields["merged_into"] for item in told.items if item.fields.get("merged_into")] == ["P000001"] * 2


def test_a_second_run_combines_nothing_again(store: Store, told: Told) -> None:
    for number in (1, 2):
        add(store, number, **SAME)
    run(store, told)
    before = store.query("SELECT * FROM packages")
    second = run(store, told)
    assert (second.allocated, second.absorbed) == (0, 0)
    assert [tuple(row) for row in store.query("SELECT * FROM packages")] == [tuple(row) for row in before]


@pytest.mark.parametrize(
    "other",
    [
        {"street": "10 Elm Row"},
        {"buyer_id": "b2"},
        {"shipping_type": "SELLER"},
        {"channel_warehouse_id": "east"},
        {"delivery_option_id": "express"},
        {"base_state": "held"},
        {"cancel_requested": 1},
    ],
    ids=str,
)
def test_what_differs_leaves_alone(store: Store, told: Told, other: dict[str, Any]) -> None:
    add(store, 1, **SAME)
    add(store, 2, **(SAME | other))
    assert run(store, told).absorbed == 0


def test_the_platforms_own_group_goes_before_masked_addresses(store: Store, told: Told) -> None:
    add(store, 1, state=None, auto_combine_group_id="g1")
    add(store, 2, state=None, auto_combine_group_id="g1")
    assert run(store, told).absorbed == 1


@pytest.mark.parametrize("state", ["intent", "sent", "unknown", "bought"])
def test_nothing_joins_or_leaves_a_package_with_a_label(store: Store, told: Told, state: str) -> None:
    add(store, 1, **SAME)
    add(store, 2, **SAME)
    times = {
        "intent_at": AT,
        "sent_at": AT if state != "intent" else None,
        "bought_at": AT if state == "bought" else None,
    }
    insert(store, "labels", package_id="P000001", state=state, source="tiktok", **times)
    assert run(store, told).absorbed == 0
    with pytest.raises(StoreRefused):
        store.execute("UPDATE package_orders SET package_id = 'P000001' WHERE package_id = 'P000002'")


def test_a_package_that_was_decided_alone_is_decided_anew_with_its_company(store: Store, told: Told) -> None:
    add(store, 1, total=2000, **SAME)
    run(store, told)
    assert decisions(store)["P000001"][2] == "everything else"
    add(store, 2, total=2000, **SAME)
    run(store, told)
    assert decisions(store) == {"P000001": ("usps", "priority_mail", "from 30 dollars by Priority Mail")}


def test_a_cancelled_order_leaves_its_company_and_takes_no_package_with_it(store: Store, told: Told) -> None:
    add(store, 1, **SAME)
    add(store, 2, **SAME)
    run(store, told)
    store.execute("UPDATE orders SET base_state = 'cancelled', is_open = 0 WHERE order_id = 'tiktok:2'")
    store.execute("UPDATE units SET state = 'cancelled' WHERE order_id = 'tiktok:2'")
    assert run(store, told).allocated == 1
    rows = store.query("SELECT package_id, order_id FROM package_orders ORDER BY 1")
    assert [tuple(row) for row in rows] == [("P000001", "tiktok:1"), ("P000003", "tiktok:2")]
    assert store.scalar("SELECT state FROM v_packages WHERE package_id = 'P000003'") == "cancelled"


@pytest.mark.parametrize(
    ("facts", "waits"),
    [
        ({"paid_at": hours_ago(1), "auto_combine_group_id": "g1"}, True),
        ({"paid_at": hours_ago(4), "auto_combine_group_id": "g1"}, False),
        ({"paid_at": hours_ago(1)}, False),
        ({"paid_at": hours_ago(1), "auto_combine_group_id": "g1", "ship_by": in_hours(5)}, False),
    ],
    ids=["may get company", "has waited", "goes alone", "is urgent"],
)
def test_only_a_package_that_may_get_company_waits_and_not_for_long(
    store: Store, told: Told, facts: dict[str, Any], waits: bool
) -> None:
    package_id = add(store, 1, **facts)
    result = run(store, told)
    assert (result.waiting, result.allocated) == ((1, 0) if waits else (0, 1))
    assert store.scalar("SELECT state FROM v_packages WHERE package_id = ?", (package_id,)) == (
        "waiting" if waits else "allocated"
    )
    assert run(store, told, no_wait=True).allocated == waits


def test_a_unit_sold_live_makes_its_package_wait(store: Store, told: Told) -> None:
    add(store, 1, buyer_id="b1", paid_at=hours_ago(1))
    store.execute("UPDATE units SET content_type = 'LIVE', content_id = '77'")
    assert run(store, told).waiting == 1


RATES = load_rules_text(
    "carriers: [{name: all, use: {carrier: usps, service_level: ground_advantage}}]\n"
    "rates:\n"
    "  - {carrier: usps, service_level: ground_advantage, when: {weight_g: {up_to: 300}}, cost: 5 USD}\n"
    "  - {carrier: usps, service_level: ground_advantage, when: {weight_g: {over: 300}}, cost: 8 USD}\n"
)


def test_the_postage_that_combining_saves_is_told_where_rates_know_it(store: Store, told: Told) -> None:
    insert(store, "skus", sku="MUG", weight_g=200)
    for number in (1, 2, 3):
        add(store, number, **SAME)
    assert run(store, told, RATES).saved == Money(700, "USD")  # 3 x 5 less 8


def test_without_a_weight_the_saving_is_unknown(store: Store, told: Told) -> None:
    for number in (1, 2):
        add(store, number, **SAME)
    assert run(store, told, RATES).saved is None


# What rules say beside the carrier, and what the seller decides


def test_what_a_rule_adds_is_kept_with_the_package(store: Store, told: Told) -> None:
    rules = load_rules_text(
        "boxes: [{name: S, weight_g: 10}, {name: M, weight_g: 90}]\n"
        "senders: {east: {name: E, street1: 1 Dock, city: Edison, state: NJ, zip: '08817'}}\n"
        "carriers:\n"
        "  - {name: mugs, when: {sku: MUG}, box: M, tag: fragile, print_note: two layers}\n"
        "  - {name: dear, when: {order_total: {over: 1 USD}}, signature: adult, insurance: 50 USD, ship_from: east,\n"
        "     print_note: signed for, use: {carrier: ups, service_level: ground}, then: {carrier: usps, service_level: priority_mail}}\n"
    )
    insert(store, "skus", sku="MUG", weight_g=300)
    add(store, 1)
    run(store, told, rules)
    row = dict(store.query("SELECT * FROM packages")[0])
    kept = {name: row[name] for name in ("box", "weight_g", "ship_from", "signature", "insurance_minor", "print_note")}
    assert kept == {
        "box": "M",
        "weight_g": 390,
        "ship_from": "east",
        "signature": "adult",
        "insurance_minor": 5000,
        "print_note": "two layers / signed for",
    }
    assert (row["because"], row["tags"]) == ("dear", '["fragile"]')


def test_a_box_that_is_too_small_for_everything_is_a_case(store: Store, told: Told) -> None:
    insert(store, "skus", sku="MUG", weight_g=300)
    add(store, 1)
    run(store, told, load_rules_text("boxes: [{name: S, weight_g: 10, max_weight_g: 200}]\n"))
    assert cases(store) == {"P000001": "no_box"}


HOLDING = load_rules_text(
    "carriers:\n  - {name: large, when: {order_total: {over: 100 USD}}, hold: call the buyer}\n"
    "  - {name: all, use: {carrier: usps, service_level: ground_advantage}}\n"
)


def test_a_rule_that_holds_is_no_failure_and_is_told_every_time(store: Store, told: Told) -> None:
    add(store, 1, total=20_000)
    for _run in range(2):
        result = run(store, told, HOLDING)
        assert (result.held, result.failed, result.allocated) == (1, 0, 0)
    assert store.scalar("SELECT hold_because FROM v_packages") == "call the buyer"
    override(store, "tiktok:1", "held_by_rule", "called", None)
    assert run(store, told, HOLDING).allocated == 1
    assert store.scalar("SELECT hold_because FROM v_packages") is None


def test_an_order_that_the_seller_keeps_back_gets_no_carrier(store: Store, told: Told) -> None:
    add(store, 1)
    hold_order(store, "tiktok:1", "new address")
    result = run(store, told)
    assert (result.held, result.allocated, cases(store)) == (1, 0, {})


def test_the_choice_that_was_refused_is_not_taken_again(store: Store, told: Told) -> None:
    rules = load_rules_text(
        "carriers: [{name: all, use: {carrier: ups, service_level: ground}, then: {carrier: usps, service_level: priority_mail}}]\n"
        "channels: {tiktok: {own_labels_by: any}}\n"
    )
    add(store, 1, shipping_type="SELLER")
    run(store, told, rules)
    assert decisions(store)["P000001"][:2] == ("ups", "ground")
    refused = {"state": "refused", "source": "easypost", "carrier": "ups", "service_level": "ground", "error_code": "x"}
    insert(store, "labels", package_id="P000001", intent_at=AT, **refused)
    case = {"cause": "no_service", "detail": "d", "next_step": "n", "since": AT}
    insert(store, "quarantine", package_id="P000001", **case)
    run(store, told, rules)
    assert decisions(store)["P000001"][:2] == ("usps", "priority_mail")
    assert cases(store) == {}
    insert(
        store,
        "labels",
        package_id="P000001",
        intent_at=AT,
        **(refused | {"carrier": "usps", "service_level": "priority_mail"}),
    )
    run(store, told, rules)
    assert decisions(store)["P000001"][:2] == ("usps", "priority_mail")  # nothing comes next: a person must look


CHEAPEST = load_rules_text(
    "carriers: [{name: all, use: {cheapest: [{carrier: ups, service_level: ground},"
    " {carrier: usps, service_level: ground_advantage}]}}]\n"
    "rates: [{carrier: ups, service_level: ground, cost: 9 USD}, {carrier: usps, service_level: ground_advantage, cost: 6 USD}]\n"
)


def test_the_prices_of_the_label_source_go_before_the_table(store: Store, told: Told) -> None:
    asked: list[str] = []

    def ask(entry: Asked) -> Offers:
        asked.append(entry.package_id)
        return Offers("easypost", [Quote("ups", "ground", Money(500, "USD"), 3, "shp_1/rate_1")])

    add(store, 1)
    run(store, told, CHEAPEST, ask_prices=ask)
    assert decisions(store)["P000001"][:2] == ("ups", "ground")
    row = store.query("SELECT price_minor, price_currency, price_source FROM v_packages")[0]
    assert (asked, tuple(row)) == (["P000001"], (500, "USD", "easypost"))


def test_a_label_source_that_is_down_leaves_the_table(store: Store, told: Told) -> None:
    def ask(entry: Asked) -> Offers:
        raise ChannelDown("no answer", subject="", next_step="")

    add(store, 1)
    run(store, told, CHEAPEST, ask_prices=ask)
    assert decisions(store)["P000001"][:2] == ("usps", "ground_advantage")
    assert any("no price was told (no answer)" in warning for warning in told.warnings)


@pytest.mark.parametrize(
    ("facts", "cause"),
    [
        ({"zip": "90210"}, "zip_not_in_state"),
        ({"zip": "1234"}, "bad_zip"),
        ({"name": None}, "incomplete_address"),
        ({"street1": "4*** B***"}, "masked_address"),
        ({"name": "王小明"}, "not_latin"),
    ],
    ids=str,
)
def test_a_faulty_address_stops_own_labels_and_nothing_else(
    store: Store, told: Told, facts: dict[str, Any], cause: str
) -> None:
    add(store, 1, shipping_type="SELLER")
    add(store, 2, shipping_type="TIKTOK")
    for column, value in facts.items():
        store.execute(f"UPDATE recipients SET {column} = ?", (value,))
    run(store, told)
    assert (list(decisions(store)), cases(store)) == (["P000002"], {"P000001": cause})


def test_an_override_lets_the_package_go_and_closes_its_case(store: Store, told: Told) -> None:
    add(store, 1, shipping_type="SELLER")
    store.execute("UPDATE recipients SET zip = '90210'")
    run(store, told)
    override(store, "tiktok:1", "zip_not_in_state", "the buyer confirmed it", None)
    run(store, told)
    assert (list(decisions(store)), cases(store)) == (["P000001"], {})


def test_an_override_of_one_order_says_nothing_of_its_company(store: Store, told: Told) -> None:
    add(store, 1, shipping_type="SELLER", **SAME)
    add(store, 2, shipping_type="SELLER", **SAME)
    store.execute("UPDATE recipients SET zip = '90210'")
    override(store, "tiktok:1", "zip_not_in_state", "confirmed", None)
    run(store, told)
    assert cases(store) == {"P000001": "zip_not_in_state"}


def test_the_buyers_earlier_orders_are_counted_where_a_rule_asks(store: Store, told: Told) -> None:
    rules = load_rules_text(
        "carriers:\n  - {name: again, when: {repeat_orders: {at_least: 1}}, use: {carrier: ups, service_level: ground}}\n"
        "  - {name: first, use: {carrier: usps, service_level: ground_advantage}}\n"
    )
    add(store, 1, buyer_id="b1", placed_at="2026-11-01T00:00:00Z", base_state="closed", is_open=0)
    add(store, 2, buyer_id="b1", placed_at="2026-11-02T00:00:00Z", street="2 A")
    add(store, 3, buyer_id="b2", placed_at="2026-11-02T00:00:00Z", street="3 A")
    run(store, told, rules)
    assert {key: value[2] for key, value in decisions(store).items()} == {"P000002": "again", "P000003": "first"}


def hold_stock(store: Store, unit_id: str, state: str) -> None:
    insert(store, "reservations", unit_id=unit_id, sku=unit_id, warehouse="main", state=state, held_at=AT)


SPLIT = load_rules_text("split: allow\n")


def half_short(store: Store) -> None:
    add(store, 1, units=("MUG", "CUP"))
    store.execute("UPDATE units SET channel_unit_id = unit_id")
    insert(store, "stock_moves", sku="u1-0", warehouse="main", kind="counted", quantity=1, because="t", at=AT)
    hold_stock(store, "u1-0", "held")
    hold_stock(store, "u1-1", "short")


def test_a_package_that_is_short_waits_as_a_whole_unless_it_may_be_split(store: Store, told: Told) -> None:
    half_short(store)
    assert (run(store, told).short, decisions(store)) == (1, {})
    result = run(store, told, SPLIT)
    assert (result.short, list(decisions(store))) == (1, ["P000001"])
    rows = store.query("SELECT unit_id, package_id FROM units ORDER BY unit_id")
    assert [tuple(row) for row in rows] == [("u1-0", "P000001"), ("u1-1", "P000002")]
    assert events(store) == [("tiktok:1", "split", "P000002")]


def test_a_split_package_is_not_split_again(store: Store, told: Told) -> None:
    half_short(store)
    for _run in range(3):
        run(store, told, SPLIT)
    assert store.scalar("SELECT count(*) FROM packages") == 2


def test_a_dry_run_splits_nothing(store: Store, told: Told) -> None:
    half_short(store)
    run(store, told, SPLIT, dry_run=True)
    assert store.scalar("SELECT count(*) FROM packages") == 1


def test_a_named_live_session_is_known_by_its_time_and_skus(store: Store, told: Told) -> None:
    rules = load_rules_text(
        "carriers:\n  - {name: stream, when: {live_session: Friday}, use: {carrier: ups, service_level: ground}}\n"
        "  - {name: rest, use: {carrier: usps, service_level: ground_advantage}}\n"
    )
    session = {"started_at": hours_ago(9), "ended_at": hours_ago(7), "skus": '["MUG*"]'}
    insert(store, "live_sessions", name="Friday", **session)
    for number, (hours, sku) in enumerate([(8, "MUG-1"), (8, "CUP"), (6, "MUG-1")], start=1):
        add(store, number, units=(sku,), placed_at=hours_ago(hours), paid_at=hours_ago(hours))
    run(store, told, rules)
    assert {key: value[2] for key, value in decisions(store).items()} == {
        "P000001": "stream",
        "P000002": "rest",
        "P000003": "rest",
    }


def test_an_order_of_a_marked_session_waits_for_company(store: Store, told: Told) -> None:
    insert(store, "live_sessions", name="Friday", started_at=hours_ago(2))
    add(store, 1, buyer_id="b1", placed_at=hours_ago(1), paid_at=hours_ago(1))
    assert run(store, told).waiting == 1
