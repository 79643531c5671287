"""Specimen labels and slips as the platform would deliver them: real PDFs with barcodes that scan."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw
from reportlab import rl_config
from reportlab.lib.pagesizes import A4, A5
from reportlab.pdfgen.canvas import Canvas

# ASCII85 makes every file a quarter larger for nothing.
rl_config.useA85 = 0

LABEL_SIZE = (288.0, 432.0)  # 4x6 in
DOT = 72 / 203
MODULE_DOTS = 3  # at 2 dots scanners miss bars on a 203 dpi print
BAR_HEIGHT = 76.0

# Widths of bar, space, bar, space, bar, space of the Code 128 symbols 0..105, then the stop.
_TABLE = (
    "212222 222122 222221 121223 121322 131222 122213 122312 132212 221213 221312 231212 112232 "
    "122132 122231 113222 123122 123221 223211 221132 221231 213212 223112 312131 311222 321122 "
    "321221 312212 322112 322211 212123 212321 232121 111323 131123 131321 112313 132113 132311 "
    "211313 231113 231311 112133 112331 132131 113123 113321 133121 313121 211331 231131 213113 "
    "213311 213131 311123 311321 331121 312113 312311 332111 314111 221411 431111 111224 111422 "
    "121124 121421 141122 141221 112214 112412 122114 122411 142112 142211 241211 221114 413111 "
    "241112 134111 111242 121142 121241 114212 124112 124211 411212 421112 421211 212141 214121 "
    "412121 111143 111341 131141 114113 114311 411113 411311 113141 114131 311141 411131 211412 "
    "211214 211232 2331112"
)
_WIDTHS = _TABLE.split()
_START_B, _START_C, _FNC1, _STOP = 104, 105, 102, 106


@dataclass(frozen=True, slots=True)
class LabelFacts:
    """What a label shows. Lines are ready to print; `zip5` is the recipient's."""

    carrier: str
    service: str
    tracking_number: str
    order_ids: tuple[str, ...]
    package_id: str
    sender: tuple[str, ...]
    recipient: tuple[str, ...]
    zip5: str
    contents: tuple[tuple[str, str, int], ...]  # SKU code, name, pieces


def barcode_symbols(facts: LabelFacts) -> list[int]:
    """Return the Code 128 symbols of a label.

    USPS prints GS1-128: FNC1 420 ZIP5 FNC1 number, all digits in pairs; other carriers print the number in set B.
    """
    number = facts.tracking_number
    if facts.carrier == "USPS" and number.isdecimal() and len(number) % 2 == 0:
        data = [_START_C, _FNC1, *_pairs("420" + facts.zip5), _FNC1, *_pairs(number)]
    else:
        data = [_START_B, *(ord(sign) - 32 for sign in number)]
    check = (data[0] + sum(place * symbol for place, symbol in enumerate(data[1:], start=1))) % 103
    return [*data, check, _STOP]


def _pairs(digits: str) -> list[int]:
    return [int(digits[place : place + 2]) for place in range(0, len(digits), 2)]


def bars(symbols: Sequence[int]) -> list[tuple[int, int]]:
    """Return the black bars as (start, width) in modules."""
    black: list[tuple[int, int]] = []
    place = 0
    for symbol in symbols:
        for index, width in enumerate(_WIDTHS[symbol]):
            if index % 2 == 0:
                black.append((place, int(width)))
            place += int(width)
    return black


def _modules(symbols: Sequence[int]) -> int:
    return sum(int(width) for symbol in symbols for width in _WIDTHS[symbol])


def _canvas(size: tuple[float, float], title: str) -> tuple[Canvas, io.BytesIO]:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=size, pageCompression=1, invariant=1)
    canvas.setTitle(title)
    canvas.setAuthor("Simulated shop")
    return canvas, buffer


