"""Shipping documents: the call that names a URL, and the file host behind it, which knows no tokens."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from tiktok_erp.simulator.calls import NOT_YOURS, ApiError, Call, bad_parameter
from tiktok_erp.simulator.documents import LabelFacts, render_label, render_picture, render_slip
from tiktok_erp.simulator.entities import Package
from tiktok_erp.simulator.shop import DAY_S, Shop
from tiktok_erp.simulator.wire import Json

PREFIX = "/files/"
URL_LIFE_S = DAY_S
TYPES = (
    "SHIPPING_LABEL", "PACKING_SLIP", "SHIPPING_LABEL_AND_PACKING_SLIP", "SHIPPING_LABEL_PICTURE", "HAZMAT_LABEL",
)  # fmt: skip
# What must never reach a host that is not the API.
_SECRET_PARAMETERS = frozenset({"sign", "access_token", "app_key", "app_secret", "shop_cipher"})
HTML = "<!DOCTYPE html><html><head><title>Error</title></head><body><h1>Something went wrong</h1></body></html>"


@dataclass(frozen=True, slots=True)
class FileAnswer:
    status: int
    content_type: str
    body: bytes


def shipping_document(shop: Shop, call: Call, key: bytes) -> Json:
    """Get Package Shipping Document: a URL that is good for a day."""
    package = shop.packages.get(call.params["package_id"])
    if package is None:
        raise ApiError(NOT_YOURS, "package does not belong to this seller")
    kind = call.text("document_type")
    if kind not in TYPES:
        raise bad_parameter(f"Invalid parameter: document_type must be one of {', '.join(TYPES)}")
    size = call.choice("document_size", ("A6", "A5"), "A6")
    call.choice("document_format", ("PDF",), "PDF")
    _check_ready(shop, package)
    name = f"{package.id}/{kind.lower()}-{size}.{'png' if kind.endswith('PICTURE') else 'pdf'}"
    expires = str(call.now + URL_LIFE_S)
    query = urlencode({"expire": expires, "key": _url_key(key, name, expires)})
    return {"doc_url": f"{call.base_url}{PREFIX}{name}?{query}", "tracking_number": package.tracking_number}


def _check_ready(shop: Shop, package: Package) -> None:
    orders = shop.package_orders(package)
    if any(order.is_platform_fulfilled for order in orders):
        raise ApiError(21008043, "the package is fulfilled by the platform")
    if package.shipping_type != "TIKTOK":
        raise ApiError(11034002, "documents are for TikTok Shipping packages only")
    if package.status == "CANCELLED":
        raise ApiError(21011041, "the package is cancelled")
    if not package.shipped_at:
        raise ApiError(21023035, "ship the package first")
    if package.collected_at:
        raise ApiError(21042102, "the package is picked up already")
    if package.refusals_left == 0 and shop.dice.roll("document_not_ready"):
        package.refusals_left = 4
    if package.refusals_left > 1:
        package.refusals_left -= 1
        raise ApiError(11034037, "the document is still being generated, try again later")
    if package.is_pending or shop.clock() < package.document_at:
        raise ApiError(11034037, "the document is still being generated, try again later")
    # Three refusals were given: the document is there, and stays.
    package.refusals_left = package.refusals_left or -1


def _url_key(key: bytes, name: str, expires: str) -> str:
    return hmac.new(key, f"{name}?{expires}".encode(), hashlib.sha256).hexdigest()[:32]


def label_facts(shop: Shop, package: Package) -> LabelFacts:
    """Return what the label of a package shows."""
    address = shop.package_orders(package)[0].buyer.address
    warehouse = next(place for place in shop.catalogue.warehouses if place.id == package.warehouse_id)
    counted: dict[tuple[str, str], int] = {}
    for unit in shop.package_units(package):
        code = unit.sku.seller_sku
        counted[code, unit.sku.name] = counted.get((code, unit.sku.name), 0) + 1
    return LabelFacts(
        carrier=package.provider_name,
        service=package.service_name,
        tracking_number=package.tracking_number,
        order_ids=tuple(package.order_ids),
        package_id=package.id,
        sender=(warehouse.name, warehouse.line, f"{warehouse.city} {warehouse.iso} {warehouse.zip5}"),
        recipient=tuple(
            filter(None, (address.name, address.line1, address.line2, f"{address.city} {address.iso} {address.zip5}"))
        ),
        zip5=address.zip5,
        contents=tuple((code, name, pieces) for (code, name), pieces in counted.items()),
    )


def serve_file(
    shop: Shop, key: bytes, path: str, query: str, headers: Mapping[str, str], request_id: str
) -> FileAnswer:
    """Answer a download; secrets that come along are a violation, though the file is served."""
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    name = path.removeprefix(PREFIX)
    with shop.lock:
        now = shop.advance()
        if "x-tts-access-token" in headers or "authorization" in headers or _SECRET_PARAMETERS & set(parameters):
            shop.violation("secret_sent_to_document_url", request_id=request_id, detail=name)
        package = shop.packages.get(name.split("/", 1)[0])
        expires = parameters.get("expire", "")
        genuine = hmac.compare_digest(_url_key(key, name, expires), parameters.get("key", ""))
        facts = label_facts(shop, package) if package and package.tracking_number else None
    if facts is None or not genuine or not expires.isdecimal() or int(expires) < now:
        return _forbidden()
    if shop.dice.roll("document_expired"):
        return _forbidden()
    if shop.dice.roll("pdf_html"):
        return FileAnswer(200, "text/html; charset=utf-8", HTML.encode())
    body = _render(facts, name)
    if shop.dice.roll("pdf_truncated"):
        body = body[: len(body) * 2 // 3]
    return FileAnswer(200, "image/png" if name.endswith(".png") else "application/pdf", body)


def _forbidden() -> FileAnswer:
    text = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>'
    return FileAnswer(403, "application/xml", text.encode())


def _render(facts: LabelFacts, name: str) -> bytes:
    kind, _, size = name.split("/", 1)[1].rpartition(".")[0].partition("-")
    if kind == "shipping_label_picture":
        return render_picture(facts)
    if kind in ("packing_slip", "hazmat_label"):
        return render_slip(facts, size=size, hazmat=kind == "hazmat_label")
    return render_label(facts, size=size, with_slip=kind.endswith("slip"))
