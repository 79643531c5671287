"""Deciding on a real database: who gets a carrier, who waits, whose case opens once, and whose decision is taken back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tiktok_erp.allocation.run import AllocateCount, allocate
from tiktok_erp.config.rules_file import load_rules_text
from tiktok_erp.model.outcome import Outcome
from tiktok_erp.model.rule import Rules
from tiktok_erp.store.database import Store, open_store

AT = "2026-11-18T12:00:00Z"
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
        insert(store, "recipients", order_id=order_id, state=state, country="US", street1="400 Birch Way", is_masked=0)
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
    add(store, 1, total=1500)
    add(store, 2, total=1500)
    combine(store, 2, "P000001")
    run(store, told)
    assert decisions(store) == {"P000001": ("usps", "priority_mail", "from 30 dollars by Priority Mail")}


def test_one_order_of_unknown_amount_makes_the_sum_unknown(store: Store, told: Told) -> None:
    add(store, 1, total=1500)
    add(store, 2, total=None)
    combine(store, 2, "P000001")
    run(store, told)
    assert cases(store) == {"P000001": "unknown_order_total"}


def test_amounts_of_two_currencies_are_never_added(store: Store, told: Told) -> None:
    add(store, 1, total=1500)
    add(store, 2, total=1500, currency="EUR")
    combine(store, 2, "P000001")
    run(store, told)
    assert cases(store) == {"P000001": "unknown_order_total"}


def test_one_order_that_may_not_go_holds_the_whole_package(store: Store, told: Told) -> None:
    add(store, 1)
    add(store, 2, base_state="held")
    combine(store, 2, "P000001")
    run(store, told)
    assert decisions(store) == {}


# Changed addresses and cross-border shops


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


def test_the_channels_word_on_the_kind_of_shop_outweighs_the_rules(store: Store, told: Told) -> None:
    add(store, 1, total=500, state="CA", shipping_type="SELLER")
    add(store, 2, total=500, state="NY", shipping_type="SELLER")
    store.set_meta("shop_kind", "cross_border")
    run(store, told)
    assert decisions(store) == {"P000001": ("ups", "ground", "California by UPS")}
    assert cases(store) == {"P000002": "no_rule"}
    assert any("cross-border" in warning for warning in told.warnings)


def test_the_most_urgent_package_is_decided_first(store: Store, told: Told) -> None:
    add(store, 1)
    add(store, 2, ship_by="2026-11-21T00:00:00Z")
    add(store, 3, ship_by="2026-11-20T00:00:00Z")
    run(store, told)
    assert [outcome.ids["package_id"] for outcome in told.items] == ["P000003", "P000002", "P000001"]
