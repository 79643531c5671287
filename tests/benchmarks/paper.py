"""One-page labels to merge: ours, and the bare library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pypdfium2
from reportlab.graphics.barcode.code128 import Code128
from reportlab.pdfgen.canvas import Canvas

from tiktok_erp.labels.merge import LabelPages, merge_labels


def label_files(folder: Path, count: int) -> list[Path]:
    """Write `count` one-page 4x6 files with a barcode each."""
    files = []
    for number in range(count):
        path = folder / f"label-{number:05d}.pdf"
        canvas = Canvas(str(path), pagesize=(288, 432))
        canvas.drawString(20, 400, f"Label {number}")
        Code128(f"9400100000000000{number:06d}", barWidth=1.06, barHeight=60).drawOn(canvas, 10, 150)
        canvas.showPage()
        canvas.save()
        files.append(path)
    return files


def merge_ours(files: Sequence[Path], target: Path, *, stamp: bool) -> None:
    """Merge as print-labels does."""
    merge_labels(
        [LabelPages(path, stamp=f"B01-{number:03d}" if stamp else None) for number, path in enumerate(files, start=1)],
        target,
    )


def merge_bare(files: Sequence[Path], target: Path) -> None:
    """Merge with pypdfium2 alone."""
    merged = pypdfium2.PdfDocument.new()
    for path in files:
        document = pypdfium2.PdfDocument(path)
        merged.import_pages(document)
        document.close()
    merged.save(target)
    merged.close()
