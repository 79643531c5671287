"""PDF files: opened, read page by page, written whole or not at all. The one door to PDFium and the barcode reader.

It stands beside `errors` and `messages` because both `labels/` and `carriers/` need it and neither may import the
other. PDFium is not thread-safe (`reference/carriers.md`, section 7.2): every call into it in this process happens
under `LOCK`, also where another module uses `PdfPages.document` directly. Decoding barcodes happens outside of it.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from tiktok_erp.errors import ErpError, InputFileError, LabelFileError
from tiktok_erp.messages import tr
from tiktok_erp.model.label_area import Box
from tiktok_erp.private_files import create_private

if TYPE_CHECKING:
    from PIL.Image import Image

LOCK = threading.RLock()

POINTS_PER_INCH = 72
MM_PER_POINT = 25.4 / POINTS_PER_INCH

_LIGHTEST_INK = 244  # of 255
_IS_INK = [255] * (_LIGHTEST_INK + 1) + [0] * (255 - _LIGHTEST_INK)
_MAX_PIXELS = 60_000_000  # a page of absurd size is drawn coarser instead of filling the memory
_LARGEST_SIDE_PT = 14_400  # ISO 32000-1, annex C: 200 inches
_MOST_PAGES = 20_000
_MOST_OBJECTS = 500_000
_LARGEST_STREAM = 64 << 20  # a page of Letter in grey at 600 dpi takes 34 MB
_MOST_FILTERS = 3
_CHUNK = 1 << 20
_ENOUGH_CHARACTERS = 400  # to see where text runs to
_SMALL_FILE = 1_000_000  # bytes; a label has 5 to 200 kB
_WRONG_PASSWORD = 4  # FPDF_ERR_PASSWORD
_PICTURES = {b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF8": "GIF", b"PK\x03\x04": "ZIP", b"^XA": "ZPL"}


@dataclass(frozen=True, slots=True)
class PageBarcode:
    """One barcode read from a page. `payload` keeps FNC1 as 0x1D; `symbology` is the AIM identifier, such as `]C1`."""

    payload: bytes
    symbology: str


class PdfPages:
    """An open PDF whose pages can be measured, read and drawn from any thread. Close it, or use it in `with`.

    `subject` names the document in errors. Raises `error` (LabelFileError, or InputFileError for a file that the
    seller named) when it is empty, no PDF, cut off, needs a password or has no page.
    """

    def __init__(
        self, source: bytes | Path, *, subject: str, error: type[LabelFileError | InputFileError] = LabelFileError
    ) -> None:
        self._subject = subject
        self._error = error
        content = self._small_or_path(source) if isinstance(source, Path) else source
        self._check_envelope(content)
        import pypdfium2

        with LOCK:
            try:
                self.document: Any = pypdfium2.PdfDocument(content)
            except pypdfium2.PdfiumError as cause:
                raise self._cannot_open(content, cause) from cause
            self._count = len(self.document)
            if self._count > _MOST_PAGES:
                self.document.close()
                raise self._fault(tr("this PDF has {count} pages, more than a file of labels has", count=self._count))
            if self._count == 0:
                self.document.close()
                raise self._fault(tr("this PDF is damaged or has no page, and cannot be opened"))

    def __enter__(self) -> PdfPages:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self._count

    def close(self) -> None:
        """Free the document. A second call does nothing."""
        with LOCK:
            self.document.close()

    def size_pt(self, page: int) -> tuple[float, float]:
        """Return width and height of the 0-based `page` in points (1/72 inch), as it is shown: crop and rotation in."""
        with self._reading(page):
            return self._checked_size(page)

    def text(self, page: int, box: Box | None = None) -> str:
        """Return the text layer of the 0-based `page`, as far as it is in what is shown, or in `box` of that.

        Empty when the page is only a picture. Text outside of the page's visible box is there but on no paper: a sheet of
        labels is often cut by showing a part of it on each page.
        """
        with self._reading(page):
            opened = self.document[page]
            try:
                layer = opened.get_textpage()
                try:
                    left, bottom, right, top = opened.get_bbox() if box is None else in_user_space(opened, box)
                    return str(layer.get_text_bounded(left=left, bottom=bottom, right=right, top=top))
                finally:
                    layer.close()
            finally:
                opened.close()

    def draw(self, page: int, dpi: float) -> Image:
        """Return the 0-based `page` as a grey picture at `dpi`."""
        with self._reading(page):
            self._checked_size(page)
            opened = self.document[page]
            try:
                return draw_opened(opened, dpi)
            finally:
                opened.close()

    def barcodes(self, page: int, dpi: float, *, matrix_codes: bool = False) -> tuple[PageBarcode, ...]:
        """Return the barcodes of the 0-based `page` drawn at `dpi`, as `read_barcodes` does."""
        return read_barcodes(self.draw(page, dpi), matrix_codes=matrix_codes)

    @contextlib.contextmanager
    def _reading(self, page: int) -> Iterator[None]:
        import pypdfium2

        with LOCK:
            try:
                yield
            except pypdfium2.PdfiumError as cause:
                raise self._fault(tr("page {page} of this PDF cannot be read", page=page + 1)) from cause

    def _checked_size(self, page: int) -> tuple[float, float]:
        width, height = map(float, self.document.get_page_size(page))
        if not (0 < width <= _LARGEST_SIDE_PT and 0 < height <= _LARGEST_SIDE_PT):
            raise self._fault(tr("page {page} of this PDF has a size that no paper has", page=page + 1))
        return width, height

    def _check_envelope(self, source: bytes | Path) -> None:
        """Raise unless `source` begins and ends as a PDF: PDFium would repair a cut file and draw what is left."""
        if isinstance(source, bytes):
            head, tail = source[:1024], source[-2048:]
        else:
            head, tail = self._both_ends(source)
        if not head.strip():
            raise self._fault(tr("the file is empty"))
        if b"%PDF-" not in head:
            raise self._fault(_what_it_is(head))
        if b"%%EOF" not in tail.rstrip(b"\x00\r\n\t ")[-1024:]:
            raise self._fault(tr("this PDF is cut off: its end is missing"))

    def _small_or_path(self, path: Path) -> bytes | Path:
        """Return the content of a file of label size, which is quicker to read in one go; the path of a larger one."""
        try:
            with path.open("rb") as file:
                content = file.read(_SMALL_FILE + 1)
        except OSError as cause:
            raise self._unreadable(cause) from cause
        return content if len(content) <= _SMALL_FILE else path

    def _both_ends(self, path: Path) -> tuple[bytes, bytes]:
        try:
            with path.open("rb") as file:
                head = file.read(1024)
                file.seek(-2048, os.SEEK_END)
                return head, file.read()
        except OSError as cause:
            raise self._unreadable(cause) from cause

    def _unreadable(self, cause: OSError) -> ErpError:
        return self._fault(tr("the file cannot be read: {reason}", reason=cause.strerror or str(cause)))

    def _cannot_open(self, source: bytes | Path, cause: Exception) -> ErpError:
        # PDFium keeps the code of an earlier failure when it has none for this one, so the code alone proves nothing.
        if getattr(cause, "err_code", None) == _WRONG_PASSWORD:
            data = source if isinstance(source, bytes) else source.read_bytes()
            if b"/Encrypt" in data:
                return self._fault(tr("this PDF is encrypted: it asks for a password"))
        return self._fault(tr("this PDF is damaged or has no page, and cannot be opened"))

    def _fault(self, what: str) -> ErpError:
        return self._error(what, subject=self._subject, next_step=tr("download the file again and repeat the command"))


def refuse_bomb(
    source: bytes | Path, *, subject: str, error: type[LabelFileError | InputFileError] = LabelFileError
) -> None:
    """Raise `error` for a PDF with a part that grows beyond all measure when it is read.

    For files from outside, once, before anything is drawn: PDFium bounds neither time nor memory. Streams are inflated up
    to the limit only; a stream inside of a stream is followed.
    """
    content = source if isinstance(source, bytes) else source.read_bytes()
    is_too_much = content.count(b" obj") > _MOST_OBJECTS
    place = content.find(b"stream")
    while place >= 0 and not is_too_much:
        start = place + len(b"stream")
        while content[start : start + 1] in (b"\r", b"\n"):
            start += 1
        if content[start : start + 1] == b"\x78":  # how zlib begins
            is_too_much = _inflates_too_far(memoryview(content)[start:])
        place = content.find(b"stream", start)
    if is_too_much:
        raise error(
            tr("this PDF grows beyond all measure when it is read: it is no label"),
            subject=subject,
            next_step=tr("download the file again and repeat the command"),
        )


def _inflates_too_far(packed: bytes | memoryview) -> bool:
    for _level in range(_MOST_FILTERS):
        pump = zlib.decompressobj()
        found = bytearray()
        try:
            for at in range(0, len(packed), _CHUNK):
                rest: bytes | memoryview = packed[at : at + _CHUNK]
                while rest and not pump.eof:
                    found += pump.decompress(rest, _CHUNK)
                    rest = pump.unconsumed_tail
                    if len(found) > _LARGEST_STREAM:
                        return True
                if pump.eof:
                    break
        except zlib.error:
            return False
        if found[:1] != b"\x78":
            return False
        packed = bytes(found)
    return True


def read_barcodes(picture: Image, *, matrix_codes: bool = False) -> tuple[PageBarcode, ...]:
    """Return the barcodes found in a grey picture, from top to bottom.

    Without `matrix_codes` only the bar kinds in which carriers print tracking numbers are looked for, which takes half
    the time. Needs no lock.
    """
    import zxingcpp

    kinds = zxingcpp.BarcodeFormat
    wanted = [kinds.Code128, kinds.Code39, kinds.ITF]
    if matrix_codes:
        wanted += [kinds.QRCode, kinds.DataMatrix, kinds.PDF417, kinds.Aztec, kinds.MaxiCode]
    found = zxingcpp.read_barcodes(picture, formats=zxingcpp.BarcodeFormats(wanted), try_invert=False)
    placed = sorted(
        (code.position.top_left.y, code.position.top_left.x, bytes(code.bytes), str(code.symbology_identifier))
        for code in found
    )
    return tuple(PageBarcode(payload, symbology) for top, left, payload, symbology in placed)


def ink_of(picture: Image) -> Image:
    """Return a grey picture as a mask: 255 where something is printed, 0 on paper. A scan's light ground is paper."""
    return picture.point(_IS_INK)


