from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from tiktok_erp.errors import InputFileError, LabelFileError
from tiktok_erp.pdf import PdfPages, digital_text, whole_file


@pytest.fixture(scope="session")
def large_pdf() -> bytes:
    """A PDF of more than a megabyte: noise cannot be compressed."""
    noise = Image.frombytes("L", (1200, 1200), random.Random(1).randbytes(1200 * 1200))
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(288, 432))
    canvas.drawImage(ImageReader(noise), 0, 0, 288, 288)
    canvas.save()
    return buffer.getvalue()


def test_a_large_file_is_opened_where_it_lies(large_pdf: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bulk.pdf"
    path.write_bytes(large_pdf)
    with PdfPages(path, subject="bulk.pdf") as document:
        assert (len(document), document.size_pt(0)) == (1, (288, 432))


def test_a_large_file_that_is_cut_off_is_refused(large_pdf: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bulk.pdf"
    path.write_bytes(large_pdf[:-2000])
    with pytest.raises(InputFileError, match=r"its end is missing \(bulk\.pdf\)"):
        PdfPages(path, subject="bulk.pdf", error=InputFileError)


def test_a_page_of_absurd_size_is_drawn_coarser() -> None:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(14400, 14400))
    canvas.rect(0, 0, 7200, 7200, fill=1)
    canvas.save()
    with PdfPages(buffer.getvalue(), subject="") as document:
        picture = document.draw(0, 300)
    assert picture.width * picture.height <= 61_000_000


def test_a_page_beyond_the_last_is_a_fault_of_the_file(large_pdf: bytes) -> None:
    with PdfPages(large_pdf, subject="package P1") as document, pytest.raises(LabelFileError, match=r"page 2 .*P1"):
        document.text(1)


def test_a_barcodes_text_leaves_out_function_characters() -> None:
    assert digital_text(b"42090210\x1d9400111206206406260787\xff") == "420902109400111206206406260787?"


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "labels.pdf"
    with whole_file(target) as (part, file):
        file.write(b"new")
        assert not target.exists()
        assert part.parent == tmp_path
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_an_interrupted_file_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "labels.pdf"
    target.write_bytes(b"old")

    def write() -> None:
        with whole_file(target) as (_, file):
            file.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
