from __future__ import annotations

import io
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image, ImageChops
from pypdf import PdfReader, PdfWriter
from pypdf.annotations import FreeText
from pypdf.generic import ArrayObject, DictionaryObject, NameObject, NumberObject, StreamObject
from reportlab.graphics.barcode.code128 import Code128
from reportlab.pdfgen.canvas import Canvas

from tiktok_erp.errors import LabelFileError
from tiktok_erp.labels import merge
from tiktok_erp.labels.merge import LabelPages, count_pages, merge_labels
from tiktok_erp.labels.verify import inspect_label
from tiktok_erp.pdf import PdfPages, digital_text

A6 = (105 / 25.4 * 72, 148 / 25.4 * 72)
USPS = "9400111206206406260787"
UPS = "1Z5R89390357567127"

Label = Callable[..., bytes]


def _pixels(pdf: bytes | Path, page: int = 0) -> Image.Image:
    with PdfPages(pdf, subject="") as document:
        return document.draw(page, 144)


def _text(path: Path, page: int = 0) -> str:
    with PdfPages(path, subject="") as document:
        return document.text(page)


def _on_canvas(draw: Callable[[Canvas], None], size: tuple[float, float] = (288, 432)) -> bytes:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=size, pageCompression=0)
    draw(canvas)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def test_pages_keep_their_order_and_their_own_size(label: Label, tmp_path: Path) -> None:
    sources = [LabelPages(label(USPS, text="first")), LabelPages(label(UPS, text="second", size=A6))]
    merge_labels(sources, tmp_path / "labels.pdf")
    with PdfPages(tmp_path / "labels.pdf", subject="") as merged:
        assert [merged.size_pt(page) for page in range(2)] == [(288, 432), pytest.approx(A6, abs=0.01)]
        assert ["first" in merged.text(0), "second" in merged.text(1)] == [True, True]


def test_stamped_pages_keep_their_size_too(label: Label, tmp_path: Path) -> None:
    merge_labels([LabelPages(label(UPS, size=A6), stamp="B07-001")], tmp_path / "labels.pdf")
    with PdfPages(tmp_path / "labels.pdf", subject="") as merged:
        assert merged.size_pt(0) == pytest.approx(A6, abs=0.01)


def test_the_result_tells_each_sources_pages(label: Label, tmp_path: Path) -> None:
    sources = [LabelPages(label(USPS, pages=2)), LabelPages(label(UPS)), LabelPages(label(USPS, pages=3), pages=(2, 0))]
    result = merge_labels(sources, tmp_path / "labels.pdf")
    assert result.pages_of_source == ((1, 2), (3,), (4, 5))
    assert result.page_of_source == [1, 3, 4]
    assert result.pages == count_pages(tmp_path / "labels.pdf") == 5


def test_chosen_pages_of_a_file_come_in_the_order_asked_for(label: Label, tmp_path: Path) -> None:
    bulk = tmp_path / "bulk.pdf"
    bulk.write_bytes(label(text="bulk", pages=3))
    merge_labels([LabelPages(bulk, pages=(2,)), LabelPages(bulk, pages=(1,))], tmp_path / "labels.pdf")
    assert ["page 3" in _text(tmp_path / "labels.pdf", 0), "page 2" in _text(tmp_path / "labels.pdf", 1)] == [
        True,
        True,
    ]


@pytest.mark.parametrize("is_picture", [False, True])
@pytest.mark.parametrize("size", [(288, 432), A6])
def test_every_stamped_label_scans_to_its_own_number(
    label: Label, tmp_path: Path, size: tuple[float, float], is_picture: bool
) -> None:
    numbers = [USPS, UPS, "9405803699300124287899"]
    sources = [
        LabelPages(label(number, size=size, is_picture=is_picture), stamp=f"B07-{place:03d}")
        for place, number in enumerate(numbers, start=1)
    ]
    result = merge_labels(sources, tmp_path / "labels.pdf")
    assert result.unstamped == ()
    with PdfPages(tmp_path / "labels.pdf", subject="") as merged:
        for page, number in enumerate(numbers):
            assert [digital_text(code.payload).removeprefix("42090210") for code in merged.barcodes(page, 203)] == [
                number
            ]
            assert f"B07-{page + 1:03d}" in merged.text(page)


def _nothing_unusual(canvas: Canvas) -> None:
    canvas.drawString(20, 300, "plain")


def _scaled_and_clipped(canvas: Canvas) -> None:
    """Leave a mirrored scale and a clip behind, as some generators do."""
    canvas._code.append("0.24 0 0 -0.24 0 432 cm 1 0 0 rg 100 100 300 300 re f 0 0 100 100 re W n")


def _unbalanced(canvas: Canvas) -> None:
    canvas._code.append("q q 2 0 0 2 0 0 cm")
    canvas.drawString(20, 100, "unbalanced")


