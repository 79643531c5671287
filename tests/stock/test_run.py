"""Counting, reserving and pushing on a real database; the channel is an object that keeps what it is told."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tiktok_erp.channels.base import ChannelStock, Listing, QuantityRefusal
from tiktok_erp.errors import ChannelRefused, InputFileError, OutcomeUnknown, UsageError
from tiktok_erp.model.rule import Rules, SafetyRule
from tiktok_erp.stock.count import count_stock, import_from_channel, import_sheet, set_stock
from tiktok_erp.stock.push import push
from tiktok_erp.stock.run import ReserveCount, reserve
from tiktok_erp.store.checks import CHECKS, find_breaches
from tiktok_erp.store.database import Store
from tiktok_erp.store.runs import start_run

AT = "2026-11-18T12:00:00Z"
NOTHING_KEPT = Rules(safety_stock=())


def add_order(
    store: Store,
    number: int,
    units: int = 1,
    *,
    sku: str = "MUG",
    ship_by: str | None = None,
    channel_sku_id: str = "1729",
    **order: Any,
) -> None:
    values = {
        "order_id": f"tiktok:{number}",
        "channel": "tiktok",
        "channel_order_id": str(number),
        "status": "AWAITING_SHIPMENT",
        "base_state": "open",
        "is_open": 1,
        "ship_by": ship_by,
        "source": "api",
        "as_of": AT,
        "first_seen_at": AT,
        "synced_at": AT,
    } | order
    store.execute(
        f"INSERT INTO orders ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})", tuple(values.values())
    )
    package_id = f"P{number:06d}"
    store.execute("INSERT INTO packages (package_id, channel, planned_at) VALUES (?, 'tiktok', ?)", (package_id, AT))
    store.execute("INSERT INTO package_orders (package_id, order_id) VALUES (?, ?)", (package_id, f"tiktok:{number}"))
    for index in range(units):
        store.execute(
            "INSERT INTO units (unit_id, order_id, position, sku, channel_sku_id, status, state, package_id)"
            " VALUES (?, ?, ?, ?, ?, 'AWAITING_SHIPMENT', 'open', ?)",
            (f"u{number}-{index}", f"tiktok:{number}", index, sku, channel_sku_id, package_id),
        )


def count(store: Store, told: Any, quantity: int, *, sku: str = "MUG", warehouse: str | None = None) -> None:
    with store.transaction():
        count_stock(store, sku=sku, warehouse=warehouse, quantity=quantity, because="test", report=told)


def run_reserve(store: Store, told: Any, *, rules: Rules = NOTHING_KEPT, **options: Any) -> ReserveCount:
    return reserve(store, rules, told, **({"only_orders": None, "dry_run": False} | options))


def states(store: Store) -> dict[str, str]:
    return {row["unit_id"]: row["state"] for row in store.query("SELECT unit_id, state FROM reservations")}


def counters(store: Store, sku: str = "MUG") -> tuple[Any, ...]:
    return tuple(store.query_one("SELECT on_hand, reserved FROM stock WHERE sku = ?", (sku,)) or ())


def dump(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    names = [row[0] for row in store.query("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {name: [tuple(row) for row in store.query(f"SELECT * FROM {name}")] for name in names}


def assert_promises_hold(store: Store) -> None:
    for check in CHECKS:
        assert [row[0] for row in find_breaches(store, check)] == [], check.name


# Counting


def test_a_count_is_a_move_of_the_difference(store: Store, told: Any) -> None:
    for quantity in (5, 8, 8, 0):
        count(store, told, quantity)
    moves = [(row["kind"], row["quantity"]) for row in store.query("SELECT * FROM stock_moves ORDER BY move_id")]
    assert moves == [("counted", 5), ("counted", 3), ("counted", -8)]
    assert counters(store) == (0, 0)


def test_a_counted_nothing_is_a_count(store: Store, told: Any) -> None:
    count(store, told, 0)
    assert counters(store) == (0, 0)


def test_a_recount_below_what_is_reserved_first_releases_the_latest_deadlines(store: Store, told: Any) -> None:
    add_order(store, 1, ship_by="2026-11-20T00:00:00Z")
    add_order(store, 2, ship_by="2026-11-22T00:00:00Z")
    add_order(store, 3, ship_by="2026-11-21T00:00:00Z")
    count(store, told, 3)
    run_reserve(store, told)
    count(store, told, 1)
    assert states(store) == {"u1-0": "held", "u2-0": "short", "u3-0": "short"}
    assert counters(store) == (1, 1)
    assert any("MUG" in warning and "2" in warning for warning in told.warnings)
    assert_promises_hold(store)


def test_a_recount_down_to_what_is_reserved_releases_nothing(store: Store, told: Any) -> None:
    add_order(store, 1, 2)
    count(store, told, 5)
    run_reserve(store, told)
    count(store, told, 2)
    assert (counters(store), set(states(store).values()), told.warnings) == ((2, 2), {"held"}, [])


def test_released_units_get_their_pieces_back_after_a_restock(store: Store, told: Any) -> None:
    add_order(store, 1, 2)
    count(store, told, 2)
    run_reserve(store, told)
    count(store, told, 0)
    count(store, told, 2)
    assert run_reserve(store, told).held == 2
    assert set(states(store).values()) == {"held"}


def test_a_quantity_below_nothing_is_refused(store: Store, told: Any) -> None:
    before = dump(store)
    with pytest.raises(UsageError):
        set_stock(store, NOTHING_KEPT, told, sku="MUG", quantity=-1, warehouse=None, weight_g=None, dry_run=False)
    assert dump(store) == before


def test_a_weight_can_be_set_without_counting(store: Store, told: Any) -> None:
    set_stock(store, NOTHING_KEPT, told, sku="MUG", quantity=None, warehouse=None, weight_g=120, dry_run=False)
    assert store.scalar("SELECT weight_g FROM skus") == 120
    assert store.scalar("SELECT count(*) FROM stock") == 0
    set_stock(store, NOTHING_KEPT, told, sku="MUG", quantity=4, warehouse="east", weight_g=None, dry_run=False)
    assert store.scalar("SELECT weight_g FROM skus") == 120
    assert store.scalar("SELECT warehouse FROM stock") == "east"


def test_a_dry_set_writes_nothing(store: Store, told: Any) -> None:
    before = dump(store)
    set_stock(store, NOTHING_KEPT, told, sku="MUG", quantity=4, warehouse=None, weight_g=1, dry_run=True)
    assert dump(store) == before


# The SKU sheet


def write_sheet(path: Path, *rows: Sequence[str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["sku", "quantity", "warehouse", "name", "weight_g"], *rows])
    return path


def test_a_sheet_is_taken_over_whole(store: Store, told: Any, tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "skus.csv", ["MUG", "5", "", "Mug", "120"], ["CUP", "3", "east", "", ""])
    assert import_sheet(store, sheet, NOTHING_KEPT, told, dry_run=False) == 2
    assert [tuple(row) for row in store.query("SELECT sku, warehouse, on_hand FROM stock ORDER BY sku")] == [
        ("CUP", "east", 3),
        ("MUG", "main", 5),
    ]
    assert store.scalar("SELECT weight_g FROM skus WHERE sku = 'MUG'") == 120
    moves = store.scalar("SELECT count(*) FROM stock_moves")
    import_sheet(store, sheet, NOTHING_KEPT, told, dry_run=False)
    assert store.scalar("SELECT count(*) FROM stock_moves") == moves


def test_a_sheet_with_a_fault_changes_nothing(store: Store, told: Any, tmp_path: Path) -> None:
    before = dump(store)
    sheet = write_sheet(tmp_path / "skus.csv", ["MUG", "5", "", "", ""], ["CUP", "-3", "", "", ""])
    with pytest.raises(InputFileError):
        import_sheet(store, sheet, NOTHING_KEPT, told, dry_run=False)
    assert dump(store) == before


def test_skus_that_nobody_sells_are_told(store: Store, told: Any, tmp_path: Path) -> None:
    add_order(store, 1, sku="MUG")
    import_sheet(
        store,
        write_sheet(tmp_path / "s.csv", ["MUG", "5", "", "", ""], ["MUGG", "5", "", "", ""]),
        NOTHING_KEPT,
        told,
        dry_run=False,
    )
    assert any("MUGG" in warning for warning in told.warnings)


# Reserving


def test_the_earliest_deadlines_get_the_pieces(store: Store, told: Any) -> None:
    add_order(store, 1, 2, ship_by="2026-11-21T00:00:00Z")
    add_order(store, 2, 2, ship_by="2026-11-20T00:00:00Z")
    add_order(store, 3, 1, ship_by=None)
    count(store, told, 3)
    result = run_reserve(store, told)
    assert (result.held, result.short, result.already_short) == (3, 2, 0)
    assert states(store) == {"u2-0": "held", "u2-1": "held", "u1-0": "held", "u1-1": "short", "u3-0": "short"}
    assert_promises_hold(store)


def test_reserving_again_changes_nothing_and_reports_no_new_shortage(store: Store, told: Any) -> None:
    add_order(store, 1, 2)
    count(store, told, 1)
    run_reserve(store, told)
    before = dump(store)
    result = run_reserve(store, told)
    assert dump(store) == before
    assert (result.held, result.short, result.already_short) == (0, 0, 1)


def test_a_sku_that_was_never_counted_holds_nothing_and_nothing_back(store: Store, told: Any) -> None:
    add_order(store, 1, sku="NEW")
    result = run_reserve(store, told)
    assert (result.held, result.short, states(store)) == (0, 0, {})
    assert any("NEW" in warning for warning in told.warnings)


def test_a_dry_reservation_writes_nothing_and_tells_the_plan(store: Store, told: Any) -> None:
    add_order(store, 1, 2)
    count(store, told, 1)
    before = dump(store)
    result = run_reserve(store, told, dry_run=True)
    assert dump(store) == before
    assert (result.held, result.short) == (1, 1)
    assert [outcome.result for outcome in told.items] == ["planned", "skipped"]


def test_only_the_named_orders_are_reserved(store: Store, told: Any) -> None:
    add_order(store, 1)
    add_order(store, 2)
    count(store, told, 5)
    run_reserve(store, told, only_orders=["tiktok:2"])
    assert states(store) == {"u2-0": "held"}


def test_safety_stock_is_kept_from_listings_and_not_from_orders(store: Store, told: Any) -> None:
    add_order(store, 1, 5)
    count(store, told, 10)
    rules = Rules(safety_stock=(SafetyRule("*", percent=Decimal(20)),))
    assert run_reserve(store, told, rules=rules).held == 5
    row = store.query_one("SELECT safety_stock, available_to_sell FROM v_stock")
    assert tuple(row or ()) == (1, 4)  # 20 % of the five that are free


def test_an_order_line_without_a_seller_sku_finds_its_piece_through_the_listing(store: Store, told: Any) -> None:
    add_order(store, 1, sku="1729")
    count(store, told, 1)
    store.execute("INSERT INTO listings (channel, listing_id, sku) VALUES ('tiktok', '1729', 'MUG')")
    assert run_reserve(store, told).held == 1
    assert store.scalar("SELECT sku FROM reservations") == "MUG"


# Pushing


class Shop:
    """A channel with one product; `refuse` and `fail` say what happens to a call."""

    name = "tiktok"

    def __init__(self, *listings: Listing) -> None:
        self.listings = {listing.listing_id: listing for listing in listings}
        self.calls: list[tuple[str, dict[str, list[tuple[str, int]]]]] = []
        self.refuse: list[QuantityRefusal] = []
        self.errors: list[Exception] = []
        self.before_search: Callable[[], None] = lambda: None

    def search_listings(self) -> Iterator[list[Listing]]:
        self.before_search()
        yield list(self.listings.values())

    def fetch_stock(self, listing_ids: Sequence[str]) -> list[ChannelStock]:
        return [
            ChannelStock(listing_id, "88", self.listings[listing_id].seller_sku, warehouse, quantity, 2)
            for listing_id in listing_ids
            for warehouse, quantity in self.listings[listing_id].quantities
        ]

    def set_quantities(
        self, product_id: str, quantities: Mapping[str, Sequence[tuple[str, int]]]
    ) -> tuple[list[QuantityRefusal], str]:
        self.calls.append((product_id, {name: list(pairs) for name, pairs in quantities.items()}))
        if self.errors:
            raise self.errors.pop(0)
        refused = {refusal.listing_id for refusal in self.refuse}
        for name, pairs in quantities.items():
            if name not in refused:
                old = self.listings[name]
                self.listings[name] = Listing(name, old.product_id, old.seller_sku, old.title, old.status, tuple(pairs))
        return self.refuse, "r1"


def offer(
    number: int, quantity: int = 10, *, sku: str = "MUG", product: str = "88", status: str = "ACTIVATE"
) -> Listing:
    return Listing(str(number), product, sku, "Mug", status, (("W1", quantity),))


def run_push(store: Store, told: Any, shop: Shop, **options: Any) -> ReserveCount:
    result = ReserveCount()
    chosen = {"rules": NOTHING_KEPT, "run_id": None, "dry_run": False, "yes": False} | options
    push(store, shop, told, result, **chosen)  # type: ignore[arg-type]
    return result


def test_only_what_differs_is_pushed_and_a_second_push_is_silent(store: Store, told: Any) -> None:
    count(store, told, 7)
    count(store, told, 10, sku="CUP")
    shop = Shop(offer(1, 10), offer(2, 10, sku="CUP"), offer(3, 5, sku="NEW"))
    assert run_push(store, told, shop).pushed == 1
    assert shop.calls == [("88", {"1": [("W1", 7)]})]
    rows = {row["listing_id"]: tuple(row)[3:5] for row in store.query("SELECT * FROM v_listings")}
    assert rows == {"1": (7, 7), "2": (10, None), "3": (None, None)}
    assert run_push(store, told, shop).pushed == 0
    assert len(shop.calls) == 1
    assert_promises_hold(store)


def test_two_listings_of_a_sku_never_offer_more_than_there_is(store: Store, told: Any) -> None:
    count(store, told, 7)
    shop = Shop(offer(1, 9), offer(2, 9), offer(3, 9, status="DELETED"))
    run_push(store, told, shop, yes=True)
    shown = {name: sum(quantity for _place, quantity in entry.quantities) for name, entry in shop.listings.items()}
    assert (shown["1"], shown["2"]) == (4, 3)
    assert [sorted(call[1]) for call in shop.calls] == [["1", "2"]]


def test_each_product_has_a_call_of_its_own(store: Store, told: Any) -> None:
    count(store, told, 6)
    shop = Shop(offer(1, 9, product="88"), offer(2, 9, product="89"))
    run_push(store, told, shop, yes=True)
    assert sorted(product for product, quantities in shop.calls) == ["88", "89"]


def test_a_dry_push_sends_and_writes_nothing(store: Store, told: Any) -> None:
    count(store, told, 7)
    before = dump(store)
    shop = Shop(offer(1, 10))
    run_push(store, told, shop, dry_run=True)
    assert (shop.calls, dump(store)) == ([], before)
    assert [outcome.result for outcome in told.items] == ["planned"]


def test_a_push_that_would_empty_the_shop_waits_for_yes(store: Store, told: Any) -> None:
    for number in range(1, 5):
        count(store, told, 0, sku=f"S{number}")
    shop = Shop(*[offer(number, 50, sku=f"S{number}") for number in range(1, 5)])
    result = run_push(store, told, shop)
    assert (shop.calls, result.failed, told.failed()) == ([], 1, ["surprising_push"])
    assert run_push(store, told, shop, yes=True).pushed == 4


def test_a_refusal_beside_a_success_fails_only_its_own_listing(store: Store, told: Any) -> None:
    count(store, told, 7)
    count(store, told, 7, sku="CUP")
    shop = Shop(offer(1, 10), offer(2, 10, sku="CUP"))
    shop.refuse = [QuantityRefusal("2", 12052393, "locked by promotion")]
    result = run_push(store, told, shop)
    assert (result.pushed, result.failed, told.failed()) == (1, 1, ["quantity_refused"])
    assert store.scalar("SELECT group_concat(state) FROM outbox") == "done,refused"
    assert {row["listing_id"]: row["pushed_quantity"] for row in store.query("SELECT * FROM v_listings")} == {
        "1": 7,
        "2": None,
    }


def test_a_zero_that_the_channel_does_not_take_has_advice_of_its_own(store: Store, told: Any) -> None:
    count(store, told, 0)
    shop = Shop(offer(1, 3))
    shop.refuse = [QuantityRefusal("1", 12052055, "outside limits")]
    run_push(store, told, shop, yes=True)
    (failed,) = [outcome for outcome in told.items if outcome.result == "failed"]
    assert "deactivate" in (failed.next_step or "")


def test_a_call_that_is_refused_as_a_whole_fails_its_listings(store: Store, told: Any) -> None:
    count(store, told, 7)
    shop = Shop(offer(1, 10))
    shop.errors = [ChannelRefused("no", subject="88", next_step="", code=12052901, request_id="r9")]
    assert run_push(store, told, shop).failed == 1
    assert tuple(store.query_one("SELECT state, request_id, error_code FROM outbox") or ()) == (
        "refused",
        "r9",
        "12052901",
    )


def test_an_absolute_number_is_set_once_more_when_no_answer_came(store: Store, told: Any) -> None:
    count(store, told, 7)
    shop = Shop(offer(1, 10))
    shop.errors = [OutcomeUnknown("?", subject="88", next_step="")]
    assert run_push(store, told, shop).pushed == 1
    assert [call[1] for call in shop.calls] == [{"1": [("W1", 7)]}] * 2


def test_a_push_that_stays_without_an_answer_is_in_doubt_and_the_next_one_looks_again(store: Store, told: Any) -> None:
    count(store, told, 7)
    shop = Shop(offer(1, 10))
    shop.errors = [OutcomeUnknown("?", subject="88", next_step="") for _attempt in range(2)]
    assert run_push(store, told, shop).failed == 1
    assert store.scalar("SELECT state FROM outbox") == "unknown"
    assert store.scalar("SELECT pushed_quantity FROM listings") is None
    assert run_push(store, told, shop, run_id=start_run(store, "reserve-stock")).pushed == 1
    assert [row[0] for row in store.query("SELECT state FROM outbox ORDER BY outbox_id")] == ["dropped", "done"]


def test_a_push_whose_answer_was_lost_is_found_again_by_what_the_channel_shows(store: Store, told: Any) -> None:
    count(store, told, 7)
    shop = Shop(offer(1, 10))
    shop.errors = [OutcomeUnknown("?", subject="88", next_step="") for _attempt in range(2)]
    run_push(store, told, shop)
    shop.listings["1"] = offer(1, 7)  # it had been done all the same
    sent = len(shop.calls)
    assert run_push(store, told, shop).pushed == 0
    assert len(shop.calls) == sent
    assert store.scalar("SELECT state FROM outbox") == "done"
    assert store.scalar("SELECT pushed_quantity FROM listings") == 7


def test_orders_that_arrive_while_listings_are_read_lower_what_is_pushed(store: Store, told: Any) -> None:
    """The quantity is worked out after the listings were read, from the store as it is then."""
    count(store, told, 10)
    shop = Shop(offer(1, 10))

    def sell() -> None:
        add_order(store, 1, 3)
        run_reserve(store, told)

    shop.before_search = sell
    run_push(store, told, shop)
    assert shop.calls == [("88", {"1": [("W1", 7)]})]


# Counting from the channel


def test_what_the_channel_holds_becomes_the_first_count(store: Store, told: Any) -> None:
    count(store, told, 50, sku="CUP")
    shop = Shop(offer(1, 10), offer(2, 10, sku="CUP"))
    assert import_from_channel(store, shop, NOTHING_KEPT, told, dry_run=False) == 1  # type: ignore[arg-type]
    assert [tuple(row) for row in store.query("SELECT sku, warehouse, on_hand FROM stock ORDER BY sku")] == [
        ("CUP", "main", 50),
        ("MUG", "main", 12),
    ]
    assert [(outcome.ids["sku"], outcome.result) for outcome in told.items] == [("CUP", "skipped"), ("MUG", "done")]


def test_several_warehouses_of_the_channel_keep_their_names(store: Store, told: Any) -> None:
    shop = Shop(Listing("1", "88", "MUG", "Mug", "ACTIVATE", (("W1", 3), ("W2", 4))))
    import_from_channel(store, shop, NOTHING_KEPT, told, dry_run=False)  # type: ignore[arg-type]
    assert [tuple(row) for row in store.query("SELECT warehouse, on_hand FROM stock ORDER BY 1")] == [
        ("W1", 5),
        ("W2", 6),
    ]
    assert json.loads(store.scalar("SELECT warehouses FROM listings")) == ["W1", "W2"]


def test_two_listings_of_one_sku_are_one_count(store: Store, told: Any) -> None:
    import_from_channel(store, Shop(offer(1, 3), offer(2, 4)), NOTHING_KEPT, told, dry_run=False)  # type: ignore[arg-type]
    assert counters(store) == (3 + 2 + 4 + 2, 0)


def test_a_dry_import_writes_nothing(store: Store, told: Any) -> None:
    before = dump(store)
    assert import_from_channel(store, Shop(offer(1, 3)), NOTHING_KEPT, told, dry_run=True) == 1  # type: ignore[arg-type]
    assert dump(store) == before
    assert [(outcome.result, outcome.fields["quantity"]) for outcome in told.items] == [("planned", 5)]
