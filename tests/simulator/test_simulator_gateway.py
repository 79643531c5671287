"""What stands before the business: paths, credentials, signatures, ciphers, limits, envelopes, connections."""

from __future__ import annotations

import http.client
import json
import statistics
import threading
import time
from email.utils import parsedate_to_datetime

import pytest

SEARCH = "/order/202309/orders/search"
SHOPS = "/authorization/202309/shops"


def test_an_unknown_path_is_404_before_anything_else_is_looked_at(wire):
    reply = wire.send("GET", "/order/202309/nothing?app_key=wrong")
    assert (reply.status, reply.code, reply.data) == (404, 36009009, None)


def test_a_wrong_method_is_refused(wire):
    assert wire.get(SEARCH).code == 36009010


def test_a_retired_version_is_refused_with_no_data(wire):
    reply = wire.post("/order/202212/orders/search")
    assert reply.code == 36009014
    assert reply.data is None


@pytest.mark.parametrize(
    ("change", "code", "word"),
    [
        ({"app_key": "nobody"}, 36009004, "app_key"),
        ({"app_key": None}, 36009004, "app_key"),
        ({"timestamp": None}, 36009004, "timestamp"),
        ({"timestamp": "soon"}, 36009004, "timestamp"),
        ({"sign": "0" * 64}, 106001, "sign"),
        ({"sign": ""}, 36009004, "sign"),
        ({"shop_cipher": None}, 106013, "shop_cipher"),
        ({"shop_cipher": "ROW_other"}, 101000, "shop_cipher"),
    ],
)
def test_a_wrong_query_value_is_refused_by_name(wire, change, code, word):
    reply = wire.call("POST", SEARCH, {"page_size": "10"}, {}, change=change)
    assert reply.code == code
    assert word in reply.message
    assert reply.status in (400, 401)


@pytest.mark.parametrize(("age", "accepted"), [(300, True), (301, False), (-30, True), (-31, False)])
def test_the_timestamp_window_is_300_back_and_30_ahead(wire, age, accepted):
    change = {"timestamp": str(int(wire.clock()) - age)}
    reply = wire.call("POST", SEARCH, {"page_size": "10"}, {}, change=change)
    assert (reply.code == 0) is accepted
    if not accepted:
        assert (reply.status, reply.code) == (400, 36009004)


def test_the_app_key_is_checked_before_the_timestamp_and_that_before_the_signature(wire):
    wrong = {"app_key": "nobody", "timestamp": "1", "sign": "0" * 64}
    assert "app_key" in wire.call("POST", SEARCH, {}, {}, change=wrong).message
    del wrong["app_key"]
    assert "timestamp" in wire.call("POST", SEARCH, {}, {}, change=wrong).message


def test_a_changed_body_breaks_the_signature(wire):
    good = wire.call("POST", SEARCH, {"page_size": "10"}, {"order_status": "UNPAID"})
    assert good.code == 0
    sign = "0" * 64
    assert wire.call("POST", SEARCH, {"page_size": "10"}, {}, change={"sign": sign}).status == 401


def test_an_unknown_token_an_expired_token_and_no_token_are_told_apart(start_shop):
    wire = start_shop(token_life_s=100)
    assert wire.call("GET", SHOPS, cipher=None, headers={"x-tts-access-token": None}).code == 36009004
    assert wire.call("GET", SHOPS, cipher=None, headers={"x-tts-access-token": "TTP_other"}).code == 36009004
    wire.clock.advance(101)
    reply = wire.call("GET", SHOPS, cipher=None)
    assert (reply.status, reply.code) == (401, 105002)


def test_a_missing_scope_is_refused(wire):
    wire.simulator.accounts.scopes = ("seller.order.info",)
    reply = wire.get("/logistics/202309/warehouses")
    assert (reply.status, reply.code) == (401, 105005)
    assert wire.search().code == 0


def test_a_cipher_where_none_belongs_is_refused(wire):
    assert wire.call("GET", SHOPS).code == 36009004
    assert wire.call("GET", "/seller/202309/shops").code == 36009004


def test_the_shop_says_that_it_is_simulated(wire):
    (shop,) = wire.call("GET", SHOPS, cipher=None).data["shops"]
    assert (shop["code"], shop["region"], shop["seller_type"]) == ("SIMULATED", "US", "LOCAL")
    assert shop["cipher"] == wire.simulator.cipher
    assert shop["id"].isdecimal()
    assert wire.call("GET", "/seller/202309/shops", cipher=None).data["shops"] == [{"id": shop["id"], "region": "US"}]


def test_a_body_that_is_not_json_is_refused(wire):
    path = SEARCH
    assert wire.call("POST", path, {}, raw_body=b"{not json").code == 36009022
    assert wire.call("POST", path, {}, raw_body=b"[1]").code == 36009022
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert wire.call("POST", path, {}, raw_body=b"a=1", headers=form).code == 36009022


