"""Buy labels from the channel so that no crash, time-out or double start pays twice. Reads, asks, journals.

One row per purchase: `intent` (committed before anything is sent), `sent` (committed just before the bytes leave),
`bought` (its document is safe on disk). HTTP runs in worker threads; every write to the store happens in this thread.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tiktok_erp.channels.base import Purchase
from tiktok_erp.channels.tiktok_errors import ALREADY_SHIPPED, DOCUMENT_IMPOSSIBLE, PURCHASE_RUNNING, WRONG_ENDPOINT
from tiktok_erp.errors import (
    ChannelDown,
    ChannelRefused,
    ChannelThrottled,
    ErpError,
    Interrupted,
    LabelFileError,
    NotSent,
    OutcomeUnknown,
)
from tiktok_erp.labels.verify import LabelInspection, inspect_label
from tiktok_erp.messages import tr
from tiktok_erp.model.carrier import carrier_code
from tiktok_erp.model.moment import from_text
from tiktok_erp.model.money import Money
from tiktok_erp.model.outcome import Outcome, Report
from tiktok_erp.model.rule import Rules
from tiktok_erp.signals import undisturbed
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.label_files import LabelFiles
from tiktok_erp.store.labels import (
    intend,
    load_candidates,
    load_live,
    load_unsettled,
    mark_sent,
    save_document,
    save_purchase,
    save_state,
    spent_in_run,
    spent_since,
)
from tiktok_erp.store.orders import without_recipient
from tiktok_erp.store.packages import package_outcome
from tiktok_erp.store.quarantine import open_case, resolve_cases

if TYPE_CHECKING:
    from tiktok_erp.channels.tiktok import TikTokShop

ORDERS_A_CHECK = 50
_DOCUMENT_TRIES = 3
# Documents that are still being made wait in threads of their own, so that they do not hold up purchases.
_WAITING_DOCUMENTS = 4
_FIRST_POLL_S = 0.3
_LONGEST_POLL_S = 5.0

# Causes opened by buying; closed again once the label is there.
CAUSES = ("address_refused", "no_service", "refused", "order_state", "wrong_shipping_path", "label_file", "on_hold")

ReadBack = Callable[[Sequence[str]], Collection[str]]


@dataclass(slots=True)
class BuyCount:
    """What one run of buying did. `spent_minor` is what the channel said so far."""

    bought: int = 0
    skipped: int = 0
    failed: int = 0
    failed_before: int = 0
    waiting: int = 0
    unsettled: int = 0
    spent_minor: int = 0
    cap: str | None = None
    stopped: ErpError | None = None  # what ended the run early, after something was done


@dataclass(frozen=True, slots=True)
class _Task:
    package_id: str
    channel_order_id: str
    order_id: str
    weight_g: int | None
    channel_package_id: str | None
    line_item_ids: tuple[str, ...] = ()  # empty: the whole order


@dataclass(frozen=True, slots=True)
class _Document:
    data: bytes
    tracking_number: str


@dataclass(slots=True)
class _Flight:
    """What is on its way: purchases whose answer is out, and documents being fetched."""

    purchases: dict[Future[Purchase], _Task] = field(default_factory=dict)
    documents: dict[Future[_Document | None], _Task] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.purchases) + len(self.documents)


class LabelBuyer:
    """One run of buying. `read_back` writes what orders are now and returns those that the channel told."""

    def __init__(
        self,
        store: Store,
        shop: TikTokShop,
        rules: Rules,
        report: Report,
        read_back: ReadBack,
        *,
        run_id: int | None,
        max_cost: Money | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._shop = shop
        self._rules = rules
        self._report = report
        self._read_back = read_back
        self._run_id = run_id
        self._clock = clock
        self._sleep = sleep
        self._files = LabelFiles(store.path)
        self._per_label = rules.spending.max_cost_per_label
        self._per_run = max_cost or rules.spending.max_cost_per_run
        self._waiting: set[str] = set()
        self._flight = _Flight()
        self._calls = threading.Semaphore(self._concurrency())
        self._to_confirm: list[str] = []
        self._stop: ErpError | None = None
        self._interrupted = False
        self._total = 0
        self.count = BuyCount()

    def reconcile(self) -> None:
        """Settle every purchase that was sent and is not finished, by asking the channel what became of it.

        A purchase that the order does not show becomes an intent again only when the request can no longer be under
        way (`labels.settle_after`); until then this waits. Bought ones get their document.
        """
        with ThreadPoolExecutor((_WAITING_DOCUMENTS + 1) * self._concurrency()) as pool:
            try:
                self._settle(pool, patient=True)
            except KeyboardInterrupt:
                self._interrupted = True
            except ErpError as error:
                self._stop = error
            self._drain(pool)
        self._confirm()
        self._raise_if_stopped()

    def buy(self, *, only: Sequence[str] | None, limit: int | None) -> None:
        """Settle what is unsettled and buy what is due, within the caps. Raises what stopped the run, at its end.

        Purchases whose outcome is not certain yet wait until everything else is bought; one that turns out never to
        have happened is then bought too.
        """
        with ThreadPoolExecutor((_WAITING_DOCUMENTS + 1) * self._concurrency()) as pool:
            try:
                self._settle(pool, patient=False)
                tried = self._buy_due(pool, only, limit)
                self._drain(pool)
                if self._stop is None and not self._interrupted:
                    revived = self._settle(pool, patient=True)
                    if revived and only is not None:
                        revived &= set(only)
                    if revived and (limit is None or tried < limit):
                        self._buy_due(pool, sorted(revived), None if limit is None else limit - tried)
            except KeyboardInterrupt:
                self._interrupted = True
            except ErpError as error:
                self._stop = self._stop or error
            self._drain(pool)
        self._confirm()
        self._raise_if_stopped()

    # Settling

    def _settle(self, pool: ThreadPoolExecutor, *, patient: bool) -> set[str]:
        """Ask the channel what became of unfinished purchases; return the packages whose purchase never happened.

        `patient` waits until the channel cannot be working on any of them any more.
        """
        flying = {task.package_id for task in self._flight.documents.values()} | self._waiting
        pending = {row["package_id"]: row for row in load_unsettled(self._store) if row["package_id"] not in flying}
        revived: set[str] = set()
        if not pending:
            return revived
        total = len(pending)
        deadline = max(from_text(row["sent_at"]) for row in pending.values()) + self._rules.labels.settle_after
        while pending:
            late = utc_now() >= deadline
            told = self._read_back(sorted({row["order_id"] for row in pending.values()}))
            for package_id in sorted(pending):
                if pending[package_id]["order_id"] not in told:
                    if late:  # no word about the order is no word about the purchase: it stays in doubt
                        del pending[package_id]
                    continue
                settled = self._settle_one(pool, package_id, late=late)
                if settled is not None or late:
                    del pending[package_id]
                if settled is False:
                    revived.add(package_id)
            if not pending or not patient:
                break
            self._report.progress(tr("waiting for answers about purchases"), total - len(pending), total)
            self._sleep(min(2.0, max(0.2, (deadline - utc_now()).total_seconds())))
        return revived

    def _settle_one(self, pool: ThreadPoolExecutor, package_id: str, *, late: bool) -> bool | None:
        """Return True: it happened; False: it never did; None: nobody can tell yet."""
        label = load_live(self._store, package_id)
        if label is None or label["state"] not in ("sent", "unknown"):
            return True
        told = self._store.query_one(
            "SELECT u.channel_package_id, u.provider_name FROM units u WHERE u.package_id = ? AND u.state = 'shipped'"
            " ORDER BY u.channel_package_id IS NULL LIMIT 1",
            (package_id,),
        )
        task = self._task_of(package_id)
        if told is not None and told["channel_package_id"] is None and label["channel_package_id"] is None:
            return None  # it has left, and the channel does not say yet in which package
        if told is None and label["channel_package_id"] is None:
            if not late:
                return None
            with self._store.transaction():
                save_state(self._store, package_id, "intent")
            return False
        channel_package_id = label["channel_package_id"]
        if channel_package_id is None and told is not None:
            channel_package_id = told["channel_package_id"]
            with self._store.transaction():
                save_purchase(
                    self._store,
                    package_id,
                    channel_package_id=channel_package_id,
                    cost_minor=None,
                    currency=None,
                    carrier=carrier_code(told["provider_name"]) if told["provider_name"] else None,
                    service_level=None,
                    request_id="",
                )
        self._total += 1
        self._fetch(pool, _with_channel_package(task, channel_package_id))
        return True

    def _task_of(self, package_id: str) -> _Task:
        row = self._store.query_one(
            "SELECT o.order_id, o.channel_order_id, p.weight_g, po.channel_package_id FROM packages p"
            " JOIN package_orders po USING (package_id) JOIN orders o USING (order_id) WHERE p.package_id = ? LIMIT 1",
            (package_id,),
        )
        if row is None:
            raise KeyError(package_id)
        return _Task(package_id, row["channel_order_id"], row["order_id"], row["weight_g"], row["channel_package_id"])

    # Buying

    def _buy_due(self, pool: ThreadPoolExecutor, only: Sequence[str] | None, limit: int | None) -> int:
        """Buy what is due and return how many packages were chosen."""
        due = [row for row in load_candidates(self._store, only=only) if row["shipping_type"] == "TIKTOK"]
        ready = [row for row in due if row["obstacle"] is None]
        for row in due:
            if row["obstacle"] is not None:
                self._skip(row["package_id"], row["obstacle"])
        if limit is not None:
            ready = ready[:limit]
        self._total += len(ready)
        for start in range(0, len(ready), ORDERS_A_CHECK):
            if self._stop is not None or self.count.cap is not None:
                break
            self._buy_chunk(pool, ready[start : start + ORDERS_A_CHECK])
        return len(ready)

    def _buy_chunk(self, pool: ThreadPoolExecutor, rows: Sequence[sqlite3.Row]) -> None:
        """Read these orders again, seconds before the money is spent, and buy what is still due."""
        ids = [row["package_id"] for row in rows]
        told = self._read_back([row["order_id"] for row in rows])
        fresh = {row["package_id"]: row for row in load_candidates(self._store, only=ids)}
        ready = []
        for package_id in ids:
            row = fresh.get(package_id)
            obstacle = "already_shipped" if row is None else row["obstacle"]
            if row is not None and obstacle is None and row["order_id"] not in told:
                obstacle = "not_told"
            if row is None or obstacle is not None:
                self._total -= 1
                self._skip(package_id, obstacle)
            else:
                ready.append(row)
        with self._store.transaction():
            intend(self._store, [row["package_id"] for row in ready], source="tiktok", run_id=self._run_id)
        for row in ready:
            task = _Task(
                row["package_id"],
                row["channel_order_id"],
                row["order_id"],
                row["weight_g"],
                row["channel_package_id"],
                # Units of the order that are cancelled or have left must not be bought again with it.
                tuple(unit_id for unit_id in json.loads(row["unit_ids"]) if unit_id) if row["other_units"] else (),
            )
            while self._is_full() or (self._cap_reached() and self._flight.purchases):
                self._land(pool)
            if self._stop is not None:
                return
            cap = self._cap_reached()
            if cap is not None:
                self.count.cap = cap
                return
            with undisturbed():
                with self._store.transaction():
                    is_ours = mark_sent(self._store, task.package_id, self._run_id)
                if is_ours:
                    self._flight.purchases[pool.submit(self._purchase, task)] = task

    def _is_full(self) -> bool:
        flight, concurrency = self._flight, self._concurrency()
        return len(flight.purchases) >= concurrency or len(flight.documents) >= _WAITING_DOCUMENTS * concurrency

    def _purchase(self, task: _Task) -> Purchase:
        """Send one purchase (worker thread). Where the package already exists on the channel it is shipped instead."""
        if task.channel_package_id is not None:
            first, second = self._ship_existing, self._create
        else:
            first, second = self._create, self._ship_existing
        with self._calls:
            try:
                return first(task)
            except ChannelRefused as refusal:
                if refusal.code != WRONG_ENDPOINT:
                    raise
                return second(task)

    def _create(self, task: _Task) -> Purchase:
        return self._shop.buy_label(task.channel_order_id, weight_g=task.weight_g, line_item_ids=task.line_item_ids)

    def _ship_existing(self, task: _Task) -> Purchase:
        if task.channel_package_id is None:
            raise ChannelRefused(
                tr("the channel sells this order's label only for a package that it has made, and there is none"),
                subject=task.channel_order_id,
                next_step=tr("look at the order in Seller Center, then run `tiktok-erp sync`"),
                code=WRONG_ENDPOINT,
            )
        return self._shop.ship_platform_package(task.channel_package_id, subject=task.channel_order_id)

    def _cap_reached(self) -> str | None:
        """Return the cap that one more purchase could pass. A price that is not known yet counts as the highest allowed."""
        zone = ZoneInfo(self._rules.shop.time_zone)
        midnight = datetime.now(zone).replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
        highest = self._per_label.minor
        if spent_in_run(self._store, self._run_id, fallback_minor=highest) + highest > self._per_run.minor:
            return "max_cost_per_run"
        day = self._rules.spending.max_cost_per_day
        if spent_since(self._store, midnight, fallback_minor=highest) + highest > day.minor:
            return "max_cost_per_day"
        return None

    # Answers

    def _drain(self, pool: ThreadPoolExecutor) -> None:
        while len(self._flight):
            try:
                self._land(pool)
            except KeyboardInterrupt:
                self._interrupted = True

    def _land(self, pool: ThreadPoolExecutor) -> None:
        """Wait for the next answers and write what they say."""
        futures: list[Future[Any]] = [*self._flight.purchases, *self._flight.documents]
        wait(futures, return_when=FIRST_COMPLETED)
        for purchase in [future for future in self._flight.purchases if future.done()]:
            with undisturbed():
                self._land_purchase(pool, self._flight.purchases.pop(purchase), purchase)
        for document in [future for future in self._flight.documents if future.done()]:
            with undisturbed():
                self._land_document(self._flight.documents.pop(document), document)
        if futures:
            self._report.progress(tr("labels"), self.count.bought + self.count.failed, self._total)

    def _land_purchase(self, pool: ThreadPoolExecutor, task: _Task, future: Future[Purchase]) -> None:
        try:
            purchase = future.result()
        except OutcomeUnknown:
            with self._store.transaction():
                save_state(self._store, task.package_id, "unknown")
            self._total -= 1
            return
        except ChannelRefused as refusal:
            if refusal.code in ALREADY_SHIPPED or refusal.code in PURCHASE_RUNNING:
                # Somebody, perhaps a run of ours that was killed, was there before: settling reads what there is.
                with self._store.transaction():
                    save_state(self._store, task.package_id, "unknown", error_code=str(refusal.code))
                self._total -= 1
                return
            with self._store.transaction():
                save_state(self._store, task.package_id, "refused", error_code=str(refusal.code))
            self._fail(task, refusal)
            return
        except (NotSent, ChannelThrottled) as error:
            with self._store.transaction():
                save_state(self._store, task.package_id, "intent")
            self._total -= 1
            self._stop = self._stop or error
            return
        except ErpError as error:
            # Sign-in: the channel did not look at the purchase.
            with self._store.transaction():
                save_state(self._store, task.package_id, "intent")
            self._total -= 1
            self._stop = self._stop or error
            return
        with self._store.transaction():
            save_purchase(
                self._store,
                task.package_id,
                channel_package_id=purchase.channel_package_id,
                cost_minor=purchase.cost_minor if purchase.currency else None,
                currency=purchase.currency if purchase.cost_minor is not None else None,
                carrier=carrier_code(purchase.carrier) if purchase.carrier else None,
                service_level=purchase.service_level,
                request_id=purchase.request_id,
            )
        if purchase.cost_minor is not None:
            self.count.spent_minor += purchase.cost_minor
            if purchase.currency == self._per_label.currency and purchase.cost_minor > self._per_label.minor:
                self._stop = self._stop or _too_dear(
                    task, Money(purchase.cost_minor, purchase.currency), self._per_label
                )
        self._fetch(pool, _with_channel_package(task, purchase.channel_package_id))

    def _fetch(self, pool: ThreadPoolExecutor, task: _Task) -> None:
        with undisturbed():  # threads inherit this: a signal then always reaches the main thread
            self._flight.documents[pool.submit(self._download, task)] = task

    def _download(self, task: _Task) -> _Document | None:
        """Wait for the document and fetch it (worker thread); None when it is not made within `labels.document_wait`."""
        if task.channel_package_id is None:
            raise KeyError(task.package_id)
        end = self._clock() + self._rules.labels.document_wait.total_seconds()
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
                    return _Document(data, document.tracking_number)
                except LabelFileError:
                    tries += 1
                    if tries >= _DOCUMENT_TRIES:
                        raise
            if self._clock() + pause >= end:
                return None
            self._sleep(pause)
            pause = min(_LONGEST_POLL_S, pause * 2)

    def _land_document(self, task: _Task, future: Future[_Document | None]) -> None:
        try:
            document = future.result()
            if document is None:
                self.count.waiting += 1
                self._waiting.add(task.package_id)
                self._outcome(
                    task,
                    "skipped",
                    cause="document_not_ready",
                    next_step=tr("run `tiktok-erp print-labels` again in a few minutes; nothing is bought twice"),
                    text=tr("{package}: bought, its document is not made yet", package=task.package_id),
                )
                return
            inspection = inspect_label(
                document.data, tracking_number=document.tracking_number or None, subject=task.package_id
            )
        except ChannelRefused as refusal:
            if refusal.code in DOCUMENT_IMPOSSIBLE:
                self._to_confirm.append(task.order_id)
                with self._store.transaction():
                    save_document(
                        self._store,
                        task.package_id,
                        tracking_number=None,
                        sha256=None,
                        pages=None,
                        barcode=None,
                        at=utc_now(),
                    )
            self._waiting.add(task.package_id)
            self._fail(task, refusal)
            return
        except (ChannelDown, LabelFileError) as error:
            self._waiting.add(task.package_id)
            self._fail(task, error)
            return
        except ErpError as error:
            self._waiting.add(task.package_id)
            self._stop = self._stop or error
            return
        self._keep(task, document, inspection)

    def _keep(self, task: _Task, document: _Document, inspection: LabelInspection) -> None:
        sha256 = self._files.keep(document.data)
        with self._store.transaction():
            save_document(
                self._store,
                task.package_id,
                tracking_number=document.tracking_number or None,
                sha256=sha256,
                pages=inspection.pages,
                barcode=inspection.verdict,
                at=utc_now(),
            )
            resolve_cases(self._store, package_id=task.package_id, causes=CAUSES)
        self._to_confirm.append(task.order_id)
        if inspection.verdict == "contradiction":
            self._fail(task, _contradiction(task))
            return
        self.count.bought += 1
        if inspection.verdict in ("unreadable", "unknown_form"):
            self._report.warn(
                tr(
                    "{package}: no barcode on the label could be compared with {number}",
                    package=task.package_id,
                    number=document.tracking_number,
                )
            )
        self._outcome(task, "done")

    def _confirm(self) -> None:
        """Read the orders of this run back: their numbers, states and stock follow from what the channel now says."""
        if self._to_confirm:
            try:
                self._read_back(self._to_confirm)
            except ErpError as error:
                self._report.warn(
                    tr("the bought orders could not be read back ({reason}); `sync` will do it", reason=error.what)
                )
            self._to_confirm = []
        self.count.unsettled = len(load_unsettled(self._store)) - self.count.waiting

    def _raise_if_stopped(self) -> None:
        if self._interrupted:
            raise Interrupted(
                tr("stopped by you; what was under way is finished and kept"),
                subject="",
                next_step=tr("run `tiktok-erp print-labels` again to go on"),
            )
        if self._stop is not None:
            raise self._stop

    # Telling

    def _fail(self, task: _Task, error: ErpError) -> None:
        what = without_recipient(self._store, task.order_id, error.what)
        with self._store.transaction():
            is_new = open_case(
                self._store,
                cause=error.cause,
                detail=what,
                next_step=error.next_step,
                package_id=task.package_id,
                order_id=task.order_id,
                run_id=self._run_id,
            )
        self.count.failed += is_new
        self.count.failed_before += not is_new
        self._outcome(
            task,
            "failed",
            cause=error.cause,
            next_step=error.next_step,
            text=f"{task.package_id} ({task.channel_order_id}): {what}",
            is_new=is_new,
        )

    def _skip(self, package_id: str, obstacle: str) -> None:
        self.count.skipped += 1
        self._report.item(
            Outcome("package", {"package_id": package_id}, "skipped", cause=obstacle, next_step=next_step_for(obstacle))
        )

    def _outcome(
        self,
        task: _Task,
        result: str,
        *,
        cause: str | None = None,
        next_step: str | None = None,
        text: str | None = None,
        is_new: bool = True,
    ) -> None:
        self._report.item(
            package_outcome(
                self._store,
                task.package_id,
                result,
                with_fields=self._report.wants_fields,
                order_id=task.order_id,
                cause=cause,
                next_step=next_step,
                text=text,
                is_new=is_new,
            )
        )

    def _concurrency(self) -> int:
        return self._rules.channels[self._shop.name].concurrency


def next_step_for(obstacle: str) -> str:
    """Return what a person does about a package that is not due."""
    steps = {
        "order_cancelled": tr("nothing to do: the order was cancelled"),
        "cancel_requested": tr(
            "answer the buyer: `tiktok-erp orders answer ID approve` or `reject`, or in Seller Center, then `tiktok-erp sync`"
        ),
        "on_hold": tr("wait for the hold to end, then run this again"),
        "short": tr("restock, then run `tiktok-erp reserve-stock`"),
        "address_changed": tr("run `tiktok-erp allocate`"),
        "not_allocated": tr("run `tiktok-erp allocate`"),
        "own_label_needed": tr(
            "buy the labels elsewhere and run `tiktok-erp print-labels --from FILE` with the tracking list or the PDFs"
        ),
        "already_shipped": tr("nothing to do: it has left"),
        "not_told": tr(
            "the channel told nothing about this order just now; look at it in Seller Center, then run this again"
        ),
        "unknown_status": tr("look at the order in Seller Center"),
        "unknown_shipping_type": tr("look in Seller Center how this order is to be shipped"),
        "quarantined": tr("look at `tiktok-erp quarantine`; name the package to try it again"),
        "fulfilled_by_channel": tr("look in Seller Center who ships this order"),
    }
    return steps.get(obstacle, tr("run `tiktok-erp sync`"))


def _with_channel_package(task: _Task, channel_package_id: str) -> _Task:
    return replace(task, channel_package_id=channel_package_id)


def _too_dear(task: _Task, cost: Money, cap: Money) -> ErpError:
    error = ErpError(
        tr("ALARM: a label cost {cost}, more than max_cost_per_label ({cap}); buying was stopped", cost=cost, cap=cap),
        subject=task.channel_order_id,
        next_step=tr("look at this label in Seller Center; raise spending.max_cost_per_label if the price is right"),
        cause="label_too_dear",
    )
    error.exit_code = 3
    return error


def _not_a_label(task: _Task) -> LabelFileError:
    return LabelFileError(
        tr("what the label host sent is not a whole PDF"),
        subject=task.channel_order_id,
        next_step=tr("run `tiktok-erp print-labels` again; the label is bought and is not bought twice"),
    )


def _contradiction(task: _Task) -> LabelFileError:
    return LabelFileError(
        tr("the barcode on the label is another number than the channel told; it is not printed"),
        subject=task.channel_order_id,
        next_step=tr(
            "look at the label with `tiktok-erp labels list` and in Seller Center before anybody sticks it on a parcel"
        ),
        cause="barcode_contradiction",
    )
