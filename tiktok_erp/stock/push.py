"""Publish what can still be sold: to the channel, or into its stock template. Reads, plans (`plan.py`), sends, writes."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tiktok_erp.channels.tiktok_errors import BUNDLE_QUANTITY, ZERO_REFUSED
from tiktok_erp.errors import ChannelRefused, OutcomeUnknown
from tiktok_erp.messages import tr
from tiktok_erp.model.bundle import pieces_of
from tiktok_erp.model.moment import from_text
from tiktok_erp.model.outcome import Outcome, Report
from tiktok_erp.model.rule import Rules
from tiktok_erp.model.safety_stock import SalesView
from tiktok_erp.stock.count import save_offers
from tiktok_erp.stock.offers import plan_quantities, refresh_offers, row_parts
from tiktok_erp.stock.plan import ListingState, PushPlan, QuantityChange, Reckoning, plan_push, reckon
from tiktok_erp.stock.run import ReserveCount, reserve
from tiktok_erp.store import outbox
from tiktok_erp.store.bundles import load_own_bundles
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.live import load_sales_view
from tiktok_erp.store.runs import load_as_of, require_fresh
from tiktok_erp.store.stock import (
    adopt_listing_skus,
    forget_base,
    load_arrived,
    load_channel_caps,
    load_foreign,
    load_listings,
    load_never_pushed,
    load_pools,
    load_sold_since_base,
    mark_channel_bundle,
    rebase_listings,
    save_foreign,
    save_pushed,
    save_wanted,
)

if TYPE_CHECKING:
    from tiktok_erp.channels.seller_center_stock import StockRow
    from tiktok_erp.channels.tiktok import TikTokShop

_SKUS_A_CALL = 50
_ROUNDS = 3  # a stream sells on while a push is under way


@dataclass(slots=True)
class _Push:
    """One push under way. `done` holds what was refused, is in doubt or waits for a person: it is not tried in this run."""

    store: Store
    shop: TikTokShop
    report: Report
    count: ReserveCount
    rules: Rules
    run_id: int | None
    stale_ok: bool
    view: SalesView
    shown: dict[str, tuple[tuple[str, int], ...]]  # listing id -> what the channel shows in each warehouse
    unseen: Counter[str]
    done: set[str] = field(default_factory=set)


def push(
    store: Store,
    shop: TikTokShop,
    report: Report,
    count: ReserveCount,
    *,
    rules: Rules,
    run_id: int | None,
    dry_run: bool,
    yes: bool,
    stale_ok: bool = True,
) -> None:
    """Set on the channel what each counted listing may sell, only where it differs, biggest risk first.

    Each call's numbers are worked out in the transaction that records it, just before it is sent, and no second push runs
    beside this one. Raises StaleData as soon as the orders are older than `freshness.push` allows; what was sent stays.
    """
    with store.turn("push"):
        pages = list(shop.search_listings())
        with store.transaction(keep=not dry_run):
            save_offers(store, shop, pages)
            _settle_quantities(store)
            view = load_sales_view(
                store, rules.live, every=rules.sync.every, now=utc_now(), with_sales=True, channels=[shop.name]
            )
            looked_at = load_foreign(store, shop.name)
            unseen = _look_for_drift(store, shop.name, rules, report)
            if adopt_listing_skus(store):  # only now is it known which counted pieces these units are
                late = reserve(store, rules, report, only_orders=None, dry_run=dry_run)
                count.held, count.short = count.held + late.held, count.short + late.short
            refresh_offers(store, rules)
            shown = {listing.listing_id: listing.quantities for page in pages for listing in page}
            plan = plan_quantities(store, shop.name, shown, view, unseen)
            save_wanted(store, shop.name, plan.wanted)
            kept = set() if yes else _keep_foreign(store, shop.name, plan, looked_at, report, count)
        if plan.surprise is not None and not yes:
            return _tell_surprise(shop.name, plan, report, count)
        if dry_run:
            for change in plan.changes:
                if change.listing_id not in kept:
                    report.item(_quantity_outcome(shop.name, change, "planned"))
            return None
        work = _Push(store, shop, report, count, rules, run_id, stale_ok, view, shown, unseen, done=kept)
        for _round in range(_ROUNDS):
            if not _push_all(work, plan):
                break
            with store.transaction():
                plan = plan_quantities(store, shop.name, work.shown, view, unseen)
    return None


def _look_for_drift(store: Store, channel: str, rules: Rules, report: Report) -> Counter[str]:
    """Report listings that show what neither our pushes nor the orders since account for. Call inside a transaction.

    Return the pieces per SKU that are shown less than they should be: most likely sold after the last fetch. Only when a
    later fetch does not bring those orders it was somebody else.
    """
    sold, arrived = load_sold_since_base(store, channel), load_arrived(store, channel)
    own = load_own_bundles(store)
    fetched_at = load_as_of(store, channel, "orders")
    unseen: Counter[str] = Counter()
    missing: dict[str, int] = {}
    drifted, settled, foreign = [], [], []
    for row in load_listings(store, channel):
        if row["pushed_quantity"] is None or row["is_channel_bundle"]:
            continue
        listing_id = row["listing_id"]
        units, cancelled, came_back, near = sold.get(listing_id, (0, 0, 0, 0))
        found = reckon(
            row["channel_quantity"],
            row["base_quantity"],
            sold=units,
            cancelled=cancelled,
            came_back=came_back,
            near=near,
        )
        waiting = max(0, row["unseen_quantity"] - arrived.get(listing_id, 0))
        if found is not None and found.is_too_high:
            drifted.append(listing_id)
            foreign.append(listing_id)
            _tell_drift(channel, row, found, report)
        if row["unseen_until"] and _is_later(fetched_at, row["unseen_until"], rules):
            settled.append(listing_id)
            if waiting:
                foreign.append(listing_id)
                shown = row["channel_quantity"]
                _tell_drift(channel, row, Reckoning(shown + waiting, shown + waiting, shown), report)
            waiting = 0
        if found is not None and found.missing:
            missing[listing_id] = found.missing
            waiting += found.missing
        for sku, number in pieces_of(row["sku"], own).items() if waiting else ():
            unseen[sku] += number * waiting
    rebase_listings(store, channel, drifted=drifted, unseen=missing, settled=settled, at=utc_now())
    save_foreign(store, channel, foreign)
    return unseen


def _keep_foreign(
    store: Store, channel: str, plan: PushPlan, looked_at: set[str], report: Report, count: ReserveCount
) -> set[str]:
    """Return the listings whose quantity somebody else set and this push would raise: another machine may know better.

    Those in `looked_at` were told before. To lower one is always right, as no more may be offered than there is. Those
    without a push of ours before were set by somebody else as well, but where their count itself came from the channel.
    Call inside a transaction.
    """
    raised = [change for change in plan.changes if change.shown is not None and change.wanted > change.shown]
    ids = [change.listing_id for change in raised]
    foreign = load_foreign(store, channel) | load_never_pushed(store, channel, ids)
    kept = [change for change in raised if change.listing_id in foreign]
    for change in kept:
        report.item(
            _quantity_outcome(
                channel,
                change,
                "skipped",
                cause="set_elsewhere",
                next_step=tr("see whose number is right, then run `tiktok-erp reserve-stock --yes`"),
            )
        )
    if not kept:
        return set()
    save_foreign(store, channel, [change.listing_id for change in kept])
    is_new = any(change.listing_id not in looked_at for change in kept)
    examples = ", ".join(f"{change.sku} {change.shown} -> {change.wanted}" for change in kept[:5])
    report.item(
        Outcome(
            "push",
            {"channel": channel},
            "failed",
            cause="set_elsewhere",
            next_step=tr(
                "compare with the shelf, and with the other machine if there is one; `tiktok-erp reserve-stock --yes` pushes"
                " our numbers"
            ),
            text=tr(
                "{count} listings show what nobody here has set, and are not raised: {examples}",
                count=len(kept),
                examples=examples,
            ),
            is_new=is_new,
        )
    )
    count.failed += is_new
    return {change.listing_id for change in kept}


def _is_later(fetched_at: datetime | None, seen_at: str, rules: Rules) -> bool:
    """Tell whether the orders were fetched so long after a look that all that was sold before it must be here."""
    return fetched_at is not None and fetched_at > from_text(seen_at) + rules.live.platform_delay


def _tell_drift(channel: str, row: sqlite3.Row, found: Reckoning, report: Report) -> None:
    expected = str(found.most) if found.least == found.most else f"{found.least}-{found.most}"
    report.warn(
        tr(
            "drift: {sku} (listing {listing}) shows {shown} where {expected} was to be expected after {base} at {since}:"
            " somebody else sets it",
            sku=row["sku"],
            listing=row["listing_id"],
            shown=found.shown,
            expected=expected,
            base=row["base_quantity"],
            since=row["base_at"],
        )
    )
    report.item(
        Outcome(
            "drift",
            {"channel": channel, "listing_id": row["listing_id"], "sku": row["sku"]},
            "skipped",
            cause="drift",
            next_step=tr("find out who else sets stock: Seller Center, a campaign, another program"),
            fields={
                "shown_quantity": found.shown,
                "least_expected": found.least,
                "most_expected": found.most,
                "pushed_quantity": row["pushed_quantity"],
                "pushed_at": row["pushed_at"],
            },
        )
    )


def _tell_surprise(channel: str, plan: PushPlan, report: Report, count: ReserveCount) -> None:
    zeroed, halved, considered = plan.surprise or (0, 0, 0)
    report.warn(
        tr(
            "not pushed: of {considered} listings, {zeroed} would go to 0 and {halved} would lose more than half, and"
            " no reservation explains it",
            considered=considered,
            zeroed=zeroed,
            halved=halved,
        )
    )
    report.item(
        Outcome(
            "push",
            {"channel": channel},
            "failed",
            cause="surprising_push",
            next_step=tr("compare the counts with the shelf; run `tiktok-erp reserve-stock --yes` if they are right"),
            text=tr("the push of {count} quantities waits for --yes", count=len(plan.changes)),
        )
    )
    count.failed += 1


def _settle_quantities(store: Store) -> None:
    """Settle pushes that a run left without an answer, by what the channel shows now. Call inside a transaction.

    One that does not show is dropped: this push decides anew what to set.
    """
    for row in outbox.load_unanswered_quantities(store):
        is_shown = row["sent_at"] is not None and row["channel_quantity"] == row["quantity"]
        if is_shown:
            save_pushed(store, row["channel"], row["subject"], row["quantity"], from_text(row["sent_at"]))
        elif row["sent_at"] is not None:
            forget_base(store, row["channel"], row["subject"])
        outbox.settle(store, row["outbox_id"], "done" if is_shown else "dropped")


def _push_all(work: _Push, plan: PushPlan) -> bool:
    """Send what `plan` changes, a product a call; return whether anything was sent. Numbers are taken anew for each call."""
    groups: dict[str, list[str]] = {}
    for change in plan.changes:
        if change.listing_id not in work.done:
            groups.setdefault(change.product_id, []).append(change.listing_id)
    total = sum(len(ids) for ids in groups.values())
    done = 0
    for product_id, ids in groups.items():
        for start in range(0, len(ids), _SKUS_A_CALL):
            _push_batch(work, product_id, ids[start : start + _SKUS_A_CALL])
            done += len(ids[start : start + _SKUS_A_CALL])
            work.report.progress(tr("quantities"), done, total)
    return bool(groups)


def _push_batch(work: _Push, product_id: str, ids: Sequence[str]) -> None:
    store, shop = work.store, work.shop
    entries: dict[str, int] = {}
    with store.transaction():
        require_fresh(
            store,
            shop.name,
            at_most=work.rules.freshness.push,
            now=utc_now(),
            stale_ok=work.stale_ok,
            file_counts=False,
        )
        plan = plan_quantities(store, shop.name, work.shown, work.view, work.unseen)
        save_wanted(store, shop.name, plan.wanted)
        batch = [change for change in plan.changes if change.listing_id in ids and change.listing_id not in work.done]
        for change in batch:
            entries[change.listing_id] = outbox.intend(
                store,
                kind="set_quantity",
                subject=change.listing_id,
                idempotency_key=f"{_key(shop.name, change)}{change.wanted}/{work.run_id}",
                payload={"product_id": product_id, "quantity": change.wanted, "shown": change.shown},
                run_id=work.run_id,
            )
            outbox.mark_sent(store, entries[change.listing_id])
    if not batch:
        return None
    quantities = {change.listing_id: change.per_warehouse for change in batch}
    try:
        try:
            refusals, request_id = shop.set_quantities(product_id, quantities)
        except OutcomeUnknown:
            # An absolute number may be set twice.
            refusals, request_id = shop.set_quantities(product_id, quantities)
        refused = {refusal.listing_id: (refusal.code, refusal.message) for refusal in refusals}
        if not refused.keys() <= quantities.keys():  # which of them it is about, nobody said
            code, message = next(refused[name] for name in refused if name not in quantities)
            return _in_doubt(work, batch, entries, "quantity_refused", f"{code}: {message}")
    except OutcomeUnknown as error:
        return _in_doubt(work, batch, entries, error.cause, error.what)
    except ChannelRefused as refusal:
        request_id = refusal.request_id
        refused = {change.listing_id: (refusal.code or 0, refusal.what) for change in batch}
    _keep_answers(work, batch, entries, refused, request_id)
    return None


def _key(channel: str, change: QuantityChange) -> str:
    return f"set_quantity/{channel}/{change.listing_id}/"


def _in_doubt(work: _Push, batch: Sequence[QuantityChange], entries: Mapping[str, int], cause: str, what: str) -> None:
    with work.store.transaction():
        for outbox_id in entries.values():
            outbox.settle(work.store, outbox_id, "unknown")
    for change in batch:
        work.done.add(change.listing_id)
        work.count.failed += 1
        work.report.item(
            _quantity_outcome(
                work.shop.name,
                change,
                "failed",
                cause=cause,
                next_step=tr("run `tiktok-erp reserve-stock` again: it sees what the channel shows and decides anew"),
                text=f"{change.sku}: {what}",
            )
        )


def _keep_answers(
    work: _Push,
    batch: Sequence[QuantityChange],
    entries: Mapping[str, int],
    refused: Mapping[str, tuple[int, str]],
    request_id: str | None,
) -> None:
    store, channel = work.store, work.shop.name
    now = utc_now()
    known = {change.listing_id: _was_refused(store, channel, change, refused) for change in batch}
    with store.transaction():
        for change in batch:
            refusal = refused.get(change.listing_id)
            if refusal is None:
                save_pushed(store, channel, change.listing_id, change.wanted, now)
            elif refusal[0] in BUNDLE_QUANTITY:
                mark_channel_bundle(store, channel, change.listing_id)
            outbox.settle(
                store,
                entries[change.listing_id],
                "refused" if refusal else "done",
                request_id=request_id,
                error_code=str(refusal[0]) if refusal else None,
            )
    for change in batch:
        refusal = refused.get(change.listing_id)
        if refusal is None:
            work.count.pushed += 1
            work.shown[change.listing_id] = change.per_warehouse
            work.report.item(_quantity_outcome(channel, change, "done"))
            continue
        work.done.add(change.listing_id)
        if refusal[0] in BUNDLE_QUANTITY:
            work.report.item(_quantity_outcome(channel, change, "skipped", cause="channel_bundle"))
            continue
        work.count.failed += 1
        step = (
            tr("deactivate the listing in Seller Center: the channel does not take 0")
            if (refusal[0] in ZERO_REFUSED and change.wanted == 0)
            else tr("look at the listing in Seller Center, then run `tiktok-erp reserve-stock` again")
        )
        work.report.item(
            _quantity_outcome(
                channel,
                change,
                "failed",
                cause="quantity_refused",
                next_step=step,
                text=tr("{sku}: TikTok says {code}: {message}", sku=change.sku, code=refusal[0], message=refusal[1]),
                is_new=not known[change.listing_id],
            )
        )


def _was_refused(store: Store, channel: str, change: QuantityChange, refused: Mapping[str, tuple[int, str]]) -> bool:
    """Tell whether the last push of this listing before was refused for the same reason: an old case."""
    refusal = refused.get(change.listing_id)
    if refusal is None:
        return False
    before = [row for row in outbox.load_entries(store, _key(channel, change)) if row["state"] in ("done", "refused")]
    last = max(before, key=lambda row: (row["sent_at"] or "", row["outbox_id"]), default=None)
    return last is not None and last["state"] == "refused" and last["error_code"] == str(refusal[0])


def _quantity_outcome(
    channel: str,
    change: QuantityChange,
    result: str,
    *,
    cause: str | None = None,
    next_step: str | None = None,
    text: str | None = None,
    is_new: bool = True,
) -> Outcome:
    return Outcome(
        "listing",
        {"channel": channel, "listing_id": change.listing_id, "sku": change.sku},
        result,
        cause=cause,
        next_step=next_step,
        fields={"wanted_quantity": change.wanted, "shown_quantity": change.shown},
        text=text,
        is_new=is_new,
    )


def fill_template(
    store: Store,
    path: Path,
    report: Report,
    count: ReserveCount,
    *,
    channel: str,
    rules: Rules,
    dry_run: bool,
    yes: bool,
) -> int:
    """Write what can be sold into the stock template that was downloaded to `path`; return how many cells changed.

    Only quantity cells of counted SKUs are touched. Raises InputFileError when the file is no such template.
    """
    from tiktok_erp.channels.seller_center_stock import fill_stock_template, read_stock_template

    template = read_stock_template(path)
    with store.transaction(keep=not dry_run):
        refresh_offers(store, rules)
        names = {row["listing_id"]: row["sku"] for row in load_listings(store, channel)}
        virtual = {row["listing_id"] for row in load_listings(store, channel) if row["is_channel_bundle"]}
        rows = {row.line: row for row in template.rows if row.listing_id not in virtual}
        pools, reserved = load_pools(store)
        own = load_own_bundles(store)
        caps = load_channel_caps(store)
        states = [_row_state(row, names, pools, reserved, own, channel) for row in rows.values()]
        plan = plan_push(states, pools=pools, caps=caps)
    if plan.surprise is not None and not yes:
        _tell_surprise(channel, plan, report, count)
        return 0
    wanted = {int(change.listing_id): dict(change.per_warehouse) for change in plan.changes}
    changed = sum(len(cells) for cells in wanted.values()) if dry_run else fill_stock_template(template, wanted)
    for change in plan.changes:
        row = rows[int(change.listing_id)]
        report.item(
            Outcome(
                "row",
                {"line": row.line, "sku": change.sku},
                "planned" if dry_run else "done",
                fields={"wanted_quantity": change.wanted, "shown_quantity": change.shown},
            )
        )
    if plan.uncounted:
        report.warn(
            tr(
                "{count} SKUs of the template were never counted ({examples}): their cells are left as they are",
                count=len(plan.uncounted),
                examples=", ".join(plan.uncounted[:5]),
            )
        )
    if template.unreadable:
        report.warn(
            tr(
                "{count} rows have a quantity that is no number (first in line {line}): left as they are",
                count=len(template.unreadable),
                line=template.unreadable[0],
            )
        )
    return changed


def _row_state(
    row: StockRow,
    names: Mapping[str, str],
    pools: Mapping[str, Mapping[str, int]],
    reserved: Mapping[str, int],
    own: Mapping[str, Mapping[str, int]],
    channel: str,
) -> ListingState:
    sku = names.get(row.listing_id) or row.seller_sku or row.listing_id
    parts = row_parts(sku, own)
    known = [quantity for warehouse, quantity in row.quantities if quantity is not None]
    return ListingState(
        listing_id=f"{row.line:07d}",
        product_id="",
        sku=sku,
        offers=() if parts else tuple(pools.get(sku, {}).items()),
        reserved=sum(reserved.get(part, 0) for part, number in parts or ((sku, 1),)),
        shown=sum(known) if len(known) == len(row.quantities) else None,
        warehouses=tuple(warehouse for warehouse, quantity in row.quantities),
        shown_per_warehouse=tuple((warehouse, quantity or 0) for warehouse, quantity in row.quantities),
        channel=channel,
        parts=parts,
    )