def draw_opened(page: Any, dpi: float) -> Image:
    """Return an open PDFium page as a grey picture that owns its memory. The caller holds `LOCK`."""
    width, height = page.get_size()
    bitmap = page.render(scale=_scale_for(width, height, dpi), grayscale=True)
    try:
        # PDFium's own memory must not be left to a garbage collection outside of the lock.
        picture: Image = bitmap.to_pil().convert("L").copy()
        return picture
    finally:
        bitmap.close()


def text_direction(page: Any) -> int | None:
    """Return where most of an open page's text runs to as the page is shown: 0 to the right, 90 upwards, 180, 270.

    None without text. The caller holds `LOCK`.
    """
    import pypdfium2.raw as pdfium

    with contextlib.closing(page.get_textpage()) as layer:
        angles = [
            pdfium.FPDFText_GetCharAngle(layer.raw, index)
            for index in range(min(layer.count_chars(), _ENOUGH_CHARACTERS))
            if not pdfium.FPDFText_IsGenerated(layer.raw, index)
        ]
    quarters = Counter((round(math.degrees(angle) / 90) * 90 - page.get_rotation()) % 360 for angle in angles)
    return quarters.most_common(1)[0][0] if quarters else None


def show_only(page: Any, box: Box) -> None:
    """Make `box`, in points from the upper left corner of an open page as it is shown, all that is shown of it.

    The change is in the document, not in what is open: open the page again to see it. The caller holds `LOCK`.
    """
    page.set_cropbox(*in_user_space(page, box))


