"""Look at a label file before it is kept or printed: is it a printable PDF, and does its barcode say our number?

Edge: reads PDFs through `tiktok_erp.pdf`. The comparison itself is `model/tracking_number.py`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from tiktok_erp.errors import LabelFileError
from tiktok_erp.messages import tr
from tiktok_erp.model.tracking_number import barcode_matches
from tiktok_erp.pdf import MM_PER_POINT, PageBarcode, PdfPages, ink_of, read_barcodes, refuse_bomb

PRINTER_DPI = 203  # what a thermal label printer prints: a code that cannot be read here cannot be read in a depot
_LOOKS = ((PRINTER_DPI, False), (PRINTER_DPI, True), (300, True))  # (dpi, QR and the like too), quickest first

Verdict = Literal["match", "contradiction", "unreadable", "unknown_form"]


@dataclass(frozen=True, slots=True)
class LabelInspection:
    """What a label file holds. `size_mm` is the first page's width and height, `text` the text layer of all pages.

    `verdict` compares the barcodes with the tracking number: `match`; `contradiction` (a readable code says another
    number: do not print); `unknown_form` (codes of another kind only, or no number to compare with); `unreadable` (no
    code found, as on a coarse scan). The last two are warnings.
    """

    pages: int
    size_mm: tuple[float, float]
    barcodes: tuple[PageBarcode, ...]
    verdict: Verdict
    text: str
    needs_dpi: int = PRINTER_DPI  # the coarsest look that told the verdict


def quick_check(data: bytes, *, subject: str = "") -> None:
    """Raise LabelFileError unless `data` begins, ends and opens as a PDF with a page. About half a millisecond.

    `subject` names the package in the error.
    """
    PdfPages(data, subject=subject).close()


def inspect_label(data: bytes, *, tracking_number: str | None, subject: str = "") -> LabelInspection:
    """Return what is on the label in `data`, drawn at printer resolution, and whether it carries `tracking_number`.

    Raises LabelFileError for a web page, an empty, cut or encrypted file, a PDF without pages, and one whose pages are
    all blank. Safe to call from several threads. `subject` names the package in the error.
    """
    refuse_bomb(data, subject=subject)
    with PdfPages(data, subject=subject) as document:
        verdict, barcodes, dpi = _compare(document, tracking_number, subject)
        width, height = document.size_pt(0)
        text = "\n".join(document.text(page) for page in range(len(document)))
        size_mm = (round(width * MM_PER_POINT, 1), round(height * MM_PER_POINT, 1))
        return LabelInspection(len(document), size_mm, barcodes, verdict, text, dpi)


def _compare(
    document: PdfPages, tracking_number: str | None, subject: str
) -> tuple[Verdict, tuple[PageBarcode, ...], int]:
    """Return the verdict, every code read and the resolution of the last look.

    Finer and slower looks follow until one says that the label is right.
    """
    found: dict[PageBarcode, None] = {}
    is_blank = True
    for dpi, matrix_codes in _LOOKS:
        for page in range(len(document)):
            picture = document.draw(page, dpi)
            is_blank = is_blank and ink_of(picture).getbbox() is None
            found.update(dict.fromkeys(read_barcodes(picture, matrix_codes=matrix_codes)))
        if is_blank:
            raise _only_blank_pages(subject)
        if _verdict(found, tracking_number) == "match":
            break
    return _verdict(found, tracking_number), tuple(found), dpi


def _verdict(barcodes: Collection[PageBarcode], tracking_number: str | None) -> Verdict:
    """Return the verdict of all codes together: one that matches decides, since labels also carry other codes.

    A SurePost label, for one, has a UPS and a USPS number; a return label may follow on a second page.
    """
    if not barcodes:
        return "unreadable"
    if tracking_number is None:
        return "unknown_form"
    answers = {barcode_matches(code.payload, tracking_number) for code in barcodes}
    if True in answers:
        return "match"
    return "contradiction" if False in answers else "unknown_form"


def _only_blank_pages(subject: str) -> LabelFileError:
    return LabelFileError(
        tr("this PDF has only blank pages"),
        subject=subject,
        next_step=tr("download the file again and repeat the command"),
    )
