"""What a push sends, in what order and how fresh; drift; the template in place of a push."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook

from tiktok_erp.channels.base import Listing, QuantityRefusal
from tiktok_erp.errors import StaleData
from tiktok_erp.model.moment import to_text
from tiktok_erp.model.rule import Rules, SafetyRule
from tiktok_erp.stock.count import count_stock, map_bundle
from tiktok_erp.stock.plan import ListingState, plan_push, reckon
from tiktok_erp.stock.push import fill_template, push
from tiktok_erp.stock.run import ReserveCount, reserve
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.runs import save_cursor, start_run

RULES = Rules(safety_stock=())


class Shop:
    """A channel that takes every number, or answers as it is told to; `during` happens before an answer."""

    name = "tiktok"

    def __init__(self, *listings: Listing) -> None:
        self.listings = {listing.listing_id: listing for listing in listings}
        self.calls: list[dict[str, list[tuple[str, int]]]] = []
        self.refuse: list[QuantityRefusal] = []
        self.during: Any = lambda: None

    def search_listings(self) -> Iterator[list[Listing]]:
        yield list(self.listings.values())

    def set_quantities(
        self, product_id: str, quantities: Mapping[str, Sequence[tuple[str, int]]]
    ) -> tuple[list[QuantityRefusal], str]:
        self.calls.append({name: list(pairs) for name, pairs in quantities.items()})
        during, self.during = self.during, lambda: None
        during()
        for name, pairs in quantities.items():
            if name not in {refusal.listing_id for refusal in self.refuse}:
                self.show(name, *pairs)
        return self.refuse, "r1"

    def show(self, listing_id: str, *pairs: tuple[str, int]) -> None:
        old = self.listings[listing_id]
        self.listings[listing_id] = Listing(listing_id, old.product_id, old.seller_sku, "", "ACTIVATE", tuple(pairs))

    def shown(self) -> dict[str, int]:
        return {name: sum(number for _place, number in entry.quantities) for name, entry in self.listings.items()}


def offer(number: int, sku: str = "MUG", quantity: int = 50, product: str = "88") -> Listing:
    return Listing(str(number), product, sku, "", "ACTIVATE", (("W1", quantity),))


def count(store: Store, told: Any, quantity: int, sku: str = "MUG", place: str | None = None) -> None:
    with store.transaction():
        count_stock(store, sku=sku, warehouse=place, quantity=quantity, because="test", report=told)


def run_push(store: Store, told: Any, shop: Shop, **options: Any) -> ReserveCount:
    result = ReserveCount()
    chosen = {"rules": RULES, "run_id": start_run(store, "reserve-stock"), "dry_run": False, "yes": True} | options
    push(store, shop, told, result, **chosen)  # type: ignore[arg-type]
    return result


def sell(
    store: Store, number: int, units: int, *, listing: str = "1", sku: str = "MUG", placed_at: str | None = None
) -> None:
    at = placed_at or to_text(utc_now())
    store.execute(
        "INSERT INTO orders (order_id, channel, channel_order_id, status, base_state, is_open, placed_at, source, as_of,"
        " first_seen_at, synced_at) VALUES (?, 'tiktok', ?, 'UNPAID', 'unpaid', 1, ?, 'api', ?, ?, ?)",
        (f"tiktok:{number}", str(number), at, at, at, at),
    )
    for index in range(units):
        store.execute(
            "INSERT INTO units (unit_id, order_id, position, sku, channel_sku_id, status, state)"
            " VALUES (?, ?, ?, ?, ?, 'UNPAID', 'open')",
            (f"u{number}-{index}", f"tiktok:{number}", index, sku, listing),
        )


# Answers


def test_an_error_beside_code_0_that_names_no_sku_puts_the_whole_call_in_doubt(store: Store, told: Any) -> None:
    count(store, told, 7)
    shop = Shop(offer(1))
    shop.refuse = [QuantityRefusal("", 12052037, "could not update")]
    assert run_push(store, told, shop).failed == 1
    assert store.scalar("SELECT state FROM outbox") == "unknown"
    assert store.scalar("SELECT pushed_quantity FROM listings") is None


def test_a_bundle_that_the_channel_works_out_itself_is_left_alone_from_then_on(store: Store, told: Any) -> None:
    count(store, told, 7)
    count(store, told, 7, "CUP")
    shop = Shop(offer(1), offer(2, "CUP"))
    shop.refuse = [QuantityRefusal("2", 12052850, "bundle stock cannot be edited")]
    result = run_push(store, told, shop)
    assert (result.pushed, result.failed) == (1, 0)
    sent = len(shop.calls)
    assert run_push(store, told, shop).pushed == 0
    assert len(shop.calls) == sent


def test_a_refusal_that_was_told_before_is_an_old_case(store: Store, told: Any) -> None:
    count(store, told, 7)
    shop = Shop(offer(1))
    shop.refuse = [QuantityRefusal("1", 12052393, "locked by promotion")]
    for _time in range(2):
        run_push(store, told, shop)
    assert [outcome.is_new for outcome in told.items if outcome.result == "failed"] == [True, False]


# Freshness


def test_what_is_sold_while_a_push_is_under_way_is_pushed_after_it(store: Store, told: Any) -> None:
    count(store, told, 10)
    shop = Shop(offer(1))

    def buyers_come() -> None:
        sell(store, 1, 4)
        reserve(store, RULES, told, only_orders=None, dry_run=False)

    shop.during = buyers_come
    run_push(store, told, shop)
    assert [call["1"] for call in shop.calls] == [[("W1", 10)], [("W1", 6)]]


def test_each_call_takes_its_numbers_anew(store: Store, told: Any) -> None:
    count(store, told, 10)
    count(store, told, 10, "CUP")
    shop = Shop(offer(1, product="88", quantity=60), offer(2, "CUP", product="89"))
    shop.during = lambda: count(store, told, 3, "CUP")
    run_push(store, told, shop)
    assert shop.calls == [{"1": [("W1", 10)]}, {"2": [("W1", 3)]}]


def test_a_push_stops_as_soon_as_its_orders_are_too_old(store: Store, told: Any) -> None:
    count(store, told, 10)
    count(store, told, 10, "CUP")
    shop = Shop(offer(1, product="88", quantity=60), offer(2, "CUP", product="89"))

    def fetched(age: timedelta) -> None:
        with store.transaction():
            save_cursor(store, "tiktok", "orders", cursor=None, as_of=utc_now() - age)

    fetched(timedelta(0))
    shop.during = lambda: fetched(timedelta(minutes=30))
    with pytest.raises(StaleData):
        run_push(store, told, shop, stale_ok=False)
    assert [list(call) for call in shop.calls] == [["1"]]


# Order and shares


def state(number: int, offer: int, shown: int, **values: Any) -> ListingState:
    fields = {"offers": (("main", offer),), "reserved": 0, "warehouses": ("W1",)} | values
    return ListingState(f"{number:04d}", "88", values.pop("sku", f"S{number}"), shown=shown, **fields)


def test_what_shows_too_much_and_sells_fast_goes_first() -> None:
    entries = [
        state(1, 0, 90),
        state(2, 30, 40, per_minute=Decimal(20)),
        state(3, 30, 40, per_minute=Decimal(2)),
        state(4, 90, 40, per_minute=Decimal(99)),
    ]
    assert [change.listing_id for change in plan_push(entries).changes] == ["0002", "0003", "0001", "0004"]


def test_a_bundle_and_its_components_never_offer_a_piece_twice(store: Store, told: Any) -> None:
    map_bundle(store, RULES, told, sku="SET", components={"MUG": 2, "CUP": 1}, dry_run=False)
    count(store, told, 10)
    count(store, told, 3, "CUP")
    shop = Shop(offer(1), offer(2, "CUP"), offer(3, "SET"))
    run_push(store, told, shop)
    shown = shop.shown()
    assert shown == {"1": 8, "2": 2, "3": 1}
    assert 2 * shown["3"] + shown["1"] <= 10 and shown["3"] + shown["2"] <= 3


def test_a_bundle_of_an_uncounted_component_is_never_pushed(store: Store, told: Any) -> None:
    map_bundle(store, RULES, told, sku="SET", components={"MUG": 2, "NEW": 1}, dry_run=False)
    count(store, told, 10)
    shop = Shop(offer(3, "SET"))
    assert run_push(store, told, shop).pushed == 0
    assert shop.calls == []


def test_the_listings_of_another_channel_take_their_share(store: Store, told: Any) -> None:
    count(store, told, 10)
    store.execute("INSERT INTO listings (channel, listing_id, sku, status) VALUES ('shopify', '1', 'MUG', 'ACTIVATE')")
    shop = Shop(offer(1))
    run_push(store, told, shop)
    assert shop.shown() == {"1": 5}


def test_a_channel_that_keeps_more_back_offers_less(store: Store, told: Any) -> None:
    count(store, told, 10)
    store.execute("INSERT INTO listings (channel, listing_id, sku, status) VALUES ('shopify', '1', 'MUG', 'ACTIVATE')")
    rules = Rules(safety_stock=(SafetyRule("*", units=8, channel="tiktok"), SafetyRule("*", units=0)))
    shop = Shop(offer(1))
    run_push(store, told, shop, rules=rules)
    assert shop.shown() == {"1": 2}


def test_every_warehouse_is_listed_and_an_unknown_one_of_ours_is_put_into_the_first(store: Store, told: Any) -> None:
    count(store, told, 3, place="W2")
    count(store, told, 4, place="attic")
    shop = Shop(Listing("1", "88", "MUG", "", "ACTIVATE", (("W1", 50), ("W2", 0))))
    run_push(store, told, shop)
    assert shop.calls == [{"1": [("W1", 4), ("W2", 3)]}]


# Drift


@pytest.mark.parametrize(
    ("shown", "values", "missing", "is_too_high"),
    [
        (10, {}, 0, False),
        (9, {}, 1, False),
        (12, {}, 0, True),
        (8, {"sold": 2}, 0, False),
        (10, {"sold": 2}, 0, True),
        (8, {"cancelled": 2}, 0, False),
        (10, {"cancelled": 2}, 0, False),
        (12, {"came_back": 2}, 0, False),
        (10, {"came_back": 2}, 0, False),
        (7, {"near": 3}, 0, False),
        (6, {"near": 3}, 1, False),
    ],
)
def test_drift_is_what_neither_pushes_nor_orders_account_for(
    shown: int, values: dict[str, int], missing: int, is_too_high: bool
) -> None:
    found = reckon(shown, 10, **({"sold": 0, "cancelled": 0, "came_back": 0, "near": 0} | values))
    assert found is not None
    assert (found.missing, found.is_too_high) == (missing, is_too_high)


def test_nobody_knows_what_a_listing_should_show_that_was_never_pushed() -> None:
    for shown, base in ((None, 10), (10, None)):
        assert reckon(shown, base, sold=0, cancelled=0, came_back=0, near=0) is None


def drifts(told: Any) -> list[tuple[Any, ...]]:
    return [
        (outcome.fields["shown_quantity"], outcome.fields["least_expected"], outcome.fields["most_expected"])
        for outcome in told.items
        if outcome.kind == "drift"
    ]


def test_a_number_that_somebody_else_set_is_told_once_and_set_right(store: Store, told: Any) -> None:
    count(store, told, 10)
    shop = Shop(offer(1))
    run_push(store, told, shop)
    shop.show("1", ("W1", 40))
    run_push(store, told, shop)
    assert drifts(told) == [(40, 10, 10)]
    assert shop.shown() == {"1": 10}
    run_push(store, told, shop)
    assert len(drifts(told)) == 1


def test_a_push_whose_answer_was_lost_is_no_drift_although_buyers_came_since(store: Store, told: Any) -> None:
    count(store, told, 10)
    shop = Shop(offer(1))
    run_push(store, told, shop)
    count(store, told, 40)

    def die() -> None:
        shop.show("1", ("W1", 40))
        raise KeyboardInterrupt

    shop.during = die
    with pytest.raises(KeyboardInterrupt):
        run_push(store, told, shop)
    shop.show("1", ("W1", 39))
    run_push(store, told, shop)
    assert drifts(told) == []


def test_sales_are_no_drift(store: Store, told: Any) -> None:
    count(store, told, 10)
    shop = Shop(offer(1))
    run_push(store, told, shop)
    store.execute("UPDATE listings SET base_at = ?", (to_text(utc_now() - timedelta(minutes=5)),))
    sell(store, 1, 3)
    shop.show("1", ("W1", 7))
    reserve(store, RULES, told, only_orders=None, dry_run=False)
    run_push(store, told, shop)
    assert drifts(told) == []
    shop.show("1", ("W1", 20))
    run_push(store, told, shop)
    assert [shown for shown, _least, _most in drifts(told)] == [20]


def fetched(store: Store, age: timedelta = timedelta(0)) -> None:
    with store.transaction():
        save_cursor(store, "tiktok", "orders", cursor=None, as_of=utc_now() - age)


def test_what_sold_after_the_last_fetch_is_not_offered_again(store: Store, told: Any) -> None:
    """The listing shows two fewer than it should: two buyers came whose orders are not here yet."""
    count(store, told, 10)
    shop = Shop(offer(1), offer(2))
    run_push(store, told, shop)
    assert shop.shown() == {"1": 5, "2": 5}
    fetched(store, timedelta(minutes=1))
    shop.show("1", ("W1", 3))
    for _time in range(2):
        run_push(store, told, shop)
        assert sum(shop.shown().values()) == 8
    assert drifts(told) == []


def test_once_the_missing_orders_are_here_all_is_well(store: Store, told: Any) -> None:
    count(store, told, 10)
    shop = Shop(offer(1))
    run_push(store, told, shop)
    fetched(store, timedelta(minutes=1))
    shop.show("1", ("W1", 8))
    run_push(store, told, shop)
    sell(store, 1, 2)
    reserve(store, RULES, told, only_orders=None, dry_run=False)
    run_push(store, told, shop)
    assert (shop.shown(), drifts(told)) == ({"1": 8}, [])
    before = to_text(utc_now() - timedelta(minutes=5))
    store.execute(
        "UPDATE listings SET unseen_since = ?, unseen_until = ?", (before, to_text(utc_now() - timedelta(minutes=1)))
    )
    fetched(store)
    run_push(store, told, shop)
    assert (shop.shown(), drifts(told)) == ({"1": 8}, [])
    assert store.scalar("SELECT unseen_quantity FROM listings") == 0


def test_what_a_later_fetch_does_not_explain_was_somebody_else(store: Store, told: Any) -> None:
    count(store, told, 10)
    shop = Shop(offer(1))
    run_push(store, told, shop)
    fetched(store, timedelta(minutes=1))
    shop.show("1", ("W1", 2))
    run_push(store, told, shop)
    assert (shop.shown(), drifts(told)) == ({"1": 2}, [])
    before = to_text(utc_now() - timedelta(minutes=5))
    store.execute("UPDATE listings SET unseen_since = ?, unseen_until = ?", (before, before))
    fetched(store)
    for _time in range(2):
        run_push(store, told, shop)
        assert (shop.shown(), drifts(told)) == ({"1": 10}, [(2, 10, 10)])


def waiting(told: Any) -> list[tuple[Any, ...]]:
    return [
        (outcome.fields["shown_quantity"], outcome.fields["wanted_quantity"])
        for outcome in told.items
        if outcome.kind == "listing" and outcome.cause == "set_elsewhere"
    ]


def test_a_quantity_that_another_database_set_is_not_raised_without_yes(store: Store, told: Any) -> None:
    count(store, told, 156)
    shop = Shop(offer(1, quantity=36))
    first = run_push(store, told, shop, yes=False)
    assert (shop.shown(), waiting(told), first.failed) == ({"1": 36}, [(36, 156)], 1)
    again = run_push(store, told, shop, yes=False)
    assert (shop.shown(), again.failed) == ({"1": 36}, 0)  # an old case
    run_push(store, told, shop)
    assert shop.shown() == {"1": 156}
    count(store, told, 200)
    run_push(store, told, shop, yes=False)
    assert shop.shown() == {"1": 200}  # what was there was ours


def test_what_somebody_else_lowered_stays_so_and_more_than_there_is_is_lowered_at_once(store: Store, told: Any) -> None:
    count(store, told, 10)
    shop = Shop(offer(1))
    run_push(store, told, shop)
    fetched(store, timedelta(minutes=1))
    shop.show("1", ("W1", 2))
    run_push(store, told, shop, yes=False)
    before = to_text(utc_now() - timedelta(minutes=5))
    store.execute("UPDATE listings SET unseen_since = ?, unseen_until = ?", (before, before))
    fetched(store)
    for _time in range(2):
        run_push(store, told, shop, yes=False)
        assert (shop.shown(), drifts(told)) == ({"1": 2}, [(2, 10, 10)])
    shop.show("1", ("W1", 15))
    run_push(store, told, shop, yes=False)
    assert shop.shown() == {"1": 10}


def test_a_count_that_was_taken_from_the_channel_may_be_raised(store: Store, told: Any) -> None:
    with store.transaction():
        count_stock(store, sku="MUG", warehouse=None, quantity=50, because="tiktok: available + committed", report=told)
    shop = Shop(offer(1, quantity=40))
    run_push(store, told, shop, yes=False)
    assert (shop.shown(), waiting(told)) == ({"1": 50}, [])


# The template


def template(path: Path, *rows: tuple[object, ...], warehouses: Sequence[str] = ("U.S Pickup Warehouse",)) -> Path:
    workbook = Workbook()
    sheet = workbook.active
    assert sheet is not None
    sheet.append(["SKU ID", "Seller SKU", *(f"Quantity in {name}" for name in warehouses)])
    for row in rows:
        sheet.append(row)
    workbook.save(path)
    return path


def fill(store: Store, told: Any, path: Path, **options: Any) -> int:
    chosen = {"channel": "tiktok", "rules": RULES, "dry_run": False, "yes": True} | options
    return fill_template(store, path, told, ReserveCount(), **chosen)


def numbers(path: Path) -> list[tuple[Any, ...]]:
    sheet = load_workbook(path).active
    assert sheet is not None
    return [tuple(cell for cell in row[2:]) for row in sheet.iter_rows(min_row=2, values_only=True)]


def test_the_template_gets_what_can_be_sold_and_a_second_time_nothing(store: Store, told: Any, tmp_path: Path) -> None:
    map_bundle(store, RULES, told, sku="SET", components={"MUG": 2}, dry_run=False)
    count(store, told, 9)
    rows = (("1", "MUG", 5), ("2", "", 4), ("3", "NEW", 8), ("4", "SET", None))
    path = template(tmp_path / "t.xlsx", *rows)
    store.execute("INSERT INTO listings (channel, listing_id, sku, is_mapped) VALUES ('tiktok', '2', 'MUG', 1)")
    before = path.read_bytes()
    assert fill(store, told, path, dry_run=True) == 3
    assert path.read_bytes() == before
    assert fill(store, told, path) == 3
    assert numbers(path) == [(4,), (3,), (8,), (1,)]
    assert any("NEW" in warning for warning in told.warnings)
    filled = path.read_bytes()
    assert fill(store, told, path) == 0
    assert path.read_bytes() == filled


def test_a_template_that_would_empty_the_shop_waits_for_yes(store: Store, told: Any, tmp_path: Path) -> None:
    for number in range(4):
        count(store, told, 0, f"S{number}")
    path = template(tmp_path / "t.xlsx", *((str(number), f"S{number}", 50) for number in range(4)))
    before = path.read_bytes()
    assert fill(store, told, path, yes=False) == 0
    assert (told.failed(), path.read_bytes()) == (["surprising_push"], before)
    assert fill(store, told, path) == 4


def test_our_warehouses_go_into_the_columns_of_their_name(store: Store, told: Any, tmp_path: Path) -> None:
    count(store, told, 3, place="East")
    count(store, told, 4, place="main")
    path = template(tmp_path / "t.xlsx", ("1", "MUG", 0, 0), warehouses=("West", "East"))
    fill(store, told, path)
    assert numbers(path) == [(4, 3)]
