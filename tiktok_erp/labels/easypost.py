"""Own labels bought from a source such as EasyPost, as the journal buys them: quote, keep the quote's id, buy, fetch."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from tiktok_erp.errors import ChannelDown, ChannelRefused
from tiktok_erp.labels.elsewhere import look_at_source
from tiktok_erp.labels.journal import SILENT_MEANS_DOWN, Bought, HeldDocument, Task
from tiktok_erp.messages import tr
from tiktok_erp.model.fingerprint import quote_fingerprint
from tiktok_erp.model.outcome import Report
from tiktok_erp.model.rule import Rules
from tiktok_erp.model.shipment import Quote, Unshippable
from tiktok_erp.store.behind import why_behind
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.shipments import load_quote, load_shipments, save_quotes, sender_of

if TYPE_CHECKING:
    from tiktok_erp.carriers.base import BoughtLabel, LabelSource

# How long a source stands by a price is told nowhere; a quote of the same day's allocation is used, an older one asked anew.
_QUOTE_HOLDS = timedelta(hours=12)


class OwnLabels:
    """Labels for orders of Seller Shipping. What became of a purchase is read from its shipment, whose id was kept before."""

    tells_channel = False
    quotes_first = True

    def __init__(self, store: Store, source: LabelSource, rules: Rules) -> None:
        sender_of(rules, None)  # without one nothing can be sold, and that is told once
        self._store = store
        self._source = source
        self._rules = rules
        self.name = source.name
        self.concurrency = source.concurrency
        self._calls = threading.Semaphore(self.concurrency)

    def sells(self, row: sqlite3.Row) -> bool:
        """Orders of Seller Shipping. One whose kind nobody told may be TikTok's own, where this label would be worthless."""
        return bool(row["shipping_type"] == "SELLER")

    def look_elsewhere(self, report: Report, *, run_id: int | None) -> None:
        """Ask the source what another machine bought for our parcels, or this one before a restore."""
        look_at_source(
            self._store,
            self._source,
            report,
            run_id=run_id,
            is_behind=why_behind(self._store) is not None,
            buys=True,
        )

    def task(self, row: sqlite3.Row) -> Task:
        """Return the purchase. Raises ChannelRefused without an address that can be printed, or without a weight."""
        package_id = row["package_id"]
        shipment = load_shipments(self._store, [package_id], self._rules)[package_id]
        if isinstance(shipment, Unshippable):
            refusal = ChannelRefused(shipment.what, subject=package_id, next_step=shipment.next_step, code=0)
            refusal.cause = shipment.cause
            raise refusal
        return Task(
            package_id,
            row["order_id"],
            row["channel_order_id"],
            tuple(json.loads(row["channel_order_ids"])),
            row["weight_g"],
            None,
            carrier=row["carrier"] or "",
            service_level=row["service_level"] or "",
            shipment=shipment,
            kept_quote=load_quote(
                self._store,
                package_id,
                self.name,
                row["carrier"] or "",
                row["service_level"] or "",
                made_for=quote_fingerprint(shipment),
                at_most=_QUOTE_HOLDS,
                now=utc_now(),
            ),
            earlier_quote_id=row["quote_id"],
        )

    def quote(self, task: Task) -> tuple[Quote, ...]:
        """Return the wanted service's quote first. Raises ChannelRefused when it is not offered (worker thread)."""
        if task.kept_quote is not None:
            return (task.kept_quote,)
        if task.shipment is None:
            raise KeyError(task.package_id)
        with self._calls:
            offered = self._source.quotes(task.shipment)
        wanted = [quote for quote in offered if _service(quote) == (task.carrier, task.service_level)]
        if not wanted:
            names = ", ".join(dict.fromkeys(" ".join(_service(quote)) for quote in offered)) or "-"
            refusal = ChannelRefused(
                tr(
                    "{source} does not offer {carrier} {level} for this parcel; it offers: {names}",
                    source=self.name,
                    carrier=task.carrier,
                    level=task.service_level,
                    names=names,
                ),
                subject=task.package_id,
                next_step=tr("choose another service in rules.yaml and run `tiktok-erp allocate`"),
                code=0,
            )
            refusal.cause = "no_service"
            raise refusal
        return (wanted[0], *(quote for quote in offered if quote is not wanted[0]))

    def keep_quotes(self, task: Task, quotes: Sequence[Quote]) -> None:
        """Keep all that was offered: the next run buys from the same shipment."""
        if task.kept_quote is None and task.shipment is not None:
            save_quotes(
                self._store,
                task.package_id,
                self.name,
                quotes,
                weight_g=task.shipment.weight_g,
                made_for=quote_fingerprint(task.shipment),
            )

    def find_earlier(self, task: Task) -> Bought | None:
        """Ask once more for a shipment that a purchase was sent for before another is made (worker thread)."""
        with self._calls:
            label = self._source.read(task.earlier_quote_id or "", subject=task.package_id)
        return None if label is None or label.refund else _answer(label)

    def purchase(self, task: Task, quote: Quote | None) -> Bought:
        """Buy the quote whose id is in the journal (worker thread)."""
        if quote is None:
            raise KeyError(task.package_id)
        with self._calls:
            insurance = task.shipment.insurance if task.shipment is not None else None
            return _answer(self._source.buy(quote.quote_id, subject=task.package_id, insurance=insurance))

    def document(self, task: Task) -> HeldDocument | None:
        """Fetch the document (worker thread)."""
        if task.label is None:
            raise KeyError(task.package_id)
        with self._calls:
            return HeldDocument(self._source.download(task.label, subject=task.package_id), task.label.tracking_number)

    def look(self, rows: Mapping[str, sqlite3.Row]) -> Mapping[str, Bought | None]:
        """Read each stored shipment; a purchase without one never left.

        One that the source shows no readable answer for stays in doubt; several in a row say that the source is down.
        """
        found: dict[str, Bought | None] = {}
        silent = 0
        for package_id, row in rows.items():
            try:
                label = self._source.read(row["quote_id"], subject=package_id) if row["quote_id"] else None
            except ChannelRefused:
                continue
            except ChannelDown:
                silent += 1
                if silent == SILENT_MEANS_DOWN:
                    raise
                continue
            silent = 0
            found[package_id] = None if label is None else _answer(label)
        return found

    def was_before(self, refusal: ChannelRefused) -> bool:
        """The source looks refused purchases up itself."""
        return False

    def never_a_document(self, refusal: ChannelRefused) -> bool:
        """The source keeps its documents."""
        return False


def _service(quote: Quote) -> tuple[str, str]:
    return quote.carrier, quote.service_level


def _answer(label: BoughtLabel) -> Bought:
    return Bought(
        cost=label.cost,
        carrier=label.carrier or None,
        service_level=label.service_level or None,
        request_id=label.request_id,
        label=label,
    )
