"""Give every package that can go a carrier, a service level and the reason. Reads, plans (`*plan.py`), writes."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime

from tiktok_erp.allocation.combine_plan import CombinePlan, OpenOrder, plan_combining, wait_until
from tiktok_erp.allocation.parcels import (
    Content,
    LiveSession,
    Surroundings,
    address_fault,
    address_of,
    content_of,
    parcel_of,
)
from tiktok_erp.allocation.plan import (
    Allocation,
    Decision,
    Held,
    NotAllocated,
    Prices,
    plan_allocation,
    plan_box,
    plan_weight,
)
from tiktok_erp.errors import ErpError
from tiktok_erp.messages import tr
from tiktok_erp.model.address import ADDRESS_CAUSES, Address, clean_address, is_readable
from tiktok_erp.model.carrier_rule import Choice, Price
from tiktok_erp.model.condition import glob_pattern
from tiktok_erp.model.moment import from_text, to_text
from tiktok_erp.model.money import Money
from tiktok_erp.model.outcome import Outcome, Report
from tiktok_erp.model.own_label import CARRIER_NOT_TAKEN
from tiktok_erp.model.parcel import Parcel
from tiktok_erp.model.rule import Pickup, Rules
from tiktok_erp.model.shipment import Quote
from tiktok_erp.store.combining import absorb, load_half_short, load_unlabelled_orders, save_wait, separate, split_off
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.identity import find_outdated, save_decided_for
from tiktok_erp.store.labels import REFUSALS
from tiktok_erp.store.live import load_sessions_since
from tiktok_erp.store.packages import (
    load_buyer_history,
    load_package_units,
    load_parcels,
    load_refused_choices,
    load_view,
    save_allocation,
    withdraw_allocations,
    withdraw_not_taken,
    withdraw_refused,
)
from tiktok_erp.store.quarantine import open_case, resolve_cases
from tiktok_erp.store.shipments import forget_quotes, load_references, save_quotes

# The causes that this stage opens, and closes again once they are gone.
_CAUSES = (
    *ADDRESS_CAUSES,
    "no_rule",
    "no_price",
    "no_box",
    "all_refused",
    "quarantined_by_rule",
    CARRIER_NOT_TAKEN,
    "cross_border_usps",  # what the cause was called before; cases of then are closed like others
)
# What the seller may go on in spite of. A masked or missing address cannot be printed, whoever takes the responsibility.
OVERRIDABLE = (
    *(cause for cause in ADDRESS_CAUSES if cause not in ("no_address", "masked_address")),
    "quarantined_by_rule",
    "held_by_rule",
    "number_used",
)
_QUOTES_AT_ONCE = 8
# What was combined or changed while prices were asked is asked about once more, and once more: then it waits for the next run.
_ROUNDS_OF_PRICES = 3


def is_ours(cause: str) -> bool:
    """Tell whether `cause` is one that this stage opens: allocating the package again decides about it."""
    return cause in _CAUSES or cause.startswith("unknown_")


@dataclass(frozen=True, slots=True)
class Asked:
    """A package whose rule compares prices, for the label source that is asked for them."""

    package_id: str
    order_ids: tuple[str, ...]
    shipping_type: str | None
    parcel: Parcel
    address: Address
    content: Content
    reference: str = ""  # what the parcel is called at a label source


@dataclass(frozen=True, slots=True)
class Offers:
    """What a label source would ask for a package.

    `made_for` is the fingerprint of the parcel that it was asked about; empty where a quote cannot be bought by its id.
    """

    source: str
    quotes: Sequence[Quote]
    made_for: str = ""


# Returns what the label source offers for a package; None where it cannot be asked. Raises ErpError. Runs in threads.
AskPrices = Callable[[Asked], "Offers | None"]


@dataclass(slots=True)
class AllocateCount:
    """What one run of allocate did. `absorbed` packages were combined into others; `saved` is their postage, if known."""

    allocated: int = 0
    short: int = 0
    waiting: int = 0
    held: int = 0
    absorbed: int = 0
    failed: int = 0
    failed_before: int = 0
    saved: Money | None = None


@dataclass(frozen=True, slots=True)
class _Made:
    """One decision, and what it was made of."""

    decision: Allocation
    parcel: Parcel
    units: Sequence[sqlite3.Row]


@dataclass(frozen=True, slots=True)
class _Prices:
    """What was asked of label sources before the transaction, by package: about which parcel, and the answers."""

    asked: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    offers: Mapping[str, Offers] = field(default_factory=dict)


@dataclass(slots=True)
class _Batch:
    """Everything one run decides, told at its end. `to_ask` are those whose prices were asked for another parcel, or not."""

    decided: list[_Made] = field(default_factory=list)
    failures: list[tuple[NotAllocated, bool]] = field(default_factory=list)
    skipped: list[tuple[str, str, str]] = field(default_factory=list)  # package, cause, text
    absorbed: list[tuple[str, str]] = field(default_factory=list)  # package, survivor
    split: list[tuple[str, str]] = field(default_factory=list)  # package, the one with what is short
    moved: int = 0
    outdated: int = 0
    to_ask: list[str] = field(default_factory=list)
    fields: dict[str, dict[str, object]] = field(default_factory=dict)


def allocate(
    store: Store,
    rules: Rules,
    report: Report,
    *,
    only: Sequence[str] | None,
    run_id: int | None,
    dry_run: bool,
    no_wait: bool = False,
    ask_prices: AskPrices | None = None,
) -> AllocateCount:
    """Combine what can leave together, and decide for every open package that has no decision and is not short of stock.

    `no_wait` lets packages go that may still get company. `ask_prices` is used where rules compare prices. A dry run does
    the same and takes it back.
    """
    count, batch = AllocateCount(), _Batch()
    pending = only
    for _round in range(_ROUNDS_OF_PRICES):
        prices = _fetch_prices(store, rules, report, pending, ask_prices) if ask_prices is not None else None
        batch.to_ask = []
        _allocate(store, rules, batch, count, pending, prices, run_id=run_id, dry_run=dry_run, no_wait=no_wait)
        if dry_run or not batch.to_ask:
            break
        pending = batch.to_ask
    if report.wants_fields and not dry_run:
        batch.fields = _fields(store, batch)
    for package_id in batch.to_ask:
        text = tr("{package}: its prices have to be asked again, for what it is now", package=package_id)
        batch.skipped.append((package_id, "changed_meanwhile", text))
    count.absorbed = len(batch.absorbed)
    count.saved = _saved(batch, rules)
    _tell(report, batch, count, dry_run=dry_run)
    return count


def _fields(store: Store, batch: _Batch) -> dict[str, dict[str, object]]:
    known = [made.decision.package_id for made in batch.decided] + [entry[0] for entry in batch.absorbed]
    return {key: dict(row) for key, row in load_view(store, known).items()}


def _allocate(
    store: Store,
    rules: Rules,
    batch: _Batch,
    count: AllocateCount,
    only: Sequence[str] | None,
    prices: _Prices | None,
    *,
    run_id: int | None,
    dry_run: bool,
    no_wait: bool,
) -> None:
    """Decide in one transaction, by `prices` only where they were asked for exactly what a package is now."""
    with store.transaction(keep=not dry_run):
        now = utc_now()
        batch.moved += len(withdraw_allocations(store))
        batch.outdated += len(withdraw_allocations(store, find_outdated(store, rules)))
        withdraw_refused(store, REFUSALS)
        withdraw_not_taken(store, lambda channel, carrier: not rules.takes_own_label(channel, carrier))
        if rules.split == "allow":
            _split(store, only, batch, now, run_id)
        plan = _regroup(store, rules, only, batch, now, run_id)
        pickups = {pickup.carrier: pickup for pickup in rules.pickups}
        before = len(batch.decided)
        for row, units, known in _load(store, rules, only):
            _decide(
                store,
                rules,
                batch,
                count,
                row,
                units,
                known,
                now,
                prices=prices,
                plan=None if no_wait else plan,
                pickups=pickups,
                run_id=run_id,
            )
        save_decided_for(store, [made.decision.package_id for made in batch.decided[before:]], rules)
        if dry_run:
            batch.fields = _fields(store, batch)


def surroundings(store: Store, rules: Rules, rows: Iterable[sqlite3.Row]) -> Surroundings:
    """Return what is known beside these packages; the buyers' history only where a rule asks for it."""
    asked = any("repeat_orders" in one.fact_keys for rule in rules.carriers for one in rule.conditions)
    rows = list(rows)
    buyers = {row["buyer_id"] for row in rows if row["buyer_id"] is not None} if asked else set()
    since = min((row["placed_at"] for row in rows), default=None)
    sessions = tuple(
        LiveSession(
            session["name"],
            glob_pattern(json.loads(session["skus"]) or ["*"]).fullmatch,
            session["started_at"],
            session["ended_at"],
        )
        for session in (load_sessions_since(store, since) if since is not None else ())
    )
    refused = load_refused_choices(store, {row["package_id"] for row in rows})
    return Surroundings(refused, load_buyer_history(store, buyers) if asked else None, sessions)


