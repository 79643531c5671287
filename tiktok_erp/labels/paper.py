"""Put label pages on the paper that the printer has: one a sheet, or two a sheet of Letter or A4, always at 100 %.

Edge: reads and writes PDFs with PDFium. A page that is larger than its paper loses white margin only; where ink would be
lost the page is made smaller, and the caller is told.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pypdfium2

from tiktok_erp.errors import LabelFileError
from tiktok_erp.messages import tr
from tiktok_erp.pdf import LOCK, POINTS_PER_INCH, PdfPages, draw_opened, ink_of, whole_file

LABEL_PT = (288.0, 432.0)
_A6_PT = (297.64, 419.53)
# Paper: sheet size, the cells for labels as (left, bottom), and the PWG name that printers know it by.
_SHEETS: dict[str, tuple[tuple[float, float], tuple[tuple[float, float], ...]]] = {
    "letter": ((792.0, 612.0), ((72.0, 90.0), (432.0, 90.0))),
    "a4": ((841.89, 595.28), ((88.63, 81.64), (465.26, 81.64))),
}
_SINGLE = {"4x6": LABEL_PT, "a6": _A6_PT}
PAPERS = ("4x6", "letter", "a4", "a6")
MEDIA = {
    "4x6": "na_index-4x6_4x6in",
    "letter": "na_letter_8.5x11in",
    "a4": "iso_a4_210x297mm",
    "a6": "iso_a6_105x148mm",
}
_SHEETS_A_PART = 50  # PDFium writes new content in time proportional to the whole document
_TOLERANCE_PT = 1.0


@dataclass(frozen=True, slots=True)
class LaidOut:
    """What was written: sheets, and the 0-based source pages that had to be made smaller."""

    sheets: int
    shrunk: tuple[int, ...]


def sheet_of(page: int, paper: str | None) -> int:
    """Return the 1-based sheet on which the 1-based `page` of the labels ends up."""
    return (page + 1) // 2 if paper in _SHEETS else page


def take_pages(source: Path, pages: Sequence[int], paper: str | None) -> bytes:
    """Return the 0-based `pages` of `source` as a PDF for `paper`; None leaves each page at its own size."""
    buffer = io.BytesIO()
    with PdfPages(source, subject=source.name) as document, LOCK:
        _write(document.document, pages, paper, buffer, source.name)
    return buffer.getvalue()


def lay_out(source: Path, pages: Sequence[int], paper: str | None, target: Path) -> LaidOut:
    """Write the 0-based `pages` of `source` to `target` as `paper` wants them."""
    with PdfPages(source, subject=source.name) as document, whole_file(target) as (_part, file), LOCK:
        return _write(document.document, pages, paper, file, source.name)


def _write(document: Any, pages: Sequence[int], paper: str | None, file: Any, subject: str) -> LaidOut:
    with contextlib.closing(pypdfium2.PdfDocument.new()) as result:
        try:
            if paper is None:
                result.import_pages(document, list(pages))
                shrunk: list[int] = []
            elif paper in _SINGLE:
                shrunk = _place_all(result, document, [[page] for page in pages], _SINGLE[paper], None)
            else:
                size, cells = _SHEETS[paper]
                pairs = [list(pages[start : start + 2]) for start in range(0, len(pages), 2)]
                shrunk = _place_all(result, document, pairs, size, cells)
        except pypdfium2.PdfiumError as error:
            raise LabelFileError(
                tr("a page of the label file cannot be read"),
                subject=subject,
                next_step=tr("run the command again; nothing was printed"),
            ) from error
        result.save(file)
        return LaidOut(len(result), tuple(shrunk))


def _place_all(
    result: Any,
    document: Any,
    groups: Sequence[Sequence[int]],
    size: tuple[float, float],
    cells: Sequence[tuple[float, float]] | None,
) -> list[int]:
    shrunk: list[int] = []
    for start in range(0, len(groups), _SHEETS_A_PART):
        with contextlib.closing(pypdfium2.PdfDocument.new()) as part:
            for group in groups[start : start + _SHEETS_A_PART]:
                if cells is None and _is_size(document.get_page_size(group[0]), size):
                    part.import_pages(document, list(group))
                    continue
                with contextlib.closing(part.new_page(*size)) as sheet:
                    for number, page in enumerate(group):
                        room = size if cells is None else LABEL_PT
                        corner = (0.0, 0.0) if cells is None else cells[number]
                        if _place(part, sheet, document, page, room, corner):
                            shrunk.append(page)
                    sheet.gen_content()
            result.import_pages(part)
    return shrunk


def _place(
    part: Any, sheet: Any, document: Any, page: int, room: tuple[float, float], corner: tuple[float, float]
) -> bool:
    """Put one page into `room` at `corner`; return whether it had to be made smaller."""
    width, height = document.get_page_size(page)
    left, bottom, right, top = 0.0, 0.0, width, height
    if width > room[0] + _TOLERANCE_PT or height > room[1] + _TOLERANCE_PT:
        left, bottom, right, top = _inked(document, page, width, height)
    scale = min(1.0, room[0] / (right - left), room[1] / (top - bottom))
    x = corner[0] + (room[0] - (right - left) * scale) / 2 - left * scale
    y = corner[1] + (room[1] - (top - bottom) * scale) / 2 - bottom * scale
    with contextlib.closing(document.page_as_xobject(page, part)) as content:
        placed = content.as_pageobject()
        placed.set_matrix(pypdfium2.PdfMatrix(scale, 0, 0, scale, x, y))
        sheet.insert_obj(placed)
    return bool(scale < 0.999)


def _inked(document: Any, page: int, width: float, height: float) -> tuple[float, float, float, float]:
    """Return (left, bottom, right, top) of what is printed on a page, in points."""
    with contextlib.closing(document[page]) as opened:
        box = ink_of(draw_opened(opened, POINTS_PER_INCH)).getbbox()
    if box is None:
        return 0.0, 0.0, width, height
    return (
        max(0.0, box[0] - 1.0),
        max(0.0, height - box[3] - 1.0),
        min(width, box[2] + 1.0),
        min(height, height - box[1] + 1.0),
    )


def _is_size(size: tuple[float, float], wanted: tuple[float, float]) -> bool:
    return all(abs(is_ - should) <= _TOLERANCE_PT for is_, should in zip(size, wanted, strict=True))
