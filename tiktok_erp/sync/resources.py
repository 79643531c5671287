"""What sync fetches beside the orders, each at a pace of its own: offers with their sizes, creators, cancellations.

They are fetched by threads of their own while the orders are read, and written by the thread that owns the store. None of
them is worth an order: when one cannot be had, the sync says so and goes on.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tiktok_erp.channels.base import Cancellation, Commission, CommissionPage, Listing, ProductMeasures
from tiktok_erp.errors import ChannelRefused, ErpError, SignInError, StoreRefused
from tiktok_erp.messages import tr
from tiktok_erp.model.moment import to_text
from tiktok_erp.model.outcome import Report
from tiktok_erp.model.rule import Rules
from tiktok_erp.signals import undisturbed
from tiktok_erp.store.cancellations import load_orders_to_ask_about, place_restocking, save_cancellations
from tiktok_erp.store.creators import place_creators, save_commissions
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.runs import load_as_of, load_cursor, save_cursor
from tiktok_erp.store.stock import load_measured_products, save_listings, save_measures, save_unmeasured
from tiktok_erp.sync.pool import side_by_side
from tiktok_erp.sync.windows import Look, Window, WindowReader

if TYPE_CHECKING:
    from tiktok_erp.channels.tiktok import TikTokShop

LISTINGS, CREATORS, CREATORS_SETTLED, CANCELLATIONS = "listings", "creators", "creators_settled", "cancellations"
# A window of affiliate orders may be three months long (TikTok reference, section 4.12).
_LONGEST_AFFILIATE_WINDOW = timedelta(days=85)
_COMMISSIONS_BACK = timedelta(days=2)
_SETTLED_EVERY = timedelta(days=1)
_CANCELLATIONS_BACK = timedelta(days=30)
_ORDERS_A_QUESTION = 50
_PRODUCTS_MEASURED_AT_ONCE = 100
_BATCHES_AHEAD = 200
# No such product, not ours, not one to be asked about (TikTok reference, section 3.5): asking again tells nothing new.
_NO_SUCH_PRODUCT = frozenset({12019008, 12052032, 12052048, 12052260, 12052901})
_CLOCK_DOUBT = timedelta(minutes=10)


@dataclass(slots=True)
class ResourceCount:
    """How many rows of each kind were written."""

    listings: int = 0
    measured: int = 0
    commissions: int = 0
    cancellations: int = 0


@dataclass(slots=True)
class _Job:
    """One resource on its way: a thread fills `batches`, None ends them."""

    name: str
    resources: Sequence[str]
    fetch: Callable[[], Iterator[Any]]
    as_of: datetime
    cursor: datetime | None = None
    batches: queue.Queue[Any] = field(default_factory=lambda: queue.Queue(_BATCHES_AHEAD))
    error: ErpError | None = None
    bug: BaseException | None = None
    is_partial: bool = False

    def start(self) -> None:
        with undisturbed():
            threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            for batch in self.fetch():
                self.batches.put(batch)
        except ErpError as error:
            self.error = error
        except BaseException as error:  # raised again by whoever waits for the batches
            self.bug = error
        self.batches.put(None)


class Resources:
    """Begins to fetch what is due when it is made; `write` waits for it and writes it."""

    def __init__(self, store: Store, shop: TikTokShop, rules: Rules, *, walkers: Callable[[], int]) -> None:
        self._store = store
        self._shop = shop
        self._rules = rules
        self._walkers = walkers
        self._now = utc_now()
        self.count = ResourceCount()
        self._jobs = [job for job in (self._listings(), self._creators(), self._cancellations()) if job is not None]
        for job in self._jobs:
            job.start()

    def write(self, report: Report) -> None:
        """Write what was fetched, a transaction a batch; what could not be had is told and tried again next time.

        A batch that the database refuses stops neither the others nor the sync.
        """
        save: Mapping[str, Callable[[Any], None]] = {
            LISTINGS: self._save_listings,
            CREATORS: self._save_commissions,
            CANCELLATIONS: self._save_cancellations,
        }
        bugs: list[BaseException] = []
        for job in self._jobs:
            refused: StoreRefused | None = None
            while (batch := job.batches.get()) is not None:
                try:
                    with self._store.transaction():
                        save[job.name](batch)
                except StoreRefused as error:
                    refused = error
            if job.bug is not None:
                bugs.append(job.bug)
                continue
            job.error = job.error or refused
            if job.error is not None:
                self._tell(job, report)
                continue
            if not job.is_partial:
                with self._store.transaction():
                    for resource in job.resources:
                        save_cursor(self._store, self._shop.name, resource, cursor=job.cursor, as_of=job.as_of)
        self._ask_about_requests(report)
        with self._store.transaction():
            place_creators(self._store)
            place_restocking(self._store)
        if bugs:
            raise bugs[0]

    def _is_due(self, resource: str, every: timedelta) -> bool:
        as_of = load_as_of(self._store, self._shop.name, resource)
        return as_of is None or not -_CLOCK_DOUBT <= self._now - as_of < every

    def _tell(self, job: _Job, report: Report) -> None:
        names = {
            LISTINGS: tr("products"),
            CREATORS: tr("creators and commissions"),
            CANCELLATIONS: tr("cancellations"),
        }
        report.warn(tr("{what} were not fetched: {reason}", what=names[job.name], reason=job.error))
        if isinstance(job.error, SignInError | ChannelRefused | StoreRefused):
            # A scope that is missing stays missing for a while: ask again when it is due again, not every minute.
            with self._store.transaction():
                save_cursor(self._store, self._shop.name, f"{job.name}_refused", cursor=None, as_of=self._now)

    def _was_refused(self, resource: str, every: timedelta) -> bool:
        return not self._is_due(f"{resource}_refused", every)

    # Offers and their sizes

    def _listings(self) -> _Job | None:
        every = self._rules.sync.products_every
        if not self._is_due(LISTINGS + "_read", every) or self._was_refused(LISTINGS, every):
            return None
        measured = load_measured_products(self._store, self._shop.name)
        job = _Job(LISTINGS, (LISTINGS, LISTINGS + "_read"), lambda: self._fetch_listings(measured, job), self._now)
        return job

    def _fetch_listings(self, measured: Mapping[str, str], job: _Job) -> Iterator[list[Listing] | list[_Measured]]:
        asked: set[str] = set()
        to_measure: list[tuple[str, datetime]] = []
        for page in self._shop.search_listings(is_urgent=False):
            yield page
            for listing in page:
                changed_at = listing.changed_at or self._now
                known = measured.get(listing.product_id)
                is_known = known is not None and (listing.changed_at is None or known >= to_text(changed_at))
                if listing.product_id and listing.product_id not in asked and not is_known:
                    asked.add(listing.product_id)
                    to_measure.append((listing.product_id, changed_at))
        for measured_now in side_by_side(self._measure, to_measure[:_PRODUCTS_MEASURED_AT_ONCE], self._walkers()):
            # As long as it gets on, the rest comes with the next syncs and not hours later.
            job.is_partial = job.is_partial or (bool(measured_now) and len(to_measure) > _PRODUCTS_MEASURED_AT_ONCE)
            yield measured_now

    def _measure(self, product: tuple[str, datetime]) -> list[_Measured]:
        product_id, changed_at = product
        try:
            return [_Measured(product_id, self._shop.fetch_measures(product_id), changed_at)]
        except ChannelRefused as refusal:
            return [_Measured(product_id, None, changed_at)] if refusal.code in _NO_SUCH_PRODUCT else []

    def _save_listings(self, batch: Sequence[Listing | _Measured]) -> None:
        listings = [item for item in batch if isinstance(item, Listing) and item.listing_id]
        save_listings(self._store, self._shop.name, [listing.row() for listing in listings], self._now)
        self.count.listings += len(listings)
        for item in batch:
            if isinstance(item, _Measured) and item.measures is None:
                save_unmeasured(self._store, self._shop.name, item.product_id, measured_at=item.changed_at)
            elif isinstance(item, _Measured) and (found := item.measures) is not None:
                save_measures(
                    self._store,
                    self._shop.name,
                    item.product_id,
                    weight_g=found.weight_g,
                    sku_weights_g=found.sku_weights_g,
                    sides_mm=(found.length_mm, found.width_mm, found.height_mm),
                    measured_at=item.changed_at,
                )
                self.count.measured += 1

    # Creators

    def _creators(self) -> _Job | None:
        every = self._rules.sync.creators_every
        if not self._is_due(CREATORS, every) or self._was_refused(CREATORS, every):
            return None
        resources = [CREATORS]
        cursor = load_cursor(self._store, self._shop.name, CREATORS)
        start = self._first_order() if cursor is None else cursor - _COMMISSIONS_BACK
        if cursor is not None and self._is_due(CREATORS_SETTLED, _SETTLED_EVERY):
            # Commissions are settled weeks after the order.
            start = min(start, self._now - _LONGEST_AFFILIATE_WINDOW)
        if cursor is None or self._is_due(CREATORS_SETTLED, _SETTLED_EVERY):
            resources.append(CREATORS_SETTLED)
        return _Job(CREATORS, resources, lambda: self._fetch_commissions(start), self._now, cursor=self._now)

    def _first_order(self) -> datetime:
        """Return since when to ask the first time: the affiliate search has no "since ever"."""
        return self._now - _LONGEST_AFFILIATE_WINDOW

    def _fetch_commissions(self, start: datetime) -> Iterator[tuple[Commission, ...]]:
        end = self._now + _CLOCK_DOUBT

        def look(page: CommissionPage) -> Look:
            names: list[Hashable] = [
                (row.channel_order_id, row.channel_sku_id, row.creator, row.content_type, row.content_id)
                for row in page.rows
            ]
            times = [row.placed_at for row in page.rows]
            # In which order they come is not documented.
            return Look(names, times, page.total_count, page.next_page_token, page.unreadable, is_oldest_first=False)

        def fetch(window: Window, token: str) -> CommissionPage:
            return self._shop.find_commissions(window.start or start, window.end or end, token)

        reader = WindowReader(fetch, look, walkers=self._walkers, now=utc_now, subject=CREATORS)
        while start < end:
            until = min(end, start + _LONGEST_AFFILIATE_WINDOW)
            for page in reader.read(Window(start, until)):
                yield page.rows
            start = until

    def _save_commissions(self, rows: Sequence[Commission]) -> None:
        self.count.commissions += len(rows)
        save_commissions(
            self._store,
            [
                {
                    "channel": self._shop.name,
                    "order_id": f"{self._shop.name}:{row.channel_order_id}",
                    "channel_sku_id": row.channel_sku_id,
                    "creator": row.creator,
                    "content_type": row.content_type,
                    "content_id": row.content_id,
                    "quantity": row.quantity,
                    "commission_rate_bp": row.rate_bp,
                    "estimated_commission_minor": row.estimated_minor,
                    "actual_commission_minor": row.actual_minor,
                    "partner_commission_minor": row.partner_minor,
                    "shop_ads_commission_minor": row.shop_ads_minor,
                    "currency": row.currency,
                    "settlement_status": row.settlement_status,
                    "is_fully_returned": row.is_fully_returned,
                }
                for row in rows
            ],
            self._now,
        )

    # Cancellations

    def _cancellations(self) -> _Job | None:
        every = self._rules.sync.cancellations_every
        if not self._is_due(CANCELLATIONS, every) or self._was_refused(CANCELLATIONS, every):
            return None
        cursor = load_cursor(self._store, self._shop.name, CANCELLATIONS)
        start = self._now - _CANCELLATIONS_BACK if cursor is None else cursor - self._rules.sync.overlap - _CLOCK_DOUBT
        return _Job(
            CANCELLATIONS,
            (CANCELLATIONS,),
            lambda: self._shop.search_cancellations(updated_from=start, is_urgent=False),
            self._now,
            cursor=self._now,
        )

    def _save_cancellations(self, rows: Sequence[Cancellation]) -> None:
        self.count.cancellations += len(rows)
        save_cancellations(self._store, [cancellation_row(self._shop.name, row) for row in rows], self._now)

    def _ask_about_requests(self, report: Report) -> None:
        """Fetch the requests of buyers that an order tells of and no search has shown yet: somebody has to answer them."""
        if self._was_refused(CANCELLATIONS, self._rules.sync.cancellations_every):
            return
        waiting = load_orders_to_ask_about(self._store, self._shop.name)
        try:
            for start in range(0, len(waiting), _ORDERS_A_QUESTION):
                ids = waiting[start : start + _ORDERS_A_QUESTION]
                for rows in self._shop.search_cancellations(channel_order_ids=ids, is_urgent=False):
                    with self._store.transaction():
                        self._save_cancellations(rows)
        except ErpError as error:
            report.warn(tr("{what} were not fetched: {reason}", what=tr("cancellations"), reason=error))


@dataclass(frozen=True, slots=True)
class _Measured:
    product_id: str
    measures: ProductMeasures | None  # None: the channel knows no such product
    changed_at: datetime


def cancellation_row(channel: str, row: Cancellation) -> dict[str, Any]:
    """Return a cancellation as `store.cancellations.save_cancellations` takes it."""
    return {
        "channel": channel,
        "cancel_id": row.cancel_id,
        "order_id": f"{channel}:{row.channel_order_id}",
        "kind": row.kind,
        "status": row.status,
        "is_pending": row.is_pending,
        "role": row.role,
        "reason": row.reason,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "answer_by": row.answer_by,
        "should_restock": row.should_restock,
        "refund_minor": row.refund_minor,
        "currency": row.currency,
        "channel_unit_ids": row.channel_unit_ids,
    }
