"""A label on a larger page, whichever way it lies, is printed at 100 % with its position on it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL.Image import Image
from pypdf import PdfReader, PdfWriter
from reportlab.graphics.barcode.code128 import Code128
from reportlab.pdfgen.canvas import Canvas

from tiktok_erp.labels.merge import LabelPages, merge_labels
from tiktok_erp.labels.paper import lay_out
from tiktok_erp.pdf import PdfPages, digital_text, ink_of

A4, LETTER, A6, FOUR_BY_SIX = (595.28, 841.89), (612.0, 792.0), (297.64, 419.53), (288.0, 432.0)
USPS = "9400111206206406260787"
DOT_PT = 72 / 203


def _label(canvas: Canvas, size: tuple[float, float]) -> None:
    """Draw a framed label whose barcode is 50 % of its width high from where the canvas stands."""
    width, height = size
    canvas.rect(0.5, 0.5, width - 1, height - 1)
    canvas.setFont("Helvetica", 10)
    canvas.drawString(15, height - 30, "USPS GROUND ADVANTAGE")
    code = Code128(f"\xf142090210\xf1{USPS}", barWidth=3 * DOT_PT, barHeight=60, quiet=False)
    code.drawOn(canvas, (width - code.width) / 2, height / 2)
    canvas.drawString(15, 30, "Order ID: 576461413038785752")


def _page(
    page: tuple[float, float],
    corner: tuple[float, float],
    *,
    size: tuple[float, float] = (280.0, 410.0),
    turn: int = 0,
    rotation: int = 0,
    is_cropped: bool = False,
    has_ground: bool = False,
) -> bytes:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=page)
    if has_ground:
        canvas.setFillGray(1)
        canvas.rect(0, 0, *page, stroke=0, fill=1)
        canvas.setFillGray(0)
    if is_cropped:
        canvas.drawString(2, 2, "outside")
        canvas.setCropBox((corner[0] - 20, corner[1] - 20, page[0], page[1]))
    canvas.translate(*corner)
    canvas.rotate(turn)
    _label(canvas, size)
    canvas.showPage()
    canvas.save()
    if not rotation:
        return buffer.getvalue()
    writer = PdfWriter(clone_from=PdfReader(buffer))
    writer.pages[0].rotate(rotation)
    rotated = io.BytesIO()
    writer.write(rotated)
    return rotated.getvalue()


def _laid_out(pdfs: list[bytes], folder: Path, paper: str) -> tuple[Image, tuple[int, ...]]:
    merged = merge_labels([LabelPages(pdf, stamp=f"B07-{n:03d}") for n, pdf in enumerate(pdfs, 1)], folder / "m.pdf")
    assert merged.unstamped == ()
    result = lay_out(folder / "m.pdf", range(len(pdfs)), paper, folder / "out.pdf")
    with PdfPages(folder / "out.pdf", subject="") as document:
        for number in range(1, len(pdfs) + 1):
            assert f"B07-{number:03d}" in document.text(0)
        assert [digital_text(code.payload) for code in document.barcodes(0, 203)] == [f"42090210{USPS}"] * len(pdfs)
        return document.draw(0, 72), result.shrunk


PLACES = [
    (A4, (157.0, 400.0), {}),
    (A4, (0.0, 0.0), {}),
    (A4, (310.0, 430.0), {"has_ground": True}),
    (A4[::-1], (500.0, 90.0), {}),
    (LETTER, (20.0, 300.0), {"is_cropped": True}),
    (LETTER, (20.0, 300.0), {"rotation": 90}),
    (LETTER, (20.0, 300.0), {"rotation": 180, "is_cropped": True}),
    (LETTER, (20.0, 300.0), {"rotation": 270, "is_cropped": True}),
    (LETTER, (500.0, 100.0), {"turn": 90}),
    (A4, (30.0, 600.0), {"turn": 270}),
    (FOUR_BY_SIX, (4.0, 10.0), {}),
    (FOUR_BY_SIX, (4.0, 10.0), {"rotation": 90}),
    (FOUR_BY_SIX[::-1], (420.0, 4.0), {"turn": 90}),
    (A6, (10.0, 5.0), {}),
]


@pytest.mark.parametrize("paper", ["4x6", "a6", "letter", "a4"])
@pytest.mark.parametrize(("page", "corner", "how"), PLACES)
def test_a_label_that_fits_is_printed_whole_upright_and_at_full_size(
    page: tuple[float, float], corner: tuple[float, float], how: dict[str, object], paper: str, tmp_path: Path
) -> None:
    picture, shrunk = _laid_out([_page(page, corner, **how)], tmp_path, paper)  # type: ignore[arg-type]
    left, top, right, bottom = ink_of(picture).getbbox() or (0, 0, 0, 0)
    assert shrunk == ()
    assert (right - left, bottom - top) == (pytest.approx(280, abs=2), pytest.approx(410, abs=2))


def test_a_label_of_exactly_four_by_six_inches_is_not_made_smaller(tmp_path: Path) -> None:
    _picture, shrunk = _laid_out([_page(A4, (150.3, 333.7), size=FOUR_BY_SIX)], tmp_path, "4x6")
    assert shrunk == ()


def test_the_white_ground_of_one_page_covers_no_label_beside_it(tmp_path: Path) -> None:
    _laid_out([_page(A4, (157, 400), has_ground=True)] * 2, tmp_path, "letter")


def test_a_page_whose_ink_is_larger_than_label_paper_is_made_smaller_and_told(tmp_path: Path) -> None:
    picture, shrunk = _laid_out([_page(A4, (20, 20), size=(500, 700))], tmp_path, "4x6")
    assert (shrunk, picture.size) == ((0,), (288, 432))