def render_label(facts: LabelFacts, *, size: str = "A6", with_slip: bool = False) -> bytes:
    """Return a label as a one-page PDF of 4x6 in (on A5 for size A5), the packing slip as page two if asked for."""
    page = A5 if size == "A5" else LABEL_SIZE
    canvas, buffer = _canvas(page, f"SPECIMEN label {facts.package_id}")
    canvas.translate(0, page[1] - LABEL_SIZE[1])
    _draw_label(canvas, facts)
    canvas.showPage()
    if with_slip:
        _draw_slip(canvas, facts, page)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def render_slip(facts: LabelFacts, *, size: str = "A6", hazmat: bool = False) -> bytes:
    """Return a packing slip, or a hazmat sheet on A4, as a one-page PDF."""
    page = A4 if hazmat else A5 if size == "A5" else LABEL_SIZE
    canvas, buffer = _canvas(page, f"SPECIMEN slip {facts.package_id}")
    _draw_slip(canvas, facts, page)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def _draw_label(canvas: Canvas, facts: LabelFacts) -> None:
    canvas.setLineWidth(1.5)
    canvas.rect(9, 9, 270, 414)
    canvas.setFont("Helvetica-Bold", 34)
    canvas.drawString(16, 384, "SPECIMEN")
    canvas.setFont("Helvetica-Bold", 13)
    canvas.drawString(16, 366, facts.carrier)
    canvas.setFont("Helvetica", 9)
    canvas.drawRightString(272, 366, facts.service)
    for height in (360, 306, 186, 84):
        canvas.line(9, height, 279, height)
    _lines(canvas, 16, 350, 9, ("FROM", *facts.sender), 7.5)
    _lines(canvas, 16, 294, 15, ("SHIP TO", *facts.recipient), 11)
    symbols = barcode_symbols(facts)
    width = _modules(symbols) * MODULE_DOTS
    left = (812 - width) // 2
    bottom = 100.0
    parts = [
        f"{(left + start * MODULE_DOTS) * DOT:.4f} {bottom} {wide * MODULE_DOTS * DOT:.4f} {BAR_HEIGHT} re"
        for start, wide in bars(symbols)
    ]
    # Operators, not widgets: fourteen times faster, and every bar sits on a whole printer dot.
    canvas.addLiteral("0 0 0 rg " + " ".join(parts) + " f")
    canvas.setFont("Helvetica-Bold", 10)
    canvas.drawCentredString(144, 88.5, " ".join(_groups(facts.tracking_number)))
    canvas.setFont("Helvetica", 6)
    canvas.drawString(16, 179, f"Tracking {facts.tracking_number}")
    canvas.drawRightString(272, 179, f"Package {facts.package_id}")
    for number, order_id in enumerate(facts.order_ids):
        column, row = divmod(number, 10)
        canvas.drawString(16 + column * 88, 76 - row * 6.6, f"Order {order_id}")
    canvas.drawRightString(272, 408, "NO POSTAGE PAID")
    canvas.drawRightString(272, 400, "DO NOT MAIL")


def _groups(number: str) -> list[str]:
    return [number[place : place + 4] for place in range(0, len(number), 4)]


def _lines(canvas: Canvas, left: float, top: float, leading: float, lines: Sequence[str], font_size: float) -> None:
    for row, line in enumerate(lines):
        canvas.setFont("Helvetica-Bold" if row == 0 else "Helvetica", font_size if row else min(font_size, 8))
        canvas.drawString(left, top - row * leading, line)


def _draw_slip(canvas: Canvas, facts: LabelFacts, page: tuple[float, float]) -> None:
    top = page[1] - 30
    canvas.setFont("Helvetica-Bold", 14)
    canvas.drawString(16, top, "PACKING SLIP (SPECIMEN)")
    canvas.setFont("Helvetica", 8)
    rows = [f"Order {order_id}" for order_id in facts.order_ids]
    rows += [f"Tracking {facts.tracking_number}", ""]
    rows += [f"{pieces} x {code}  {name}" for code, name, pieces in facts.contents]
    for row, text in enumerate(rows):
        canvas.drawString(16, top - 20 - row * 11, text)


def render_picture(facts: LabelFacts) -> bytes:
    """Return the label as a PNG of 812 x 1218 dots (4x6 in at 203 dpi)."""
    image = Image.new("1", (812, 1218), 1)
    draw = ImageDraw.Draw(image)
    symbols = barcode_symbols(facts)
    left = (812 - _modules(symbols) * MODULE_DOTS) // 2
    for start, wide in bars(symbols):
        at = left + start * MODULE_DOTS
        draw.rectangle((at, 720, at + wide * MODULE_DOTS - 1, 940), fill=0)
    draw.text((40, 40), f"SPECIMEN  {facts.carrier}  {facts.service}", fill=0)
    for row, line in enumerate((*facts.recipient, facts.tracking_number, *facts.order_ids)):
        draw.text((40, 200 + row * 24), line, fill=0)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
