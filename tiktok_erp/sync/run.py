"""Fetch orders from a channel or from its export, and write what they change. Reads, plans (`plan.py`), writes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from tiktok_erp.channels.base import OrderPage, OrderSearch, RawOrder
from tiktok_erp.messages import tr
from tiktok_erp.model.facts import OrderFacts
from tiktok_erp.model.order_change import KnownOrder, OrderChange
from tiktok_erp.model.outcome import Outcome, Report
from tiktok_erp.model.rule import Rules
from tiktok_erp.store.bundles import save_unit_components
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.orders import (
    load_digests,
    load_known_orders,
    load_unlisted_orders,
    load_view,
    save_events,
    save_orders,
    save_units,
)
from tiktok_erp.store.packages import free_package_ids, save_new_packages, save_shipments
from tiktok_erp.store.quarantine import open_case, resolve_cases
from tiktok_erp.store.raw import RawPacker
from tiktok_erp.store.runs import load_as_of, load_cursor, save_cursor
from tiktok_erp.store.stock import load_sku_names, settle_reservations
from tiktok_erp.sync.plan import is_news, plan_order
from tiktok_erp.sync.resources import ResourceCount, Resources
from tiktok_erp.sync.windows import Look, Window, WindowReader

if TYPE_CHECKING:
    from tiktok_erp.channels.tiktok import TikTokShop

ORDERS, OPEN_ORDERS, NEW_ORDERS = "orders", "open_orders", "new_orders"
_AWAITING = "AWAITING_SHIPMENT"
_NOT_LISTED = "orders_not_listed"
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_ROWS_A_TRANSACTION = 1000
_LONGEST_MEMORY = 200_000
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
    resources: ResourceCount = field(default_factory=ResourceCount)


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
        self._mapped = load_sku_names(store, "tiktok", mapped_only=True)
        self._newest: datetime | None = None
        self._met: set[str] = set()  # windows overlap: an order that comes twice is told once
        self.count = SyncCount()

    def write_raw(self, orders: Sequence[RawOrder], *, as_of: datetime | None = None) -> frozenset[str]:
        """Write API answers. With `as_of` the cursor moves in the same transaction: all of the window is here.

        Return the ids of the orders that could be read.
        """
        # Oldest first, however the page came: packages are numbered in this order.
        orders = sorted(orders, key=lambda order: (order.updated_at or _LONG_AGO, order.order_id))
        ids = [f"tiktok:{order.order_id}" for order in orders]
        digests = load_digests(self._store, ids)
        unreadable: set[str] = set()
        news: dict[str, tuple[OrderFacts, bytes | None, bytes | None]] = {}
        for order_id, order in zip(ids, orders, strict=True):
            self._newest = max(filter(None, (self._newest, order.updated_at)), default=None)
            if digests.get(order_id) == order.digest:
                self._as_before(order_id)
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
            save_unit_components(self._store, changes)
            save_events(self._store, changes, now, self._run_id)
            contradictions = save_shipments(self._store, changes, self._run_id)
            empty = self._save_empty_orders(changes)
            self._packer.save(raws, now.strftime("%Y-%m-%dT%H:%M:%SZ"))
            settle_reservations(self._store, [change.order_id for change in changes], now)
            if as_of is not None:
                before = load_cursor(self._store, "tiktok", ORDERS)
                newest = max(filter(None, (before, self._newest)), default=None)
                cursor = min(as_of, newest) if newest is not None else None
                save_cursor(self._store, "tiktok", ORDERS, cursor=cursor, as_of=as_of)
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

    def _as_before(self, order_id: str) -> None:
        if order_id not in self._met:
            self.count.unchanged += 1
            self._meet(order_id)

    def _meet(self, order_id: str) -> None:
        if len(self._met) < _LONGEST_MEMORY:
            self._met.add(order_id)

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
        if any(facts.source == "file" for facts, digest, raw in news):
            known = self._as_of_the_last_fetch(known)
        package_ids = free_package_ids(self._store)
        changes, raws = [], []
        for order_id, (facts, digest, raw) in zip(ids, news, strict=True):
            before = known.get(order_id)
            if not is_news(facts, digest, before):
                self._as_before(order_id)
                continue
            change = plan_order(
                facts,
                digest,
                before,
                deadlines=self._rules.deadlines,
                zone=self._rules.shop.zone,
                sku_of=self._sku_of,
                free_package_ids=package_ids,
                mapped=self._mapped,
            )
            changes.append(change)
            if raw is not None:
                raws.append((order_id, raw))
        return changes, raws

    def _as_of_the_last_fetch(self, known: dict[str, KnownOrder]) -> dict[str, KnownOrder]:
        """Return what the store holds, each order of the API as true as of the last fetch.

        An answer that changes nothing is not written, so the row itself is as old as the last change: an export made
        between that and the fetch would seem newer.
        """
        fetched_at = load_as_of(self._store, "tiktok", ORDERS)
        if fetched_at is None:
            return known
        return {
            order_id: replace(order, as_of=max(order.as_of, fetched_at)) if order.source == "api" else order
            for order_id, order in known.items()
        }

    def _tell(self, changes: Sequence[OrderChange], result: str) -> None:
        fields = load_view(self._store, [change.order_id for change in changes]) if self._report.wants_fields else {}
        for change in changes:
            if change.is_new:
                self.count.new += 1
            elif change.order_id not in self._met:
                self.count.changed += 1
            self._meet(change.order_id)
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
    sweeps: bool = False,
) -> SyncCount:
    """Fetch every order that changed since the last sync (first time: since the shop began) and write it.

    What changed is found by the channel's own clock, from the newest change that is known, with an overlap of
    `sync.overlap`: a clock of ours that is fast would skip orders. The cursor moves in the transaction of the last page, so
    that a run that breaks off is simply repeated. Now and then two sweeps look for what the search by change has missed.
    Offers, creators and cancellations come beside it, when they are due. `sweeps`: at once, whether they are due or not.
    """
    now = utc_now()
    cursor = load_cursor(store, shop.name, ORDERS)
    start = since if since is not None else cursor - rules.sync.overlap if cursor is not None else None
    walkers = _walkers(shop, rules)
    resources = None if dry_run else Resources(store, shop, rules, walkers=walkers)
    writer = OrderWriter(store, rules, report, run_id=run_id, dry_run=dry_run)
    reader = _reader(shop, "update_time", None, walkers)
    # With --since later than the cursor, what lies between them is still unread; so it is after a sync without an order.
    begins = cursor is None and load_as_of(store, shop.name, ORDERS) is None
    moves = since is None or begins or (cursor is not None and since <= cursor)
    _write_pages(writer, reader.read_up_to_now(start), report, as_of=now if moves and not dry_run else None)
    is_news = _tell_unlisted(store, report, run_id, dry_run=dry_run) if reader.never_listed else False
    if resources is not None:
        if start is None and not is_news:
            _mark_swept(store, shop, now)
        else:
            _sweep(store, shop, rules, writer, walkers, report, at_once=is_news or sweeps)
        resources.write(report)
        writer.count.resources = resources.count
    _warn_of_unknown_words(writer.count, report)
    return writer.count


def _tell_unlisted(store: Store, report: Report, run_id: int | None, *, dry_run: bool) -> bool:
    """Tell of orders that the channel counts and does not list, however often it is asked; return whether that is new."""
    what = tr("the channel counts more orders than it lists, however often it is asked")
    step = tr("export the orders in Seller Center and run `tiktok-erp sync --audit FILE`: it names what is missing")
    if dry_run:
        report.warn(what)
        return False
    with store.transaction():
        is_new = open_case(store, cause=_NOT_LISTED, detail=what, next_step=step, run_id=run_id)
    report.item(Outcome("sync", {}, "failed", cause=_NOT_LISTED, next_step=step, text=what, is_new=is_new))
    return is_new


def _walkers(shop: TikTokShop, rules: Rules) -> Callable[[], int]:
    """Return how many pages to ask for at once: as many as keep the allowed rate busy (performance notes, section 0)."""
    limits = rules.channels[shop.name]

    def count() -> int:
        return max(2, min(limits.concurrency, math.ceil(limits.start_rate * shop.latency_s()) + 1))

    return count


def _reader(
    shop: TikTokShop, by: Literal["update_time", "create_time"], status: str | None, walkers: Callable[[], int]
) -> WindowReader[OrderPage]:
    def fetch(window: Window, token: str) -> OrderPage:
        return shop.find_orders(OrderSearch(by, window.start, window.end, status), token)

    def fetch_newest(window: Window) -> OrderPage:
        return shop.find_orders(OrderSearch(by, window.start, window.end, status, newest_first=True))

    def look(page: OrderPage) -> Look:
        return Look(
            [order.order_id for order in page.orders],
            [order.updated_at if by == "update_time" else order.placed_at for order in page.orders],
            page.total_count,
            page.next_page_token,
            page.unreadable,
            page.server_time,
        )

    return WindowReader(fetch, look, fetch_newest=fetch_newest, walkers=walkers, now=shop.now, subject=ORDERS)


def _write_pages(
    writer: OrderWriter,
    pages: Iterator[OrderPage],
    report: Report,
    *,
    as_of: datetime | None = None,
    listed: set[str] | None = None,
) -> None:
    """Write all pages and put their orders into `listed`; the cursor moves with the last page, `as_of` None leaves it."""
    rows = expected = 0
    for page, is_last in _with_last(pages):
        rows += len(page.orders)
        expected = max(expected, page.total_count or 0, rows)
        if listed is not None:
            listed.update(f"tiktok:{order.order_id}" for order in page.orders)
        writer.write_raw(page.orders, as_of=as_of if is_last else None)
        for _unreadable in range(page.unreadable):
            writer.tell_unreadable("", tr("it has no id"))
        report.progress(tr("orders"), rows, expected or None)


def _with_last(pages: Iterator[OrderPage]) -> Iterator[tuple[OrderPage, bool]]:
    current = next(pages, None)
    while current is not None:
        following = next(pages, None)
        yield current, following is None
        current = following


def _sweep(
    store: Store,
    shop: TikTokShop,
    rules: Rules,
    writer: OrderWriter,
    walkers: Callable[[], int],
    report: Report,
    *,
    at_once: bool = False,
) -> None:
    """Look for what the search by change has missed: among the orders that wait to be shipped, and among the new ones.

    A change that the channel dates back, or shows late, is seen by no later search. `at_once` sweeps before it is due.
    """
    now = utc_now()
    end = shop.now() + _CLOCK_DOUBT
    if at_once or _is_due(store, shop, OPEN_ORDERS, rules.sync.sweep_every, now):
        reader = _reader(shop, "create_time", _AWAITING, walkers)
        listed: set[str] = set()
        _write_pages(writer, reader.read(Window(None, end)), report, listed=listed)
        # What we take for waiting and the channel does not list there has moved on without our seeing it.
        gone = load_unlisted_orders(store, _AWAITING, listed, now)
        writer.write_raw(shop.fetch_orders([order_id.partition(":")[2] for order_id in gone]))
        with store.transaction():
            save_cursor(store, shop.name, OPEN_ORDERS, cursor=None, as_of=now)
    if at_once or _is_due(store, shop, NEW_ORDERS, rules.sync.sweep_every, now):
        reader = _reader(shop, "create_time", None, walkers)
        _write_pages(writer, reader.read(Window(shop.now() - rules.sync.sweep_back, end)), report)
        with store.transaction():
            save_cursor(store, shop.name, NEW_ORDERS, cursor=None, as_of=now)
            if not at_once and not reader.never_listed:
                resolve_cases(store, causes=[_NOT_LISTED])


def _is_due(store: Store, shop: TikTokShop, resource: str, every: timedelta, now: datetime) -> bool:
    as_of = load_as_of(store, shop.name, resource)
    return as_of is None or not -_CLOCK_DOUBT <= now - as_of < every


def _mark_swept(store: Store, shop: TikTokShop, now: datetime) -> None:
    with store.transaction():
        for resource in (OPEN_ORDERS, NEW_ORDERS):
            save_cursor(store, shop.name, resource, cursor=None, as_of=now)


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
        path,
        time_zone=rules.shop.time_zone,
        status_words=rules.seller_center.status_words,
        header_aliases=rules.seller_center.headers,
        exported_at=exported_at,
        decimal_mark=rules.seller_center.decimal_mark,
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
