"""Shipping documents: when there is one, where it lies, and that its barcode scans."""

from __future__ import annotations

import io
import re

import pypdfium2
import pytest
import zxingcpp
from PIL import Image
from pypdf import PdfReader

from tiktok_erp.simulator.documents import LabelFacts, render_label
from tiktok_erp.simulator.numbers import ups_number, usps_number
from tiktok_erp.simulator.places import PLACES


def scan(pdf: bytes) -> list[bytes]:
    document = pypdfium2.PdfDocument(pdf)
    try:
        page = document[0].render(scale=203 / 72, grayscale=True).to_pil()
    finally:
        document.close()
    return [code.bytes for code in zxingcpp.read_barcodes(page)]


def facts(carrier: str, number: str, zip5: str = "90026", orders: int = 1) -> LabelFacts:
    order_ids = tuple(str(576990000000000000 + place) for place in range(orders))
    return LabelFacts(
        carrier, f"{carrier} service", number, order_ids, "1153132168123859123", ("Ontario CA",), ("Orla",), zip5, ()
    )


@pytest.mark.parametrize("serial", range(0, 9_000_000, 450_001))
def test_a_usps_label_scans_to_420_zip_and_number(serial):
    number, place = usps_number(serial), PLACES[serial % len(PLACES)]
    (code,) = scan(render_label(facts("USPS", number, place.zip5)))
    assert code.replace(b"\x1d", b"").decode() == f"420{place.zip5}{number}"


@pytest.mark.parametrize("serial", range(0, 9_000_000, 1_000_003))
def test_a_ups_label_scans_to_its_number(serial):
    number = ups_number(serial)
    assert scan(render_label(facts("UPS", number))) == [number.encode()]


@pytest.fixture
def bought(wire):
    order = wire.shippable("TIKTOK")[0]
    return wire, order, wire.buy(order["id"]).data["package_id"]


def test_the_label_is_one_specimen_page_of_4_by_6_inches_with_ids_as_text(bought):
    wire, order, package_id = bought
    document = wire.document(package_id).data
    answer = wire.download(document["doc_url"])
    assert answer.headers["content-type"] == "application/pdf"
    reader = PdfReader(io.BytesIO(answer.raw))
    (page,) = reader.pages
    assert (float(page.mediabox.width), float(page.mediabox.height)) == (288.0, 432.0)
    text = page.extract_text()
    assert order["id"] in text
    assert document["tracking_number"] in text
    assert "SPECIMEN" in text
    assert wire.order(order["id"])["shipping_provider"] in text
    assert b"ASCII85" not in answer.raw


def test_every_label_of_a_shop_scans_to_its_own_number(start_shop):
    wire = start_shop(orders=60, carrier="tiktok")
    carriers = set()
    for order in wire.shippable("TIKTOK"):
        document = wire.document(wire.buy(order["id"]).data["package_id"]).data
        after = wire.order(order["id"])
        assert document["tracking_number"] == after["tracking_number"]
        (code,) = scan(wire.download(document["doc_url"]).raw)
        plain = code.replace(b"\x1d", b"").decode()
        zip5 = after["recipient_address"]["postal_code"]
        wanted = {"USPS": f"420{zip5}{document['tracking_number']}", "UPS": document["tracking_number"]}
        assert plain == wanted[after["shipping_provider"]]
        carriers.add(after["shipping_provider"])
    assert carriers == {"USPS", "UPS"}


def test_the_same_label_has_the_same_bytes_each_time(bought):
    wire, _order, package_id = bought
    files = {wire.download(wire.document(package_id).data["doc_url"]).raw for attempt in range(2)}
    assert len(files) == 1


def test_all_twenty_orders_of_a_box_are_on_its_label():
    label = facts("USPS", usps_number(3), orders=20)
    text = PdfReader(io.BytesIO(render_label(label))).pages[0].extract_text()
    assert re.findall(r"Order (\d{18})", text) == list(label.order_ids)


@pytest.mark.parametrize(
    ("kind", "pages", "size"),
    [
        ("PACKING_SLIP", 1, (288, 432)),
        ("SHIPPING_LABEL_AND_PACKING_SLIP", 2, (288, 432)),
        ("HAZMAT_LABEL", 1, (595, 842)),
    ],
)
def test_other_documents_are_pdfs_too(bought, kind, pages, size):
    wire, _order, package_id = bought
    reader = PdfReader(io.BytesIO(wire.download(wire.document(package_id, document_type=kind).data["doc_url"]).raw))
    assert len(reader.pages) == pages
    assert (round(reader.pages[0].mediabox.width), round(reader.pages[0].mediabox.height)) == size


def test_a_label_as_picture_scans(bought):
    wire, order, package_id = bought
    answer = wire.download(wire.document(package_id, document_type="SHIPPING_LABEL_PICTURE").data["doc_url"])
    assert answer.headers["content-type"] == "image/png"
    (code,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(answer.raw)).convert("L"))
    assert wire.order(order["id"])["tracking_number"].encode() in code.bytes


@pytest.mark.parametrize(
    "query",
    [{"document_type": "INVOICE_LABEL"}, {"document_type": ""}, {"document_size": "A3"}, {"document_format": "ZPL"}],
)
def test_a_document_that_is_not_offered_is_refused(bought, query):
    wire, _order, package_id = bought
    assert wire.document(package_id, **query).code == 36009004


def test_a_document_is_not_there_at_once_and_then_is(start_shop):
    wire = start_shop(document_seconds=50, time_scale=10, orders=100, carrier="tiktok")
    ids = [wire.buy(order["id"]).data["package_id"] for order in wire.shippable("TIKTOK")]
    first = [wire.document(package_id).code for package_id in ids]
    assert {0, 11034037} == set(first)
    wire.clock.advance(5)
    assert {wire.document(package_id).code for package_id in ids} == {0}


def test_there_is_no_document_for_a_sellers_package_or_after_pickup(start_shop):
    wire = start_shop(orders=100)
    own = wire.shippable("SELLER")[0]
    package_id = wire.mark(own["id"], usps_number(1)).data["package_id"]
    assert wire.document(package_id).code == 11034002
    gone = wire.all_orders({"order_status": "IN_TRANSIT", "shipping_type": "TIKTOK"})[0]
    assert wire.document(gone["packages"][0]["id"]).code == 21042102
    assert wire.document("1153000000000000001").code == 21008111


def test_the_url_is_good_for_a_day_and_only_as_given(bought):
    wire, _order, package_id = bought
    url = wire.document(package_id).data["doc_url"]
    assert wire.download(url.replace("expire=1", "expire=2")).status == 403
    wire.clock.advance(86400)
    assert wire.download(url).status == 200
    wire.clock.advance(1)
    assert wire.download(url).status == 403


def test_the_url_needs_no_secret_and_getting_one_is_a_violation(bought):
    wire, _order, package_id = bought
    url = wire.document(package_id).data["doc_url"]
    assert wire.download(url).status == 200
    assert wire.violations == []
    assert wire.download(url, {"x-tts-access-token": wire.token}).status == 200
    assert wire.download(f"{url}&app_key=x&sign=y").status == 200
    assert wire.violations == ["secret_sent_to_document_url"] * 2
