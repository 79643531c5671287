"""Pack with a scanner: a label opens a box, each item is right or wrong, and the last one closes the box."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from tiktok_erp.labels.plan import position_text, read_range
from tiktok_erp.messages import tr
from tiktok_erp.model.tracking_number import check
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.packages import load_package_units
from tiktok_erp.store.packings import find_scanned, find_void, packed_since, save_packing
from tiktok_erp.store.print_jobs import find_at_positions

Verdict = Literal["open", "right", "wrong", "done", "stop", "unknown", "unfinished"]


@dataclass(slots=True)
class Box:
    """What belongs into one package: pieces still to scan by SKU, and every code that means a SKU."""

    package_id: str
    position: str | None
    names: dict[str, str]
    missing: Counter[str]
    codes: dict[str, str]
    packed: Counter[str] = field(default_factory=Counter)

    def put(self, code: str) -> str | None:
        """Take one piece off the list and return its SKU; None when it does not belong in (any more)."""
        sku = self.codes.get(_plain(code))
        if sku is None or self.missing[sku] <= 0:
            return None
        self.missing[sku] -= 1
        self.packed[sku] += 1
        return sku

    @property
    def is_done(self) -> bool:
        """Nothing is missing."""
        return not +self.missing

    def lines(self) -> list[tuple[str, str, int, int]]:
        """Return (SKU, name, pieces packed, pieces in all) of every SKU."""
        return [
            (sku, self.names[sku], self.packed[sku], self.packed[sku] + self.missing[sku]) for sku in sorted(self.names)
        ]


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scan meant. `why` is a sentence for people, `box` the box that is open after it."""

    verdict: Verdict
    code: str
    box: Box | None = None
    sku: str | None = None
    cause: str | None = None
    why: str = ""


class PackingTable:
    """One station. What is scanned is a label while no box is open, then the items of that box."""

    def __init__(self, store: Store, station: str, *, dry_run: bool = False) -> None:
        self._store = store
        self._station = station
        self._dry_run = dry_run
        self.box: Box | None = None

    def scan(self, code: str) -> Scan:
        """Say what a scan means and remember it. A finished box is written down at once."""
        code = code.strip()
        if self.box is not None:
            sku = self.box.put(code)
            if sku is not None:
                return self._right(code, self.box, sku)
        found = self._label(code)
        if found is None:
            if self.box is not None:
                return Scan("wrong", code, self.box, why=tr("{code} does not belong into this box", code=code))
            return Scan("unknown", code, why=tr("no label of ours says {code}", code=code))
        if self.box is not None and found.box is not None and found.box.package_id == self.box.package_id:
            return Scan("open", code, self.box, why=tr("this box is open already"))
        if self.box is not None:
            unfinished, self.box = self.box, None
            missing = ", ".join(f"{sku} x {count}" for sku, count in sorted((+unfinished.missing).items()))
            why = tr(
                "{package} is not finished: {missing} missing; scan the new label once more to leave it",
                package=unfinished.position or unfinished.package_id,
                missing=missing,
            )
            return Scan("unfinished", code, why=why, cause="unfinished")
        self.box = found.box if found.verdict == "open" else None
        return found

    def rate(self) -> int:
        """Return how many parcels this station packed in the last hour."""
        return packed_since(self._store, self._station, utc_now() - timedelta(hours=1))

    def _right(self, code: str, box: Box, sku: str) -> Scan:
        if not box.is_done:
            return Scan("right", code, box, sku)
        # The order may have been cancelled while the box was being filled.
        fresh = self._label(box.package_id)
        self.box = None
        if fresh is not None and fresh.verdict == "stop" and fresh.cause != "packed_before":
            return Scan("stop", code, box, sku, fresh.cause, fresh.why)
        if not self._dry_run:
            with self._store.transaction():
                save_packing(self._store, box.package_id, self._station, utc_now())
        return Scan("done", code, box, sku)

    def _label(self, code: str) -> Scan | None:
        """Return the box that a label opens, or why it stays closed; None for what is no label of ours."""
        span = read_range(code)
        packages = find_at_positions(self._store, *span) if span is not None and span[2] is not None else []
        codes = [_plain(code), check(code, None).normalised, *(_plain(package) for package in packages)]
        rows = find_scanned(self._store, list(dict.fromkeys(codes)))
        if not rows:
            if find_void(self._store, codes):
                return Scan("stop", code, cause="voided", why=tr("this label was taken back: throw it away"))
            return None
        if len(rows) > 1:
            return Scan("stop", code, cause="several", why=tr("this means several packages: scan the label itself"))
        row = rows[0]
        stops = (
            ("order_cancelled", row["is_cancelled"], tr("the order was cancelled: put it aside")),
            ("cancel_requested", row["cancel_requested"], tr("the buyer asks to cancel: put it aside")),
            ("address_changed", row["is_moved"], tr("the address changed since the label: put it aside")),
            ("other_address", row["is_elsewhere"], tr("the label leads to another address: put it aside")),
            ("voided", row["is_voided"], tr("this label was taken back: throw it away")),
            ("unknown_status", row["is_unknown"], tr("look at the order in Seller Center")),
            (
                "packed_before",
                row["packed_at"] is not None,
                tr("this parcel was packed before: is this a second label?"),
            ),
        )
        for cause, holds, why in stops:
            if holds:
                return Scan("stop", code, cause=cause, why=why)
        return Scan("open", code, self._open(row["package_id"], row["batch_id"], row["position"]))

    def _open(self, package_id: str, batch_id: int | None, place: int | None) -> Box:
        missing: Counter[str] = Counter()
        names, codes = {}, {}
        for unit in load_package_units(self._store, [package_id]):
            sku = unit["sku"]
            missing[sku] += 1
            names[sku] = unit["sku_name"] or unit["product_name"] or sku
            for code in (sku, unit["channel_sku_id"]):
                if code:
                    codes[_plain(code)] = sku
        position = position_text(batch_id, place) if batch_id and place else None
        return Box(package_id, position, names, missing, codes)


def _plain(code: str) -> str:
    """Scanners send control characters, people type spaces."""
    return "".join(letter for letter in code if letter.isprintable() and not letter.isspace()).upper()
