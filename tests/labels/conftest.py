"""Sample labels, drawn here as a carrier might: 3 dots a module at 203 dpi, on 4x6 in, A6 or whatever a test asks."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pypdfium2
import pytest
from reportlab.graphics.barcode.code128 import Code128
from reportlab.graphics.barcode.qr import QrCodeWidget
from reportlab.graphics.shapes import Drawing
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from tests.labels.desk import Desk, opened_desk
from tiktok_erp.model.print_job import PrintedPosition, PrintItem, PrintLine

DOT_PT = 72 / 203
FOUR_BY_SIX = (288.0, 432.0)


def _draw(canvas: Canvas, size: tuple[float, float], payload: str | None, text: str, qr: str | None) -> None:
    width, height = size
    canvas.rect(8, 8, width - 16, height - 16)
    canvas.setFont("Helvetica", 10)
    canvas.drawString(20, height - 60, text)
    canvas.line(8, height / 2 + 40, width - 8, height / 2 + 40)
    if payload is not None:
        code = Code128(payload, barWidth=3 * DOT_PT, barHeight=60, quiet=False)
        code.drawOn(canvas, (width - code.width) / 2, height / 2 - 60)
        canvas.drawCentredString(width / 2, height / 2 - 75, payload.replace("\xf1", " "))
    if qr is not None:
        drawing = Drawing(60, 60)
        drawing.add(QrCodeWidget(qr, barWidth=60, barHeight=60))
        drawing.drawOn(canvas, 20, 40)


@pytest.fixture(scope="session")
def label() -> Callable[..., bytes]:
    """Return a function that draws a label PDF, by default 4x6 in with a USPS barcode (420 + ZIP + number)."""

    def make(
        number: str | None = None,
        *,
        payload: str | None = None,
        text: str = "SPECIMEN",
        size: tuple[float, float] = FOUR_BY_SIX,
        pages: int = 1,
        qr: str | None = None,
        is_picture: bool = False,
    ) -> bytes:
        if payload is None and number is not None:
            payload = f"\xf142090210\xf1{number}" if number.startswith("9") else number
        buffer = io.BytesIO()
        canvas = Canvas(buffer, pagesize=size)
        for page in range(pages):
            _draw(canvas, size, payload if page == 0 else None, text if page == 0 else f"{text} page {page + 1}", qr)
            canvas.showPage()
        canvas.save()
        return as_picture(buffer.getvalue()) if is_picture else buffer.getvalue()

    return make


def as_picture(pdf: bytes, dpi: int = 203) -> bytes:
    """Return `pdf` with each page replaced by its picture, as a scan or a picture-only label has it."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer)
    document = pypdfium2.PdfDocument(pdf)
    for page in document:
        width, height = page.get_size()
        picture = page.render(scale=dpi / 72, grayscale=True).to_pil()
        canvas.setPageSize((width, height))
        canvas.drawImage(ImageReader(picture.convert("L")), 0, 0, width, height)
        canvas.showPage()
    canvas.save()
    document.close()
    return buffer.getvalue()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A database with labels bought from EasyPost, which stands beside it."""
    with opened_desk(tmp_path) as opened:
        yield opened


@pytest.fixture(scope="session")
def item() -> Callable[..., PrintItem]:
    """Return a function that makes a package to print; every argument has a default."""

    def make(package_id: str = "P000001", **fields: object) -> PrintItem:
        values: dict[str, object] = {
            "package_id": package_id,
            "order_ids": ("tiktok:576461413038785752",),
            "channel_order_ids": ("576461413038785752",),
            "ship_by": datetime(2026, 11, 23, 8, tzinfo=UTC),
            "ship_by_estimated": False,
            "carrier": "usps",
            "service_level": "ground_advantage",
            "tracking_number": "9400111206206406260787",
            "lines": (PrintLine("MUG-RED", "Ceramic mug", "Red, 350 ml", 2, shelf="A2"),),
        }
        return PrintItem(**{**values, **fields})  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def at_position() -> Callable[[PrintItem, int], PrintedPosition]:
    """Return a function that puts an item at a place of batch 7."""
    return lambda item, place: PrintedPosition(f"B07-{place:03d}", (place,), item)
