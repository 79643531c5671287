"""Buy labels so that no crash, time-out or double start pays twice. Reads, asks, journals; knows no source by name.

One row per purchase: `intent` (committed before anything is sent; with a quote where the source gives one), `sent`
(committed just before the bytes leave), `bought` (its document is safe on disk). HTTP runs in worker threads; every write
to the store happens in this thread.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from tiktok_erp.carriers.base import BoughtLabel
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
from tiktok_erp.labels.plan import next_step_for
from tiktok_erp.labels.verify import LabelInspection, inspect_label
from tiktok_erp.messages import tr
from tiktok_erp.model.carrier import service_code
from tiktok_erp.model.moment import from_text
from tiktok_erp.model.money import Money
from tiktok_erp.model.outcome import Outcome, Report
from tiktok_erp.model.rule import Rules
from tiktok_erp.model.shipment import Quote, Shipment
from tiktok_erp.signals import undisturbed
from tiktok_erp.store.bought_elsewhere import keep_for_request
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.identity import load_fingerprints, purchase_fingerprint
from tiktok_erp.store.label_files import LabelFiles
from tiktok_erp.store.labels import (
    REFUSALS,
    drop_intent,
    intend,
    load_candidates,
    load_left_out,
    load_live,
    load_twins,
    load_unsettled,
    mark_sent,
    revive_sent,
    save_document,
    save_left_out,
    save_purchase,
    save_quote,
    save_refused_choice,
    save_state,
    spent_in_run,
    spent_since,
)
from tiktok_erp.store.orders import without_recipient
from tiktok_erp.store.packages import load_choice, load_fallbacks, load_order_ids, package_outcome
from tiktok_erp.store.quarantine import open_case, resolve_cases
from tiktok_erp.store.shipments import check_label_address

ORDERS_A_CHECK = 50
# One answer that nobody can read is one package's case; so many in a row, and none between, say that the source is down.
SILENT_MEANS_DOWN = 8
# Documents that are still being made wait in threads of their own, so that they do not hold up purchases.
_WAITING_DOCUMENTS = 4

# Causes opened by buying; closed again once the label is there.
CAUSES = (
    *("address_refused", "no_service", "refused", "order_state", "wrong_shipping_path", "label_file", "on_hold"),
    *("no_address", "address_letters", "unknown_weight", "label_too_dear", "split_and_combined"),
    *("label_url", "other_address", "channel_down", "outcome_unknown"),
)

# Obstacles after which the same package is decided, and a label bought for it, again.
_DECIDED_AGAIN = ("address_changed", "decision_outdated", "not_allocated")
# On an intent: a purchase was sent, and the source showed none in time. Another one that comes too late is most likely ours.
_NOT_FOUND = "not_found"

ReadBack = Callable[[Sequence[str]], Collection[str]]


@dataclass(slots=True)
class BuyCount:
    """What one run of buying did. `spent_minor` is what the source said so far."""

    bought: int = 0
    skipped: int = 0
    failed: int = 0
    failed_before: int = 0
    waiting: int = 0
    unsettled: int = 0
    overridden: int = 0  # the channel chose another carrier or service than the rule
    spent_minor: int = 0
    cap: str | None = None
    stopped: ErpError | None = None  # what ended the run early, after something was done

    def add(self, other: BuyCount) -> None:
        """Count what another source did as well."""
        for name in ("bought", "skipped", "failed", "failed_before", "waiting", "unsettled", "spent_minor"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.cap = self.cap or other.cap


@dataclass(frozen=True, slots=True)
class Task:
    """One package to buy a label for. `line_item_ids` is empty for whole orders.

    `kept_quote` is one that still holds; `earlier_quote_id` one that a purchase was sent for before, and did not happen as
    far as could be told. `made_for` is the fingerprint of what is bought, once it is intended.
    """

    package_id: str
    order_id: str
    channel_order_id: str
    channel_order_ids: tuple[str, ...]
    weight_g: int | None
    channel_package_id: str | None
    carrier: str = ""
    service_level: str = ""
    line_item_ids: tuple[str, ...] = ()
    shipment: Shipment | None = None
    kept_quote: Quote | None = None
    earlier_quote_id: str | None = None
    label: BoughtLabel | None = None
    made_for: str | None = None


@dataclass(frozen=True, slots=True)
class Bought:
    """What a purchase answered, or what the source tells of an earlier one. None where it does not tell.

    `channel_package_id` names it on the channel, `label` with the source of own labels.
    """

    channel_package_id: str | None = None
    cost: Money | None = None
    carrier: str | None = None
    service_level: str | None = None
    request_id: str = ""
    label: BoughtLabel | None = None
    is_news: bool = True  # not in the journal yet


@dataclass(frozen=True, slots=True)
class HeldDocument:
    """A label's PDF and the number that it should carry."""

    data: bytes
    tracking_number: str


