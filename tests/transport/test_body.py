"""Bodies of answers are unpacked while they arrive, and never beyond a limit."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

import pytest

from tiktok_erp.transport.body import NotPacked, TooLarge, read_body

TEXT = b'{"code":0}' * 1000


def packed(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)  # the same bytes in every process: they name the tests


def in_pieces(data: bytes, size: int = 7) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (TEXT, ""),
        (TEXT, "identity"),
        (packed(TEXT), "gzip"),
        (packed(TEXT), " GZIP "),
        (packed(TEXT[:5000]) + packed(TEXT[5000:]), "x-gzip"),
        (zlib.compress(TEXT), "deflate"),
        (zlib.compress(TEXT, wbits=-15), "deflate"),
    ],
)
def test_every_form_is_read(body: bytes, encoding: str) -> None:
    assert read_body(in_pieces(body), encoding) == TEXT
    assert read_body(iter([body]), encoding) == TEXT


@pytest.mark.parametrize("encoding", ["gzip", "deflate", ""])
def test_no_more_is_unpacked_than_the_limit(encoding: str) -> None:
    """Ten bytes over the limit are as bad as a thousand times as much, and the rest of it is not even asked for."""
    pack = {"gzip": packed, "deflate": zlib.compress, "": bytes}[encoding]
    assert len(read_body(in_pieces(pack(b"0" * 1000)), encoding, limit=1000)) == 1000
    with pytest.raises(TooLarge):
        read_body(in_pieces(pack(b"0" * 1010)), encoding, limit=1000)
    asked = in_pieces(pack(b"0" * 1_000_000), size=1000)
    with pytest.raises(TooLarge):
        read_body(asked, encoding, limit=1000)


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (packed(TEXT)[:-9], "gzip"),
        (b"no gzip at all", "gzip"),
        (packed(TEXT) + b"more", "gzip"),
        (b"\xff" * 20, "deflate"),
        (packed(packed(TEXT)), "gzip, gzip"),
        (TEXT, "br"),
    ],
)
def test_what_is_damaged_or_packed_otherwise_is_no_body(body: bytes, encoding: str) -> None:
    with pytest.raises(NotPacked):
        read_body(in_pieces(body), encoding)
