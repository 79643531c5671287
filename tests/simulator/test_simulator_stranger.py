"""A client that nobody here wrote works a whole day against the simulator; its typed models know every field it gets.

The models of `tiktok-shop-api` are generated from the channel's own API description, so a misspelt field or a number
where a string belongs shows up here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import attrs
import httpx
import pytest
from tiktok_shop_api import TikTokShop, TikTokShopAuth, TikTokShopError
from tiktok_shop_api.generated import models
from tiktok_shop_api.generated.types import Unset

from tiktok_erp.simulator.numbers import usps_number
from tiktok_erp.simulator.server import Simulator, SimulatorOptions

PLAIN = {"str": str, "int": int, "bool": bool}


def check(value: Any, where: str = "answer") -> Any:
    """Return `value` after asserting that no field is unknown and every plain one has its type, all the way down."""
    if isinstance(value, list):
        for item in value:
            check(item, where)
    elif attrs.has(type(value)):
        unknown = set(getattr(value, "additional_properties", {}))
        assert not unknown, f"{where}: unknown fields {unknown}"
        for field in attrs.fields(type(value)):
            if field.name == "additional_properties":
                continue
            member = getattr(value, field.name)
            if isinstance(member, Unset):
                continue
            kind = str(field.type).split("|")[0].strip()
            listed = re.fullmatch(r"list\[(\w+)\]", kind)
            for item in member if listed else [member]:
                plain = PLAIN.get(listed[1] if listed else kind)
                assert plain is None or type(item) is plain, f"{where}.{field.name}: {item!r} is not {kind}"
            check(member, f"{where}.{field.name}")
    return value


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(SimulatorOptions(orders=120, document_seconds=0, own_usps=True)) as running:
        yield running


@pytest.fixture(scope="module")
def client(simulator) -> Iterator[TikTokShop]:
    with TikTokShop(
        simulator.app_key,
        simulator.app_secret,
        access_token=simulator.access_token,
        shop_cipher=simulator.cipher,
        base_url=simulator.api_url,
    ) as made:
        yield made


@pytest.fixture(scope="module")
def orders(client) -> list[Any]:
    return walk(client.orders.get_order_list, "orders", body=models.GetOrderListRequest(), page_size=50)


@pytest.fixture
def fresh(orders, client) -> SimpleNamespace:
    """Orders that can still be shipped, by shipping type."""

    def of(shipping_type: str) -> list[Any]:
        body = models.GetOrderListRequest(
            order_status=models.GetOrderListRequestOrderStatus.AWAITING_SHIPMENT, shipping_type=shipping_type
        )
        rows = walk(client.orders.get_order_list, "orders", body=body, page_size=100)
        return [
            row for row in rows if row.fulfillment_type == "FULFILLMENT_BY_SELLER" and not row.is_buyer_request_cancel
        ]

    return SimpleNamespace(tiktok=of("TIKTOK"), seller=of("SELLER"))


def walk(method: Any, rows: str, **arguments: Any) -> list[Any]:
    found: list[Any] = []
    token: dict[str, str] = {}
    while True:
        data = check(method(**arguments, **token)).data
        found += getattr(data, rows)
        if not data.next_page_token:
            return found
        token = {"page_token": data.next_page_token}


@pytest.mark.parametrize("order", [{"id": 1}, {"id": "1", "ident": "1"}, {"id": "1", "packages": [{"id": 5}]}])
def test_the_check_of_this_module_finds_wrong_types_and_names(order):
    with pytest.raises(AssertionError):
        check(models.GetOrderListResponse.from_dict({"data": {"orders": [order]}}))


def test_it_finds_the_shop_and_refreshes_its_token(simulator, client):
    (shop,) = check(client.authorization.get_authorized_shops()).data.shops
    assert (shop.code, shop.cipher, shop.id) == ("SIMULATED", simulator.cipher, simulator.shop_id)
    assert check(client.seller.get_active_shops()).data.shops[0].id == simulator.shop_id
    auth = TikTokShopAuth(
        simulator.app_key, simulator.app_secret, service_id=simulator.service_id, base_url=simulator.auth_url
    )
    tokens = auth.refresh(simulator.refresh_token)
    assert tokens.seller_base_region == "US"
    assert tokens.user_type == 0
    assert "seller.order.info" in tokens.granted_scopes
    other = client.with_shop(access_token=tokens.access_token)
    assert other.orders.get_order_list(page_size=1).data.total_count == 120
    other.close()
    code = simulator.accounts.new_auth_code(simulator.shop.clock())
    assert auth.exchange_code(code).access_token not in (tokens.access_token, "")
    with pytest.raises(TikTokShopError) as refused:
        auth.exchange_code(code)
    assert refused.value.code == 36004004


def test_it_lists_all_orders_and_reads_their_details(client, orders):
    assert len({order.id for order in orders}) == 120
    details = check(client.orders.get_order_detail(ids=[order.id for order in orders[:50]])).data.orders
    assert [order.id for order in details] == [order.id for order in orders[:50]]
    for listed, detailed in zip(orders, details, strict=False):
        assert listed.payment.total_amount == detailed.payment.total_amount
        assert [line.id for line in listed.line_items] == [line.id for line in detailed.line_items]
        assert all(line.item_tax[0].tax_type == "SALES_TAX" for line in detailed.line_items)
    with pytest.raises(TikTokShopError) as refused:
        client.orders.get_order_detail(ids=[order.id for order in orders[:51]])
    assert (refused.value.code, refused.value.http_status) == (36009004, 400)


def test_it_reads_prices_and_splits(client, orders):
    prices = check(client.orders.get_order_price_details(orders[0].id)).data
    assert prices.currency == "USD"
    assert len(prices.line_items) == len(orders[0].line_items)
    rows = check(client.fulfillment.get_order_split_attributes(order_ids=[orders[0].id, orders[1].id])).data
    assert [row.order_id for row in rows.split_attributes] == [orders[0].id, orders[1].id]


def test_it_buys_polls_and_downloads_a_label(client, fresh):
    order = fresh.tiktok[0]
    services = check(client.fulfillment.get_eligible_shipping_services(order.id)).data.shipping_services
    assert services[0].is_default is True
    bought = check(
        client.fulfillment.create_packages(body=models.CreatePackagesRequest(ship_type="1", order_id=order.id))
    ).data
    package = check(client.fulfillment.get_package_detail(bought.package_id)).data
    assert package.package_id == bought.package_id
    assert package.package_sub_status == "RTS"
    assert package.order_line_item_ids == [line.id for line in order.line_items]
    document = check(
        client.fulfillment.get_package_shipping_document(bought.package_id, document_type="SHIPPING_LABEL")
    ).data
    assert document.tracking_number == package.tracking_number
    label = httpx.get(document.doc_url)
    assert label.content.startswith(b"%PDF")
    after = client.orders.get_order_detail(ids=[order.id]).data.orders[0]
    assert after.status == "AWAITING_COLLECTION"
    assert after.packages[0].id == bought.package_id
    assert {line.package_status for line in after.line_items} == {"PROCESSING"}
    events = check(client.fulfillment.get_order_tracking(order.id)).data.tracking
    assert events[0].update_time_millis > 10**12
    check(client.logistics.get_logistics_tracking(order.id))
    coverage = check(
        client.fulfillment.check_tik_tok_shipping_and_collection_by_tik_tok_coverage(
            tracking_number=document.tracking_number
        )
    ).data
    assert coverage.is_tiktok_shipping is True
    with pytest.raises(TikTokShopError) as refused:
        client.fulfillment.create_packages(body=models.CreatePackagesRequest(ship_type="1", order_id=order.id))
    assert refused.value.code == 21022025


def test_it_marks_a_seller_shipped_order_and_corrects_the_number(client, fresh):
    order = fresh.seller[0]
    warehouses = check(client.logistics.get_warehouse_list()).data.warehouses
    assert order.warehouse_id in {row.id for row in warehouses}
    options = check(client.logistics.get_warehouse_delivery_options(order.warehouse_id)).data.delivery_options
    assert order.delivery_option_id in {option.id for option in options}
    providers = check(client.logistics.get_shipping_providers(order.delivery_option_id)).data.shipping_providers
    usps = next(row.id for row in providers if row.name == "USPS")
    info = models.ShippingInfoList(tracking_number=usps_number(1), shipping_provider_id=usps)
    marked = check(
        client.fulfillment.mark_package_as_shipped(
            order.id, body=models.MarkPackageAsShippedRequest(shipping_info_list=[info])
        )
    ).data
    assert marked.order_id == order.id
    assert isinstance(marked.warning, Unset)
    body = models.UpdateOrderShippingInfoRequest(tracking_number=usps_number(2), shipping_provider_id=usps)
    check(client.fulfillment.update_order_shipping_info(order.id, body=body))
    after = client.orders.get_order_detail(ids=[order.id]).data.orders[0]
    assert (after.tracking_number, after.shipping_provider) == (usps_number(2), "USPS")


def test_it_is_warned_about_a_doubtful_number(client, fresh):
    order = fresh.seller[1]
    usps = next(
        row.id
        for row in client.logistics.get_shipping_providers(order.delivery_option_id).data.shipping_providers
        if row.name == "USPS"
    )
    info = models.ShippingInfoList(tracking_number="NOT-A-NUMBER-1", shipping_provider_id=usps)
    request = models.MarkPackageAsShippedRequest(shipping_info_list=[info])
    marked = check(client.fulfillment.mark_package_as_shipped(order.id, body=request)).data
    assert "provider" in marked.warning.message


def test_it_searches_packages(client, fresh):
    request = models.CreatePackagesRequest(ship_type="1", order_id=fresh.tiktok[1].id)
    package_id = client.fulfillment.create_packages(body=request).data.package_id
    rows = walk(client.fulfillment.search_package, "packages", body=models.SearchPackageRequest(), page_size=3)
    assert package_id in {row.id for row in rows}
    slots = check(client.fulfillment.get_package_handover_time_slots(package_id)).data.pickup_slots
    assert all(slot.avaliable for slot in slots)


def test_it_reads_products_and_sets_stock(client):
    products = walk(client.products.search_products, "products", body=models.SearchProductsRequest(), page_size=5)
    assert len(products) == 12
    product = check(client.products.get_product(products[0].id)).data
    assert product.title == products[0].title
    sku = products[0].skus[0]
    before = check(client.products.inventory_search(body=models.InventorySearchRequest(sku_ids=[sku.id]))).data
    places = before.inventory[0].skus[0].warehouse_inventory
    wanted = [
        models.UpdateInventoryRequestSkuInventory(quantity=40 + number, warehouse_id=place.warehouse_id)
        for number, place in enumerate(places)
    ]
    body = models.UpdateInventoryRequest(skus=[models.UpdateInventoryRequestSku(id=sku.id, inventory=wanted)])
    check(client.products.update_inventory(products[0].id, body=body))
    after = client.products.inventory_search(body=models.InventorySearchRequest(product_ids=[products[0].id])).data
    now = next(row for row in after.inventory[0].skus if row.id == sku.id)
    assert [place.available_quantity for place in now.warehouse_inventory] == [row.quantity for row in wanted]
    missing = models.UpdateInventoryRequestSkuInventory(quantity=1, warehouse_id="1")
    body = models.UpdateInventoryRequest(skus=[models.UpdateInventoryRequestSku(id=sku.id, inventory=[missing])])
    (error,) = check(client.products.update_inventory(products[0].id, body=body)).data.errors
    assert (error.code, error.detail.sku_id) == (12052037, sku.id)
    assert {extra.code for extra in error.detail.extra_errors} == {12052097, 12052533}


def test_it_answers_cancel_requests_and_cancels(client, fresh):
    rows = walk(client.return_and_refund.search_cancellations, "cancellations", page_size="3")
    first, *others = [row for row in rows if row.cancel_status == "CANCELLATION_REQUEST_PENDING"]
    check(client.return_and_refund.approve_cancellation(first.cancel_id))
    assert client.orders.get_order_detail(ids=[first.order_id]).data.orders[0].status == "CANCELLED"
    if others:
        reason = models.RejectCancellationRequest(reject_reason="seller_reject_apply_product_has_been_packed")
        check(client.return_and_refund.reject_cancellation(others[0].cancel_id, body=reason))
    body = models.CancelOrderRequest(order_id=fresh.tiktok[-1].id, cancel_reason="seller_cancel_reason_out_of_stock")
    assert check(client.return_and_refund.cancel_order(body=body)).data.cancel_id


def test_it_reads_affiliate_orders_and_references(client, orders):
    rows = walk(client.affiliate_seller.search_seller_affiliate_orders, "orders", page_size=5)
    assert {row.id for row in rows} <= {order.id for order in orders}
    assert all(sku.commission_rate.isdecimal() for row in rows for sku in row.skus)
    external = models.AddExternalOrderReferencesRequestOrderExternalOrder.from_dict(
        {"id": "E-1", "platform": "ERP_SYSTEM", "line_items": []}
    )
    row = models.AddExternalOrderReferencesRequestOrder(id=orders[0].id, external_order=external)
    check(client.orders.add_external_order_references(body=models.AddExternalOrderReferencesRequest(orders=[row])))
    platform = models.GetExternalOrderReferencesPlatform.ERP_SYSTEM
    got = check(client.orders.get_external_order_references(orders[0].id, platform=platform)).data
    assert got.external_orders[0].id == "E-1"


def test_it_ships_a_batch_where_packages_exist_beforehand():
    options = SimulatorOptions(orders=60, document_seconds=0, mode="packages-first", carrier="tiktok")
    with Simulator(options) as running:
        keys = {"access_token": running.access_token, "shop_cipher": running.cipher, "base_url": running.api_url}
        with TikTokShop(running.app_key, running.app_secret, **keys) as client:
            body = models.SearchPackageRequest(package_status=models.SearchPackageRequestPackageStatus.TO_FULFILL)
            packages = walk(client.fulfillment.search_package, "packages", body=body, page_size=50)
            own = [row for row in packages if not running.shop.orders[row.orders[0].id].is_platform_fulfilled][:4]
            wanted = [models.BatchShipPackagesRequestPackage(id=row.id) for row in own]
            request = models.BatchShipPackagesRequest(packages=wanted)
            assert isinstance(check(client.fulfillment.batch_ship_packages(body=request)).data.errors, Unset)
            again = check(client.fulfillment.batch_ship_packages(body=request)).data.errors
            assert {error.detail.package_id for error in again} == {row.id for row in own}
        assert len(running.ledger()["purchases"]) == 4


def test_after_its_day_the_ledger_knows_only_its_deliberate_mistakes(simulator, client, fresh):
    kinds = {violation["kind"] for violation in simulator.ledger()["violations"]}
    assert kinds <= {"bought_twice", "inventory_without_all_warehouses"}
