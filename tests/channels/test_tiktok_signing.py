"""Signatures against the test vectors of the TikTok reference, section 2.2 (V1 and V9 have their own keys)."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiktok_erp.channels.tiktok_signing import sign

APP_KEY = "6jq1u0t5s2e"
SECRET = "b7f0c1d2e3a4958677a8b9c0d1e2f3041526374"
CIPHER = "ROW_Zk3qAAAAAAB0cXVpY2tfYnJvd25fZm94"
COMMON = {"app_key": APP_KEY, "timestamp": "1764547200"}
SHOP = COMMON | {"shop_cipher": CIPHER}
SEARCH = SHOP | {"page_size": "100", "sort_field": "update_time", "sort_order": "ASC"}
SEARCH_BODY = b'{"order_status":"AWAITING_SHIPMENT","update_time_ge":1764540000,"update_time_lt":1764547200}'


@dataclass(frozen=True)
class Vector:
    name: str
    path: str
    query: dict[str, str]
    sign: str
    body: bytes = b""
    content_type: str = "application/json"
    secret: str = field(default=SECRET)


VECTORS = [
    Vector(
        "V1",
        "/authorization/202309/shops",
        {"app_key": "29a39d", "timestamp": "1623812664"},
        "b596b73e0cc6de07ac26f036364178ab16b0a907af13d43f0a0cd2345f582dc8",
        secret="e59af819cc",
    ),
    Vector(
        "V2",
        "/order/202507/orders",
        SHOP | {"ids": "576461413038785752,576461413038785753"},
        "1fb6c0a677304a70c4f0f6e65b2550e399aff3a1611ec64a1593f9535793a690",
    ),
    Vector(
        "V2r, first value only",
        "/order/202507/orders",
        SHOP | {"ids": "576461413038785752"},
        "ed408af3bc3b3a555bc4f6ef70539d2377955429fba415cf8957202e74f9adce",
    ),
    Vector(
        "V3",
        "/order/202309/orders/search",
        SEARCH,
        "f417fbe5619242d89ad80202986f21746e3e21b5f4079660763952e78bad85cb",
        SEARCH_BODY,
    ),
    Vector(
        "V3p",
        "/order/202309/orders/search",
        SEARCH | {"page_token": "6AsPQsUMvH3RkchNUPPh22NROHkE0D8pmq/N5M1kHYcZmt+9aQ=="},
        "71f0dbf9188712f65776a7c9c5946c73cc07ef9dd64a2cebb55b6e2c3cb8a30b",
        SEARCH_BODY,
    ),
    Vector(
        "V4",
        "/order/202309/orders/search",
        SHOP | {"page_size": "20"},
        "51ec44d51cc6f39aee826098d58e37cf463ac476bf2ea58a8655db22d889e8b8",
        b"{}",
    ),
    Vector(
        "V5",
        "/return_refund/202309/cancellations/4035318504086604100/approve",
        SHOP,
        "b005127b793f05ff98a4e90a7049ea6320a0cd91de73a5353bfe54849ca99c2b",
    ),
    Vector(
        "V6",
        "/product/202309/images/upload",
        COMMON,
        "53af53245c45a0d7c34a0f10ca418d785e75b1303e985101c9308366afde194a",
        b"--XyZ\r\nany body\r\n--XyZ--",
        "multipart/form-data; boundary=XyZ",
    ),
    Vector(
        "V7",
        "/product/202309/products/1729592969712207008/inventory/update",
        SHOP,
        "62ca9af68ef0aa039fde6e37c39f0a5d7b0a06d2021c829bfc4e46a890a5875f",
        '{"skus":[{"id":"1729592969712207013","note":"夏季连衣裙 é ñ 👗"}]}'.encode(),
    ),
    Vector(
        "V7a",
        "/product/202309/products/1729592969712207008/inventory/update",
        SHOP,
        "3eb5fd536a07458f9ab541cc28b95639d5d19ff150e56b0196e19b512ec557a5",
        rb'{"skus":[{"id":"1729592969712207013","note":"\u590f\u5b63\u8fde\u8863\u88d9 \u00e9 \u00f1 \ud83d\udc57"}]}',
    ),
    Vector(
        "V8",
        "/order/202309/orders",
        SHOP | {"ids": "576461413038785752", "access_token": "TTP_abc", "sign": "deadbeef"},
        "3cfd2668af5305446c342d5053a5cd8b4c763ea8d5cdf9783d79e8693a3ce39b",
    ),
    Vector(
        "V9",
        "/event/202309/webhooks",
        {"app_key": "68xu9ks5p4i8", "shop_cipher": "ROW_xkMbgAAAeVAQra0eZWebFQq5aIKt", "timestamp": "1696909648"},
        "a75b9c8cd57140cab6dc95bf31c37bd6ffface74210768b6517c0ff81659b0ba",
        b'{"address":"https://partner.tiktokshop.com","event_type":"PACKAGE_UPDATE"}',
        secret="e59af819cc",
    ),
    Vector(
        "V10",
        "/event/202309/webhooks",
        SHOP,
        "833eded8e9827701544a35710deaf92fb5433c0267b5472679fc4343225d0d6b",
        b'{"event_type":"PACKAGE_UPDATE"}',
    ),
    Vector(
        "V11",
        "/fulfillment/202309/orders/576461413038785752/packages",
        SHOP,
        "39881609d782d4438a30bc25bf0eaf5df97b343b2e8c84cf2abb11b7f4d95761",
        b'{"order_line_item_ids":["577086512123755123"],"tracking_number":"9400111899223344556677",'
        b'"shipping_provider_id":"7117858858072016686"}',
        "application/json; charset=utf-8",
    ),
]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_every_published_vector_is_met(vector: Vector) -> None:
    assert sign(vector.secret, vector.path, vector.query, vector.body, vector.content_type) == vector.sign


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", "Multipart/Form-Data; boundary=XyZ", "multipart/form-data;boundary=+++"]
)
def test_a_multipart_body_is_never_signed(content_type: str) -> None:
    path = "/product/202309/images/upload"
    assert sign(SECRET, path, COMMON, b"body", content_type) == sign(SECRET, path, COMMON)


def test_a_body_that_only_mentions_multipart_is_signed() -> None:
    path = "/order/202309/orders/search"
    assert sign(SECRET, path, COMMON, b"{}", "application/json; was=multipart/form-data") != sign(SECRET, path, COMMON)


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8")), max_size=6
    ),
    st.binary(max_size=200),
)
def test_the_order_of_the_query_does_not_matter(query: dict[str, str], body: bytes) -> None:
    turned = dict(reversed(query.items()))
    assert sign(SECRET, "/a", query, body) == sign(SECRET, "/a", turned, body)


@given(st.dictionaries(st.text("abc_", min_size=1), st.text("xyz/+= "), max_size=5), st.binary(max_size=100))
def test_another_implementation_agrees(query: dict[str, str], body: bytes) -> None:
    base = b"/order/202507/orders"
    for key in sorted(query):
        if key not in ("sign", "access_token"):
            base += key.encode() + query[key].encode()
    secret = SECRET.encode()
    expected = hmac.digest(secret, secret + base + body + secret, hashlib.sha256).hex()
    assert sign(SECRET, "/order/202507/orders", query, body) == expected
