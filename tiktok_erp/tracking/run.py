"""Tell tracking numbers to the channel, or write them into Seller Center's template. Reads, plans, tells, reads back."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tiktok_erp.channels.base import Told
from tiktok_erp.channels.tiktok_errors import ALREADY_SHIPPED, WRONG_ENDPOINT
from tiktok_erp.errors import ChannelRefused, ErpError, Interrupted, OutcomeUnknown
from tiktok_erp.messages import tr
from tiktok_erp.model.moment import from_text
from tiktok_erp.model.outcome import Report
from tiktok_erp.model.own_label import CARRIER_NOT_TAKEN
from tiktok_erp.model.rule import Rules
from tiktok_erp.signals import undisturbed
from tiktok_erp.store import outbox
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.orders import without_recipient
from tiktok_erp.store.packages import package_outcome
from tiktok_erp.store.quarantine import open_case, resolve_cases
from tiktok_erp.store.tracking import (
    UNDONE,
    load_due,
    load_queue,
    load_shown,
    load_unsettled_uploads,
    save_told,
)
from tiktok_erp.tracking.plan import NotUploaded, UntoldNumber, Upload, plan_batch
from tiktok_erp.tracking.providers import Providers

if TYPE_CHECKING:
    from tiktok_erp.channels.tiktok import TikTokShop

ORDERS_A_CHECK = 50
_QUEUED_AT_ONCE = 500
# An order in one of these states is never told again: what waits for it leaves the queue.
_FINAL = ("order_cancelled", "already_shipped", "told_by_channel")
CAUSES = (
    "address_changed",
    "bad_tracking_number",
    "unknown_carrier",
    CARRIER_NOT_TAKEN,
    "no_provider",
    "no_delivery_option",
    "split_order",
    "number_used",
    "number_used_too_often",
    "different_addresses",
    "tracking_number_refused",
    "order_state",
    "wrong_shipping_path",
    "on_hold",
    "refused",
)

ReadBack = Callable[[Sequence[str]], Collection[str]]


@dataclass(slots=True)
class UploadCount:
    """What one run told. `proven`: read back from the channel on the right order; `waiting`: in the queue at its end."""

    told: int = 0
    proven: int = 0
    waiting: int = 0
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
        self._providers = Providers(store, rules, shop, keep=run_id is not None)
        self._flight: dict[Future[list[Told | ErpError]], list[tuple[Upload, int]]] = {}
        self._batch: list[tuple[Upload, str]] = []
        self._told: list[str] = []  # and not read back yet
        self._unshown = 0
        self._stop: ErpError | None = None
        self._interrupted = False
        self._total = 0
        self.count = UploadCount()

    def plan(self, *, only: Sequence[str] | None) -> None:
        """Report what would be told and how, and every fault. Nothing is told; carriers are asked for where there is a shop."""
        self._learn_providers(self._decide(only))
        self.plan_offline(only=only)

    def plan_offline(self, *, only: Sequence[str] | None) -> None:
        """Report as `plan` does, with what is known of the channel's carriers."""
        decisions = self._decide(only)
        for decision in decisions:
            provider = self._providers.choose(decision) if isinstance(decision, Upload) else decision
            if isinstance(provider, NotUploaded):
                self._not_uploaded(provider, record=False)
            elif isinstance(decision, Upload):
                self.count.planned += 1
                self._outcome(
                    decision.number,
                    "planned",
                    text=_plan_line(decision),
                    extra={"call": decision.kind, "warning": decision.warning},
                )

    def upload(self, *, only: Sequence[str] | None, before_sending: Callable[[], None] | None = None) -> None:
        """Check the whole batch, put it into the queue, then settle what is unsettled and tell it in order of deadline.

        `before_sending` may stop it by raising. Raises what stopped the run, at its end; what could not be told then waits
        in the queue, for days if need be.
        """
        shop, read_back = self._connected()
        concurrency = self._rules.channels[shop.name].concurrency
        with ThreadPoolExecutor(concurrency) as pool:
            try:
                queued = self._queue(only)
                if before_sending is not None:
                    before_sending()
                queued |= self._settle(read_back, patient=False)
                self._upload_due(pool, shop, read_back, queued)
                self._drain()
                if self._stop is None and (revived := self._settle(read_back, patient=True)):
                    self._upload_due(pool, shop, read_back, revived)
            except KeyboardInterrupt:
                self._interrupted = True
            except ErpError as error:
                self._stop = self._stop or error
            self._drain()
        self._confirm(read_back)
        self._forget_orphans()  # reading an order may have shown that a person told its number
        self.count.waiting = len(load_queue(self._store))
        if self._interrupted:
            raise Interrupted(
                tr("stopped by you; what was under way is finished and kept"),
                subject="",
                next_step=tr("run `tiktok-erp upload-tracking` again to go on"),
            )
        if self._stop is not None:
            raise self._stop

    def _decide(self, only: Sequence[str] | None) -> list[Upload | NotUploaded]:
        return plan_batch([to_number(row) for row in load_due(self._store, only=only)], utc_now(), self._rules)

    # The queue

    def _queue(self, only: Sequence[str] | None) -> set[tuple[str, str]]:
        """Check the whole batch before the first call, and write down every number that is to be told.

        Return the package and order of each. Carriers that cannot be asked for now are chosen when the call is made.
        """
        rows = self._candidates(only)
        decisions = plan_batch([to_number(row) for row in rows], utc_now(), self._rules)
        uploads: list[Upload] = []
        down: ErpError | None = None
        try:
            self._learn_providers(decisions)
        except ErpError as error:
            down = error
        for row, decision in zip(rows, decisions, strict=True):
            provider = self._providers.choose(decision) if isinstance(decision, Upload) else decision
            if isinstance(provider, NotUploaded):
                self._withhold(row, provider)
            elif isinstance(decision, Upload):
                uploads.append(decision)
        for start in range(0, len(uploads), _QUEUED_AT_ONCE):
            with self._store.transaction():
                for upload in uploads[start : start + _QUEUED_AT_ONCE]:
                    self._write_down(upload, None)
        if only is None:
            self._forget_orphans()
        if down is not None:
            raise down
        return {(upload.number.package_id, upload.number.order_id) for upload in uploads}

    def _candidates(self, only: Sequence[str] | None) -> list[sqlite3.Row]:
        rows = [row for row in load_due(self._store, only=only) if row["outbox_state"] not in ("sent", "unknown")]
        if only is not None:
            return rows
        # What the channel refused is tried again when the order changed since, or when somebody names it; what `undo` took
        # back only when somebody names it.
        undone = [row for row in rows if row["outbox_state"] == "dropped" and row["outbox_error"] == UNDONE]
        for row in undone:
            what = tr("its upload was undone")
            step = tr("name it to tell it after all: `tiktok-erp upload-tracking {package}`", package=row["package_id"])
            self._not_uploaded(NotUploaded(to_number(row), UNDONE, what, step, is_fault=False), record=False)
        if undone:
            self._report.warn(tr("{count} numbers were undone and are told only when you name them", count=len(undone)))
        return [
            row
            for row in rows
            if row not in undone
            and not (row["outbox_state"] == "refused" and row["synced_at"] <= row["outbox_done_at"])
        ]

    def _forget_orphans(self) -> None:
        """Drop what waits for a label that is not held any more."""
        due = {row["outbox_id"] for row in load_due(self._store)}
        orphans = [row["outbox_id"] for row in load_queue(self._store) if row["outbox_id"] not in due]
        if orphans:
            with self._store.transaction():
                outbox.drop(self._store, orphans, "no_longer_due")

    def _write_down(self, upload: Upload, provider_id: str | None) -> int:
        number = upload.number
        return outbox.queue(
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

    def _learn_providers(self, decisions: Sequence[Upload | NotUploaded]) -> None:
        self._providers.learn(
            decision.number.delivery_option_id for decision in decisions if isinstance(decision, Upload)
        )

    # Settling

    def _settle(self, read_back: ReadBack, *, patient: bool) -> set[tuple[str, str]]:
        """Ask the channel what became of unanswered calls; return package and order of those that never happened."""
        rows = load_unsettled_uploads(self._store)
        revived: set[tuple[str, str]] = set()
        if not rows:
            return revived
        deadline = max(from_text(row["sent_at"]) for row in rows) + self._rules.labels.settle_after
        # A clock that was set back must not make us wait for hours: what we sent, we sent before now.
        deadline = min(deadline, utc_now() + self._rules.labels.settle_after)
        while True:
            late = utc_now() >= deadline
            told = read_back(sorted({row["subject"] for row in rows}))
            for row in load_unsettled_uploads(self._store):
                # No word about an order is no word about the call: it stays in doubt.
                if row["subject"] in told and self._settle_one(row, late=late):
                    revived.add((row["package_id"], row["subject"]))
            rows = load_unsettled_uploads(self._store)
            if not rows or not patient or late:
                return revived
            self._report.progress(tr("waiting for answers about tracking numbers"), 0, len(rows))
            self._sleep(min(2.0, max(0.2, (deadline - utc_now()).total_seconds())))

    def _settle_one(self, row: sqlite3.Row, *, late: bool) -> bool:
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
                    self._told.append(row["subject"])
                    self.count.told += 1
                return False
            if late:
                outbox.settle(self._store, row["outbox_id"], "intent")
                return True
        return False

    # Telling

    def _upload_due(
        self, pool: ThreadPoolExecutor, shop: TikTokShop, read_back: ReadBack, queued: Collection[tuple[str, str]]
    ) -> None:
        rows = [
            row
            for row in load_due(self._store)
            if (row["package_id"], row["order_id"]) in queued and row["outbox_state"] == "intent"
        ]
        self._total = max(self._total, len(rows))
        for start in range(0, len(rows), ORDERS_A_CHECK):
            if self._stop is not None:
                return
            self._upload_chunk(pool, shop, read_back, rows[start : start + ORDERS_A_CHECK])
            if len(self._told) >= 2 * ORDERS_A_CHECK:  # while the next calls are under way
                self._confirm_some(read_back)
        self._flush(pool, shop)

    def _upload_chunk(
        self, pool: ThreadPoolExecutor, shop: TikTokShop, read_back: ReadBack, rows: Sequence[sqlite3.Row]
    ) -> None:
        wanted = {(row["package_id"], row["order_id"]) for row in rows}
        told = read_back([row["order_id"] for row in rows])
        fresh = [
            row
            for row in load_due(self._store, only=sorted({package_id for package_id, order_id in wanted}))
            if (row["package_id"], row["order_id"]) in wanted and row["outbox_state"] == "intent"
        ]
        decisions = plan_batch([to_number(row) for row in fresh], utc_now(), self._rules)
        self._learn_providers(decisions)
        for row, decision in zip(fresh, decisions, strict=True):
            if isinstance(decision, Upload) and row["order_id"] not in told:
                what, step = tr("the channel told nothing about this order just now"), tr("run this again later")
                self._not_uploaded(NotUploaded(decision.number, "not_told", what, step, is_fault=False), record=False)
                continue
            if isinstance(decision, NotUploaded):
                self._withhold(row, decision)
                continue
            provider = self._providers.choose(decision, is_final=True)
            if isinstance(provider, NotUploaded):
                self._withhold(row, provider)
                continue
            while len(self._flight) >= 2 * self._rules.channels[shop.name].concurrency:
                self._land()
            if self._stop is not None:
                return
            self._send(pool, shop, decision, provider or "")

    def _withhold(self, row: sqlite3.Row, reason: NotUploaded) -> None:
        """Tell why a number is not told; where it never will be, it leaves the queue."""
        if reason.cause in _FINAL and row["outbox_state"] == "intent":
            with self._store.transaction():
                outbox.drop(self._store, [row["outbox_id"]], reason.cause)
        self._not_uploaded(reason, record=True)

    def _send(self, pool: ThreadPoolExecutor, shop: TikTokShop, upload: Upload, provider_id: str) -> None:
        """Make one call, or with packages that wait on the channel gather a batch for one."""
        if upload.warning:
            self._report.warn(f"{upload.number.channel_order_id}: {upload.warning}")
        if upload.kind != "ship_package":
            self._start(pool, shop, [(upload, provider_id)])
            return
        self._batch.append((upload, provider_id))
        if len(self._batch) >= self._rules.channels[shop.name].ship_batch:
            self._flush(pool, shop)

    def _flush(self, pool: ThreadPoolExecutor, shop: TikTokShop) -> None:
        batch, self._batch = self._batch, []
        if batch and self._stop is None:
            self._start(pool, shop, batch)

    def _start(self, pool: ThreadPoolExecutor, shop: TikTokShop, calls: Sequence[tuple[Upload, str]]) -> None:
        with undisturbed():  # threads inherit this: a signal then always reaches the main thread
            with self._store.transaction():
                ids = [self._write_down(upload, provider_id) for upload, provider_id in calls]
                for outbox_id in ids:
                    outbox.mark_sent(self._store, outbox_id)
            uploads = [(upload, outbox_id) for (upload, provider_id), outbox_id in zip(calls, ids, strict=True)]
            self._flight[pool.submit(tell_all, shop, list(calls))] = uploads

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
                uploads = self._flight.pop(future)
                for (upload, outbox_id), answer in zip(uploads, future.result(), strict=True):
                    self._land_one(upload, outbox_id, answer)
            self._report.progress(tr("tracking numbers"), self.count.told + self.count.failed, self._total)

    def _land_one(self, upload: Upload, outbox_id: int, answer: Told | ErpError) -> None:
        if isinstance(answer, Told):
            self._keep_told(upload, outbox_id, answer)
        elif isinstance(answer, OutcomeUnknown):
            self._save(outbox_id, "unknown")
        elif isinstance(answer, ChannelRefused):
            self._refused(upload, outbox_id, answer)
        else:  # nothing was sent: it stays in the queue
            self._stop = self._stop or answer
            self._save(outbox_id, "intent")

    def _refused(self, upload: Upload, outbox_id: int, refusal: ChannelRefused) -> None:
        number = upload.number
        if refusal.code in ALREADY_SHIPPED:
            self._save(outbox_id, "unknown", error_code=str(refusal.code), request_id=refusal.request_id)
            return
        self._save(outbox_id, "refused", error_code=str(refusal.code), request_id=refusal.request_id)
        what = without_recipient(self._store, number.order_id, refusal.what)
        self._not_uploaded(NotUploaded(number, refusal.cause, what, refusal.next_step, is_fault=True), record=True)

    def _keep_told(self, upload: Upload, outbox_id: int, told: Told) -> None:
        number = upload.number
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

    def _save(
        self, outbox_id: int, state: str, *, error_code: str | None = None, request_id: str | None = None
    ) -> None:
        with self._store.transaction():
            outbox.settle(self._store, outbox_id, state, error_code=error_code, request_id=request_id)

    def _confirm(self, read_back: ReadBack) -> None:
        """Read every told order back: a number on the wrong order shows here, and stock follows what has left."""
        try:
            while self._told:
                self._confirm_some(read_back)
        except ErpError as error:
            self._report.warn(
                tr("the told orders could not be read back ({reason}); `sync` will do it", reason=error.what)
            )
            return
        if self._unshown:
            self._report.warn(
                tr("{count} told numbers are not shown by the channel yet; `sync` compares them", count=self._unshown)
            )

    def _confirm_some(self, read_back: ReadBack) -> None:
        """Read the orders back that were told first, as many as one call takes."""
        some = self._told[:ORDERS_A_CHECK]
        read_back(some)
        self._told = self._told[len(some) :]
        # Another number is a case that reading back opened (`other_tracking_number`); none yet is the channel's delay.
        shown = [row["shown_number"] == row["tracking_number"] for row in load_shown(self._store, some)]
        self.count.proven += sum(shown)
        self._unshown += len(shown) - sum(shown)

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


def tell_all(shop: TikTokShop, calls: Sequence[tuple[Upload, str]]) -> list[Told | ErpError]:
    """Tell numbers, several packages in one call where they wait on the channel (worker thread); one answer for each.

    Where the channel wants the other endpoint for an order, that one is tried once. A batch that it does not take as a
    whole is told package by package.
    """
    if len(calls) == 1:
        return [_answer(shop, *calls[0])]
    numbers = [
        (upload.number.channel_package_id or "", upload.tracking_number, provider_id) for upload, provider_id in calls
    ]
    try:
        refused, request_id = shop.ship_packages(numbers)
    except ChannelRefused:
        return [_answer(shop, upload, provider_id) for upload, provider_id in calls]
    except ErpError as error:
        return [error for call in calls]
    is_vague = not refused.keys() <= {package_id for package_id, number, provider_id in numbers}
    answers: list[Told | ErpError] = []
    for upload, provider_id in calls:
        refusal = refused.get(upload.number.channel_package_id or "")
        if refusal is None and is_vague:
            # A refusal that names none of these packages may be meant for any of them.
            answers.append(_in_doubt(upload))
        elif refusal is None:
            answers.append(Told(upload.number.channel_package_id, None, request_id))
        elif refusal.code == WRONG_ENDPOINT:
            answers.append(_answer(shop, replace(upload, kind="mark_shipped"), provider_id))
        else:
            answers.append(refusal)
    return answers


def _in_doubt(upload: Upload) -> OutcomeUnknown:
    return OutcomeUnknown(
        tr("the channel refused a package of this call and did not say which"),
        subject=upload.number.channel_order_id,
        next_step=tr("run this again; what was sent is read back before anything is repeated"),
    )


def _answer(shop: TikTokShop, upload: Upload, provider_id: str) -> Told | ErpError:
    try:
        return _tell(shop, upload, provider_id)
    except ErpError as error:
        return error


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


def _plan_line(upload: Upload) -> str:
    number = upload.number
    call = tr("Ship Package") if upload.kind == "ship_package" else tr("Mark Package As Shipped")
    part = f" ({len(upload.line_item_ids)})" if upload.line_item_ids else ""
    return f"{number.package_id} {number.channel_order_id} {upload.carrier} {upload.tracking_number}  {call}{part}"


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
        used_by=row["used_by"],
        recipient=row["recipient"],
        is_moved=bool(row["is_moved"]),
    )