def _load(
    store: Store, rules: Rules, only: Sequence[str] | None
) -> list[tuple[sqlite3.Row, list[sqlite3.Row], Surroundings]]:
    rows = load_parcels(store, only=only)
    units: dict[str, list[sqlite3.Row]] = defaultdict(list)
    for unit in load_package_units(store, [row["package_id"] for row in rows]):
        units[unit["package_id"]].append(unit)
    known = surroundings(store, rules, rows)
    return [(row, units[row["package_id"]], known) for row in rows]


def _decide(
    store: Store,
    rules: Rules,
    batch: _Batch,
    count: AllocateCount,
    row: sqlite3.Row,
    units: Sequence[sqlite3.Row],
    known: Surroundings,
    now: datetime,
    *,
    prices: _Prices | None,
    plan: CombinePlan | None,
    pickups: Mapping[str, Pickup],
    run_id: int | None,
) -> None:
    package_id = row["package_id"]
    if any(unit["reservation"] == "short" for unit in units):
        count.short += 1
        return
    if row["seller_hold"] is not None:
        count.held += 1
        batch.skipped.append(
            (
                package_id,
                "held_by_seller",
                tr("{package}: kept back: {reason}", package=package_id, reason=row["seller_hold"]),
            )
        )
        return
    address, content = address_of(row), content_of(row, units, rules)
    parcel = parcel_of(row, units, content, address, now, known)
    offers = None
    if prices is not None:
        offers = prices.offers.get(package_id)
        if prices.asked.get(package_id) != _asked_about(parcel, address, content) and _asks(
            row, address, parcel, rules
        ):
            batch.to_ask.append(package_id)
            return
    told = None if offers is None else _prices(offers)
    decision = decide(parcel, row, address, content, rules, prices=told)
    if isinstance(decision, NotAllocated):
        is_new = open_case(
            store,
            cause=decision.cause,
            detail=decision.detail,
            next_step=decision.next_step,
            package_id=package_id,
            order_id=parcel.order_ids[0] if len(parcel.order_ids) == 1 else None,
            run_id=run_id,
        )
        batch.failures.append((decision, is_new))
        return
    _close_cases(store, package_id)
    if isinstance(decision, Held):
        count.held += 1
        save_allocation(store, {"package_id": package_id, "hold_because": decision.reason, "wait_until": None})
        batch.skipped.append(
            (
                package_id,
                decision.cause,
                tr(
                    "{package}: kept back by `{rule}`: {reason}",
                    package=package_id,
                    rule=decision.because,
                    reason=decision.reason,
                ),
            )
        )
        return
    waiting = plan.waiting.get(package_id) if plan is not None else None
    if waiting is not None:
        until = wait_until(waiting, rules.combine, pickups.get(decision.carrier), rules.shop.zone)
        if until is not None and until > now:
            count.waiting += 1
            save_wait(store, package_id, until)
            text = tr("{package}: may still get company, until {moment}", package=package_id, moment=to_text(until))
            batch.skipped.append((package_id, "waiting", text))
            return
    _save(store, decision, content, rules, now)
    forget_quotes(store, package_id)
    if offers is not None and offers.made_for and parcel.weight_g is not None:
        # The next purchase may buy exactly this quote, if what it buys is what was quoted.
        save_quotes(store, package_id, offers.source, offers.quotes, weight_g=parcel.weight_g, made_for=offers.made_for)
    batch.decided.append(_Made(decision, parcel, units))
    count.allocated += 1


