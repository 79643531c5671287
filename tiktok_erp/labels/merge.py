"""Merge label files into one PDF in packing order, each page at its own size, with its position stamped on it.

Edge: reads label files and writes one PDF. Pages are imported by PDFium, which is the fastest way and keeps them as
they are. The PDF grows chunk by chunk on the disk, as incremental updates, so that memory holds one chunk at most.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import pypdfium2
import pypdfium2.raw as pdfium

from tiktok_erp.errors import LabelFileError
from tiktok_erp.messages import tr
from tiktok_erp.model.label_area import label_area
from tiktok_erp.pdf import LOCK, POINTS_PER_INCH, PdfPages, draw_opened, ink_of, whole_file

if TYPE_CHECKING:
    from PIL.Image import Image

# Every chunk is appended to a file that PDFium reads through once more: few chunks are fast, small ones spare memory.
PAGES_PER_CHUNK = 1000
_BYTES_PER_CHUNK = 64 << 20
_OPEN_FILES = 8  # multi-page sources kept open between two of their pages

_STAMP_FONT = b"Helvetica-Bold"
_STAMP_SIZES_PT = (9.0, 7.5, 6.0)
_EDGE_PT = 3  # printers lose the outermost millimetre
_STRIP_PT = 54  # how far from the top and bottom edge a free place is looked for
_STEP_PT = 6
_QUIET_PT = 18  # quiet zone beside a carrier's bars: 0.25 inch
_NEAR_PT = 5  # room above and below the stamp; a frame line may come nearer
_RULE_PT = 3  # a line thicker than that is no frame but may be a bar
_FULL_ROW = 230  # of 255: a row inked nearly all along the stamp

_BOX_FILTER = 4  # Pillow's Resampling.BOX: a mean


@dataclass(frozen=True, slots=True)
class LabelPages:
    """Pages of one label file. `pages` are 0-based, None for all; `stamp` is drawn on each, None for nothing.

    `subject` names the package in errors.
    """

    source: bytes | Path
    pages: tuple[int, ...] | None = None
    stamp: str | None = None
    subject: str = ""


@dataclass(frozen=True, slots=True)
class FailedSource:
    """A source that gave no page to the merged file: its place in the sequence, and why."""

    index: int
    error: LabelFileError


@dataclass(frozen=True, slots=True)
class MergeResult:
    """What was written. Page numbers are 1-based in the merged file.

    `pages_of_source` has one entry a source, in order; empty for those in `failed`. `unstamped` are pages without a
    white place for their stamp: they were left as they are.
    """

    pages: int
    pages_of_source: tuple[tuple[int, ...], ...]
    unstamped: tuple[int, ...]
    failed: tuple[FailedSource, ...]

    @property
    def page_of_source(self) -> list[int | None]:
        """The first page of each source, None for those that failed."""
        return [pages[0] if pages else None for pages in self.pages_of_source]


def merge_labels(sources: Sequence[LabelPages], target: Path) -> MergeResult:
    """Write the pages of `sources`, in order, to `target`, which appears whole or not at all.

    A file that is no label stops neither the others nor the run: it is reported in `failed`. Raises LabelFileError
    when not a single page is left, and when `target` cannot be written.
    """
    pages_of_source: list[tuple[int, ...]] = []
    failed: list[FailedSource] = []
    with whole_file(target) as (part, file), contextlib.closing(_GrowingPdf(part, file)) as merged:
        for index, source in enumerate(sources):
            before = merged.pages
            try:
                merged.add(source)
            except LabelFileError as error:
                failed.append(FailedSource(index, error))
            pages_of_source.append(tuple(range(before + 1, merged.pages + 1)))
        if merged.pages == 0:
            raise failed[0].error if failed else _nothing_to_merge(target)
        merged.save_chunk()
        written = count_pages(part)
        if written != merged.pages:
            raise _wrong_count(target, written, merged.pages)
    return MergeResult(merged.pages, tuple(pages_of_source), tuple(merged.unstamped), tuple(failed))


def count_pages(path: Path) -> int:
    """Return how many pages the PDF at `path` has. Raises LabelFileError when it is none."""
    with PdfPages(path, subject=path.name) as document:
        return len(document)


class _GrowingPdf:
    """A PDF that takes pages into memory and moves them to the end of its file chunk by chunk."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self._chunk: Any = None  # PDFium's document: what is in the file, and the pages since then
        self._saved_pages = 0
        self._unsaved_bytes = 0  # about what the pages since then weigh
        self._sources: dict[Path, PdfPages] = {}
        self.pages = 0
        self.unstamped: list[int] = []

    def add(self, source: LabelPages) -> None:
        """Add all wanted pages of `source`, or raise LabelFileError and add none."""
        with self._opened(source) as document:
            wanted = source.pages if source.pages is not None else tuple(range(len(document)))
            missing = [page for page in wanted if not 0 <= page < len(document)]
            if missing or not wanted:
                raise _no_such_page(source, missing)
            with LOCK:
                self._add_pages(document.document, wanted, source)
            self._unsaved_bytes += _size_of(source.source) * len(wanted) // len(document)
        if self.pages - self._saved_pages >= PAGES_PER_CHUNK or self._unsaved_bytes >= _BYTES_PER_CHUNK:
            self.save_chunk()

    def save_chunk(self) -> None:
        """Append the pages since the last call to the file, and free them and every open source."""
        self._close_sources()
        if self._chunk is None:
            return
        is_first = self._saved_pages == 0
        already_there = 0 if is_first else self._path.stat().st_size
        tail = _Tail(self._file, skip=already_there)
        with LOCK:
            try:
                self._chunk.save(tail, flags=0 if is_first else pdfium.FPDF_INCREMENTAL)
            finally:
                self._chunk.close()
                self._chunk = None
        if tail.error is not None:
            raise tail.error
        self._file.flush()
        self._saved_pages, self._unsaved_bytes = self.pages, 0

    def close(self) -> None:
        """Free what is in memory; pages not saved yet are lost."""
        self._close_sources()
        if self._chunk is not None:
            with LOCK:
                self._chunk.close()
            self._chunk = None

    def _add_pages(self, document: Any, wanted: tuple[int, ...], source: LabelPages) -> None:
        if self._chunk is None:
            self._chunk = pypdfium2.PdfDocument(self._path) if self._saved_pages else pypdfium2.PdfDocument.new()
        unstamped: list[int] = []
        try:
            if source.stamp is None:
                self._chunk.import_pages(document, list(wanted))
            else:
                for count, page in enumerate(wanted, start=1):
                    if not _import_stamped(self._chunk, document, page, source.stamp):
                        unstamped.append(self.pages + count)
        except pypdfium2.PdfiumError as cause:
            while len(self._chunk) > self.pages:
                self._chunk.del_page(len(self._chunk) - 1)
            raise _unreadable(source) from cause
        self.pages += len(wanted)
        self.unstamped += unstamped

    @contextlib.contextmanager
    def _opened(self, source: LabelPages) -> Iterator[PdfPages]:
        """Give the opened file. Large files, whose pages come one by one, stay open for the next page of theirs."""
        if isinstance(source.source, Path) and source.source in self._sources:
            yield self._sources[source.source]
            return
        document = PdfPages(source.source, subject=source.subject)
        if isinstance(source.source, Path) and source.pages is not None and len(document) > len(source.pages):
            if len(self._sources) >= _OPEN_FILES:
                self._close_sources()
            self._sources[source.source] = document
            yield document
            return
        with document:
            yield document

    def _close_sources(self) -> None:
        for document in self._sources.values():
            document.close()
        self._sources.clear()


