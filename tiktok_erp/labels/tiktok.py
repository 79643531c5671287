"""Labels of TikTok Shipping as the journal buys them: Create Packages ships the order, then its document is made."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from tiktok_erp.channels.base import Purchase
from tiktok_erp.channels.tiktok_errors import ALREADY_SHIPPED, DOCUMENT_IMPOSSIBLE, PURCHASE_RUNNING, WRONG_ENDPOINT
from tiktok_erp.errors import ChannelRefused, LabelFileError
from tiktok_erp.labels.journal import Bought, HeldDocument, ReadBack, Task
from tiktok_erp.messages import tr
from tiktok_erp.model.carrier import carrier_code
from tiktok_erp.model.money import Money
from tiktok_erp.model.outcome import Report
from tiktok_erp.model.rule import Rules
from tiktok_erp.model.shipment import Quote
from tiktok_erp.store.database import Store
from tiktok_erp.store.labels import load_sharers

if TYPE_CHECKING:
    from tiktok_erp.channels.tiktok import TikTokShop

_DOCUMENT_TRIES = 3
_FIRST_POLL_S = 0.3
_LONGEST_POLL_S = 5.0


class TikTokLabels:
    """The channel's own labels. What became of a purchase is read from the order: there is no key to ask by."""

    name = "tiktok"
    tells_channel = True
    quotes_first = False  # a quote is one more call per order, and the service cannot be chosen

    def __init__(
        self,
        store: Store,
        shop: TikTokShop,
        rules: Rules,
        read_back: ReadBack,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._shop = shop
        self._read_back = read_back
        self._document_wait_s = rules.labels.document_wait.total_seconds()
        self._clock = clock
        self._sleep = sleep
        self.concurrency = rules.channels[shop.name].concurrency
        self._calls = threading.Semaphore(self.concurrency)

    def sells(self, row: sqlite3.Row) -> bool:
        """TikTok sells labels for orders of TikTok Shipping."""
        return bool(row["shipping_type"] == "TIKTOK")

    def look_elsewhere(self, report: Report, *, run_id: int | None) -> None:
        """What was bought elsewhere shows in the orders, which are read again before each purchase."""

    def task(self, row: sqlite3.Row) -> Task:
        """Return the purchase.

        Raises ChannelRefused for parts of several orders in one package, and for orders whose packages TikTok has made
        one by one: no call can say that.
        """
        channel_order_ids = tuple(json.loads(row["channel_order_ids"]))
        if len(channel_order_ids) > 1 and row["units_elsewhere"]:
            raise _not_together(
                tr("the package holds parts of several orders, and TikTok sells a label for whole ones only"), row
            )
        if row["channel_packages"] > 1:
            raise _not_together(
                tr("TikTok has made a package of its own for each of these orders, and sells a label for one only"), row
            )
        sharers = load_sharers(self._store, row["package_id"])
        if sharers:
            raise _not_together(
                tr("TikTok has made one package of this and of {packages}", packages=", ".join(sharers)), row
            )
        is_part = row["other_units"] and len(channel_order_ids) == 1
        return Task(
            row["package_id"],
            row["order_id"],
            row["channel_order_id"],
            channel_order_ids,
            row["weight_g"],
            row["channel_package_id"],
            # Units of the order that are cancelled or have left must not be bought again with it.
            line_item_ids=tuple(unit_id for unit_id in json.loads(row["unit_ids"]) if unit_id) if is_part else (),
        )

    def quote(self, task: Task) -> tuple[Quote, ...]:
        """Nothing is quoted before a purchase."""
        return ()

    def keep_quotes(self, task: Task, quotes: Sequence[Quote]) -> None:
        """Nothing is quoted before a purchase."""

    def find_earlier(self, task: Task) -> Bought | None:
        """Earlier purchases are found by `look`."""
        return None

    def purchase(self, task: Task, quote: Quote | None) -> Bought:
        """Send one purchase (worker thread). Where the package already exists on the channel it is shipped instead."""
        if task.channel_package_id is not None:
            first, second = self._ship_existing, self._create
        else:
            first, second = self._create, self._ship_existing
        with self._calls:
            try:
                answer = first(task)
            except ChannelRefused as refusal:
                if refusal.code != WRONG_ENDPOINT:
                    raise
                answer = second(task)
        has_price = answer.cost_minor is not None and answer.currency
        return Bought(
            channel_package_id=answer.channel_package_id,
            cost=Money(answer.cost_minor or 0, answer.currency or "") if has_price else None,
            carrier=carrier_code(answer.carrier) if answer.carrier else None,
            service_level=answer.service_level,
            request_id=answer.request_id,
        )

    def document(self, task: Task) -> HeldDocument | None:
        """Wait for the document and fetch it (worker thread); None when it is not made within `labels.document_wait`."""
        if task.channel_package_id is None:
            raise KeyError(task.package_id)
        end = self._clock() + self._document_wait_s
        pause, tries = _FIRST_POLL_S, 0
        while True:
            with self._calls:
                document = self._shop.fetch_document(task.channel_package_id)
            if document is not None:
                try:
                    with self._calls:
                        data = self._shop.download(document, subject=task.channel_order_id)
                    if not data.startswith(b"%PDF") or b"%%EOF" not in data[-2048:]:
                        raise _not_a_label(task)
                    return HeldDocument(data, document.tracking_number)
                except LabelFileError:
                    tries += 1
                    if tries >= _DOCUMENT_TRIES:
                        raise
            if self._clock() + pause >= end:
                return None
            self._sleep(pause)
            pause = min(_LONGEST_POLL_S, pause * 2)

    def look(self, rows: Mapping[str, sqlite3.Row]) -> Mapping[str, Bought | None]:
        """Read the orders again: a purchase shows as units that have left, with the package that they left in."""
        told = self._read_back(sorted({order_id for row in rows.values() for order_id in json.loads(row["order_ids"])}))
        found: dict[str, Bought | None] = {}
        for package_id, row in rows.items():
            if not set(json.loads(row["order_ids"])) <= set(told):
                continue
            unit = self._store.query_one(
                "SELECT u.channel_package_id, u.provider_name FROM units u WHERE u.package_id = ? AND u.state = 'shipped'"
                " ORDER BY u.channel_package_id IS NULL LIMIT 1",
                (package_id,),
            )
            if row["channel_package_id"] is not None:
                found[package_id] = Bought(row["channel_package_id"], is_news=False)
            elif unit is None:
                found[package_id] = None
            elif unit["channel_package_id"] is not None:
                carrier = carrier_code(unit["provider_name"]) if unit["provider_name"] else None
                found[package_id] = Bought(unit["channel_package_id"], carrier=carrier)
            # Else it has left, and the channel does not say yet in which package.
        return found

    def was_before(self, refusal: ChannelRefused) -> bool:
        """Codes that mean "already done", or that a purchase is still being worked on."""
        return refusal.code in ALREADY_SHIPPED or refusal.code in PURCHASE_RUNNING

    def never_a_document(self, refusal: ChannelRefused) -> bool:
        """After pickup, and for packages that were shipped in other ways, there is no document any more."""
        return refusal.code in DOCUMENT_IMPOSSIBLE

    def _create(self, task: Task) -> Purchase:
        combined = task.channel_order_ids if len(task.channel_order_ids) > 1 else ()
        return self._shop.buy_label(
            task.channel_order_id,
            weight_g=task.weight_g,
            line_item_ids=task.line_item_ids,
            combined_order_ids=combined,
        )

    def _ship_existing(self, task: Task) -> Purchase:
        if task.channel_package_id is None:
            raise ChannelRefused(
                tr("the channel sells this order's label only for a package that it has made, and there is none"),
                subject=task.channel_order_id,
                next_step=tr("look at the order in Seller Center, then run `tiktok-erp sync`"),
                code=WRONG_ENDPOINT,
            )
        return self._shop.ship_platform_package(task.channel_package_id, subject=task.channel_order_id)


def _not_together(what: str, row: sqlite3.Row) -> ChannelRefused:
    refusal = ChannelRefused(
        what,
        subject=row["package_id"],
        next_step=tr("run `tiktok-erp allocate` to plan it anew, or ship it in Seller Center"),
        code=0,
    )
    refusal.cause = "split_and_combined"
    return refusal


def _not_a_label(task: Task) -> LabelFileError:
    return LabelFileError(
        tr("what the label host sent is not a whole PDF"),
        subject=task.channel_order_id,
        next_step=tr("run `tiktok-erp print-labels` again; the label is bought and is not bought twice"),
    )
