"""Several shops under one token, and tokens with some of the scopes only."""

from __future__ import annotations

import json

import pytest

from tiktok_erp.simulator.__main__ import parser
from tiktok_erp.simulator.options import SCOPES, SimulatorOptions, parse_scopes

SHOPS = "/authorization/202309/shops"
SEARCH = "/order/202309/orders/search"


def authorized(wire):
    return wire.call("GET", SHOPS, cipher=None).data["shops"]


def test_one_token_opens_several_shops_each_with_its_own_id_name_and_cipher(start_shop):
    wire = start_shop(shops=3)
    shops = authorized(wire)
    for name in ("id", "name", "cipher"):
        assert len({shop[name] for shop in shops}) == 3
    assert {shop["code"] for shop in shops} == {"SIMULATED"}
    assert shops[0]["cipher"] == wire.simulator.cipher
    active = wire.call("GET", "/seller/202309/shops", cipher=None).data["shops"]
    assert [shop["id"] for shop in active] == [shop["id"] for shop in shops]


def test_the_first_shop_is_the_same_whatever_comes_with_it(start_shop):
    alone, among_others = start_shop(seed=9), start_shop(seed=9, shops=4)
    assert authorized(alone)[0] == authorized(among_others)[0]
    assert alone.token == among_others.token
    assert alone.search().data["orders"] == among_others.search().data["orders"]


def test_a_further_shop_is_real_and_empty(start_shop):
    wire = start_shop(shops=2)
    other = authorized(wire)[1]["cipher"]
    own = {"id": next(iter(wire.simulator.shop.orders))}
    assert wire.call("POST", SEARCH, {}, {}, cipher=other).data == {
        "orders": [],
        "next_page_token": "",
        "total_count": 0,
    }
    products = wire.call("POST", "/product/202502/products/search", {}, {}, cipher=other).data
    assert (products["products"], products["total_count"]) == ([], 0)
    assert wire.call("GET", "/order/202507/orders", {"ids": own["id"]}, cipher=other).data["orders"] == []
    bought = wire.call(
        "POST", "/fulfillment/202512/packages", {}, {"ship_type": "1", "order_id": own["id"]}, cipher=other
    )
    assert bought.code == 21008111
    places = wire.call("GET", "/logistics/202309/warehouses", cipher=other).data["warehouses"]
    mine = wire.get("/logistics/202309/warehouses").data["warehouses"]
    assert not {place["id"] for place in places} & {place["id"] for place in mine}
    assert len(wire.search().data["orders"]) == 60


def test_a_page_token_of_one_shop_is_unknown_in_another(start_shop):
    wire = start_shop(shops=2)
    token = wire.search(page_size="5").data["next_page_token"]
    other = wire.simulator.accounts.ciphers[1]
    assert wire.call("POST", SEARCH, {"page_size": "5", "page_token": token}, {}, cipher=other).code == 36009004


def test_each_shop_has_its_own_allowance(start_shop):
    wire = start_shop(shops=2, rate_limit=1)
    other = wire.simulator.accounts.ciphers[1]
    assert [wire.search().code for attempt in range(2)] == [0, 36009002]
    assert wire.call("POST", SEARCH, {}, {}, cipher=other).code == 0


def test_the_calls_of_all_shops_are_in_one_ledger(start_shop):
    wire = start_shop(shops=2)
    wire.search()
    wire.call("POST", SEARCH, {}, {}, cipher=wire.simulator.accounts.ciphers[1])
    assert wire.ledger["calls"][f"POST {SEARCH}"] == 2
    shops = wire.simulator.gateway.shops.values()
    assert len({id(shop.ledger) for shop in shops}) == len({id(shop.lock) for shop in shops}) == 1


def test_the_ready_file_lists_the_ciphers(start_shop, tmp_path):
    ready = tmp_path / "ready.json"
    wire = start_shop(shops=3, ready_file=ready)
    book = json.loads(ready.read_text(encoding="utf-8"))
    assert book["ciphers"] == [shop["cipher"] for shop in authorized(wire)]
    assert book["cipher"] == book["ciphers"][0]


def test_a_call_outside_the_granted_scopes_is_refused(start_shop):
    wire = start_shop(scopes="seller.authorization.info, seller.order.info")
    assert wire.search().code == 0
    assert len(authorized(wire)) == 1
    reply = wire.get("/logistics/202309/warehouses")
    assert (reply.status, reply.code) == (401, 105005)
    assert "seller.logistics" in reply.message


def test_the_token_calls_name_the_granted_scopes(start_shop):
    wire = start_shop(scopes="seller.order.info")
    simulator = wire.simulator
    query = f"app_key={simulator.app_key}&app_secret={simulator.app_secret}&refresh_token={simulator.refresh_token}"
    data = wire.send("GET", f"/api/v2/token/refresh?{query}&grant_type=refresh_token").data
    assert data["granted_scopes"] == ["seller.order.info"]


def test_all_scopes_are_granted_unless_told_otherwise():
    assert parse_scopes("all") == SCOPES
    assert SimulatorOptions(**vars(parser().parse_args([]))).scopes == "all"


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"scopes": "seller.everything"}, "seller.everything"),
        ({"scopes": " , "}, "empty"),
        ({"scopes": "all,seller.order.info"}, "all"),
        ({"shops": 0}, "shops"),
        ({"shops": 101}, "shops"),
    ],
)
def test_bad_shops_and_scopes_are_named(options, word):
    with pytest.raises(ValueError, match=word):
        SimulatorOptions(**options)
