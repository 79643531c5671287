"""Put label pages on the paper that the printer has: one a sheet, or two a sheet of Letter or A4, always at 100 %.

Edge: reads and writes PDFs with PDFium. A page that is larger than its paper loses white margin only, and one that lies on
its side is turned; where ink would be lost all the same the page is made smaller, and the caller is told.
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
from tiktok_erp.model.label_area import A6_PT, FOUR_BY_SIX_PT, TOLERANCE_PT, Size, fits, turned
from tiktok_erp.pdf import LOCK, PdfPages, draw_opened, ink_of, show_only, text_direction, whole_file

# Paper: sheet size, the cells for labels as (left, bottom), and the PWG name that printers know it by.
_SHEETS: dict[str, tuple[tuple[float, float], tuple[tuple[float, float], ...]]] = {
    "letter": ((792.0, 612.0), ((72.0, 90.0), (432.0, 90.0))),
    "a4": ((841.89, 595.28), ((88.63, 81.64), (465.26, 81.64))),
}
_SINGLE = {"4x6": FOUR_BY_SIX_PT, "a6": A6_PT}
PAPERS = ("4x6", "letter", "a4", "a6")
MEDIA = {
    "4x6": "na_index-4x6_4x6in",
    "letter": "na_letter_8.5x11in",
    "a4": "iso_a4_210x297mm",
    "a6": "iso_a6_105x148mm",
}
_SHEETS_A_PART = 50  # PDFium writes new content in time proportional to the whole document
_INK_DPI = 144  # half a point exact


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
                        room = size if cells is None else FOUR_BY_SIX_PT
                        corner = (0.0, 0.0) if cells is None else cells[number]
                        if _place(part, sheet, document, page, room, corner):
                            shrunk.append(page)
                    sheet.gen_content()
            result.import_pages(part)
    return shrunk


def _place(part: Any, sheet: Any, document: Any, page: int, room: Size, corner: tuple[float, float]) -> bool:
    """Put one page into `room` at `corner`; return whether it had to be made smaller.

    White margin is cut away first, then a label that lies on its side is turned: only what still does not fit is shrunk.
    """
    size = document.get_page_size(page)
    turn = 0
    if not fits(size, room):
        size = _cut_to_ink(document, page, size)
        if _scale(turned(size), room) > _scale(size, room):
            turn = _turn_of(document, page)
    scale = _scale(turned(size) if turn else size, room)
    with contextlib.closing(document.page_as_xobject(page, part)) as content:
        placed = content.as_pageobject()
        around_nought = pypdfium2.PdfMatrix().translate(-size[0] / 2, -size[1] / 2).scale(scale, scale).rotate(turn)
        placed.set_matrix(around_nought.translate(corner[0] + room[0] / 2, corner[1] + room[1] / 2))
        sheet.insert_obj(placed)
    return bool(scale < 0.999)


def _scale(size: Size, room: Size) -> float:
    """Return 1.0 where something of this size goes into `room`, else how much smaller it must become."""
    return 1.0 if fits(size, room) else min(room[0] / size[0], room[1] / size[1])


def _turn_of(document: Any, page: int) -> int:
    """Return by how many degrees, clockwise, a label on its side is turned: so that its text can be read upright."""
    with contextlib.closing(document[page]) as opened:
        return 90 if text_direction(opened) == 90 else -90


def _cut_to_ink(document: Any, page: int, size: Size) -> Size:
    """Make the inked part of a page all that is shown of it, and return its size.

    What is beyond is cut off rather than laid over: the white ground of a larger page would cover the label beside it.
    """
    with contextlib.closing(document[page]) as opened:
        picture = draw_opened(opened, _INK_DPI)
        box = ink_of(picture).getbbox()
        if box is None:
            return size
        across, up = size[0] / picture.width, size[1] / picture.height
        area = (box[0] * across, box[1] * up, box[2] * across, box[3] * up)
        show_only(opened, area)
    return area[2] - area[0], area[3] - area[1]


def _is_size(size: Size, wanted: Size) -> bool:
    return all(abs(is_ - should) <= TOLERANCE_PT for is_, should in zip(size, wanted, strict=True))