def _size_of(source: bytes | Path) -> int:
    return len(source) if isinstance(source, bytes) else source.stat().st_size


class _Tail:
    """Takes what PDFium saves and writes it to `file`, without the first `skip` bytes, which are there already.

    An error in here cannot pass through PDFium: it is kept for the caller to raise.
    """

    def __init__(self, file: BinaryIO, skip: int) -> None:
        self._file = file
        self._skip = skip
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        size = len(data)
        if self._skip >= size:
            self._skip -= size
        elif self.error is None:
            try:
                self._file.write(memoryview(data)[self._skip :])
            except OSError as error:
                self.error = error
            self._skip = 0
        return size


def _import_stamped(chunk: Any, document: Any, page: int, stamp: str) -> bool:
    """Add the 0-based `page` of `document` to `chunk` with its stamp; unchanged, and False, when there is no place.

    The page becomes one object on a new page of the same size, so that whatever its content leaves behind (a clip, a
    scale) cannot touch the stamp. That is done in a document of its own, since PDFium's writing of new content takes
    time in proportion to the whole document.
    """
    with (
        contextlib.closing(pypdfium2.PdfDocument.new()) as single,
        contextlib.closing(pypdfium2.PdfDocument.new()) as stage,
    ):
        single.import_pages(document, [page])
        ink = _ink(single)
        text = _placed_stamp(stage, stamp, ink, single.get_page_size(0)) if _can_flatten(single, ink) else None
        if text is None:
            chunk.import_pages(document, [page])
            return False
        _lay_out(stage, single, text)
        chunk.import_pages(stage)
    return True


