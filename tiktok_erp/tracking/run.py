"""Tell tracking numbers to the channel, or write them into Seller Center's template. Reads, plans, tells, reads back."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tiktok_erp.channels.base import Told
from tiktok_erp.channels.tiktok_errors import ALREADY_SHIPPED, WRONG_ENDPOINT
from tiktok_erp.errors import ChannelRefused, ChannelThrottled, ErpError, Interrupted, NotSent, OutcomeUnknown
from tiktok_erp.messages import tr
from tiktok_erp.model.carrier import carrier_code
from tiktok_erp.model.moment import from_text
from tiktok_erp.model.outcome import Report
from tiktok_erp.model.rule import Rules
from tiktok_erp.signals import undisturbed
from tiktok_erp.store import outbox
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.orders import without_recipient
from tiktok_erp.store.packages import package_outcome
from tiktok_erp.store.quarantine import open_case, resolve_cases
from tiktok_erp.store.tracking import (
    load_due,
    load_providers,
    load_unsettled_uploads,
    save_providers,
    save_told,
)
from tiktok_erp.tracking.plan import NotUploaded, UntoldNumber, Upload, choose_provider, plan_upload

if TYPE_CHECKING:
    from tiktok_erp.channels.tiktok import TikTokShop

ORDERS_A_CHECK = 50
CAUSES = (
    "bad_tracking_number",
    "unknown_carrier",
    "no_provider",
    "no_delivery_option",
    "split_order",
    "tracking_number_refused",
    "order_state",
    "wrong_shipping_path",
    "on_hold",
    "refused",
)

ReadBack = Callable[[Sequence[str]], Collection[str]]


@dataclass(slots=True)
class UploadCount:
    """What one run told."""

    told: int = 0
    planned: int = 0
    skipped: int = 0
    failed: int = 0
    failed_before: int = 0


class TrackingUploader:
    """One run of upload-tracking. `read_back` writes what orders are now and returns those that the channel told."""

    def __init__(
        self,
        store: Store,
        rules: Rules,
        report: Report,
        *,
        run_id: int | None,
        shop: TikTokShop | None,
        read_back: ReadBack | None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._rules = rules
        self._report = report
        self._run_id = run_id
        self._shop = shop
        self._read_back = read_back
        self._sleep = sleep
        self._flight: dict[Future[Told], tuple[Upload, int]] = {}
        self._told: list[str] = []
        self._stop: ErpError | None = None
        self._interrupted = False
        self._total = 0
        self.count = UploadCount()

    def plan(self, *, only: Sequence[str] | None) -> None:
        """Report what would be told, and every fault, without a call."""
        for row in load_due(self._store, only=only):
            decision = plan_upload(to_number(row), utc_now())
            if isinstance(decision, NotUploaded):
                self._not_uploaded(decision, record=False)
                continue
            self.count.planned += 1
            self._outcome(decision.number, "planned", text=None)

    def upload(self, *, only: Sequence[str] | None) -> None:
        """Settle what is unsettled, then tell every number that is due. Raises what stopped the run, at its end."""
        shop, read_back = self._connected()
        concurrency = self._rules.channels[shop.name].concurrency
        with ThreadPoolExecutor(concurrency) as pool:
            try:
                self._settle(read_back, patient=False)
                self._upload_due(pool, shop, read_back, only)
                self._drain()
                if self._stop is None and self._settle(read_back, patient=True):
                    self._upload_due(pool, shop, read_back, only)
            except KeyboardInterrupt:
                self._interrupted = True
            except ErpError as error:
                self._stop = self._stop or error
            self._drain()
        self._confirm(read_back)
        if self._interrupted:
            raise Interrupted(
                tr("stopped by you; what was under way is finished and kept"),
                subject="",
                next_step=tr("run `tiktok-erp upload-tracking` again to go on"),
            )
        if self._stop is not None:
            raise self._stop

    # Settling

    def _settle(self, read_back: ReadBack, *, patient: bool) -> int:
        """Ask the channel what became of unanswered calls; return how many never happened."""
        rows = load_unsettled_uploads(self._store)
        if not rows:
            return 0
        deadline = max(from_text(row["sent_at"]) for row in rows) + self._rules.labels.settle_after
        revived = 0
        while True:
            late = utc_now() >= deadline
            told = read_back(sorted({row["subject"] for row in rows}))
            for row in load_unsettled_uploads(self._store):
                # No word about an order is no word about the call: it stays in doubt.
                if row["subject"] in told:
                    revived += self._settle_one(row, late=late)
            rows = load_unsettled_uploads(self._store)
            if not rows or not patient or late:
                return revived
            self._report.progress(tr("waiting for answers about tracking numbers"), 0, len(rows))
            self._sleep(min(2.0, max(0.2, (deadline - utc_now()).total_seconds())))

    def _settle_one(self, row: sqlite3.Row, *, late: bool) -> int:
        with self._store.transaction():
            if row["shown_number"] is not None:
                is_ours = row["shown_number"] == row["tracking_number"]
                outbox.settle(
                    self._store,
                    row["outbox_id"],
                    "done" if is_ours else "refused",
                    error_code=None if is_ours else "other_number",
                )
                if is_ours:
                    save_told(self._store, row["package_id"], row["subject"], None, utc_now())
                    self.count.told += 1
                return 0
            if late:
                outbox.settle(self._store, row["outbox_id"], "intent")
                return 1
        return 0

    # Telling

    def _upload_due(
        self, pool: ThreadPoolExecutor, shop: TikTokShop, read_back: ReadBack, only: Sequence[str] | None
    ) -> None:
        rows = [row for row in load_due(self._store, only=only) if row["outbox_state"] not in ("sent", "unknown")]
        if only is None:
            # What the channel refused is tried again when the order changed since, or when somebody names it.
            rows = [row for row in rows if row["outbox_state"] != "refused" or row["synced_at"] > row["outbox_done_at"]]
        self._total = max(self._total, len(rows))
        for start in range(0, len(rows), ORDERS_A_CHECK):
            if self._stop is not None:
                return
            self._upload_chunk(pool, shop, read_back, rows[start : start + ORDERS_A_CHECK])

    def _upload_chunk(
        self, pool: ThreadPoolExecutor, shop: TikTokShop, read_back: ReadBack, rows: Sequence[sqlite3.Row]
    ) -> None:
        wanted = {(row["package_id"], row["order_id"]) for row in rows}
        candidates = [row for row in rows if not isinstance(plan_upload(to_number(row), utc_now()), NotUploaded)]
        told = read_back([row["order_id"] for row in candidates]) if candidates else ()
        for row in load_due(self._store, only=sorted({package_id for package_id, order_id in wanted})):
            if (row["package_id"], row["order_id"]) not in wanted or row["outbox_state"] in ("sent", "unknown"):
                continue
            decision = plan_upload(to_number(row), utc_now())
            if isinstance(decision, NotUploaded):
                self._not_uploaded(decision, record=True)
                continue
            if row["order_id"] not in told:
                what, step = tr("the channel told nothing about this order just now"), tr("run this again later")
                self._not_uploaded(NotUploaded(decision.number, "not_told", what, step, is_fault=False), record=False)
                continue
            provider_id = self._provider(shop, decision)
            if isinstance(provider_id, NotUploaded):
                self._not_uploaded(provider_id, record=True)
                continue
            while len(self._flight) >= 2 * self._rules.channels[shop.name].concurrency:
                self._land()
            if self._stop is not None:
                return
            self._send(pool, shop, decision, provider_id)

    def _send(self, pool: ThreadPoolExecutor, shop: TikTokShop, upload: Upload, provider_id: str) -> None:
        number = upload.number
        with self._store.transaction():
            outbox_id = outbox.intend(
                self._store,
                kind=upload.kind,
                subject=number.order_id,
                package_id=number.package_id,
                idempotency_key=f"tracking/{number.order_id}/{number.package_id}/{number.tracking_number}",
                payload={
                    "tracking_number": upload.tracking_number,
                    "carrier": upload.carrier,
                    "provider_id": provider_id,
                },
                run_id=self._run_id,
            )
        if upload.warning:
            self._report.warn(f"{number.channel_order_id}: {upload.warning}")
        with undisturbed():  # threads inherit this: a signal then always reaches the main thread
            with self._store.transaction():
                outbox.mark_sent(self._store, outbox_id)
            self._flight[pool.submit(_tell, shop, upload, provider_id)] = (upload, outbox_id)

    def _drain(self) -> None:
        while self._flight:
            try:
                self._land()
            except KeyboardInterrupt:
                self._interrupted = True

    def _land(self) -> None:
        wait(self._flight, return_when=FIRST_COMPLETED)
        for future in [future for future in self._flight if future.done()]:
            with undisturbed():
                upload, outbox_id = self._flight.pop(future)
                self._land_one(upload, outbox_id, future)
            self._report.progress(tr("tracking numbers"), self.count.told + self.count.failed, self._total)

    def _land_one(self, upload: Upload, outbox_id: int, future: Future[Told]) -> None:
        number = upload.number
        try:
            told = future.result()
        except OutcomeUnknown:
            return self._save(outbox_id, "unknown")
        except ChannelRefused as refusal:
            if refusal.code in ALREADY_SHIPPED:
                return self._save(outbox_id, "unknown", error_code=str(refusal.code))
            self._save(outbox_id, "refused", error_code=str(refusal.code), request_id=refusal.request_id)
            return self._not_uploaded(
                NotUploaded(
                    number,
                    refusal.cause,
                    without_recipient(self._store, number.order_id, refusal.what),
                    refusal.next_step,
                    is_fault=True,
                ),
                record=True,
            )
        except (NotSent, ChannelThrottled) as error:
            self._stop = self._stop or error
            return self._save(outbox_id, "intent")
        except ErpError as error:
            self._stop = self._stop or error
            return self._save(outbox_id, "intent")
        with self._store.transaction():
            outbox.settle(self._store, outbox_id, "done", request_id=told.request_id, warning=told.warning)
            save_told(self._store, number.package_id, number.order_id, told.channel_package_id, utc_now())
            resolve_cases(self._store, package_id=number.package_id, causes=CAUSES)
        self._told.append(number.order_id)
        self.count.told += 1
        if told.warning:
            self._report.warn(
                tr(
                    "order {order}: TikTok took the number with a doubt: {warning}",
                    order=number.channel_order_id,
                    warning=without_recipient(self._store, number.order_id, told.warning),
                )
            )
        self._outcome(number, "done", extra={"warning": told.warning} if told.warning else {})
        return None

    def _save(
        self, outbox_id: int, state: str, *, error_code: str | None = None, request_id: str | None = None
    ) -> None:
        with self._store.transaction():
            outbox.settle(self._store, outbox_id, state, error_code=error_code, request_id=request_id)

    def _confirm(self, read_back: ReadBack) -> None:
        """Read every told order back: a number on the wrong order shows here, and stock follows what has left."""
        if not self._told:
            return
        try:
            read_back(self._told)
        except ErpError as error:
            self._report.warn(
                tr("the told orders could not be read back ({reason}); `sync` will do it", reason=error.what)
            )

    # Carriers

    def _provider(self, shop: TikTokShop, upload: Upload) -> str | NotUploaded:
        option = upload.number.delivery_option_id
        if not option:
            return NotUploaded(
                upload.number,
                "no_delivery_option",
                tr("the order's delivery option is not known, and with it not the channel's carriers"),
                tr("run `tiktok-erp sync` with the API, or use `upload-tracking --to FILE`"),
                is_fault=True,
            )
        now = utc_now()
        rows = load_providers(self._store, shop.name, option, now)
        if not rows:
            fetched = shop.fetch_shipping_providers(option)
            with self._store.transaction():
                save_providers(
                    self._store, shop.name, option, [(entry.provider_id, entry.name) for entry in fetched], now
                )
            rows = load_providers(self._store, shop.name, option, now)
        providers = [(row["provider_id"], row["name"], carrier_code(row["name"])) for row in rows]
        display_name = self._rules.channels[shop.name].carrier_names.get(upload.carrier)
        found = choose_provider(upload.carrier, display_name, providers)
        return found or self._no_provider(upload, tuple(row["name"] for row in rows))

    def _no_provider(self, upload: Upload, names: Sequence[str]) -> NotUploaded:
        known = ", ".join(names)
        what = tr("the channel does not offer the carrier {carrier} for this order", carrier=upload.carrier)
        return NotUploaded(
            upload.number,
            "no_provider",
            f"{what} ({known})" if known else what,
            tr("enable the carrier in Seller Center, or name it in channels.tiktok.carrier_names of rules.yaml"),
            is_fault=True,
        )

    def _connected(self) -> tuple[TikTokShop, ReadBack]:
        if self._shop is None or self._read_back is None:
            raise ValueError("upload() needs a shop")
        return self._shop, self._read_back

    # Saying what happened

    def _not_uploaded(self, decision: NotUploaded, *, record: bool) -> None:
        number = decision.number
        if not decision.is_fault:
            if decision.cause != "told_by_channel":
                self.count.skipped += 1
            self._outcome(number, "skipped", cause=decision.cause, next_step=decision.next_step)
            return
        is_new = True
        if record:
            with self._store.transaction():
                is_new = open_case(
                    self._store,
                    cause=decision.cause,
                    detail=decision.what,
                    next_step=decision.next_step,
                    package_id=number.package_id,
                    order_id=number.order_id,
                    run_id=self._run_id,
                )
        self.count.failed += is_new
        self.count.failed_before += not is_new
        self._outcome(
            number,
            "failed",
            cause=decision.cause,
            next_step=decision.next_step,
            text=f"{number.package_id} ({number.channel_order_id}): {decision.what}",
            is_new=is_new,
        )

    def _outcome(
        self,
        number: UntoldNumber,
        result: str,
        *,
        cause: str | None = None,
        next_step: str | None = None,
        text: str | None = None,
        extra: dict[str, object] | None = None,
        is_new: bool = True,
    ) -> None:
        self._report.item(
            package_outcome(
                self._store,
                number.package_id,
                result,
                with_fields=self._report.wants_fields,
                order_id=number.order_id,
                cause=cause,
                next_step=next_step,
                text=text,
                is_new=is_new,
                extra=extra,
            )
        )


def _tell(shop: TikTokShop, upload: Upload, provider_id: str) -> Told:
    """Make one call (worker thread); where the channel wants the other endpoint for this order, that one once."""
    number = upload.number

    def mark() -> Told:
        return shop.mark_shipped(
            number.channel_order_id,
            tracking_number=upload.tracking_number,
            provider_id=provider_id,
            line_item_ids=upload.line_item_ids,
        )

    def ship() -> Told:
        if number.channel_package_id is None:
            raise ChannelRefused(
                tr("the channel wants a package of its own for this order, and there is none"),
                subject=number.channel_order_id,
                next_step=tr("look at the order in Seller Center, then run `tiktok-erp sync`"),
                code=WRONG_ENDPOINT,
            )
        return shop.ship_package(
            number.channel_package_id,
            tracking_number=upload.tracking_number,
            provider_id=provider_id,
            subject=number.channel_order_id,
        )

    first, second = (ship, mark) if upload.kind == "ship_package" else (mark, ship)
    try:
        return first()
    except ChannelRefused as refusal:
        if refusal.code != WRONG_ENDPOINT:
            raise
        return second()


def to_number(row: sqlite3.Row) -> UntoldNumber:
    return UntoldNumber(
        package_id=row["package_id"],
        order_id=row["order_id"],
        channel_order_id=row["channel_order_id"],
        base_state=row["base_state"],
        held_until=from_text(row["held_until"]) if row["held_until"] else None,
        cancel_requested=bool(row["cancel_requested"]),
        shipping_type=row["shipping_type"],
        source=row["source"],
        carrier=row["carrier"],
        tracking_number=row["tracking_number"],
        channel_package_id=row["channel_package_id"],
        delivery_option_id=row["delivery_option_id"],
        auto_combine_group_id=row["auto_combine_group_id"],
        unit_ids=tuple(json.loads(row["unit_ids"])),
        is_split=row["units_elsewhere"] > 0,
        has_cancelled_units=row["units_cancelled"] > 0,
    )
