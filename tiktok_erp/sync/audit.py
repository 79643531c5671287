"""Prove that the store equals an order export of Seller Center, or tell what differs. Reads both, writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tiktok_erp.messages import tr
from tiktok_erp.model.moment import to_text
from tiktok_erp.model.outcome import Outcome, Report
from tiktok_erp.model.rule import Rules
from tiktok_erp.store.audit import HeldOrder, PlacedOrder, iterate_placed_orders, load_held_orders
from tiktok_erp.store.database import Store
from tiktok_erp.sync.audit_plan import OTHER_STATUS, Difference, compare

if TYPE_CHECKING:
    from tiktok_erp.channels.seller_center_orders import ExportedOrder, OrderExport
    from tiktok_erp.model.facts import OrderFacts

MISSING = "missing"
EXTRA = "extra"
_ORDERS_AT_ONCE = 1000


@dataclass(slots=True)
class AuditCount:
    """What an audit found, in orders. An order may have another status and another tracking number at once.

    `newer`: the store knows a later state than the file, which is no difference. `placed_from` and `placed_to` are the
    first and the last Created Time of the file: between them, and nowhere else, is `extra` looked for.
    """

    as_of: datetime
    equal: int = 0
    newer: int = 0
    missing: int = 0
    extra: int = 0
    other_status: int = 0
    other_tracking_number: int = 0
    placed_from: datetime | None = None
    placed_to: datetime | None = None

    @property
    def differences(self) -> int:
        """How many differences were told; 0 means that the store equals the export."""
        return self.missing + self.extra + self.other_status + self.other_tracking_number


def audit_file(
    store: Store, path: Path, rules: Rules, report: Report, *, exported_at: datetime | None = None
) -> AuditCount:
    """Compare the orders of an export with the store, tell each difference as a failed item, and return the count.

    Causes: `missing` (in the file alone), `extra` (in the store alone, placed within the time that the file covers),
    `other_status`, `other_tracking_number`. Raises InputFileError with the place of the first fault of the file.
    """
    from tiktok_erp.channels.seller_center_orders import OrderExport

    export = OrderExport(
        path,
        time_zone=rules.shop.time_zone,
        status_words=rules.seller_center.status_words,
        header_aliases=rules.seller_center.headers,
        exported_at=exported_at,
        decimal_mark=rules.seller_center.decimal_mark,
    )
    count = AuditCount(export.as_of)
    done = 0
    for batch in _batches(export):
        held = load_held_orders(store, [_order_id(order.facts) for order in batch])
        for order in batch:
            _widen(count, order.facts.placed_at)
            _tell_order(order, held.get(_order_id(order.facts)), export, path, count, report)
        done += len(batch)
        report.progress(tr("orders"), done, len(export))
    if count.placed_from is not None and count.placed_to is not None:
        for placed in iterate_placed_orders(store, "tiktok", count.placed_from, count.placed_to):
            if placed.channel_order_id not in export:
                count.extra += 1
                report.item(_extra(placed))
    _tell_doubts(count, export, report)
    _tell_result(count, report)
    return count


def _batches(export: OrderExport) -> Iterator[list[ExportedOrder]]:
    batch: list[ExportedOrder] = []
    for order in export.orders():
        batch.append(order)
        if len(batch) == _ORDERS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _order_id(facts: OrderFacts) -> str:
    return f"{facts.channel}:{facts.channel_order_id}"


def _widen(count: AuditCount, placed_at: datetime | None) -> None:
    if placed_at is not None:
        count.placed_from = min(count.placed_from or placed_at, placed_at)
        count.placed_to = max(count.placed_to or placed_at, placed_at)


def _tell_order(
    order: ExportedOrder, held: HeldOrder | None, export: OrderExport, path: Path, count: AuditCount, report: Report
) -> None:
    if held is None:
        count.missing += 1
        report.item(_missing(order.facts, path))
        return
    found = compare(order.facts, order.statuses, held, tells_tracking=export.tells_tracking)
    if found.is_newer:
        count.newer += 1
    elif not found.differences:
        count.equal += 1
    for difference in found.differences:
        if difference.kind == OTHER_STATUS:
            count.other_status += 1
        else:
            count.other_tracking_number += 1
        report.item(_differs(order.facts, held, difference, path))


def _missing(facts: OrderFacts, path: Path) -> Outcome:
    if facts.placed_at is None:
        step = tr("run `tiktok-erp sync --from {file}`", file=f'"{path}"')
    else:
        step = tr(
            "run `tiktok-erp sync --since {date}`, or `tiktok-erp sync --from {file}`",
            date=facts.placed_at.date(),
            file=f'"{path}"',
        )
    text = tr("order {order}: in the file ({status}), not in the database", order=_order_id(facts), status=facts.status)
    return _item(_order_id(facts), MISSING, text, step, file_status=facts.status, placed_at=facts.placed_at)


def _extra(placed: PlacedOrder) -> Outcome:
    return _item(
        placed.order_id,
        EXTRA,
        tr(
            "order {order}: in the database ({status}), not in the file, which covers {placed_at}",
            order=placed.order_id,
            status=placed.status,
            placed_at=to_text(placed.placed_at),
        ),
        tr(
            "look for it in Seller Center; if the export was made with a filter, export all orders of these days and run "
            "`tiktok-erp sync --audit` with that file"
        ),
        status=placed.status,
        placed_at=placed.placed_at,
    )


def _differs(facts: OrderFacts, held: HeldOrder, difference: Difference, path: Path) -> Outcome:
    is_stale = held.known_at < facts.as_of
    date = min(held.known_at, facts.as_of).date()
    if difference.kind == OTHER_STATUS:
        text = tr(
            "order {order}: {in_file} in the file, {in_store} in the database",
            order=held.order_id,
            in_file=difference.in_file,
            in_store=difference.in_store,
        )
        fields = {"file_status": difference.in_file, "status": difference.in_store}
        check = tr(
            "run `tiktok-erp sync --since {date}`; if it stays so, look at the order in Seller Center", date=date
        )
    else:
        text = tr(
            "order {order}: tracking number {in_file} in the file, {in_store} in the database",
            order=held.order_id,
            in_file=difference.in_file or tr("none"),
            in_store=difference.in_store or tr("none"),
        )
        fields = {"file_tracking_number": difference.in_file, "tracking_number": difference.in_store}
        check = tr(
            "run `tiktok-erp sync --since {date}`; if it stays so, compare both with the label on the parcel", date=date
        )
    if is_stale:
        check = tr(
            "the database is older than the file: run `tiktok-erp sync --since {date}`, or `tiktok-erp sync --from {file}`",
            date=date,
            file=f'"{path}"',
        )
    return _item(held.order_id, difference.kind, text, check, **fields, known_at=held.known_at)


def _item(order_id: str, cause: str, text: str, next_step: str, **fields: object) -> Outcome:
    told = {name: to_text(value) if isinstance(value, datetime) else value for name, value in fields.items()}
    return Outcome("order", {"order_id": order_id}, "failed", cause=cause, next_step=next_step, fields=told, text=text)


def _tell_doubts(count: AuditCount, export: OrderExport, report: Report) -> None:
    if count.extra:
        report.warn(
            tr(
                "{count} orders are in the database alone: an export made with a filter leaves out others than it shows",
                count=count.extra,
            )
        )
    if len(export) and count.placed_from is None:
        report.warn(tr("the file tells no Created Time: orders that are in the database alone cannot be found by it"))
    if not export.tells_tracking:
        report.warn(tr("the file has no column Tracking ID: tracking numbers were not compared"))


def _tell_result(count: AuditCount, report: Report) -> None:
    report.say(
        tr(
            "as of {as_of}: {equal} orders equal, {newer} newer in the database; {missing} missing, {extra} extra, "
            "{status} with another status, {tracking} with another tracking number",
            as_of=to_text(count.as_of),
            equal=count.equal,
            newer=count.newer,
            missing=count.missing,
            extra=count.extra,
            status=count.other_status,
            tracking=count.other_tracking_number,
        )
    )
    if count.placed_from is not None and count.placed_to is not None:
        report.say(
            tr(
                "the file covers orders placed from {start} to {end}; others in the database were not looked at",
                start=to_text(count.placed_from),
                end=to_text(count.placed_to),
            )
        )