def decide(
    parcel: Parcel,
    row: sqlite3.Row,
    address: Address,
    content: Content,
    rules: Rules,
    *,
    prices: Prices | None = None,
) -> Decision:
    """Return what becomes of one package: a fault of its address, what the rules say, or that the rule's box is too small."""
    fault = address_fault(row, address, rules)
    if fault is not None:
        return NotAllocated(parcel.package_id, fault.cause, fault.detail, fault.next_step)
    decision = plan_allocation(parcel, rules, prices=prices)
    if isinstance(decision, Allocation) and rules.boxes and _box_of(decision, content, rules) is None:
        return NotAllocated(
            parcel.package_id,
            "no_box",
            tr(
                "no box in `boxes` takes the content ({weight} g)", weight=content.weight_g if content.weight_g else "?"
            ),
            tr("add a larger box to `boxes` in rules.yaml, then run `tiktok-erp allocate`"),
        )
    return decision


def _box_of(decision: Allocation, content: Content, rules: Rules) -> str | None:
    if decision.extras.box is None:
        return content.box.name if content.box is not None else None
    return decision.extras.box


def _save(store: Store, decision: Allocation, content: Content, rules: Rules, now: datetime) -> None:
    extras, price = decision.extras, decision.price
    box = plan_box(rules.boxes, content.weight_g, content.sizes, wanted=extras.box) if extras.box else content.box
    save_allocation(
        store,
        {
            "package_id": decision.package_id,
            "carrier": decision.carrier,
            "service_level": decision.service_level,
            "because": decision.because,
            "weight_g": content.in_box(box),
            "allocated_at": to_text(now),
            "wait_until": None,
            "hold_because": None,
            "box": box.name if box is not None else None,
            "ship_from": extras.ship_from,
            "signature": extras.signature,
            "insurance_minor": extras.insurance.minor if extras.insurance else None,
            "insurance_currency": extras.insurance.currency if extras.insurance else None,
            "tags": json.dumps(extras.tags, ensure_ascii=False),
            "print_note": extras.print_note,
            "fallbacks": json.dumps(decision.fallbacks),
            "price_minor": price.cost.minor if price else None,
            "price_currency": price.cost.currency if price else None,
            "price_source": price.source if price else None,
        },
    )


