"""The signing vectors of section 2.2 of the TikTok reference, against the simulator's verifier."""

from __future__ import annotations

import pytest

from tiktok_erp.simulator.signing import signature, signature_holds

SECRET = "b7f0c1d2e3a4958677a8b9c0d1e2f3041526374"
COMMON = [
    ("app_key", "6jq1u0t5s2e"),
    ("shop_cipher", "ROW_Zk3qAAAAAAB0cXVpY2tfYnJvd25fZm94"),
    ("timestamp", "1764547200"),
]
NO_CIPHER = [COMMON[0], COMMON[2]]
JSON = "application/json"
SEARCH = "/order/202309/orders/search"
SEARCH_BODY = '{"order_status":"AWAITING_SHIPMENT","update_time_ge":1764540000,"update_time_lt":1764547200}'
SEARCH_QUERY = [("page_size", "100"), ("sort_field", "update_time"), ("sort_order", "ASC")]
INVENTORY = "/product/202309/products/1729592969712207008/inventory/update"
VECTORS = {
    "V2 comma list": (
        "/order/202507/orders", [*COMMON, ("ids", "576461413038785752,576461413038785753")], JSON, "",
        "1fb6c0a677304a70c4f0f6e65b2550e399aff3a1611ec64a1593f9535793a690",
    ),
    "V2r repeated key, every pair": (
        "/order/202507/orders", [("ids", "576461413038785752"), ("ids", "576461413038785753"), *COMMON], JSON, "",
        "c3423fe116d33393b5de457a78a42acacd50298356b0beffcc4dc4a9cfa46945",
    ),
    "V2r repeated key, first value": (
        "/order/202507/orders", [("ids", "576461413038785752"), ("ids", "576461413038785753"), *COMMON], JSON, "",
        "ed408af3bc3b3a555bc4f6ef70539d2377955429fba415cf8957202e74f9adce",
    ),
    "V3 body": (
        SEARCH, [*SEARCH_QUERY, *COMMON], JSON, SEARCH_BODY,
        "f417fbe5619242d89ad80202986f21746e3e21b5f4079660763952e78bad85cb",
    ),
    "V3p page token": (
        SEARCH, [*SEARCH_QUERY, *COMMON, ("page_token", "6AsPQsUMvH3RkchNUPPh22NROHkE0D8pmq/N5M1kHYcZmt+9aQ==")],
        JSON, SEARCH_BODY, "71f0dbf9188712f65776a7c9c5946c73cc07ef9dd64a2cebb55b6e2c3cb8a30b",
    ),
    "V4 empty object": (
        SEARCH, [("page_size", "20"), *COMMON], JSON, "{}",
        "51ec44d51cc6f39aee826098d58e37cf463ac476bf2ea58a8655db22d889e8b8",
    ),
    "V5 no body": (
        "/return_refund/202309/cancellations/4035318504086604100/approve", COMMON, JSON, "",
        "b005127b793f05ff98a4e90a7049ea6320a0cd91de73a5353bfe54849ca99c2b",
    ),
    "V6 multipart": (
        "/product/202309/images/upload", NO_CIPHER, "Multipart/form-data; boundary=XyZ", "--XyZ anything",
        "53af53245c45a0d7c34a0f10ca418d785e75b1303e985101c9308366afde194a",
    ),
    "V7 unicode": (
        INVENTORY, COMMON, JSON, '{"skus":[{"id":"1729592969712207013","note":"夏季连衣裙 é ñ 👗"}]}',
        "62ca9af68ef0aa039fde6e37c39f0a5d7b0a06d2021c829bfc4e46a890a5875f",
    ),
    "V7a escaped": (
        INVENTORY, COMMON, JSON,
        r'{"skus":[{"id":"1729592969712207013","note":"\u590f\u5b63\u8fde\u8863\u88d9 \u00e9 \u00f1 \ud83d\udc57"}]}',
        "3eb5fd536a07458f9ab541cc28b95639d5d19ff150e56b0196e19b512ec557a5",
    ),
    "V8 ignored keys": (
        "/order/202309/orders", [*COMMON, ("ids", "576461413038785752"), ("access_token", "TTP_abc"), ("sign", "deadbeef")],
        JSON, "", "3cfd2668af5305446c342d5053a5cd8b4c763ea8d5cdf9783d79e8693a3ce39b",
    ),
    "V10 delete": (
        "/event/202309/webhooks", COMMON, JSON, '{"event_type":"PACKAGE_UPDATE"}',
        "833eded8e9827701544a35710deaf92fb5433c0267b5472679fc4343225d0d6b",
    ),
    "V11 charset": (
        "/fulfillment/202309/orders/576461413038785752/packages", COMMON, "application/json; charset=utf-8",
        '{"order_line_item_ids":["577086512123755123"],"tracking_number":"9400111899223344556677",'
        '"shipping_provider_id":"7117858858072016686"}',
        "39881609d782d4438a30bc25bf0eaf5df97b343b2e8c84cf2abb11b7f4d95761",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", VECTORS)
def test_a_published_vector_holds_and_a_changed_one_does_not(name: str) -> None:
    path, pairs, content_type, body, sign = VECTORS[name]
    given = {"secret": SECRET, "path": path, "content_type": content_type, "body": body.encode()}
    assert signature_holds(sign, pairs=pairs, **given)
    assert not signature_holds(sign, pairs=[*pairs, ("extra", "1")], **given)
    assert not signature_holds(sign[:-1] + ("0" if sign[-1] != "0" else "1"), pairs=pairs, **given)


def test_the_official_query_vector_holds() -> None:
    pairs = [("timestamp", "1623812664"), ("app_key", "29a39d")]
    expected = "b596b73e0cc6de07ac26f036364178ab16b0a907af13d43f0a0cd2345f582dc8"
    assert signature("e59af819cc", "/authorization/202309/shops", pairs, b"") == expected


def test_the_vector_of_another_app_holds() -> None:
    pairs = [
        ("app_key", "68xu9ks5p4i8"),
        ("shop_cipher", "ROW_xkMbgAAAeVAQra0eZWebFQq5aIKt"),
        ("timestamp", "1696909648"),
    ]
    body = b'{"address":"https://partner.tiktokshop.com","event_type":"PACKAGE_UPDATE"}'
    expected = "a75b9c8cd57140cab6dc95bf31c37bd6ffface74210768b6517c0ff81659b0ba"
    assert signature("e59af819cc", "/event/202309/webhooks", pairs, body) == expected
