"""The body of an answer, unpacked while it arrives and never beyond a limit: 1 MB of gzip may stand for 1 GB."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

# Many times the largest page of orders (0.5 MB) and the largest label document seen (2 MB).
LARGEST_BODY = 64 * 1024 * 1024
_GZIP, _ZLIB, _RAW_DEFLATE = 31, 15, -15


class TooLarge(Exception):
    """The body is larger than the limit."""


class NotPacked(Exception):
    """The body is not packed in the way that its header says."""


def read_body(chunks: Iterable[bytes], encoding: str, *, limit: int = LARGEST_BODY) -> bytes:
    """Return the whole body of `chunks` as they came over the wire, packed as the `Content-Encoding` header says.

    Raises TooLarge beyond `limit` bytes, NotPacked when it is damaged, cut off or packed in a way that nobody asked for.
    """
    name = encoding.strip().casefold()
    if name in ("", "identity"):
        return _collected(chunks, limit)
    if name not in ("gzip", "x-gzip", "deflate"):
        raise NotPacked(name[:40])
    return _unpacked(chunks, is_gzip=name != "deflate", limit=limit)


def _collected(chunks: Iterable[bytes], limit: int) -> bytes:
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > limit:
            raise TooLarge
    return bytes(body)


def _unpacked(chunks: Iterable[bytes], *, is_gzip: bool, limit: int) -> bytes:
    body = bytearray()
    unpacker = None
    for chunk in chunks:
        rest = chunk
        while rest:
            if unpacker is None or (unpacker.eof and is_gzip):  # a file of gzip may be several, one after the other
                # Servers disagree on what deflate is: the low four bits of zlib's first byte are 8.
                wbits = _GZIP if is_gzip else _ZLIB if rest[0] & 15 == 8 else _RAW_DEFLATE
                unpacker = zlib.decompressobj(wbits)
            if unpacker.eof:
                break
            try:
                body += unpacker.decompress(rest, limit + 1 - len(body))
            except zlib.error as error:
                raise NotPacked(str(error)) from error
            if len(body) > limit:
                raise TooLarge
            rest = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
    if unpacker is not None and not unpacker.eof:
        raise NotPacked("cut off")
    return bytes(body)