def _rotated(canvas: Canvas) -> None:
    canvas.drawString(20, 300, "rotated")
    canvas.setPageRotation(90)


def _cropped(canvas: Canvas) -> None:
    canvas.setCropBox((30, 40, 250, 400))
    canvas.drawString(60, 300, "cropped")


@pytest.mark.parametrize("draw", [_nothing_unusual, _scaled_and_clipped, _unbalanced, _rotated, _cropped])
def test_a_stamp_changes_nothing_but_its_own_white_place(draw: Callable[[Canvas], None], tmp_path: Path) -> None:
    source = _on_canvas(draw)
    merge_labels([LabelPages(source, stamp="B07-063")], tmp_path / "labels.pdf")
    before, after = _pixels(source), _pixels(tmp_path / "labels.pdf")
    assert before.size == after.size
    changed = ImageChops.difference(before, after).getbbox()
    assert changed is not None
    assert before.crop(changed).getextrema() == (255, 255)
    assert "B07-063" in _text(tmp_path / "labels.pdf")


def _annotated(label: bytes, **keys: object) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(label)))
    note = FreeText(text="Fragile", rect=(100, 330, 200, 380), background_color="000000")
    for key, value in keys.items():
        note[NameObject(f"/{key}")] = value
    writer.add_annotation(0, note)
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def _black_square() -> StreamObject:
    """Return an appearance stream as any careful generator adds one to an annotation."""
    square = StreamObject()
    square.set_data(b"0 0 0 rg 0 0 100 50 re f")
    square.update(
        {
            NameObject("/Type"): NameObject("/XObject"),
            NameObject("/Subtype"): NameObject("/Form"),
            NameObject("/BBox"): ArrayObject([NumberObject(0), NumberObject(0), NumberObject(100), NumberObject(50)]),
        }
    )
    return square


ANNOTATED_PX = (200, 110, 390, 200)


def test_an_annotation_that_prints_is_still_there_on_a_stamped_page(label: Label, tmp_path: Path) -> None:
    appearance = DictionaryObject({NameObject("/N"): _black_square()})
    source = _annotated(label(USPS), F=NumberObject(4), AP=appearance)
    result = merge_labels([LabelPages(source, stamp="B07-001")], tmp_path / "labels.pdf")
    expected, printed = (_pixels(pdf).crop(ANNOTATED_PX) for pdf in (source, tmp_path / "labels.pdf"))
    assert expected.getextrema() != (255, 255)
    assert (printed.tobytes(), result.unstamped) == (expected.tobytes(), ())


def test_a_page_whose_annotation_a_stamp_would_cost_stays_unstamped(label: Label, tmp_path: Path) -> None:
    source = _annotated(label(USPS))
    result = merge_labels([LabelPages(source, stamp="B07-001")], tmp_path / "labels.pdf")
    assert result.unstamped == (1,)
    assert _pixels(tmp_path / "labels.pdf").tobytes() == _pixels(source).tobytes()


def test_a_page_without_a_white_place_is_left_as_it_is_and_reported(label: Label, tmp_path: Path) -> None:
    black = _on_canvas(lambda canvas: canvas.rect(0, 0, 288, 432, fill=1))
    result = merge_labels(
        [LabelPages(label(USPS), stamp="B07-001"), LabelPages(black, stamp="B07-002")], tmp_path / "labels.pdf"
    )
    assert result.unstamped == (2,)
    assert "B07-002" not in _text(tmp_path / "labels.pdf", 1)
    assert _pixels(tmp_path / "labels.pdf", 1).tobytes() == _pixels(black).tobytes()


def test_a_stamp_keeps_out_of_a_barcodes_quiet_zone(tmp_path: Path) -> None:
    """Bars reach to the bottom edge over all but 40 pt: room for a stamp, not for its distance as well."""

    def draw(canvas: Canvas) -> None:
        canvas.rect(0, 60, 288, 372, fill=1)
        for bar in range(0, 248, 3):
            canvas.rect(bar, 0, 1.5, 60, stroke=0, fill=1)

    result = merge_labels([LabelPages(_on_canvas(draw), stamp="B07-001")], tmp_path / "labels.pdf")
    assert result.unstamped == (1,)


def test_a_stamp_keeps_out_of_the_quiet_zone_of_bars_lying_on_their_side(tmp_path: Path) -> None:
    def draw(canvas: Canvas) -> None:
        canvas.rotate(90)
        Code128(UPS, barWidth=1, barHeight=280, quiet=False).drawOn(canvas, 16, -284)

    source = _on_canvas(draw)
    merge_labels([LabelPages(source, stamp="B07-001")], tmp_path / "labels.pdf")
    changed = ImageChops.difference(_pixels(source), _pixels(tmp_path / "labels.pdf")).getbbox()
    assert changed is not None
    assert changed[3] < 864 - 2 * (16 + 150)  # far from the bars' lower end, which is 16 pt above the edge