def _close_cases(store: Store, package_id: str) -> None:
    old = store.query(
        "SELECT DISTINCT cause FROM quarantine WHERE package_id = ? AND resolved_at IS NULL", (package_id,)
    )
    causes = [row[0] for row in old if is_ours(row[0])]
    if causes:
        resolve_cases(store, package_id=package_id, causes=causes)


# Combining


def _open_orders(rows: Sequence[sqlite3.Row], now: datetime) -> list[OpenOrder]:
    return [
        OpenOrder(
            row["order_id"],
            row["package_id"],
            None if row["is_split"] else _key(row),
            _can_go(row, now),
            row["auto_combine_group_id"] is not None or bool(row["is_live"]),
            _moment(row["paid_at"] or row["placed_at"]),
            _moment(row["ship_by"]),
        )
        for row in rows
    ]


def _can_go(row: sqlite3.Row, now: datetime) -> bool:
    return (
        row["base_state"] == "open"
        and (row["held_until"] is None or from_text(row["held_until"]) <= now)
        and not row["cancel_requested"]
        and not row["is_held_by_seller"]
        and not row["is_short"]
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else from_text(text)


def _key(row: sqlite3.Row) -> tuple[str | None, ...] | None:
    """Return what orders must have in common to leave in one package; None for one that nothing can be said of.

    The platform's own group goes before what we can see, as its addresses are masked (TikTok reference, section 5.3); with
    own labels recipient and address must be the same as well (section 4.5). A package that the platform has made already
    gets one label of TikTok Shipping: its orders leave together, and with no others.
    """
    made = row["channel_package_id"] if row["shipping_type"] == "TIKTOK" else None
    if made is not None:
        return (row["channel"], "package", made)
    way = (
        row["channel"],
        row["shipping_type"],
        row["fulfillment_type"],
        row["channel_warehouse_id"],
        row["delivery_option_id"],
        row["currency"],
    )
    address = clean_address(
        Address(row["name"], row["street1"], row["street2"], row["city"], row["state"], row["zip"], row["country"])
    )
    place = tuple(
        part.casefold() if part else None
        for part in (address.street1, address.street2, address.city, address.state, address.zip, address.country)
    )
    if row["auto_combine_group_id"] is not None and row["shipping_type"] == "TIKTOK":
        return (*way, "group", row["auto_combine_group_id"])
    if row["buyer_id"] is None and not is_readable(address.name):
        return None
    if not (address.street1 and address.zip):
        return None
    who = row["buyer_id"] or ""
    return (*way, who, address.name.casefold() if address.name else None, *place)


def _split(store: Store, only: Sequence[str] | None, batch: _Batch, now: datetime, run_id: int | None) -> None:
    """Let what is there go without what is short; the rest waits in a package of its own."""
    for package_id, order_id in load_half_short(store):
        if only is None or package_id in only:
            batch.split.append((package_id, split_off(store, package_id, order_id, now, run_id)))


def _regroup(
    store: Store, rules: Rules, only: Sequence[str] | None, batch: _Batch, now: datetime, run_id: int | None
) -> CombinePlan:
    """Take apart what can no longer go together, and put together what can; what changed is decided anew."""

    def plan() -> CombinePlan:
        orders = _open_orders(load_unlabelled_orders(store), now)
        return plan_combining(orders, rules.combine, only=None if only is None else frozenset(only))

    changed: set[str] = set()
    planned = plan()
    if planned.leaving:
        for package_id, order_id in planned.leaving:
            separate(store, package_id, order_id, now, run_id)
            changed.add(package_id)
        planned = plan()  # who left may have company elsewhere
    for combination in planned.combinations:
        changed.add(combination.survivor)
        for package_id in combination.absorbed:
            absorb(store, combination.survivor, package_id, now, run_id)
            batch.absorbed.append((package_id, combination.survivor))
    if changed:
        withdraw_allocations(store, sorted(changed))
    for package_id in sorted(changed):
        resolve_cases(store, package_id=package_id, causes=["split_and_combined"])
    return planned


def _saved(batch: _Batch, rules: Rules) -> Money | None:
    """Return the postage that combining saved, by the `rates` table: each order alone less all together. None if unknown."""
    survivors = {survivor for _package_id, survivor in batch.absorbed}
    saved: Money | None = None
    for made in batch.decided:
        if made.decision.package_id not in survivors:
            continue
        choice = Choice(made.decision.carrier, made.decision.service_level)
        alone = [_alone(made, order_id, rules) for order_id in made.parcel.order_ids]
        prices = [rules.rates.price(choice, parcel) for parcel in (made.parcel, *alone)]
        costs = [price.cost for price in prices if isinstance(price, Price)]
        if len(costs) < len(prices):
            return None
        for cost in costs[1:]:
            saved = cost if saved is None else saved + cost
        saved = saved - costs[0] if saved is not None else None
    return saved


def _alone(made: _Made, order_id: str, rules: Rules) -> Parcel:
    units = [unit for unit in made.units if unit["order_id"] == order_id]
    weight = plan_weight([unit["weight_g"] for unit in units], 0)
    content = Content(weight, (), plan_box(rules.boxes, weight, ()))
    return replace(
        made.parcel,
        order_ids=(order_id,),
        order_total=None,
        weight_g=content.in_box(content.box),
        item_count=len(units),
        skus=tuple(unit["sku"] for unit in units),
    )


# Prices


def _asks(row: sqlite3.Row, address: Address, parcel: Parcel, rules: Rules) -> bool:
    """Tell whether prices have to be asked for before this package can be decided."""
    return rules.compares_prices and address_fault(row, address, rules) is None and _compares(parcel, rules)


def _asked_about(parcel: Parcel, address: Address, content: Content) -> tuple[object, ...]:
    """Return all that a price depends on: two of them are equal while the answer to one holds for the other."""
    return parcel.order_ids, parcel.skus, parcel.weight_g, parcel.shipping_type, address, content


def _fetch_prices(store: Store, rules: Rules, report: Report, only: Sequence[str] | None, ask: AskPrices) -> _Prices:
    """Ask the label sources for the packages whose rule compares prices. Before the transaction: it is no place to wait."""
    if not rules.compares_prices:
        return _Prices()
    now = utc_now()
    asked: list[Asked] = []
    for row, units, known in _load(store, rules, only):
        address, content = address_of(row), content_of(row, units, rules)
        parcel = parcel_of(row, units, content, address, now, known)
        if _asks(row, address, parcel, rules):
            asked.append(Asked(row["package_id"], parcel.order_ids, row["shipping_type"], parcel, address, content))
    names = load_references(store, [entry.package_id for entry in asked])
    asked = [replace(entry, reference=names[entry.package_id]) for entry in asked]
    told: dict[str, Offers] = {}
    silent: Counter[str] = Counter()

    def offers(entry: Asked) -> Offers | ErpError | None:
        try:
            return ask(entry)
        except ErpError as error:
            return error

    with ThreadPoolExecutor(_QUOTES_AT_ONCE) as pool:
        for done, (entry, found) in enumerate(zip(asked, pool.map(offers, asked), strict=True), start=1):
            report.progress(tr("asking for prices"), done, len(asked))
            if isinstance(found, ErpError):
                silent[found.what] += 1
            elif found is not None:
                told[entry.package_id] = found
    for what, packages in sorted(silent.items()):
        report.warn(tr("{count} packages: no price was told ({reason}); `rates` is used", count=packages, reason=what))
    about = {entry.package_id: _asked_about(entry.parcel, entry.address, entry.content) for entry in asked}
    return _Prices(about, told)


def _prices(offers: Offers) -> Prices:
    prices: dict[Choice, Price] = {}
    for quote in offers.quotes:
        choice = Choice(quote.carrier, quote.service_level)
        if choice not in prices or quote.cost.minor < prices[choice].cost.minor:
            prices[choice] = Price(choice, quote.cost, quote.transit_days, offers.source)
    return prices


def _compares(parcel: Parcel, rules: Rules) -> bool:
    """Tell whether the rule that decides about `parcel` compares prices."""
    for rule, is_sure in rules.table.candidates(parcel):
        if not is_sure:
            return False
        if rule.decides:
            return rule.use is not None and rule.use.needs_prices
    return False


# Telling


def _tell(report: Report, batch: _Batch, count: AllocateCount, *, dry_run: bool) -> None:
    result = "planned" if dry_run else "done"
    for package_id, survivor in batch.absorbed:
        values = batch.fields.get(package_id, {}) | {"merged_into": survivor}
        report.item(Outcome("package", {"package_id": package_id}, result, fields=values))
    for made in batch.decided:
        decision = made.decision
        values = dict(batch.fields.get(decision.package_id, {}))
        if decision.notes:
            values["notes"] = list(decision.notes)
        report.item(Outcome("package", {"package_id": decision.package_id}, result, fields=values))
    for package_id, cause, text in batch.skipped:
        fields: dict[str, object] = {"detail": text}
        report.item(Outcome("package", {"package_id": package_id}, "skipped", cause=cause, fields=fields))
    for package_id, rest in batch.split:
        text = tr("{package}: goes without what is short, which waits in {rest}", package=package_id, rest=rest)
        report.item(Outcome("package", {"package_id": rest}, result, fields={"split_from": package_id}, text=text))
    notes = Counter(note for made in batch.decided for note in made.decision.notes)
    for note, packages in sorted(notes.items()):
        report.warn(tr("{count} packages: {note}", count=packages, note=note))
    if batch.outdated:
        report.warn(
            tr(
                "{count} packages were decided anew: pieces, weight, box or sender are others than before",
                count=batch.outdated,
            )
        )
    if batch.moved:
        report.warn(tr("{count} packages were decided anew because their address changed", count=batch.moved))
    for failure, is_new in batch.failures:
        count.failed += is_new
        count.failed_before += not is_new
        report.item(
            Outcome(
                "package",
                {"package_id": failure.package_id},
                "failed",
                cause=failure.cause,
                next_step=failure.next_step,
                fields={"detail": failure.detail},
                text=f"{failure.package_id}: {failure.detail}",
                is_new=is_new,
            )
        )
