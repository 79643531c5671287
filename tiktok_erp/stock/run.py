"""Reserve counted pieces for promised units. Reads, plans (`plan.py`), writes. `count.py` counts, `push.py` publishes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tiktok_erp.messages import tr
from tiktok_erp.model.bundle import pieces_of
from tiktok_erp.model.outcome import Outcome, Report
from tiktok_erp.model.rule import Rules
from tiktok_erp.stock.offers import refresh_offers
from tiktok_erp.stock.plan import PromisedUnit, UnitReservation, plan_reservations
from tiktok_erp.store.bundles import load_own_bundles, load_unit_components
from tiktok_erp.store.database import Store, utc_now
from tiktok_erp.store.stock import (
    adopt_listing_skus,
    let_go_incomplete,
    load_back_order_skus,
    load_stock,
    load_unreserved_units,
    save_reservations,
    settle_restocking,
)


@dataclass(slots=True)
class ReserveCount:
    """What one run of reserve-stock did. `by_intent` are short because they were sold before there is stock."""

    held: int = 0
    short: int = 0
    already_short: int = 0
    by_intent: int = 0
    pushed: int = 0
    failed: int = 0


def reserve(
    store: Store,
    rules: Rules,
    report: Report,
    *,
    only_orders: Sequence[str] | None,
    dry_run: bool,
) -> ReserveCount:
    """Give every promised unit a counted piece, earliest deadline first; all in one transaction.

    A bundle is taken apart and takes all its pieces or none.
    """
    count = ReserveCount()
    with store.turn(), store.transaction(keep=not dry_run):
        now = utc_now()
        adopt_listing_skus(store)
        written_off = settle_restocking(store, now)
        if only_orders is None:  # what lets go here must be planned for again here
            let_go_incomplete(store, now)
        stock = {(row["sku"], row["warehouse"]): (row["on_hand"], row["reserved"]) for row in load_stock(store)}
        counted = frozenset(sku for sku, warehouse in stock)
        units = _promised_units(store, counted, only_orders)
        planned = plan_reservations(units, stock)
        news = [entry for entry in planned if not (entry.was_short and entry.state == "short")]
        save_reservations(
            store,
            [(entry.unit_id, entry.sku, entry.warehouse, entry.state) for entry in news],
            now,
            parts={
                entry.unit_id: [(sku, number, sku in counted) for sku, number in entry.parts]
                for entry in news
                if entry.parts
            },
        )
        refresh_offers(store, rules)
    if written_off:
        report.warn(
            tr(
                "{count} cancelled units do not go back on sale, says the channel: written off. Count them if they lie on"
                " the shelf",
                count=written_off,
            )
        )
    uncounted = Counter(sku for unit in units for sku, number in unit.parts or ((unit.sku, 1),) if sku not in counted)
    _tell_units(planned, report, count, dry_run=dry_run)
    _tell_shortages(planned, uncounted, report)
    return count


def _promised_units(store: Store, counted: frozenset[str], only_orders: Sequence[str] | None) -> list[PromisedUnit]:
    rows = load_unreserved_units(store, only_orders=only_orders)
    own = load_own_bundles(store)
    told = load_unit_components(store, [row["unit_id"] for row in rows])
    sold_ahead = load_back_order_skus(store)
    units = []
    for row in rows:
        sku, unit_id = row["sku"], row["unit_id"]
        parts: tuple[tuple[str, int], ...] = ()
        if sku in own or unit_id in told:
            pieces = pieces_of(sku, own, told.get(unit_id, ()), counted)
            parts = () if pieces == {sku: 1} else tuple(sorted(pieces.items()))
        units.append(
            PromisedUnit(
                unit_id,
                row["order_id"],
                sku,
                row["channel_warehouse_id"],
                row["reservation"] == "short",
                parts,
                bool(row["is_presale"]) or sku in sold_ahead,
            )
        )
    return units


def _tell_units(planned: Iterable[UnitReservation], report: Report, count: ReserveCount, *, dry_run: bool) -> None:
    for entry in planned:
        is_held = entry.state == "held"
        if is_held:
            count.held += 1
        elif entry.was_short:
            count.already_short += 1
        else:
            count.short += 1
        count.by_intent += not is_held and entry.by_intent
        if is_held:
            cause, step = None, None
        elif entry.by_intent:
            cause = "back_order"
            step = tr("nothing to do: {sku} was sold before there is stock; count it when it comes", sku=entry.sku)
        else:
            cause = "short"
            step = tr("restock {sku} and run `tiktok-erp reserve-stock` again", sku=", ".join(entry.lacking))
        report.item(
            Outcome(
                "unit",
                {"unit_id": entry.unit_id, "order_id": entry.order_id, "sku": entry.sku},
                ("planned" if dry_run else "done") if is_held else "skipped",
                cause=cause,
                next_step=step,
                fields={
                    "warehouse": entry.warehouse,
                    "state": entry.state,
                    "components": dict(entry.parts),
                    "lacking": list(entry.lacking),
                },
            )
        )


def _tell_shortages(planned: Iterable[UnitReservation], uncounted: Counter[str], report: Report) -> None:
    short: Counter[str] = Counter()
    ahead: Counter[str] = Counter()
    lacking: dict[str, set[str]] = defaultdict(set)
    for entry in planned:
        if entry.state == "short":
            (ahead if entry.by_intent else short)[entry.sku] += 1
            lacking[entry.sku].update(entry.lacking if entry.parts else ())
    for sku, units in sorted(short.items()):
        if lacking[sku]:
            report.warn(
                tr(
                    "short: {sku} lacks {count} units for want of {parts}; their orders wait",
                    sku=sku,
                    count=units,
                    parts=", ".join(sorted(lacking[sku])),
                )
            )
        else:
            report.warn(tr("short: {sku} lacks {count} units; their orders wait", sku=sku, count=units))
    for sku, units in sorted(ahead.items()):
        report.warn(tr("sold ahead: {count} units of {sku} wait for stock, as they were sold", sku=sku, count=units))
    if uncounted:
        names = ", ".join(sku for sku, units in uncounted.most_common(5))
        report.warn(
            tr(
                "{count} SKUs on open orders were never counted ({examples}): they hold nothing back and are never pushed;"
                " run `tiktok-erp stock import`",
                count=len(uncounted),
                examples=names,
            )
        )