def in_user_space(page: Any, box: Box) -> Box:
    """Return a box of an open page as it is shown as (left, bottom, right, top) of the page's own coordinates."""
    left, bottom, right, top = page.get_bbox()
    x1, y1, x2, y2 = box
    by_rotation: dict[int, Box] = {
        0: (left + x1, top - y2, left + x2, top - y1),
        90: (left + y1, bottom + x1, left + y2, bottom + x2),
        180: (right - x2, bottom + y1, right - x1, bottom + y2),
        270: (right - y2, top - x2, right - y1, top - x1),
    }
    return by_rotation[page.get_rotation()]


def digital_text(payload: bytes) -> str:
    """Return a barcode's content as text without FNC1; bytes that are no ASCII become `?`."""
    return payload.replace(b"\x1d", b"").decode("ascii", errors="replace").replace("\ufffd", "?")


@contextlib.contextmanager
def whole_file(target: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """Give a new file beside `target` (its path and the file, open for writing); it takes `target`'s place on success.

    The bytes are on the disk before the name points to them, and so is the name. After an error `target` is as it was
    and nothing is left beside it. Raises LabelFileError when the disk refuses.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        with os.fdopen(create_private(part), "w+b") as file:
            yield part, file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
        _sync_directory(target.parent)
    except OSError as cause:
        part.unlink(missing_ok=True)
        raise LabelFileError(
            tr("the file cannot be written: {reason}", reason=cause.strerror or str(cause)),
            subject=str(target),
            next_step=tr("make room or choose another directory, then run the command again"),
        ) from cause
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _sync_directory(directory: Path) -> None:
    if os.name == "nt":
        return  # Windows cannot open a directory; its rename is journalled
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _scale_for(width: float, height: float, dpi: float) -> float:
    wanted = dpi / POINTS_PER_INCH
    largest = (_MAX_PIXELS / max(1.0, width * height)) ** 0.5
    return float(min(wanted, largest))


def _what_it_is(head: bytes) -> str:
    start = head.lstrip(b"\xef\xbb\xbf\r\n\t ")
    if re.match(rb"<(!doctype|html|head|\?xml|!--|body|error)", start, re.IGNORECASE):
        return tr("this is a web page, not a PDF")
    for mark, name in _PICTURES.items():
        if start.startswith(mark):
            return tr("this is a {kind} file, not a PDF", kind=name)
    if start[:1] in (b"{", b"["):
        return tr("this is an answer in JSON, not a PDF")
    return tr("this is not a PDF")