def test_a_stamp_keeps_its_distance_from_codes_and_text_above_it(tmp_path: Path) -> None:
    """The smallest stamp would fit under the squares, but only touching them, as it must not touch a QR code."""

    def draw(canvas: Canvas) -> None:
        for left in range(0, 288, 8):
            for bottom in range(10, 432, 8):
                canvas.rect(left, bottom, 5, 5, stroke=0, fill=1)

    result = merge_labels([LabelPages(_on_canvas(draw), stamp="B07-001")], tmp_path / "labels.pdf")
    assert result.unstamped == (1,)


def test_a_file_that_is_no_label_does_not_stop_the_others(label: Label, tmp_path: Path) -> None:
    sources = [
        LabelPages(label(USPS)),
        LabelPages(b"<html>", subject="package P000002"),
        LabelPages(label(UPS), pages=(4,), subject="package P000003"),
        LabelPages(tmp_path / "absent.pdf", subject="package P000004"),
        LabelPages(label(UPS)),
    ]
    result = merge_labels(sources, tmp_path / "labels.pdf")
    assert [(failure.index, str(failure.error)) for failure in result.failed] == [
        (1, "this is a web page, not a PDF (package P000002)"),
        (2, "the label file has no page 5 (package P000003)"),
        (3, "the file cannot be read: No such file or directory (package P000004)"),
    ]
    assert result.pages_of_source == ((1,), (), (), (), (2,))
    assert count_pages(tmp_path / "labels.pdf") == 2


def test_nothing_is_written_when_no_label_is_left(tmp_path: Path) -> None:
    with pytest.raises(LabelFileError, match="web page"):
        merge_labels([LabelPages(b"<html>", subject="package P000002")], tmp_path / "labels.pdf")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_not_there_is_said_so(label: Label, tmp_path: Path) -> None:
    with pytest.raises(LabelFileError, match="cannot be written"):
        merge_labels([LabelPages(label(USPS))], tmp_path / "absent" / "labels.pdf")


def test_a_full_disk_leaves_the_old_file_untouched(label: Label, tmp_path: Path) -> None:
    target = tmp_path / "labels.pdf"
    target.write_bytes(b"yesterday's")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(LabelFileError, match="cannot be written"):
            merge_labels([LabelPages(label(USPS, is_picture=True))], target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, previous)
    assert target.read_bytes() == b"yesterday's"
    assert [path.name for path in tmp_path.iterdir()] == ["labels.pdf"]


@pytest.mark.parametrize(("limit", "value"), [("PAGES_PER_CHUNK", 4), ("_BYTES_PER_CHUNK", 5000)])
def test_more_pages_than_memory_holds_at_once_come_out_in_order(
    label: Label, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(merge, limit, value)
    sources = [LabelPages(label(text=f"label-{place}"), stamp=f"B07-{place:03d}") for place in range(1, 12)]
    result = merge_labels(sources, tmp_path / "labels.pdf")
    assert result.pages == 11
    reader = PdfReader(tmp_path / "labels.pdf", strict=True)
    texts = [page.extract_text() for page in reader.pages]
    assert all(f"label-{place}" in text and f"B07-{place:03d}" in text for place, text in enumerate(texts, start=1))


def test_pages_of_large_files_may_come_mixed(label: Label, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "PAGES_PER_CHUNK", 5)
    monkeypatch.setattr(merge, "_OPEN_FILES", 2)
    for name in "abc":
        (tmp_path / f"{name}.pdf").write_bytes(label(text=f"file-{name}", pages=4))
    wanted = [(name, page) for page in (3, 1, 2) for name in "abc"]
    merge_labels(
        [LabelPages(tmp_path / f"{name}.pdf", pages=(page,)) for name, page in wanted], tmp_path / "labels.pdf"
    )
    for place, (name, page) in enumerate(wanted):
        assert f"file-{name} page {page + 1}" in _text(tmp_path / "labels.pdf", place)


def test_a_merged_file_can_be_inspected_like_a_label(label: Label, tmp_path: Path) -> None:
    merge_labels([LabelPages(label(USPS), stamp="B07-001")], tmp_path / "labels.pdf")
    assert inspect_label((tmp_path / "labels.pdf").read_bytes(), tracking_number=USPS).verdict == "match"


def test_counting_the_pages_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("no PDF")
    with pytest.raises(LabelFileError, match=r"note\.txt"):
        count_pages(tmp_path / "note.txt")


def test_pdfium_documents_are_closed_after_a_merge(label: Label, tmp_path: Path) -> None:
    source = tmp_path / "bulk.pdf"
    source.write_bytes(label(text="bulk", pages=3))
    merge_labels([LabelPages(source, pages=(1,))], tmp_path / "labels.pdf")
    source.write_bytes(label(USPS))
    assert len(pypdfium2.PdfDocument(source, autoclose=True)) == 1
