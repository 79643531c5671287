"""Pack with a scanner: a label opens a box, each item is right or wrong, and the last one closes the box.

A box is open until all of it is in, or until its own label is scanned again, which puts it aside with what is in it;
another label meanwhile only says what is missing. A box is open at one station: the first that scanned it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from tiktok_erp.labels.plan import position_text, read_range
from tiktok_erp.messages import tr
from tiktok_erp.model.moment import from_text
from tiktok_erp.model.tracking_number import check
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.packages import load_package_units
from tiktok_erp.store.packings import (
    drop_open_box,
    find_scanned,
    find_void,
    load_open_box,
    packed_since,
    save_open_box,
    save_packing,
)
from tiktok_erp.store.print_jobs import find_at_positions, load_label_of, mark_on_paper

Verdict = Literal["open", "right", "wrong", "done", "stop", "unknown", "unfinished", "aside"]


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

    def put_back(self, pieces: Mapping[str, int]) -> None:
        """Take off the list what was in the box when it was put aside, as far as it still belongs in."""
        for sku, count in pieces.items():
            taken = min(count, self.missing[sku])
            self.missing[sku] -= taken
            self.packed[sku] += taken

    @property
    def is_done(self) -> bool:
        """Nothing is missing."""
        return not +self.missing

    def missing_text(self) -> str:
        """Return what is missing, for people."""
        return ", ".join(f"{sku} x {count}" for sku, count in sorted((+self.missing).items()))

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
    package_id: str | None = None  # of a label that opens nothing


class PackingTable:
    """One station. What is scanned is a label while no box is open, then the items of that box.

    `holder` names this process, and `is_alive` tells of another's name whether it still runs: what a dead one had open
    is anybody's.
    """

    def __init__(
        self, store: Store, station: str, *, holder: str, is_alive: Callable[[str], bool], dry_run: bool = False
    ) -> None:
        self._store = store
        self._station = station
        self._holder = holder
        self._is_alive = is_alive
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
        if self.box is None:
            return self._claim(code, found) if found.box is not None else found
        if found.box is not None and found.box.package_id == self.box.package_id:
            return Scan(
                "aside", code, self.put_aside(), why=tr("put aside with what is in it: its label opens it again")
            )
        if found.package_id == self.box.package_id:  # it must not leave any more
            self._forget(self.box.package_id)
            self.box = None
            return found
        why = tr(
            "{package} is not finished: {missing} missing. Scan that, or the label of {package} again to put it aside",
            package=self.box.position or self.box.package_id,
            missing=self.box.missing_text(),
        )
        return Scan("unfinished", code, self.box, why=why, cause="unfinished")

    def put_aside(self) -> Box | None:
        """Put the open box aside, with what is in it, and return it; None when none is open."""
        box, self.box = self.box, None
        if box is not None:
            self._save(box, None)
        return box

    def rate(self) -> int:
        """Return how many parcels this station packed in the last hour."""
        return packed_since(self._store, self._station, utc_now() - timedelta(hours=1))

    def _right(self, code: str, box: Box, sku: str) -> Scan:
        if not box.is_done:
            self._save(box, self._holder)
            return Scan("right", code, box, sku)
        return self._finish(code, box, sku)

    def _finish(self, code: str, box: Box, sku: str | None) -> Scan:
        # The order may have been cancelled while the box was being filled.
        fresh = self._label(box.package_id)
        self.box = None
        if fresh is not None and fresh.verdict == "stop" and fresh.cause != "packed_before":
            self._forget(box.package_id)
            return Scan("stop", code, box, sku, fresh.cause, fresh.why)
        if not self._dry_run:
            with self._store.transaction():
                save_packing(self._store, box.package_id, self._station, utc_now())
                drop_open_box(self._store, box.package_id)
            self._mark_on_paper(box.package_id)
        return Scan("done", code, box, sku)

    def _claim(self, code: str, found: Scan) -> Scan:
        """Open a box here, with what was put into it before, unless another station has it open."""
        box = found.box
        if box is None:
            return found
        with self._store.transaction():
            known = load_open_box(self._store, box.package_id)
            if known is not None and known.holder not in (None, self._holder) and self._is_alive(known.holder or ""):
                minutes = int((utc_now() - from_text(known.opened_at)).total_seconds() // 60)
                why = tr(
                    "station {station} has this box open, for {minutes} min: pack it there, or put it aside there first",
                    station=known.station,
                    minutes=minutes,
                )
                return Scan("stop", code, cause="open_elsewhere", why=why, package_id=box.package_id)
            box.put_back(known.pieces if known is not None else {})
            if not self._dry_run:
                save_open_box(self._store, box.package_id, self._station, self._holder, box.packed, utc_now())
        self.box = box
        # What was missing was cancelled meanwhile.
        return self._finish(code, box, None) if box.is_done and +box.packed else found

    def _save(self, box: Box, holder: str | None) -> None:
        if not self._dry_run:
            with self._store.transaction():
                save_open_box(self._store, box.package_id, self._station, holder, box.packed, utc_now())

    def _forget(self, package_id: str) -> None:
        if not self._dry_run:
            with self._store.transaction():
                drop_open_box(self._store, package_id)

    def _mark_on_paper(self, package_id: str) -> None:
        """Whose label was scanned has it on paper."""
        label = load_label_of(self._store, package_id)
        if label is not None and not label.is_on_paper:
            with self._store.transaction():
                mark_on_paper(self._store, [label])

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
        if not (row["is_by_order"] or self._dry_run):  # an order's number is on a slip as well
            self._mark_on_paper(row["package_id"])
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
                return Scan("stop", code, cause=cause, why=why, package_id=row["package_id"])
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
