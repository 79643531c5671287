"""Fetch orders from a channel or from its export, and write what they change. Reads, plans (`plan.py`), writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tiktok_erp.channels.base import OrderPage, RawOrder
from tiktok_erp.messages import tr
from tiktok_erp.model.facts import OrderFacts
from tiktok_erp.model.order_change import OrderChange
from tiktok_erp.model.outcome import Outcome, Report
from tiktok_erp.model.rule import Rules
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.orders import (
    load_digests,
    load_known_orders,
    load_newest_change,
    load_view,
    save_orders,
    save_units,
)
from tiktok_erp.store.packages import free_package_ids, save_new_packages, save_shipments
from tiktok_erp.store.quarantine import open_case, resolve_cases
from tiktok_erp.store.raw import RawPacker
from tiktok_erp.store.runs import load_cursor, save_cursor
from tiktok_erp.store.stock import load_sku_names, settle_reservations
from tiktok_erp.sync.plan import is_news, plan_order

if TYPE_CHECKING:
    from tiktok_erp.channels.tiktok import TikTokShop

# A page that shifts while it is read hides an order; reading the window again finds it.
_READ_AGAIN_AT_MOST = 3
_ROWS_A_TRANSACTION = 1000
# How far the channel's clock may be ahead of ours; it accepts timestamps up to 5 minutes old (TikTok reference, 1.4).
_CLOCK_DOUBT = timedelta(minutes=10)


@dataclass(slots=True)
class SyncCount:
    """What one sync did. `unknown_words` counts statuses that are in no table of ours."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    failed: int = 0
    unknown_words: Counter[str] = field(default_factory=Counter)