def test_more_requests_a_second_than_allowed_are_throttled_per_endpoint(start_shop):
    wire = start_shop(rate_limit=3)
    codes = [wire.search().code for attempt in range(4)]
    assert codes == [0, 0, 0, 36009002]
    throttled = wire.search()
    assert throttled.status == 429
    assert int(throttled.headers["retry-after"]) >= 1
    assert wire.get("/logistics/202309/warehouses").code == 0
    wire.clock.advance(1)
    assert wire.search().code == 0


def test_a_sandbox_has_its_hourly_quota(start_shop):
    wire = start_shop(sandbox_quota=2)
    assert [wire.search().code for attempt in range(3)] == [0, 0, 36009037]
    wire.clock.advance(3600)
    assert wire.search().code == 0


def test_the_envelope_carries_a_request_id_of_its_own(wire):
    ids = {wire.search().envelope["request_id"] for attempt in range(3)}
    assert len(ids) == 3
    assert set(wire.search().envelope) == {"code", "message", "request_id", "data"}


def test_answers_are_packed_when_asked_for(wire):
    packed = wire.call("POST", SEARCH, {"page_size": "50"}, {}, headers={"accept-encoding": "gzip"})
    plain = wire.search()
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert len(packed.data["orders"]) == 50


def test_the_date_header_is_the_shops_clock(wire):
    assert parsedate_to_datetime(wire.search().headers["date"]).timestamp() == int(wire.clock())


def test_a_chunked_body_is_understood(wire):
    connection = http.client.HTTPConnection("127.0.0.1", wire.simulator.port, timeout=10)
    target = f"/api/v2/token/refresh?app_key={wire.simulator.app_key}&app_secret=x&grant_type=refresh_token"
    connection.request("GET", target, iter([b"{", b"}"]), {"Transfer-Encoding": "chunked"}, encode_chunked=True)
    assert json.loads(connection.getresponse().read())["code"] == 36009004
    connection.close()


def test_32_clients_with_kept_connections_are_all_served(start_shop):
    wire = start_shop(orders=40)
    results: list[int] = []

    def work() -> None:
        client = type(wire)(wire.simulator, wire.clock)
        results.extend(client.search({"order_status": "AWAITING_SHIPMENT"}, page_size="5").code for attempt in range(5))
        client.close()

    threads = [threading.Thread(target=work) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [0] * 160
    assert wire.ledger["calls"]["POST /order/202309/orders/search"] == 160


def test_a_kept_connection_does_not_stall(wire):
    wire.get("/logistics/202309/warehouses")
    times = []
    for _attempt in range(21):
        started = time.perf_counter()
        wire.get("/logistics/202309/warehouses")
        times.append(time.perf_counter() - started)
    assert statistics.median(times) < 0.030


def test_an_auth_code_works_once_and_for_half_an_hour(wire):
    codes = [wire.simulator.accounts.new_auth_code(wire.clock()) for number in range(2)]

    def exchange(code):
        query = f"app_key={wire.simulator.app_key}&app_secret={wire.simulator.app_secret}&auth_code={code}"
        return wire.send("GET", f"/api/v2/token/get?{query}&grant_type=authorized_code")

    first = exchange(codes[0])
    assert first.code == 0
    assert first.data["access_token_expire_in"] == int(wire.clock()) + 7 * 86400
    assert first.data["user_type"] == 0
    assert exchange(codes[0]).code == 36004004
    wire.clock.advance(1801)
    assert exchange(codes[1]).code == 36004004


def refresh(wire, token):
    query = f"app_key={wire.simulator.app_key}&app_secret={wire.simulator.app_secret}&refresh_token={token}"
    return wire.send("GET", f"/api/v2/token/refresh?{query}&grant_type=refresh_token")


def test_the_old_refresh_token_dies_when_the_new_pair_is_used(wire):
    old = wire.simulator.refresh_token
    first = refresh(wire, old)
    assert first.code == 0
    assert refresh(wire, old).code == 0
    wire.token = first.data["access_token"]
    assert wire.search().code == 0
    assert refresh(wire, old).code == 36004004


def test_the_grant_type_is_spelled_as_documented(wire):
    query = f"app_key={wire.simulator.app_key}&app_secret={wire.simulator.app_secret}&auth_code=x"
    assert wire.send("GET", f"/api/v2/token/get?{query}&grant_type=authorization_code").code == 36009004


def test_the_consent_page_gives_a_code_and_the_state_back(wire):
    page = wire.send("GET", f"/open/authorize?service_id={wire.simulator.service_id}&state=abc").raw.decode()
    assert "code=TTP_" in page
    assert "state=abc" in page
