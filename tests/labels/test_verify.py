from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from pypdf import PdfReader, PdfWriter
from reportlab.graphics.barcode.code128 import Code128
from reportlab.pdfgen.canvas import Canvas

from tiktok_erp.errors import LabelFileError
from tiktok_erp.labels.verify import PRINTER_DPI, inspect_label, quick_check
from tiktok_erp.pdf import PdfPages

USPS = "9400111206206406260787"
OTHER_USPS = "9405803699300124287899"
UPS = "1Z5R89390357567127"

Label = Callable[..., bytes]


def test_a_label_with_our_number_matches(label: Label) -> None:
    inspection = inspect_label(label(USPS), tracking_number=USPS)
    assert inspection.verdict == "match"
    assert [(code.payload, code.symbology) for code in inspection.barcodes] == [
        (b"42090210\x1d" + USPS.encode(), "]C1")
    ]
    assert (inspection.pages, inspection.size_mm) == (1, (101.6, 152.4))
    assert "SPECIMEN" in inspection.text


def test_an_a6_picture_of_a_label_matches(label: Label) -> None:
    a6 = (105 / 25.4 * 72, 148 / 25.4 * 72)
    inspection = inspect_label(label(UPS, size=a6, is_picture=True), tracking_number=UPS)
    assert (inspection.verdict, inspection.size_mm, inspection.text) == ("match", (105.0, 148.0), "")


def test_a_label_with_another_number_contradicts(label: Label) -> None:
    assert inspect_label(label(OTHER_USPS), tracking_number=USPS).verdict == "contradiction"


def test_a_label_with_a_code_of_another_kind_only_is_of_unknown_form(label: Label) -> None:
    inspection = inspect_label(label(qr="https://example.com/track"), tracking_number=USPS)
    assert inspection.verdict == "unknown_form"
    assert [code.payload for code in inspection.barcodes] == [b"https://example.com/track"]


def test_our_number_counts_beside_a_code_that_says_something_else(label: Label) -> None:
    both = label(USPS, qr="576461413038785752")
    assert inspect_label(both, tracking_number=USPS).verdict == "match"


def test_a_label_without_any_code_is_unreadable(label: Label) -> None:
    assert inspect_label(label(), tracking_number=USPS).verdict == "unreadable"


def test_without_a_number_to_compare_a_readable_label_is_of_unknown_form(label: Label) -> None:
    assert inspect_label(label(USPS), tracking_number=None).verdict == "unknown_form"


def test_a_code_too_fine_for_the_printer_is_still_read_at_the_second_look() -> None:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(288, 432))
    Code128(UPS, barWidth=0.5, barHeight=40, quiet=False).drawOn(canvas, 50.1, 200)
    canvas.save()
    with PdfPages(buffer.getvalue(), subject="") as document:
        assert document.barcodes(0, PRINTER_DPI) == ()
    assert inspect_label(buffer.getvalue(), tracking_number=UPS).verdict == "match"


def test_a_label_and_its_slip_are_counted_as_two_pages(label: Label) -> None:
    inspection = inspect_label(label(USPS, pages=2), tracking_number=USPS)
    assert (inspection.pages, inspection.verdict) == (2, "match")


def test_labels_can_be_inspected_from_several_threads(label: Label) -> None:
    labels = [(label(number), number) for number in (USPS, OTHER_USPS, UPS)] * 4
    with ThreadPoolExecutor(4) as pool:
        verdicts = list(pool.map(lambda pair: inspect_label(pair[0], tracking_number=pair[1]).verdict, labels))
    assert verdicts == ["match"] * 12


def _encrypted(pdf: bytes) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf)))
    writer.encrypt("secret", algorithm="RC4-128")
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def _without_pages(pdf: bytes) -> bytes:
    buffer = io.BytesIO()
    PdfWriter().write(buffer)
    return buffer.getvalue()


def _blank(pdf: bytes) -> bytes:
    writer = PdfWriter()
    writer.add_blank_page(288, 432)
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


DAMAGES = {
    "empty": (lambda pdf: b"", "the file is empty"),
    "web page": (lambda pdf: b"<!DOCTYPE html><html><body>Sign in</body></html>", "this is a web page, not a PDF"),
    "picture": (lambda pdf: b"\x89PNG\r\n\x1a\n" + bytes(200), "this is a PNG file, not a PDF"),
    "json": (lambda pdf: b'{"code": 21023035}', "this is an answer in JSON, not a PDF"),
    "cut in half": (lambda pdf: pdf[: len(pdf) // 2], "this PDF is cut off: its end is missing"),
    "end alone": (lambda pdf: b"%PDF-1.4\n%%EOF\n", "this PDF is damaged or has no page, and cannot be opened"),
    "encrypted": (_encrypted, "this PDF is encrypted: it asks for a password"),
    "no page": (_without_pages, "this PDF is damaged or has no page, and cannot be opened"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_no_label_is_refused_by_name(damage: str, label: Label) -> None:
    make, text = DAMAGES[damage]
    with pytest.raises(LabelFileError) as caught:
        quick_check(make(label(USPS)), subject="package P000063")
    assert str(caught.value) == f"{text} (package P000063)"
    assert caught.value.next_step


@pytest.mark.parametrize("damage", DAMAGES)
def test_inspection_refuses_what_the_quick_check_refuses(damage: str, label: Label) -> None:
    make, text = DAMAGES[damage]
    with pytest.raises(LabelFileError, match=text):
        inspect_label(make(label(USPS)), tracking_number=USPS)


def test_a_blank_page_is_no_label(label: Label) -> None:
    with pytest.raises(LabelFileError, match="only blank pages"):
        inspect_label(_blank(label(USPS)), tracking_number=USPS)


def test_the_quick_check_passes_a_label(label: Label) -> None:
    quick_check(label(USPS))
