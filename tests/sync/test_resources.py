"""Offers, creators and cancellations beside the orders: each when it is due, and none of them worth a sync."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tiktok_erp.channels.base import Cancellation, Commission, CommissionPage, Listing, OrderPage, OrderSearch, RawOrder
from tiktok_erp.channels.tiktok import TikTokShop
from tiktok_erp.channels.tiktok_resources import read_measures
from tiktok_erp.config.tokens import TokenFile
from tiktok_erp.errors import ChannelDown, ChannelRefused, ErpError, SignInError
from tiktok_erp.model.credentials import TikTokCredentials
from tiktok_erp.model.moment import from_text, to_text
from tiktok_erp.model.rule import Rules
from tiktok_erp.model.secret import Secret
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.packages import load_package_units
from tiktok_erp.store.runs import load_as_of
from tiktok_erp.sync.run import SyncCount, sync_channel
from tiktok_erp.transport.client import HttpClient
from tiktok_erp.transport.pace import Pace

RULES = Rules()
CHANGED = datetime(2026, 11, 18, 6, tzinfo=UTC)
PLACED = datetime(2026, 11, 20, 6, tzinfo=UTC)
SCOPE = SignInError("a scope is missing", subject="", next_step="", cause="scope_missing")
DOWN = ChannelDown("the channel is out of order", subject="", next_step="")
SIDES = ["listings", "creators", "cancellations"]


def listing(
    number: int, *, changed_at: datetime | None = CHANGED, product: int | None = None, **values: Any
) -> Listing:
    return Listing(
        listing_id=f"1729{number:05d}",
        product_id=f"88{product or number:05d}",
        seller_sku=f"SKU-{number}",
        title="Mug",
        status="ACTIVATE",
        quantities=(("7", 5),),
        changed_at=changed_at,
        **values,
    )


def weighing(value: str, unit: str = "GRAM") -> dict[str, Any]:
    return {"package_weight": {"value": value, "unit": unit}}


def earned(order: str = "576001", **values: Any) -> Commission:
    known: dict[str, Any] = {
        "channel_order_id": order,
        "channel_sku_id": "1729",
        "creator": "glow.example",
        "content_type": "LIVE",
        "content_id": "7",
        "quantity": 1,
        "rate_bp": 1550,
        "estimated_minor": 310,
        "actual_minor": None,
        "partner_minor": None,
        "shop_ads_minor": None,
        "currency": "USD",
        "settlement_status": None,
        "is_fully_returned": None,
        "placed_at": PLACED,
    }
    return Commission(**(known | values))


def asked(order: str = "576001", *, is_pending: bool = True) -> Cancellation:
    status = "CANCELLATION_REQUEST_PENDING" if is_pending else "CANCELLATION_REQUEST_COMPLETE"
    return Cancellation(
        f"40{order}", order, "BUYER_CANCEL", status, is_pending, "BUYER", None, PLACED, PLACED, None, True, 4328, "USD"
    )


class Shop:
    """A channel without orders, and with whatever a test puts beside them. `refusals` are raised by name of the side."""

    name = "tiktok"

    def __init__(self) -> None:
        self.listings: list[Listing] = []
        self.measures: dict[str, dict[str, Any]] = {}
        self.commissions: list[Commission] = []
        self.unreadable = 0
        self.cancellations: list[Cancellation] = []
        self.refusals: dict[str, BaseException] = {}
        self.calls: Counter[str] = Counter()
        self.windows: list[tuple[datetime, datetime]] = []
        self.since: list[datetime | None] = []
        self._lock = threading.Lock()

    def now(self) -> datetime:
        return utc_now()

    def latency_s(self) -> float:
        return 0.0

    def find_orders(self, search: OrderSearch, page_token: str = "") -> OrderPage:
        return OrderPage((), 0, server_time=utc_now())

    def fetch_orders(self, ids: Sequence[str]) -> list[RawOrder]:
        return []

    def _called(self, side: str) -> None:
        with self._lock:
            self.calls[side] += 1
        if side in self.refusals:
            raise self.refusals[side]

    def search_listings(self, *, is_urgent: bool = True) -> Iterator[list[Listing]]:
        self._called("listings")
        yield self.listings

    def fetch_measures(self, product_id: str) -> Any:
        self._called("measures")
        self._called(product_id)
        return read_measures(product_id, self.measures.get(product_id, weighing("340")))

    def find_commissions(self, start: datetime, end: datetime, page_token: str = "") -> CommissionPage:
        self._called("creators")
        self.windows.append((start, end))
        rows = tuple(row for row in self.commissions if row.placed_at is None or start <= row.placed_at < end)
        return CommissionPage(rows, len(rows) + self.unreadable, unreadable=self.unreadable)

    def search_cancellations(
        self,
        *,
        updated_from: datetime | None = None,
        channel_order_ids: Sequence[str] = (),
        is_urgent: bool = True,
    ) -> Iterator[list[Cancellation]]:
        self._called("questions" if channel_order_ids else "cancellations")
        self.since.append(updated_from)
        yield [row for row in self.cancellations if not channel_order_ids or row.channel_order_id in channel_order_ids]


@pytest.fixture
def shop() -> Shop:
    return Shop()


def run(store: Store, told: Any, shop: Any, **options: Any) -> SyncCount:
    return sync_channel(store, shop, RULES, told, run_id=None, **options)


def let_pass(store: Store, time: timedelta) -> None:
    """Make everything that was fetched so much older."""
    for row in store.query("SELECT channel, resource, as_of, cursor FROM cursors"):
        earlier = [to_text(from_text(row[name]) - time) if row[name] else None for name in ("as_of", "cursor")]
        store.execute(
            "UPDATE cursors SET as_of = ?, cursor = ? WHERE channel = ? AND resource = ?",
            (*earlier, row["channel"], row["resource"]),
        )


def weights(store: Store) -> dict[str, int | None]:
    return {row[0]: row[1] for row in store.query("SELECT sku, weight_g FROM listings ORDER BY sku")}


# When


def test_each_side_is_asked_again_only_when_it_is_due(store: Store, told: Any, shop: Shop) -> None:
    run(store, told, shop)
    assert [shop.calls[side] for side in SIDES] == [1, 2, 1]  # creators: longer than one window may be
    shop.calls.clear()
    for passed, due in [
        (timedelta(minutes=4), []),
        (timedelta(minutes=2), ["cancellations"]),
        (timedelta(minutes=55), ["cancellations", "creators"]),
        (timedelta(hours=5, minutes=30), ["cancellations", "creators", "listings"]),
    ]:
        let_pass(store, passed)
        run(store, told, shop)
        assert sorted(shop.calls) == due, passed
        shop.calls.clear()


def test_a_clock_that_was_far_ahead_keeps_nothing_from_being_asked(store: Store, told: Any, shop: Shop) -> None:
    run(store, told, shop)
    let_pass(store, -timedelta(days=3))
    shop.calls.clear()
    run(store, told, shop)
    assert all(shop.calls[side] for side in SIDES)


def test_a_dry_run_asks_for_orders_alone(store: Store, told: Any, shop: Shop) -> None:
    run(store, told, shop, dry_run=True)
    assert shop.calls == Counter()


def test_cancellations_are_asked_for_since_the_last_time_with_an_overlap(store: Store, told: Any, shop: Shop) -> None:
    run(store, told, shop)
    let_pass(store, timedelta(minutes=30))
    run(store, told, shop)
    first, second = shop.since
    assert first is not None and second is not None
    assert timedelta(days=29) < utc_now() - first < timedelta(days=31)
    assert timedelta(minutes=30) < utc_now() - second < timedelta(hours=1)


def test_commissions_are_asked_for_two_days_back_and_once_a_day_as_far_as_they_settle(
    store: Store, told: Any, shop: Shop
) -> None:
    run(store, told, shop)
    reaches = []
    for passed in (timedelta(hours=2), timedelta(hours=23), timedelta(hours=2)):
        shop.windows.clear()
        let_pass(store, passed)
        run(store, told, shop)
        reaches.append((utc_now() - min(start for start, end in shop.windows)).days)
        assert all(end - start <= timedelta(days=90) for start, end in shop.windows)
    assert reaches == [2, 85, 2]


# What goes wrong


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("error", [SCOPE, DOWN])
def test_a_side_that_fails_fails_neither_the_sync_nor_the_others(
    store: Store, told: Any, shop: Shop, side: str, error: ErpError
) -> None:
    shop.listings, shop.commissions, shop.cancellations = [listing(1)], [earned()], [asked()]
    shop.refusals[side] = error
    count = run(store, told, shop).resources
    assert len(told.warnings) == 1
    written = {"listings": count.listings, "creators": count.commissions, "cancellations": count.cancellations}
    assert {name for name, number in written.items() if number} == set(SIDES) - {side}
    assert load_as_of(store, "tiktok", side) is None


@pytest.mark.parametrize(("side", "every"), [("listings", 6 * 60), ("creators", 60), ("cancellations", 5)])
def test_a_missing_scope_is_told_once_and_tried_again_when_due(
    store: Store, told: Any, shop: Shop, side: str, every: int
) -> None:
    shop.refusals[side] = SCOPE
    for _sync in range(3):
        run(store, told, shop)
    assert (shop.calls[side], len(told.warnings)) == (1, 1)
    let_pass(store, timedelta(minutes=every + 1))
    del shop.refusals[side]
    run(store, told, shop)
    assert load_as_of(store, "tiktok", side) is not None
    assert len(told.warnings) == 1


def test_what_was_down_is_asked_for_by_the_next_sync(store: Store, told: Any, shop: Shop) -> None:
    shop.refusals["creators"] = DOWN
    run(store, told, shop)
    del shop.refusals["creators"]
    shop.commissions = [earned()]
    assert run(store, told, shop).resources.commissions == 1


def test_a_bug_of_ours_is_raised_once_the_rest_is_written(store: Store, told: Any, shop: Shop) -> None:
    shop.refusals["listings"] = ZeroDivisionError()
    shop.cancellations = [asked()]
    with pytest.raises(ZeroDivisionError):
        run(store, told, shop)
    assert store.scalar("SELECT count(*) FROM cancellations") == 1


def test_a_value_that_no_database_holds_stops_nothing(store: Store, told: Any, shop: Shop) -> None:
    shop.listings = [listing(1, price_minor=10**30)]
    shop.commissions = [earned()]
    assert run(store, told, shop).resources.commissions == 1
    assert len(told.warnings) == 1
    assert load_as_of(store, "tiktok", "listings") is None
    assert load_as_of(store, "tiktok", "creators") is not None


def test_rows_that_name_no_creator_are_not_searched_for_again_and_again(store: Store, told: Any, shop: Shop) -> None:
    shop.commissions, shop.unreadable = [earned()], 3
    run(store, told, shop)
    assert shop.calls["creators"] == 2


# Requests of buyers


def order_with_request(store: Store) -> None:
    """Write an order whose buyer asks to cancel, as a sync of orders would."""
    at = to_text(PLACED)
    store.execute(
        "INSERT INTO orders (order_id, channel, channel_order_id, status, base_state, is_open, cancel_requested, source,"
        " as_of, first_seen_at, synced_at) VALUES ('tiktok:576001', 'tiktok', '576001', 'AWAITING_SHIPMENT', 'open', 1, 1,"
        " 'api', ?1, ?1, ?1)",
        (at,),
    )


def test_a_request_that_an_order_tells_of_is_fetched_before_its_search_is_due(
    store: Store, told: Any, shop: Shop
) -> None:
    run(store, told, shop)
    order_with_request(store)
    shop.cancellations = [asked()]
    shop.calls.clear()
    run(store, told, shop)
    run(store, told, shop)
    assert shop.calls == Counter({"questions": 1})
    assert store.scalar("SELECT is_pending FROM cancellations") == 1


def test_without_the_scope_nobody_asks_for_single_requests(store: Store, told: Any, shop: Shop) -> None:
    order_with_request(store)
    shop.refusals["cancellations"] = SCOPE
    run(store, told, shop)
    assert shop.calls["questions"] == 0


def test_a_cancelled_piece_that_comes_after_its_cancellation_learns_what_it_says(
    store: Store, told: Any, shop: Shop
) -> None:
    shop.cancellations = [asked(is_pending=False)]
    run(store, told, shop)
    order_with_request(store)
    store.execute(
        "INSERT INTO units (unit_id, order_id, position, sku, channel_sku_id, status, state) VALUES"
        " ('tiktok:1', 'tiktok:576001', 1, 'MUG', '1729', 'CANCELLED', 'cancelled')"
    )
    shop.cancellations = []
    run(store, told, shop)
    assert store.scalar("SELECT should_restock FROM units") == 1


# Sizes


@pytest.mark.parametrize(
    ("value", "unit", "grams"),
    [("1.5", "POUND", 680), ("0.25", "KILOGRAM", 250), ("340", "GRAM", 340), ("3", "STONE", None)],
)
def test_a_weight_comes_in_grams_whatever_its_unit(
    store: Store, told: Any, shop: Shop, value: str, unit: str, grams: int | None
) -> None:
    shop.listings = [listing(1)]
    shop.measures["8800001"] = weighing(value, unit)
    run(store, told, shop)
    assert weights(store) == {"SKU-1": grams}


def test_a_skus_own_weight_goes_before_its_products(store: Store, told: Any, shop: Shop) -> None:
    shop.listings = [listing(1, product=9), listing(2, product=9)]
    own = {"id": "172900002", "sku_weight": {"value": "99", "unit": "GRAM"}}
    shop.measures["8800009"] = weighing("500") | {"skus": [own]}
    run(store, told, shop)
    assert weights(store) == {"SKU-1": 500, "SKU-2": 99}
    assert shop.calls["measures"] == 1


def search_products_again(store: Store, told: Any, shop: Shop) -> int:
    """Return for how many products the sizes were asked for."""
    let_pass(store, timedelta(hours=7))
    shop.calls.clear()
    run(store, told, shop)
    return shop.calls["measures"]


def test_a_product_is_measured_again_when_it_changed(store: Store, told: Any, shop: Shop) -> None:
    shop.listings = [listing(1), listing(2)]
    run(store, told, shop)
    assert search_products_again(store, told, shop) == 0
    shop.listings[0] = listing(1, changed_at=CHANGED + timedelta(days=1))
    shop.measures["8800001"] = weighing("777")
    assert search_products_again(store, told, shop) == 1
    assert weights(store)["SKU-1"] == 777


def test_a_new_sku_of_a_product_that_did_not_change_is_measured_at_the_next_look(
    store: Store, told: Any, shop: Shop
) -> None:
    shop.listings = [listing(1)]
    run(store, told, shop)
    shop.listings.append(listing(2, product=1))
    assert [search_products_again(store, told, shop) for _look in range(3)] == [0, 1, 0]
    assert weights(store)["SKU-2"] == 340


def test_a_product_whose_change_is_not_told_is_measured_once(store: Store, told: Any, shop: Shop) -> None:
    shop.listings = [listing(1, changed_at=None)]
    run(store, told, shop)
    assert search_products_again(store, told, shop) == 0


def test_many_products_are_measured_over_several_syncs(store: Store, told: Any, shop: Shop) -> None:
    shop.listings = [listing(number) for number in range(1, 251)]
    measured = []
    for _sync in range(4):
        shop.calls.clear()
        run(store, told, shop)
        measured.append(shop.calls["measures"])
    assert measured == [100, 100, 50, 0]
    assert set(weights(store).values()) == {340}


def test_a_product_that_is_gone_is_asked_about_once_and_keeps_its_weight(store: Store, told: Any, shop: Shop) -> None:
    shop.listings = [listing(1)]
    run(store, told, shop)
    shop.listings = [listing(1, changed_at=CHANGED + timedelta(days=1)), listing(2)]
    gone = ChannelRefused("no such product", subject="", next_step="", code=12052032)
    shop.refusals |= {"8800001": gone, "8800002": gone}
    assert search_products_again(store, told, shop) == 2
    assert search_products_again(store, told, shop) == 0
    assert weights(store) == {"SKU-1": 340, "SKU-2": None}
    assert told.warnings == []


def test_many_products_that_are_refused_do_not_make_every_sync_long(store: Store, told: Any, shop: Shop) -> None:
    shop.listings = [listing(number) for number in range(1, 151)]
    shop.refusals["measures"] = ChannelRefused("no", subject="", next_step="", code=12052990)
    run(store, told, shop)
    run(store, told, shop)
    assert shop.calls["measures"] == 100


def test_the_sellers_own_weight_wins_over_the_channels(store: Store, told: Any, shop: Shop) -> None:
    shop.listings = [listing(1), listing(2)]
    run(store, told, shop)
    order_with_request(store)
    at = to_text(PLACED)
    store.execute("INSERT INTO packages (package_id, channel, planned_at) VALUES ('P000001', 'tiktok', ?)", (at,))
    store.execute("INSERT INTO skus (sku, weight_g) VALUES ('SKU-1', 120), ('SKU-2', NULL)")
    for number in (1, 2, 3):
        store.execute(
            "INSERT INTO units (unit_id, order_id, position, sku, channel_sku_id, status, state, package_id) VALUES"
            " (?, 'tiktok:576001', ?, ?, ?, 'AWAITING_SHIPMENT', 'open', 'P000001')",
            (f"tiktok:{number}", number, f"SKU-{number}", f"1729{number:05d}"),
        )
    units = load_package_units(store, ["P000001"])
    assert {unit["sku"]: unit["weight_g"] for unit in units} == {"SKU-1": 120, "SKU-2": 340, "SKU-3": None}


# The simulated shop


@pytest.fixture
def open_simulated(tmp_path: Path) -> Iterator[Callable[..., tuple[TikTokShop, Any]]]:
    from contextlib import ExitStack

    from tiktok_erp.simulator.server import Simulator, SimulatorOptions

    with ExitStack() as stack:
        http = stack.enter_context(HttpClient())

        def start(**options: Any) -> tuple[TikTokShop, Any]:
            simulator = stack.enter_context(Simulator(SimulatorOptions(**{"orders": 80, "rate_limit": 0} | options)))
            secret = Secret(simulator.app_secret)
            credentials = TikTokCredentials(
                simulator.app_key, secret, Secret(simulator.cipher), simulator.api_url, simulator.auth_url
            )
            access, refresh = Secret(simulator.access_token), Secret(simulator.refresh_token)
            tokens = TokenFile(tmp_path / "tokens.json", access_token=access, refresh_token=refresh)
            return TikTokShop(credentials, tokens, http, Pace(start_rate=1000, max_rate=1000)), simulator.shop

        yield start


def test_a_simulated_shop_tells_weights_and_what_became_of_cancelled_pieces(
    store: Store, told: Any, open_simulated: Any
) -> None:
    shop, world = open_simulated(orders=150)
    count = run(store, told, shop).resources
    assert told.warnings == []
    assert (count.listings, count.measured) == (len(world.catalogue.skus), len(world.catalogue.products))
    assert store.scalar("SELECT count(*) FROM listings WHERE weight_g IS NULL OR length_mm IS NULL") == 0
    by_book = {row.id: row for row in world.cancellations.values()}
    assert count.cancellations == len(by_book) > 0
    rows = store.query("SELECT cancel_id, status, is_pending FROM cancellations")
    assert {row["cancel_id"]: row["status"] for row in rows} == {row.id: row.status for row in by_book.values()}
    shown = [order for order in world.orders.values() if order.content and order.content.creator and order.paid_at]
    by_order = {f"tiktok:{order.id}": order.content.creator for order in shown}
    sold = store.query("SELECT order_id, creator FROM units WHERE is_gift = 0 AND creator IS NOT NULL")
    assert {row["order_id"]: row["creator"] for row in sold} == by_order
    assert len(by_order) > 0
    unsaid = store.scalar("SELECT count(*) FROM units WHERE state = 'cancelled' AND should_restock IS NULL")
    assert unsaid == 0
    assert store.scalar("SELECT count(*) FROM units WHERE state = 'cancelled'") > 0


def test_a_simulated_shop_without_scopes_says_which_sides_are_missing_once(
    store: Store, told: Any, open_simulated: Any
) -> None:
    shop, world = open_simulated(scopes="seller.authorization.info,seller.order.info")
    assert run(store, told, shop).new == len(world.orders)
    assert len(told.warnings) == 3 and all("105005" in warning for warning in told.warnings)
    run(store, told, shop)
    assert len(told.warnings) == 3
