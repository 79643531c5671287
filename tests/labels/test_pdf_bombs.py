"""A PDF that explodes is one file's fault, within bounded time and memory."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from tiktok_erp.carriers.label_pages import WantedPackage, match_label_pages
from tiktok_erp.errors import InputFileError, LabelFileError
from tiktok_erp.labels.verify import inspect_label


def _pdf(
    media_box: str = "0 0 288 432", content: bytes = b"0 0 100 100 re f", filters: str = "", extra: bytes = b""
) -> bytes:
    head = f"<< /Length {len(content)} {filters} >>".encode()
    return (
        b"%PDF-1.4\n1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj\n"
        b"2 0 obj << /Type /Pages /Kids [3 0 R] /Count 1 >> endobj\n"
        b"3 0 obj << /Type /Page /Parent 2 0 R /MediaBox [" + media_box.encode() + b"] /Contents 4 0 R >> endobj\n"
        b"4 0 obj "
        + head
        + b" stream\n"
        + content
        + b"\nendstream endobj\n"
        + extra
        + b"trailer << /Root 1 0 R >>\n%%EOF\n"
    )


_HUGE = zlib.compress(zlib.compress(b"0 0 1 1 re f " * 20_000_000, 9))
BOMBS = {
    "content": _pdf(content=zlib.compress(b"0 0 1 1 re f " * 20_000_000), filters="/Filter /FlateDecode"),
    "twice packed": _pdf(content=_HUGE, filters="/Filter [/FlateDecode /FlateDecode]"),
    "objects": _pdf(extra=b"".join(b"%d 0 obj null endobj\n" % n for n in range(10, 600_010))),
    "wide": _pdf("0 0 1000000000 1"),
    "huge": _pdf("0 0 999999 999999"),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_file_that_explodes_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.pdf"
    path.write_bytes(BOMBS[kind])
    with pytest.raises(InputFileError, match=r"bomb\.pdf"):
        match_label_pages([path], [WantedPackage("P1", ("576461413038785752",))])
    with pytest.raises(LabelFileError, match="P1"):
        inspect_label(BOMBS[kind], tracking_number=None, subject="P1")


@pytest.mark.parametrize("box", ["nan nan nan nan", "0 0 -288 -432", "432 288 0 0", "0 0 0 0", "0 0 288 432"])
def test_a_page_with_a_strange_box_is_read_or_refused(box: str) -> None:
    try:
        assert inspect_label(_pdf(box), tracking_number=None, subject="P1").pages == 1
    except LabelFileError as error:
        assert "P1" in str(error)