def _ink(single: Any) -> Image:
    """Return where a one-page document is inked, at a pixel a point."""
    with contextlib.closing(single[0]) as opened:
        return ink_of(draw_opened(opened, POINTS_PER_INCH))


def _can_flatten(single: Any, ink: Image) -> bool:
    """Turn the page's annotations into content, which a page taken as an object would lose; False if any got lost.

    PDFium drops those that have no appearance of their own although it draws them, so the pictures are compared.
    """
    with contextlib.closing(single[0]) as opened:
        if pdfium.FPDFPage_GetAnnotCount(opened.raw) < 1:
            return True
        pdfium.FPDFPage_Flatten(opened.raw, pdfium.FLAT_PRINT)
    return _ink(single).tobytes() == ink.tobytes()


def _lay_out(stage: Any, single: Any, text: Any) -> None:
    """Make the only page of `stage` from the page of `single` and a text object above it."""
    with (
        contextlib.closing(single.page_as_xobject(0, stage)) as content,
        contextlib.closing(stage.new_page(*single.get_page_size(0))) as sheet,
    ):
        sheet.insert_obj(content.as_pageobject())
        pdfium.FPDFPage_InsertObject(sheet.raw, text)
        sheet.gen_content()


def _placed_stamp(stage: Any, stamp: str, ink: Image, page_size: tuple[float, float]) -> Any:
    """Return a PDFium text object at a free place of the label, in the largest size that fits; None without a place.

    Elsewhere on a larger page it would count as ink, and the page could not be cut to the label any more.
    """
    across, up = page_size[0] / ink.width, page_size[1] / ink.height  # points a pixel: about 1
    left_px, top_px, right_px, bottom_px = _label_area_px(ink)
    label = ink.crop((left_px, top_px, right_px, bottom_px))
    font = pdfium.FPDFText_LoadStandardFont(stage.raw, _STAMP_FONT)
    try:
        for size in _STAMP_SIZES_PT:
            text = _text_object(stage, font, stamp, size)
            left, bottom, right, top = _bounds(text)
            place = _free_place(label, (right - left) / across, (top - bottom) / up)
            if place is not None:
                x, y = place[0] + left_px, place[1] + top_px
                pdfium.FPDFPageObj_Transform(text, 1, 0, 0, 1, x * across - left, (ink.height - y) * up - top)
                return text
            pdfium.FPDFPageObj_Destroy(text)
    finally:
        pdfium.FPDFFont_Close(font)
    return None


def _label_area_px(ink: Image) -> tuple[int, int, int, int]:
    """Return the pixels of a mask, a pixel a point, that stay on label paper: none of them only partly."""
    box = ink.getbbox()
    # A line of half a point inks two pixels, and a label of exactly 4x6 in must not look larger than it is.
    inner = None if box is None else (box[0] + 1, box[1] + 1, box[2] - 1, box[3] - 1)
    left, top, right, bottom = label_area(inner, (ink.width, ink.height))
    return math.ceil(left), math.ceil(top), int(right), int(bottom)


