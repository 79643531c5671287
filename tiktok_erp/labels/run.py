"""Buy what is due, from every source: show what would be bought, buy it, settle what is without an answer."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from tiktok_erp.errors import ErpError
from tiktok_erp.labels.journal import BuyCount, LabelBuyer, ReadBack, Vendor
from tiktok_erp.labels.plan import next_step_for
from tiktok_erp.messages import tr
from tiktok_erp.model.money import Money
from tiktok_erp.model.outcome import Outcome, Report
from tiktok_erp.model.rule import Rules
from tiktok_erp.store.database import Store
from tiktok_erp.store.labels import load_candidates, spent_since
from tiktok_erp.store.shipments import load_quoted_costs


@dataclass(frozen=True, slots=True)
class PurchasePlan:
    """What `print-labels` would buy now. `quoted` is None where not all was quoted: the price is unknown until bought.

    `costs` holds what single packages were quoted. After `cap_after` packages `cap` is reached for certain.
    """

    due: tuple[sqlite3.Row, ...]
    skipped: tuple[sqlite3.Row, ...]
    own: tuple[sqlite3.Row, ...]
    cap_after: int
    cap: str | None
    quoted: Money | None
    costs: Mapping[str, Money]


def plan_purchases(
    store: Store,
    rules: Rules,
    *,
    only: Sequence[str] | None,
    limit: int | None,
    max_cost: Money | None,
    buys_own: bool,
    quote: Callable[[str], tuple[int | None, str | None]] | None,
) -> PurchasePlan:
    """Return what would be bought, in which order, and after how many a cap is reached for certain.

    `buys_own`: labels for Seller Shipping are bought too. `quote` asks the channel what one order's label costs.
    """
    rows = load_candidates(store, only=only, rules=rules)
    bought = [row for row in rows if _is_bought(row, buys_own=buys_own)]
    due = [row for row in bought if row["obstacle"] is None][:limit]
    cap = max_cost or rules.spending.max_cost_per_run
    costs = load_quoted_costs(store, [row["package_id"] for row in due if row["shipping_type"] != "TIKTOK"])
    if quote is not None:
        for row in due:
            if row["shipping_type"] == "TIKTOK":
                price, currency = quote(row["channel_order_id"])
                if price is not None and currency is not None:
                    costs[row["package_id"]] = Money(price, currency)
    prices = [costs.get(row["package_id"]) for row in due]
    known = [price for price in prices if price is not None and price.currency == cap.currency]
    after, which = _caps(store, rules, cap, prices)
    return PurchasePlan(
        tuple(due),
        tuple(row for row in bought if row["obstacle"] is not None),
        tuple(row for row in rows if row not in bought and row["obstacle"] is None),
        after,
        which,
        Money(sum(price.minor for price in known), cap.currency) if len(known) == len(due) and due else None,
        costs,
    )


def _caps(store: Store, rules: Rules, run_cap: Money, prices: Sequence[Money | None]) -> tuple[int, str | None]:
    """Return how many purchases fit under the caps for certain, and which cap ends them. Unknown prices count in full."""
    highest = rules.spending.max_cost_per_label
    zone = ZoneInfo(rules.shop.time_zone)
    midnight = datetime.now(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    today = spent_since(store, midnight, highest=highest)
    total = 0
    for number, price in enumerate(prices):
        total += price.minor if price is not None and price.currency == highest.currency else highest.minor
        if total > run_cap.minor:
            return number, "max_cost_per_run"
        if today + total > rules.spending.max_cost_per_day.minor:
            return number, "max_cost_per_day"
    return len(prices), None


def buy_labels(
    store: Store,
    vendors: Sequence[Vendor],
    rules: Rules,
    report: Report,
    read_back: ReadBack,
    *,
    only: Sequence[str] | None,
    limit: int | None,
    max_cost: Money | None,
    run_id: int | None,
) -> BuyCount:
    """Buy every label that is due, from one source after the other; see `labels/journal.py`."""
    total = BuyCount()
    chosen = [row for row in load_candidates(store, only=only, rules=rules) if row["obstacle"] is None]
    chosen = [row for row in chosen if any(vendor.sells(row) for vendor in vendors)][:limit]
    for vendor in vendors:
        left = None if limit is None else sum(vendor.sells(row) for row in chosen)
        buyer = LabelBuyer(store, vendor, rules, report, read_back, run_id=run_id, max_cost=max_cost)
        try:
            buyer.buy(only=only, limit=left)
        except ErpError as error:
            total.stopped = error
        total.add(buyer.count)
        if total.stopped is not None or total.cap is not None:
            break
    if total.stopped is not None:
        if total.bought + total.failed == 0:
            raise total.stopped
        report.warn(tr("stopped after {count} labels: {reason}", count=total.bought, reason=total.stopped.what))
    return total


def reconcile_labels(
    store: Store, vendors: Sequence[Vendor], rules: Rules, report: Report, read_back: ReadBack, *, run_id: int | None
) -> BuyCount:
    """Settle every purchase that was sent and has no end yet."""
    total = BuyCount()
    for vendor in vendors:
        buyer = LabelBuyer(store, vendor, rules, report, read_back, run_id=run_id)
        buyer.reconcile()
        total.add(buyer.count)
    return total


def _is_bought(row: sqlite3.Row, *, buys_own: bool) -> bool:
    return row["shipping_type"] == "TIKTOK" or (buys_own and row["shipping_type"] == "SELLER")


def list_own_labels(store: Store, rules: Rules, report: Report, *, only: Sequence[str] | None, buys_own: bool) -> int:
    """Tell which packages wait for a label that the seller brings; return how many."""
    rows = [
        row
        for row in load_candidates(store, only=only, rules=rules)
        if not row["obstacle"] and not _is_bought(row, buys_own=buys_own)
    ]
    step = next_step_for("own_label_needed")
    for row in rows:
        report.item(
            Outcome(
                "package",
                {"package_id": row["package_id"], "order_id": row["order_id"]},
                "skipped",
                cause="own_label_needed",
                next_step=step,
                fields={"carrier": row["carrier"], "service_level": row["service_level"]},
            )
        )
    if rows:
        report.warn(tr("{count} packages need a label of your own; {step}", count=len(rows), step=step))
    return len(rows)