class OrderWriter:
    """Writes facts about orders, page by page, each page in one transaction."""

    def __init__(
        self, store: Store, rules: Rules, report: Report, *, run_id: int | None, dry_run: bool = False
    ) -> None:
        self._store = store
        self._rules = rules
        self._report = report
        self._run_id = run_id
        self._dry_run = dry_run
        self._packer = RawPacker(store)
        self._sku_of = load_sku_names(store, "tiktok")
        self.count = SyncCount()

    def write_raw(self, orders: Sequence[RawOrder], *, as_of: datetime | None = None) -> frozenset[str]:
        """Write API answers. With `as_of` the cursor moves in the same transaction: all of the window is here.

        Return the ids of the orders that could be read.
        """
        ids = [f"tiktok:{order.order_id}" for order in orders]
        digests = load_digests(self._store, ids)
        unreadable: set[str] = set()
        news: dict[str, tuple[OrderFacts, bytes | None, bytes | None]] = {}
        for order_id, order in zip(ids, orders, strict=True):
            if digests.get(order_id) == order.digest:
                self.count.unchanged += 1
                continue
            try:
                facts = order.facts()
            except msgspec.DecodeError as error:
                self.tell_unreadable(order_id, str(error))
                unreadable.add(order_id)
                continue
            before = news.get(order_id)
            if before is None or (before[0].updated_at or facts.as_of) <= (facts.updated_at or facts.as_of):
                news[order_id] = (facts, order.digest, order.raw)
        self._write(list(news.values()), as_of)
        return frozenset(ids) - unreadable

    def write_facts(self, orders: Iterable[OrderFacts]) -> None:
        """Write facts that a file told."""
        self._write([(facts, None, None) for facts in orders], None)

    def _write(
        self,
        news: Sequence[tuple[OrderFacts, bytes | None, bytes | None]],
        as_of: datetime | None,
    ) -> None:
        now = utc_now()
        with self._store.transaction():
            changes, raws = self._plan(news)
            if self._dry_run:
                return self._tell(changes, "planned")
            save_orders(self._store, changes, now)
            save_new_packages(self._store, changes, now)
            save_units(self._store, changes)
            contradictions = save_shipments(self._store, changes, self._run_id)
            empty = self._save_empty_orders(changes)
            self._packer.save(raws, now.strftime("%Y-%m-%dT%H:%M:%SZ"))
            settle_reservations(self._store, [change.order_id for change in changes if not change.is_new], now)
            if as_of is not None:
                newest = load_newest_change(self._store, "tiktok")
                cursor = min(as_of, newest) if newest is not None else None
                save_cursor(self._store, "tiktok", "orders", cursor=cursor, as_of=as_of)
        self._tell(changes, "done")
        for package_id, cause in contradictions:
            self._failed(
                "package",
                {"package_id": package_id},
                cause,
                tr("{package}: the channel shows another tracking number than our label", package=package_id),
            )
        for order_id in empty:
            self._failed(
                "order",
                {"order_id": order_id},
                "no_line_items",
                tr("order {order}: the channel told no line items; it has no package", order=order_id),
            )
        return None

    def _failed(self, kind: str, ids: Mapping[str, object], cause: str, text: str) -> None:
        self.count.failed += 1
        step = tr("run `tiktok-erp quarantine`")
        self._report.item(Outcome(kind, ids, "failed", cause=cause, next_step=step, text=text))

    def _save_empty_orders(self, changes: Sequence[OrderChange]) -> list[str]:
        """Open a case for each order that is to be shipped and says not what; return those that are new."""
        new = []
        for change in changes:
            if change.units or change.base_state not in ("unpaid", "held", "open"):
                if not change.is_new:
                    resolve_cases(self._store, order_id=change.order_id, causes=["no_line_items"])
                continue
            if open_case(
                self._store,
                cause="no_line_items",
                detail=tr("the channel told no line items for this order"),
                next_step=tr("look at the order in Seller Center, then run `tiktok-erp sync`"),
                order_id=change.order_id,
                run_id=self._run_id,
            ):
                new.append(change.order_id)
        return new

    def _plan(
        self, news: Sequence[tuple[OrderFacts, bytes | None, bytes | None]]
    ) -> tuple[list[OrderChange], list[tuple[str, bytes]]]:
        ids = [f"{facts.channel}:{facts.channel_order_id}" for facts, digest, raw in news]
        known = load_known_orders(self._store, ids)
        package_ids = free_package_ids(self._store)
        changes, raws = [], []
        for order_id, (facts, digest, raw) in zip(ids, news, strict=True):
            before = known.get(order_id)
            if not is_news(facts, digest, before):
                self.count.unchanged += 1
                continue
            change = plan_order(
                facts,
                digest,
                before,
                deadlines=self._rules.deadlines,
                sku_of=self._sku_of,
                free_package_ids=package_ids,
            )
            changes.append(change)
            if raw is not None:
                raws.append((order_id, raw))
        return changes, raws

    def _tell(self, changes: Sequence[OrderChange], result: str) -> None:
        fields = load_view(self._store, [change.order_id for change in changes]) if self._report.wants_fields else {}
        for change in changes:
            if change.is_new:
                self.count.new += 1
            else:
                self.count.changed += 1
            if change.base_state == "unknown":
                self.count.unknown_words[change.facts.status] += 1
            row = fields.get(change.order_id)
            self._report.item(Outcome("order", {"order_id": change.order_id}, result, fields=dict(row) if row else {}))

    def tell_unreadable(self, order_id: str, reason: str) -> None:
        """Tell of one order that the channel sent and that nobody can read."""
        self.count.failed += 1
        self._report.item(
            Outcome(
                "order",
                {"order_id": order_id},
                "failed",
                cause="unreadable_order",
                next_step=tr("look at the order in Seller Center; install a newer tiktok-erp if it stays so"),
                text=tr("order {order}: the channel's answer cannot be read ({reason})", order=order_id, reason=reason),
            )
        )