class Vendor(Protocol):
    """One source as the journal uses it. Methods marked so run in worker threads and must not touch the store."""

    name: str  # labels.source
    concurrency: int
    tells_channel: bool  # the channel sold the label and knows its number
    quotes_first: bool

    def sells(self, row: sqlite3.Row) -> bool:
        """Tell whether a label for this candidate is bought here."""
        ...

    def look_elsewhere(self, report: Report, *, run_id: int | None) -> None:
        """Write what was bought for our parcels and is not in the journal, before more is. Raises what the source raises."""
        ...

    def task(self, row: sqlite3.Row) -> Task:
        """Return the purchase of one candidate. Raises ErpError for a package that cannot be bought."""
        ...

    def quote(self, task: Task) -> tuple[Quote, ...]:
        """Return the wanted service first, then the others that were offered with it (worker thread)."""
        ...

    def keep_quotes(self, task: Task, quotes: Sequence[Quote]) -> None:
        """Write down what was offered. Inside a transaction."""
        ...

    def find_earlier(self, task: Task) -> Bought | None:
        """Return what became of `earlier_quote_id` after all (worker thread)."""
        ...

    def purchase(self, task: Task, quote: Quote | None) -> Bought:
        """Buy (worker thread). Raises what the channels raise; OutcomeUnknown when nobody can tell."""
        ...

    def document(self, task: Task) -> HeldDocument | None:
        """Return the bought label's document; None when it is not made yet (worker thread)."""
        ...

    def look(self, rows: Mapping[str, sqlite3.Row]) -> Mapping[str, Bought | None]:
        """Tell by package id what became of purchases; None: it was not made. Left out: nobody can tell now."""
        ...

    def was_before(self, refusal: ChannelRefused) -> bool:
        """Tell whether a refusal says that somebody bought this label before."""
        ...

    def never_a_document(self, refusal: ChannelRefused) -> bool:
        """Tell whether a refusal says that the document can never be had again."""
        ...


@dataclass(slots=True)
class _Flight:
    """What is on its way: quotes, purchases whose answer is out, and documents being fetched."""

    quotes: dict[Future[Bought | tuple[Quote, ...]], Task] = field(default_factory=dict)
    purchases: dict[Future[Bought], Task] = field(default_factory=dict)
    documents: dict[Future[HeldDocument | None], Task] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.quotes) + len(self.purchases) + len(self.documents)


