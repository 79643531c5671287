"""The channel's answers word for word, compressed: zlib with a preset dictionary, a row per order (so that one can leave)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tiktok_erp.errors import StoreError
from tiktok_erp.messages import tr
from tiktok_erp.store.database import Store

_LEVEL = 3
# The words of an order object, nobody's data in them. A better one gets the next number; old rows keep theirs.
_CURRENT = 1


class RawPacker:
    """Packs and unpacks answers with the dictionaries that one database holds."""

    def __init__(self, store: Store) -> None:
        self._store = store
        rows = store.query("SELECT dictionary_id, body FROM raw_dictionaries")
        self._dictionaries = {int(row["dictionary_id"]): bytes(row["body"]) for row in rows}
        self._dictionaries.setdefault(_CURRENT, _dictionary())
        self._primed: Any = None

    def save(self, answers: Sequence[tuple[str, bytes]], fetched_at: str) -> None:
        """Keep the last answer of each order; `answers` holds (order id, JSON bytes). Call inside a transaction."""
        if not answers:
            return
        self._store.execute(
            "INSERT INTO raw_dictionaries VALUES (?, ?) ON CONFLICT DO NOTHING", (_CURRENT, _dictionary())
        )
        self._store.execute_many(
            "INSERT INTO raw_answers VALUES (?, ?, ?, ?) ON CONFLICT (order_id) DO UPDATE SET"
            " dictionary_id = excluded.dictionary_id, body = excluded.body, fetched_at = excluded.fetched_at",
            [(order_id, _CURRENT, self._pack(raw), fetched_at) for order_id, raw in answers],
        )

    def load(self, order_id: str) -> bytes | None:
        """Return the channel's last answer about one order, or None."""
        row = self._store.query_one("SELECT dictionary_id, body FROM raw_answers WHERE order_id = ?", (order_id,))
        if row is None:
            return None
        dictionary = self._dictionaries.get(int(row["dictionary_id"]))
        if dictionary is None:
            raise StoreError(
                tr("the kept answer of an order cannot be read: its dictionary is missing"),
                subject=order_id,
                next_step=tr("restore a backup, or run `tiktok-erp sync` to fetch the order again"),
            )
        return zlib.decompressobj(-15, dictionary).decompress(bytes(row["body"]))

    def _pack(self, raw: bytes) -> bytes:
        if self._primed is None:
            self._primed = self._prime()
        packer = self._primed.copy()  # copying a primed compressor is much cheaper than feeding it the dictionary again
        return bytes(packer.compress(raw) + packer.flush())

    def _prime(self) -> Any:
        # A window of 16 kB holds dictionary and order; a larger one only makes the primed compressor slower to copy.
        return zlib.compressobj(_LEVEL, zlib.DEFLATED, -14, 7, zlib.Z_DEFAULT_STRATEGY, _dictionary())


@cache
def _dictionary() -> bytes:
    return (Path(__file__).parent / f"raw_dictionary_{_CURRENT}.txt").read_bytes()
