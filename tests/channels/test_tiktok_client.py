"""The TikTok client against a small server of these tests: retries, tokens, clocks, pages, and what is never sent twice.

The server plays back the answers that a test lists. It checks every signature by its own reading of the reference.
"""

from __future__ import annotations

import gzip
import hashlib
import hmac
import http.server
import io
import json
import random
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import stamina

from tiktok_erp.channels.base import Document, Listing, OrderPage, OrderSearch, QuantityRefusal
from tiktok_erp.channels.tiktok import TikTokShop
from tiktok_erp.cli.output import Output
from tiktok_erp.config.tokens import TokenFile
from tiktok_erp.errors import (
    ChannelDown,
    ChannelRefused,
    ChannelThrottled,
    LabelFileError,
    NotSent,
    OutcomeUnknown,
    SettingsError,
    SignInError,
)
from tiktok_erp.model.credentials import TikTokCredentials
from tiktok_erp.model.rule import Rules
from tiktok_erp.model.secret import Secret
from tiktok_erp.stock.count import import_from_channel
from tiktok_erp.store.database import open_store
from tiktok_erp.transport.body import LARGEST_BODY
from tiktok_erp.transport.client import HttpClient
from tiktok_erp.transport.pace import Pace

APP_KEY = "6jq1u0t5s2e"
APP_SECRET = "b7f0c1d2e3a4958677a8b9c0d1e2f3041526374"
CIPHER = "ROW_Zk3qAAAAAAB0cXVpY2tfYnJvd25fZm94"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ORDER = "576461413038785752"

SHOPS = "/authorization/202309/shops"
SEARCH = "/order/202309/orders/search"
DETAIL = "/order/202507/orders"
DETAIL_BEFORE = "/order/202309/orders"
CREATE = "/fulfillment/202512/packages"
DOCUMENT = "/fulfillment/202309/packages/1153/shipping_documents"
MARK = f"/fulfillment/202610/orders/{ORDER}/packages"
MARK_BEFORE = f"/fulfillment/202309/orders/{ORDER}/packages"
SHIP = "/fulfillment/202309/packages/1153/ship"
PRODUCTS = "/product/202502/products/search"
STOCK = "/product/202309/inventory/search"
UPDATE = "/product/202309/products/88/inventory/update"
REFRESH = "/api/v2/token/refresh"
EXCHANGE = "/api/v2/token/get"


@dataclass(frozen=True)
class Answer:
    """One answer to play back. `how` may be `whole`, `close` (no answer at all) or `cut` (half of it)."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    how: str = "whole"


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    is_signed: bool
    raw_query: str


def ok(data: object = None, **envelope: object) -> Answer:
    return Answer(json.dumps({"code": 0, "message": "Success", "request_id": "r-ok", "data": data} | envelope).encode())


def fail(code: int, message: str = "no", *, status: int = 200, **headers: str) -> Answer:
    body = json.dumps({"code": code, "message": message, "request_id": "r-no", "data": None}).encode()
    return Answer(body, status, {name.replace("_", "-"): value for name, value in headers.items()})


CLOSE = Answer(b"", how="close")
CUT = Answer(b'{"code":0,"data":{}}' * 50, how="cut")
HTML = Answer(b"<html><body>Sorry</body></html>", headers={"Content-Type": "text/html"})
TRUNCATED = Answer(b'{"code":0,"message":"Success","data":{"orders":[{"id":"5764')
EMPTY = Answer(b"")
UNAVAILABLE = Answer(b"upstream connect error", status=503)
NO_ANSWERS = [CLOSE, CUT, HTML, TRUNCATED, EMPTY, UNAVAILABLE]
NO_ANSWER_NAMES = ["closed", "cut", "html", "truncated", "empty", "503"]


def is_signed(path: str, pairs: Sequence[tuple[str, str]], body: bytes) -> bool:
    base = path + "".join(key + value for key, value in sorted(pairs) if key not in ("sign", "access_token"))
    wrapped = APP_SECRET.encode() + base.encode() + body + APP_SECRET.encode()
    expected = hmac.new(APP_SECRET.encode(), wrapped, hashlib.sha256).hexdigest()
    return dict(pairs).get("sign") == expected


class PlayBack(http.server.ThreadingHTTPServer):
    """Answers each path with the listed answers in turn, or with what a function says; keeps every request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.requests: list[Request] = []
        self.answers: dict[str, list[Answer]] = defaultdict(list)
        self.rules: dict[str, Callable[[Request], Answer]] = {}
        self.lock = threading.Lock()

    def play(self, path: str, *answers: Answer) -> None:
        self.answers[path].extend(answers)

    def answer(self, request: Request) -> Answer:
        with self.lock:
            self.requests.append(request)
            if request.path in self.rules:
                return self.rules[request.path](request)
            queue = self.answers[request.path]
            return queue.pop(0) if queue else fail(36009009, f"nothing is listed for {request.path}", status=404)

    def asked(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.path == path]


class Handler(http.server.BaseHTTPRequestHandler):
    server: PlayBack

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(
            self.command, parts.path, dict(pairs), headers, body, is_signed(parts.path, pairs, body), parts.query
        )
        answer = self.server.answer(request)
        if answer.how == "close":
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        sent = {name.lower() for name in answer.headers}
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "date" not in sent:
            self.send_header("Date", format_datetime(NOON, usegmt=True))
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body if answer.how == "whole" else answer.body[: len(answer.body) // 2])

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: object) -> None:
        return None


def serving() -> Iterator[PlayBack]:
    server = PlayBack()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def server() -> Iterator[PlayBack]:
    yield from serving()


@pytest.fixture
def label_host() -> Iterator[PlayBack]:
    yield from serving()


@pytest.fixture(scope="module")
def http_client() -> Iterator[HttpClient]:
    with HttpClient(answer_timeout_s=5) as client:
        yield client


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=6, cap=True):
        yield


class Clock:
    def __init__(self) -> None:
        self.now = NOON.timestamp()

    def __call__(self) -> float:
        return self.now