class LabelBuyer:
    """One run of buying from one source. `read_back` writes what orders are now and returns those that the channel told."""

    def __init__(
        self,
        store: Store,
        vendor: Vendor,
        rules: Rules,
        report: Report,
        read_back: ReadBack,
        *,
        run_id: int | None,
        max_cost: Money | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._vendor = vendor
        self._rules = rules
        self._report = report
        self._read_back = read_back
        self._run_id = run_id
        self._sleep = sleep
        self._files = LabelFiles(store.path)
        self._per_label = rules.spending.max_cost_per_label
        self._per_run = max_cost or rules.spending.max_cost_per_run
        self._waiting: set[str] = set()
        self._flight = _Flight()
        self._to_confirm: dict[str, Task] = {}
        self._silent: list[tuple[Task, ErpError]] = []
        self._silent_in_a_row = 0
        self._answered = False
        self._stop: ErpError | None = None
        self._interrupted = False
        self._total = 0
        self.count = BuyCount()

    def reconcile(self) -> None:
        """Settle every purchase that was sent and is not finished, by asking the source what became of it.

        A purchase that the source does not show becomes an intent again only when the request can no longer be under
        way (`labels.settle_after`); until then this waits. Bought ones get their document.
        """
        with self._pool() as pool:
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
        with self._pool() as pool:
            try:
                self._vendor.look_elsewhere(self._report, run_id=self._run_id)
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
        if len(self._silent) > 1 and not self._answered:
            self._stop = self._stop or self._silent[0][1]  # it never said anything
        if self._stop is None:
            for task, failure in self._silent:
                self._fail(task, failure)
        self._confirm()
        if self.count.overridden:
            self._report.warn(
                tr(
                    "{source} chose carrier or service itself for {count} labels; the rules' choice is a wish there",
                    source="TikTok Shipping",
                    count=self.count.overridden,
                )
            )
        self._raise_if_stopped()

    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor((_WAITING_DOCUMENTS + 2) * self._vendor.concurrency)

    # Settling

    def _settle(self, pool: ThreadPoolExecutor, *, patient: bool) -> set[str]:
        """Ask the source what became of unfinished purchases; return the packages whose purchase never happened.

        `patient` waits until the source cannot be working on any of them any more.
        """
        flying = {task.package_id for task in self._flight.documents.values()} | self._waiting
        rows = load_unsettled(self._store, self._vendor.name)
        pending = {row["package_id"]: row for row in rows if row["package_id"] not in flying}
        revived: set[str] = set()
        if not pending:
            return revived
        total = len(pending)
        deadline = max(from_text(row["sent_at"]) for row in pending.values()) + self._rules.labels.settle_after
        # A clock that was set back must not make us wait for hours: what we sent, we sent before now.
        deadline = min(deadline, utc_now() + self._rules.labels.settle_after)
        while pending:
            late = utc_now() >= deadline
            told = self._vendor.look(pending)
            for package_id in sorted(pending):
                if package_id in told and told[package_id] is not None:
                    self._settled(pool, pending.pop(package_id), told[package_id])
                elif late:
                    del pending[package_id]
                    # No word about the order is no word about the purchase: then it stays in doubt.
                    if package_id in told:
                        revived.add(package_id)
                        with self._store.transaction():
                            save_state(self._store, package_id, "intent", error_code=_NOT_FOUND)
            if not pending or not patient:
                break
            self._report.progress(tr("waiting for answers about purchases"), total - len(pending), total)
            self._sleep(min(2.0, max(0.2, (deadline - utc_now()).total_seconds())))
        return revived

    def _settled(self, pool: ThreadPoolExecutor, row: sqlite3.Row, bought: Bought | None) -> None:
        label = load_live(self._store, row["package_id"])
        if bought is None or label is None or label["state"] not in ("sent", "unknown"):
            return
        task = Task(
            row["package_id"],
            row["order_id"],
            row["channel_order_id"],
            tuple(json.loads(row["channel_order_ids"])),
            row["weight_g"],
            row["channel_package_id"],
        )
        if bought.is_news:
            self._save(task, bought)
        self._total += 1
        self._fetch(pool, _bought(task, bought))

    # Buying

    def _buy_due(self, pool: ThreadPoolExecutor, only: Sequence[str] | None, limit: int | None) -> int:
        """Buy what is due and return how many packages were chosen."""
        candidates = load_candidates(self._store, only=only, rules=self._rules)
        due = [row for row in candidates if self._vendor.sells(row)]
        ready = [row for row in due if row["obstacle"] is None]
        for row in due:
            if row["obstacle"] is not None:
                if row["label_state"] == "intent":
                    with self._store.transaction():
                        self._give_up(row)
                self._skip(row["package_id"], row["obstacle"])
        if limit is not None:
            ready = ready[:limit]
        self._total += len(ready)
        for start in range(0, len(ready), ORDERS_A_CHECK):
            if self._stop is not None or self.count.cap is not None:
                break
            self._buy_chunk(pool, ready[start : start + ORDERS_A_CHECK])
        return len(ready)

    def _give_up(self, row: sqlite3.Row) -> None:
        """Drop an intent that is not to be bought now: it would keep `allocate` from parting orders that were combined.

        One that was sent before, without an answer, stays where its package is bought for anew: its quote's id tells
        what to ask the source first.
        """
        if row["quote_id"] is None or row["obstacle"] not in _DECIDED_AGAIN:
            drop_intent(self._store, row["package_id"])

    def _buy_chunk(self, pool: ThreadPoolExecutor, rows: Sequence[sqlite3.Row]) -> None:
        """Read these orders again, seconds before the money is spent, and buy what is still due."""
        ids = [row["package_id"] for row in rows]
        told = self._read_back([order_id for row in rows for order_id in json.loads(row["order_ids"])])
        # What is bought is what is in the package now: once there is an intent, no order joins it or leaves it.
        with self._store.transaction():
            tasks = self._due_tasks(ids, set(told))
            now = load_fingerprints(self._store, [task.package_id for task in tasks], self._rules)
            tasks = [replace(task, made_for=_purchase_of(task, now)) for task in tasks]
            made_for = {task.package_id: task.made_for for task in tasks}
            intend(self._store, made_for, source=self._vendor.name, run_id=self._run_id)
        for task in tasks:
            if not self._begin(pool, task):
                return

    def _due_tasks(self, ids: Sequence[str], told: Collection[str]) -> list[Task]:
        fresh = {row["package_id"]: row for row in load_candidates(self._store, only=ids, rules=self._rules)}
        tasks = []
        for package_id in ids:
            row = fresh.get(package_id)
            obstacle = "already_shipped" if row is None else row["obstacle"]
            if row is not None and obstacle is None and not set(json.loads(row["order_ids"])) <= set(told):
                obstacle = "not_told"
            if row is None or obstacle is not None:
                self._total -= 1
                self._skip(package_id, obstacle)
                continue
            try:
                tasks.append(self._vendor.task(row))
            except ErpError as error:
                self._fail(_known(row), error)
        return tasks

    def _begin(self, pool: ThreadPoolExecutor, task: Task) -> bool:
        """Start one purchase as soon as there is room for it; False when no more may be started."""
        if self._vendor.quotes_first:
            while self._is_full():
                self._land(pool)
            if self._stop is not None or self.count.cap is not None:
                return False
            with undisturbed():
                self._flight.quotes[pool.submit(self._quote, task)] = task
            return True
        while self._is_full() or (self._cap_reached(None) and self._flight.purchases):
            self._land(pool)
        if self._stop is not None:
            return False
        return self._send(pool, task, None)

    def _send(self, pool: ThreadPoolExecutor, task: Task, quote: Quote | None) -> bool:
        """Write that the purchase leaves, and let it leave; False when a cap forbids that.

        Whatever changed since the task was made is seen here, in the transaction that says so: then nothing leaves.
        """
        cap = self._cap_reached(quote)
        if cap is not None:
            self.count.cap = cap
            return False
        obstacle: str | None = None
        is_ours = False
        with undisturbed():
            with self._store.transaction():
                rows = load_candidates(self._store, only=[task.package_id], rules=self._rules)
                now = load_fingerprints(self._store, [task.package_id], self._rules)
                if rows:
                    obstacle = rows[0]["obstacle"]
                    if obstacle is None and _purchase_of(_choice(task, rows[0]), now) != task.made_for:
                        obstacle = "decision_outdated"
                    if obstacle is not None:
                        self._give_up(rows[0])
                    else:
                        if quote is not None:
                            save_quote(self._store, task.package_id, quote)
                        is_ours = mark_sent(self._store, task.package_id, self._run_id, made_for=task.made_for)
            if is_ours:
                self._flight.purchases[pool.submit(self._vendor.purchase, task, quote)] = task
        if obstacle is not None:
            self._total -= 1
            self._skip(task.package_id, obstacle)
        return True

    def _quote(self, task: Task) -> Bought | tuple[Quote, ...]:
        """Return what there is to buy, or the label that an earlier purchase bought after all (worker thread)."""
        earlier = self._vendor.find_earlier(task) if task.earlier_quote_id is not None else None
        return earlier if earlier is not None else self._vendor.quote(task)

    def _is_full(self) -> bool:
        flight, concurrency = self._flight, self._vendor.concurrency
        return (
            len(flight.quotes) >= concurrency
            or len(flight.purchases) >= concurrency
            or len(flight.documents) >= _WAITING_DOCUMENTS * concurrency
        )

    def _cap_reached(self, quote: Quote | None) -> str | None:
        """Return the cap that one more purchase could pass. A price that is not known yet counts as the highest allowed."""
        zone = ZoneInfo(self._rules.shop.time_zone)
        midnight = datetime.now(zone).replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
        highest = self._per_label
        cost = highest.minor if quote is None else quote.cost.minor
        if spent_in_run(self._store, self._run_id, highest=highest) + cost > self._per_run.minor:
            return "max_cost_per_run"
        if spent_since(self._store, midnight, highest=highest) + cost > self._rules.spending.max_cost_per_day.minor:
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
        flight = self._flight
        futures: list[Future[Any]] = [*flight.quotes, *flight.purchases, *flight.documents]
        wait(futures, return_when=FIRST_COMPLETED)
        for quote in [future for future in flight.quotes if future.done()]:
            with undisturbed():
                self._land_quote(pool, flight.quotes.pop(quote), quote)
        for purchase in [future for future in flight.purchases if future.done()]:
            with undisturbed():
                self._land_purchase(pool, flight.purchases.pop(purchase), purchase)
        for document in [future for future in flight.documents if future.done()]:
            with undisturbed():
                self._land_document(flight.documents.pop(document), document)
        if futures:
            self._report.progress(tr("labels"), self.count.bought + self.count.failed, self._total)

    def _land_quote(self, pool: ThreadPoolExecutor, task: Task, future: Future[Bought | tuple[Quote, ...]]) -> None:
        try:
            found = future.result()
        except ChannelRefused as refusal:
            self._refuse(task, refusal)
            return
        except (NotSent, ChannelThrottled) as error:
            self._total -= 1
            self._stop = self._stop or error
            return
        except ChannelDown as error:
            self._silent.append((task, error))
            self._silent_in_a_row += 1
            if self._silent_in_a_row >= SILENT_MEANS_DOWN:
                self._stop = self._stop or error
            return
        except ErpError as error:
            self._total -= 1
            self._stop = self._stop or error
            return
        self._silent_in_a_row = 0
        self._answered = True
        if isinstance(found, Bought):
            with self._store.transaction():
                revive_sent(self._store, task.package_id, self._run_id)
            self._land_bought(pool, task, found)
            return
        with self._store.transaction():
            self._vendor.keep_quotes(task, found)
        quote = found[0]
        if quote.cost.currency != self._per_label.currency or not 0 <= quote.cost.minor <= self._per_label.minor:
            self._refuse(task, _quoted_too_dear(task, quote, self._per_label))
            return
        if self._stop is not None or self._interrupted or self.count.cap is not None:
            self._total -= 1
            return
        self._send(pool, task, quote)

    def _land_purchase(self, pool: ThreadPoolExecutor, task: Task, future: Future[Bought]) -> None:
        try:
            bought = future.result()
        except OutcomeUnknown:
            self._total -= 1
            with self._store.transaction():
                save_state(self._store, task.package_id, "unknown")
            return
        except ChannelRefused as refusal:
            if self._vendor.was_before(refusal):
                # Somebody, perhaps a run of ours that was killed, was there before: settling reads what there is.
                self._total -= 1
                label = load_live(self._store, task.package_id)
                with self._store.transaction():
                    if label is not None and label["error_code"] != _NOT_FOUND:
                        keep_for_request(self._store, task.package_id)
                    save_state(self._store, task.package_id, "unknown", error_code=str(refusal.code))
            elif refusal.cause == "balance":
                self._hold_back(task, refusal)
            else:
                self._refuse(task, refusal)
            return
        except (NotSent, ChannelThrottled) as error:
            self._hold_back(task, error)
            return
        except ErpError as error:
            # Sign-in: the source did not look at the purchase.
            self._hold_back(task, error)
            return
        self._land_bought(pool, task, bought)

    def _land_bought(self, pool: ThreadPoolExecutor, task: Task, bought: Bought) -> None:
        bought = self._priced(task, bought)
        self._save(task, bought)
        if bought.cost is not None and bought.cost.currency == self._per_label.currency:
            self.count.spent_minor += bought.cost.minor
            if bought.cost.minor > self._per_label.minor:
                self._stop = self._stop or _too_dear(task, bought.cost, self._per_label)
        self._fetch(pool, _bought(task, bought))

    def _priced(self, task: Task, bought: Bought) -> Bought:
        """Return what was bought, without a price that cannot be one; tells what the caps cannot compare."""
        cost, highest = bought.cost, self._per_label
        if cost is None or (cost.currency == highest.currency and cost.minor >= 0):
            return bought
        self._report.warn(
            tr(
                "ALARM: {package}: the label is said to cost {cost}; it counts as {highest} against the caps, look it up at the source",
                package=task.package_id,
                cost=cost,
                highest=highest,
            )
        )
        return bought if cost.minor >= 0 else replace(bought, cost=None)

    def _save(self, task: Task, bought: Bought) -> None:
        with self._store.transaction():
            self._note_wish(task, bought)
            save_purchase(
                self._store,
                task.package_id,
                channel_package_id=bought.channel_package_id,
                cost=bought.cost,
                carrier=bought.carrier,
                service_level=bought.service_level,
                tracking_number=bought.label.tracking_number if bought.label is not None else None,
                request_id=bought.request_id,
            )

    def _note_wish(self, task: Task, bought: Bought) -> None:
        """Count a label whose carrier the channel chose otherwise than the rule."""
        if not self._vendor.tells_channel or bought.carrier is None:
            return
        wish = load_choice(self._store, task.package_id)
        carrier, service_level = service_code(bought.carrier, bought.service_level or "")
        is_other = wish[0] != carrier or (bought.service_level is not None and wish[1] != service_level)
        if wish[0] is not None and is_other:
            self.count.overridden += 1

    def _hold_back(self, task: Task, error: ErpError) -> None:
        """This purchase did not happen, and the next one would not either: stop."""
        self._total -= 1
        self._stop = self._stop or error
        with self._store.transaction():
            save_state(self._store, task.package_id, "intent")

    def _refuse(self, task: Task, refusal: ChannelRefused) -> None:
        """The source does not sell this label: the package waits for a person, the others go on."""
        with self._store.transaction():
            save_state(self._store, task.package_id, "refused", error_code=str(refusal.code))
            if not self._vendor.tells_channel and refusal.cause in REFUSALS:
                save_refused_choice(self._store, task.package_id, task.carrier, task.service_level)
                following = load_fallbacks(self._store, task.package_id)
                if following:
                    refusal.next_step = tr(
                        "run `tiktok-erp allocate`: the rule's next choice, {choice}, is taken", choice=following[0]
                    )
        self._fail(task, refusal)

    def _fetch(self, pool: ThreadPoolExecutor, task: Task) -> None:
        with undisturbed():  # threads inherit this: a signal then always reaches the main thread
            self._flight.documents[pool.submit(self._vendor.document, task)] = task

    def _land_document(self, task: Task, future: Future[HeldDocument | None]) -> None:
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
            if self._vendor.never_a_document(refusal):
                self._to_confirm[task.package_id] = task
                self._save_document(task, None, None, None)
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

    def _keep(self, task: Task, document: HeldDocument, inspection: LabelInspection) -> None:
        sha256 = self._files.keep(document.data)
        address_check = self._save_document(task, document, inspection, sha256)
        self._to_confirm[task.package_id] = task
        if address_check == "contradiction":
            self._fail(task, _other_address(task))
            return
        if inspection.verdict == "contradiction":
            self._fail(task, _contradiction(task))
            return
        twins = load_twins(self._store, task.package_id)
        if twins:
            self._fail(task, _same_label(task, twins))
            return
        label = load_live(self._store, task.package_id)
        if label is not None and label["on_request"]:
            self.count.skipped += 1
            self._outcome(
                task,
                "skipped",
                cause="bought_elsewhere",
                next_step=tr("run `tiktok-erp labels adopt {package}` to print it here", package=task.package_id),
            )
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

    def _save_document(
        self, task: Task, document: HeldDocument | None, inspection: LabelInspection | None, sha256: str | None
    ) -> str | None:
        """Write that the label is held, and return what its own address says beside ours."""
        to = task.label.to if task.label is not None else None
        with self._store.transaction():
            address_check = check_label_address(self._store, task.package_id, to) if to is not None else None
            save_document(
                self._store,
                task.package_id,
                tracking_number=(document.tracking_number or None) if document is not None else None,
                sha256=sha256,
                pages=inspection.pages if inspection is not None else None,
                barcode=inspection.verdict if inspection is not None else None,
                is_told=self._vendor.tells_channel,
                at=utc_now(),
                address_check=address_check,
            )
            if document is not None:
                resolve_cases(self._store, package_id=task.package_id, causes=CAUSES)
        return address_check

    def _confirm(self) -> None:
        """Read the orders of this run back: their numbers, states and stock follow from what the channel now says."""
        if self._to_confirm and self._vendor.tells_channel:
            try:
                told = self._read_back(load_order_ids(self._store, list(self._to_confirm)))
                self._tell_left_out(set(told))
            except ErpError as error:
                self._report.warn(
                    tr("the bought orders could not be read back ({reason}); `sync` will do it", reason=error.what)
                )
        self._to_confirm = {}
        self.count.unsettled = len(load_unsettled(self._store, self._vendor.name)) - self.count.waiting

    def _tell_left_out(self, told: Collection[str]) -> None:
        """Name the orders that the channel did not take into the parcel that they were bought in."""
        for row in load_left_out(self._store, list(self._to_confirm)):
            if row["order_id"] not in told:
                continue
            with self._store.transaction():
                save_left_out(self._store, row["package_id"], row["order_id"])
            task = self._to_confirm[row["package_id"]]
            channel_order_id = row["order_id"].partition(":")[2]
            left_out = replace(task, order_id=row["order_id"], channel_order_id=channel_order_id)
            self._fail(left_out, _left_out(left_out))

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

    def _fail(self, task: Task, error: ErpError) -> None:
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
        task: Task,
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


def _purchase_of(task: Task, now: Mapping[str, str]) -> str:
    """Return the fingerprint of this purchase as the store has its package now."""
    return purchase_fingerprint(now.get(task.package_id, ""), task.carrier, task.service_level)


def _choice(task: Task, row: sqlite3.Row) -> Task:
    """The same purchase by the decision of `row`; the channel's own labels take no carrier and no service."""
    if not task.carrier:
        return task
    return replace(task, carrier=row["carrier"] or "", service_level=row["service_level"] or "")


def _known(row: sqlite3.Row) -> Task:
    """What can be told of a candidate that no source can make a purchase of."""
    return Task(row["package_id"], row["order_id"], row["channel_order_id"], (), row["weight_g"], None)


def _bought(task: Task, bought: Bought) -> Task:
    return replace(
        task, channel_package_id=bought.channel_package_id or task.channel_package_id, label=bought.label or task.label
    )


def _quoted_too_dear(task: Task, quote: Quote, cap: Money) -> ChannelRefused:
    refusal = ChannelRefused(
        tr(
            "the label would cost {cost}, more than max_cost_per_label ({cap}); it is not bought",
            cost=quote.cost,
            cap=cap,
        ),
        subject=task.package_id,
        next_step=tr("raise spending.max_cost_per_label if the price is right, then name the package to try it again"),
        code=0,
    )
    refusal.cause = "label_too_dear"
    return refusal


def _too_dear(task: Task, cost: Money, cap: Money) -> ErpError:
    error = ErpError(
        tr("ALARM: a label cost {cost}, more than max_cost_per_label ({cap}); buying was stopped", cost=cost, cap=cap),
        subject=task.channel_order_id,
        next_step=tr("look at this label in Seller Center; raise spending.max_cost_per_label if the price is right"),
        cause="label_too_dear",
    )
    error.exit_code = 3
    return error


def _same_label(task: Task, others: Sequence[str]) -> ErpError:
    return LabelFileError(
        tr("its label is the one that {packages} has; it is not printed", packages=", ".join(others)),
        subject=task.channel_order_id,
        next_step=tr("look in Seller Center which orders this parcel has: they leave together, under one label"),
        cause="same_label",
    )


def _other_address(task: Task) -> ErpError:
    return LabelFileError(
        tr("its label leads to another address than the order has now; it is not printed"),
        subject=task.channel_order_id,
        next_step=tr(
            "run `tiktok-erp labels void {package}`, then `tiktok-erp allocate` and `tiktok-erp print-labels`",
            package=task.package_id,
        ),
        cause="other_address",
    )


def _left_out(task: Task) -> ErpError:
    return LabelFileError(
        tr("TikTok shipped a part of this package only, and this order is not in it; the label is not printed"),
        subject=task.channel_order_id,
        next_step=tr("ship the rest of the order in Seller Center, then run `tiktok-erp sync`"),
        cause="left_out",
    )


def _contradiction(task: Task) -> LabelFileError:
    return LabelFileError(
        tr("the barcode on the label is another number than the channel told; it is not printed"),
        subject=task.channel_order_id,
        next_step=tr(
            "look at the label with `tiktok-erp labels list` and in Seller Center before anybody sticks it on a parcel"
        ),
        cause="barcode_contradiction",
    )
