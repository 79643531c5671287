"""Tell tracking numbers through Seller Center's file: fill the template, and take back what a person says came of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tiktok_erp.messages import tr
from tiktok_erp.model.outcome import Outcome, Report
from tiktok_erp.model.rule import Rules
from tiktok_erp.model.tick import is_tick, says_nothing
from tiktok_erp.model.tracking_number import check
from tiktok_erp.store import outbox
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.handwork import load_numbers
from tiktok_erp.store.orders import without_recipient
from tiktok_erp.store.packages import load_package_units, package_outcome
from tiktok_erp.store.quarantine import open_case, resolve_cases
from tiktok_erp.store.tracking import load_due, save_told
from tiktok_erp.tracking.plan import NotUploaded, UntoldNumber, plan_batch
from tiktok_erp.tracking.run import CAUSES, to_number

if TYPE_CHECKING:
    import sqlite3

    from tiktok_erp.channels.seller_center_tracking import SplitRow, TemplateRow, TrackingRow


@dataclass(slots=True)
class FileCount:
    """What one file holds or told. `cells` changed in it; `split` orders stand in a file of their own."""

    written: int = 0
    cells: int = 0
    split: int = 0
    told: int = 0
    refused: int = 0
    skipped: int = 0
    failed: int = 0


def split_orders_path(path: Path) -> Path:
    """Return where the split orders of a template stand: beside it, since Seller Center knows its own sheets only."""
    return path.with_name(f"{path.stem}.split-orders.xlsx")


class TrackingFiles:
    """Fills and takes back Seller Center's tracking template."""

    def __init__(self, store: Store, rules: Rules, report: Report, *, run_id: int | None) -> None:
        self._store = store
        self._rules = rules
        self._names = rules.channels["tiktok"].carrier_names
        self._report = report
        self._run_id = run_id
        self._is_silent = False
        self.count = FileCount()

    def write(self, path: Path, *, only: Sequence[str] | None, for_kit: bool = False) -> None:
        """Fill the template at `path`, or write one in its shape where there is none; no file when nothing is due.

        Rows that the file already has are filled; those whose number is told since go; numbers that are not ours stay.
        `for_kit`: also an empty one, for people to write into; nothing is reported, and no case is opened.
        Raises InputFileError for a file that is something else.
        """
        from tiktok_erp.channels.seller_center_tracking import (
            fill_tracking_template,
            read_tracking_template,
            write_split_orders,
            write_tracking_template,
        )

        self._is_silent = for_kit
        template = read_tracking_template(path) if path.exists() else None
        rows, split, numbers = self._due(only)
        if template is not None:
            self.count.cells = fill_tracking_template(template, self._pairs(template.rows, rows))
        elif rows or for_kit:
            write_tracking_template(path, list(rows.values()))
        if split:
            write_split_orders(split_orders_path(path), split)
        else:
            split_orders_path(path).unlink(missing_ok=True)
        self.count.written, self.count.split = len(rows), len(split)
        for number in numbers:
            self._say(number.package_id, number.order_id, "done", {"file": str(path)})

    def take_back(self, path: Path) -> None:
        """Take over ticks and errors from a template that was uploaded. Raises InputFileError for another file."""
        from tiktok_erp.channels.seller_center_tracking import read_told_rows

        rows = [row for row in read_told_rows(path) if row.order_id and row.tracking_number]
        known = defaultdict(list)
        for entry in load_numbers(self._store, sorted({row.order_id for row in rows})):
            known[entry["channel_order_id"]].append(entry)
        for row in rows:
            remark = next((text for text in row.remarks if not says_nothing(text)), "")
            if remark:
                self._take_row(path, row, known[row.order_id], remark)

    # Filling

    def _due(self, only: Sequence[str] | None) -> tuple[dict[str, TrackingRow], list[SplitRow], list[UntoldNumber]]:
        from tiktok_erp.channels.seller_center_tracking import SplitRow, TrackingRow

        rows: dict[str, TrackingRow] = {}
        split: list[SplitRow] = []
        numbers: list[UntoldNumber] = []
        due = [to_number(entry) for entry in load_due(self._store, only=only)]
        for number, decision in zip(due, plan_batch(due, utc_now(), self._rules), strict=True):
            if isinstance(decision, NotUploaded) and decision.cause != "split_order":
                self._not_written(decision)
                continue
            verdict = check(number.tracking_number, number.carrier)
            carrier = number.carrier or verdict.detected_carriers[0]
            name = self._names.get(carrier)
            if name is None:
                self._not_written(_no_name(number, carrier))
                continue
            if number.is_split:
                items = self._items(number)
                split.append(SplitRow(number.channel_order_id, number.package_id, items, verdict.normalised, name))
                step = tr("tell it by hand as {file} says", file=split_orders_path(Path("FILE.xlsx")).name)
                self._say(number.package_id, number.order_id, "skipped", {}, "split_order", step)
                continue
            numbers.append(number)
            rows[number.channel_order_id] = TrackingRow(
                number.channel_order_id, verdict.normalised, name, number.auto_combine_group_id
            )
        return rows, split, numbers

    def _items(self, number: UntoldNumber) -> str:
        pieces = Counter(
            unit["sku"]
            for unit in load_package_units(self._store, [number.package_id])
            if unit["order_id"] == number.order_id
        )
        return "; ".join(f"{sku} x {count}" for sku, count in sorted(pieces.items()))

    def _pairs(
        self, standing: Sequence[TemplateRow], rows: Mapping[str, TrackingRow]
    ) -> list[tuple[TemplateRow | None, TrackingRow | None]]:
        ours = {
            (entry["channel_order_id"], _plain(entry["tracking_number"]))
            for entry in load_numbers(self._store, sorted({row.order_id for row in standing if row.order_id}))
            if entry["tracking_number"]
        }
        pairs: list[tuple[TemplateRow | None, TrackingRow | None]] = []
        left = dict(rows)
        foreign = 0
        for row in standing:
            if row.order_id in rows:
                pairs.append((row, rows[row.order_id]))
                left.pop(row.order_id, None)
            elif not row.tracking_number or (row.order_id, _plain(row.tracking_number)) not in ours:
                foreign += bool(row.tracking_number)
                pairs.append((row, None))
        if foreign:
            self._report.warn(
                tr(
                    "{count} rows of the template hold numbers that are not in the database: left as they are; take them"
                    " over with `tiktok-erp print-labels --from`",
                    count=foreign,
                )
            )
        return pairs + [(None, row) for row in left.values()]

    def _not_written(self, decision: NotUploaded) -> None:
        number = decision.number
        if not decision.is_fault:
            self.count.skipped += decision.cause != "told_by_channel"
            return self._say(number.package_id, number.order_id, "skipped", {}, decision.cause, decision.next_step)
        return self._failed(
            number.package_id,
            number.order_id,
            number.channel_order_id,
            decision.cause,
            decision.what,
            decision.next_step,
        )

    # Taking back

    def _take_row(self, path: Path, row: TemplateRow, known: Sequence[sqlite3.Row], remark: str) -> None:
        number = _plain(row.tracking_number)
        entry = next((entry for entry in known if _plain(entry["tracking_number"] or "") == number), None)
        if entry is None:
            self.count.failed += 1
            return self._report.item(
                Outcome(
                    "row",
                    {"order_id": row.order_id, "file": str(path), "line": row.line},
                    "failed",
                    cause="not_our_number",
                    next_step=tr("take the number over first: `tiktok-erp print-labels --from LIST`"),
                    text=tr(
                        "{file}:{line}: order {order} has no label with this number here",
                        file=path,
                        line=row.line,
                        order=row.order_id,
                    ),
                )
            )
        if entry["uploaded_at"]:
            self.count.skipped += 1
            return self._say(entry["package_id"], entry["order_id"], "skipped", {}, "already_told")
        if is_tick(remark):
            return self._take_tick(entry)
        self.count.refused += 1
        return self._failed(
            entry["package_id"],
            entry["order_id"],
            row.order_id,
            "tracking_number_refused",
            tr(
                "Seller Center refused the row: {reason}",
                reason=without_recipient(self._store, entry["order_id"], remark),
            ),
            tr("correct the number or the order in Seller Center; `tiktok-erp upload-tracking ID` tries it again"),
        )

    def _take_tick(self, entry: sqlite3.Row) -> None:
        with self._store.transaction():
            told_before = outbox.load_entry(
                self._store, f"tracking/{entry['order_id']}/{entry['package_id']}/{entry['tracking_number']}"
            )
            if told_before is not None and told_before["state"] in ("intent", "sent", "unknown"):
                outbox.settle(self._store, told_before["outbox_id"], "done")
            save_told(self._store, entry["package_id"], entry["order_id"], None, utc_now())
            resolve_cases(self._store, package_id=entry["package_id"], causes=CAUSES)
        self.count.told += 1
        self._say(entry["package_id"], entry["order_id"], "done", {"told_by": "file"})

    # Saying what happened

    def _failed(self, package_id: str, order_id: str, number: str, cause: str, what: str, step: str) -> None:
        if self._is_silent:
            return
        with self._store.transaction():
            is_new = open_case(
                self._store,
                cause=cause,
                detail=what,
                next_step=step,
                package_id=package_id,
                order_id=order_id,
                run_id=self._run_id,
            )
        self.count.failed += is_new
        text = f"{package_id} ({number}): {what}"
        self._say(package_id, order_id, "failed", {}, cause, step, text, is_new=is_new)

    def _say(
        self,
        package_id: str,
        order_id: str,
        result: str,
        extra: Mapping[str, object],
        cause: str | None = None,
        next_step: str | None = None,
        text: str | None = None,
        *,
        is_new: bool = True,
    ) -> None:
        if self._is_silent:
            return
        self._report.item(
            package_outcome(
                self._store,
                package_id,
                result,
                with_fields=self._report.wants_fields,
                order_id=order_id,
                cause=cause,
                next_step=next_step,
                text=text,
                is_new=is_new,
                extra=extra,
            )
        )


def _plain(number: str) -> str:
    return check(number, None).normalised.upper()


def _no_name(number: UntoldNumber, carrier: str) -> NotUploaded:
    return NotUploaded(
        number,
        "no_provider",
        tr("Seller Center's name of the carrier {carrier} is not known", carrier=carrier),
        tr("enable the carrier in Seller Center, or name it in channels.tiktok.carrier_names of rules.yaml"),
        is_fault=True,
    )