def _text_object(stage: Any, font: Any, text: str, size: float) -> Any:
    made = pdfium.FPDFPageObj_CreateTextObj(stage.raw, font, size)
    wide = ctypes.create_string_buffer((text + "\0").encode("utf-16-le"))
    pdfium.FPDFText_SetText(made, ctypes.cast(wide, ctypes.POINTER(ctypes.c_ushort)))
    return made


def _bounds(text: Any) -> tuple[float, float, float, float]:
    edges = [ctypes.c_float() for edge in range(4)]
    pdfium.FPDFPageObj_GetBounds(text, *(ctypes.byref(edge) for edge in edges))
    left, bottom, right, top = (edge.value for edge in edges)
    return left, bottom, right, top


def _free_place(ink: Image, width: float, height: float) -> tuple[int, int] | None:
    """Return the upper left pixel of the first free place for a stamp: along the bottom edge, then along the top.

    Nearest the edge first, and from right to left. None when there is no free place.
    """
    wide, high = math.ceil(width), math.ceil(height)
    offsets = range(_EDGE_PT, min(_STRIP_PT, ink.height // 4), 2)
    for top in [*(ink.height - offset - high for offset in offsets), *offsets]:
        for left in _free_columns(ink, top, top + high, wide):
            if _has_free_surroundings(ink, left, top, left + wide, top + high):
                return left, top
    return None


def _free_columns(ink: Image, top: int, bottom: int, width: int) -> Iterator[int]:
    """Yield, from right to left, where `width` columns and a quiet zone on both sides are white in these rows."""
    band = ink.crop((0, top - 1, ink.width, bottom + 1)).resize((ink.width, 1), resample=_BOX_FILTER).tobytes()
    beyond_the_edge = bytes(_QUIET_PT)
    profile = beyond_the_edge + band + beyond_the_edge
    needed = bytes(width + 2 * _QUIET_PT)
    end = len(profile) - _EDGE_PT
    while (left := profile.rfind(needed, _EDGE_PT, end)) >= 0:
        yield left
        end = left + len(needed) - _STEP_PT


def _has_free_surroundings(ink: Image, left: int, top: int, right: int, bottom: int) -> bool:
    """Say whether there is nothing near above and below but a thin frame line, and no bars that lie on their side."""
    near = [*_rows(ink, left, right, top - _NEAR_PT, top), *_rows(ink, left, right, bottom, bottom + _NEAR_PT)]
    inked = [row for row in near if row > 0]
    if len(inked) > _RULE_PT or any(row < _FULL_ROW for row in inked):
        return False
    above = _rows(ink, left, right, top - _QUIET_PT, top)
    below = _rows(ink, left, right, bottom, bottom + _QUIET_PT)
    return all(sum(row >= _FULL_ROW for row in side) <= _RULE_PT for side in (above, below))


def _rows(ink: Image, left: int, right: int, top: int, bottom: int) -> bytes:
    """Return how much of each row between `top` and `bottom` is inked, 0 to 255; rows off the page are left out."""
    top, bottom = max(0, top), min(ink.height, bottom)
    if bottom <= top:
        return b""
    return ink.crop((left, top, right, bottom)).resize((1, bottom - top), resample=_BOX_FILTER).tobytes()


def _nothing_to_merge(target: Path) -> LabelFileError:
    return LabelFileError(
        tr("there is no label to merge"), subject=target.name, next_step=tr("buy or import labels first")
    )


def _no_such_page(source: LabelPages, missing: Sequence[int]) -> LabelFileError:
    numbers = ", ".join(str(page + 1) for page in missing) or "-"
    return LabelFileError(
        tr("the label file has no page {numbers}", numbers=numbers),
        subject=source.subject,
        next_step=tr("import the label file again"),
    )


def _unreadable(source: LabelPages) -> LabelFileError:
    return LabelFileError(
        tr("a page of the label file cannot be read"),
        subject=source.subject,
        next_step=tr("download the label again and repeat the command"),
    )


def _wrong_count(target: Path, written: int, wanted: int) -> LabelFileError:
    return LabelFileError(
        tr("the merged file has {written} pages instead of {wanted}", written=written, wanted=wanted),
        subject=target.name,
        next_step=tr("run the command again; nothing was printed"),
    )