class PaceClock:
    """Time for the pace: it passes only when the pace sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += max(seconds, 1e-6)


@dataclass
class Party:
    """One client with all that it is made of."""

    shop: TikTokShop
    tokens: TokenFile
    clock: Clock
    pace: PaceClock


@pytest.fixture
def token_path(tmp_path: Path) -> Path:
    return tmp_path / "shop.db.tokens"


@pytest.fixture
def connect(server: PlayBack, http_client: HttpClient, token_path: Path) -> Callable[..., Party]:
    def build(*, api_url: str = server.url, access: str = "TTP_access_0", cipher: str = CIPHER) -> Party:
        credentials = TikTokCredentials(APP_KEY, Secret(APP_SECRET), Secret(cipher), api_url, server.url)
        tokens = TokenFile(token_path, access_token=Secret(access), refresh_token=Secret("TTP_refresh_0"))
        clock, pace_clock = Clock(), PaceClock()
        pace = Pace(start_rate=1000, max_rate=1000, clock=pace_clock, sleep=pace_clock.sleep)
        return Party(TikTokShop(credentials, tokens, http_client, pace, clock=clock), tokens, clock, pace_clock)

    return build


@pytest.fixture
def party(connect: Callable[..., Party]) -> Party:
    return connect()


def pair(number: int, *, ends_in: timedelta = timedelta(days=7)) -> Answer:
    return ok(
        {
            "access_token": f"TTP_access_{number}",
            "access_token_expire_in": int((NOON + ends_in).timestamp()),
            "refresh_token": f"TTP_refresh_{number}",
            "refresh_token_expire_in": int((NOON + timedelta(days=365)).timestamp()),
            "open_id": "x",
        }
    )


EVERYTHING = OrderSearch("update_time", None, NOON)


def page(*ids: str, following: str = "", total: int | None = None) -> Answer:
    return ok({"orders": [{"id": order_id} for order_id in ids], "next_page_token": following, "total_count": total})


def search(party: Party) -> list[str]:
    pages = walk(party, OrderSearch("update_time", NOON - timedelta(hours=1), NOON))
    return [order.order_id for page_of_orders in pages for order in page_of_orders.orders]


def walk(party: Party, wanted: OrderSearch) -> list[OrderPage]:
    """Follow the page tokens to the end."""
    pages = [party.shop.find_orders(wanted)]
    while pages[-1].next_page_token:
        pages.append(party.shop.find_orders(wanted, pages[-1].next_page_token))
    return pages


def buy(party: Party) -> Any:
    return party.shop.buy_label(ORDER, weight_g=340)


# Signed requests


def test_every_request_is_signed_over_what_is_really_sent(server: PlayBack, party: Party) -> None:
    server.play(SEARCH, page("1", following="a/b+c=="), page("2"))
    server.play(DETAIL, page("1"))
    server.play(CREATE, ok({"package_id": "1153"}))
    server.play(UPDATE, ok({}))
    search(party)
    party.shop.fetch_orders(["1", "2"])
    buy(party)
    party.shop.set_quantities("88", {"17": [("7", 3)]})
    assert len(server.requests) == 5
    for request in server.requests:
        assert request.is_signed, request
        assert request.headers["x-tts-access-token"] == "TTP_access_0"
        assert request.query["app_key"] == APP_KEY
        assert request.query["shop_cipher"] == CIPHER
        assert request.query["timestamp"] == str(int(NOON.timestamp()))
        assert request.headers["content-type"] == "application/json"
        assert "access_token" not in request.query


def test_the_shops_are_asked_for_without_a_cipher(server: PlayBack, party: Party) -> None:
    shop = {
        "id": "7495",
        "name": "beauty-us",
        "region": "US",
        "seller_type": "CROSS_BORDER",
        "cipher": "C1",
        "code": "US1",
    }
    server.play(SHOPS, ok({"shops": [shop, {"id": 7496}, "odd"]}))
    shops = party.shop.fetch_shops()
    assert "shop_cipher" not in server.requests[0].query and server.requests[0].is_signed
    assert [(entry.shop_id, entry.kind, entry.cipher.reveal(), entry.code) for entry in shops] == [
        ("7495", "cross_border", "C1", "US1"),
        ("7496", "", "", ""),
    ]


def test_a_chosen_cipher_goes_with_every_later_call(server: PlayBack, party: Party) -> None:
    server.play(SEARCH, page())
    party.shop.use_cipher(Secret("C2"))
    search(party)
    assert server.requests[0].query["shop_cipher"] == "C2"


def test_a_body_of_other_alphabets_is_signed_as_it_is_sent(server: PlayBack, party: Party) -> None:
    server.play(MARK, ok({"package_id": "1153"}))
    party.shop.mark_shipped(ORDER, tracking_number="夏é👗", provider_id="7")
    assert server.requests[0].is_signed
    assert json.loads(server.requests[0].body)["shipping_info_list"][0]["tracking_number"] == "夏é👗"


# Orders and pages


def test_a_search_asks_for_a_fixed_window_oldest_first(server: PlayBack, party: Party) -> None:
    server.play(SEARCH, page("1"), page("2"))
    search(party)
    walk(party, OrderSearch("create_time", None, NOON, "AWAITING_SHIPMENT"))
    first, second = server.requests
    assert json.loads(first.body) == {
        "update_time_ge": int(NOON.timestamp()) - 3600,
        "update_time_lt": int(NOON.timestamp()),
    }
    assert json.loads(second.body) == {"order_status": "AWAITING_SHIPMENT", "create_time_lt": int(NOON.timestamp())}
    assert second.query["sort_field"] == "create_time"
    wanted = {"page_size": "100", "sort_field": "update_time", "sort_order": "ASC"}
    assert {name: first.query[name] for name in wanted} == wanted


def test_pages_are_asked_for_with_the_same_parameters_until_the_token_is_empty(server: PlayBack, party: Party) -> None:
    token = "6AsPQsUMvH3RkchNUPPh22NROHkE0D8pmq/N5M1kHYcZmt+9aQ=="
    server.play(SEARCH, page("1", "2", following=token, total=4), page("3", following="b"), page("4", following=""))
    assert search(party) == ["1", "2", "3", "4"]
    assert [request.query.get("page_token") for request in server.requests] == [None, token, "b"]
    assert "%2F" in server.requests[1].raw_query and "%2B" in server.requests[1].raw_query
    assert len({request.body for request in server.requests}) == 1
    changing = ("page_token", "sign", "timestamp")
    same = [{k: v for k, v in request.query.items() if k not in changing} for request in server.requests]
    assert same[0] == same[1] == same[2]


@pytest.mark.parametrize("last", [{"orders": None}, {}, None, {"orders": [], "next_page_token": None}])
def test_an_empty_page_is_the_last(server: PlayBack, party: Party, last: object) -> None:
    server.play(SEARCH, ok(last))
    assert search(party) == []
    assert len(server.requests) == 1


@pytest.mark.parametrize("count", [2, "2"])
def test_a_count_and_a_token_may_come_as_text_or_number(server: PlayBack, party: Party, count: object) -> None:
    server.play(SEARCH, ok({"orders": [{"id": "1"}], "total_count": count, "next_page_token": 77}))
    found = party.shop.find_orders(OrderSearch("update_time", None, None))
    assert (found.total_count, found.next_page_token) == (2, "77")


def test_listings_that_go_round_are_noticed(server: PlayBack, party: Party) -> None:
    server.play(PRODUCTS, ok({"next_page_token": "a"}), ok({"next_page_token": "b"}), ok({"next_page_token": "a"}))
    with pytest.raises(ChannelDown, match="same page"):
        list(party.shop.search_listings())


def test_elements_that_are_no_orders_are_counted_and_the_others_kept(server: PlayBack, party: Party) -> None:
    odd = [{"id": "1"}, {"no": "id"}, 5, None, [], {"id": None}, {"id": ""}, {"id": 2}]
    server.play(SEARCH, ok({"orders": odd, "total_count": 8}))
    pages = walk(party, EVERYTHING)
    assert [order.order_id for order in pages[0].orders] == ["1", "2"]
    assert (pages[0].unreadable, pages[0].total_count) == (6, 8)


def test_an_order_keeps_its_bytes_and_a_digest_of_them(server: PlayBack, party: Party) -> None:
    raw = b'{"id": "1",  "status":"IN_TRANSIT", "new_field": [1]}'
    for body in (raw, raw, raw.replace(b"[1]", b"[2]")):
        server.play(DETAIL, Answer(b'{"code":0,"data":{"orders":[' + body + b"]}}"))
    orders = [party.shop.fetch_orders(["1"])[0] for _call in range(3)]
    assert orders[0].raw == raw
    assert orders[0].facts().status == "IN_TRANSIT"
    assert orders[0].facts().as_of == NOON
    assert (orders[0].digest == orders[1].digest, orders[0].digest == orders[2].digest) == (True, False)


@pytest.mark.parametrize("note", [b"\xff", b"\\ud83d", b"\\ud83d and more"], ids=["bytes", "half", "half then text"])
def test_half_a_character_in_one_order_hides_no_other(server: PlayBack, party: Party, note: bytes) -> None:
    orders = b'[{"id":"1","buyer_message":"' + note + b'"},{"id":"2","status":"IN_TRANSIT"}]'
    server.play(SEARCH, Answer(b'{"code":0,"message":"Success","data":{"orders":' + orders + b"}}"))
    pages = walk(party, EVERYTHING)
    facts = [order.facts() for order in pages[0].orders]
    assert [entry.channel_order_id for entry in facts] == ["1", "2"]
    assert "\ufffd" in (facts[0].buyer_note or "")


def test_more_than_fifty_ids_go_in_several_calls(server: PlayBack, party: Party) -> None:
    server.rules[DETAIL] = lambda request: page(*request.query["ids"].split(","))
    ids = [str(5764 + number) for number in range(120)]
    assert [order.order_id for order in party.shop.fetch_orders(ids)] == ids
    assert [len(request.query["ids"].split(",")) for request in server.requests] == [50, 50, 20]
    assert all(request.is_signed for request in server.requests)


def test_no_ids_are_no_call(server: PlayBack, party: Party) -> None:
    assert party.shop.fetch_orders([]) == []
    assert server.requests == []


def test_an_id_that_the_channel_does_not_know_costs_no_other_order(server: PlayBack, party: Party) -> None:
    def answer(request: Request) -> Answer:
        ids = request.query["ids"].split(",")
        return fail(21008111, "order not of this seller") if "13" in ids else page(*ids)

    server.rules[DETAIL] = answer
    ids = [str(number) for number in range(50)]
    assert [order.order_id for order in party.shop.fetch_orders(ids)] == [number for number in ids if number != "13"]
    assert len(server.requests) <= 1 + 2 * 6


def test_an_id_that_is_left_out_is_just_missing(server: PlayBack, party: Party) -> None:
    server.play(DETAIL, page("1"))
    assert [order.order_id for order in party.shop.fetch_orders(["1", "2"])] == ["1"]


@pytest.mark.parametrize("code", [36009014, 36009009])
def test_a_retired_version_gives_way_to_the_one_before(server: PlayBack, party: Party, code: int) -> None:
    server.play(DETAIL, fail(code, "version"))
    server.play(DETAIL_BEFORE, page("1"))
    assert [order.order_id for order in party.shop.fetch_orders(["1"])] == ["1"]


def test_a_page_of_another_shape_is_said_and_not_taken_for_empty(server: PlayBack, party: Party) -> None:
    server.play(SEARCH, ok({"orders": {"id": "1"}}))
    with pytest.raises(ChannelDown, match="another shape"):
        search(party)


# The access token


def test_a_dead_token_is_renewed_once_and_the_request_repeated(server: PlayBack, party: Party) -> None:
    server.play(SEARCH, fail(105002, "expired", status=401), page("1"))
    server.play(REFRESH, pair(1))
    assert search(party) == ["1"]
    tokens = [request.headers["x-tts-access-token"] for request in server.asked(SEARCH)]
    assert tokens == ["TTP_access_0", "TTP_access_1"]
    asked = server.asked(REFRESH)[0]
    assert asked.query == {
        "app_key": APP_KEY,
        "app_secret": APP_SECRET,
        "refresh_token": "TTP_refresh_0",
        "grant_type": "refresh_token",
    }
    assert "x-tts-access-token" not in asked.headers


def test_a_write_with_a_dead_token_is_repeated_with_the_new_one(server: PlayBack, party: Party) -> None:
    server.play(CREATE, fail(105002, "expired", status=401), ok({"package_id": "1153"}))
    server.play(REFRESH, pair(1))
    assert buy(party).channel_package_id == "1153"
    assert len(server.asked(CREATE)) == 2
    assert len({request.body for request in server.asked(CREATE)}) == 1


def test_the_new_pair_is_on_disk_before_it_is_used(server: PlayBack, party: Party, token_path: Path) -> None:
    on_disk: list[str] = []

    def answer(request: Request) -> Answer:
        if request.headers["x-tts-access-token"] == "TTP_access_0":
            return fail(105002)
        on_disk.append(json.loads(token_path.read_text())["consents"][0]["access_token"])
        return page("1")

    server.rules[SEARCH] = answer
    server.play(REFRESH, pair(1))
    search(party)
    assert on_disk == ["TTP_access_1"]


def test_a_token_that_dies_right_after_its_renewal_is_renewed_again(server: PlayBack, party: Party) -> None:
    server.play(SEARCH, *[fail(105002, "expired", status=401)] * 3, page("1"))
    server.play(REFRESH, pair(1), pair(2), pair(3))
    assert search(party) == ["1"]


def test_tokens_that_are_all_dead_stop_the_run_after_three_renewals(server: PlayBack, party: Party) -> None:
    server.rules[SEARCH] = lambda request: fail(105002, "expired", status=401)
    server.play(REFRESH, *[pair(number) for number in range(1, 20)])
    for _call in range(3):
        with pytest.raises(SignInError):
            search(party)
    assert len(server.asked(REFRESH)) == 3


def test_threads_share_the_renewals_that_a_dead_consent_gets(server: PlayBack, party: Party) -> None:
    server.rules[SEARCH] = lambda request: fail(105002, "expired", status=401)
    server.play(REFRESH, *[pair(number) for number in range(1, 60)])
    with ThreadPoolExecutor(12) as pool:
        outcomes = [pool.submit(search, party) for _call in range(24)]
    assert {type(outcome.exception()) for outcome in outcomes} == {SignInError}
    assert len(server.asked(REFRESH)) == 3


def test_no_call_fails_when_many_threads_meet_tokens_that_keep_dying(server: PlayBack, party: Party) -> None:
    dice, living, spent = random.Random(4), ["TTP_access_0"], set[str]()

    def refresh(request: Request) -> Answer:
        token = request.query["refresh_token"]
        if token in spent:
            return fail(36004004, "used")
        spent.add(token)
        living[0] = f"TTP_access_{len(spent)}"
        return pair(len(spent))

    def answer(request: Request) -> Answer:
        if dice.random() < 0.02:
            living[0] = ""
        return page("1") if request.headers["x-tts-access-token"] == living[0] else fail(105002, "expired")

    server.rules[REFRESH], server.rules[SEARCH] = refresh, answer
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda call: search(party), range(400))) == [["1"]] * 400
    assert len(spent) > 3


def test_a_token_near_its_end_is_renewed_before_it_is_used(server: PlayBack, party: Party) -> None:
    server.play(REFRESH, pair(1, ends_in=timedelta(seconds=0)), pair(2))
    party.shop.renew_token()
    server.play(SEARCH, page("1"))
    search(party)
    assert server.asked(SEARCH)[0].headers["x-tts-access-token"] == "TTP_access_2"


def test_a_token_that_lives_for_minutes_is_not_renewed_for_every_call(server: PlayBack, party: Party) -> None:
    server.play(REFRESH, pair(1, ends_in=timedelta(minutes=5)))
    party.shop.renew_token()
    server.rules[SEARCH] = lambda request: page("1")
    for _call in range(5):
        search(party)
    assert len(server.asked(REFRESH)) == 1


def test_a_refresh_token_alone_is_exchanged_first(server: PlayBack, connect: Callable[..., Party]) -> None:
    server.play(REFRESH, pair(1))
    server.play(SEARCH, page("1"))
    assert search(connect(access="")) == ["1"]
    assert [request.path for request in server.requests] == [REFRESH, SEARCH]


def only_the_newest_token_is_good(server: PlayBack) -> None:
    """A strict channel: each refresh token is good once, and the token before dies with the exchange."""
    good = ["TTP_access_live"]
    used: set[str] = set()

    def refresh(request: Request) -> Answer:
        token = request.query["refresh_token"]
        if token in used:
            return fail(36004004, "refresh token used")
        used.add(token)
        good[0] = "TTP_access_1"
        return pair(1)

    def answer(request: Request) -> Answer:
        return page("1") if request.headers["x-tts-access-token"] == good[0] else fail(105002)

    server.rules[REFRESH] = refresh
    server.rules[SEARCH] = answer


def test_threads_that_meet_a_dead_token_at_once_renew_it_once(server: PlayBack, party: Party) -> None:
    only_the_newest_token_is_good(server)
    run_at_once([party] * 6)
    assert len(server.asked(REFRESH)) == 1


def test_processes_that_meet_a_dead_token_at_once_renew_it_once(
    server: PlayBack, connect: Callable[..., Party]
) -> None:
    only_the_newest_token_is_good(server)
    run_at_once([connect() for _process in range(6)])
    assert len(server.asked(REFRESH)) == 1


def run_at_once(parties: Sequence[Party]) -> None:
    barrier = threading.Barrier(len(parties))
    found: list[list[str]] = []
    failures: list[BaseException] = []

    def work(party: Party) -> None:
        barrier.wait()
        try:
            found.append(search(party))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(party,)) for party in parties]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert found == [["1"]] * len(parties)


@pytest.mark.parametrize(
    "answer", [fail(36004004, "bad token"), fail(105001, "expired"), fail(99999999, "?"), fail(36004004, status=400)]
)
def test_a_refused_refresh_sends_the_seller_to_consent(server: PlayBack, party: Party, answer: Answer) -> None:
    server.play(SEARCH, fail(105002))
    server.play(REFRESH, answer)
    with pytest.raises(SignInError, match="the consent has ended") as caught:
        search(party)
    assert "auth login" in caught.value.next_step


def test_what_the_gateway_says_of_a_refresh_is_told_as_it_is(server: PlayBack, party: Party) -> None:
    server.play(SEARCH, fail(105002))
    server.play(REFRESH, fail(36009033, "ip not allowed"))
    with pytest.raises(SignInError, match="IP allow list"):
        search(party)


@pytest.mark.parametrize("data", [{}, {"access_token": "a"}, {"refresh_token": "r"}, None, []])
def test_an_answer_without_tokens_is_no_new_pair(
    server: PlayBack, party: Party, data: object, token_path: Path
) -> None:
    server.rules[SEARCH] = lambda request: fail(105002)
    server.rules[REFRESH] = lambda request: ok(data)
    with pytest.raises(ChannelDown):
        search(party)
    assert "access_token" not in token_path.read_text()


def test_a_consent_code_is_exchanged_with_the_documented_word(server: PlayBack, party: Party) -> None:
    server.play(EXCHANGE, pair(1))
    fresh = party.shop.exchange_code("one-time-code")
    assert server.requests[0].query == {
        "app_key": APP_KEY,
        "app_secret": APP_SECRET,
        "auth_code": "one-time-code",
        "grant_type": "authorized_code",
    }
    assert (fresh.access_token, fresh.refresh_token) == (Secret("TTP_access_1"), Secret("TTP_refresh_1"))
    assert fresh.access_expires_at == NOON + timedelta(days=7)


# The clock


def timestamps(server: PlayBack, path: str) -> list[int]:
    return [int(request.query["timestamp"]) for request in server.asked(path)]


def wrong_clock(date: str | None) -> Answer:
    headers = {} if date is None else {"Date": date}
    body = json.dumps({"code": 36009004, "message": "Expired timestamp", "data": None}).encode()
    return Answer(body, 400, headers)


@pytest.mark.parametrize("path", [SEARCH, CREATE])
def test_a_wrong_clock_is_corrected_by_the_servers_date(server: PlayBack, party: Party, path: str) -> None:
    server_time = NOON + timedelta(hours=3)
    server.play(
        path,
        wrong_clock(format_datetime(server_time, usegmt=True)),
        ok({"package_id": "1153"}),
        ok({"package_id": "1"}),
    )
    call = search if path == SEARCH else buy
    call(party)
    party.clock.now += 60
    call(party)
    start = int(NOON.timestamp())
    assert timestamps(server, path) == [start, start + 3 * 3600, start + 3 * 3600 + 60]
    assert all(request.is_signed for request in server.requests)


def test_a_clock_that_stays_wrong_stops_after_one_correction(server: PlayBack, party: Party) -> None:
    server.rules[SEARCH] = lambda request: wrong_clock(format_datetime(NOON, usegmt=True))
    with pytest.raises(SignInError):
        search(party)
    assert len(server.requests) == 2


def test_without_a_readable_date_nothing_is_guessed(server: PlayBack, party: Party) -> None:
    server.rules[SEARCH] = lambda request: wrong_clock("yesterday")
    with pytest.raises(SignInError) as caught:
        search(party)
    assert len(server.requests) == 1
    assert "clock" in caught.value.what and "clock" in caught.value.next_step


def test_another_fault_under_the_same_code_does_not_touch_the_clock(server: PlayBack, party: Party) -> None:
    server.play(SEARCH, fail(36009004, "page_size is too large", status=400))
    with pytest.raises(ChannelRefused):
        search(party)
    assert len(server.requests) == 1


# Slowing down


@pytest.mark.parametrize(
    ("header", "pause"),
    [("7", 7.0), ("0", 1.0), (None, 1.0), ("soon", 1.0), ("60", 60.0)],
)
@pytest.mark.parametrize("path", [SEARCH, CREATE])
def test_a_throttled_request_waits_as_long_as_it_was_told_and_is_repeated(
    server: PlayBack, party: Party, path: str, header: str | None, pause: float
) -> None:
    headers = {} if header is None else {"Retry_After": header}
    server.play(path, fail(36009002, "too many requests", status=429, **headers), ok({"package_id": "1153"}))
    (search if path == SEARCH else buy)(party)
    assert len(server.asked(path)) == 2
    assert sum(party.pace.slept) == pytest.approx(pause, abs=0.01)


@pytest.mark.parametrize("path", [SEARCH, CREATE])
def test_a_wait_that_is_too_long_for_a_command_ends_it_and_the_next_one_does_not_ask_again(
    server: PlayBack, party: Party, path: str
) -> None:
    server.play(path, fail(36009002, "too many requests", status=429, Retry_After="3600"))
    for _command in range(2):
        with pytest.raises(ChannelThrottled) as caught:
            (search if path == SEARCH else buy)(party)
        assert caught.value.retry_after_s == pytest.approx(3600, abs=5)
    assert len(server.asked(path)) == 1


def test_a_date_says_until_when_to_wait(server: PlayBack, party: Party) -> None:
    until = NOON + timedelta(seconds=30)  # by the channel's clock, which its `Date` tells
    server.play(SEARCH, fail(36009002, status=429, Retry_After=format_datetime(until, usegmt=True)), page("1"))
    assert search(party) == ["1"]
    assert 25.0 <= sum(party.pace.slept) <= 30.5


@pytest.mark.parametrize("body", [b"", b"slow down", b"<html>"])
def test_429_without_an_envelope_is_throttling_too(server: PlayBack, party: Party, body: bytes) -> None:
    server.play(CREATE, Answer(body, 429), ok({"package_id": "1153"}))
    assert buy(party).channel_package_id == "1153"


def test_an_endpoint_that_never_stops_refusing_is_given_up(server: PlayBack, party: Party) -> None:
    server.rules[SEARCH] = lambda request: fail(36009002, status=429, Retry_After="9")
    with pytest.raises(ChannelThrottled) as caught:
        search(party)
    assert caught.value.retry_after_s == 9.0
    assert caught.value.exit_code == 6
    assert len(server.requests) == 6


# No answer


@pytest.mark.parametrize("answer", NO_ANSWERS, ids=NO_ANSWER_NAMES)
def test_a_read_without_an_answer_is_repeated(server: PlayBack, party: Party, answer: Answer) -> None:
    server.play(SEARCH, answer, answer, page("1"))
    assert search(party) == ["1"]
    assert len(server.requests) == 3


@pytest.mark.parametrize("answer", NO_ANSWERS, ids=NO_ANSWER_NAMES)
@pytest.mark.parametrize("write", ["buy", "mark", "ship", "stock", "arrange"])
def test_a_write_without_an_answer_is_sent_once_and_stays_in_doubt(
    server: PlayBack, party: Party, answer: Answer, write: str
) -> None:
    path, call = {
        "buy": (CREATE, lambda: buy(party)),
        "mark": (MARK, lambda: party.shop.mark_shipped(ORDER, tracking_number="94001", provider_id="7")),
        "ship": (
            SHIP,
            lambda: party.shop.ship_package("1153", tracking_number="94001", provider_id="7", subject=ORDER),
        ),
        "stock": (UPDATE, lambda: party.shop.set_quantities("88", {"17": [("7", 3)]})),
        "arrange": (SHIP, lambda: party.shop.ship_platform_package("1153", subject=ORDER)),
    }[write]
    server.play(path, answer, ok({"package_id": "1153"}))
    with pytest.raises(OutcomeUnknown):
        call()
    assert len(server.requests) == 1


@pytest.mark.parametrize("code", [36009003, 36009007, 21001003, 21022026])
def test_a_failure_inside_the_channel_is_repeated_for_reads_alone(server: PlayBack, party: Party, code: int) -> None:
    server.play(SEARCH, fail(code), page("1"))
    server.play(CREATE, fail(code), ok({"package_id": "1153"}))
    assert search(party) == ["1"]
    with pytest.raises(OutcomeUnknown):
        buy(party)
    assert len(server.asked(CREATE)) == 1


def test_a_silent_server_is_given_up_after_some_attempts(server: PlayBack, party: Party) -> None:
    server.rules[SEARCH] = lambda request: CLOSE
    with pytest.raises(ChannelDown):
        search(party)
    assert len(server.requests) == 6


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_a_server_that_is_not_there_was_sent_nothing(connect: Callable[..., Party], closed_port: int) -> None:
    party = connect(api_url=f"http://127.0.0.1:{closed_port}")
    for call in (lambda: search(party), lambda: buy(party)):
        with pytest.raises(NotSent):
            call()


def test_a_refusal_is_final_and_carries_what_support_asks_for(server: PlayBack, party: Party) -> None:
    server.play(CREATE, fail(21011044, "order on hold"), ok({"package_id": "1153"}))
    with pytest.raises(ChannelRefused) as caught:
        buy(party)
    assert (caught.value.code, caught.value.cause, caught.value.request_id) == (21011044, "on_hold", "r-no")
    assert ORDER in str(caught.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize("empty", [None, 0, ""])
def test_an_empty_field_of_the_envelope_hides_no_success(server: PlayBack, party: Party, empty: object) -> None:
    server.play(CREATE, ok({"package_id": "1153"}, message=empty, request_id=empty))
    bought = buy(party)
    assert (bought.channel_package_id, bought.request_id) == ("1153", "")


def test_new_fields_of_the_envelope_are_ignored(server: PlayBack, party: Party) -> None:
    server.play(CREATE, ok({"package_id": "1153"}, trace={"a": 1}))
    assert buy(party).channel_package_id == "1153"


def test_no_secret_and_no_address_is_in_any_error(server: PlayBack, party: Party) -> None:
    server.rules[REFRESH] = lambda request: fail(36004004, "refused")
    server.rules[SEARCH] = lambda request: fail(105002, "expired")
    server.rules[CREATE] = lambda request: HTML
    server.rules[DETAIL] = lambda request: CLOSE
    shown = []
    for call in (lambda: search(party), lambda: buy(party), lambda: party.shop.fetch_orders(["1"])):
        with pytest.raises((SignInError, ChannelDown)) as caught:
            call()
        shown.append(f"{caught.value} {caught.value.subject} {caught.value.next_step}")
    for secret in (APP_SECRET, "TTP_access_0", "TTP_refresh_0", CIPHER, "sign=", "http://"):
        assert all(secret not in text for text in shown)


# Labels


def test_a_label_is_bought_for_a_whole_order(server: PlayBack, party: Party) -> None:
    service = {"name": "USPS Ground Advantage", "price": "3.52", "currency": "USD", "shipping_provider_name": "USPS"}
    server.play(CREATE, ok({"package_id": "1153132168123859123", "shipping_service_info": service}))
    bought = buy(party)
    assert json.loads(server.requests[0].body) == {
        "ship_type": "1",
        "order_id": ORDER,
        "weight": {"value": "340", "unit": "GRAM"},
    }
    assert bought.channel_package_id == "1153132168123859123"
    assert (bought.cost_minor, bought.currency) == (352, "USD")
    assert (bought.carrier, bought.service_level, bought.request_id) == ("USPS", "USPS Ground Advantage", "r-ok")


@pytest.mark.parametrize("service", [None, [], "x", {}, {"price": "free", "currency": "USD"}, {"price": "3.52"}])
def test_a_price_that_was_not_told_is_not_known(server: PlayBack, party: Party, service: object) -> None:
    server.play(CREATE, ok({"package_id": 1153, "shipping_service_info": service}))
    bought = buy(party)
    assert (bought.channel_package_id, bought.cost_minor) == ("1153", None)


@pytest.mark.parametrize("data", [{}, None, [], {"package_id": ""}, {"package_id": None}])
def test_a_purchase_without_a_package_id_is_in_doubt(server: PlayBack, party: Party, data: object) -> None:
    server.play(CREATE, ok(data))
    with pytest.raises(OutcomeUnknown):
        buy(party)


@pytest.mark.parametrize("code", [11034037, 11034023, 11006010, 21023034, 21030005, 21042104, 21023035])
def test_a_document_that_is_still_being_made_is_none(server: PlayBack, party: Party, code: int) -> None:
    server.play(DOCUMENT, fail(code), ok({"doc_url": "", "tracking_number": ""}))
    assert party.shop.fetch_document("1153") is None
    assert party.shop.fetch_document("1153") is None


def test_a_document_that_can_never_be_fetched_is_refused(server: PlayBack, party: Party) -> None:
    server.play(DOCUMENT, fail(21042102))
    with pytest.raises(ChannelRefused) as caught:
        party.shop.fetch_document("1153")
    assert caught.value.cause == "document_lost"


def test_a_label_is_downloaded_without_token_and_signature(
    server: PlayBack, label_host: PlayBack, party: Party
) -> None:
    url = f"{label_host.url}/files/label.pdf?key=abc%2Fdef&expires=1"
    server.play(DOCUMENT, ok({"doc_url": url, "tracking_number": "94001"}))
    label_host.play("/files/label.pdf", Answer(b"%PDF-1.7 specimen"))
    document = party.shop.fetch_document("1153")
    assert document is not None and document.tracking_number == "94001"
    assert party.shop.download(document, subject=ORDER) == b"%PDF-1.7 specimen"
    asked = label_host.requests[0]
    assert asked.query == {"key": "abc/def", "expires": "1"}
    assert asked.raw_query == "key=abc%2Fdef&expires=1"
    everything = f"{asked.headers} {asked.query} {asked.body!r}"
    for secret in ("TTP_", APP_KEY, APP_SECRET, CIPHER, "x-tts"):
        assert secret not in everything
    assert "abc" not in repr(document)


def test_the_size_of_the_paper_is_asked_for(server: PlayBack, party: Party) -> None:
    server.play(DOCUMENT, ok({}))
    party.shop.fetch_document("1153", size="A5")
    asked = server.requests[0].query
    assert (asked["document_type"], asked["document_size"]) == ("SHIPPING_LABEL", "A5")


@pytest.mark.parametrize(
    "url", ["http://labels.test/label.pdf", "ftp://127.0.0.1/l", "file:///etc/passwd", "label.pdf"]
)
def test_a_label_is_never_fetched_from_an_unsafe_address(party: Party, url: str) -> None:
    with pytest.raises(LabelFileError) as caught:
        party.shop.download(Document(url, "94001"), subject=ORDER)
    assert caught.value.cause == "label_url"


@pytest.mark.parametrize("status", [403, 404, 410, 302])
def test_an_address_that_has_expired_is_told(label_host: PlayBack, party: Party, status: int) -> None:
    label_host.play("/l", Answer(b"gone", status))
    with pytest.raises(LabelFileError) as caught:
        party.shop.download(Document(f"{label_host.url}/l", ""), subject=ORDER)
    assert caught.value.cause == "document_expired"
    assert len(label_host.requests) == 1


@pytest.mark.parametrize(
    "answer", [Answer(b"", 503), Answer(b"", 429), CLOSE, CUT], ids=["503", "429", "closed", "cut"]
)
def test_a_label_host_that_stumbles_is_asked_again(label_host: PlayBack, party: Party, answer: Answer) -> None:
    label_host.play("/l", answer, Answer(b"%PDF-1.7"))
    assert party.shop.download(Document(f"{label_host.url}/l", ""), subject=ORDER) == b"%PDF-1.7"


def test_the_price_of_the_default_service_is_quoted(server: PlayBack, party: Party) -> None:
    path = f"/fulfillment/202309/orders/{ORDER}/shipping_services/query"
    services = [{"price": "9.00", "currency": "USD"}, {"price": "3.52", "currency": "USD", "is_default": True}]
    server.play(path, ok({"shipping_services": services}), ok({"shipping_services": services[:1]}), ok({}))
    assert [party.shop.quote_label(ORDER) for _call in range(3)] == [(352, "USD"), (900, "USD"), (None, None)]


# Tracking numbers


def test_a_number_is_told_for_a_whole_order_or_for_some_lines(server: PlayBack, party: Party) -> None:
    server.play(
        MARK, ok({"package_id": "1153", "warning": {"message": "no provider found"}}), ok({"package_id": "1154"})
    )
    whole = party.shop.mark_shipped(ORDER, tracking_number="94001", provider_id="7117")
    part = party.shop.mark_shipped(ORDER, tracking_number="94001", provider_id="7117", line_item_ids=["5", "6"])
    info = [{"tracking_number": "94001", "shipping_provider_id": "7117"}]
    assert [json.loads(request.body) for request in server.requests] == [
        {"shipping_info_list": info},
        {"shipping_info_list": info, "order_line_list": [{"order_line_id": "5"}, {"order_line_id": "6"}]},
    ]
    assert (whole.channel_package_id, whole.warning, whole.request_id) == ("1153", "no provider found", "r-ok")
    assert (part.channel_package_id, part.warning) == ("1154", None)


def test_an_older_endpoint_is_told_in_its_own_words(server: PlayBack, party: Party) -> None:
    server.play(MARK, fail(36009014, "retired"))
    server.play(MARK_BEFORE, ok({"package_id": "1153"}))
    party.shop.mark_shipped(ORDER, tracking_number="94001", provider_id="7117", line_item_ids=["5"])
    assert json.loads(server.asked(MARK_BEFORE)[0].body) == {
        "tracking_number": "94001",
        "shipping_provider_id": "7117",
        "order_line_item_ids": ["5"],
    }


def test_a_package_that_exists_is_shipped_by_its_id(server: PlayBack, party: Party) -> None:
    server.play(SHIP, ok({}))
    told = party.shop.ship_package("1153", tracking_number="94001", provider_id="7117", subject=ORDER)
    assert json.loads(server.requests[0].body) == {
        "self_shipment": {"tracking_number": "94001", "shipping_provider_id": "7117"}
    }
    assert told.channel_package_id == "1153"


def test_the_carriers_of_a_delivery_option_are_read(server: PlayBack, party: Party) -> None:
    path = "/logistics/202309/delivery_options/7091/shipping_providers"
    server.play(path, ok({"shipping_providers": [{"id": 7117, "name": "USPS"}, "odd"]}))
    providers = party.shop.fetch_shipping_providers("7091")
    assert [(entry.provider_id, entry.name) for entry in providers] == [("7117", "USPS")]


# Stock


def test_listings_are_read_with_every_warehouse(server: PlayBack, party: Party) -> None:
    sku = {
        "id": "17",
        "seller_sku": "MUG",
        "inventory": [{"warehouse_id": "7", "quantity": 3}, {"warehouse_id": "8", "quantity": None}],
    }
    product = {"id": "88", "title": "Mug", "status": "ACTIVATE", "skus": [sku, None]}
    server.play(PRODUCTS, ok({"products": [product], "next_page_token": "b"}), ok({"products": None}))
    pages = list(party.shop.search_listings())
    assert pages == [[Listing("17", "88", "MUG", "Mug", "ACTIVATE", (("7", 3), ("8", 0)))], []]
    assert [request.query.get("page_token") for request in server.requests] == [None, "b"]


def test_stock_is_asked_for_six_hundred_skus_at_a_time(server: PlayBack, party: Party) -> None:
    def answer(request: Request) -> Answer:
        ids = json.loads(request.body)["sku_ids"]
        stock = [{"warehouse_id": "7", "available_quantity": 5, "committed_quantity": 2}]
        skus = [{"id": sku_id, "seller_sku": "", "warehouse_inventory": stock} for sku_id in ids]
        return ok({"inventory": [{"product_id": "88", "skus": skus}]})

    server.rules[STOCK] = answer
    ids = [str(number) for number in range(1300)]
    found = party.shop.fetch_stock(ids)
    assert [entry.listing_id for entry in found] == ids
    assert {(entry.available, entry.committed, entry.warehouse_id) for entry in found} == {(5, 2, "7")}
    assert [len(json.loads(request.body)["sku_ids"]) for request in server.requests] == [600, 600, 100]


def test_a_quantity_lists_every_warehouse_and_refusals_beside_a_success_are_seen(
    server: PlayBack, party: Party
) -> None:
    refusal = {
        "code": 12052055,
        "message": "quantity outside limits",
        "detail": {"sku_id": "18", "extra_errors": [{"warehouse_id": "7", "message": "must be at least 1"}]},
    }
    server.play(UPDATE, ok({"errors": [refusal, "odd"]}))
    refused, request_id = party.shop.set_quantities("88", {"17": [("7", 3), ("8", 0)], "18": [("", 0)]})
    assert json.loads(server.requests[0].body) == {
        "skus": [
            {"id": "17", "inventory": [{"warehouse_id": "7", "quantity": 3}, {"warehouse_id": "8", "quantity": 0}]},
            {"id": "18", "inventory": [{"quantity": 0}]},
        ]
    }
    assert refused == [QuantityRefusal("18", 12052055, "quantity outside limits; must be at least 1")]
    assert request_id == "r-ok"


# Addresses


@pytest.mark.parametrize("setting", ["api_url", "auth_url"])
@pytest.mark.parametrize("url", ["http://open-api.shop.test", "http://127.0.0.1.evil.test", "ftp://127.0.0.1", ""])
def test_plain_http_leads_to_this_machine_alone(
    http_client: HttpClient, token_path: Path, setting: str, url: str
) -> None:
    urls = {"api_url": "https://api.shop.test", "auth_url": "https://auth.shop.test"} | {setting: url}
    credentials = TikTokCredentials(APP_KEY, Secret(APP_SECRET), Secret(CIPHER), **urls)
    tokens = TokenFile(token_path, access_token=Secret("a"), refresh_token=Secret("r"))
    with pytest.raises(SettingsError) as caught:
        TikTokShop(credentials, tokens, http_client, Pace(start_rate=1, max_rate=1))
    assert caught.value.subject == f"TIKTOK_SHOP_{setting.upper()}"


DEEP = Answer(b'{"code":0,"data":{"orders":[{"id":"1","x":' + b"[" * 200_000)
DEEP_ORDER = Answer(b'{"code":0,"data":{"orders":[{"id":"1","x":' + b"[" * 5000 + b"]" * 5000 + b"}]}}")


@pytest.mark.parametrize("answer", [DEEP, DEEP_ORDER], ids=["cut", "whole"])
def test_an_answer_that_is_nested_without_end_is_one_of_a_channel_out_of_order(
    server: PlayBack, party: Party, answer: Answer
) -> None:
    server.rules[SEARCH] = server.rules[CREATE] = lambda request: answer
    for call, kind in ((lambda: search(party), ChannelDown), (lambda: buy(party), OutcomeUnknown)):
        with pytest.raises(kind):
            call()


def test_a_label_that_unpacks_to_a_gigabyte_is_that_labels_fault(label_host: PlayBack, party: Party) -> None:
    bomb = gzip.compress(b"0" * (LARGEST_BODY + 1000))
    label_host.rules["/label"] = lambda request: Answer(bomb, headers={"Content-Encoding": "gzip"})
    with pytest.raises(LabelFileError) as caught:
        party.shop.download(Document(label_host.url + "/label", "1Z"), subject="P000001")
    assert caught.value.cause == "answer_too_large"
    assert len(label_host.requests) == 1


def test_an_answer_that_unpacks_to_a_gigabyte_is_not_asked_for_again(server: PlayBack, party: Party) -> None:
    bomb = gzip.compress(b"0" * (LARGEST_BODY + 1000))
    server.rules[SEARCH] = lambda request: Answer(bomb, headers={"Content-Encoding": "gzip"})
    with pytest.raises(ChannelDown, match="64 MB"):
        search(party)
    assert len(server.requests) == 1


@pytest.mark.parametrize("figure", [None, "", "many", "1.5", True, [], {}])
def test_a_stock_that_cannot_be_read_is_unknown_and_never_zero(
    server: PlayBack, party: Party, figure: object, tmp_path: Path
) -> None:
    stock = [{"warehouse_id": "7", "available_quantity": figure, "committed_quantity": 2}]
    good = [{"warehouse_id": "7", "available_quantity": 5, "committed_quantity": 2}]
    skus = [
        {"id": "17", "seller_sku": "MUG", "warehouse_inventory": stock},
        {"id": "18", "seller_sku": "CUP", "warehouse_inventory": good},
    ]
    server.rules[STOCK] = lambda request: ok({"inventory": [{"product_id": "88", "skus": skus}]})
    server.rules[PRODUCTS] = lambda request: ok(
        {"products": [{"id": "88", "title": "Mug", "status": "ACTIVATE", "skus": [{"id": "17"}, {"id": "18"}]}]}
    )
    with open_store(tmp_path / "shop.db", create=True) as store:
        import_from_channel(
            store,
            party.shop,
            Rules(),
            Output(as_json=True, quiet=True, stdout=io.StringIO(), stderr=io.StringIO()),
            dry_run=False,
        )
        assert [tuple(row) for row in store.query("SELECT sku, on_hand FROM stock")] == [("18", 7)]