def sync_channel(
    store: Store,
    shop: TikTokShop,
    rules: Rules,
    report: Report,
    *,
    run_id: int | None,
    since: datetime | None = None,
    dry_run: bool = False,
) -> SyncCount:
    """Fetch every order that changed since the last sync (first time: since the shop began) and write it.

    The window is fixed before the first page and overlaps the one before by `sync.overlap`. The cursor moves only with
    the last page, so that a run that breaks off is simply repeated. It follows the channel's own clock, the newest change
    that is known: a clock of ours that is fast would skip orders, and a window that ends by a slow one would hide them.
    """
    now = utc_now()
    cursor = load_cursor(store, "tiktok", "orders")
    start = since if since is not None else cursor - rules.sync.overlap if cursor is not None else None
    writer = OrderWriter(store, rules, report, run_id=run_id, dry_run=dry_run)
    for attempt in range(1, _READ_AGAIN_AT_MOST + 1):
        pages = shop.search_orders(updated_from=start, updated_to=now + _CLOCK_DOUBT)
        # With --since later than the cursor, what lies between them is still unread.
        moves = since is None or cursor is None or since <= cursor
        is_last = attempt == _READ_AGAIN_AT_MOST
        if _read_window(writer, pages, report, as_of=now if moves else None, is_last=is_last) or dry_run:
            break
    _warn_of_unknown_words(writer.count, report)
    return writer.count


def _read_window(
    writer: OrderWriter, pages: Iterator[OrderPage], report: Report, *, as_of: datetime | None, is_last: bool
) -> bool:
    """Write all pages; return whether every order that the first page counted was seen.

    The cursor moves with the last page when none is missing, or when this is the last attempt. `as_of` is when the window
    was opened; None leaves the cursor where it is.
    """
    seen: set[str] = set()
    expected = unreadable = 0
    for page, is_last_page in _with_last(pages):
        expected = expected or (page.total_count or 0)
        seen.update(order.order_id for order in page.orders)
        unreadable += page.unreadable
        complete = len(seen) + unreadable >= expected
        writer.write_raw(page.orders, as_of=as_of if is_last_page and (complete or is_last) else None)
        for _unreadable in range(page.unreadable):
            writer.tell_unreadable("", tr("it has no id"))
        report.progress(tr("orders"), len(seen), expected or None)
    complete = len(seen) + unreadable >= expected
    if is_last and not complete:
        report.warn(
            tr(
                "the channel counts {expected} orders and lists {seen}, again and again: compare with Seller Center",
                expected=expected,
                seen=len(seen),
            )
        )
    return complete


def _with_last(pages: Iterator[OrderPage]) -> Iterator[tuple[OrderPage, bool]]:
    current = next(pages, None)
    while current is not None:
        following = next(pages, None)
        yield current, following is None
        current = following


def sync_file(
    store: Store,
    path: Path,
    rules: Rules,
    report: Report,
    *,
    run_id: int | None,
    exported_at: datetime | None = None,
    dry_run: bool = False,
) -> SyncCount:
    """Take over an order export of Seller Center: all of it or, when a row is wrong, nothing.

    Raises InputFileError with the place of the first fault.
    """
    from tiktok_erp.channels.seller_center import read_order_export

    orders = read_order_export(
        path, time_zone=rules.shop.time_zone, status_words=rules.seller_center.status_words, exported_at=exported_at
    )
    writer = OrderWriter(store, rules, report, run_id=run_id, dry_run=dry_run)
    with store.transaction():
        batch: list[OrderFacts] = []
        as_of: datetime | None = None
        for facts in orders:
            batch.append(facts)
            as_of = max(as_of or facts.as_of, facts.as_of)
            if len(batch) >= _ROWS_A_TRANSACTION:
                writer.write_facts(batch)
                batch = []
        writer.write_facts(batch)
        if as_of is not None and not dry_run:
            save_cursor(store, "tiktok", "orders_file", cursor=None, as_of=as_of)
    _warn_of_unknown_words(writer.count, report)
    return writer.count


def _warn_of_unknown_words(count: SyncCount, report: Report) -> None:
    for word, orders in sorted(count.unknown_words.items()):
        report.warn(
            tr(
                "{count} orders have the status {word}, which this version does not know: they are kept and never shipped",
                count=orders,
                word=word,
            )
        )
